/* The cuda backend: life of a device, memory, errors. Work is queued on one stream in the order it is asked for; lanes follow one
 * another, as a block of a batch fills a GPU by itself. */
#include "cuda.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ errors */

/* What was queued since the last sync, newest last; an asynchronous error is one of theirs. */
static void recent(const cuda_exec *e, char *text, size_t size)
{
    const int64_t first = e->queued_count > CUDA_NAMES ? e->queued_count - CUDA_NAMES : 0;
    size_t used = 0;
    *text = '\0';
    for (int64_t i = first; i < e->queued_count && used + 1 < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > first ? ", " : "", e->queued[i % CUDA_NAMES]);
}

pudle_status cuda_failed(cuda_exec *e, const char *op, const cuda_fault *why)
{
    char names[256];
    if (e->recording)
        snprintf(e->unrecorded, sizeof e->unrecorded, "%s: %s", op, why->text);
    if (why->status == PUDLE_ERR_NOMEM)
        return FAIL(&e->base, why->status, "%s: out of memory on the device: %s; use a smaller batch or fewer layers", op, why->text);
    recent(e, names, sizeof names);
    if (e->set.synchronous || e->queued_count < 2)
        return FAIL(&e->base, why->status, "%s: %s", op, why->text);
    return FAIL(&e->base, why->status,
                "%s: %s; the last operations queued were %s, and with backend.synchronous = true an error names the one that failed", op,
                why->text, names);
}

pudle_status cuda_begin(cuda_exec *e, const char *op)
{
    cuda_fault why;
    if (!cuda.bind(e->gpu, &why))
        return cuda_failed(e, op, &why);
    e->queued[e->queued_count++ % CUDA_NAMES] = op;
    return PUDLE_OK;
}

static pudle_status wait_for(cuda_exec *e, const char *op)
{
    cuda_fault why;
    if (!cuda.sync(e->gpu, &why))
        return cuda_failed(e, op, &why);
    e->queued_count = 0;
    return PUDLE_OK;
}

pudle_status cuda_end(cuda_exec *e, const char *op)
{
    return e->set.synchronous ? wait_for(e, op) : PUDLE_OK;
}

/* ----------------------------------------------------------------- kernels */

int64_t cuda_blocks(int64_t n)
{
    const int64_t blocks = (n + CUDA_BLOCK - 1) / CUDA_BLOCK;
    return blocks < 1 ? 1 : blocks > 65536 ? 65536 : blocks;
}

int64_t cuda_reduction(int64_t n)
{
    const int64_t blocks = (n + 4 * CUDA_BLOCK - 1) / (4 * CUDA_BLOCK);
    return blocks < 1 ? 1 : blocks > 1024 ? 1024 : blocks;
}

pudle_status cuda_start(cuda_exec *e, const char *op, cuda_kernel *kernel, int64_t blocks, void **arguments)
{
    cuda_fault why;
    return cuda.launch(e->gpu, kernel, blocks, CUDA_BLOCK, arguments, &why) ? PUDLE_OK : cuda_failed(e, op, &why);
}

pudle_status cuda_room(cuda_exec *e, const char *op, cuda_buffer *b, size_t bytes)
{
    cuda_fault why;
    void *more = NULL;
    if (bytes <= b->bytes)
        return PUDLE_OK;
    if (!cuda.alloc(e->gpu, bytes, &more, &why))
        return cuda_failed(e, op, &why);
    if (b->at)
        cuda.free(e->gpu, b->at);
    *b = (cuda_buffer){ more, bytes };
    return PUDLE_OK;
}

static pudle_status sum_rows(cuda_exec *e, const char *op, const double *partial, int64_t rows, int64_t cols, double *out, int add)
{
    long long n = cols;
    void *arguments[] = { &partial, &n, &out, &add };
    return cuda_start(e, op, e->sum_rows, rows, arguments);
}

/* Wait for the sums, and bring them to their places. */
static pudle_status deliver(cuda_exec *e, const char *op)
{
    cuda_fault why;
    const int64_t count = e->awaited_count;
    e->awaited_count = 0;
    if (!count)
        return PUDLE_OK;
    if (!cuda.download(e->gpu, e->result, e->device_result, (size_t)count * sizeof *e->result, &why))
        return cuda_failed(e, op, &why);
    e->queued_count = 0;
    for (int64_t i = 0; i < count; i++) {
        if (e->awaited[i].real)
            *e->awaited[i].real = e->result[i];
        else
            *e->awaited[i].whole = (int64_t)e->result[i];
    }
    return PUDLE_OK;
}

