/* The dictionary: to and from the backend, its start, its files. */
#include "train/dictionary.h"
#include "train/critical.h"
#include "train/atoms_picture.h"
#include "graph/offset.h"
#include "train/init.h"
#include "train/prepare.h"
#include "train/truth.h"
#include "train/windows.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

pudle_status pd_problem_fetch(pd_problem *pb, const pudle_view *device, pd_array *out)
{
    const pudle_cview c = pudle_const(device);
    const size_t bytes = (size_t)pudle_count(&c) * pudle_dtype_size(c.dtype);
    const pudle_cview old = pudle_const(&out->view);
    if (old.data && (old.dtype != c.dtype || !pd_same_shape(&old, &c)))
        pd_array_free(out);
    if (!out->view.data) {
        void *host = pd_alloc(bytes ? bytes : 1, 1);
        if (!host)
            return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory");
        out->view = pd_view(host, c.dtype, c.rank, c.shape);
    }
    const pudle_status s = pb->be->download(pb->exec, out->view.data, c.data, bytes);
    if (s)
        pd_array_free(out);
    return s;
}

pudle_status pd_problem_get_dictionary(pd_problem *pb, pd_array *out)
{
    return pd_problem_fetch(pb, &pb->net.dictionary.value, out);
}

static void convert(const pudle_cview *from, int32_t dtype, void *to)
{
    const int64_t count = pudle_count(from);
    for (int64_t i = 0; i < count; i++)
        pd_put(to, dtype, i, pd_get(from->data, from->dtype, i));
}

pudle_status pd_problem_set_dictionary(pd_problem *pb, const pudle_cview *d)
{
    const size_t bytes = (size_t)pudle_count(d) * pudle_dtype_size(pb->dtype);
    void *host = pd_alloc(bytes, 1);
    if (!host)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the dictionary");
    convert(d, pb->dtype, host);
    const pudle_status s = pb->be->upload(pb->exec, pb->net.dictionary.value.data, host, bytes);
    free(host);
    return s ? s : pd_measurement_refresh(&pb->net);
}

/* ------------------------------------------------------------------- start */

static void shape_text(char *text, size_t room, int32_t rank, const int64_t *shape)
{
    size_t used = 0;
    for (int32_t i = 0; i < rank && used < room; i++)
        used += (size_t)snprintf(text + used, room - used, "%s%lld", i ? ", " : "", (long long)shape[i]);
}

/* Is an array from a file of the shape that is wanted? If not, both shapes in words. */
static bool has_shape(const pd_array *array, int32_t rank, const int64_t *shape, char found[160], char wanted[160])
{
    bool same = array->view.rank == rank;
    for (int32_t i = 0; i < rank && same; i++)
        same = array->view.shape[i] == shape[i];
    if (!same) {
        shape_text(found, 160, array->view.rank, array->view.shape);
        shape_text(wanted, 160, rank, shape);
    }
    return same;
}

/* Are all numbers of an array from a file between two others? Names the first that is not. */
static pudle_status check_numbers(pd_problem *pb, const char *key, const char *path, const pd_array *array, double low, double high)
{
    const pudle_cview c = pudle_const(&array->view);
    for (int64_t i = 0; i < pudle_count(&c); i++) {
        const double x = pudle_entry(&c, i);
        if (!isfinite(x))
            return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "%s: %s: number %lld, counted from 0, is not finite (%g)", key, path, (long long)i, x);
        if (x < low || x > high)
            return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "%s: %s: number %lld, counted from 0, is %g, and the range is [%g, %g]", key, path, (long long)i, x, low,
                           high);
    }
    return PUDLE_OK;
}

