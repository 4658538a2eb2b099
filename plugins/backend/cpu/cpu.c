/* The cpu backend: matrix products by BLIS or wide.c, everything else as loops over arrays, lanes side by side on a pool of threads. */
#include "cpu.h"
#include "pool.h"
#include "unroll.h"
#include "unroll_gram.h"
#include "wide.h"
#include "wide_bytes.h"
#include <math.h>
#include <stdio.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

enum vectors { VECTORS_AUTO, VECTORS_NARROW };

typedef struct params {
    int64_t threads;
    const char *arch;
    int32_t unroll, vectors;
} params;

/* Processors this process may run on. */
static int processors(void)
{
#ifdef CPU_COUNT
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set) && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
#endif
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

typedef struct parts_call { cpu_body body; void *ctx; } parts_call;

static void call_part(void *ctx, int64_t part, int thread)
{
    const parts_call *call = ctx;
    (void)thread;
    call->body(call->ctx, part);
}

void cpu_parts(const pudle_exec *exec, int64_t parts, cpu_body body, void *ctx)
{
    parts_call call = { body, ctx };
    cpu_pool_run(exec->pool, exec->threads, parts, call_part, &call);
}

void cpu_share(const pudle_exec *exec, int64_t parts, double work, cpu_body body, void *ctx)
{
    const pudle_exec alone = cpu_alone(exec);
    cpu_parts(work < 262144 ? &alone : exec, parts, body, ctx);
}

/* -------------------------------------------------------- life and execution */

static pudle_status cpu_open(const pudle_host *host, const void *self, pudle_exec **exec)
{
    const params *p = self;
    const pudle_status s = cpu_arch_select(host, p && p->arch ? p->arch : "");
    if (s)
        return s;
    const int threads = p && p->threads > 0 ? (int)p->threads : processors();
    pudle_exec *made = host->alloc(host->ctx, (size_t)(1 + threads) * sizeof *made);
    if (!made)
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "out of memory for %d threads", threads);
    cpu_pool *pool = cpu_pool_create(threads);
    if (!pool) {
        host->free(host->ctx, made);
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "out of memory for %d threads", threads);
    }
    if (cpu_pool_threads(pool) < threads)
        host->log(host->ctx, PUDLE_LOG_WARNING, "backend.threads: the system gives no more than %d of %d threads; results are the same", cpu_pool_threads(pool),
                  threads);
    made[0] = (pudle_exec){ .host = host, .threads = threads, .unroll = p ? p->unroll : 0, .wide = (!p || p->vectors == VECTORS_AUTO) && wide_here(), .pool = pool, .lane = made + 1 };
    for (int i = 1; i <= threads; i++)
        made[i] = cpu_alone(&made[0]);
    *exec = made;
    return PUDLE_OK;
}

static void cpu_close(pudle_exec *exec)
{
    if (!exec || !exec->lane)
        return;
    cpu_pool_destroy(exec->pool);
    for (int i = 0; i <= exec->threads; i++)
        host_scratch_free(&exec[i]);
    exec->host->free(exec->host->ctx, exec);
}

static void cpu_describe(pudle_exec *exec, char *text, size_t size)
{
    if (!size)
        return;
    cpu_arch_describe(text, size);
    const size_t used = strlen(text);
    if (exec)
        snprintf(text + used, size - used, "\nproducts: %s%s\n threads: %d of %d processors",
                 exec->wide ? "by pudle in vectors of 512 bits, B transposed by BLIS" : "by BLIS", exec->wide && bytes_here() ? ", bounds in bytes" : "",
                 cpu_pool_threads(exec->pool), processors());
}

static int64_t clamp(double value, int64_t low, int64_t high)
{
    return value < (double)low ? low : value > (double)high ? high : (int64_t)value;
}

