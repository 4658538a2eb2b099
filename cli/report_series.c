/* Columns of a table to series of a fixed size, however long the run was. */
#include "report_series.h"
#include "report_lines.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------- thinning */

pudle_status report_series_open(pd_context *ctx, int room, report_series *s)
{
    *s = (report_series){ .bucket = pd_alloc((size_t)room, sizeof *s->bucket), .room = room, .width = 1, .low = INFINITY, .high = -INFINITY };
    return s->bucket ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the curves");
}

void report_series_close(report_series *s)
{
    free(s->bucket);
    *s = (report_series){ .bucket = NULL };
}

static void merge(report_bucket *to, const report_bucket *next)
{
    to->last = next->last;
    to->least = next->least.y < to->least.y ? next->least : to->least;
    to->most = next->most.y > to->most.y ? next->most : to->most;
    to->sum += next->sum;
    to->count += next->count;
}

void report_series_add(report_series *s, double x, double y)
{
    const plot_point at = { x, fabs(y) < 1 / PLOT_LARGEST ? 0 : y };
    const report_bucket one = { at, at, at, at, at.y, 1 };
    if (!(fabs(y) < PLOT_LARGEST))
        return;
    s->low = at.y < s->low ? at.y : s->low;
    s->high = at.y > s->high ? at.y : s->high;
    s->last = at;
    s->values++;
    if (s->used && s->bucket[s->used - 1].count < s->width) {
        merge(&s->bucket[s->used - 1], &one);
        return;
    }
    if (s->used == s->room) {
        for (int i = 0; i < s->room; i += 2) {
            s->bucket[i / 2] = s->bucket[i];
            merge(&s->bucket[i / 2], &s->bucket[i + 1]);
        }
        s->used /= 2;
        s->width *= 2;
    }
    s->bucket[s->used++] = one;
}

int report_series_points(const report_series *s, plot_point *point)
{
    int count = 0;
    for (int i = 0; i < s->used; i++) {
        const report_bucket *b = &s->bucket[i];
        const bool rises = b->least.x < b->most.x;
        const plot_point list[REPORT_POINTS] = { b->first, rises ? b->least : b->most, rises ? b->most : b->least, b->last };
        for (int k = 0; k < REPORT_POINTS; k++)
            if (k == 0 || list[k].x > point[count - 1].x)
                point[count++] = list[k];
    }
    return count;
}

int report_series_stretches(const report_series *s, plot_point point[REPORT_STRETCHES])
{
    const int buckets = (s->used + REPORT_STRETCHES - 1) / REPORT_STRETCHES;
    int count = 0;
    for (int i = 0; i < s->used; i += buckets) {
        report_bucket all = s->bucket[i];
        for (int k = i + 1; k < i + buckets && k < s->used; k++)
            merge(&all, &s->bucket[k]);
        point[count++] = (plot_point){ all.first.x / 2 + all.last.x / 2, all.sum / (double)all.count };
    }
    return count;
}

/* ------------------------------------------------------------------------- means */

static void end_epoch(report_means *m)
{
    if (!m->rows)
        return;
    report_series_add(&m->series, m->first / 2 + m->last / 2, m->sum / (double)m->rows);
    m->epochs++;
    m->rows = 0;
    m->sum = 0;
}

static void add_to_mean(report_means *m, double update, int64_t epoch, double loss)
{
    if (epoch != m->epoch)
        end_epoch(m);
    if (!(fabs(loss) < PLOT_LARGEST))
        return;
    m->epoch = epoch;
    m->first = m->rows ? m->first : update;
    m->last = update;
    m->sum += loss;
    m->rows++;
}

/* ------------------------------------------------------------------------- reading */

enum { LONGEST = 16384, MOST_COLUMNS = 64 };

