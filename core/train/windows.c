/* Windows of samples: their energies, and drawing filters from them. */
#include "train/windows.h"
#include "train/draw.h"
#include "train/streams.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double apart = 1e-6; /* nearer than this, up to the sign, two unit filters are one: training would not tell them apart either */

static int64_t positions(const pudle_conv *conv)
{
    return conv->code[0] * conv->code[1];
}

int64_t pd_window_room(const pudle_conv *conv)
{
    return conv->data[1] + conv->data[0] * conv->code[1];
}

/* Along rows, then along columns. Nothing is subtracted, so that a window of zeros has no energy at all. */
void pd_window_energies(const pudle_conv *conv, const double *sample, double *room, double *energy)
{
    const int64_t height = conv->data[0], width = conv->data[1], across = conv->code[1];
    double *squares = room, *along = room + width; /* of a row, all channels; and (height, across) */
    for (int64_t y = 0; y < height; y++) {
        memset(squares, 0, (size_t)width * sizeof *squares);
        for (int64_t c = 0; c < conv->channels; c++) {
            const double *row = sample + (c * height + y) * width;
            for (int64_t x = 0; x < width; x++)
                squares[x] += row[x] * row[x];
        }
        for (int64_t j = 0; j < across; j++) {
            double sum = 0;
            for (int64_t x = 0; x < conv->kernel[1]; x++)
                sum += squares[j * conv->stride[1] + x];
            along[y * across + j] = sum;
        }
    }
    memset(energy, 0, (size_t)positions(conv) * sizeof *energy);
    for (int64_t i = 0; i < conv->code[0]; i++)
        for (int64_t y = 0; y < conv->kernel[0]; y++)
            for (int64_t j = 0; j < across; j++)
                energy[i * across + j] += along[(i * conv->stride[0] + y) * across + j];
}

void pd_window_cut(const pudle_conv *conv, const double *sample, int64_t position, double *filter)
{
    const int64_t top = position / conv->code[1] * conv->stride[0], left = position % conv->code[1] * conv->stride[1];
    for (int64_t c = 0; c < conv->channels; c++)
        for (int64_t y = 0; y < conv->kernel[0]; y++, filter += conv->kernel[1])
            memcpy(filter, sample + (c * conv->data[0] + top + y) * conv->data[1] + left, (size_t)conv->kernel[1] * sizeof *filter);
}

/* ---------------------------------------------------------------- as a start */

/* What filters are drawn with. */
typedef struct drawer {
    const pd_sample_source *source;
    const pudle_conv *conv;
    int64_t taps, have;
    double *filters;        /* (p, taps), of which there are `have` */
    double *sample, *room, *energy;
    int64_t *place;         /* positions that may be drawn */
    pudle_random random;
} drawer;

/* Positions of windows that are worth being a filter, all others having little of what the sample is about. Returns how many. */
static int64_t list_places(drawer *d)
{
    const int64_t count = positions(d->conv);
    int64_t finite = 0, places = 0;
    double sum = 0, most = 0;
    pd_window_energies(d->conv, d->sample, d->room, d->energy);
    for (int64_t i = 0; i < count; i++)
        if (isfinite(d->energy[i])) {
            sum += d->energy[i];
            most = fmax(most, d->energy[i]);
            finite++;
        }
    const double enough = fmin(sum / (double)finite, most); /* rounding may lift the mean of equal numbers above them */
    for (int64_t i = 0; i < count; i++)
        if (isfinite(d->energy[i]) && d->energy[i] > 0 && d->energy[i] >= enough)
            d->place[places++] = i;
    return places;
}

/* Are two unit filters one, up to the sign? Most pairs differ in their first entries already. */
static bool same(const double *a, const double *b, int64_t taps)
{
    double minus = 0, plus = 0;
    for (int64_t i = 0; i < taps && (minus < apart * apart || plus < apart * apart); i++) {
        minus += (a[i] - b[i]) * (a[i] - b[i]);
        plus += (a[i] + b[i]) * (a[i] + b[i]);
    }
    return minus < apart * apart || plus < apart * apart;
}

static bool is_new(const drawer *d, const double *filter)
{
    for (int64_t k = 0; k < d->have; k++)
        if (same(d->filters + k * d->taps, filter, d->taps))
            return false;
    return true;
}

/* One more filter of a sample, where it has another to offer. */
static pudle_status draw_from(drawer *d, int64_t number)
{
    double *filter = d->filters + d->have * d->taps;
    const pudle_status s = d->source->read(d->source->ctx, &number, 1, d->sample);
    if (s)
        return s;
    const int64_t places = list_places(d), had = d->have;
    for (int64_t i = 0; i < places && d->have == had; i++) {
        pd_draw_next(&d->random, d->place, places, i);
        pd_window_cut(d->conv, d->sample, d->place[i], filter);
        d->have += pd_unit_vector(filter, d->taps) > 0 && is_new(d, filter);
    }
    return PUDLE_OK;
}

/* Samples take turns, until all of them, one after the other, have nothing to offer. */
static pudle_status draw_all(pd_context *ctx, drawer *d, uint64_t seed, int64_t *order, int64_t p)
{
    const int64_t n = d->source->samples;
    pudle_random random = pudle_random_at(seed, PD_STREAM_SAMPLES, 0, 0);
    int64_t in_vain = 0;
    for (int64_t turn = 0; d->have < p && in_vain < n; turn++) {
        const int64_t had = d->have;
        if (turn < n)
            pd_draw_next(&random, order, n, turn);
        const pudle_status s = draw_from(d, order[turn % n]);
        if (s)
            return s;
        in_vain = d->have > had ? 0 : in_vain + 1;
    }
    if (d->have < p && !d->have)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "model.dictionary.init = \"samples\": of %lld samples every window of a filter's size is zero or not finite, so it can be no filter; "
                       "take  init = \"random\";  or filters from a file", (long long)n);
    if (d->have < p)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "model.dictionary.init = \"samples\" needs %lld different windows of a filter's size, and %lld samples have %lld that are finite, of at "
                       "least their mean energy, and not the same up to a factor: lower model.dictionary.atoms or take  init = \"random\";", (long long)p, (long long)n, (long long)d->have);
    return PUDLE_OK;
}

pudle_status pd_init_windows(pd_context *ctx, const pd_sample_source *source, const pudle_conv *conv, uint64_t seed, int64_t p, double *filters)
{
    const int64_t n = source->samples, count = positions(conv), taps = conv->channels * conv->kernel[0] * conv->kernel[1];
    double *room = pd_alloc((size_t)(source->features + pd_window_room(conv) + count), sizeof *room);
    int64_t *order = pd_alloc((size_t)(n + count), sizeof *order);
    pudle_status s = room && order ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for windows of a sample of %lld numbers", (long long)source->features);
    if (!s) {
        drawer d = { .source = source, .conv = conv, .taps = taps, .filters = filters, .sample = room, .room = room + source->features,
                     .energy = room + source->features + pd_window_room(conv), .place = order + n, .random = pudle_random_at(seed, PD_STREAM_WINDOWS, 0, 0) };
        for (int64_t i = 0; i < n; i++)
            order[i] = i;
        s = draw_all(ctx, &d, seed, order, p);
    }
    free(room);
    free(order);
    return s;
}