/* Cut by shape alone. A row of a block keeps about two arrays of `features` and three of `code` at hand in a layer.
 * - Lanes: 1, 2, 4, 8 or 16, the most for which a lane still has 12 rows (fewer where a row is so large, as with images,
 *   that 256 KiB hold fewer): below that, reading the dictionary costs more than the work on it.
 *   But one lane, with all threads inside, for a batch of at most 256 rows and a dictionary of more than 1 MiB: each lane
 *   would bring all of it through the cache for its few rows.
 * - Rows of a block: as many as keep it in half of a 1 MiB second-level cache, but 32 to 256, and the lanes' shares cut into
 *   equal blocks, so that no lane ends with a stump.
 * - A wish for little memory makes lanes fewer, until what they have beside their blocks takes half of it, and blocks smaller, down to
 *   the same 32 (1 for images), until the tapes of all lanes take half of it. */
static pudle_status cpu_plan(pudle_exec *exec, const pudle_work *work, int64_t *rows, int64_t *lanes)
{
    const pudle_status s = host_check_work(exec, work);
    if (s)
        return s;
    const int64_t n = work->samples > 0 ? work->samples : 1;
    if (work->whole) {
        *rows = n;
        *lanes = 1;
        return PUDLE_OK;
    }
    const double width = (double)pudle_dtype_size(work->dtype), m = (double)work->features, p = (double)work->code;
    const double row = width * (2 * m + 3 * p) + 1;
    /* A dictionary of more than 1 GiB is none: codes are maps over an image, and a sample is work enough for a block. */
    const bool maps = width * m * p > 1073741824.0;
    const int64_t least = clamp(maps ? 262144 / row : 12, 1, 12), few = clamp(524288 / row, maps ? 1 : 32, 256);
    /* Many layers: the tape of a block stays near 16 MiB, half of the entries kept; or near 4 MiB, in the cache, where an unroll for few
     * atoms keeps two arrays of code as they are (three with momentum, of which a plan knows nothing). */
    const bool atoms_few = exec->unroll < UNROLL_ROWS && unroll_few_atoms(work->code, work->layers);
    const double tape = width * p * (atoms_few ? 2 : 0.5) * (double)(work->layers > 0 ? work->layers : 1);
    const bool alone = !maps && width * m * p > 1048576 && n <= 256;
    int64_t used = 1;
    while (!alone && used < 16 && n / (2 * used) >= least)
        used *= 2;
    /* what an encoder of ours has for a lane beside its blocks: outer products in the size of a Gram matrix, where they can pay */
    const bool wished = PUDLE_HAS(work, pudle_work, memory) && work->memory > 0;
    const bool gathers = exec->unroll != UNROLL_NONE && !maps && gram_gradient_enough(work->code, work->layers, n);
    while (wished && gathers && used > 1 && (double)used * width * p * (p + m) > 0.5 * (double)work->memory)
        used /= 2;
    double limit = atoms_few ? 4194304 : 16777216;
    const double wish = wished ? (double)work->memory / (2 * (double)used) : INFINITY;
    if (wish < limit)
        limit = wish;
    const int64_t fit = clamp(limit / tape, maps ? 1 : 32, 256), most = few < fit ? few : fit;
    if (alone && (double)n * tape <= wish) {
        *rows = n;
        *lanes = 1;
        return PUDLE_OK;
    }
    const int64_t turns = (n + used * most - 1) / (used * most);
    int64_t block = (n + used * turns - 1) / (used * turns);
    if (block % 3 == 1 && block > 1) /* a lone last row is slow, see gemm.c */
        block += block < most ? 1 : -1;
    *rows = block;
    *lanes = used;
    return PUDLE_OK;
}

typedef struct lanes_call {
    pudle_exec *exec;
    pudle_lane_fn fn;
    void *ctx;
    pthread_mutex_t lock;
    int64_t index; /* of the first lane that failed */
    pudle_status status;
} lanes_call;

static void run_lane(lanes_call *call, pudle_exec *lane, int64_t i)
{
    const pudle_status s = call->fn(call->ctx, lane, i);
    if (!s)
        return;
    pthread_mutex_lock(&call->lock);
    if (!call->status || i < call->index) {
        call->index = i;
        call->status = s;
    }
    pthread_mutex_unlock(&call->lock);
}

static void call_lane(void *ctx, int64_t i, int thread)
{
    lanes_call *call = ctx;
    run_lane(call, &call->exec->lane[thread], i);
}