/* Where the places of the columns are that are no series; -1: there is none. */
typedef struct reading {
    pd_context *ctx;
    const char *path;
    FILE *file;
    report_table *table;
    char line[LONGEST];
    int64_t number;                          /* of the line */
    int cells, update, epoch, seconds, loss, norm;
    report_series *series[MOST_COLUMNS];     /* NULL: not one */
    char name[MOST_COLUMNS][sizeof ((report_column *)0)->name];
} reading;

static const char remedy[] = "bring the file back from a copy; or, where the run can go on, mend or delete the line, and `pudle train RUN --resume` goes on from the checkpoint";

/* False: there are no more lines, or *s tells what is wrong. The end of the line is taken off. */
static bool next_line(reading *r, pudle_status *s)
{
    if (!fgets(r->line, sizeof r->line, r->file)) {
        if (ferror(r->file))
            *s = pd_fail(r->ctx, PUDLE_ERR_IO, "%s: cannot be read: %s", r->path, strerror(errno));
        return false;
    }
    r->number++;
    const size_t length = strlen(r->line);
    if (length && r->line[length - 1] == '\n') {
        r->line[length - 1] = '\0';
        return true;
    }
    const int next = getc(r->file);
    if (next == EOF && !ferror(r->file)) /* torn */
        return false;
    *s = pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%s:%" PRId64 ": the line %s, so it is no row of a run; %s", r->path, r->number,
                 length + 1 < sizeof r->line ? "holds a zero byte" : "is longer than any of pudle's", remedy);
    return false;
}

static pudle_status take_name(reading *r, const char *name)
{
    static const char *const others[] = { "update", "epoch", "seconds" };
    int *const place[] = { &r->update, &r->epoch, &r->seconds };
    if (r->cells == MOST_COLUMNS || !*name || strlen(name) >= sizeof *r->name)
        return pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%s:1: \"%.40s\" is no column of a run: the file is not one that pudle wrote", r->path, name);
    for (int i = 0; i < r->cells; i++)
        if (!strcmp(r->name[i], name))
            return pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%s:1: the column %s is there twice: the file is not one that pudle wrote", r->path, name);
    const int at = r->cells++;
    strcpy(r->name[at], name);
    for (int i = 0; i < 3; i++)
        if (!strcmp(name, others[i]))
            *place[i] = at;
    r->loss = strcmp(name, "loss") ? r->loss : at;
    r->norm = strcmp(name, "gradient_norm") ? r->norm : at;
    return PUDLE_OK;
}

static pudle_status read_header(reading *r, int room)
{
    pudle_status s = PUDLE_OK;
    r->update = r->epoch = r->seconds = r->loss = r->norm = -1;
    if (!next_line(r, &s))
        return s ? s : pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%s: is empty: the run has not begun, or the file was cut off", r->path);
    char *rest = r->line;
    for (char *name = strsep(&rest, ","); name && !s; name = strsep(&rest, ","))
        s = take_name(r, name);
    if (!s && (r->update < 0 || r->epoch < 0))
        s = pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%s:1: there is no column %s: the file is not one that pudle wrote", r->path, r->update < 0 ? "update" : "epoch");
    report_table *t = r->table;
    t->column = s ? NULL : pd_alloc((size_t)r->cells, sizeof *t->column);
    if (!s && !t->column)
        s = pd_fail(r->ctx, PUDLE_ERR_NOMEM, "out of memory for the curves");
    for (int i = 0; i < r->cells && !s; i++) {
        if (i == r->update || i == r->epoch || i == r->seconds)
            continue;
        report_column *c = &t->column[t->columns++];
        memcpy(c->name, r->name[i], sizeof c->name);
        s = report_series_open(r->ctx, room, &c->series);
        r->series[i] = &c->series;
    }
    return s ? s : report_series_open(r->ctx, room, &t->loss.series);
}

/* A number of all of the text; an empty cell is NaN. */
static bool read_number(const char *text, double *value)
{
    char *end = NULL;
    *value = NAN;
    if (!*text)
        return true;
    *value = strtod(text, &end);
    return end != text && !*end && *text != ' ';
}

