#include "train/optimizer.h"
#include "train/atom_prox.h"
#include "train/odl.h"
#include <math.h>
#include <stdlib.h>

static int states(const pd_settings *st)
{
    return st->train.optimizer == PD_OPTIMIZER_ADAM ? 2 : 1; /* plain descent keeps a buffer it never reads back */
}

static pudle_status states_init(pd_problem *pb, pd_parameter *p)
{
    const pudle_cview c = pudle_const(&p->value);
    for (int i = 0; i < states(pb->settings); i++) {
        void *memory = NULL;
        pudle_status s = pb->be->alloc(pb->exec, (size_t)pudle_count(&c) * pudle_dtype_size(pb->dtype), &memory);
        if (s)
            return s;
        p->state[i] = pd_view(memory, pb->dtype, p->value.rank, p->value.shape);
        s = pb->be->fill(pb->exec, 0.0, &p->state[i]);
        if (s)
            return s;
    }
    return PUDLE_OK;
}

pudle_status pd_optimizer_possible(pd_problem *pb)
{
    const pd_train_params *how = &pb->settings->train;
    if (how->optimizer == PD_OPTIMIZER_ODL)
        return pd_odl_possible(pb);
    if (!how->tangent || !pd_keeps_unit_norm(how) || (PUDLE_HAS(pb->be, pudle_backend_ops, tangent) && pb->be->tangent))
        return PUDLE_OK;
    return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "train.tangent = true: the backend \"%s\" cannot take the part along atoms out of a gradient; write  tangent = false;  (on the command line "
                   "--set train.tangent=false) or choose another backend", pb->backend.desc->name);
}

pudle_status pd_optimizer_init(pd_problem *pb)
{
    pd_parameter *list[PD_MAX_PARAMETERS];
    const int n = pd_network_parameters(&pb->net, list);
    pudle_status s = pd_optimizer_possible(pb);
    if (!s && pb->settings->train.optimizer == PD_OPTIMIZER_ODL)
        return pd_odl_init(pb);
    for (int i = 0; i < n && !s; i++)
        s = states_init(pb, list[i]);
    return s;
}

static pudle_status descend(pd_problem *pb, pd_parameter *p, double rate, int64_t update)
{
    const pd_train_params *how = &pb->settings->train;
    const pudle_cview g = pudle_const(&p->grad);
    if (how->optimizer != PD_OPTIMIZER_ADAM) /* plain descent is momentum with a memory of 0 */
        return pb->be->momentum(pb->exec, rate, how->optimizer == PD_OPTIMIZER_MOMENTUM ? how->momentum : 0.0, &g, &p->state[0], &p->value);
    const pudle_adam adam = { .size = sizeof adam, .rate = rate, .beta1 = how->beta1, .beta2 = how->beta2, .epsilon = how->epsilon,
                              .update = update };
    return pb->be->adam(pb->exec, &adam, &g, &p->state[0], &p->state[1], &p->value);
}

static double clamped(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value; /* NaN stays, to be found and reported */
}

static pudle_status clamp(pd_problem *pb, const pd_parameter *p, double low, double high)
{
    const pudle_cview c = pudle_const(&p->value);
    const size_t count = (size_t)pudle_count(&c), bytes = count * pudle_dtype_size(pb->dtype);
    void *host = pd_alloc(bytes, 1);
    if (!host)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the thresholds");
    pudle_status s = pb->be->download(pb->exec, host, c.data, bytes);
    for (int64_t i = 0; i < (int64_t)count && !s; i++)
        pd_put(host, pb->dtype, i, clamped(pd_get(host, pb->dtype, i), low, high));
    if (!s)
        s = pb->be->upload(pb->exec, p->value.data, host, bytes);
    free(host);
    return s;
}

/* A level stays within its option's range, times the step where the level is: below 0 it is no threshold. */
static pudle_status clamp_level(pd_problem *pb, const pd_level *level)
{
    const double scale = pd_level_scale(&pb->net, level);
    return level->bounded ? clamp(pb, &level->parameter, level->min * scale, level->max * scale) : PUDLE_OK;
}

/* Weights of the decoder or of one layer, and their gradient. */
typedef pudle_status (*atoms_work)(pd_problem *pb, const pudle_view *weights, const pudle_view *gradient);

static pudle_status normalize(pd_problem *pb, const pudle_view *weights, const pudle_view *gradient)
{
    const pudle_view w = pd_map_weight_matrix(&pb->net.map, weights);
    (void)gradient;
    return pb->be->normalize(pb->exec, pb->net.map.atom_axis, pd_problem_atom_norm(pb), &w);
}

