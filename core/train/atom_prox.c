/* Atoms that are non-negative, bounded, sparse, smooth: an operator on the dictionary. */
#include "train/atom_prox.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct pd_atom_prox {
    pudle_instance prox;
    int levels;
    double value[PD_MAX_LEVELS]; /* of the options */
    bool per_step[PD_MAX_LEVELS];
    pudle_view theta[PD_MAX_LEVELS]; /* one number each, with the backend */
    double rate;                 /* that theta is for; below 0: for none yet */
    void *room;                  /* like D */
};

static pudle_status take(pd_problem *pb, int64_t count, void **memory)
{
    return pb->be->alloc(pb->exec, (size_t)count * pudle_dtype_size(pb->dtype), memory);
}

static pudle_status find_levels(pd_problem *pb, struct pd_atom_prox *a)
{
    const char *values = pb->settings->section[PD_SECTION_DICTIONARY_PROX].plugin_params;
    const int64_t one = 1;
    pudle_option option;
    pudle_status s = PUDLE_OK;
    for (int i = 0; pd_option_at(a->prox.desc, i, &option) && !s; i++) {
        void *memory = NULL;
        if (!(option.flags & PUDLE_THRESHOLD))
            continue;
        if (a->levels == PD_MAX_LEVELS)
            return pd_fail(pb->ctx, PUDLE_ERR_ABI, "dictionary_prox: '%s' has more than %d thresholds", a->prox.desc->name, PD_MAX_LEVELS);
        memcpy(&a->value[a->levels], values + option.offset, sizeof *a->value);
        a->per_step[a->levels] = (option.flags & PUDLE_PER_STEP) != 0;
        s = take(pb, 1, &memory);
        a->theta[a->levels++] = pd_view(memory, pb->dtype, 1, &one);
    }
    return s;
}

/* Atoms are rows where they are filters; of a dense D they are columns, which only an operator on entries does not mind. */
static pudle_status check_kind(pd_problem *pb, const pudle_desc *prox)
{
    if (prox->caps & PUDLE_PROX_BATCH_COUPLED)
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "dictionary_prox: \"%s\" ties the samples of a batch together, and atoms are no batch: take another operator", prox->name);
    if ((prox->caps & PUDLE_PROX_SEPARABLE) || pb->net.map.atom_axis == 0)
        return PUDLE_OK;
    return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "dictionary_prox: \"%s\" looks at several entries at once, and the atoms of a dense dictionary are columns: take one that acts "
                   "on every entry alone (\"separable\" in pudle plugins info NAME)", prox->name);
}

pudle_status pd_atom_prox_open(pd_problem *pb)
{
    const pd_section *section = &pb->settings->section[PD_SECTION_DICTIONARY_PROX];
    const pudle_cview d = pudle_const(&pb->net.dictionary.value);
    if (!section->plugin)
        return PUDLE_OK;
    struct pd_atom_prox *a = pb->atom_prox = pd_alloc(1, sizeof *a);
    if (!a)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the operator on the dictionary");
    a->rate = -1;
    pudle_status s = pd_instance_create(pb->ctx, section->plugin, section->plugin_params, &a->prox);
    if (!s)
        s = check_kind(pb, a->prox.desc);
    if (!s)
        s = find_levels(pb, a);
    return s ? s : take(pb, pudle_count(&d), &a->room);
}

void pd_atom_prox_close(pd_problem *pb)
{
    struct pd_atom_prox *a = pb->atom_prox;
    if (!a)
        return;
    for (int i = 0; i < a->levels; i++)
        if (a->theta[i].data)
            pb->be->free(pb->exec, a->theta[i].data);
    if (a->room)
        pb->be->free(pb->exec, a->room);
    pd_instance_destroy(pb->ctx, &a->prox);
    free(a);
    pb->atom_prox = NULL;
}

/* Levels that belong to the step follow the rate. */
static pudle_status refresh(pd_problem *pb, struct pd_atom_prox *a, double rate)
{
    pudle_status s = PUDLE_OK;
    for (int i = 0; i < a->levels && rate != a->rate && !s; i++) {
        const double value = a->value[i] * (a->per_step[i] ? rate : 1.0);
        const float single = (float)value;
        s = pb->be->upload(pb->exec, a->theta[i].data, pb->dtype == PUDLE_F64 ? (const void *)&value : (const void *)&single, pudle_dtype_size(pb->dtype));
    }
    if (!s)
        a->rate = rate;
    return s;
}

/* The operator's result for D, in the room. */
static pudle_status into_room(pd_problem *pb, double rate)
{
    struct pd_atom_prox *a = pb->atom_prox;
    const pudle_view d = pd_map_weight_matrix(&pb->net.map, &pb->net.dictionary.value), to = pd_matrix(a->room, pb->dtype, d.shape[0], d.shape[1]);
    const pudle_cview from = pudle_const(&d);
    pudle_cview theta[PD_MAX_LEVELS];
    const pudle_status s = refresh(pb, a, rate);
    for (int i = 0; i < a->levels; i++)
        theta[i] = pudle_const(&a->theta[i]);
    return s ? s : pb->be->prox_apply(pb->exec, &a->prox, rate, theta, &from, &to);
}

pudle_status pd_atom_prox_try(pd_problem *pb, double rate)
{
    if (!pb->atom_prox)
        return PUDLE_OK;
    pudle_status s = into_room(pb, rate);
    if (!s)
        s = pb->be->sync(pb->exec);
    if (s)
        return pd_fail(pb->ctx, s, "dictionary_prox: \"%s\" does not take this dictionary: it is given %s", pb->atom_prox->prox.desc->name,
                       pb->net.map.atom_axis == 0 ? "filters, one a row, where codes of samples would be" : "rows of D, where codes of samples would be");
    if (pb->settings->train.normalize)
        pd_log(pb->ctx, PUDLE_LOG_INFO, "atoms are scaled to unit norm after dictionary_prox: what scaling breaks, as bounds and simplices, holds with train.normalize = false");
    return PUDLE_OK;
}

pudle_status pd_atom_prox_apply(pd_problem *pb, double rate)
{
    if (!pb->atom_prox)
        return PUDLE_OK;
    const pudle_view d = pd_map_weight_matrix(&pb->net.map, &pb->net.dictionary.value), from = pd_matrix(pb->atom_prox->room, pb->dtype, d.shape[0], d.shape[1]);
    const pudle_cview result = pudle_const(&from);
    const pudle_status s = into_room(pb, rate);
    return s ? s : pb->be->copy(pb->exec, &result, &d);
}
