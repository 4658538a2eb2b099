/* Products and convolutions of the stand-in: plain loops, on doubles; arguments are checked as the libraries check them. */
#include "fake.h"

#include <stdlib.h>
#include <string.h>

static double entry(const void *at, int32_t dtype, int64_t i)
{
    return dtype == PUDLE_F64 ? ((const double *)at)[i] : (double)((const float *)at)[i];
}

static void put(void *at, int32_t dtype, int64_t i, double x)
{
    if (dtype == PUDLE_F64)
        ((double *)at)[i] = x;
    else
        ((float *)at)[i] = (float)x;
}

/* op(X) (rows, cols), column major, as packed doubles. */
static double *packed(const void *x, int32_t dtype, bool trans, int64_t rows, int64_t cols, int64_t ld)
{
    double *out = malloc((size_t)(rows * cols) * sizeof *out);
    if (!out)
        abort();
    for (int64_t j = 0; j < cols; j++)
        for (int64_t i = 0; i < rows; i++)
            out[i + j * rows] = entry(x, dtype, trans ? j + i * ld : i + j * ld);
    return out;
}

void fake_gemm_now(const cuda_gpu *gpu, const cuda_gemm *c)
{
    double *left = packed(c->A, c->dtype, c->trans_a, c->m, c->k, c->lda), *right = packed(c->B, c->dtype, c->trans_b, c->k, c->n, c->ldb);
    double *sum = malloc((size_t)c->m * sizeof *sum);
    if (!sum)
        abort();
    for (int64_t j = 0; j < c->n; j++) {
        memset(sum, 0, (size_t)c->m * sizeof *sum);
        for (int64_t l = 0; l < c->k; l++) {
            const double by = right[l + j * c->k];
            const double *column = left + l * c->m;
            for (int64_t i = 0; i < c->m; i++)
                sum[i] += column[i] * by;
        }
        for (int64_t i = 0; i < c->m; i++) {
            const int64_t at = i + j * c->ldc;
            put(c->C, c->dtype, at, c->b == 0 ? c->a * sum[i] : c->a * sum[i] + c->b * entry(c->C, c->dtype, at));
        }
    }
    free(left);
    free(right);
    free(sum);
    if (gpu->workspace)
        memset(gpu->workspace, 0xff, fake_workspace_bytes());
}

/* As cuBLAS checks its arguments. */
bool fake_gemm(cuda_gpu *gpu, const cuda_gemm *c, cuda_fault *why)
{
    const int64_t rows_a = c->trans_a ? c->k : c->m, cols_a = c->trans_a ? c->m : c->k, rows_b = c->trans_b ? c->n : c->k,
                  cols_b = c->trans_b ? c->k : c->n;
    const size_t w = pudle_dtype_size(c->dtype);
    if (c->m < 1 || c->n < 1 || c->k < 1 || c->lda < rows_a || c->ldb < rows_b || c->ldc < c->m)
        fake_wrong("gemm: m %lld n %lld k %lld lda %lld ldb %lld ldc %lld", (long long)c->m, (long long)c->n, (long long)c->k, (long long)c->lda,
              (long long)c->ldb, (long long)c->ldc);
    fake_must_be_inside(gpu, "gemm", c->A, (size_t)((cols_a - 1) * c->lda + rows_a) * w);
    fake_must_be_inside(gpu, "gemm", c->B, (size_t)((cols_b - 1) * c->ldb + rows_b) * w);
    fake_must_be_inside(gpu, "gemm", c->C, (size_t)((c->n - 1) * c->ldc + c->m) * w);
    if (!fake_good("gemm", why))
        return false;
    if (gpu->recording) {
        fake_record(gpu, 1)->gemm = *c;
        return true;
    }
    fake_settle(gpu);
    fake_touch(true);
    fake_gemm_now(gpu, c);
    fake_touch(false);
    return true;
}

/* The first algorithm is not deterministic, the second cannot do the shape, the third is the one to take, then the fourth. */
bool fake_conv_algorithms(cuda_gpu *gpu, const cuda_conv *conv, int which, cuda_algorithm *list, int room, int *count, cuda_fault *why)
{
    const cuda_algorithm all[] = { { 0, 0, true, false, 7 }, { 1, 0, false, true, 7 }, { 2, 1000, true, true, 8 }, { 3, 2000, true, true, 9 } };
    (void)gpu, (void)conv, (void)which;
    if (!fake_good("algorithms", why))
        return false;
    for (*count = 0; *count < 4 && *count < room; ++*count)
        list[*count] = all[*count];
    return true;
}

