/* The table of plugins/backend/cuda/device.h without a GPU: device memory is an arena that only these functions can touch, kernels
 * are the host versions of their text (grid.h), compiled by a C++ compiler, and products and convolutions are plain loops. So the
 * conformance suite, the fixtures and whole trainings run the cuda backend's own code on any machine, and a pointer that
 * is followed on the wrong side is a crash.
 *
 * Environment: PUDLE_FAKE_KERNELS, kernels.cu as a shared object; CXX; PUDLE_FAKE_FAIL="gemm 3" makes the third gemm fail, "recorded 3" the third launch
 * in recordings; PUDLE_FAKE_REFUSE="2 3", algorithms of convolutions that are offered and then refused; PUDLE_FAKE_DEVICES, their number (1);
 * PUDLE_FAKE_NO_PAGES, a system that cannot reserve; PUDLE_FAKE_WAITS=FILE, where to write how often the host had to wait for the device. */
#include "device.h"

#include <assert.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GUARD = 256, CANARY = 0x5a, ARGUMENTS = 24 };
static const size_t arena_bytes = (size_t)1 << 32; /* of addresses; pages are taken when touched */

typedef struct block {
    struct block *next;
    char *at;
    size_t bytes, counted;
} block;

typedef struct step { /* of a recording */
    struct step *next;
    cuda_kernel *kernel;
    int64_t blocks;
    int threads;
    void *bound;
    cuda_gemm gemm;
    cuda_conv conv;
    cuda_conv_call call;
    int what; /* 0: kernel, 1: gemm, 2: conv, 3: copy */
    void *to;
    const void *from;
    size_t to_pitch, from_pitch, bytes, rows;
} step;

/* A copy from pinned memory: it is made as late as the queue allows, so that memory which is used again too early is seen. */
typedef struct send {
    struct send *next;
    void *to;
    const void *pinned;
    size_t bytes;
} send;

struct cuda_graph { step *first, **end; };
struct cuda_mark { long at; };
struct cuda_gpu {
    bool recording;
    send *sends, **last_send;
    long queued, done; /* marks */
    long waits;
    size_t held, most;
    cuda_graph *graph;
    block *blocks;
    cuda_kernel *kernels;
};
struct cuda_module { void *lib; };
struct cuda_kernel {
    struct cuda_kernel *next;
    void (*call)(long long, int, void **);
    void (*look)(void **, void (*)(void *, const void *), void *);
    void *(*bind)(void **);
    void (*again)(long long, int, void *);
};

static char *arena;
static size_t used;
static long live; /* blocks of all devices */

static PUDLE_PRINTF(3, 4) bool fails(cuda_fault *why, pudle_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    why->status = status;
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    return false;
}

static PUDLE_PRINTF(1, 2) void wrong(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("fake device: ", stderr);
    vfprintf(stderr, format, args);
    fputs("\n", stderr);
    va_end(args);
    abort();
}

/* Does PUDLE_FAKE_FAIL name this call now? */
static bool good(const char *name, cuda_fault *why)
{
    static int seen;
    char wanted[64] = "";
    int when = 0;
    const char *text = getenv("PUDLE_FAKE_FAIL");
    if (!text || sscanf(text, "%63s %d", wanted, &when) != 2 || strcmp(wanted, name) || ++seen != when)
        return true;
    return fails(why, !strcmp(name, "alloc") ? PUDLE_ERR_NOMEM : PUDLE_ERR_DEVICE, "%s: a failure on demand (fakeError)", name);
}

/* ------------------------------------------------------------------- arena */

static void touch(bool on)
{
    if (mprotect(arena, used ? used : 4096, on ? PROT_READ | PROT_WRITE : PROT_NONE))
        wrong("mprotect fails");
}

static bool inside(const void *at)
{
    return (const char *)at >= arena && (const char *)at < arena + used;
}

static void must_be_inside(const cuda_gpu *gpu, const char *what, const void *at, size_t bytes)
{
    const block *b = gpu->blocks;
    while (b && !((const char *)at >= b->at && (const char *)at + bytes <= b->at + b->bytes))
        b = b->next;
    if (bytes && !b)
        wrong("%s: %zu bytes at %p are not memory of the device", what, bytes, at);
}

