/* metrics.csv and test.csv: rows appended while the run goes on, synchronised with the checkpoints. */
#include "train/rundir.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char HEADER[] = "update,epoch,loss,data_loss,code_loss,nonzeros,learning_rate,beta,step,gradient_norm,dictionary_error";

static const char TEST_HEADER[] = "update,epoch,loss,data_loss,code_loss,nonzeros\n";

bool pd_metrics_foreign_tests(const pd_rundir *dir)
{
    char line[sizeof TEST_HEADER] = "", *path = pd_rundir_file(dir, "test.csv");
    FILE *file = path ? fopen(path, "re") : NULL;
    const bool foreign = file ? !fgets(line, sizeof line, file) || strcmp(line, TEST_HEADER) : errno != ENOENT;
    if (file)
        fclose(file);
    free(path);
    return foreign;
}

static int commas(const char *line)
{
    int count = 0;
    for (; *line; line++)
        count += *line == ',';
    return count;
}

/* What rows that stay tell of the run so far: the update of the last; the whole number in its last column but one, -1 where that is empty; and the
 * seconds, also of the row after it, which a finished run has: its closing row. */
typedef struct kept { int64_t update, number; double seconds; } kept;

static int64_t number_before(const char *line, const char *end)
{
    while (end > line && end[-1] != ',')
        end--;
    return *end == ',' ? -1 : strtoll(end, NULL, 10);
}

/* Copy the whole rows up to update `last`; a torn last line is dropped with the rest, as is a row with a zero byte. Rows of an older version,
 * which had fewer columns, get empty ones before the last. False: `from` could not be read to its end. */
static bool keep_rows(FILE *from, FILE *to, int columns, int64_t last, kept *k)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    for (int row = 0; (length = getline(&line, &size, from)) > 0; row++) {
        if (row == 0 || line[length - 1] != '\n')
            continue;
        const int64_t update = strtoll(line, NULL, 10);
        const char *end = strlen(line) == (size_t)length ? strrchr(line, ',') : NULL;
        if (update <= last && end) {
            fprintf(to, "%.*s", (int)(end - line), line);
            for (int i = commas(line); i < columns - 1; i++)
                putc(',', to);
            fputs(end, to);
            k->update = update;
            k->number = number_before(line, end);
        }
        if (update <= last + 1 && end)
            k->seconds = strtod(end + 1, NULL);
    }
    free(line);
    k->seconds = isfinite(k->seconds) && k->seconds > 0 ? k->seconds : 0;
    return feof(from) && !ferror(from);
}

/* The rows that are kept of an old file, if there is one. Rows that cannot be read are not lost for that: they stay where they are. */
static pudle_status copy_rows(const pd_rundir *dir, const char *path, FILE *to, int columns, int64_t last, kept *k)
{
    FILE *old = fopen(path, "re");
    const bool good = old ? keep_rows(old, to, columns, last, k) : errno == ENOENT;
    const int why = errno;
    if (old)
        fclose(old);
    return good ? PUDLE_OK : pd_fail(dir->ctx, PUDLE_ERR_IO, "%s: its rows cannot be read: %s", path, strerror(why));
}

