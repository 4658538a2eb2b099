/* How far apart two arrays are; with a tolerance, whether they agree (exit code 1 when not). Infinities that are the same in both agree. */
#include "cli.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static bool same_shape(const pudle_view *a, const pudle_view *b)
{
    bool same = a->rank == b->rank;
    for (int32_t i = 0; i < a->rank && same; i++)
        same = a->shape[i] == b->shape[i];
    return same;
}

static void print_shape(const char *path, const pudle_view *v)
{
    printf("%s: (", path);
    for (int32_t i = 0; i < v->rank; i++)
        printf("%s%" PRId64, i ? ", " : "", v->shape[i]);
    printf(")\n");
}

/* Mean over the rows of ||a_i - b_i||: the distance of a typical sample's code. */
static double mean_row(const pudle_view *a, const pudle_view *b)
{
    const pudle_cview c = pudle_const(a);
    const int64_t rows = a->rank > 1 ? a->shape[0] : 1, width = rows > 0 ? pudle_count(&c) / rows : 0;
    const double *x = a->data, *y = b->data;
    double total = 0;
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t i = r * width; i < (r + 1) * width; i++)
            sum += x[i] == y[i] ? 0 : (x[i] - y[i]) * (x[i] - y[i]);
        total += sqrt(sum);
    }
    return rows > 0 ? total / (double)rows : 0;
}

/* Is a distance within the tolerance, if one was given? */
static int verdict(const cli_args *args, const char *what, double distance, double size)
{
    const double bound = args->atol + args->rtol * size;
    if (!args->has_tolerance)
        return CLI_DONE;
    printf("%s: %s %s %.3g\n", distance <= bound ? "agree" : "DIFFER", what, distance <= bound ? "<=" : "is above", bound);
    return distance <= bound ? CLI_DONE : CLI_FAILED;
}

static int distances(const cli_args *args, const pudle_view *a, const pudle_view *b)
{
    const pudle_cview c = pudle_const(a);
    const double *x = a->data, *y = b->data;
    double worst = 0, largest = 0, sum = 0, norm = 0;
    for (int64_t i = 0; i < pudle_count(&c); i++) {
        const double d = x[i] == y[i] ? 0 : x[i] - y[i];
        worst = isnan(d) || isnan(worst) ? NAN : fmax(worst, fabs(d));
        if (isfinite(y[i]))
            largest = fmax(largest, fabs(y[i]));
        sum += d * d;
        norm += y[i] * y[i];
    }
    printf("max|a-b|=%.6g\nmax|b|=%.6g\n||a-b||=%.6g\n||a-b||/||b||=%.6g\nmean||a_i-b_i||=%.6g\n", worst, largest, sqrt(sum),
           norm > 0 ? sqrt(sum / norm) : sqrt(sum), mean_row(a, b));
    return verdict(args, "max|a-b|", worst, largest);
}

pudle_status cli_atoms(pd_context *ctx, const char *path, const pudle_view *array, pudle_cview *atoms)
{
    *atoms = pudle_const(array);
    if (array->rank == 2)
        return PUDLE_OK;
    if (array->rank < 3 || array->shape[0] < 1)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: neither a matrix (m, p) whose columns are atoms, nor filters (p, channels, size...)", path);
    const int64_t p = array->shape[0], m = pudle_count(atoms) / p;
    *atoms = pd_cmatrix(array->data, array->dtype, m, p);
    atoms->stride[0] = 1;
    atoms->stride[1] = m;
    return PUDLE_OK;
}

static pudle_status dictionaries(pd_context *ctx, const cli_args *args, const pudle_view *a, const pudle_view *b, int *code)
{
    pudle_cview d, truth;
    pd_distance fixed, assigned;
    pudle_status s = cli_atoms(ctx, args->positional[0], a, &d);
    if (!s)
        s = cli_atoms(ctx, args->positional[1], b, &truth);
    if (!s)
        s = pd_distance_fixed(ctx, &d, &truth, &fixed);
    if (!s)
        s = pd_distance_assigned(ctx, &d, &truth, &assigned, NULL, NULL);
    if (s)
        return s;
    printf("order as given:       ||D-D*||=%.6g  relative=%.6g  sine mean=%.6g median=%.6g max=%.6g\n", fixed.absolute, fixed.relative,
           fixed.sine_mean, fixed.sine_median, fixed.sine_max);
    printf("best order and signs: ||D-D*||=%.6g  relative=%.6g  sine mean=%.6g median=%.6g max=%.6g\n", assigned.absolute, assigned.relative,
           assigned.sine_mean, assigned.sine_median, assigned.sine_max);
    printf("atoms that agree:     |cosine| mean=%.6g median=%.6g, in the best order\n", assigned.cosine_mean, assigned.cosine_median);
    *code = verdict(args, "||D-D*||, best order and signs,", assigned.absolute, assigned.relative > 0 ? assigned.absolute / assigned.relative : 0);
    return PUDLE_OK;
}

int cli_compare(pd_context *ctx, const cli_args *args)
{
    pd_array a = { 0 }, b = { 0 };
    int code = CLI_DONE;
    pudle_status s = pd_array_read(ctx, args->positional[0], PUDLE_F64, &a);
    if (!s)
        s = pd_array_read(ctx, args->positional[1], PUDLE_F64, &b);
    if (!s && !same_shape(&a.view, &b.view)) {
        print_shape(args->positional[0], &a.view);
        print_shape(args->positional[1], &b.view);
        s = pd_fail(ctx, PUDLE_ERR_CONFIG, "the arrays have different shapes");
    }
    if (!s && args->dictionary)
        s = dictionaries(ctx, args, &a.view, &b.view, &code);
    else if (!s)
        code = distances(args, &a.view, &b.view);
    pd_array_free(&a);
    pd_array_free(&b);
    return s ? cli_setup_failed(ctx, s) : code;
}