static pudle_status take_out_radial(pd_problem *pb, const pudle_view *weights, const pudle_view *gradient)
{
    const pudle_view w = pd_map_weight_matrix(&pb->net.map, weights), g = pd_map_weight_matrix(&pb->net.map, gradient);
    const pudle_cview at = pudle_const(&w);
    return pb->be->tangent(pb->exec, pb->net.map.atom_axis, &at, &g);
}

/* Everything that is kept at unit norm. */
static pudle_status for_atoms(pd_problem *pb, atoms_work work)
{
    const pd_parameter *const encoder[] = { &pb->net.analysis, &pb->net.synthesis };
    pudle_status s = work(pb, &pb->net.dictionary.value, &pb->net.dictionary.grad);
    for (size_t i = 0; i < sizeof encoder / sizeof *encoder; i++)
        for (int64_t row = 0; encoder[i]->value.data && !pb->net.measurement.data && row < pb->net.encoder_rows && !s; row++) { /* those of A D have other norms */
            const pudle_view w = pd_slice(&encoder[i]->value, row), g = encoder[i]->grad.data ? pd_slice(&encoder[i]->grad, row) : (pudle_view){ .data = NULL };
            s = work(pb, &w, &g);
        }
    return s;
}

pudle_status pd_normalize_atoms(pd_problem *pb)
{
    return for_atoms(pb, normalize);
}

/* The gradient was finite, and the step may still have thrown the dictionary out of range. */
pudle_status pd_optimizer_check(pd_problem *pb, int64_t update)
{
    const int64_t nonfinite = pb->after_step.nonfinite;
    if (!nonfinite)
        return PUDLE_OK;
    if (pb->settings->train.optimizer == PD_OPTIMIZER_ODL)
        return pd_fail(pb->ctx, PUDLE_ERR_NUMERIC, "update %lld has left %lld entries of the dictionary that are no numbers: raise train.prior", (long long)(update - 1), (long long)nonfinite);
    return pd_fail(pb->ctx, PUDLE_ERR_NUMERIC, "diverged at update %lld, in the optimiser's step: %lld entries of the dictionary are no longer finite "
                   "(learning rate %g): lower train.learning_rate", (long long)(update - 1), (long long)nonfinite, pb->last_rate);
}

static pudle_status look_at_dictionary(pd_problem *pb)
{
    const pudle_cview d = pudle_const(&pb->net.dictionary.value);
    pd_defer(pb->be, pb->exec, true);
    const pudle_status s = pb->be->census(pb->exec, &d, &pb->after_step.nonzero, &pb->after_step.nonfinite);
    pd_defer(pb->be, pb->exec, false);
    return s;
}

/* Everything that is learned, along its gradient. */
static pudle_status follow_gradients(pd_problem *pb, double rate, double threshold_rate, int64_t update)
{
    const pd_train_params *how = &pb->settings->train;
    pd_parameter *d = &pb->net.dictionary;
    const pudle_cview value = pudle_const(&d->value);
    pudle_status s = how->weight_decay > 0 ? pb->be->axpby(pb->exec, how->weight_decay, &value, 1.0, &d->grad) : PUDLE_OK;
    if (!s && how->tangent && pd_keeps_unit_norm(how))
        s = for_atoms(pb, take_out_radial);
    if (!s)
        s = descend(pb, d, rate, update);
    if (!s)
        s = pd_atom_prox_apply(pb, rate);
    if (!s && pb->net.analysis.value.data)
        s = descend(pb, &pb->net.analysis, rate, update);
    if (!s && pb->net.synthesis.value.data)
        s = descend(pb, &pb->net.synthesis, rate, update);
    if (!s && pd_keeps_unit_norm(how))
        s = pd_normalize_atoms(pb);
    if (!s && pb->net.offset.value.data)
        s = descend(pb, &pb->net.offset, rate, update);
    for (int i = 0; i < pb->net.levels && !s; i++)
        if (pb->net.level[i].learned) {
            s = descend(pb, &pb->net.level[i].parameter, threshold_rate, update);
            if (!s)
                s = clamp_level(pb, &pb->net.level[i]);
        }
    if (!s && pb->net.step_rows) {
        s = descend(pb, &pb->net.steps, threshold_rate, update);
        if (!s)
            s = clamp(pb, &pb->net.steps, 1e-3 * pb->net.step, 1e3 * pb->net.step);
    }
    return s;
}

pudle_status pd_optimizer_step(pd_problem *pb, double rate, double threshold_rate, int64_t update)
{
    pudle_status s = pb->settings->train.optimizer == PD_OPTIMIZER_ODL ? pd_odl_step(pb, update) : follow_gradients(pb, rate, threshold_rate, update);
    pb->last_rate = rate;
    if (!s)
        s = look_at_dictionary(pb);
    return s || pd_can_defer(pb->be) ? s : pd_optimizer_check(pb, update);
}