pudle_status cuda_collect(cuda_exec *e, const char *op, const double *partial, int64_t rows, int64_t cols, const cuda_sum to[])
{
    pudle_status s = e->awaited_count + rows > CUDA_RESULTS ? deliver(e, op) : PUDLE_OK;
    if (!s)
        s = sum_rows(e, op, partial, rows, cols, e->device_result + e->awaited_count, 0);
    if (s)
        return s;
    for (int64_t i = 0; i < rows; i++)
        e->awaited[e->awaited_count++] = to[i];
    return e->deferring && !e->set.synchronous ? PUDLE_OK : deliver(e, op);
}

size_t cuda_reserved_use(cuda_exec *e, const cuda_reserved *r)
{
    uint32_t used[2] = { 0, 0 };
    cuda_fault why;
    if (!r->used || !cuda.bind(e->gpu, &why) || !cuda.download(e->gpu, used, r->used, sizeof used, &why))
        return 0;
    return (used[0] > used[1] ? used[0] : used[1]) * r->width;
}

static size_t peak(pudle_exec *exec)
{
    if (!exec)
        return 0;
    cuda_exec *e = cuda_of(exec);
    size_t now = 0;
    for (const cuda_reserved *r = e->reserved; r; r = r->next)
        now += cuda_reserved_use(e, r);
    return cuda.peak(e->gpu) + (now > e->reserved_peak ? now : e->reserved_peak);
}

static void defer(pudle_exec *exec, bool on)
{
    if (exec)
        cuda_of(exec)->deferring = on;
}

/* By way of pinned memory, so that nobody waits: for the device to be done with what was queued before, or for the copy. */
pudle_status cuda_send(cuda_exec *e, const char *op, void *to, const void *host, size_t bytes)
{
    cuda_fault why;
    for (size_t at = 0; at < bytes; at += CUDA_STAGE_BYTES) {
        cuda_stage *const stage = &e->stage[e->next_stage];
        const size_t some = bytes - at < CUDA_STAGE_BYTES ? bytes - at : CUDA_STAGE_BYTES;
        e->next_stage = (e->next_stage + 1) % CUDA_STAGES;
        if (stage->pinned ? stage->mark && !cuda.await(e->gpu, stage->mark, &why) : !cuda.pin(e->gpu, CUDA_STAGE_BYTES, &stage->pinned, &why))
            return cuda_failed(e, op, &why);
        memcpy(stage->pinned, (const char *)host + at, some);
        if (!cuda.upload(e->gpu, (char *)to + at, stage->pinned, some, &why) || !cuda.mark(e->gpu, &stage->mark, &why))
            return cuda_failed(e, op, &why);
    }
    return PUDLE_OK;
}

pudle_status cuda_add_sums(cuda_exec *e, const char *op, const double *partial, int64_t rows, int64_t cols, double *out)
{
    return sum_rows(e, op, partial, rows, cols, out, 1);
}

static bool load_kernels(cuda_exec *e, cuda_fault *why)
{
    static const char *const names[CUDA_KERNELS] = { "fill", "axpby", "sign", "dot", "census", "normalize", "tangent", "momentum", "adam", "outer", "unfold", "symmetric",
                                                     "arrange", "image", "codes", "filters", "parts" };
    const void *image = NULL;
    size_t bytes = 0;
    char name[64];
    if (!cuda.image(&image, &bytes, why) || !cuda.load(e->gpu, image, bytes, &e->module, why) ||
        !cuda.find(e->gpu, e->module, "pudle_sum_rows", &e->sum_rows, why) || !cuda.find(e->gpu, e->module, "pudle_tape_begin", &e->tape_begin, why))
        return false;
    for (int wide = 0; wide < 2; wide++)
        for (int i = 0; i < CUDA_KERNELS; i++) {
            snprintf(name, sizeof name, "pudle_%s_%s", names[i], wide ? "f64" : "f32");
            if (!cuda.find(e->gpu, e->module, name, &e->kernel[wide][i], why))
                return false;
        }
    return true;
}

/* -------------------------------------------------------- life and execution */

