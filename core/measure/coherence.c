/* Mutual coherence: the largest inner product of two different atoms. */
#include "measure/measure.h"
#include "measure/columns.h"
#include <math.h>
#include <stdlib.h>

enum { BLOCK = 64 }; /* atoms at a time: the Gram matrix is never whole in memory */

static double largest(const double *products, int64_t p, int64_t first, int64_t count, double so_far)
{
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < p; j++) {
            const double product = fabs(products[i * p + j]);
            if (j != first + i && !(product <= so_far)) /* a NaN gets through and stays */
                so_far = isnan(so_far) ? so_far : product;
        }
    return so_far;
}

pudle_status pd_coherence(pd_context *ctx, const pudle_cview *d, double *out)
{
    if (!pd_is_array(d, 2))
        return pd_fail(ctx, PUDLE_ERR_ARG, "coherence: the dictionary must be a matrix (features, atoms) of f32 or f64");
    const int64_t m = d->shape[0], p = d->shape[1];
    double *a = NULL, *products = NULL, value = 0;
    pudle_status s = pd_unit_columns(ctx, d, &a);
    if (s)
        return s;
    products = pd_alloc((size_t)p, BLOCK * sizeof *products);
    if (!products) {
        s = pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the coherence of %lld atoms", (long long)p);
        goto cleanup;
    }
    for (int64_t first = 0; first < p; first += BLOCK) {
        const int64_t count = p - first < BLOCK ? p - first : BLOCK;
        pd_cross(a, a, m, p, first, count, products);
        value = largest(products, p, first, count, value);
    }
    *out = value;
cleanup:
    free(products);
    free(a);
    return s;
}