/* A file of rows, with those that are kept, to be appended to. */
static pudle_status open_rows(pd_rundir *dir, const char *name, const char *header, int64_t last, FILE **out, kept *k)
{
    char *path = pd_rundir_file(dir, name);
    pd_atomic *file = NULL;
    pudle_status s = path ? pd_atomic_open(dir->ctx, path, &file) : pd_fail(dir->ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (s)
        goto cleanup;
    fputs(header, pd_atomic_stream(file));
    *k = (kept){ -1, -1, 0 };
    if (last >= 0)
        s = copy_rows(dir, path, pd_atomic_stream(file), commas(header) + 1, last, k);
    if (s)
        pd_atomic_abandon(file);
    else
        s = pd_atomic_commit(dir->ctx, file);
    if (s)
        goto cleanup;
    *out = fopen(path, "ae");
    if (!*out)
        s = pd_fail(dir->ctx, PUDLE_ERR_IO, "%s: %s", path, strerror(errno));
cleanup:
    free(path);
    return s;
}

pudle_status pd_metrics_open(pd_rundir *dir, int64_t update, int64_t tested, double *seconds)
{
    kept rows = { -1, -1, 0 }, tests = rows;
    char header[sizeof HEADER + 64 + PD_MAX_LEVELS * 64];
    int used = snprintf(header, sizeof header, "%s%s%s", HEADER, dir->implicit ? ",fixed_point" : "", dir->solves ? ",ill_conditioned" : "");
    for (int i = 0; i < dir->levels; i++)
        used += snprintf(header + used, sizeof header - (size_t)used, ",prox.%.50s", dir->level[i]->name);
    snprintf(header + used, sizeof header - (size_t)used, "%s,seconds\n", dir->revives ? ",dead" : ""); /* where keep_rows finds it */
    pudle_status s = open_rows(dir, "metrics.csv", header, update - 1, &dir->metrics, &rows);
    if (s)
        return s;
    *seconds = rows.seconds;
    dir->dead = dir->revives ? rows.number : -1;
    if (!dir->tests)
        return PUDLE_OK;
    s = open_rows(dir, "test.csv", TEST_HEADER, tested, &dir->test, &tests);
    dir->tested = tests.update;
    return s;
}

/* errno says why. */
static pudle_status not_written(const pd_rundir *dir, const char *name)
{
    const int why = errno;
    return pd_fail(dir->ctx, PUDLE_ERR_IO, "%s/%s: cannot be written: %s%s", dir->path, name, strerror(why),
                   why == EFBIG                     ? "; raise the limit of file sizes (ulimit -f), or train.log_every"
                   : why == ENOSPC || why == EDQUOT ? "; free some space"
                                                    : "");
}

static void cell(FILE *to, double value)
{
    if (isnan(value))
        fputs(",", to);
    else
        fprintf(to, ",%.9g", value);
}

pudle_status pd_metrics_row(pd_rundir *dir, const pd_metrics *row)
{
    FILE *to = dir->metrics;
    fprintf(to, "%" PRId64 ",%" PRId64, row->update, row->epoch);
    const double values[] = { row->loss, row->data_loss, row->code_loss, row->nonzeros, row->rate, row->beta, row->step, row->gradient_norm,
                              row->error };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        cell(to, values[i]);
    if (dir->implicit)
        cell(to, row->fixed_point);
    if (dir->solves)
        cell(to, isnan(row->gradient_norm) ? NAN : (double)row->ill_conditioned); /* it comes with a gradient */
    for (int i = 0; i < dir->levels; i++)
        cell(to, row->level[i]);
    if (dir->revives)
        cell(to, dir->dead < 0 ? NAN : (double)dir->dead);
    fprintf(to, ",%.3f\n", row->seconds);
    return ferror(to) ? not_written(dir, "metrics.csv") : PUDLE_OK;
}

pudle_status pd_metrics_test(pd_rundir *dir, int64_t update, int64_t epoch, const pd_means *means)
{
    fprintf(dir->test, "%" PRId64 ",%" PRId64 ",%.9g,%.9g,%.9g,%.9g\n", update, epoch, means->data_loss + means->code_loss, means->data_loss, means->code_loss,
            means->nonzeros);
    dir->tested = update;
    return ferror(dir->test) ? not_written(dir, "test.csv") : PUDLE_OK;
}

static pudle_status sync_file(const pd_rundir *dir, const char *name, FILE *file)
{
    if (file && (fflush(file) || fsync(fileno(file))))
        return not_written(dir, name);
    return PUDLE_OK;
}

pudle_status pd_metrics_sync(pd_rundir *dir)
{
    const pudle_status s = sync_file(dir, "metrics.csv", dir->metrics);
    return s ? s : sync_file(dir, "test.csv", dir->test);
}
