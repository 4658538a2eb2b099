/* Which training samples an atom is made of, and which of them a code calls up (core/measure/attribution.h). Two passes over the training samples,
 * whose codes are found anew in the second, so that nothing of their number is kept but one number each. */
#include "attribute.h"
#include "train/dictionary.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOP = 10, ATOMS_SHOWN = 12, SAMPLES_SHOWN = 8, CLASSES_MOST = 1000 };
static const double omega_default = 1e-3;

/* Samples that are gone through: of a split of the config's data, or the caller's own. */
typedef struct samples { const pudle_cview *own; int split; int64_t count; } samples;

/* One of them, with its code. */
typedef struct sample { int64_t number; double *x, *z, *w, *room; } sample;

typedef pudle_status (*visit_fn)(cli_attribution *a, const sample *s);

/* ------------------------------------------------------------------- passes */

/* What the decoder is to bring forth, less the baseline: the x of x = D z. */
static pudle_status sample_values(const cli_attribution *a, const void *rows, int64_t row, int64_t number, double *x)
{
    const pudle_cview all = pd_cmatrix(rows, a->pb->dtype, row + 1, a->m);
    for (int64_t i = 0; i < a->m; i++) {
        x[i] = pudle_entry(&all, row * a->m + i) - (a->pb->net.baseline ? a->pb->net.baseline[i] : 0);
        if (!isfinite(x[i]))
            return pd_fail(a->ctx, PUDLE_ERR_CONFIG, "sample %" PRId64 ": its entry %" PRId64 " is not a finite number; attribution has no place for what is missing",
                           number, i);
    }
    return PUDLE_OK;
}

static pudle_status visit_block(cli_attribution *a, const samples *from, int64_t first, int64_t count, void *device, void *host, sample *one, visit_fn visit)
{
    pd_problem *pb = a->pb;
    pd_batch batch;
    pd_pass pass = { .code = pd_matrix(device, pb->dtype, count, a->p) };
    const pudle_cview rows = from->own ? pd_crows(from->own, first, count) : (pudle_cview){ 0 };
    const pudle_cview codes = pd_cmatrix(host, pb->dtype, count, a->p);
    pudle_status s = from->own ? pd_problem_own_batch(pb, &rows, false, &batch) : pd_problem_first(pb, from->split, first, count, &batch);
    if (!s)
        s = pd_network_run(&pb->net, &batch, &pass);
    if (!s)
        s = pd_problem_check_finite(pb, &batch, &pass, 0);
    if (!s)
        s = pb->be->download(pb->exec, host, device, (size_t)(count * a->p) * pudle_dtype_size(pb->dtype));
    const void *values = from->own ? rows.data : batch.y.data ? pb->host.y : pb->host.x;
    for (int64_t i = 0; i < count && !s; i++) {
        one->number = first + i;
        s = sample_values(a, values, i, one->number, one->x);
        for (int64_t j = 0; j < a->p; j++)
            one->z[j] = pudle_entry(&codes, i * a->p + j);
        if (!s)
            s = visit(a, one);
    }
    return s;
}

static pudle_status visit_all(cli_attribution *a, const samples *from, visit_fn visit)
{
    pd_problem *pb = a->pb;
    const int64_t block = cli_block(pb, from->count);
    const size_t bytes = (size_t)(block * a->p) * pudle_dtype_size(pb->dtype);
    double *const room = pd_alloc((size_t)(2 * a->m + 2 * a->p), sizeof *room);
    sample one = { .x = room, .room = room + a->m, .z = room + 2 * a->m, .w = room + 2 * a->m + a->p };
    void *device = NULL, *host = pd_alloc(bytes, 1);
    pudle_status s = host && room ? pb->be->alloc(pb->exec, bytes, &device)
                                  : pd_fail(a->ctx, PUDLE_ERR_NOMEM, "out of memory for the codes of %" PRId64 " samples", block);
    for (int64_t first = 0; first < from->count && !s; first += block)
        s = visit_block(a, from, first, from->count - first < block ? from->count - first : block, device, host, &one, visit);
    if (device)
        pb->be->free(pb->exec, device);
    free(host);
    free(room);
    return s;
}