static pudle_status read_file(pd_problem *pb, const char *path, pd_array *d)
{
    const pudle_view *own = &pb->net.dictionary.value;
    const char *axes = pb->net.measurement.data ? "(entries of a signal, atoms)" : pb->net.map.atom_axis ? "(features, atoms)" : "(atoms, channels, size...)";
    char found[160] = "", wanted[160] = "";
    const pudle_status s = pd_array_read(pb->ctx, path, PUDLE_F64, d);
    if (s)
        return s;
    if (has_shape(d, own->rank, own->shape, found, wanted))
        return check_numbers(pb, "model.dictionary.path", path, d, -INFINITY, INFINITY);
    return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.dictionary.path: %s has shape (%s); data and model.dictionary ask for (%s), %s", path, found,
                   wanted, axes);
}

/* What initialisation methods ask for samples through. */
static pudle_status read_samples(void *ctx, const int64_t *index, int64_t count, double *rows)
{
    pd_problem *pb = ctx;
    int64_t shape[PUDLE_MAX_RANK] = { count };
    for (int32_t i = 0; i < pb->train.rank; i++)
        shape[i + 1] = pb->train.shape[i];
    const pudle_view x = pd_view(rows, PUDLE_F64, pb->train.rank + 1, shape);
    const pudle_data_request request = { .size = sizeof request, .split = PUDLE_SPLIT_TRAIN, .seed = (uint64_t)pb->settings->train.seed,
                                         .index = index, .count = count, .x = &x };
    return pd_prepare_read(pb, &request);
}

/* The true dictionary and noise. d: (features, atoms) */
static pudle_status start_near_truth(pd_problem *pb, double *d)
{
    pudle_cview known;
    const pudle_status s = pd_problem_true_columns(pb, &known);
    return s ? s : pd_init_truth(pb->ctx, &known, pb->settings->dictionary.noise, (uint64_t)pb->settings->train.seed, d);
}

/* Random filters, or true ones and noise: as columns, then one filter a row. */
static pudle_status filters_of_columns(pd_problem *pb, int64_t taps, double *rows)
{
    const int64_t atoms = pb->net.map.atoms;
    double *columns = pd_alloc((size_t)(taps * atoms), sizeof *columns);
    const pudle_status s = !columns ? pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the filters")
                           : pb->settings->dictionary.init == PD_INIT_TRUTH ? start_near_truth(pb, columns)
                           : pd_init_random(pb->ctx, (uint64_t)pb->settings->train.seed, taps, atoms, columns);
    for (int64_t i = 0; i < taps && !s; i++)
        for (int64_t k = 0; k < atoms; k++)
            rows[k * taps + i] = columns[i * atoms + k];
    free(columns);
    return s;
}

/* Random ones, windows of samples, or true ones and noise, at the norm that atoms are kept at. */
static pudle_status start_filters(pd_problem *pb, pd_array *d)
{
    const pd_map *map = &pb->net.map;
    const pudle_view as_matrix = pd_map_weight_matrix(map, &pb->net.dictionary.value);
    const int64_t taps = as_matrix.shape[1];
    const pd_sample_source samples = { .samples = pb->train.samples, .features = map->features, .read = read_samples, .ctx = pb, .anew = !pb->epoch_free };
    double *rows = pd_alloc((size_t)(taps * map->atoms), sizeof *rows);
    if (!rows)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the filters");
    d->view = pd_view(rows, PUDLE_F64, map->weight_rank, map->weight_shape);
    const pudle_status s = pb->settings->dictionary.init == PD_INIT_SAMPLES
                               ? pd_init_windows(pb->ctx, &samples, &map->conv, (uint64_t)pb->settings->train.seed, map->atoms, rows)
                               : filters_of_columns(pb, taps, rows);
    for (int64_t i = 0; i < taps * map->atoms && !s; i++)
        rows[i] *= pd_problem_atom_norm(pb);
    return s;
}