static bool get(cuda_gpu *gpu, size_t bytes, bool counted, void **memory, cuda_fault *why)
{
    if (gpu->recording)
        wrong("alloc in a recording");
    if (!good("alloc", why))
        return false;
    const size_t whole = (bytes + 2 * GUARD - 1) / GUARD * GUARD;
    block *b = calloc(1, sizeof *b);
    if (!b || used + whole > arena_bytes) {
        free(b);
        return fails(why, PUDLE_ERR_NOMEM, "the arena is full");
    }
    *b = (block){ gpu->blocks, arena + used, bytes, counted ? bytes : 0 };
    gpu->blocks = b;
    used += (whole + 4095) / 4096 * 4096; /* memory is not given out twice while any is held: what is used after it is freed is seen */
    live++;
    gpu->held += b->counted;
    gpu->most = gpu->held > gpu->most ? gpu->held : gpu->most;
    touch(true);
    memset(b->at, 0xff, bytes);
    memset(b->at + bytes, CANARY, whole - bytes);
    touch(false);
    *memory = b->at;
    return true;
}

static bool fake_alloc(cuda_gpu *gpu, size_t bytes, void **memory, cuda_fault *why)
{
    return get(gpu, bytes, true, memory, why);
}

static bool fake_reserve(cuda_gpu *gpu, size_t bytes, void **memory, bool *whole, cuda_fault *why)
{
    *whole = getenv("PUDLE_FAKE_NO_PAGES") != NULL;
    return get(gpu, bytes, *whole, memory, why);
}

static void settle(cuda_gpu *gpu);

static void fake_free(cuda_gpu *gpu, void *memory)
{
    block **link = &gpu->blocks;
    if (gpu->recording)
        wrong("free in a recording");
    while (*link && (*link)->at != memory)
        link = &(*link)->next;
    settle(gpu);
    block *b = *link;
    if (!b)
        wrong("free of %p, which was not given out", memory);
    touch(true);
    for (size_t i = b->bytes; i % GUARD || i == b->bytes; i++)
        if ((unsigned char)b->at[i] != CANARY)
            wrong("an array of %zu bytes was written past its end", b->bytes);
    memset(b->at, 0xff, b->bytes);
    madvise(b->at, (b->bytes + GUARD + 4095) / 4096 * 4096, MADV_DONTNEED);
    touch(false);
    *link = b->next;
    gpu->held -= b->counted;
    free(b);
    if (--live == 0)
        used = 0;
}

/* -------------------------------------------------------------------- life */

static bool fake_open(int64_t index, bool tf32, cuda_gpu **gpu, cuda_facts *facts, cuda_fault *why)
{
    const int devices = getenv("PUDLE_FAKE_DEVICES") ? atoi(getenv("PUDLE_FAKE_DEVICES")) : 1;
    if (index >= devices)
        return fails(why, PUDLE_ERR_DEVICE, "fakeGetDeviceCount finds %d", devices);
    if (!good("open", why))
        return false;
    if (!arena)
        arena = mmap(NULL, arena_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED || !(*gpu = calloc(1, sizeof **gpu)))
        return fails(why, PUDLE_ERR_NOMEM, "no arena");
    (*gpu)->last_send = &(*gpu)->sends;
    *facts = (cuda_facts){ .name = "no GPU, but loops", .major = 9, .minor = 0, .multiprocessors = 1, .driver = 13000, .runtime = 13000,
                           .memory = arena_bytes, .tf32 = tf32 };
    return true;
}

static void fake_close(cuda_gpu *gpu)
{
    const char *path = getenv("PUDLE_FAKE_WAITS");
    FILE *f = path ? fopen(path, "w") : NULL;
    settle(gpu);
    if (f) {
        fprintf(f, "%ld\n", gpu->waits);
        fclose(f);
    }
    for (cuda_kernel *k = gpu->kernels, *next; k; k = next) {
        next = k->next;
        free(k);
    }
    if (gpu->blocks)
        wrong("an array of %zu bytes is not freed when the device is closed", gpu->blocks->bytes);
    free(gpu);
}

static void fake_libraries(cuda_gpu *gpu, char *text, size_t size)
{
    (void)gpu;
    snprintf(text, size, "libraries: none");
}

