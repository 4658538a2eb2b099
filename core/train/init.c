/* Dictionaries to begin with: random, from samples, near the true one. */
#include "train/init.h"
#include "train/draw.h"
#include "train/streams.h"
#include <math.h>
#include <stdlib.h>

static pudle_status out_of_memory(pd_context *ctx, int64_t m, int64_t p)
{
    return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for a dictionary of %lld atoms with %lld entries", (long long)p,
                   (long long)m);
}

static double *matrix(int64_t rows, int64_t cols)
{
    return rows > 0 && cols > 0 && rows <= INT64_MAX / cols ? pd_alloc((size_t)(rows * cols), sizeof(double)) : NULL;
}

pudle_status pd_init_random(pd_context *ctx, uint64_t seed, int64_t m, int64_t p, double *d)
{
    double *atom = matrix(1, m);
    if (!atom)
        return out_of_memory(ctx, m, p);
    for (int64_t j = 0; j < p; j++) {
        pd_random_atom(seed, j, m, atom);
        for (int64_t i = 0; i < m; i++)
            d[i * p + j] = atom[i];
    }
    free(atom);
    return PUDLE_OK;
}

/* Move the usable ones of `count` fresh samples down to the front of `rows`. */
static pudle_status keep_usable(pd_context *ctx, const int64_t *index, int64_t count, int64_t m, double *rows, int64_t *kept)
{
    int64_t usable = 0;
    for (int64_t i = 0; i < count; i++) {
        double *row = rows + i * m;
        const double norm = pd_unit_vector(row, m);
        if (!isfinite(norm))
            return pd_fail(ctx, PUDLE_ERR_NUMERIC, "model.dictionary.init = \"samples\": sample %lld is not finite, so it can be no atom; where entries are missing "
                           "take  init = \"random\";  or a dictionary from a file", (long long)index[i]);
        if (norm == 0)
            continue;
        for (int64_t k = 0; k < m; k++)
            rows[usable * m + k] = row[k];
        usable++;
    }
    *kept = usable;
    return PUDLE_OK;
}

/* Draw as many as are still missing, drop the zero ones, and again. */
static pudle_status fill_from_samples(pd_context *ctx, const pd_sample_source *source, uint64_t seed, int64_t p,
                                      int64_t *order, double *atoms)
{
    const int64_t m = source->features, n = source->samples;
    pudle_random random = pudle_random_at(seed, PD_STREAM_SAMPLES, 0, 0);
    int64_t drawn = 0, have = 0;
    while (have < p && drawn < n) {
        const int64_t count = p - have < n - drawn ? p - have : n - drawn;
        int64_t kept = 0;
        for (int64_t i = 0; i < count; i++)
            pd_draw_next(&random, order, n, drawn + i);
        pudle_status s = source->read(source->ctx, order + drawn, count, atoms + have * m);
        if (!s)
            s = keep_usable(ctx, order + drawn, count, m, atoms + have * m, &kept);
        if (s)
            return s;
        drawn += count;
        have += kept;
    }
    if (have < p)
        return pd_fail(ctx, PUDLE_ERR_CONFIG,
                       "model.dictionary.init = \"samples\" needs %lld samples that are not zero, there are %lld among "
                       "%lld%s: lower model.dictionary.atoms or take init = \"random\"", (long long)p, (long long)have, (long long)n,
                       source->anew ? " (samples are drawn anew every epoch, as windows of pictures are, but a dictionary begins with those of one epoch alone)" : "");
    return PUDLE_OK;
}

pudle_status pd_init_samples(pd_context *ctx, const pd_sample_source *source, uint64_t seed, int64_t p, double *d)
{
    const int64_t m = source->features, n = source->samples;
    double *atoms = matrix(p, m);
    int64_t *order = n > 0 ? pd_alloc((size_t)n, sizeof *order) : NULL;
    pudle_status s = PUDLE_OK;
    if (!atoms || (n > 0 && !order)) {
        s = out_of_memory(ctx, m, p);
        goto cleanup;
    }
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    s = fill_from_samples(ctx, source, seed, p, order, atoms);
    if (!s)
        pd_atoms_to_columns(atoms, m, p, d);
cleanup:
    free(order);
    free(atoms);
    return s;
}

static double entry(const pudle_cview *view, int64_t row, int64_t column)
{
    const int64_t at = row * view->stride[0] + column * view->stride[1];
    return view->dtype == PUDLE_F64 ? ((const double *)view->data)[at] : (double)((const float *)view->data)[at];
}

pudle_status pd_init_truth(pd_context *ctx, const pudle_cview *truth, double noise, uint64_t seed, double *d)
{
    if (truth->rank != 2 || (truth->dtype != PUDLE_F32 && truth->dtype != PUDLE_F64) || !(noise >= 0))
        return pd_fail(ctx, PUDLE_ERR_ARG, "model.dictionary.init = \"truth\" needs a true dictionary (features, atoms) and "
                       "noise >= 0, noise is %g", noise);
    const int64_t m = truth->shape[0], p = truth->shape[1];
    double *atoms = matrix(p, m);
    pudle_status s = PUDLE_OK;
    if (!atoms)
        return out_of_memory(ctx, m, p);
    for (int64_t j = 0; j < p && !s; j++) {
        pudle_random random = pudle_random_at(seed, PD_STREAM_INIT, 0, (uint64_t)j);
        double *atom = atoms + j * m;
        for (int64_t i = 0; i < m; i++)
            atom[i] = entry(truth, i, j) + noise * pudle_random_normal(&random);
        const double norm = pd_unit_vector(atom, m);
        if (!(norm > 0) || isinf(norm))
            s = pd_fail(ctx, PUDLE_ERR_NUMERIC, "model.dictionary.init = \"truth\": atom %lld has norm %g, it cannot be "
                        "made a unit vector", (long long)j, norm);
    }
    if (!s)
        pd_atoms_to_columns(atoms, m, p, d);
    free(atoms);
    return s;
}
