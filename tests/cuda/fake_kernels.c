/* Kernels of the stand-in: shared objects out of the host version of their text (grid.h), by a C++ compiler. */
#include "fake.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

bool fake_image(const void **image, size_t *bytes, cuda_fault *why)
{
    static void *at;
    static size_t length;
    const char *path = getenv("PUDLE_FAKE_KERNELS");
    if (!at && path)
        at = read_file(path, &length);
    *image = at;
    *bytes = length;
    return at || fake_fails(why, PUDLE_ERR_DEVICE, "PUDLE_FAKE_KERNELS is not a file that can be read");
}

bool fake_load(cuda_gpu *gpu, const void *image, size_t bytes, cuda_module **module, cuda_fault *why)
{
    char path[] = "/tmp/pudle-fake-XXXXXX";
    (void)gpu;
    if (!fake_good("load", why))
        return false;
    const int fd = mkstemp(path);
    if (fd < 0 || write(fd, image, bytes) != (ssize_t)bytes || close(fd))
        return fake_fails(why, PUDLE_ERR_DEVICE, "%s cannot be written", path);
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    unlink(path);
    if (!lib)
        return fake_fails(why, PUDLE_ERR_DEVICE, "dlopen: %s", dlerror());
    if (!(*module = calloc(1, sizeof **module)))
        return fake_fails(why, PUDLE_ERR_NOMEM, "no memory");
    (*module)->lib = lib;
    return true;
}

void fake_unload(cuda_gpu *gpu, cuda_module *module)
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

bool fake_find(cuda_gpu *gpu, cuda_module *module, const char *name, cuda_kernel **kernel, cuda_fault *why)
{
    cuda_kernel *k = calloc(1, sizeof *k);
    if (!k)
        return fake_fails(why, PUDLE_ERR_NOMEM, "no memory");
    if (!symbol(module->lib, name, "_call", &k->call) || !symbol(module->lib, name, "_look", &k->look) || !symbol(module->lib, name, "_bind", &k->bind) ||
        !symbol(module->lib, name, "_again", &k->again)) {
        free(k);
        return fake_fails(why, PUDLE_ERR_DEVICE, "fakeGetKernel: there is no %s", name);
    }
    k->next = gpu->kernels;
    gpu->kernels = *kernel = k;
    return true;
}

/* A pointer that a kernel takes is NULL or the device's. */
static void see(void *ctx, const void *at)
{
    if (at)
        fake_must_be_inside(ctx, "launch", at, 1);
}

bool fake_launch(cuda_gpu *gpu, cuda_kernel *kernel, int64_t grid, int threads, void **arguments, cuda_fault *why)
{
    if (!kernel || grid < 1 || grid > 2147483647 || threads < 1 || threads > 1024)
        fake_wrong("launch of %p on %lld blocks of %d threads", (void *)kernel, (long long)grid, threads);
    kernel->look(arguments, see, gpu);
    if (!fake_good(gpu->recording ? "recorded" : "launch", why))
        return false;
    if (gpu->recording) {
        step *s = fake_record(gpu, 0);
        s->kernel = kernel;
        s->blocks = grid;
        s->threads = threads;
        s->bound = kernel->bind(arguments);
        return true;
    }
    fake_settle(gpu);
    fake_touch(true);
    kernel->call(grid, threads, arguments);
    fake_touch(false);
    return true;
}

bool fake_targets(cuda_gpu *gpu, int *list, int room, int *count, char *compiler, size_t size, cuda_fault *why)
{
    static const int all[] = { 75, 80, 90 };
    (void)gpu;
    if (!fake_good("targets", why))
        return false;
    for (*count = 0; *count < 3 && *count < room; ++*count)
        list[*count] = all[*count];
    snprintf(compiler, size, "c++ of the host");
    return true;
}

bool fake_compile(cuda_gpu *gpu, const char *text, const char *name, const char *arch, void **image, size_t *bytes, cuda_fault *why)
{
    char folder[] = "/tmp/pudle-fake-XXXXXX", source[64], object[64], command[8192];
    const char *compiler = getenv("CXX");
    (void)gpu, (void)arch;
    if (!fake_good("compile", why) || !mkdtemp(folder))
        return false;
    snprintf(source, sizeof source, "%s/source.cpp", folder);
    snprintf(object, sizeof object, "%s/source.so", folder);
    if (snprintf(command, sizeof command, "%s -std=c++17 -O1 -w -ffp-contract=off -shared -fPIC -o %s %s", compiler && *compiler ? compiler : "c++",
                 object, source) >= (int)sizeof command)
        return fake_fails(why, PUDLE_ERR_UNSUPPORTED, "CXX is too long");
    FILE *f = fopen(source, "w");
    const bool written = f && fputs(text, f) >= 0;
    if (f)
        fclose(f);
    unsetenv("LD_PRELOAD"); /* a sanitizer's runtime is for this process, not for compilers */
    *image = written && !system(command) ? read_file(object, bytes) : NULL;
    unlink(source);
    unlink(object);
    rmdir(folder);
    return *image || fake_fails(why, PUDLE_ERR_UNSUPPORTED, "%s: the compiler refuses the source of '%s'", command, name);
}