static void buffer_free(cuda_exec *e, cuda_buffer *b)
{
    if (b->at)
        cuda.free(e->gpu, b->at);
    *b = (cuda_buffer){ NULL, 0 };
}

static void close_exec(pudle_exec *exec)
{
    if (!exec)
        return;
    cuda_exec *e = cuda_of(exec);
    const pudle_host *host = e->base.host;
    cuda_fault why;
    if (e->gpu) {
        (void)cuda.bind(e->gpu, &why);
        (void)cuda.sync(e->gpu, &why);
        cuda_plugins_free(e);
        cuda_choices_free(e);
        buffer_free(e, &e->partial);
        buffer_free(e, &e->packed[0]);
        buffer_free(e, &e->packed[1]);
        buffer_free(e, &e->workspace);
        if (e->device_result)
            cuda.free(e->gpu, e->device_result);
        if (e->result)
            cuda.unpin(e->gpu, e->result);
        for (int i = 0; i < CUDA_STAGES; i++) {
            if (e->stage[i].mark)
                cuda.unmark(e->gpu, e->stage[i].mark);
            if (e->stage[i].pinned)
                cuda.unpin(e->gpu, e->stage[i].pinned);
        }
        if (e->module)
            cuda.unload(e->gpu, e->module);
        cuda.close(e->gpu);
    }
    host_scratch_free(&e->base);
    host->free(host->ctx, e);
}

static pudle_status open_failed(cuda_exec *e, const cuda_fault *why)
{
    const pudle_host *host = e->base.host;
    const long long device = (long long)e->set.device;
    const bool memory = why->status == PUDLE_ERR_NOMEM;
    const pudle_status s =
        memory ? host->fail(host->ctx, why->status, "device %lld is out of memory: %s", device, why->text)
               : host->fail(host->ctx, why->status,
                            "device %lld cannot be used: %s; see what nvidia-smi lists and set backend.device, or run without a GPU: "
                            "--set backend.name=cpu",
                            device, why->text);
    close_exec(&e->base);
    return s;
}

static pudle_status open_exec(const pudle_host *host, const void *self, pudle_exec **exec)
{
    const cuda_params *p = self;
    cuda_fault why = { PUDLE_ERR_INTERNAL, "" };
    void *result = NULL, *device_result = NULL;
    cuda_exec *e = host->alloc(host->ctx, sizeof *e);
    if (!e)
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "out of memory for the backend");
    memset(e, 0, sizeof *e);
    e->base.host = host;
    e->base.threads = 1;
    if (p)
        e->set = *p;
    const bool good = cuda.open(e->set.device, e->set.tf32, &e->gpu, &e->facts, &why) && load_kernels(e, &why) &&
                      cuda.pin(e->gpu, CUDA_RESULTS * sizeof(double), &result, &why);
    e->result = result;
    const bool all = good && cuda.alloc(e->gpu, CUDA_RESULTS * sizeof(double), &device_result, &why);
    e->device_result = device_result;
    if (!all)
        return open_failed(e, &why);
    *exec = &e->base;
    return PUDLE_OK;
}

static void describe(pudle_exec *exec, char *text, size_t size)
{
    char libraries[512] = "", folder[4096] = "";
    const cuda_exec *e = exec ? cuda_of(exec) : NULL;
    if (!size)
        return;
    *text = '\0';
    if (!e)
        return;
    cuda.libraries(e->gpu, libraries, sizeof libraries);
    const bool kept = cuda_cache_folder(folder, sizeof folder);
    snprintf(text, size,
             "device: %s, %.1f GiB, %d multiprocessors\n number: %lld\ncompute capability: %d.%d\ndriver: for CUDA %d.%d; runtime: CUDA %d.%d\n%s\nfloat products: "
             "%s\n compiled kernels: %s",
             e->facts.name, (double)e->facts.memory / 1073741824.0, e->facts.multiprocessors, (long long)e->set.device, e->facts.major, e->facts.minor,
             e->facts.driver / 1000, e->facts.driver / 10 % 100, e->facts.runtime / 1000, e->facts.runtime / 10 % 100, libraries,
             e->facts.tf32 ? "TF32" : "f32", kept ? folder : "not kept, neither XDG_CACHE_HOME nor HOME is set");
}

/* A block takes as many samples as fill a card: 2^21 entries of codes, or what 128 MiB hold with all layers if that is more; and no more than 2 GiB hold, or
 * a wish for less memory allows. Equal blocks, one lane. */
