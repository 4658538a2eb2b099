/* Runs that differ in their seed alone: means, deviations, and how far their dictionaries agree. */
#include "sweep_tables.h"
#include "train/init.h"
#include <math.h>
#include <stdlib.h>

static void count_runs(const sweep *sw, int c, sweep_combination *to)
{
    *to = (sweep_combination){ .agreement_mean = NAN, .agreement_median = NAN, .chance = NAN };
    for (int r = 0; r < sw->runs; r++)
        if (sw->run[r].combination == c) {
            to->first = to->first ? to->first : &sw->run[r];
            to->runs += sw->run[r].state == SWEEP_DONE;
            to->failed += sw->run[r].state != SWEEP_DONE;
        }
    for (int i = 0; i < SWEEP_FIGURES; i++) {
        double sum = 0, squares = 0;
        for (int r = 0; r < sw->runs; r++)
            if (sw->run[r].combination == c && sw->run[r].state == SWEEP_DONE)
                sum += sw->run[r].figure[i];
        to->mean[i] = to->runs ? sum / to->runs : NAN;
        for (int r = 0; r < sw->runs; r++)
            if (sw->run[r].combination == c && sw->run[r].state == SWEEP_DONE)
                squares += (sw->run[r].figure[i] - to->mean[i]) * (sw->run[r].figure[i] - to->mean[i]);
        to->deviation[i] = to->runs > 1 ? sqrt(squares / (to->runs - 1)) : NAN;
    }
}

/* like: what its shape must be; NULL: any. */
static pudle_status read_atoms(const sweep *sw, const sweep_run *run, const pudle_cview *like, pd_array *array, pudle_cview *atoms)
{
    char *path = pd_format("%s/dictionary.npy", run->path);
    pudle_status s = path ? pd_array_read(sw->ctx, path, PUDLE_F64, array) : pd_fail(sw->ctx, PUDLE_ERR_NOMEM, "out of memory");
    *atoms = pudle_const(&array->view);
    if (!s && like && !pd_same_shape(atoms, like))
        s = pd_fail(sw->ctx, PUDLE_ERR_CONFIG, "%s: has another shape than the dictionaries of other seeds", path);
    free(path);
    return s;
}

/* Random numbers (m, p), columns of unit norm, as a dictionary of another's shape. */
static pudle_cview in_shape(const double *d, const pudle_cview *like, int64_t m, int64_t p)
{
    pudle_cview v = pd_cmatrix(d, PUDLE_F64, m, p);
    if (like->rank == 2)
        return v;
    v = pd_cview(d, PUDLE_F64, like->rank, like->shape);
    for (int32_t i = 1; i < v.rank; i++)
        v.stride[i] *= p;
    v.stride[0] = 1;
    return v;
}

/* How far two dictionaries agree that have nothing in common: of normal numbers. In few dimensions, and at many lags, that is far. */
static pudle_status agree_by_chance(pd_context *ctx, const pudle_cview *like, double *mean)
{
    const int64_t p = like->shape[like->rank == 2 ? 1 : 0], m = pudle_count(like) / p;
    double *d[2];
    pudle_status s = PUDLE_OK;
    for (int i = 0; i < 2; i++) {
        d[i] = pd_alloc((size_t)(m * p), sizeof **d);
        if (!s)
            s = d[i] ? pd_init_random(ctx, (uint64_t)i, m, p, d[i]) : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    }
    pd_distance distance;
    const pudle_cview a = in_shape(d[0], like, m, p), b = in_shape(d[1], like, m, p);
    if (!s)
        s = pd_distance_free(ctx, &a, &b, &distance);
    if (!s)
        *mean = distance.cosine_mean;
    free(d[0]);
    free(d[1]);
    return s;
}

/* What dictionaries agree by chance, of the shape that was asked for last. */
typedef struct chance { pudle_cview shape; double mean; } chance;

/* Each two dictionaries of a combination. */
static pudle_status compare_dictionaries(const sweep *sw, int c, sweep_combination *to, chance *last)
{
    pd_array *array = pd_alloc((size_t)to->runs + 1, sizeof *array);
    pudle_cview *atoms = pd_alloc((size_t)to->runs + 1, sizeof *atoms);
    pudle_status s = array && atoms ? PUDLE_OK : pd_fail(sw->ctx, PUDLE_ERR_NOMEM, "out of memory");
    double mean = 0, median = 0;
    int count = 0;
    for (int r = 0; r < sw->runs && !s; r++)
        if (sw->run[r].combination == c && sw->run[r].state == SWEEP_DONE) {
            s = read_atoms(sw, &sw->run[r], count ? &atoms[0] : NULL, &array[count], &atoms[count]);
            count++;
        }
    for (int i = 0; i < count && !s; i++)
        for (int k = 0; k < i && !s && !cli_stop; k++) {
            pd_distance d;
            s = pd_distance_free(sw->ctx, &atoms[i], &atoms[k], &d);
            mean += s ? 0 : d.cosine_mean;
            median += s ? 0 : d.cosine_median;
        }
    const double pairs = 0.5 * count * (count - 1);
    to->agreement_mean = mean / pairs;
    to->agreement_median = median / pairs;
    if (!s && !pd_same_shape(&last->shape, &atoms[0])) {
        double by_chance = NAN;
        s = agree_by_chance(sw->ctx, &atoms[0], &by_chance);
        *last = s ? (chance){ .mean = NAN } : (chance){ atoms[0], by_chance };
        last->shape.data = NULL; /* which ends with this function */
    }
    to->chance = last->mean;
    for (int i = 0; i < count; i++)
        pd_array_free(&array[i]);
    free(array);
    free(atoms);
    return s;
}

/* A file that is damaged costs its combination the agreement, and no other the table. */
static pudle_status do_without(const sweep *sw, pudle_status s, sweep_combination *to)
{
    if (!s || s == PUDLE_ERR_NOMEM)
        return s;
    pd_log(sw->ctx, PUDLE_LOG_WARNING, "how far seeds agree is left out of a combination: %s. A dictionary.npy that is damaged can be removed: the next sweep writes it again, from the "
           "checkpoint", pd_error(sw->ctx));
    pd_error_clear(sw->ctx);
    to->agreement_mean = to->agreement_median = to->chance = NAN;
    return PUDLE_OK;
}

pudle_status sweep_combine(const sweep *sw, sweep_combination *list, bool *several)
{
    chance last = { .mean = NAN };
    pudle_status s = PUDLE_OK;
    *several = false;
    for (int c = 0; c < sw->combinations && !s && !cli_stop; c++) {
        count_runs(sw, c, &list[c]);
        if (list[c].runs > 1)
            s = do_without(sw, compare_dictionaries(sw, c, &list[c], &last), &list[c]);
        *several |= list[c].runs > 1;
    }
    return s;
}
