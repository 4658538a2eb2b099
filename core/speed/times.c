/* Durations and what is said of them: median and quartiles, which one disturbed repetition does not move. */
#include "speed/speed.h"
#include <stdlib.h>
#include <time.h>

double pd_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

pudle_status pd_durations_add(pd_context *ctx, pd_durations *list, double seconds)
{
    if (list->count == list->room) {
        const int64_t room = list->room ? 2 * list->room : 64;
        double *item = realloc(list->item, (size_t)room * sizeof *item);
        if (!item)
            return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for %lld durations", (long long)room);
        list->item = item;
        list->room = room;
    }
    list->item[list->count++] = seconds;
    return PUDLE_OK;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between the two neighbours of that place, as numpy and R do it by default. */
static double quantile(const pd_durations *sorted, double share)
{
    const double at = share * (double)(sorted->count - 1);
    const int64_t below = (int64_t)at, above = below + 1 < sorted->count ? below + 1 : below;
    return sorted->item[below] + (at - (double)below) * (sorted->item[above] - sorted->item[below]);
}

pd_times pd_durations_sum_up(pd_durations *list)
{
    pd_times t = { .count = list->count };
    if (!list->count)
        return t;
    qsort(list->item, (size_t)list->count, sizeof *list->item, ascending);
    t.median = quantile(list, 0.5);
    t.least = list->item[0];
    t.spread = t.median > 0 ? (quantile(list, 0.75) - quantile(list, 0.25)) / t.median : 0;
    return t;
}

void pd_durations_free(pd_durations *list)
{
    free(list->item);
    *list = (pd_durations){ 0 };
}