static bool fake_bind(cuda_gpu *gpu, cuda_fault *why)
{
    (void)gpu, (void)why;
    return true;
}

static bool fake_sync(cuda_gpu *gpu, cuda_fault *why)
{
    if (gpu->recording)
        wrong("sync in a recording");
    settle(gpu);
    gpu->waits++;
    return good("sync", why);
}

static size_t fake_peak(const cuda_gpu *gpu)
{
    return gpu->most;
}

static bool fake_pin(cuda_gpu *gpu, size_t bytes, void **host, cuda_fault *why)
{
    (void)gpu;
    *host = malloc(bytes);
    return *host || fails(why, PUDLE_ERR_NOMEM, "no memory");
}

static void fake_unpin(cuda_gpu *gpu, void *host)
{
    (void)gpu;
    free(host);
}

static bool may_copy(cuda_gpu *gpu, const char *name, const void *device, const void *host, size_t bytes, cuda_fault *why)
{
    if (gpu->recording)
        wrong("%s in a recording", name);
    must_be_inside(gpu, name, device, bytes);
    if (inside(host))
        wrong("%s: memory of the device where the host's is wanted", name);
    return good(name, why);
}

/* All copies that are queued: before whatever comes behind them. */
static void settle(cuda_gpu *gpu)
{
    if (gpu->sends)
        touch(true);
    for (send *s = gpu->sends, *next; s; s = next) {
        next = s->next;
        memcpy(s->to, s->pinned, s->bytes);
        free(s);
        if (!next)
            touch(false);
    }
    gpu->sends = NULL;
    gpu->last_send = &gpu->sends;
    gpu->done = gpu->queued;
}

static bool fake_upload(cuda_gpu *gpu, void *to, const void *pinned, size_t bytes, cuda_fault *why)
{
    if (!may_copy(gpu, "upload", to, pinned, bytes, why))
        return false;
    send *s = calloc(1, sizeof *s);
    if (!s)
        return fails(why, PUDLE_ERR_NOMEM, "no memory");
    *s = (send){ NULL, to, pinned, bytes };
    *gpu->last_send = s;
    gpu->last_send = &s->next;
    return true;
}

static bool fake_download(cuda_gpu *gpu, void *host, const void *from, size_t bytes, cuda_fault *why)
{
    if (!may_copy(gpu, "download", from, host, bytes, why))
        return false;
    settle(gpu);
    gpu->waits++;
    touch(true);
    memcpy(host, from, bytes);
    touch(false);
    return true;
}

static bool fake_mark(cuda_gpu *gpu, cuda_mark **mark, cuda_fault *why)
{
    if (!good("mark", why) || (!*mark && !(*mark = calloc(1, sizeof **mark))))
        return false;
    (*mark)->at = ++gpu->queued;
    return true;
}

static bool fake_await(cuda_gpu *gpu, cuda_mark *mark, cuda_fault *why)
{
    if (!good("await", why))
        return false;
    if (mark->at > gpu->done) {
        settle(gpu);
        gpu->waits++;
    }
    return true;
}

static void fake_unmark(cuda_gpu *gpu, cuda_mark *mark)
{
    (void)gpu;
    free(mark);
}

static step *record(cuda_gpu *gpu, int what)
{
    step *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->what = what;
    *gpu->graph->end = s;
    gpu->graph->end = &s->next;
    return s;
}

static void copy_now(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t bytes, size_t rows)
{
    for (size_t i = 0; i < rows; i++)
        memmove((char *)to + i * to_pitch, (const char *)from + i * from_pitch, bytes);
}

static bool fake_copy(cuda_gpu *gpu, void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t bytes, size_t rows, cuda_fault *why)
{
    must_be_inside(gpu, "copy", to, rows ? (rows - 1) * to_pitch + bytes : 0);
    must_be_inside(gpu, "copy", from, rows ? (rows - 1) * from_pitch + bytes : 0);
    if (rows > 1 && (bytes > to_pitch || bytes > from_pitch))
        wrong("copy: rows of %zu bytes, %zu and %zu apart", bytes, to_pitch, from_pitch);
    if (!good("copy", why))
        return false;
    if (gpu->recording) {
        step *s = record(gpu, 3);
        s->to = to, s->to_pitch = to_pitch, s->from = from, s->from_pitch = from_pitch, s->bytes = bytes, s->rows = rows;
        return true;
    }
    settle(gpu);
    touch(true);
    copy_now(to, to_pitch, from, from_pitch, bytes, rows);
    touch(false);
    return true;
}

