#include "train/truth.h"
#include "measure/measure.h"
#include <math.h>
#include <stdlib.h>

/* Entries of the signals that the source measures; 0: its samples are signals. */
static int64_t true_measured(const pd_problem *pb)
{
    return PUDLE_HAS(pb->truth, pudle_data_truth, measured) && pb->truth->measured ? pb->truth->measured(pb->data.self) : 0;
}

/* The same of the model. */
static int64_t own_measured(const pd_problem *pb)
{
    return pb->net.measurement.data ? pb->net.dictionary.value.shape[0] : 0;
}

/* A true dictionary of samples says nothing of one of signals, nor the other way round. */
static pudle_status check_measured(const pd_problem *pb)
{
    const int64_t own = own_measured(pb), source = true_measured(pb);
    if (own == source)
        return PUDLE_OK;
    if (own && source)
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.measurement: %s measures signals of %lld entries, and those of the data have %lld: give the matrix that made the samples",
                       pb->settings->model.measurement, (long long)own, (long long)source);
    if (own)
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.measurement: the data '%s' are not measured, so that their true dictionary is none of signals; remove this key",
                       pb->data.desc->name);
    return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "the samples, of %lld entries, are measurements of signals with %lld, and the true dictionary is that of signals: give their matrix "
                   "with  model.measurement", (long long)pb->net.map.features, (long long)source);
}

/* Filters that made the data: their number of axes, 0 where the dictionary is a matrix. */
static int32_t true_filters(const pd_problem *pb, int64_t shape[3], int64_t stride[2])
{
    return PUDLE_HAS(pb->truth, pudle_data_truth, filters) && pb->truth->filters ? pb->truth->filters(pb->data.self, shape, stride) : 0;
}

int32_t pd_truth_axes(const pd_problem *pb)
{
    int64_t shape[3], stride[2];
    return true_filters(pb, shape, stride);
}

/* Has an atom of D the shape of a true one? stride: that of true filters. */
static bool same_atoms(const pd_problem *pb, int32_t *axes, int64_t shape[3], int64_t stride[2])
{
    const pd_map *map = &pb->net.map;
    *axes = true_filters(pb, shape, stride);
    if (pb->settings->dictionary.kind == PD_KIND_DENSE)
        return *axes == 0;
    bool same = *axes == map->weight_rank - 1;
    for (int32_t i = 0; i < *axes && same; i++)
        same = shape[i] == map->weight_shape[i + 1];
    return same;
}

static pudle_status check_atoms(const pd_problem *pb)
{
    int64_t shape[3] = { 0 }, stride[2] = { 0 };
    int32_t axes;
    char size[64] = "";
    if (same_atoms(pb, &axes, shape, stride))
        return PUDLE_OK;
    const char *name = pb->data.desc->name;
    if (axes == 0)
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.dictionary.kind = \"conv\": the true dictionary of the data '%s' is a matrix; write  kind = \"dense\";", name);
    if (axes == 2)
        snprintf(size, sizeof size, "[%lld]", (long long)shape[1]);
    else
        snprintf(size, sizeof size, "[%lld, %lld]", (long long)shape[1], (long long)shape[2]);
    return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.dictionary: the true dictionary of the data '%s' has filters; write  kind = \"conv\"; size = %s;", name, size);
}

pudle_status pd_problem_true_dictionary(pd_problem *pb)
{
    const int64_t atoms = pb->truth->atoms(pb->data.self);
    if (pb->true_dictionary.view.data)
        return PUDLE_OK;
    if (atoms != pb->net.map.atoms)
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.dictionary.atoms = %lld, but the true dictionary has %lld", (long long)pb->net.map.atoms, (long long)atoms);
    pudle_status s = check_measured(pb);
    if (!s)
        s = check_atoms(pb);
    if (s)
        return s;
    const pudle_cview own = pudle_const(&pb->net.dictionary.value);
    double *d = pd_alloc((size_t)pudle_count(&own), sizeof *d);
    if (!d)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the true dictionary");
    const pudle_view v = pd_view(d, PUDLE_F64, own.rank, own.shape);
    s = pb->truth->dictionary(pb->data.self, &v);
    if (s) {
        free(d);
        return s;
    }
    pb->true_dictionary.view = v;
    return PUDLE_OK;
}

pudle_status pd_problem_true_columns(pd_problem *pb, pudle_cview *columns)
{
    const pudle_status s = pd_problem_true_dictionary(pb);
    const pudle_cview d = pudle_const(&pb->true_dictionary.view);
    if (!s)
        *columns = pd_atom_columns(&d);
    return s;
}