static pudle_status collect(cli_attribution *a, const sample *s)
{
    pd_attribution_add(&a->at, s->x, s->z);
    for (int64_t j = 0; j < a->p; j++) {
        a->atom[j].energy += s->z[j] * s->z[j];
        a->atom[j].used += s->z[j] != 0;
    }
    return PUDLE_OK;
}

static double norm(int64_t n, const double *v)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += v[i] * v[i];
    return sqrt(sum);
}

/* The class of a training sample, by its place in class_label. */
static int64_t class_of(const cli_attribution *a, int64_t number)
{
    int64_t low = 0, high = a->label ? a->classes - 1 : 0;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (a->class_label[middle] < a->label[number])
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void compare(const cli_attribution *a, cli_query *q, const sample *s, double length)
{
    double beta = 0, product = 0;
    for (int64_t j = 0; j < a->p; j++)
        if (s->z[j] != 0) {
            beta += q->w[j] * s->z[j];
            product += q->z[j] * s->z[j];
        }
    pd_ranking_add(&q->by_beta, beta, s->number);
    if (!(length > 0) || !(q->norm > 0)) /* a code of zeros is similar to none */
        return;
    const double cosine = product / (length * q->norm);
    const int64_t bin = (int64_t)floor((cosine + 1) * CLI_BINS / 2);
    pd_ranking_add(&q->by_code, cosine, s->number);
    q->histogram[class_of(a, s->number) * CLI_BINS + (bin < 0 ? 0 : bin < CLI_BINS ? bin : CLI_BINS - 1)]++;
}

static pudle_status rank(cli_attribution *a, const sample *s)
{
    pd_attribution_weights(&a->at, s->z, s->w);
    a->leave_out[s->number] = pd_attribution_leave_out(&a->at, s->x, s->z, s->w, s->room);
    for (int64_t j = 0; j < a->p; j++) {
        a->atom[j].weights2 += s->w[j] * s->w[j];
        pd_ranking_add(&a->atom[j].samples, s->w[j], s->number);
    }
    const double length = norm(a->p, s->z);
    for (int64_t q = 0; q < a->queries; q++)
        compare(a, &a->query[q], s, length);
    return PUDLE_OK;
}

/* A sample whose code is asked about: its line, and what the second pass wants of it where it is one of those that are explained at length. */
static pudle_status ask(cli_attribution *a, const sample *s)
{
    cli_explained *e = &a->explained[s->number];
    pd_attribution_weights(&a->at, s->z, s->w);
    e->beta_norm = pd_attribution_beta_norm(&a->at, s->z, s->w);
    e->nonzeros = 0;
    memcpy(s->room, s->x, (size_t)a->m * sizeof *s->room);
    const pudle_cview d = pudle_const(&a->dictionary.view);
    for (int64_t j = 0; j < a->p; j++) {
        e->nonzeros += s->z[j] != 0;
        for (int64_t i = 0; i < a->m && s->z[j] != 0; i++)
            s->room[i] -= s->z[j] * pudle_entry(&d, i * a->p + j);
    }
    const double length = norm(a->m, s->x);
    e->error = length > 0 ? norm(a->m, s->room) / length : (double)NAN;
    for (int64_t q = 0; q < a->queries; q++) {
        cli_query *query = &a->query[q];
        if (query->number != s->number)
            continue;
        memcpy(query->x, s->x, (size_t)a->m * sizeof *s->x);
        memcpy(query->z, s->z, (size_t)a->p * sizeof *s->z);
        memcpy(query->w, s->w, (size_t)a->p * sizeof *s->w);
        query->norm = norm(a->p, s->z);
    }
    return PUDLE_OK;
}

pudle_status cli_attribution_fetch(cli_attribution *a, const int64_t *index, int64_t count, double *out)
{
    pd_batch batch;
    pudle_status s = pd_problem_batch(a->pb, PUDLE_SPLIT_TRAIN, 0, index, count, &batch);
    for (int64_t i = 0; i < count && !s; i++)
        s = sample_values(a, batch.y.data ? a->pb->host.y : a->pb->host.x, i, index[i], out + i * a->m);
    return s;
}

/* ------------------------------------------------------------------- labels */

static pudle_status read_labels(const cli_attribution *a, int split, int64_t count, int64_t *label)
{
    enum { PART = 4096 };
    int64_t index[PART];
    const char *name = a->pb->data.desc->name;
    pudle_status s = PUDLE_OK;
    for (int64_t first = 0; first < count && !s; first += PART) {
        const pudle_data_request request = { .size = sizeof request, .split = split, .index = index, .count = count - first < PART ? count - first : PART };
        for (int64_t i = 0; i < request.count; i++)
            index[i] = first + i;
        PD_CALL(name, "labels");
        s = a->labels->labels(pd_host_for(a->ctx, name), a->pb->data.self, &request, label + first);
        PD_RETURNED();
    }
    return s;
}

static int rising(const void *x, const void *y)
{
    const int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

/* The labels of the training samples, and which there are; numbers that hardly repeat are no classes. */
static pudle_status find_classes(cli_attribution *a)
{
    const pudle_data_labels *ext = a->pb->data.desc->get_ext ? a->pb->data.desc->get_ext(PUDLE_DATA_LABELS) : NULL;
    a->labels = ext && PUDLE_HAS(ext, pudle_data_labels, labels) && ext->labels ? ext : NULL;
    a->class_label = pd_alloc((size_t)a->n, sizeof *a->class_label);
    if (a->labels)
        a->label = pd_alloc((size_t)a->n, sizeof *a->label);
    if (!a->class_label || (a->labels && !a->label))
        return pd_fail(a->ctx, PUDLE_ERR_NOMEM, "out of memory for the labels of %" PRId64 " samples", a->n);
    a->class_label[0] = PUDLE_NO_LABEL;
    a->classes = 1;
    const pudle_status s = a->labels ? read_labels(a, PUDLE_SPLIT_TRAIN, a->n, a->label) : PUDLE_OK;
    if (s || !a->labels)
        return s;
    memcpy(a->class_label, a->label, (size_t)a->n * sizeof *a->label);
    qsort(a->class_label, (size_t)a->n, sizeof *a->class_label, rising);
    a->classes = 0;
    for (int64_t i = 0; i < a->n; i++)
        if (i == 0 || a->class_label[i] != a->class_label[a->classes - 1])
            a->class_label[a->classes++] = a->class_label[i];
    if (a->classes > CLASSES_MOST) {
        pd_log(a->ctx, PUDLE_LOG_WARNING, "the samples have %" PRId64 " labels: similarities are counted over all of them, not by class (at most %d)", a->classes,
               CLASSES_MOST);
        a->classes = 1;
        a->class_label[0] = PUDLE_NO_LABEL;
    }
    return PUDLE_OK;
}

/* --------------------------------------------------------------------- room */

static bool ranking_make(pd_ranking *r, int64_t room)
{
    r->room = room;
    r->largest = pd_alloc((size_t)(2 * room), sizeof *r->largest);
    r->smallest = r->largest ? r->largest + room : NULL;
    return r->largest != NULL;
}

static void release(cli_attribution *a)
{
    for (int64_t j = 0; a->atom && j < a->p; j++)
        free(a->atom[j].samples.largest);
    for (int64_t q = 0; a->query && q < a->queries; q++) {
        free(a->query[q].x);
        free(a->query[q].by_beta.largest);
        free(a->query[q].by_code.largest);
        free(a->query[q].histogram);
    }
    void *const owned[] = { a->atom, a->shown, a->leave_out, a->label, a->class_label, a->query, a->explained };
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
    pd_attribution_close(&a->at);
    pd_array_free(&a->dictionary);
}

static pudle_status reserve(cli_attribution *a, int64_t asked)
{
    bool made = (a->atom = pd_alloc((size_t)a->p, sizeof *a->atom)) && (a->leave_out = pd_alloc((size_t)a->n, sizeof *a->leave_out));
    for (int64_t j = 0; made && j < a->p; j++)
        made = ranking_make(&a->atom[j].samples, a->top);
    if (made && asked)
        made = (a->explained = pd_alloc((size_t)asked, sizeof *a->explained)) != NULL;
    a->explained_count = asked;
    for (int64_t q = 0; made && q < a->queries; q++) {
        cli_query *query = &a->query[q];
        query->x = pd_alloc((size_t)(a->m + 2 * a->p), sizeof *query->x);
        query->histogram = pd_alloc((size_t)(a->classes * CLI_BINS), sizeof *query->histogram);
        made = query->x && query->histogram && ranking_make(&query->by_beta, a->top) && ranking_make(&query->by_code, a->top);
        query->z = made ? query->x + a->m : NULL;
        query->w = made ? query->z + a->p : NULL;
    }
    return made ? pd_attribution_open(a->ctx, a->m, a->p, &a->at) : pd_fail(a->ctx, PUDLE_ERR_NOMEM, "out of memory for %" PRId64 " samples", a->n);
}

/* ---------------------------------------------------------------- arguments */

/* "3,17,20" or nothing, each below `count`. The caller frees *list. */
static pudle_status numbers(pd_context *ctx, const char *option, const char *text, int64_t count, const char *of_what, int64_t **list, int64_t *length)
{
    *length = 0;
    *list = pd_alloc(text ? strlen(text) / 2 + 1 : 1, sizeof **list);
    if (!*list)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    for (const char *at = text; at && *at;) {
        char *end = NULL;
        errno = 0;
        const int64_t value = strtoll(at, &end, 10);
        if (end == at || errno || value < 0 || (*end && *end != ',') || (*end == ',' && !end[1]))
            return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s %s: numbers from 0 on are wanted, with commas between them, as 3,17,20", option, text);
        if (value >= count)
            return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s %s: there is no %s %" PRId64 ": there are %" PRId64 ", counted from 0", option, text, of_what, value, count);
        (*list)[(*length)++] = value;
        at = *end ? end + 1 : end;
    }
    return PUDLE_OK;
}

static pudle_status choose_queries(cli_attribution *a, const cli_args *args, int64_t asked)
{
    int64_t *list = NULL, count = 0;
    pudle_status s = numbers(a->ctx, "--samples", args->samples, asked, "sample", &list, &count);
    a->queries = args->samples ? count : asked < SAMPLES_SHOWN ? asked : SAMPLES_SHOWN;
    if (!s && !(a->query = pd_alloc((size_t)(a->queries ? a->queries : 1), sizeof *a->query)))
        s = pd_fail(a->ctx, PUDLE_ERR_NOMEM, "out of memory");
    for (int64_t q = 0; q < a->queries && !s; q++)
        a->query[q].number = args->samples ? list[q] : q;
    free(list);
    return s;
}

int64_t cli_attribution_strongest(const cli_attribution *a, int64_t most, pd_extreme *atoms)
{
    pd_ranking best = { .room = most, .largest = atoms }; /* an energy is never below 0 */
    for (int64_t j = 0; j < a->p; j++)
        pd_ranking_add(&best, a->atom[j].energy, j);
    return best.most;
}

/* The atoms of --atoms, or those of the most energy. */
static pudle_status choose_atoms(cli_attribution *a)
{
    pd_extreme best[ATOMS_SHOWN];
    if (a->shown_count)
        return PUDLE_OK;
    free(a->shown);
    if (!(a->shown = pd_alloc(ATOMS_SHOWN, sizeof *a->shown)))
        return pd_fail(a->ctx, PUDLE_ERR_NOMEM, "out of memory");
    a->shown_count = cli_attribution_strongest(a, ATOMS_SHOWN, best);
    for (int64_t i = 0; i < a->shown_count; i++)
        a->shown[i] = best[i].number;
    return PUDLE_OK;
}

static pudle_status check_files(pd_context *ctx, const cli_args *args, const pd_settings *settings)
{
    static const char *const names[] = { "atoms.csv", "contributions.csv", "estimate.npy", "atoms.png", "atoms_used.png", "samples.csv", "sample_contributions.csv",
                                         "code_similarity.csv", "samples.png", NULL };
    const cli_file in[] = { { "--input", args->input, NULL }, { "the config", args->positional[0], NULL } };
    return cli_check_folder(ctx, settings, args->out, names, in, 2);
}

/* Does the training loss weigh all entries alike? Its second derivatives of ones say so, for targets that are there. */
static pudle_status plain_squares(pd_problem *pb, bool *plain)
{
    const int64_t m = pb->net.map.features;
    const size_t bytes = (size_t)m * pudle_dtype_size(pb->dtype);
    void *zeros = NULL, *ones = NULL, *host = pd_alloc(bytes, 1);
    pudle_status s = host ? pb->be->alloc(pb->exec, bytes, &zeros) : pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s)
        s = pb->be->alloc(pb->exec, bytes, &ones);
    const pudle_view z = pd_matrix(zeros, pb->dtype, 1, m), o = pd_matrix(ones, pb->dtype, 1, m);
    const pudle_view shaped_z = pd_map_data_view(&pb->net.map, &z), shaped_o = pd_map_data_view(&pb->net.map, &o);
    const pudle_cview target = pudle_const(&shaped_z), direction = pudle_const(&shaped_o), result = pd_cmatrix(host, pb->dtype, 1, m);
    if (!s)
        s = pb->be->fill(pb->exec, 0.0, &z);
    if (!s)
        s = pb->be->fill(pb->exec, 1.0, &o);
    if (!s)
        s = pb->be->loss_hvp(pb->exec, &pb->loss, &target, &target, &direction, &shaped_o);
    if (!s)
        s = pb->be->download(pb->exec, host, ones, bytes);
    *plain = true;
    for (int64_t i = 0; i < m && !s; i++)
        *plain = *plain && pudle_entry(&result, i) == 1.0;
    if (ones)
        pb->be->free(pb->exec, ones);
    if (zeros)
        pb->be->free(pb->exec, zeros);
    free(host);
    return s;
}

/* D = X G Z' is a statement about sums of squares and about matrices. */
static pudle_status check_model(pd_context *ctx, const pd_settings *settings, pd_problem *pb)
{
    bool plain = false;
    if (settings->dictionary.kind != PD_KIND_DENSE)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle attribute: atoms are sums of samples where the dictionary is a matrix; here model.dictionary.kind is \"conv\"");
    if (settings->model.measurement)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle attribute: atoms are sums of samples where these are signals; with model.measurement they are measurements of signals");
    const pudle_status s = pb->loss.desc->caps & PUDLE_LOSS_QUADRATIC ? plain_squares(pb, &plain) : PUDLE_OK;
    if (s || plain)
        return s;
    return pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle attribute: atoms are sums of samples where the training loss is a sum of squares, all of the same weight; loss.name = \"%s\" is none",
                   pb->loss.desc->name);
}