/* ----------------------------------------------------------------- kernels */

static void *read_file(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    char *at = NULL;
    if (f && !fseek(f, 0, SEEK_END)) {
        *bytes = (size_t)ftell(f);
        rewind(f);
        at = malloc(*bytes + 1);
        if (at && fread(at, 1, *bytes, f) != *bytes) {
            free(at);
            at = NULL;
        }
    }
    if (f)
        fclose(f);
    return at;
}

static bool fake_image(const void **image, size_t *bytes, cuda_fault *why)
{
    static void *at;
    static size_t length;
    const char *path = getenv("PUDLE_FAKE_KERNELS");
    if (!at && path)
        at = read_file(path, &length);
    *image = at;
    *bytes = length;
    return at || fails(why, PUDLE_ERR_DEVICE, "PUDLE_FAKE_KERNELS is not a file that can be read");
}

static bool fake_load(cuda_gpu *gpu, const void *image, size_t bytes, cuda_module **module, cuda_fault *why)
{
    char path[] = "/tmp/pudle-fake-XXXXXX";
    (void)gpu;
    if (!good("load", why))
        return false;
    const int fd = mkstemp(path);
    if (fd < 0 || write(fd, image, bytes) != (ssize_t)bytes || close(fd))
        return fails(why, PUDLE_ERR_DEVICE, "%s cannot be written", path);
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    unlink(path);
    if (!lib)
        return fails(why, PUDLE_ERR_DEVICE, "dlopen: %s", dlerror());
    if (!(*module = calloc(1, sizeof **module)))
        return fails(why, PUDLE_ERR_NOMEM, "no memory");
    (*module)->lib = lib;
    return true;
}

static void fake_unload(cuda_gpu *gpu, cuda_module *module)
{
    (void)gpu;
    dlclose(module->lib);
    free(module);
}

static bool symbol(void *lib, const char *name, const char *suffix, void *function)
{
    char full[128];
    snprintf(full, sizeof full, "%s%s", name, suffix);
    void *at = dlsym(lib, full);
    memcpy(function, &at, sizeof at);
    return at != NULL;
}

static bool fake_find(cuda_gpu *gpu, cuda_module *module, const char *name, cuda_kernel **kernel, cuda_fault *why)
{
    cuda_kernel *k = calloc(1, sizeof *k);
    if (!k)
        return fails(why, PUDLE_ERR_NOMEM, "no memory");
    if (!symbol(module->lib, name, "_call", &k->call) || !symbol(module->lib, name, "_look", &k->look) || !symbol(module->lib, name, "_bind", &k->bind) ||
        !symbol(module->lib, name, "_again", &k->again)) {
        free(k);
        return fails(why, PUDLE_ERR_DEVICE, "fakeGetKernel: there is no %s", name);
    }
    k->next = gpu->kernels;
    gpu->kernels = *kernel = k;
    return true;
}

/* A pointer that a kernel takes is NULL or the device's. */
static void see(void *ctx, const void *at)
{
    if (at)
        must_be_inside(ctx, "launch", at, 1);
}

static bool fake_launch(cuda_gpu *gpu, cuda_kernel *kernel, int64_t grid, int threads, void **arguments, cuda_fault *why)
{
    if (!kernel || grid < 1 || grid > 2147483647 || threads < 1 || threads > 1024)
        wrong("launch of %p on %lld blocks of %d threads", (void *)kernel, (long long)grid, threads);
    kernel->look(arguments, see, gpu);
    if (!good(gpu->recording ? "recorded" : "launch", why))
        return false;
    if (gpu->recording) {
        step *s = record(gpu, 0);
        s->kernel = kernel;
        s->blocks = grid;
        s->threads = threads;
        s->bound = kernel->bind(arguments);
        return true;
    }
    settle(gpu);
    touch(true);
    kernel->call(grid, threads, arguments);
    touch(false);
    return true;
}