static pudle_status wrong_cell(const reading *r, int at, const char *text, const char *wanted)
{
    char shown[48];
    snprintf(shown, sizeof shown, "%.40s%s", text, strlen(text) > 40 ? "..." : "");
    for (char *p = shown; *p; p++)
        *p = (unsigned char)*p < ' ' ? '?' : *p;
    return pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%s:%" PRId64 ": %s is \"%s\", and %s is wanted; %s", r->path, r->number, r->name[at], shown, wanted, remedy);
}

static pudle_status read_row(reading *r)
{
    report_table *t = r->table;
    double value[MOST_COLUMNS];
    char *rest = r->line;
    int cells = 0;
    for (char *text = strsep(&rest, ","); text; text = strsep(&rest, ","), cells++) {
        if (cells == r->cells || !read_number(text, &value[cells]))
            return cells == r->cells ? pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%s:%" PRId64 ": the row has more cells than the %d columns: \"%.40s\" is one too many; %s",
                                               r->path, r->number, r->cells, text, remedy)
                                     : wrong_cell(r, cells, text, "a number");
        const bool counts = cells == r->update || cells == r->epoch;
        if (counts && !(value[cells] >= 0 && value[cells] < 9e15 && value[cells] == floor(value[cells])))
            return wrong_cell(r, cells, text, "a whole number that is not negative");
        if (cells == r->update && t->rows && value[cells] <= t->update)
            return wrong_cell(r, cells, text, "a number above that of the row before");
    }
    if (cells < r->cells)
        return pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%s:%" PRId64 ": the row has %d cells, and there are %d columns: %s is missing; %s", r->path, r->number, cells, r->cells,
                       r->name[cells], remedy);
    t->update = value[r->update];
    t->seconds = r->seconds < 0 ? NAN : value[r->seconds];
    t->rows++;
    for (int i = 0; i < cells; i++)
        if (r->series[i])
            report_series_add(r->series[i], t->update, value[i]);
    const bool closing = r->norm >= 0 && isnan(value[r->norm]); /* without a gradient: a batch of no epoch */
    if (r->loss >= 0 && !closing)
        add_to_mean(&t->loss, t->update, (int64_t)value[r->epoch], value[r->loss]);
    return PUDLE_OK;
}

static pudle_status open_file(pd_context *ctx, const char *path, FILE **file)
{
    *file = report_file(path);
    if (*file)
        return PUDLE_OK;
    if (errno == ENOENT)
        return pd_fail(ctx, PUDLE_ERR_NOTFOUND, "%s: there is no such file: the run has not begun, or the file was taken away", path);
    if (errno == ENOMEM)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    return errno ? pd_fail(ctx, PUDLE_ERR_IO, "%s: cannot be read: %s", path, strerror(errno)) : pd_fail(ctx, PUDLE_ERR_IO, "%s: is not a file", path);
}

pudle_status report_table_read(pd_context *ctx, const char *path, int room, report_table *table)
{
    *table = (report_table){ .update = NAN, .seconds = NAN };
    reading *r = pd_alloc(1, sizeof *r);
    if (!r)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    r->ctx = ctx;
    r->path = path;
    r->table = table;
    pudle_status s = open_file(ctx, path, &r->file);
    if (!s)
        s = read_header(r, room);
    while (!s && next_line(r, &s))
        s = read_row(r);
    if (!s)
        end_epoch(&table->loss);
    if (r->file)
        fclose(r->file);
    free(r);
    return s;
}

void report_table_close(report_table *table)
{
    for (int i = 0; i < table->columns; i++)
        report_series_close(&table->column[i].series);
    report_series_close(&table->loss.series);
    free(table->column);
    *table = (report_table){ .column = NULL };
}

const report_series *report_table_find(const report_table *table, const char *name)
{
    for (int i = 0; i < table->columns; i++)
        if (!strcmp(table->column[i].name, name))
            return table->column[i].series.used ? &table->column[i].series : NULL;
    return NULL;
}