static pudle_status start_dictionary(pd_problem *pb, pd_array *d)
{
    const pd_dictionary_params *how = &pb->settings->dictionary;
    const pd_map *map = &pb->net.map;
    const uint64_t seed = (uint64_t)pb->settings->train.seed;
    if (how->init == PD_INIT_FILE)
        return read_file(pb, how->path, d);
    if (how->init != PD_INIT_RANDOM && !pb->source)
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.dictionary.init: needs the config's data; give a run directory, or init = \"file\"");
    if (how->kind == PD_KIND_CONV)
        return start_filters(pb, d);
    const int64_t entries = pb->net.dictionary.value.shape[0];
    double *memory = pd_alloc((size_t)(entries * map->atoms), sizeof *memory);
    if (!memory)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the dictionary");
    d->view = pd_matrix(memory, PUDLE_F64, entries, map->atoms);
    const pd_sample_source samples = { pb->train.samples, map->features, read_samples, pb, !pb->epoch_free };
    const pd_pairwise pairwise = { how->sparsity, how->pairs, how->samples };
    switch (how->init) {
    case PD_INIT_SAMPLES:
        return pd_init_samples(pb->ctx, &samples, seed, map->atoms, memory);
    case PD_INIT_PAIRWISE:
        return pd_init_pairwise(pb->ctx, &samples, &pairwise, seed, map->atoms, memory, NULL);
    case PD_INIT_TRUTH:
        return start_near_truth(pb, memory);
    default:
        return pd_init_random(pb->ctx, seed, entries, map->atoms, memory);
    }
}

static double in_precision(const pd_problem *pb, double x)
{
    return pb->dtype == PUDLE_F64 ? x : (double)(float)x;
}

/* From a file in the shape that is learned, or from the options. */
pudle_status pd_problem_start_levels(pd_problem *pb)
{
    const char *path = pb->settings->prox.path;
    pd_level *level = &pb->net.level[0];
    pd_array values = { 0 };
    if (!path)
        return pd_network_start_levels(&pb->net);
    if (pb->net.levels != 1 || !level->learned)
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "prox.path: initial thresholds from a file need prox.learn and a prox with one threshold");
    pudle_status s = pd_array_read(pb->ctx, path, pb->dtype, &values);
    const pudle_cview c = pudle_const(&values.view);
    if (!s && pudle_count(&c) != level->rows * level->cols)
        s = pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "prox.path: %s holds %lld numbers; prox.learn makes it %lld x %lld (layers x atoms)", path,
                    (long long)pudle_count(&c), (long long)level->rows, (long long)level->cols);
    const double scale = pd_level_scale(&pb->net, level);
    if (!s)
        s = check_numbers(pb, "prox.path", path, &values, level->bounded ? in_precision(pb, level->min * scale) : -INFINITY,
                          level->bounded ? in_precision(pb, level->max * scale) : INFINITY);
    if (!s)
        s = pb->be->upload(pb->exec, level->parameter.value.data, c.data, (size_t)pudle_count(&c) * pudle_dtype_size(pb->dtype));
    pd_array_free(&values);
    return s;
}

/* Weights of the encoder from a file, in the shape in which a run writes them. */
static pudle_status read_weights(pd_problem *pb, const char *name, const pd_parameter *p)
{
    char found[160] = "", wanted[160] = "";
    pd_array values = { 0 };
    char *path = p->value.data ? pd_format("%s:%s", pb->settings->model.encoder_path, name) : NULL;
    if (!p->value.data)
        return PUDLE_OK;
    pudle_status s = path ? pd_array_read(pb->ctx, path, pb->dtype, &values) : pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s && !has_shape(&values, p->value.rank, p->value.shape, found, wanted))
        s = pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.encoder_path: %s has shape (%s); the model asks for (%s)", path, found, wanted);
    if (!s)
        s = check_numbers(pb, "model.encoder_path", path, &values, -INFINITY, INFINITY);
    if (!s) {
        const pudle_cview c = pudle_const(&values.view);
        s = pb->be->upload(pb->exec, p->value.data, c.data, (size_t)pudle_count(&c) * pudle_dtype_size(pb->dtype));
    }
    pd_array_free(&values);
    free(path);
    return s;
}

static pudle_status start_encoder(pd_problem *pb)
{
    pudle_status s = pd_network_start_encoder(&pb->net);
    if (s || !pb->settings->model.encoder_path)
        return s;
    s = read_weights(pb, "analysis", &pb->net.analysis);
    return s ? s : read_weights(pb, "synthesis", &pb->net.synthesis);
}