bool pd_problem_knows_truth(const pd_problem *pb)
{
    int64_t shape[3], stride[2];
    int32_t axes;
    if (pb->settings->data.center != PD_CENTER_NONE) /* means are no combinations of atoms: the dictionary of what is left is another */
        return false;
    return pb->truth && pb->truth->atoms(pb->data.self) == pb->net.map.atoms && same_atoms(pb, &axes, shape, stride) && true_measured(pb) == own_measured(pb);
}

bool pd_truth_same_codes(const pd_problem *pb)
{
    int64_t shape[3], stride[2];
    int32_t axes;
    if (pb->truth->atoms(pb->data.self) != pb->net.map.atoms || !same_atoms(pb, &axes, shape, stride))
        return false;
    for (int32_t i = 0; i < axes - 1; i++)
        if (stride[i] != pb->net.map.conv.stride[i + 3 - axes])
            return false;
    return true;
}

bool pd_problem_knows_codes(const pd_problem *pb)
{
    return pd_problem_knows_truth(pb) && pd_truth_same_codes(pb) && pb->settings->data.scale == PD_SCALE_NONE;
}

/* The dictionary and the one that made the data, in host memory. */
static pudle_status both_dictionaries(pd_problem *pb, pudle_cview *own, pudle_cview *truth)
{
    pudle_status s = pd_problem_true_dictionary(pb);
    if (!s)
        s = pd_problem_get_dictionary(pb, &pb->host_dictionary);
    *own = pudle_const(&pb->host_dictionary.view);
    *truth = pudle_const(&pb->true_dictionary.view);
    return s;
}

pudle_status pd_problem_dictionary_error(pd_problem *pb, double *fixed, double *assigned)
{
    pudle_cview own, truth;
    pd_distance distance;
    *fixed = NAN;
    if (assigned)
        *assigned = NAN;
    if (!pd_problem_knows_truth(pb))
        return PUDLE_OK;
    pudle_status s = both_dictionaries(pb, &own, &truth);
    if (s)
        return s;
    const pudle_cview own_columns = pd_atom_columns(&own), true_columns = pd_atom_columns(&truth);
    s = pd_distance_fixed(pb->ctx, &own_columns, &true_columns, &distance);
    if (!s)
        *fixed = distance.relative;
    if (!s && assigned) {
        s = pd_distance_free(pb->ctx, &own, &truth, &distance);
        if (!s)
            *assigned = distance.relative;
    }
    return s;
}

static double atom_norm(const pudle_cview *d, int64_t j)
{
    double sum = 0;
    for (int64_t i = 0; i < d->shape[0]; i++) {
        const double entry = pudle_entry(d, i * d->stride[0] + j * d->stride[1]);
        sum += entry * entry;
    }
    return sqrt(sum);
}

/* From atoms to entries of codes, in place, last first: those of a filter are as many as it has places. */
static void spread(int64_t atoms, int64_t places, int64_t *match, double *factor)
{
    for (int64_t j = atoms - 1; j >= 0; j--) {
        const int64_t other = match[j];
        const double own_factor = factor[j];
        for (int64_t i = places - 1; i >= 0; i--) {
            match[j * places + i] = other * places + i;
            factor[j * places + i] = own_factor;
        }
    }
}

pudle_status pd_problem_match_truth(pd_problem *pb, int64_t *match, double *factor, bool *moved)
{
    const int64_t atoms = pb->net.map.atoms;
    pudle_cview own, truth;
    pd_distance still, shifted;
    pudle_status s = both_dictionaries(pb, &own, &truth);
    if (s)
        return s;
    const pudle_cview own_columns = pd_atom_columns(&own), true_columns = pd_atom_columns(&truth);
    s = pd_distance_assigned(pb->ctx, &own_columns, &true_columns, &still, match, factor);
    *moved = false;
    if (!s && pb->net.map.atom_axis == 0) { /* filters that suit as well where they lie are not moved */
        s = pd_distance_free(pb->ctx, &own, &truth, &shifted);
        *moved = !s && shifted.relative < still.relative * (1 - 1e-9);
    }
    for (int64_t j = 0; j < atoms && !s; j++) /* D = 2 D* has codes of half the size, and no error */
        factor[j] *= atom_norm(&own_columns, match[j]) / atom_norm(&true_columns, j);
    if (!s)
        spread(atoms, pb->net.map.code / atoms, match, factor);
    return s;
}
