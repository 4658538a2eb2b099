#include "train/replace.h"
#include "train/dictionary.h"
#include "train/odl.h"

/* The new ones. An array has its entries of all atoms as (outer, atoms, inner). */
typedef struct replacement {
    int64_t count;
    const int64_t *atom;
    const double *values; /* (count, length) */
    int64_t length, inner;
    double norm;
} replacement;

static pudle_status send(pd_problem *pb, const pd_array *a, const pudle_view *to)
{
    const pudle_cview c = pudle_const(&a->view);
    return pb->be->upload(pb->exec, to->data, c.data, (size_t)pudle_count(&c) * pudle_dtype_size(c.dtype));
}

/* Entries of the atoms become the values, once more for every layer's weights; or 0. */
static pudle_status set(pd_problem *pb, const pudle_view *array, const replacement *r, bool zero)
{
    const int64_t atoms = pb->net.map.atoms;
    pd_array a = { 0 };
    pudle_status s = pd_problem_fetch(pb, array, &a);
    const pudle_cview c = pudle_const(&a.view);
    const int64_t own = s ? 0 : pudle_count(&c) / atoms; /* entries of an atom */
    for (int64_t k = 0; k < r->count; k++)
        for (int64_t i = 0; i < own; i++)
            pd_put(a.view.data, a.view.dtype, (i / r->inner * atoms + r->atom[k]) * r->inner + i % r->inner, zero ? 0 : r->norm * r->values[k * r->length + i % r->length]);
    if (!s)
        s = send(pb, &a, array);
    pd_array_free(&a);
    return s;
}

static pudle_status clear_moments(pd_problem *pb, const pd_parameter *p, const replacement *r)
{
    pudle_status s = PUDLE_OK;
    for (int i = 0; i < 2 && !s; i++)
        if (p->state[i].data)
            s = set(pb, &p->state[i], r, true);
    return s;
}

static pudle_status replace_weights(pd_problem *pb, const replacement *r)
{
    const pd_parameter *const weights[] = { &pb->net.dictionary, &pb->net.analysis, &pb->net.synthesis };
    const bool odl = pb->settings->train.optimizer == PD_OPTIMIZER_ODL;
    pudle_status s = PUDLE_OK;
    for (size_t i = 0; i < sizeof weights / sizeof *weights && !s; i++) {
        if (!weights[i]->value.data)
            continue;
        if (odl) /* which learns no other weights */
            s = pd_odl_forget(pb, r->count, r->atom);
        if (!s)
            s = set(pb, &weights[i]->value, r, false);
        if (!s && !odl)
            s = clear_moments(pb, weights[i], r);
    }
    return s;
}

/* The level that has started anew keeps this only at the atoms that are new; learned: what it was. */
static pudle_status start_level(pd_problem *pb, const pd_level *level, pd_array *learned, const replacement *r)
{
    pd_array start = { 0 };
    pudle_status s = pd_problem_fetch(pb, &level->parameter.value, &start);
    const pudle_cview c = pudle_const(&start.view);
    for (int64_t row = 0; row < level->rows && !s; row++)
        for (int64_t k = 0; k < r->count; k++)
            pd_put(learned->view.data, learned->view.dtype, row * level->cols + r->atom[k], pudle_entry(&c, row * level->cols + r->atom[k]));
    if (!s)
        s = send(pb, learned, &level->parameter.value);
    pd_array_free(&start);
    return s ? s : clear_moments(pb, &level->parameter, r);
}

static pudle_status start_levels(pd_problem *pb, const replacement *r)
{
    const replacement columns = { .count = r->count, .atom = r->atom, .inner = 1 };
    pd_array learned[PD_MAX_LEVELS] = { 0 };
    pudle_status s = PUDLE_OK;
    for (int i = 0; i < pb->net.levels && !s; i++)
        s = pd_problem_fetch(pb, &pb->net.level[i].parameter.value, &learned[i]);
    if (!s)
        s = pd_problem_start_levels(pb);
    for (int i = 0; i < pb->net.levels && !s; i++)
        s = start_level(pb, &pb->net.level[i], &learned[i], &columns);
    for (int i = 0; i < pb->net.levels; i++)
        pd_array_free(&learned[i]);
    return s;
}

pudle_status pd_replace_atoms(pd_problem *pb, int64_t count, const int64_t *atom, const double *values)
{
    const pudle_cview d = pudle_const(&pb->net.dictionary.value);
    const int64_t length = pudle_count(&d) / pb->net.map.atoms;
    const replacement r = { count, atom, values, length, pb->net.map.atom_axis ? 1 : length, pd_problem_atom_norm(pb) };
    const int32_t learn = pb->settings->prox.learn;
    const pudle_status s = replace_weights(pb, &r);
    return s || (learn != PD_LEARN_ATOM && learn != PD_LEARN_LAYER_ATOM) ? s : start_levels(pb, &r);
}