static bool fake_targets(cuda_gpu *gpu, int *list, int room, int *count, char *compiler, size_t size, cuda_fault *why)
{
    static const int all[] = { 75, 80, 90 };
    (void)gpu;
    if (!good("targets", why))
        return false;
    for (*count = 0; *count < 3 && *count < room; ++*count)
        list[*count] = all[*count];
    snprintf(compiler, size, "c++ of the host");
    return true;
}

static bool fake_compile(cuda_gpu *gpu, const char *text, const char *name, const char *arch, void **image, size_t *bytes, cuda_fault *why)
{
    char folder[] = "/tmp/pudle-fake-XXXXXX", source[64], object[64], command[8192];
    const char *compiler = getenv("CXX");
    (void)gpu, (void)arch;
    if (!good("compile", why) || !mkdtemp(folder))
        return false;
    snprintf(source, sizeof source, "%s/source.cpp", folder);
    snprintf(object, sizeof object, "%s/source.so", folder);
    if (snprintf(command, sizeof command, "%s -std=c++17 -O1 -w -ffp-contract=off -shared -fPIC -o %s %s", compiler && *compiler ? compiler : "c++",
                 object, source) >= (int)sizeof command)
        return fails(why, PUDLE_ERR_UNSUPPORTED, "CXX is too long");
    FILE *f = fopen(source, "w");
    const bool written = f && fputs(text, f) >= 0;
    if (f)
        fclose(f);
    unsetenv("LD_PRELOAD"); /* a sanitizer's runtime is for this process, not for compilers */
    *image = written && !system(command) ? read_file(object, bytes) : NULL;
    unlink(source);
    unlink(object);
    rmdir(folder);
    return *image || fails(why, PUDLE_ERR_UNSUPPORTED, "%s: the compiler refuses the source of '%s'", command, name);
}

/* ---------------------------------------------------------------- products */

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

static void gemm_now(const cuda_gemm *c)
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
}

/* As cuBLAS checks its arguments. */
static bool fake_gemm(cuda_gpu *gpu, const cuda_gemm *c, cuda_fault *why)
{
    const int64_t rows_a = c->trans_a ? c->k : c->m, cols_a = c->trans_a ? c->m : c->k, rows_b = c->trans_b ? c->n : c->k,
                  cols_b = c->trans_b ? c->k : c->n;
    const size_t w = pudle_dtype_size(c->dtype);
    if (c->m < 1 || c->n < 1 || c->k < 1 || c->lda < rows_a || c->ldb < rows_b || c->ldc < c->m)
        wrong("gemm: m %lld n %lld k %lld lda %lld ldb %lld ldc %lld", (long long)c->m, (long long)c->n, (long long)c->k, (long long)c->lda,
              (long long)c->ldb, (long long)c->ldc);
    must_be_inside(gpu, "gemm", c->A, (size_t)((cols_a - 1) * c->lda + rows_a) * w);
    must_be_inside(gpu, "gemm", c->B, (size_t)((cols_b - 1) * c->ldb + rows_b) * w);
    must_be_inside(gpu, "gemm", c->C, (size_t)((c->n - 1) * c->ldc + c->m) * w);
    if (!good("gemm", why))
        return false;
    if (gpu->recording) {
        record(gpu, 1)->gemm = *c;
        return true;
    }
    settle(gpu);
    touch(true);
    gemm_now(c);
    touch(false);
    return true;
}