pudle_status pd_problem_initialise(pd_problem *pb)
{
    pd_array d = { 0 };
    pudle_status s = start_dictionary(pb, &d);
    if (!s) {
        const pudle_cview c = pudle_const(&d.view);
        s = pd_problem_set_dictionary(pb, &c);
    }
    pd_array_free(&d);
    if (!s)
        s = start_encoder(pb);
    if (!s)
        s = pd_offset_start(&pb->net);
    if (!s)
        s = pd_problem_refresh(pb, pb->settings->prox.decay); /* the step first: levels may be multiples of it */
    if (!s)
        s = pd_critical_resolve(pb);
    if (!s)
        s = pd_problem_start_levels(pb);
    return s ? s : pd_network_refresh(&pb->net);
}

/* ------------------------------------------------------------------- result */

pudle_status pd_problem_write_dictionary(pd_problem *pb, const char *npy, const char *png)
{
    pd_array d = { 0 };
    pudle_status s = pd_problem_get_dictionary(pb, &d);
    if (!s) {
        const pudle_cview c = pudle_const(&d.view);
        s = pd_npy_write(pb->ctx, npy, &c);
    }
    if (!s && png)
        s = pd_atoms_picture(pb, &d, png);
    pd_array_free(&d);
    return s;
}

/* Values under names, as .npz; no file where there are none. */
typedef struct named { const char *name; const pudle_view *value; } named;

static pudle_status write_named(pd_problem *pb, const char *npz, int count, const named *list)
{
    pd_array held[PD_MAX_PARAMETERS] = { 0 };
    pudle_cview views[PD_MAX_PARAMETERS];
    const char *names[PD_MAX_PARAMETERS];
    pudle_status s = PUDLE_OK;
    for (int i = 0; i < count && !s; i++) {
        s = pd_problem_fetch(pb, list[i].value, &held[i]);
        views[i] = pudle_const(&held[i].view);
        names[i] = list[i].name;
    }
    if (!s && count)
        s = pd_npz_write(pb->ctx, npz, count, names, views);
    for (int i = 0; i < count; i++)
        pd_array_free(&held[i]);
    return s;
}

pudle_status pd_problem_write_encoder(pd_problem *pb, const char *npz)
{
    const named own[] = { { "analysis", &pb->net.analysis.value }, { "synthesis", &pb->net.synthesis.value }, { "step", &pb->net.steps.value } };
    named list[3];
    int n = 0;
    for (int i = 0; i < 3; i++)
        if (own[i].value->data)
            list[n++] = own[i];
    return write_named(pb, npz, n, list);
}

pudle_status pd_problem_write_offset(pd_problem *pb, const char *npy)
{
    const pd_map *map = &pb->net.map;
    const int64_t m = map->features, channels = map->data_shape[0];
    const bool entries = pb->net.offset_groups == m && map->data_rank > 0;
    if (!pb->net.offset_groups)
        return PUDLE_OK;
    double *each = pd_alloc((size_t)channels, sizeof *each);
    if (!each)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the offset");
    for (int64_t i = 0; i < channels; i++)
        each[i] = pb->net.baseline[i * (m / channels)];
    const pudle_cview c = entries ? pd_cview(pb->net.baseline, PUDLE_F64, map->data_rank, map->data_shape) : pd_cview(each, PUDLE_F64, 1, &channels);
    const pudle_status s = pd_npy_write(pb->ctx, npy, &c);
    free(each);
    return s;
}

pudle_status pd_problem_write_thresholds(pd_problem *pb, const char *npz)
{
    named list[PD_MAX_LEVELS];
    int n = 0;
    for (int i = 0; i < pb->net.levels; i++)
        if (pb->net.level[i].learned)
            list[n++] = (named){ pb->net.level[i].name, &pb->net.level[i].parameter.value };
    return write_named(pb, npz, n, list);
}