/* --------------------------------------------------------------------- work */

static int by_size(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static double median(double *values, int64_t count)
{
    qsort(values, (size_t)count, sizeof *values, by_size);
    return count ? (values[(count - 1) / 2] + values[count / 2]) / 2 : (double)NAN;
}

/* How near the dictionary is to what the samples make of it. */
static pudle_status measure_identity(cli_attribution *a)
{
    const pudle_cview d = pudle_const(&a->dictionary.view);
    double error = 0, length = 0, *values = pd_alloc((size_t)(2 * a->p), sizeof *values);
    int64_t used = 0;
    if (!values)
        return pd_fail(a->ctx, PUDLE_ERR_NOMEM, "out of memory");
    for (int64_t j = 0; j < a->p; j++) {
        double own2 = 0, other2 = 0, error2 = 0, product = 0;
        for (int64_t i = 0; i < a->m; i++) {
            const double own = pudle_entry(&d, i * a->p + j), other = a->at.moment[j * a->m + i];
            own2 += own * own;
            other2 += other * other;
            product += own * other;
            error2 += (own - other) * (own - other);
        }
        a->atom[j].norm = sqrt(own2);
        a->atom[j].estimate_norm = sqrt(other2);
        const bool any = a->atom[j].used && own2 > 0 && other2 > 0;
        a->atom[j].error = any ? sqrt(error2 / own2) : (double)NAN;
        a->atom[j].cosine = any ? product / sqrt(own2 * other2) : (double)NAN;
        if (!any)
            continue;
        error += error2;
        length += own2;
        values[used] = a->atom[j].error;
        values[a->p + used++] = a->atom[j].cosine;
    }
    a->identity = length > 0 ? sqrt(error / length) : (double)NAN;
    a->error_median = median(values, used);
    a->cosine_median = median(values + a->p, used);
    free(values);
    return PUDLE_OK;
}

static pudle_status explain(cli_attribution *a, const samples *asked)
{
    pudle_status s = asked->count ? visit_all(a, asked, ask) : PUDLE_OK;
    int64_t *label = NULL;
    const bool labelled = a->labels && asked->count && !asked->own;
    if (!s && labelled) {
        label = pd_alloc((size_t)asked->count, sizeof *label);
        s = label ? read_labels(a, asked->split, asked->count, label) : pd_fail(a->ctx, PUDLE_ERR_NOMEM, "out of memory");
    }
    double *norms = pd_alloc((size_t)(asked->count ? asked->count : 1), sizeof *norms);
    if (!s && !norms)
        s = pd_fail(a->ctx, PUDLE_ERR_NOMEM, "out of memory");
    for (int64_t i = 0; i < asked->count && !s; i++) {
        a->explained[i].label = labelled ? label[i] : PUDLE_NO_LABEL;
        norms[i] = a->explained[i].beta_norm;
    }
    a->beta_median = s ? NAN : median(norms, asked->count);
    free(norms);
    free(label);
    return s;
}

static void report(const cli_attribution *a)
{
    int64_t unused = 0;
    for (int64_t j = 0; j < a->p; j++)
        unused += a->atom[j].used == 0;
    printf("samples=%" PRId64 "\nomega=%.6g\nidentity_error=%.6g\natom_error_median=%.6g\natom_cosine_median=%.6g\natoms_unused=%" PRId64 " of %" PRId64 "\n", a->n,
           a->at.omega, a->identity, a->error_median, a->cosine_median, unused, a->p);
    if (a->explained_count)
        printf("explained=%" PRId64 "\nbeta_norm_median=%.6g\n", a->explained_count, a->beta_median);
    printf("tables and pictures: %s\n", a->out);
    if (a->error_median > 0.1)
        pd_log(a->ctx, PUDLE_LOG_INFO, "the median atom and what the training samples make of it (estimate.npy) are %.0f %% apart: weights are those of the estimate. They "
               "meet where training has come to rest, with train.normalize = false, train.weight_decay above 0 and a loss of squares alone", 100 * a->error_median);
}

static pudle_status run(cli_attribution *a, const samples *asked, double omega)
{
    const samples train = { NULL, PUDLE_SPLIT_TRAIN, a->n };
    pudle_status s = find_classes(a);
    if (!s)
        s = reserve(a, asked->count);
    if (!s)
        s = pd_problem_get_dictionary(a->pb, &a->dictionary);
    if (!s)
        s = visit_all(a, &train, collect);
    if (!s)
        s = choose_atoms(a);
    if (!s && (s = pd_attribution_solve(a->ctx, &a->at, omega)) == PUDLE_ERR_NUMERIC)
        s = pd_fail(a->ctx, s, "--omega %g: give a larger one", omega);
    if (!s)
        s = measure_identity(a);
    if (!s)
        s = explain(a, asked);
    if (!s)
        s = visit_all(a, &train, rank);
    if (!s)
        s = cli_attribution_tables(a);
    if (!s)
        s = cli_attribution_pictures(a);
    if (!s)
        report(a);
    return s;
}

/* Which codes are asked about: none, those of a split, or those of --input, which must be samples of the model's kind. */
static pudle_status find_asked(cli_attribution *a, const cli_args *args, const pudle_cview *own, const pudle_data_info *given, int split, samples *asked)
{
    *asked = (samples){ args->input ? own : NULL, split, 0 };
    if (!args->input && !args->split)
        return args->samples ? pd_fail(a->ctx, PUDLE_ERR_CONFIG, "--samples %s: of which samples? Say --split test, --split train, or --input FILE", args->samples)
                             : PUDLE_OK;
    if (!args->input)
        return pd_problem_samples(a->pb, split, &asked->count);
    asked->count = given->samples;
    if (pudle_count(own) / given->samples != a->m)
        return pd_fail(a->ctx, PUDLE_ERR_CONFIG, "--input %s: samples of %" PRId64 " entries; those of the model have %" PRId64, args->input,
                       pudle_count(own) / given->samples, a->m);
    return PUDLE_OK;
}

static pudle_status set_up(cli_attribution *a, const cli_args *args, const pudle_cview *own, const pudle_data_info *given, int split, samples *asked)
{
    a->n = a->pb->train.samples;
    a->m = a->pb->net.map.features;
    a->p = a->pb->net.map.code;
    a->top = args->top ? args->top : TOP;
    a->top = a->top < a->n ? a->top : a->n;
    pudle_status s = find_asked(a, args, own, given, split, asked);
    if (!s)
        s = numbers(a->ctx, "--atoms", args->atoms, a->p, "atom", &a->shown, &a->shown_count);
    if (!s && asked->count)
        s = choose_queries(a, args, asked->count);
    return s;
}

int cli_attribute(pd_context *ctx, const cli_args *args)
{
    cli_job job;
    pd_problem problem;
    cli_attribution a = { .ctx = ctx, .pb = &problem, .out = args->out };
    samples asked = { 0 };
    if (!args->out)
        return cli_setup_failed(ctx, pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle attribute: say where tables and pictures go with --out DIR"));
    pudle_status s = cli_job_open(ctx, args, &job);
    if (!s)
        s = cli_job_samples(ctx, args, &job);
    const pudle_cview own = pudle_const(&job.input.view);
    if (!s)
        s = cli_model(ctx, job.settings, job.directory, NULL, &problem);
    const bool opened = !s;
    if (!s)
        s = check_model(ctx, job.settings, &problem);
    if (!s)
        s = set_up(&a, args, &own, &job.given, job.split, &asked);
    if (!s)
        s = check_files(ctx, args, job.settings);
    int code = s ? cli_setup_failed(ctx, s) : CLI_DONE;
    if (!s) {
        const double decay = job.settings->train.weight_decay * (double)a.n;
        pd_network_forward_only(&problem.net);
        s = run(&a, &asked, args->has_omega ? args->omega : decay > 0 ? decay : omega_default);
        if (s)
            code = cli_run_failed(ctx, s);
    }
    release(&a);
    if (opened)
        pd_problem_close(&problem);
    cli_job_close(&job);
    return code;
}