/* The first algorithm is not deterministic, the second cannot do the shape, the third is the one to take, then the fourth. */
static bool fake_conv_algorithms(cuda_gpu *gpu, const cuda_conv *conv, int which, cuda_algorithm *list, int room, int *count, cuda_fault *why)
{
    const cuda_algorithm all[] = { { 0, 0, true, false, 7 }, { 1, 0, false, true, 7 }, { 2, 1000, true, true, 8 }, { 3, 2000, true, true, 9 } };
    (void)gpu, (void)conv, (void)which;
    if (!good("algorithms", why))
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

static void conv_now(const cuda_conv *s, const cuda_conv_call *c)
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

static bool fake_conv(cuda_gpu *gpu, const cuda_conv *s, const cuda_conv_call *c, cuda_fault *why)
{
    const size_t w = pudle_dtype_size(s->dtype);
    static const int first[] = { 2, 3, 0 }, math[] = { 8, 9, 7 };
    static const size_t room[] = { 1000, 2000, 0 };
    int best = 0;
    while (best < 2 && refused(first[best]) && c->algorithm != first[best])
        best++;
    if (c->algorithm != first[best] || c->math != math[best] || c->workspace_bytes < room[best] || s->p != (s->h - s->r) / s->stride[0] + 1 ||
        s->q != (s->w - s->s) / s->stride[1] + 1)
        wrong("conv: algorithm %d with %zu bytes; codes of %d x %d", c->algorithm, c->workspace_bytes, s->p, s->q);
    must_be_inside(gpu, "conv", c->images, (size_t)s->n * (size_t)s->c * (size_t)s->h * (size_t)s->w * w);
    must_be_inside(gpu, "conv", c->codes, (size_t)s->n * (size_t)s->k * (size_t)s->p * (size_t)s->q * w);
    must_be_inside(gpu, "conv", c->filters, (size_t)s->k * (size_t)s->c * (size_t)s->r * (size_t)s->s * w);
    must_be_inside(gpu, "conv", c->workspace, c->workspace_bytes);
    if (refused(c->algorithm))
        return fails(why, PUDLE_ERR_DEVICE, "conv: not with this one (fakeRefusal)");
    if (!good("conv", why))
        return false;
    if (gpu->recording) {
        step *at = record(gpu, 2);
        at->conv = *s;
        at->call = *c;
        return true;
    }
    settle(gpu);
    touch(true);
    conv_now(s, c);
    touch(false);
    return true;
}

/* ------------------------------------------------------------------ graphs */

static void graph_free(cuda_graph *graph)
{
    for (step *s = graph ? graph->first : NULL, *next; s; s = next) {
        next = s->next;
        if (s->bound)
            free(s->bound);
        free(s);
    }
    free(graph);
}

static bool fake_record_begin(cuda_gpu *gpu, cuda_fault *why)
{
    if (gpu->recording)
        wrong("a recording in a recording");
    if (!good("record", why) || !(gpu->graph = calloc(1, sizeof *gpu->graph)))
        return false;
    gpu->graph->end = &gpu->graph->first;
    gpu->recording = true;
    return true;
}

static bool fake_record_end(cuda_gpu *gpu, cuda_graph **graph, cuda_fault *why)
{
    const bool kept = good("end", why);
    gpu->recording = false;
    if (graph && kept)
        *graph = gpu->graph;
    else
        graph_free(gpu->graph);
    gpu->graph = NULL;
    return kept;
}

static bool fake_replay(cuda_gpu *gpu, cuda_graph *graph, cuda_fault *why)
{
    if (gpu->recording)
        wrong("replay in a recording");
    if (!good("replay", why))
        return false;
    settle(gpu);
    touch(true);
    for (const step *s = graph->first; s; s = s->next) {
        if (s->what == 0)
            s->kernel->again(s->blocks, s->threads, s->bound);
        else if (s->what == 1)
            gemm_now(&s->gemm);
        else if (s->what == 2)
            conv_now(&s->conv, &s->call);
        else
            copy_now(s->to, s->to_pitch, s->from, s->from_pitch, s->bytes, s->rows);
    }
    touch(false);
    return true;
}

static void fake_forget(cuda_gpu *gpu, cuda_graph *graph)
{
    (void)gpu;
    graph_free(graph);
}

const cuda_api cuda = {
    .open = fake_open, .close = fake_close, .libraries = fake_libraries, .bind = fake_bind, .sync = fake_sync,
    .alloc = fake_alloc, .reserve = fake_reserve, .free = fake_free, .peak = fake_peak, .pin = fake_pin, .unpin = fake_unpin, .upload = fake_upload, .download = fake_download,
    .mark = fake_mark, .await = fake_await, .unmark = fake_unmark, .copy = fake_copy, .load = fake_load, .unload = fake_unload, .find = fake_find, .launch = fake_launch, .image = fake_image,
    .targets = fake_targets, .compile = fake_compile,
    .gemm = fake_gemm, .conv_algorithms = fake_conv_algorithms, .conv = fake_conv,
    .record_begin = fake_record_begin, .record_end = fake_record_end, .replay = fake_replay, .forget = fake_forget,
};
