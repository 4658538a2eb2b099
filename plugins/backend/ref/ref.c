/* The reference backend: plain loops, one thread, no library. It is the oracle that every other backend is compared with,
 * so each operation is written as its formula reads. Entries are read into double, computed in double and rounded once
 * when stored; sums, those of gemm included, are double. */
#include "ref.h"
#include <math.h>

/* Place of entry i, counted in C order, in the memory of a view. */
static int64_t at(const pudle_cview *v, int64_t i)
{
    if (v->rank != 2 || v->shape[0] <= 1)
        return i;
    return i / v->shape[1] * v->stride[0] + i % v->shape[1];
}

static double get(const pudle_cview *v, int64_t i)
{
    return load(v->data, v->dtype, at(v, i));
}

static void put(const pudle_view *v, int64_t i, double value)
{
    const pudle_cview c = pudle_const(v);
    store(v->data, v->dtype, at(&c, i), value);
}

/* -------------------------------------------------------- life and execution */

/* `threads` is understood so that one config serves every backend, `--set backend.name=ref` alone being changed. */
typedef struct params { int64_t threads; } params;

static const pudle_option options[] = {
    { "threads", PUDLE_INT, 0, offsetof(params, threads), "0", 0, 1024, NULL, "threads",
      "Accepted so that a config may be run on any backend by its name alone; this one always computes on one thread." },
    { NULL, 0, 0, 0, NULL, 0, 0, NULL, NULL, NULL }
};

static pudle_status ref_open(const pudle_host *host, const void *self, pudle_exec **exec)
{
    const params *wanted = self;
    if (wanted && wanted->threads > 1)
        host->log(host->ctx, PUDLE_LOG_INFO, "threads = %lld: this backend computes on one", (long long)wanted->threads);
    pudle_exec *made = host->alloc(host->ctx, sizeof *made);
    if (!made)
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "out of memory for the backend");
    *made = (pudle_exec){ .host = host, .threads = 1, .lane = NULL };
    *exec = made;
    return PUDLE_OK;
}

static void ref_close(pudle_exec *exec)
{
    if (exec)
        exec->host->free(exec->host->ctx, exec);
}

static void ref_describe(pudle_exec *exec, char *text, size_t size)
{
    (void)exec;
    static const char facts[] =
        "library: none, plain C loops\nthreads: 1\nnote: this backend is the reference for correctness, not for speed";
    if (!size)
        return;
    size_t n = 0;
    for (; n + 1 < size && facts[n]; n++)
        text[n] = facts[n];
    text[n] = '\0';
}

/* Two lanes where there are samples for them, so that whatever depends on several lanes and blocks is used here as well. */
static pudle_status ref_plan(pudle_exec *exec, const pudle_work *work, int64_t *rows, int64_t *lanes)
{
    const pudle_status s = host_check_work(exec, work);
    if (s)
        return s;
    const int64_t n = work->samples > 0 ? work->samples : 1;
    const bool split = !work->whole && n >= 16;
    int64_t block = split ? (n + 1) / 2 : n;
    if (!work->whole && block > 64)
        block = 64;
    *rows = block;
    *lanes = split ? 2 : 1;
    return PUDLE_OK;
}

static pudle_status ref_run(pudle_exec *exec, int64_t lanes, pudle_lane_fn fn, void *ctx)
{
    if (!exec)
        return PUDLE_ERR_ARG;
    if (lanes < 0 || !fn)
        return FAIL(exec, PUDLE_ERR_ARG, "run: %lld lanes; the number must be >= 0 and the function given",
                    (long long)lanes);
    pudle_exec lane = *exec;
    pudle_status first = PUDLE_OK;
    for (int64_t i = 0; i < lanes; i++) {
        const pudle_status s = fn(ctx, &lane, i);
        if (s && !first)
            first = s;
    }
    return first;
}

/* -------------------------------------------------------------------- arrays */

static pudle_status ref_fill(pudle_exec *exec, double value, const pudle_view *y)
{
    pudle_cview cy;
    const pudle_status s = host_check(exec, "fill", "y", host_const(y, &cy));
    for (int64_t i = 0; !s && i < pudle_count(&cy); i++)
        put(y, i, value);
    return s;
}

static pudle_status ref_copy(pudle_exec *exec, const pudle_cview *x, const pudle_view *y)
{
    pudle_cview cy;
    const pudle_status s = host_check_alike(exec, "copy", "x|y", (const pudle_cview *const[]){ x, host_const(y, &cy) }, 2);
    for (int64_t i = 0; !s && i < pudle_count(x); i++)
        put(y, i, get(x, i));
    return s;
}

