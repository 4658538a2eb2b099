/* Matrix products by BLIS, or by wide.c where that is faster, always on the calling thread. A lane makes one call; the root cuts C
 * into tiles of a size that depends on the shape alone and gives the tiles to its threads, so the bits do not depend on how many there are. */
#include "cpu.h"
#include "wide.h"
#include <blis.h>

/* Largest tile of the root: at 1000^3 eight tiles, which on one thread run at about 0.9 of the speed of one undivided call;
 * half as many of twice the size run at 0.95, but leave more than four threads idle. */
enum { TILE_ROWS = 256, TILE_COLS = 512 };

typedef struct product {
    host_gemm n;
    bool trans_a, trans_b, f64;
    bool own; /* by wide.c */
    double a, b;
    const char *A, *B;
    char *C;
    int64_t tile_rows, tile_cols, across; /* size of a tile, tiles in a row of tiles */
} product;

/* Tile (rows, cols) of C at (row, col), over inner indices [from, from + inner); thin: thin kernels are allowed. */
static void multiply_range(const product *p, int64_t row, int64_t col, int64_t rows, int64_t cols, int64_t from,
                           int64_t inner, double b, bool thin)
{
    const host_gemm *n = &p->n;
    const trans_t ta = p->trans_a ? BLIS_TRANSPOSE : BLIS_NO_TRANSPOSE;
    const trans_t tb = p->trans_b ? BLIS_TRANSPOSE : BLIS_NO_TRANSPOSE;
    const int64_t skip_a = p->trans_a ? from * n->lda + row : row * n->lda + from;
    const int64_t skip_b = p->trans_b ? col * n->ldb + from : from * n->ldb + col, skip_c = row * n->ldc + col;
    rntm_t alone; /* one thread, whatever BLIS_NUM_THREADS says */
    bli_rntm_init(&alone);
    bli_rntm_set_num_threads(1, &alone);
    if (!thin)
        bli_rntm_disable_l3_sup(&alone);
    if (p->f64) {
        double da = p->a, db = b;
        bli_dgemm_ex(ta, tb, rows, cols, inner, &da, (double *)(uintptr_t)p->A + skip_a, n->lda, 1,
                     (double *)(uintptr_t)p->B + skip_b, n->ldb, 1, &db, (double *)(void *)p->C + skip_c, n->ldc, 1, NULL,
                     &alone);
    } else {
        float fa = (float)p->a, fb = (float)b;
        bli_sgemm_ex(ta, tb, rows, cols, inner, &fa, (float *)(uintptr_t)p->A + skip_a, n->lda, 1,
                     (float *)(uintptr_t)p->B + skip_b, n->ldb, 1, &fb, (float *)(void *)p->C + skip_c, n->ldc, 1, NULL,
                     &alone);
    }
}

/* Up to BLIS 1.0 the thin sgemm kernel of haswell and zen for a lone last row, in products with B transposed, reads one row
 * past the end of A when it comes to the last inner % 8 terms (its issue 821); a matrix at the end of its memory can crash.
 * Those terms are added by the kernels for thick matrices, which read packed copies. */
static void multiply_by_blis(const product *p, int64_t row, int64_t col, int64_t rows, int64_t cols)
{
    const int64_t inner = p->n.inner, rest = inner % 8;
    const bool lone = (p->trans_b && rows % 3 == 1) || cols == 1; /* one column: BLIS takes the product transposed */
    if (p->f64 || !lone || rest == 0) {
        multiply_range(p, row, col, rows, cols, 0, inner, p->b, true);
        return;
    }
    if (inner > rest)
        multiply_range(p, row, col, rows, cols, 0, inner - rest, p->b, true);
    multiply_range(p, row, col, rows, cols, inner - rest, rest, inner > rest ? 1.0 : p->b, false);
}

static void multiply(const product *p, int64_t row, int64_t col, int64_t rows, int64_t cols)
{
    const host_gemm *n = &p->n;
    if (!p->own) {
        multiply_by_blis(p, row, col, rows, cols);
        return;
    }
    const int64_t row_step = p->trans_a ? 1 : n->lda, inner_step = p->trans_a ? n->lda : 1, to = row * n->ldc + col;
    if (p->f64)
        wide_product_f64(rows, cols, n->inner, p->a, (const double *)(const void *)p->A + row * row_step, row_step, inner_step,
                         (const double *)(const void *)p->B + col, n->ldb, p->b, (double *)(void *)p->C + to, n->ldc);
    else
        wide_product_f32(rows, cols, n->inner, (float)p->a, (const float *)(const void *)p->A + row * row_step, row_step, inner_step,
                         (const float *)(const void *)p->B + col, n->ldb, (float)p->b, (float *)(void *)p->C + to, n->ldc);
}

static void tile(void *ctx, int64_t part)
{
    const product *p = ctx;
    const int64_t row = part / p->across * p->tile_rows, col = part % p->across * p->tile_cols;
    const int64_t rows = p->n.rows - row, cols = p->n.cols - col;
    multiply(p, row, col, rows < p->tile_rows ? rows : p->tile_rows, cols < p->tile_cols ? cols : p->tile_cols);
}

/* Equal shares of at most `largest`, in multiples of 16 so that the kernels' edges stay whole. */
static int64_t share(int64_t size, int64_t largest)
{
    const int64_t pieces = (size + largest - 1) / largest, even = (size + pieces - 1) / pieces;
    return (even + 15) / 16 * 16;
}

/* BLIS must not see empty factors: C <- b C, without reading C when b = 0. */
static pudle_status scale_only(pudle_exec *exec, double b, const pudle_view *C)
{
    if (b == 0)
        return cpu_fill(exec, 0.0, C);
    const pudle_cview old = pudle_const(C);
    return cpu_axpby(exec, b, &old, 0.0, C);
}

pudle_status cpu_gemm(pudle_exec *exec, bool trans_a, bool trans_b, double a, const pudle_cview *A, const pudle_cview *B,
                      double b, const pudle_view *C)
{
    host_gemm n;
    const pudle_status s = host_check_gemm(exec, trans_a, trans_b, A, B, C, &n);
    if (s)
        return s;
    if (n.rows == 0 || n.cols == 0)
        return PUDLE_OK;
    if (n.inner == 0 || a == 0)
        return scale_only(exec, b, C);
    if (sizeof(dim_t) < sizeof(int64_t) && (n.lda > INT32_MAX || n.ldb > INT32_MAX || n.ldc > INT32_MAX ||
                                            n.rows > INT32_MAX || n.inner > INT32_MAX || n.cols > INT32_MAX))
        return FAIL(exec, PUDLE_ERR_UNSUPPORTED,
                    "gemm: a size is above %ld, the most that this BLIS (32-bit integers) can address",
                    (long)INT32_MAX);
    product p = { .n = n, .trans_a = trans_a, .trans_b = trans_b, .f64 = A->dtype == PUDLE_F64,
                  .own = !trans_b && exec->wide, .a = a, .b = b, .A = A->data, .B = B->data, .C = C->data };
    if (!exec->lane) {
        multiply(&p, 0, 0, n.rows, n.cols);
        return PUDLE_OK;
    }
    p.tile_rows = share(n.rows, TILE_ROWS);
    p.tile_cols = share(n.cols, TILE_COLS);
    p.across = (n.cols + p.tile_cols - 1) / p.tile_cols;
    /* sixteen multiplications take about as long as one entry from memory */
    const double work = (double)n.rows * (double)n.cols * (double)n.inner / 16;
    cpu_share(exec, (n.rows + p.tile_rows - 1) / p.tile_rows * p.across, work, tile, &p);
    return PUDLE_OK;
}
