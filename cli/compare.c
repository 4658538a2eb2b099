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

/* A dictionary as it lies in a file, of either kind: a matrix whose columns are atoms, or filters. */
static pudle_status check_atoms(pd_context *ctx, const char *path, const pudle_cview *array)
{
    if (array->rank >= 2 && array->rank <= 4 && pudle_count(array) > 0)
        return PUDLE_OK;
    return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: neither a matrix (m, p) whose columns are atoms, nor filters (p, channels, length) or (p, channels, height, width)", path);
}

static void print_distance(const char *how, const pd_distance *d)
{
    printf("%-21s ||D-D*||=%.6g  relative=%.6g  sine mean=%.6g median=%.6g max=%.6g\n", how, d->absolute, d->relative, d->sine_mean, d->sine_median, d->sine_max);
}

/* ------------------------------------------------------------------- matches */

/* What belongs together: (p), and (p, 2) for lags of rows and columns. */
typedef struct pairing { int64_t p, *match, *lag; double *sign; } pairing;

static pudle_status pairing_open(pd_context *ctx, int64_t p, pairing *to)
{
    *to = (pairing){ p, pd_alloc((size_t)p, sizeof *to->match), pd_alloc((size_t)p, 2 * sizeof *to->lag), pd_alloc((size_t)p, sizeof *to->sign) };
    return to->match && to->lag && to->sign ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the matches of %" PRId64 " atoms", p);
}

static void pairing_close(pairing *of)
{
    free(of->match);
    free(of->lag);
    free(of->sign);
}

/* An atom as (channels, rows, columns): one of a matrix is a column of as many channels. */
typedef struct atom { const double *x; int64_t size[3], step; } atom;

static atom atom_of(const pudle_cview *d, int64_t j)
{
    const int32_t last = d->rank - 1;
    const double *x = d->data;
    if (d->rank == 2)
        return (atom){ x + j, { d->shape[0], 1, 1 }, d->shape[1] };
    return (atom){ x + j * d->stride[0], { d->shape[1], last == 3 ? d->shape[2] : 1, d->shape[last] }, 1 };
}

static double entry(const atom *a, int64_t c, int64_t y, int64_t x)
{
    const bool inside = y >= 0 && y < a->size[1] && x >= 0 && x < a->size[2];
    return inside ? a->x[((c * a->size[1] + y) * a->size[2] + x) * a->step] : 0;
}

/* The largest entry, which is taken out of sums of squares so that none overflows or vanishes. */
static double largest(const atom *a)
{
    double most = 0;
    for (int64_t c = 0; c < a->size[0]; c++)
        for (int64_t y = 0; y < a->size[1]; y++)
            for (int64_t x = 0; x < a->size[2]; x++)
                most = fmax(most, fabs(entry(a, c, y, x)));
    return most;
}

/* |cosine| of two atoms, one of them moved; 0 where one is zero. */
static double cosine(const atom *d, const atom *truth, const int64_t lag[2])
{
    const double most = largest(d), of_other = largest(truth);
    double product = 0, size = 0, other = 0;
    if (most == 0 || of_other == 0)
        return 0;
    for (int64_t c = 0; c < d->size[0]; c++)
        for (int64_t y = 0; y < d->size[1]; y++)
            for (int64_t x = 0; x < d->size[2]; x++) {
                const double still = entry(truth, c, y, x) / of_other, own = entry(d, c, y, x) / most;
                product += still * (entry(d, c, y - lag[0], x - lag[1]) / most);
                size += own * own;
                other += still * still;
            }
    return fabs(product) / (sqrt(size) * sqrt(other));
}

/* A row for each atom of the second dictionary. */
static pudle_status write_matches(pd_context *ctx, const char *path, const pudle_cview *a, const pudle_cview *b, const pairing *of)
{
    static const char *const lags[] = { "", ",lag", ",lag_rows,lag_columns" };
    pd_atomic *file = NULL;
    const pudle_status s = pd_atomic_open(ctx, path, &file);
    if (s)
        return s;
    FILE *to = pd_atomic_stream(file);
    fprintf(to, "atom,match,sign%s,cosine\n", lags[a->rank - 2]);
    for (int64_t j = 0; j < of->p; j++) {
        const atom d = atom_of(a, of->match[j]), truth = atom_of(b, j);
        fprintf(to, "%" PRId64 ",%" PRId64 ",%.0f", j, of->match[j], of->sign[j]);
        for (int32_t i = 4 - a->rank; i < 2; i++)
            fprintf(to, ",%" PRId64, of->lag[2 * j + i]);
        fprintf(to, ",%.9g\n", cosine(&d, &truth, of->lag + 2 * j));
    }
    return pd_atomic_commit(ctx, file);
}

/* -------------------------------------------------------------- dictionaries */