/* y <- a x + b y. With b = 0 the old y is not read; a x is computed whatever a is, so that NaN goes through. */
static pudle_status ref_axpby(pudle_exec *exec, double a, const pudle_cview *x, double b, const pudle_view *y)
{
    pudle_cview cy;
    const pudle_status s = host_check_alike(exec, "axpby", "x|y", (const pudle_cview *const[]){ x, host_const(y, &cy) }, 2);
    for (int64_t i = 0; !s && i < pudle_count(x); i++)
        put(y, i, b == 0 ? a * get(x, i) : a * get(x, i) + b * get(&cy, i));
    return s;
}

static pudle_status ref_sign(pudle_exec *exec, const pudle_cview *x, const pudle_view *y)
{
    pudle_cview cy;
    const pudle_status s = host_check_alike(exec, "sign", "x|y", (const pudle_cview *const[]){ x, host_const(y, &cy) }, 2);
    for (int64_t i = 0; !s && i < pudle_count(x); i++) {
        const double v = get(x, i);
        put(y, i, v > 0 ? 1 : v < 0 ? -1 : v == 0 ? 0 : v);
    }
    return s;
}

static pudle_status ref_dot(pudle_exec *exec, const pudle_cview *x, const pudle_cview *y, double *sum)
{
    const pudle_status s = host_check_alike(exec, "dot", "x|y", (const pudle_cview *const[]){ x, y }, 2);
    if (s)
        return s;
    if (!sum)
        return FAIL(exec, PUDLE_ERR_ARG, "dot: no place for the result");
    double total = 0;
    for (int64_t i = 0; i < pudle_count(x); i++)
        total += get(x, i) * get(y, i);
    *sum = total;
    return PUDLE_OK;
}

/* NaN and infinities are counted in both. */
static pudle_status ref_census(pudle_exec *exec, const pudle_cview *x, int64_t *nonzero, int64_t *nonfinite)
{
    const pudle_status s = host_check(exec, "census", "x", x);
    if (s)
        return s;
    if (!nonzero || !nonfinite)
        return FAIL(exec, PUDLE_ERR_ARG, "census: no place for the results");
    int64_t filled = 0, bad = 0;
    for (int64_t i = 0; i < pudle_count(x); i++) {
        const double v = get(x, i);
        filled += v != 0;
        bad += !isfinite(v);
    }
    *nonzero = filled;
    *nonfinite = bad;
    return PUDLE_OK;
}

/* ------------------------------------------------------------------ matrices */

/* C <- a op(A) op(B) + b C. As in BLAS, a = 0 leaves A and B unread and b = 0 leaves C unread. A strip of one row is summed
 * at a time, so that the inner loop runs along rows of B. */
static pudle_status ref_gemm(pudle_exec *exec, bool trans_a, bool trans_b, double a, const pudle_cview *A,
                             const pudle_cview *B, double b, const pudle_view *C)
{
    enum { STRIP = 64 };
    host_gemm n;
    const pudle_status s = host_check_gemm(exec, trans_a, trans_b, A, B, C, &n);
    if (s)
        return s;
    const int64_t a_row = trans_a ? 1 : n.lda, a_col = trans_a ? n.lda : 1;
    const int64_t b_row = trans_b ? 1 : n.ldb, b_col = trans_b ? n.ldb : 1;
    const int64_t inner = a == 0 ? 0 : n.inner;
    for (int64_t i = 0; i < n.rows; i++)
        for (int64_t first = 0; first < n.cols; first += STRIP) {
            const int64_t width = n.cols - first < STRIP ? n.cols - first : STRIP;
            double sum[STRIP] = { 0 };
            for (int64_t k = 0; k < inner; k++) {
                const double aik = load(A->data, A->dtype, i * a_row + k * a_col);
                for (int64_t j = 0; j < width; j++)
                    sum[j] += aik * load(B->data, B->dtype, k * b_row + (first + j) * b_col);
            }
            for (int64_t j = 0; j < width; j++) {
                const int64_t c = i * n.ldc + first + j;
                const double product = inner > 0 ? a * sum[j] : 0;
                store(C->data, C->dtype, c, b == 0 ? product : product + b * load(C->data, C->dtype, c));
            }
        }
    return PUDLE_OK;
}

/* A slice s becomes s * norm / max(||s||, 1e-12). A slice with a NaN becomes NaN throughout. */
static pudle_status ref_normalize(pudle_exec *exec, int32_t axis, double norm, const pudle_view *w)
{
    const pudle_status s = host_check_normalize(exec, axis, norm, w);
    if (s)
        return s;
    const pudle_cview c = pudle_const(w);
    const int64_t slices = c.shape[axis], entries = slices ? pudle_count(&c) / slices : 0;
    for (int64_t i = 0; i < slices && entries; i++) {
        const int64_t first = axis == 1 ? i : at(&c, i * entries);
        const int64_t step = axis == 0 ? 1 : c.shape[0] > 1 ? c.stride[0] : 0;
        const double length = host_norm(&c, first, step, entries), scale = norm / (length < 1e-12 ? 1e-12 : length);
        for (int64_t k = 0; k < entries; k++)
            store(w->data, w->dtype, first + k * step, load(w->data, w->dtype, first + k * step) * scale);
    }
    return PUDLE_OK;
}

