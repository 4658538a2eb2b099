/* The network's memory: dictionary, levels, workspaces; the spectral norm. */
#include "graph/network.h"
#include "graph/lane.h"
#include "graph/offset.h"
#include "train/streams.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

pudle_status pd_network_take(const pd_network *net, pudle_view *v, int64_t rows, int64_t cols)
{
    void *memory = NULL;
    const pudle_status s = net->be->alloc(net->exec, (size_t)(rows * cols) * pudle_dtype_size(net->dtype), &memory);
    if (!s)
        *v = pd_matrix(memory, net->dtype, rows, cols);
    return s;
}

pudle_status pd_parameter_init(pd_network *net, pd_parameter *p, int32_t rank, const int64_t *shape)
{
    int64_t count = 1;
    for (int32_t i = 0; i < rank; i++)
        count *= shape[i];
    const size_t bytes = (size_t)count * pudle_dtype_size(net->dtype);
    void *value = NULL, *grad = NULL;
    pudle_status s = net->be->alloc(net->exec, bytes, &value);
    if (s)
        return s;
    p->value = pd_view(value, net->dtype, rank, shape);
    s = net->be->alloc(net->exec, bytes, &grad);
    if (s)
        return s;
    p->grad = pd_view(grad, net->dtype, rank, shape);
    s = net->be->fill(net->exec, 0.0, &p->value);
    return s ? s : net->be->fill(net->exec, 0.0, &p->grad);
}

static void parameter_fini(pd_network *net, pd_parameter *p)
{
    void *const memory[] = { p->value.data, p->grad.data, p->state[0].data, p->state[1].data };
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        if (memory[i])
            net->be->free(net->exec, memory[i]);
    memset(p, 0, sizeof *p);
}

static pudle_status level_init(pd_network *net, pd_level *level)
{
    const size_t count = (size_t)(net->layers * level->cols);
    level->host = pd_alloc(count, sizeof(double));
    if (!level->host)
        return pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for the thresholds of %lld layers", (long long)net->layers);
    pudle_status s = net->be->alloc(net->exec, count * pudle_dtype_size(net->dtype), &level->theta);
    if (s || !level->learned)
        return s;
    snprintf(level->parameter.name, sizeof level->parameter.name, "threshold.%.36s", level->name);
    return pd_parameter_init(net, &level->parameter, 2, (const int64_t[]){ level->rows, level->cols });
}

pudle_status pd_network_start_levels(pd_network *net)
{
    pudle_status s = PUDLE_OK;
    for (int i = 0; i < net->levels && !s; i++)
        if (net->level[i].learned)
            s = net->be->fill(net->exec, pd_level_scale(net, &net->level[i]) * net->level[i].initial, &net->level[i].parameter.value);
    return s;
}

pudle_cview pd_level_theta(const pd_network *net, int i, int64_t t)
{
    const pd_level *level = &net->level[i];
    const size_t offset = (size_t)((t - 1) * level->cols);
    return pd_cview((const char *)level->theta + offset * pudle_dtype_size(net->dtype), net->dtype, 1, &level->cols);
}

double pd_level_scale(const pd_network *net, const pd_level *level)
{
    return level->per_step ? net->step : 1.0;
}

double pd_level_mean(const pd_network *net, const pd_level *level, int64_t *zeros)
{
    double sum = 0, beta = 1;
    *zeros = 0;
    for (int64_t t = 0; t < level->rows; t++, beta *= net->beta) /* host has a row for each layer; a level that they share is the first */
        for (int64_t k = 0; k < level->cols; k++) {
            sum += level->host[t * level->cols + k];
            *zeros += level->host[t * level->cols + k] == 0 && beta > 1e-200;
        }
    return sum / (double)(level->rows * level->cols);
}

/* Weights of the encoder: encoder_rows times the shape of D. */
static pudle_status weights_init(pd_network *net, pd_parameter *p, const char *name)
{
    int64_t shape[PUDLE_MAX_RANK] = { net->encoder_rows };
    for (int32_t i = 0; i < net->map.weight_rank; i++)
        shape[i + 1] = net->map.weight_shape[i];
    snprintf(p->name, sizeof p->name, "encoder.%s", name);
    return pd_parameter_init(net, p, net->map.weight_rank + 1, shape);
}

void pd_network_forward_only(pd_network *net)
{
    net->depth = 0;
    net->implicit = net->refit = net->keeps_gram = false;
}