void cuda_cut(const pudle_work *work, int64_t *rows, int64_t *lanes)
{
    const int64_t n = work->samples > 0 ? work->samples : 1;
    const double width = (double)pudle_dtype_size(work->dtype), layers = (double)work->layers + 4;
    const double row = width * layers * ((double)work->features + 2 * (double)work->code) + 1;
    const double wish = PUDLE_HAS(work, pudle_work, memory) && work->memory > 0 ? (double)work->memory : INFINITY;
    const double fills = fmax(134217728.0 / row, 2097152.0 / (double)(work->code > 0 ? work->code : 1)), most = fmin(fmin(wish, 2147483648.0) / row, fills);
    *rows = n;
    *lanes = 1;
    if (work->whole || (double)n <= most)
        return;
    const int64_t fit = most < 1 ? 1 : (int64_t)most, blocks = (n + fit - 1) / fit;
    *rows = (n + blocks - 1) / blocks;
}

static pudle_status plan(pudle_exec *exec, const pudle_work *work, int64_t *rows, int64_t *lanes)
{
    const pudle_status s = host_check_work(exec, work);
    if (!s)
        cuda_cut(work, rows, lanes);
    return s;
}

static pudle_status run(pudle_exec *exec, int64_t lanes, pudle_lane_fn fn, void *ctx)
{
    pudle_status first = PUDLE_OK;
    if (!exec)
        return PUDLE_ERR_ARG;
    if (lanes < 0 || !fn)
        return FAIL(exec, PUDLE_ERR_ARG, "run: %lld lanes; the number must be >= 0 and the function given", (long long)lanes);
    for (int64_t i = 0; i < lanes; i++) {
        const pudle_status s = fn(ctx, exec, i);
        if (s && !first)
            first = s;
    }
    return first;
}

static pudle_status sync_exec(pudle_exec *exec)
{
    cuda_fault why;
    if (!exec)
        return PUDLE_ERR_ARG;
    cuda_exec *e = cuda_of(exec);
    if (!cuda.bind(e->gpu, &why))
        return cuda_failed(e, "sync", &why);
    return e->awaited_count ? deliver(e, "sync") : wait_for(e, "sync"); /* a download waits for all that is queued */
}

/* ------------------------------------------------------------------ memory */

static pudle_status alloc_memory(pudle_exec *exec, size_t bytes, void **memory)
{
    cuda_fault why;
    if (!exec || !memory)
        return exec ? FAIL(exec, PUDLE_ERR_ARG, "alloc: no place for the result") : PUDLE_ERR_ARG;
    cuda_exec *e = cuda_of(exec);
    if (cuda.bind(e->gpu, &why) && cuda.alloc(e->gpu, bytes, memory, &why))
        return PUDLE_OK;
    if (why.status == PUDLE_ERR_NOMEM)
        return FAIL(exec, PUDLE_ERR_NOMEM, "out of memory for %.1f MiB on the device: %s; use a smaller batch or fewer layers",
                    (double)bytes / 1048576.0, why.text);
    return cuda_failed(e, "alloc", &why);
}

static void free_memory(pudle_exec *exec, void *memory)
{
    cuda_fault why;
    if (exec && memory && cuda.bind(cuda_of(exec)->gpu, &why))
        cuda.free(cuda_of(exec)->gpu, memory);
}

/* Begin a copy of `bytes` bytes; none: there is nothing to do. */
static pudle_status begin_transfer(pudle_exec *exec, const char *op, const void *to, const void *from, size_t bytes)
{
    if (!exec)
        return PUDLE_ERR_ARG;
    if (bytes && (!to || !from))
        return FAIL(exec, PUDLE_ERR_ARG, "%s of %zu bytes: %s is NULL", op, bytes, to ? "the source" : "the destination");
    return bytes ? cuda_begin(cuda_of(exec), op) : PUDLE_OK;
}

static pudle_status upload(pudle_exec *exec, void *to, const void *from, size_t bytes)
{
    static const char op[] = "upload";
    pudle_status s = begin_transfer(exec, op, to, from, bytes);
    if (s || !bytes)
        return s;
    s = cuda_send(cuda_of(exec), op, to, from, bytes);
    return s ? s : cuda_end(cuda_of(exec), op);
}

