/* Codes against the true codes: support, signs, amplitudes. */
#include "measure/measure.h"
#include "measure/columns.h"
#include "tensor/arrays.h"
#include <math.h>

static int sign_of(double value, double tolerance)
{
    return (value > tolerance) - (value < -tolerance);
}

static void count_sample(const pudle_cview *z, const pudle_cview *truth, int64_t row, double tolerance, const int64_t *match,
                         const double *sign, pd_recovery_tally *t)
{
    double error2 = 0;
    bool exact = true;
    for (int64_t j = 0; j < truth->shape[1]; j++) {
        const double found = pd_entry(z, row, match ? match[j] : j) * (sign ? sign[j] : 1), real = pd_entry(truth, row, j);
        const int a = sign_of(found, tolerance), b = sign_of(real, tolerance);
        t->hit += a && b;
        t->false_alarm += a && !b;
        t->miss += !a && b;
        exact = exact && a == b;
        error2 += (found - real) * (found - real);
        t->norm2 += real * real;
    }
    t->exact += exact;
    t->l2 += sqrt(error2);
    t->error2 += error2;
}

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : 1;
}

pudle_status pd_recovery_add(pd_context *ctx, const pudle_cview *z, const pudle_cview *truth, double tolerance, const int64_t *match,
                             const double *sign, pd_recovery_tally *tally)
{
    if (!pd_is_array(z, 2) || !pd_is_array(truth, 2) || !pd_same_shape(z, truth))
        return pd_fail(ctx, PUDLE_ERR_ARG, "code recovery: both must be matrices (samples, atoms) of one shape");
    if (!(tolerance >= 0))
        return pd_fail(ctx, PUDLE_ERR_ARG, "code recovery: tolerance = %g, it must not be negative", tolerance);
    for (int64_t i = 0; i < z->shape[0]; i++)
        count_sample(z, truth, i, tolerance, match, sign, tally);
    tally->samples += z->shape[0];
    return PUDLE_OK;
}

pd_recovery pd_recovery_of(const pd_recovery_tally *t)
{
    const double n = (double)t->samples, wrong = t->false_alarm + t->miss;
    pd_recovery r = { .precision = ratio(t->hit, t->hit + t->false_alarm), .recall = ratio(t->hit, t->hit + t->miss),
                      .f1 = ratio(2 * t->hit, 2 * t->hit + wrong), .hamming = wrong / n, .exact = t->exact / n,
                      .l2 = t->l2 / n, .relative = sqrt(t->error2) / sqrt(t->norm2) };
    if (isnan(t->error2)) /* a NaN has no sign: no figure about supports can be trusted */
        r.precision = r.recall = r.f1 = r.hamming = r.exact = NAN;
    return r;
}
