#include "train/order.h"
#include "train/streams.h"
#include <pudle/random.h>

int64_t pd_batch_size(const pd_settings *settings, int64_t samples)
{
    return settings->train.batch > 0 ? settings->train.batch : samples;
}

int64_t pd_total_updates(const pd_train_params *t, int64_t batches)
{
    int64_t epochs;
    if (__builtin_mul_overflow(t->epochs, batches, &epochs))
        epochs = INT64_MAX;
    return t->epochs > 0 && (t->updates <= 0 || epochs < t->updates) ? epochs : t->updates;
}

/* A Fisher-Yates shuffle that depends on (seed, epoch) alone. */
void pd_epoch_order(const pd_settings *settings, int64_t epoch, int64_t samples, int64_t *order)
{
    for (int64_t i = 0; i < samples; i++)
        order[i] = i;
    if (!settings->train.shuffle || pd_batch_size(settings, samples) == samples)
        return;
    pudle_random random = pudle_random_at((uint64_t)settings->train.seed, PD_STREAM_SHUFFLE, (uint32_t)epoch, 0);
    for (int64_t i = samples - 1; i > 0; i--) {
        const int64_t j = (int64_t)pudle_random_below(&random, (uint64_t)i + 1), swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
}