static pudle_status download(pudle_exec *exec, void *to, const void *from, size_t bytes)
{
    static const char op[] = "download";
    cuda_fault why;
    const pudle_status s = begin_transfer(exec, op, to, from, bytes);
    if (s || !bytes)
        return s;
    cuda_exec *e = cuda_of(exec);
    if (!cuda.download(e->gpu, to, from, bytes, &why))
        return cuda_failed(e, op, &why);
    e->queued_count = 0;
    return PUDLE_OK;
}

static const void *get_ext(pudle_exec *exec, const char *id)
{
    (void)exec;
    return id && !strcmp(id, PUDLE_UNROLL) ? &cuda_unroll_ops : NULL;
}

static const pudle_option options[] = {
    { "device", PUDLE_INT, 0, offsetof(cuda_params, device), "0", 0, 1023, NULL, NULL, "Which GPU, as CUDA counts those that CUDA_VISIBLE_DEVICES leaves." },
    { "tf32", PUDLE_BOOL, 0, offsetof(cuda_params, tf32), "false", 0, 0, NULL, NULL,
      "Let products and convolutions of f32 round their factors to TF32: faster, with 3 digits instead of 7." },
    { "placement", PUDLE_ENUM, 0, offsetof(cuda_params, placement), "any", 0, 0, "any|strict", NULL,
      "Plugins without device source run on the host, with copies both ways (any), or are refused (strict)." },
    { "synchronous", PUDLE_BOOL, 0, offsetof(cuda_params, synchronous), "false", 0, 0, NULL, NULL,
      "Wait for every operation, so that an error names the one that failed. Slow." },
    { "unroll", PUDLE_ENUM, 0, offsetof(cuda_params, unroll), "auto", 0, 0, "auto|products|lists", NULL,
      "How the layers of an encoder are computed, for comparisons; the result is the same but for rounding. products: by matrix products with the Gram matrix, or "
      "cuDNN's convolutions; lists: with a dense dictionary as sums of those rows of that matrix that a code uses, up to 65280 atoms; auto: lists from 256 atoms on, "
      "for blocks of up to 512 samples, and kernels of this backend for filters, unless tf32 is set." },
    { "managed", PUDLE_BOOL, 0, offsetof(cuda_params, managed), "true", 0, 0, NULL, NULL,
      "Keep the inputs of layers by lists in managed memory, which is there only as far as codes have entries; false: in plain memory, with room for codes without zeros." },
    { "threads", PUDLE_INT, 0, offsetof(cuda_params, threads), "0", 0, 1024, NULL, "threads",
      "Accepted so that a config may be run on any backend by its name alone; the host's part of the work takes one thread." },
    { NULL, 0, 0, 0, NULL, 0, 0, NULL, NULL, NULL }
};

static const pudle_backend_ops ops = {
    .size = sizeof(pudle_backend_ops),
    .targets = host_targets,
    .open = open_exec,
    .close = close_exec,
    .describe = describe,
    .plan = plan,
    .run = run,
    .sync = sync_exec,
    .alloc = alloc_memory,
    .free = free_memory,
    .upload = upload,
    .download = download,
    .fill = cuda_fill,
    .copy = cuda_copy,
    .axpby = cuda_axpby,
    .sign = cuda_sign,
    .dot = cuda_dot,
    .census = cuda_census,
    .gemm = cuda_gemm_run,
    .normalize = cuda_normalize,
    .tangent = cuda_tangent,
    .momentum = cuda_momentum,
    .adam = cuda_adam_run,
    .prox_apply = cuda_prox_apply,
    .prox_vjp = cuda_prox_vjp,
    .loss_value = cuda_loss_value,
    .loss_grad = cuda_loss_grad,
    .loss_hvp = cuda_loss_hvp,
    .loss_mean = cuda_loss_mean,
    .defer = defer,
    .peak = peak,
    .code_value = cuda_code_value,
    .code_grad = cuda_code_grad,
    .get_ext = get_ext,
    .conv_apply = cuda_conv_apply,
    .conv_adjoint = cuda_conv_adjoint,
    .conv_gradient = cuda_conv_gradient,
};

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_BACKEND,
    .name = "cuda",
    .version = "1.0.0",
    .summary = "NVIDIA GPUs: cuBLAS, cuDNN, and kernels compiled from the source of prox and loss plugins",
    .license = "MIT",
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(cuda_params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