int pd_network_parameters(pd_network *net, pd_parameter *out[PD_MAX_PARAMETERS])
{
    pd_parameter *const own[] = { &net->dictionary, &net->analysis, &net->synthesis, &net->steps, &net->offset };
    int n = 0;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i]->value.data)
            out[n++] = own[i];
    for (int i = 0; i < net->levels; i++)
        if (net->level[i].learned)
            out[n++] = &net->level[i].parameter;
    return n;
}

pudle_status pd_network_start_encoder(pd_network *net)
{
    pd_parameter *const weights[] = { &net->analysis, &net->synthesis };
    const pudle_cview d = pudle_const(&net->effective.value);
    pudle_status s = PUDLE_OK;
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
        for (int64_t row = 0; row < net->encoder_rows && weights[i]->value.data && !s; row++) {
            const pudle_view to = pd_slice(&weights[i]->value, row);
            s = net->be->copy(net->exec, &d, &to);
        }
    return s || !net->steps.value.data ? s : net->be->fill(net->exec, net->step, &net->steps.value);
}

pudle_status pd_network_momentum(pd_network *net, bool fista, double b)
{
    double s = 1;
    net->momentum = pd_alloc((size_t)net->layers, sizeof *net->momentum);
    if (!net->momentum)
        return pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for %lld layers", (long long)net->layers);
    for (int64_t t = 0; t < net->layers; t++) {
        const double next = (1 + sqrt(1 + 4 * s * s)) / 2;
        net->momentum[t] = fista ? (s - 1) / next : b;
        s = next;
    }
    return PUDLE_OK;
}

/* D in the shape of the map's weights, or, of signals, with a row for each of their entries; and what stands in the layers. */
static pudle_status dictionary_init(pd_network *net)
{
    const int64_t of_signals[] = { net->measurement.shape[1], net->map.atoms };
    if (!net->measurement.data) {
        const pudle_status s = pd_parameter_init(net, &net->dictionary, net->map.weight_rank, net->map.weight_shape);
        net->effective = net->dictionary;
        return s;
    }
    const pudle_status s = pd_parameter_init(net, &net->dictionary, 2, of_signals);
    return s ? s : pd_parameter_init(net, &net->effective, net->map.weight_rank, net->map.weight_shape);
}

pudle_status pd_network_init(pd_network *net)
{
    snprintf(net->dictionary.name, sizeof net->dictionary.name, "dictionary");
    snprintf(net->steps.name, sizeof net->steps.name, "step");
    snprintf(net->offset.name, sizeof net->offset.name, "offset");
    net->alpha = pd_alloc((size_t)net->layers, sizeof *net->alpha);
    if (!net->alpha)
        return pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for %lld layers", (long long)net->layers);
    pudle_status s = dictionary_init(net);
    if (!s && net->encoder != PD_ENCODER_TIED)
        s = weights_init(net, &net->analysis, "analysis");
    if (!s && net->encoder == PD_ENCODER_UNTIED)
        s = weights_init(net, &net->synthesis, "synthesis");
    if (!s && net->step_rows)
        s = pd_parameter_init(net, &net->steps, 1, &net->step_rows);
    if (!s)
        s = pd_offset_init(net);
    if (!s && net->keeps_gram)
        s = pd_network_take(net, &net->code_gram, net->map.code, net->map.code);
    for (int i = 0; i < net->levels && !s; i++)
        s = level_init(net, &net->level[i]);
    return s;
}

void pd_network_fini(pd_network *net)
{
    if (!net->be || !net->exec)
        return;
    pd_lanes_free(net);
    if (net->measurement.data)
        parameter_fini(net, &net->effective);
    pd_measurement_fini(net);
    pd_parameter *const own[] = { &net->dictionary, &net->analysis, &net->synthesis, &net->steps, &net->offset };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        parameter_fini(net, own[i]);
    pd_offset_fini(net);
    if (net->code_gram.data)
        net->be->free(net->exec, net->code_gram.data);
    net->code_gram.data = NULL;
    free(net->alpha);
    free(net->momentum);
    free(net->host_atoms);
    free(net->gram);
    net->alpha = net->momentum = net->host_atoms = net->gram = NULL;
    for (int i = 0; i < net->levels; i++) {
        parameter_fini(net, &net->level[i].parameter);
        free(net->level[i].host);
        net->level[i].host = NULL;
        if (net->level[i].theta)
            net->be->free(net->exec, net->level[i].theta);
        net->level[i].theta = NULL;
    }
}

