/* Structural similarity. The five moments of a window are weighted means; a row of windows is filtered along the row first,
 * and eleven such rows are kept. */
#include "measure/measure.h"
#include "measure/columns.h"
#include "tensor/arrays.h"
#include <math.h>
#include <stdlib.h>

enum { SIDE = 11, MOMENTS = 5 }; /* x, y, xx, yy, xy */

static double clamp(double value)
{
    return value < 0 ? 0 : value > 1 ? 1 : value; /* NaN stays NaN */
}

static void gaussian(double weight[SIDE])
{
    const double sigma = 1.5;
    double sum = 0;
    for (int i = 0; i < SIDE; i++) {
        const double d = i - SIDE / 2;
        weight[i] = exp(-d * d / (2 * sigma * sigma));
        sum += weight[i];
    }
    for (int i = 0; i < SIDE; i++)
        weight[i] /= sum;
}

/* row (MOMENTS, columns): the weighted means along one row of pixels. */
static void filter_row(const double weight[SIDE], const double *x, const double *y, int64_t columns, double *row)
{
    for (int64_t j = 0; j < columns; j++) {
        double m[MOMENTS] = { 0 };
        for (int i = 0; i < SIDE; i++) {
            const double a = clamp(x[j + i]), b = y[j + i], w = weight[i];
            m[0] += w * a;
            m[1] += w * b;
            m[2] += w * a * a;
            m[3] += w * b * b;
            m[4] += w * a * b;
        }
        for (int k = 0; k < MOMENTS; k++)
            row[k * columns + j] = m[k];
    }
}

static double similarity(const double m[MOMENTS])
{
    const double c1 = 0.01 * 0.01, c2 = 0.03 * 0.03; /* (K L)^2 with L = 1 */
    const double mean2 = m[0] * m[0] + m[1] * m[1], product = m[0] * m[1];
    return (2 * product + c1) * (2 * (m[4] - product) + c2) / ((mean2 + c1) * (m[2] + m[3] - mean2 + c2));
}

/* Sum over all windows of one channel. rows: (SIDE, MOMENTS, columns), used as a ring. */
static double channel_sum(const double weight[SIDE], const double *x, const double *y, int64_t height, int64_t width, double *rows)
{
    const int64_t columns = width - SIDE + 1, one = MOMENTS * columns;
    double sum = 0;
    for (int64_t r = 0; r < height; r++) {
        filter_row(weight, x + r * width, y + r * width, columns, rows + r % SIDE * one);
        for (int64_t j = 0; r >= SIDE - 1 && j < columns; j++) {
            double m[MOMENTS] = { 0 };
            for (int i = 0; i < SIDE; i++)
                for (int k = 0; k < MOMENTS; k++)
                    m[k] += weight[i] * rows[(r - SIDE + 1 + i) % SIDE * one + k * columns + j];
            sum += similarity(m);
        }
    }
    return sum;
}

pudle_status pd_ssim_measure(pd_context *ctx, const pudle_cview *image, const pudle_cview *clean, double *out)
{
    if (!pd_is_array(image, 3) || !pd_is_array(clean, 3) || !pd_same_shape(image, clean))
        return pd_fail(ctx, PUDLE_ERR_ARG, "SSIM: the image and the clean image must both be (channels, height, width), of one shape");
    const int64_t channels = image->shape[0], height = image->shape[1], width = image->shape[2];
    if (height < SIDE || width < SIDE) {
        *out = NAN;
        return PUDLE_OK;
    }
    double weight[SIDE], sum = 0, *x = NULL, *y = NULL;
    double *rows = pd_alloc((size_t)(SIDE * MOMENTS * (width - SIDE + 1)), sizeof *rows);
    pudle_status s = rows ? pd_doubles(ctx, image, &x) : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the SSIM");
    if (!s)
        s = pd_doubles(ctx, clean, &y);
    if (!s) {
        gaussian(weight);
        for (int64_t c = 0; c < channels; c++)
            sum += channel_sum(weight, x + c * height * width, y + c * height * width, height, width, rows);
        *out = sum / (double)(channels * (height - SIDE + 1) * (width - SIDE + 1));
    }
    free(x);
    free(y);
    free(rows);
    return s;
}
