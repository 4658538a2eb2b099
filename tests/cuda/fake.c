/* The table of plugins/backend/cuda/device.h without a GPU: device memory is an arena that only these functions can touch, kernels
 * are the host versions of their text (grid.h), compiled by a C++ compiler, and products and convolutions are plain loops. So the
 * conformance suite, the fixtures and whole trainings run the cuda backend's own code on any machine, and a pointer that
 * is followed on the wrong side is a crash.
 *
 * Environment: PUDLE_FAKE_KERNELS, kernels.cu as a shared object; CXX; PUDLE_FAKE_FAIL="gemm 3" makes the third gemm fail, "recorded 3" the third launch
 * in recordings; PUDLE_FAKE_REFUSE="2 3", algorithms of convolutions that are offered and then refused; PUDLE_FAKE_DEVICES, their number (1);
 * PUDLE_FAKE_NO_PAGES, a system that cannot reserve; PUDLE_FAKE_WAITS=FILE, where to write how often the host had to wait for the device. */
#include "fake.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { GUARD = 256, CANARY = 0x5a };
static const size_t arena_bytes = (size_t)1 << 32; /* of addresses; pages are taken when touched */

struct block {
    struct block *next;
    char *at;
    size_t bytes, counted;
};

/* A copy from pinned memory: it is made as late as the queue allows, so that memory which is used again too early is seen. */
struct send {
    struct send *next;
    void *to;
    const void *pinned;
    size_t bytes;
};

static char *arena;
static size_t used;
static long live; /* blocks of all devices */

bool fake_fails(cuda_fault *why, pudle_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    why->status = status;
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    return false;
}

void fake_wrong(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("fake device: ", stderr);
    vfprintf(stderr, format, args);
    fputs("\n", stderr);
    va_end(args);
    abort();
}

bool fake_good(const char *name, cuda_fault *why)
{
    static int seen;
    char wanted[64] = "";
    int when = 0;
    const char *text = getenv("PUDLE_FAKE_FAIL");
    if (!text || sscanf(text, "%63s %d", wanted, &when) != 2 || strcmp(wanted, name) || ++seen != when)
        return true;
    return fake_fails(why, !strcmp(name, "alloc") ? PUDLE_ERR_NOMEM : PUDLE_ERR_DEVICE, "%s: a failure on demand (fakeError)", name);
}

/* ------------------------------------------------------------------- arena */

void fake_touch(bool on)
{
    if (mprotect(arena, used ? used : 4096, on ? PROT_READ | PROT_WRITE : PROT_NONE))
        fake_wrong("mprotect fails");
}

static bool inside(const void *at)
{
    return (const char *)at >= arena && (const char *)at < arena + used;
}

void fake_must_be_inside(const cuda_gpu *gpu, const char *what, const void *at, size_t bytes)
{
    const block *b = gpu->blocks;
    while (b && !((const char *)at >= b->at && (const char *)at + bytes <= b->at + b->bytes))
        b = b->next;
    if (bytes && !b)
        fake_wrong("%s: %zu bytes at %p are not memory of the device", what, bytes, at);
}