static pudle_status cpu_run(pudle_exec *exec, int64_t lanes, pudle_lane_fn fn, void *ctx)
{
    if (!exec)
        return PUDLE_ERR_ARG;
    if (lanes < 0 || !fn)
        return FAIL(exec, PUDLE_ERR_ARG, "run: %lld lanes; the number must be >= 0 and the function given",
                    (long long)lanes);
    lanes_call call = { .exec = exec, .fn = fn, .ctx = ctx, .lock = PTHREAD_MUTEX_INITIALIZER };
    if (exec->lane && lanes > 1)
        cpu_pool_run(exec->pool, exec->threads, lanes, call_lane, &call);
    else
        for (int64_t i = 0; i < lanes; i++) /* one lane alone has all threads */
            run_lane(&call, exec, i);
    return call.status;
}

static const void *cpu_get_ext(pudle_exec *exec, const char *id)
{
    (void)exec;
    return id && !strcmp(id, PUDLE_UNROLL) ? &cpu_unroll_ops : NULL;
}

static const char widths[] = "auto|narrow"; /* enum vectors */
static const char ways[] = "auto|tiles|rows|none"; /* enum unroll_way */

static const pudle_option options[] = {
    { "threads", PUDLE_INT, 0, offsetof(params, threads), "0", 0, 1024, NULL, "threads",
      "Threads to compute with; 0: as many as there are processors this process may use. Results do not depend on it." },
    { "arch", PUDLE_STRING, 0, offsetof(params, arch), "", 0, 0, NULL, NULL,
      "Kernels of BLIS by name (skx, haswell, zen3 ...), for what BLIS multiplies (see vectors); empty: its own choice, or the best where it knows not "
      "the CPU." },
    { "unroll", PUDLE_ENUM, 0, offsetof(params, unroll), "auto", 0, 0, ways, NULL,
      "How the layers of an encoder with a dense dictionary are computed together, where they are; for comparisons, the result is the same. auto: by "
      "cost; tiles: some samples side by side, for few atoms; rows: each sample on its own, for many; none: one operation after the other." },
    { "vectors", PUDLE_ENUM, 0, offsetof(params, vectors), "auto", 0, 0, widths, NULL,
      "For comparisons. auto: the kernels written for vectors of 512 bits where the processor has them, matrix products among them; narrow: none of "
      "these, and all matrix products by BLIS." },
    { NULL, 0, 0, 0, NULL, 0, 0, NULL, NULL, NULL }
};

static const pudle_backend_ops ops = {
    .size = sizeof(pudle_backend_ops),
    .targets = host_targets,
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .plan = cpu_plan,
    .run = cpu_run,
    .sync = host_sync,
    .alloc = host_alloc,
    .free = host_free,
    .upload = host_transfer,
    .download = host_transfer,
    .fill = cpu_fill,
    .copy = cpu_copy,
    .axpby = cpu_axpby,
    .sign = cpu_sign,
    .dot = cpu_dot,
    .census = cpu_census,
    .gemm = cpu_gemm,
    .normalize = cpu_normalize,
    .tangent = cpu_tangent,
    .momentum = cpu_momentum,
    .adam = cpu_adam,
    .prox_apply = host_prox_apply,
    .prox_vjp = host_prox_vjp,
    .loss_value = host_loss_value,
    .loss_grad = host_loss_grad,
    .loss_hvp = host_loss_hvp,
    .loss_mean = host_loss_mean,
    .code_value = host_code_value,
    .code_grad = host_code_grad,
    .get_ext = cpu_get_ext,
    .conv_apply = cpu_conv_apply,
    .conv_adjoint = cpu_conv_adjoint,
    .conv_gradient = cpu_conv_gradient,
};

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_BACKEND,
    .name = "cpu",
    .version = "1.0.0",
    .summary = "Processor cores: matrix products by BLIS or in vectors of 512 bits, a pool of threads; the same bits on any number of threads",
    .cite = "Van Zee, van de Geijn 2015, doi:10.1145/2764454",
    .license = "MIT",
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