/* A slice g becomes g - <w, g>/<w, w> w, where w is not all zeros. */
static pudle_status ref_tangent(pudle_exec *exec, int32_t axis, const pudle_cview *w, const pudle_view *g)
{
    pudle_cview c;
    const pudle_status s = host_check_tangent(exec, axis, w, g);
    if (s)
        return s;
    host_const(g, &c);
    const int64_t slices = w->shape[axis], entries = slices ? pudle_count(w) / slices : 0;
    for (int64_t i = 0; i < slices; i++) {
        const int64_t first = axis == 1 ? i : i * entries, step = axis == 1 ? slices : 1; /* in the order of the entries, whatever their strides */
        double along = 0, squares = 0;
        for (int64_t k = 0; k < entries; k++) {
            const double wk = get(w, first + k * step);
            along += wk * get(&c, first + k * step);
            squares += wk * wk;
        }
        const double share = squares == 0 ? 0 : along / squares;
        for (int64_t k = 0; k < entries; k++)
            put(g, first + k * step, get(&c, first + k * step) - share * get(w, first + k * step));
    }
    return PUDLE_OK;
}

/* ---------------------------------------------------------------- optimisers */

/* buf <- mu buf + g;  w <- w - rate buf */
static pudle_status ref_momentum(pudle_exec *exec, double rate, double mu, const pudle_cview *g, const pudle_view *buf,
                                 const pudle_view *w)
{
    pudle_cview cb, cw;
    const pudle_cview *const all[] = { g, host_const(buf, &cb), host_const(w, &cw) };
    const pudle_status s = host_check_alike(exec, "momentum", "g|buf|w", all, 3);
    for (int64_t i = 0; !s && i < pudle_count(g); i++) {
        put(buf, i, mu * get(&cb, i) + get(g, i));
        put(w, i, get(&cw, i) - rate * get(&cb, i));
    }
    return s;
}

/* The formula stands at pudle_adam. */
static pudle_status ref_adam(pudle_exec *exec, const pudle_adam *how, const pudle_cview *g, const pudle_view *m,
                             const pudle_view *v, const pudle_view *w)
{
    pudle_cview cm, cv, cw;
    const pudle_cview *const all[] = { g, host_const(m, &cm), host_const(v, &cv), host_const(w, &cw) };
    pudle_status s = host_check_adam(exec, how);
    if (!s)
        s = host_check_alike(exec, "adam", "g|m|v|w", all, 4);
    if (s)
        return s;
    const double b1 = how->beta1, b2 = how->beta2, k = (double)how->update;
    const double rate = how->rate / (1 - pow(b1, k)), root = sqrt(1 - pow(b2, k));
    for (int64_t i = 0; i < pudle_count(g); i++) {
        const double gi = get(g, i);
        put(m, i, b1 * get(&cm, i) + (1 - b1) * gi);
        put(v, i, b2 * get(&cv, i) + (1 - b2) * gi * gi);
        put(w, i, get(&cw, i) - rate * get(&cm, i) / (sqrt(get(&cv, i)) / root + how->epsilon));
    }
    return PUDLE_OK;
}

static const pudle_backend_ops ops = {
    .size = sizeof(pudle_backend_ops),
    .targets = host_targets,
    .open = ref_open,
    .close = ref_close,
    .describe = ref_describe,
    .plan = ref_plan,
    .run = ref_run,
    .sync = host_sync,
    .alloc = host_alloc,
    .free = host_free,
    .upload = host_transfer,
    .download = host_transfer,
    .fill = ref_fill,
    .copy = ref_copy,
    .axpby = ref_axpby,
    .sign = ref_sign,
    .dot = ref_dot,
    .census = ref_census,
    .gemm = ref_gemm,
    .normalize = ref_normalize,
    .momentum = ref_momentum,
    .adam = ref_adam,
    .prox_apply = host_prox_apply,
    .prox_vjp = host_prox_vjp,
    .loss_value = host_loss_value,
    .loss_grad = host_loss_grad,
    .loss_hvp = host_loss_hvp,
    .loss_mean = host_loss_mean,
    .code_value = host_code_value,
    .code_grad = host_code_grad,
    .get_ext = host_get_ext,
    .conv_apply = ref_conv_apply,
    .conv_adjoint = ref_conv_adjoint,
    .conv_gradient = ref_conv_gradient,
    .tangent = ref_tangent,
};

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_BACKEND,
    .name = "ref",
    .version = "1.0.0",
    .summary = "Reference backend: plain loops on one thread, sums in double; the oracle of the others",
    .license = "MIT",
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