static bool get(cuda_gpu *gpu, size_t bytes, bool counted, void **memory, cuda_fault *why)
{
    if (gpu->recording)
        fake_wrong("alloc in a recording");
    if (!fake_good("alloc", why))
        return false;
    const size_t whole = (bytes + 2 * GUARD - 1) / GUARD * GUARD;
    block *b = calloc(1, sizeof *b);
    if (!b || used + whole > arena_bytes) {
        free(b);
        return fake_fails(why, PUDLE_ERR_NOMEM, "the arena is full");
    }
    *b = (block){ gpu->blocks, arena + used, bytes, counted ? bytes : 0 };
    gpu->blocks = b;
    used += (whole + 4095) / 4096 * 4096; /* memory is not given out twice while any is held: what is used after it is freed is seen */
    live++;
    gpu->held += b->counted;
    gpu->most = gpu->held > gpu->most ? gpu->held : gpu->most;
    fake_touch(true);
    memset(b->at, 0xff, bytes);
    memset(b->at + bytes, CANARY, whole - bytes);
    fake_touch(false);
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

static void fake_free(cuda_gpu *gpu, void *memory)
{
    block **link = &gpu->blocks;
    if (gpu->recording)
        fake_wrong("free in a recording");
    while (*link && (*link)->at != memory)
        link = &(*link)->next;
    fake_settle(gpu);
    block *b = *link;
    if (!b)
        fake_wrong("free of %p, which was not given out", memory);
    fake_touch(true);
    for (size_t i = b->bytes; i % GUARD || i == b->bytes; i++)
        if ((unsigned char)b->at[i] != CANARY)
            fake_wrong("an array of %zu bytes was written past its end", b->bytes);
    memset(b->at, 0xff, b->bytes);
    madvise(b->at, (b->bytes + GUARD + 4095) / 4096 * 4096, MADV_DONTNEED);
    fake_touch(false);
    *link = b->next;
    gpu->held -= b->counted;
    free(b);
    if (--live == 0)
        used = 0;
}

size_t fake_workspace_bytes(void)
{
    const char *bytes = getenv("PUDLE_FAKE_WORKSPACE");
    return bytes ? (size_t)atol(bytes) : (size_t)8 << 20;
}

static bool fake_workspace(cuda_gpu *gpu, void **memory, size_t *bytes, cuda_fault *why)
{
    *bytes = fake_workspace_bytes();
    if (!gpu->workspace && !get(gpu, *bytes, false, &gpu->workspace, why))
        return false;
    *memory = gpu->workspace;
    return true;
}

/* -------------------------------------------------------------------- life */

static bool fake_open(int64_t index, bool tf32, cuda_gpu **gpu, cuda_facts *facts, cuda_fault *why)
{
    const int devices = getenv("PUDLE_FAKE_DEVICES") ? atoi(getenv("PUDLE_FAKE_DEVICES")) : 1;
    if (index >= devices)
        return fake_fails(why, PUDLE_ERR_DEVICE, "fakeGetDeviceCount finds %d", devices);
    if (!fake_good("open", why))
        return false;
    if (!arena)
        arena = mmap(NULL, arena_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED || !(*gpu = calloc(1, sizeof **gpu)))
        return fake_fails(why, PUDLE_ERR_NOMEM, "no arena");
    (*gpu)->last_send = &(*gpu)->sends;
    *facts = (cuda_facts){ .name = "no GPU, but loops", .major = 9, .minor = 0, .multiprocessors = 1, .driver = 13000, .runtime = 13000,
                           .memory = arena_bytes, .tf32 = tf32 };
    return true;
}

static void fake_close(cuda_gpu *gpu)
{
    const char *path = getenv("PUDLE_FAKE_WAITS");
    FILE *f = path ? fopen(path, "w") : NULL;
    fake_settle(gpu);
    if (f) {
        fprintf(f, "%ld\n", gpu->waits);
        fclose(f);
    }
    for (cuda_kernel *k = gpu->kernels, *next; k; k = next) {
        next = k->next;
        free(k);
    }
    if (gpu->workspace)
        fake_free(gpu, gpu->workspace);
    if (gpu->blocks)
        fake_wrong("an array of %zu bytes is not freed when the device is closed", gpu->blocks->bytes);
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
        fake_wrong("sync in a recording");
    fake_settle(gpu);
    gpu->waits++;
    return fake_good("sync", why);
}

static size_t fake_peak(const cuda_gpu *gpu)
{
    return gpu->most;
}

static bool fake_pin(cuda_gpu *gpu, size_t bytes, void **host, cuda_fault *why)
{
    (void)gpu;
    *host = malloc(bytes);
    return *host || fake_fails(why, PUDLE_ERR_NOMEM, "no memory");
}

static void fake_unpin(cuda_gpu *gpu, void *host)
{
    (void)gpu;
    free(host);
}

static bool may_copy(cuda_gpu *gpu, const char *name, const void *device, const void *host, size_t bytes, cuda_fault *why)
{
    if (gpu->recording)
        fake_wrong("%s in a recording", name);
    fake_must_be_inside(gpu, name, device, bytes);
    if (inside(host))
        fake_wrong("%s: memory of the device where the host's is wanted", name);
    return fake_good(name, why);
}

void fake_settle(cuda_gpu *gpu)
{
    if (gpu->sends)
        fake_touch(true);
    for (send *s = gpu->sends, *next; s; s = next) {
        next = s->next;
        memcpy(s->to, s->pinned, s->bytes);
        free(s);
        if (!next)
            fake_touch(false);
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
        return fake_fails(why, PUDLE_ERR_NOMEM, "no memory");
    *s = (send){ NULL, to, pinned, bytes };
    *gpu->last_send = s;
    gpu->last_send = &s->next;
    return true;
}

static bool fake_download(cuda_gpu *gpu, void *host, const void *from, size_t bytes, cuda_fault *why)
{
    if (!may_copy(gpu, "download", from, host, bytes, why))
        return false;
    fake_settle(gpu);
    gpu->waits++;
    fake_touch(true);
    memcpy(host, from, bytes);
    fake_touch(false);
    return true;
}

static bool fake_mark(cuda_gpu *gpu, cuda_mark **mark, cuda_fault *why)
{
    if (!fake_good("mark", why) || (!*mark && !(*mark = calloc(1, sizeof **mark))))
        return false;
    (*mark)->at = ++gpu->queued;
    return true;
}

static bool fake_await(cuda_gpu *gpu, cuda_mark *mark, cuda_fault *why)
{
    if (!fake_good("await", why))
        return false;
    if (mark->at > gpu->done) {
        fake_settle(gpu);
        gpu->waits++;
    }
    return true;
}

static void fake_unmark(cuda_gpu *gpu, cuda_mark *mark)
{
    (void)gpu;
    free(mark);
}

step *fake_record(cuda_gpu *gpu, int what)
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
    fake_must_be_inside(gpu, "copy", to, rows ? (rows - 1) * to_pitch + bytes : 0);
    fake_must_be_inside(gpu, "copy", from, rows ? (rows - 1) * from_pitch + bytes : 0);
    if (rows > 1 && (bytes > to_pitch || bytes > from_pitch))
        fake_wrong("copy: rows of %zu bytes, %zu and %zu apart", bytes, to_pitch, from_pitch);
    if (!fake_good("copy", why))
        return false;
    if (gpu->recording) {
        step *s = fake_record(gpu, 3);
        s->to = to, s->to_pitch = to_pitch, s->from = from, s->from_pitch = from_pitch, s->bytes = bytes, s->rows = rows;
        return true;
    }
    fake_settle(gpu);
    fake_touch(true);
    copy_now(to, to_pitch, from, from_pitch, bytes, rows);
    fake_touch(false);
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
        fake_wrong("a recording in a recording");
    if (!fake_good("record", why) || !(gpu->graph = calloc(1, sizeof *gpu->graph)))
        return false;
    gpu->graph->end = &gpu->graph->first;
    gpu->recording = true;
    return true;
}

static bool fake_record_end(cuda_gpu *gpu, cuda_graph **graph, cuda_fault *why)
{
    const bool kept = fake_good("end", why);
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
        fake_wrong("replay in a recording");
    if (!fake_good("replay", why))
        return false;
    fake_settle(gpu);
    fake_touch(true);
    for (const step *s = graph->first; s; s = s->next) {
        if (s->what == 0)
            s->kernel->again(s->blocks, s->threads, s->bound);
        else if (s->what == 1)
            fake_gemm_now(gpu, &s->gemm);
        else if (s->what == 2)
            fake_conv_now(&s->conv, &s->call);
        else
            copy_now(s->to, s->to_pitch, s->from, s->from_pitch, s->bytes, s->rows);
    }
    fake_touch(false);
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
    .gemm = fake_gemm, .workspace = fake_workspace, .conv_algorithms = fake_conv_algorithms, .conv = fake_conv,
    .record_begin = fake_record_begin, .record_end = fake_record_end, .replay = fake_replay, .forget = fake_forget,
};