static bool refused(int algorithm)
{
    const char *list = getenv("PUDLE_FAKE_REFUSE");
    return list && strchr(list, '0' + algorithm);
}

/* The numbers of an array, or as many zeros. */
static double *doubles(const void *array, int32_t dtype, int64_t count, bool zeros)
{
    double *d = calloc((size_t)count, sizeof *d);
    if (!d)
        abort();
    for (int64_t i = 0; i < count && !zeros; i++)
        d[i] = entry(array, dtype, i);
    return d;
}

void fake_conv_now(const cuda_conv *s, const cuda_conv_call *c)
{
    const int64_t counts[] = { (int64_t)s->n * s->k * s->p * s->q, (int64_t)s->n * s->c * s->h * s->w, (int64_t)s->k * s->c * s->r * s->s }; /* by what is made */
    double *const codes = doubles(c->codes, s->dtype, counts[CUDA_FORWARD], c->which == CUDA_FORWARD);
    double *const images = doubles(c->images, s->dtype, counts[CUDA_BACKWARD_DATA], c->which == CUDA_BACKWARD_DATA);
    double *const filters = doubles(c->filters, s->dtype, counts[CUDA_BACKWARD_FILTER], c->which == CUDA_BACKWARD_FILTER);
    const double *const sum = c->which == CUDA_FORWARD ? codes : c->which == CUDA_BACKWARD_DATA ? images : filters;
    void *const out = c->which == CUDA_FORWARD ? c->codes : c->which == CUDA_BACKWARD_DATA ? c->images : c->filters;
    double *code = codes;
    for (int n = 0; n < s->n; n++)
        for (int k = 0; k < s->k; k++)
            for (int p = 0; p < s->p; p++)
                for (int q = 0; q < s->q; q++, code++)
                    for (int line = 0; line < s->c * s->r; line++) {
                        double *image = images + (((int64_t)n * s->c + line / s->r) * s->h + p * s->stride[0] + line % s->r) * s->w + q * s->stride[1];
                        double *filter = filters + ((int64_t)k * s->c * s->r + line) * s->s;
                        for (int x = 0; x < s->s && c->which == CUDA_FORWARD; x++)
                            *code += image[x] * filter[x];
                        for (int x = 0; x < s->s && c->which == CUDA_BACKWARD_DATA; x++)
                            image[x] += *code * filter[x];
                        for (int x = 0; x < s->s && c->which == CUDA_BACKWARD_FILTER; x++)
                            filter[x] += *code * image[x];
                    }
    for (int64_t i = 0; i < counts[c->which]; i++)
        put(out, s->dtype, i, c->b == 0 ? c->a * sum[i] : c->a * sum[i] + c->b * entry(out, s->dtype, i));
    free(codes);
    free(images);
    free(filters);
}

bool fake_conv(cuda_gpu *gpu, const cuda_conv *s, const cuda_conv_call *c, cuda_fault *why)
{
    const size_t w = pudle_dtype_size(s->dtype);
    static const int first[] = { 2, 3, 0 }, math[] = { 8, 9, 7 };
    static const size_t room[] = { 1000, 2000, 0 };
    int best = 0;
    while (best < 2 && refused(first[best]) && c->algorithm != first[best])
        best++;
    if (c->algorithm != first[best] || c->math != math[best] || c->workspace_bytes < room[best] || s->p != (s->h - s->r) / s->stride[0] + 1 ||
        s->q != (s->w - s->s) / s->stride[1] + 1)
        fake_wrong("conv: algorithm %d with %zu bytes; codes of %d x %d", c->algorithm, c->workspace_bytes, s->p, s->q);
    fake_must_be_inside(gpu, "conv", c->images, (size_t)s->n * (size_t)s->c * (size_t)s->h * (size_t)s->w * w);
    fake_must_be_inside(gpu, "conv", c->codes, (size_t)s->n * (size_t)s->k * (size_t)s->p * (size_t)s->q * w);
    fake_must_be_inside(gpu, "conv", c->filters, (size_t)s->k * (size_t)s->c * (size_t)s->r * (size_t)s->s * w);
    fake_must_be_inside(gpu, "conv", c->workspace, c->workspace_bytes);
    if (refused(c->algorithm))
        return fake_fails(why, PUDLE_ERR_DEVICE, "conv: not with this one (fakeRefusal)");
    if (!fake_good("conv", why))
        return false;
    if (gpu->recording) {
        step *at = fake_record(gpu, 2);
        at->conv = *s;
        at->call = *c;
        return true;
    }
    fake_settle(gpu);
    fake_touch(true);
    fake_conv_now(s, c);
    fake_touch(false);
    return true;
}
