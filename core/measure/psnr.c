/* Peak signal to noise ratio of an image against the clean one, with both peaks in use. */
#include "measure/measure.h"
#include "measure/columns.h"
#include "tensor/arrays.h"
#include <math.h>
#include <stdlib.h>

static double clamp(double value)
{
    return value < 0 ? 0 : value > 1 ? 1 : value; /* NaN stays NaN */
}

pudle_status pd_psnr_measure(pd_context *ctx, const pudle_cview *image, const pudle_cview *clean, pd_psnr *out)
{
    if (!pd_is_array(image, 0) || !pd_is_array(clean, 0) || !pd_same_shape(image, clean))
        return pd_fail(ctx, PUDLE_ERR_ARG, "PSNR: the image and the clean image must have the same shape, and pixels");
    double *x = NULL, *y = NULL, sum = 0, peak = -INFINITY;
    pudle_status s = pd_doubles(ctx, image, &x);
    if (!s)
        s = pd_doubles(ctx, clean, &y);
    if (s)
        goto cleanup;
    const int64_t count = pudle_count(image);
    for (int64_t i = 0; i < count; i++) {
        const double error = clamp(x[i]) - y[i];
        sum += error * error;
        peak = fmax(peak, y[i]);
    }
    const double mse = sum / (double)count;
    *out = (pd_psnr){ .unit = -10 * log10(mse), .maximum = peak > 0 ? 20 * log10(peak) - 10 * log10(mse) : NAN };
cleanup:
    free(x);
    free(y);
    return s;
}