static void print_kind(const pudle_cview *a)
{
    if (a->rank == 4)
        printf("%" PRId64 " filters of %" PRId64 " x %" PRId64 ", channels: %" PRId64 "\n", a->shape[0], a->shape[2], a->shape[3], a->shape[1]);
    else if (a->rank == 3)
        printf("%" PRId64 " filters of length %" PRId64 ", channels: %" PRId64 "\n", a->shape[0], a->shape[2], a->shape[1]);
}

static void print_lags(const pudle_cview *a, const pairing *of)
{
    int64_t moved = 0, farthest[2] = { 0, 0 };
    for (int64_t j = 0; j < of->p; j++) {
        const int64_t size[2] = { llabs(of->lag[2 * j]), llabs(of->lag[2 * j + 1]) };
        moved += size[0] || size[1];
        for (int i = 0; i < 2; i++)
            farthest[i] = size[i] > farthest[i] ? size[i] : farthest[i];
    }
    printf("%" PRId64 " of %" PRId64 " are moved", moved, of->p);
    if (moved && a->rank == 4)
        printf(", by up to %" PRId64 " rows and %" PRId64 " columns", farthest[0], farthest[1]);
    else if (moved)
        printf(", by up to %" PRId64, farthest[1]);
    printf("\n");
}

/* Filters are compared as they lie, as any atoms, and moved, for they are determined only up to a shift; the verdict is on the latter. */
static pudle_status distances_of(pd_context *ctx, const pudle_cview *a, const pudle_cview *b, pairing *of, pd_distance *best)
{
    const pudle_cview d = pd_atom_columns(a), truth = pd_atom_columns(b);
    const bool filters = a->rank > 2;
    pd_distance fixed, assigned;
    pudle_status s = pd_distance_fixed(ctx, &d, &truth, &fixed);
    if (!s)
        s = pd_distance_assigned(ctx, &d, &truth, &assigned, of->match, of->sign);
    if (s)
        return s;
    *best = assigned;
    if (filters)
        s = pd_distance_shifted(ctx, a, b, best, of->match, of->sign, of->lag);
    if (s)
        return s;
    print_kind(a);
    print_distance("order as given:", &fixed);
    print_distance("best order and signs:", &assigned);
    if (filters)
        print_distance("... and lags:", best);
    printf("atoms that agree:     |cosine| mean=%.6g median=%.6g, in the best order\n", assigned.cosine_mean, assigned.cosine_median);
    if (filters) {
        printf("... at the best lags: |correlation| mean=%.6g median=%.6g, ", best->cosine_mean, best->cosine_median);
        print_lags(a, of);
    }
    return PUDLE_OK;
}

static pudle_status dictionaries(pd_context *ctx, const cli_args *args, const pudle_cview *a, const pudle_cview *b, int *code)
{
    pairing of = { 0 };
    pd_distance best;
    pudle_status s = check_atoms(ctx, args->positional[0], a);
    if (!s)
        s = pairing_open(ctx, a->shape[a->rank == 2 ? 1 : 0], &of);
    if (!s)
        s = distances_of(ctx, a, b, &of, &best);
    if (!s && args->csv)
        s = write_matches(ctx, args->csv, a, b, &of);
    pairing_close(&of);
    if (!s)
        *code = verdict(args, a->rank > 2 ? "||D-D*||, best order, signs and lags," : "||D-D*||, best order and signs,", best.absolute,
                        best.relative > 0 ? best.absolute / best.relative : 0);
    return s;
}

/* Before anything is read. */
static pudle_status check_options(pd_context *ctx, const cli_args *args)
{
    const cli_file out = { "--csv", args->csv, ".csv" }, in[2] = { { "the first array", args->positional[0], NULL }, { "the second array", args->positional[1], NULL } };
    if (args->csv && !args->dictionary)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--csv: it takes the matches of atoms, which are found with --dictionary");
    return cli_check_outputs(ctx, NULL, &out, 1, in, 2);
}

int cli_compare(pd_context *ctx, const cli_args *args)
{
    pd_array a = { 0 }, b = { 0 };
    int code = CLI_DONE;
    pudle_status s = check_options(ctx, args);
    if (!s)
        s = pd_array_read(ctx, args->positional[0], PUDLE_F64, &a);
    if (!s)
        s = pd_array_read(ctx, args->positional[1], PUDLE_F64, &b);
    if (!s && !same_shape(&a.view, &b.view)) {
        print_shape(args->positional[0], &a.view);
        print_shape(args->positional[1], &b.view);
        s = pd_fail(ctx, PUDLE_ERR_CONFIG, "the arrays have different shapes");
    }
    const pudle_cview d = pudle_const(&a.view), truth = pudle_const(&b.view);
    if (!s && args->dictionary)
        s = dictionaries(ctx, args, &d, &truth, &code);
    else if (!s)
        code = distances(args, &a.view, &b.view);
    pd_array_free(&a);
    pd_array_free(&b);
    return s ? cli_setup_failed(ctx, s) : code;
}
