/* The machine's ceilings as the backend itself reaches them: its own matrix product and its own y <- a x + b y, one to a lane and as many
 * lanes as it has threads. The best repetition counts: a ceiling is what is possible, not what is usual. */
#include "speed/speed.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MOST = 1024, REPEATS = 3, SIZE_LEAST = 256, SIZE_MOST = 4096 };
static const double long_enough = 0.03; /* seconds of one call, from where a larger one is hardly faster */
static const size_t array_bytes = (size_t)256 << 20; /* each of two: more than the last cache of any processor we know */

/* ------------------------------------------------------------------- threads */

typedef struct roll { pthread_mutex_t lock; pthread_t seen[THREADS_MOST]; int count; } roll;

/* Sleeps, so that no thread takes all lanes. */
static pudle_status call(void *ctx, pudle_exec *lane, int64_t index)
{
    roll *r = ctx;
    const struct timespec wait = { 0, 1000000 };
    (void)lane, (void)index;
    nanosleep(&wait, NULL);
    pthread_mutex_lock(&r->lock);
    int i = 0;
    while (i < r->count && !pthread_equal(r->seen[i], pthread_self()))
        i++;
    if (i == r->count && i < THREADS_MOST)
        r->seen[r->count++] = pthread_self();
    pthread_mutex_unlock(&r->lock);
    return PUDLE_OK;
}

static pudle_status count_threads(const pd_problem *pb, int *threads)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    roll *r = pd_alloc(1, sizeof *r);
    if (!r)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory");
    pthread_mutex_init(&r->lock, NULL);
    const pudle_status s = pb->be->run(pb->exec, processors > 16 ? 4 * processors : 64, call, r);
    *threads = r->count;
    pthread_mutex_destroy(&r->lock);
    free(r);
    return s;
}

/* -------------------------------------------------------------------- lanes */

/* Two arrays and, for products, one a lane. */
typedef struct load {
    const pd_problem *pb;
    int64_t lanes, n; /* n: side of the matrices, or entries of an array */
    pudle_view a, b, c;
} load;

static pudle_status multiply(void *ctx, pudle_exec *lane, int64_t index)
{
    const load *l = ctx;
    const pudle_cview a = pudle_const(&l->a), b = pudle_const(&l->b);
    const pudle_view c = pd_rows(&l->c, index * l->n, l->n);
    return l->pb->be->gemm(lane, false, false, 1.0, &a, &b, 0.0, &c);
}

static pudle_status add(void *ctx, pudle_exec *lane, int64_t index)
{
    const load *l = ctx;
    const int64_t first = index * l->n / l->lanes, count = (index + 1) * l->n / l->lanes - first;
    const pudle_view x = pd_rows(&l->a, first, count), y = pd_rows(&l->b, first, count);
    const pudle_cview cx = pudle_const(&x);
    return l->pb->be->axpby(lane, 0.5, &cx, 0.5, &y);
}

static pudle_status take(const pd_problem *pb, int64_t rows, int64_t cols, double value, pudle_view *v)
{
    void *memory = NULL;
    const pudle_status s = pb->be->alloc(pb->exec, (size_t)(rows * cols) * pudle_dtype_size(pb->dtype), &memory);
    if (s)
        return s;
    *v = pd_matrix(memory, pb->dtype, rows, cols);
    return pb->be->fill(pb->exec, value, v);
}

static void drop(load *l)
{
    pudle_view *const views[] = { &l->a, &l->b, &l->c };
    for (size_t i = 0; i < sizeof views / sizeof *views; i++)
        if (views[i]->data)
            l->pb->be->free(l->pb->exec, views[i]->data);
}

/* The shortest of some repetitions, after one that warms up. */
static pudle_status shortest(load *l, pudle_lane_fn work, double *seconds)
{
    const pudle_backend_ops *be = l->pb->be;
    pudle_status s = PUDLE_OK;
    for (int i = 0; i <= REPEATS && !s; i++) {
        const double start = pd_now();
        s = be->run(l->pb->exec, l->lanes, work, l);
        if (!s)
            s = be->sync(l->pb->exec);
        const double took = pd_now() - start;
        if (i == 1 || (i > 1 && took < *seconds))
            *seconds = took;
    }
    return s;
}

static pudle_status products(const pd_problem *pb, int64_t lanes, double *rate)
{
    double seconds = 0;
    pudle_status s = PUDLE_OK;
    for (int64_t n = SIZE_LEAST; n <= SIZE_MOST && seconds < long_enough && !s; n *= 2) {
        load l = { .pb = pb, .lanes = lanes, .n = n };
        s = take(pb, n, n, 0.5, &l.a);
        if (!s)
            s = take(pb, n, n, 0.25, &l.b);
        if (!s)
            s = take(pb, lanes * n, n, 0.0, &l.c);
        if (!s)
            s = shortest(&l, multiply, &seconds);
        drop(&l);
        const double now = 2.0 * (double)lanes * (double)n * (double)n * (double)n / seconds;
        if (!s && now > *rate)
            *rate = now;
    }
    return s;
}

static pudle_status additions(const pd_problem *pb, int64_t lanes, double *rate)
{
    const int64_t n = (int64_t)(array_bytes / pudle_dtype_size(pb->dtype));
    load l = { .pb = pb, .lanes = lanes, .n = n };
    double seconds = 0;
    pudle_status s = take(pb, n, 1, 0.5, &l.a);
    if (!s)
        s = take(pb, n, 1, 0.25, &l.b);
    if (!s)
        s = shortest(&l, add, &seconds);
    drop(&l);
    *rate = s ? 0 : 3.0 * (double)array_bytes / seconds;
    return s;
}

pudle_status pd_ceiling_measure(const pd_problem *pb, pd_ceiling *ceiling)
{
    *ceiling = (pd_ceiling){ 0 };
    pudle_status s = count_threads(pb, &ceiling->threads);
    if (!s)
        s = products(pb, ceiling->threads, &ceiling->flops);
    return s ? s : additions(pb, ceiling->threads, &ceiling->bytes);
}