static pudle_status level_refresh(pd_network *net, pd_level *level)
{
    const int64_t count = net->layers * level->cols, own = level->rows * level->cols;
    const size_t width = pudle_dtype_size(net->dtype);
    void *buffer = pd_alloc((size_t)(count > own ? count : own), width);
    if (!buffer)
        return pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for the thresholds");
    pudle_status s = level->learned ? net->be->download(net->exec, buffer, level->parameter.value.data, (size_t)own * width) : PUDLE_OK;
    double beta = 1.0;
    for (int64_t t = 0; t < net->layers && !s; t++, beta *= net->beta)
        for (int64_t k = 0; k < level->cols; k++) {
            const double base = level->learned ? pd_get(buffer, net->dtype, (level->rows > 1 ? t : 0) * level->cols + k)
                                               : level->initial * (level->per_step ? net->alpha[t] : 1.0);
            level->host[t * level->cols + k] = base * beta;
        }
    for (int64_t i = 0; i < count; i++)
        pd_put(buffer, net->dtype, i, level->host[i]);
    if (!s)
        s = net->be->upload(net->exec, level->theta, buffer, (size_t)count * width);
    free(buffer);
    return s;
}

static pudle_status steps_refresh(pd_network *net)
{
    double host[1], *learned = host;
    const size_t width = pudle_dtype_size(net->dtype);
    pudle_status s = PUDLE_OK;
    if (net->step_rows) {
        learned = pd_alloc((size_t)net->step_rows, sizeof *learned);
        s = learned ? net->be->download(net->exec, learned, net->steps.value.data, (size_t)net->step_rows * width)
                    : pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for the steps");
    }
    for (int64_t t = 0; t < net->layers && !s; t++)
        net->alpha[t] = net->step_rows ? pd_get(learned, net->dtype, net->step_rows > 1 ? t : 0) : net->step;
    if (learned != host)
        free(learned);
    return s;
}

pudle_status pd_network_refresh(pd_network *net)
{
    pudle_status s = steps_refresh(net);
    if (!s)
        s = pd_offset_refresh(net);
    for (int i = 0; i < net->levels && !s; i++)
        s = level_refresh(net, &net->level[i]);
    return s;
}

/* z <- D'D z / ||D'D z||; the norm tends to sigma_max^2 from below. */
pudle_status pd_network_sigma2(pd_network *net, double change, double *sigma2)
{
    const pd_map *map = &net->map;
    const pudle_backend_ops *be = net->be;
    const size_t width = pudle_dtype_size(net->dtype);
    void *z_memory = NULL, *u_memory = NULL, *start = pd_alloc((size_t)map->code, width);
    double previous = 0, value = 0;
    pudle_status s = start ? PUDLE_OK : pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for the power iteration");
    if (!s)
        s = be->alloc(net->exec, (size_t)map->code * width, &z_memory);
    if (!s)
        s = be->alloc(net->exec, (size_t)map->features * width, &u_memory);
    if (s)
        goto cleanup;
    const pudle_view z = pd_matrix(z_memory, net->dtype, 1, map->code), u = pd_matrix(u_memory, net->dtype, 1, map->features);
    const pudle_cview cz = pudle_const(&z), cu = pudle_const(&u), w = pudle_const(&net->effective.value);
    pudle_random random = pudle_random_at(0, PD_STREAM_POWER, 0, 0); /* a start fixed for ever: nothing to remember in a checkpoint */
    double norm2 = 0;
    for (int64_t i = 0; i < map->code; i++) {
        const double value_i = pudle_random_normal(&random);
        norm2 += value_i * value_i;
        pd_put(start, net->dtype, i, value_i);
    }
    for (int64_t i = 0; i < map->code; i++)
        pd_put(start, net->dtype, i, pd_get(start, net->dtype, i) / sqrt(norm2));
    s = be->upload(net->exec, z.data, start, (size_t)map->code * width);
    for (int round = 0; round < 200 && !s; round++) {
        s = map->ops->apply(map, net->exec, &w, &cz, &u);
        if (!s)
            s = map->ops->adjoint(map, net->exec, &w, 1.0, &cu, 0.0, &z);
        if (!s)
            s = be->dot(net->exec, &cz, &cz, &norm2);
        value = sqrt(norm2);
        if (s || !(value > 0) || fabs(value - previous) <= change * value)
            break;
        previous = value;
        s = be->axpby(net->exec, 0.0, &cz, 1.0 / value, &z);
    }
    if (!s)
        *sigma2 = value;
cleanup:
    if (u_memory)
        be->free(net->exec, u_memory);
    if (z_memory)
        be->free(net->exec, z_memory);
    free(start);
    return s;
}
