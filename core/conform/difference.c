/* A derivative that a plugin claims against differences from both sides; where these disagree there is a kink, and nothing is claimed. */
#include "conform/parts.h"

bool pd_difference_compare(pd_trial *t, pd_differences *all, const char *what, int64_t entry, double claimed, double right,
                           double left, double scale, double at)
{
    const double size = fabs(right) + fabs(left) + scale;
    if (!(fabs(right - left) <= PD_KINK * size)) {
        all->kinks++;
        return true;
    }
    all->compared++;
    if (fabs(claimed - (right + left) / 2) <= 2 * PD_STEP_ERROR * size + fabs(right - left))
        return true;
    return pd_fails(t, "%s[%lld] is %.9g at %.9g, and finite differences say %.9g", what, (long long)entry, claimed, at,
                    (right + left) / 2);
}

bool pd_difference_enough(pd_trial *t, const pd_differences *all, const char *of)
{
    const int64_t total = all->compared + all->kinks;
    if ((double)all->kinks <= PD_KINKS_ALLOWED * (double)total)
        return true;
    return pd_fails(t,
                    "at %lld of %lld entries the differences of %s from both sides do not agree: it is not differentiable almost "
                    "everywhere, or noisy",
                    (long long)all->kinks, (long long)total, of);
}
