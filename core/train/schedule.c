/* Learning rate and decay schedules. */
#include "train/schedule.h"
#include <math.h>

static double cosine(double base, double final, int64_t at, int64_t length)
{
    if (length < 2)
        return base;
    if (at >= length - 1)
        return final;
    return final + (base - final) * 0.5 * (1 + cos(3.14159265358979323846 * (double)at / (double)(length - 1)));
}

double pd_rate_at(int32_t kind, double base, int64_t every, double factor, double final, int64_t at, int64_t length)
{
    if (kind == PD_SCHEDULE_STEP && every > 0)
        return base * pow(factor, (double)(at / every));
    if (kind == PD_SCHEDULE_COSINE)
        return cosine(base, final, at, length);
    return base;
}

double pd_decay_at(double beta, double change, int64_t every, int64_t update)
{
    if (every < 1)
        return beta;
    const double value = beta + change * (double)(update / every);
    return value < 0 ? 0 : value; /* NaN stays NaN */
}
