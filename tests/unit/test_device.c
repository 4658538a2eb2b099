/* The device source of every elementwise plugin that can be found: compiled for a GPU where the run-time compiler is
 * installed, which needs no GPU; and compiled as host code from the same text, run, and compared with the host kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../plugins/backend/cuda/source.h"
#include "fake_host.h"
#include "sanitized.h"
#include <dirent.h>
#include <unistd.h>

/* Call test(desc) for every prox and loss plugin with a source. */
static int for_each_source(void (*test)(const pudle_desc *))
{
    static const char *const kinds[] = { "prox", "loss" };
    int count = 0;
    for (int k = 0; k < 2; k++) {
        char folder[4096];
        snprintf(folder, sizeof folder, "%s/%s", getenv("PUDLE_PLUGIN_PATH"), kinds[k]);
        DIR *dir = opendir(folder);
        assert_non_null(dir);
        for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
            char name[256] = "";
            if (sscanf(entry->d_name, "%200[a-z0-9_].so", name) != 1 || !strstr(entry->d_name, ".so"))
                continue;
            const pudle_desc *desc = fake_load(kinds[k], name);
            if (!cuda_source_of(desc) || desc->create)
                continue;
            test(desc);
            count++;
        }
        closedir(dir);
    }
    return count;
}

/* ------------------------------------------------------------ for a device */

typedef struct nvrtc {
    int (*create)(void **, const char *, const char *, int, const char *const *, const char *const *);
    int (*compile)(void *, int, const char *const *);
    int (*log_size)(void *, size_t *);
    int (*log)(void *, char *);
    int (*cubin_size)(void *, size_t *);
    int (*ptx_size)(void *, size_t *);
    int (*destroy)(void **);
} nvrtc;

static nvrtc rtc;

/* A function pointer out of a data pointer, which ISO C has no cast for. */
static bool find(void *lib, const char *name, void *function)
{
    void *at = dlsym(lib, name);
    memcpy(function, &at, sizeof at);
    return at != NULL;
}

static bool find_compiler(void)
{
    static const char *const places[] = { "libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", PD_CUDA_LIB "/libnvrtc.so" };
    void *lib = NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places && !lib; i++)
        lib = dlopen(places[i], RTLD_NOW | RTLD_LOCAL);
    return lib && find(lib, "nvrtcCreateProgram", &rtc.create) && find(lib, "nvrtcCompileProgram", &rtc.compile) &&
           find(lib, "nvrtcGetProgramLogSize", &rtc.log_size) && find(lib, "nvrtcGetProgramLog", &rtc.log) &&
           find(lib, "nvrtcGetCUBINSize", &rtc.cubin_size) &&
           find(lib, "nvrtcGetPTXSize", &rtc.ptx_size) && find(lib, "nvrtcDestroyProgram", &rtc.destroy);
}

static void compile_for(const char *text, const char *name, const char *arch)
{
    const char *const options[] = { arch, "--std=c++17" };
    void *program = NULL;
    size_t size = 0;
    assert_int_equal(rtc.create(&program, text, name, 0, NULL, NULL), 0);
    if (rtc.compile(program, 2, options)) {
        rtc.log_size(program, &size);
        char *log = calloc(size + 1, 1);
        rtc.log(program, log);
        print_error("%s\n", log);
        fail_msg("%s does not compile for a device, %s: %s", name, arch, log);
    }
    assert_int_equal(strstr(arch, "=sm_") ? rtc.cubin_size(program, &size) : rtc.ptx_size(program, &size), 0);
    assert_true(size > 0);
    rtc.destroy(&program);
}

/* To PTX, for one architecture. PUDLE_TEST_ARCHES=all: to the code of each that nvcc is asked for as well, which takes minutes. */
static void compile_for_device(const pudle_desc *desc)
{
    static const char *const arches[] = { "--gpu-architecture=compute_90", "--gpu-architecture=sm_75", "--gpu-architecture=sm_80",
                                          "--gpu-architecture=sm_90", "--gpu-architecture=sm_100", "--gpu-architecture=sm_120" };
    const size_t count = getenv("PUDLE_TEST_ARCHES") ? sizeof arches / sizeof *arches : 1;
    for (int part = CUDA_TEXT; part <= (desc->kind == PUDLE_KIND_PROX ? CUDA_TEXT_FILTERS : CUDA_TEXT); part++) {
        char *text = NULL;
        assert_int_equal(cuda_source(desc, part, &text), PUDLE_OK);
        for (size_t i = 0; i < count; i++)
            compile_for(text, desc->name, arches[i]);
        free(text);
    }
}

static void test_compiles_for_device(void **state)
{
    (void)state;
    if (SANITIZED) {
        print_message("# SKIP the run-time compiler has nothing of ours in it: this is done without sanitizers\n");
        skip();
    }
    if (!find_compiler()) {
        print_message("# SKIP the CUDA run-time compiler (libnvrtc) is not installed\n");
        skip();
    }
    assert_true(for_each_source(compile_for_device) > 0);
}

/* -------------------------------------------------------------- as host code */

static void *compile_for_host(const pudle_desc *desc)
{
    char folder[] = "/tmp/pudle-device-XXXXXX", source[64], object[64], command[512], *text = NULL;
    const char *compiler = getenv("CXX");
    assert_non_null(mkdtemp(folder));
    snprintf(source, sizeof source, "%s/source.cpp", folder);
    snprintf(object, sizeof object, "%s/source.so", folder);
    snprintf(command, sizeof command, "%s -std=c++17 -O1 -ffp-contract=off -DPUDLE_DIRECT -Wall -Wextra -Wno-unused-function -shared -fPIC -o %s %s",
             compiler && *compiler ? compiler : "c++", object, source);
    assert_int_equal(cuda_source(desc, CUDA_TEXT, &text), PUDLE_OK);
    FILE *file = fopen(source, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    free(text);
    if (system(command) != 0)
        fail_msg("%s: %s fails", desc->name, command);
    void *lib = dlopen(object, RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        fail_msg("%s", dlerror());
    unlink(source);
    unlink(object);
    rmdir(folder);
    return lib;
}

static void expect_same(const pudle_desc *desc, const char *what, const pudle_view *got, const pudle_view *want)
{
    const double eps = got->dtype == PUDLE_F64 ? 2.3e-16 : 1.2e-7;
    for (int64_t i = 0; i < fake_count(got); i++) {
        const double a = get(got, i), b = get(want, i);
        if (isnan(b) ? !isnan(a) : !(a == b || fabs(a - b) <= 64 * eps * (1 + fabs(b))))
            fail_msg("%s: %s of entry %lld is %.17g on a device, %.17g on the host", desc->name, what, (long long)i, a, b);
    }
}

typedef void prox_apply_f32(const void *, float, cuda_levels, const float *, float *, cuda_code);
typedef void prox_apply_f64(const void *, double, cuda_levels, const double *, double *, cuda_code);
typedef void prox_vjp_f32(const void *, float, cuda_levels, const float *, const float *, float *, cuda_code);
typedef void prox_vjp_f64(const void *, double, cuda_levels, const double *, const double *, double *, cuda_code);
typedef void prox_levels_f32(const void *, float, cuda_levels, const float *, const float *, double *, cuda_code, long long, const double *, int);
typedef void prox_levels_f64(const void *, double, cuda_levels, const double *, const double *, double *, cuda_code, long long, const double *, int);

static int thresholds(const pudle_desc *desc)
{
    int count = 0;
    for (int i = 0; desc->options && desc->options[i].name; i++)
        count += (desc->options[i].flags & PUDLE_THRESHOLD) != 0;
    return count;
}

static void run_prox(const pudle_desc *desc, void *lib, int32_t dtype, bool per_atom, int64_t inner)
{
    enum { BATCH = 7, ATOMS = 13, CHUNKS = 3 };
    const pudle_prox_ops *ops = desc->ops;
    const int levels = cuda_source_of(desc)->levels;
    const int64_t shape[] = { BATCH, ATOMS, inner }, extent = per_atom ? ATOMS : 1;
    double partial[CUDA_LEVELS * ATOMS * CHUNKS];
    pudle_view v = fake_view(dtype, 3, shape), g = fake_view(dtype, 3, shape), p[2], gv[2], theta[CUDA_LEVELS], gtheta[CUDA_LEVELS];
    pudle_cview ctheta[CUDA_LEVELS];
    cuda_levels at = { { NULL }, { 0 } };
    const cuda_code code = { ATOMS, inner, BATCH * ATOMS * inner };
    void *params = fake_params(desc, SETTINGS(NULL));
    const double tau = 0.3;
    assert_int_equal(levels, thresholds(desc));
    for (int k = 0; k < levels; k++) {
        theta[k] = fake_view(dtype, 1, &extent);
        for (int64_t i = 0; i < extent; i++)
            set(&theta[k], i, 0.1 + 0.5 * (k + pudle_random_uniform(fake_random())));
        gtheta[k] = fake_view(PUDLE_F64, 1, &extent);
        for (int64_t i = 0; i < extent; i++)
            set(&gtheta[k], i, 0);
        ctheta[k] = pudle_const(&theta[k]);
        at.theta[k] = theta[k].data;
        at.step[k] = per_atom;
    }
    for (int64_t i = 0; i < code.count; i++) {
        set(&v, i, i == 5 ? NAN : i == 9 ? 0 : 2 * normal());
        set(&g, i, normal());
    }
    for (int i = 0; i < 2; i++) {
        p[i] = fake_view(dtype, 3, shape);
        gv[i] = fake_view(dtype, 3, shape);
    }
    const pudle_cview cv = pudle_const(&v), cg = pudle_const(&g), cp = pudle_const(&p[1]);
    assert_int_equal(ops->kernels[0]->apply(params, NULL, tau, ctheta, &cv, &p[1]), PUDLE_OK);
    assert_int_equal(ops->kernels[0]->vjp(params, NULL, tau, ctheta, &cv, &cp, &cg, &gv[1], gtheta), PUDLE_OK);
    if (dtype == PUDLE_F64) {
        prox_apply_f64 *apply = NULL;
        prox_vjp_f64 *vjp = NULL;
        prox_levels_f64 *level_sums = NULL;
        assert_true(find(lib, "pudle_prox_apply_f64", &apply));
        assert_true(find(lib, "pudle_prox_vjp_f64", &vjp));
        assert_true(find(lib, "pudle_prox_levels_f64", &level_sums));
        apply(params, tau, at, v.data, p[0].data, code);
        vjp(params, tau, at, v.data, g.data, gv[0].data, code);
        level_sums(params, tau, at, v.data, g.data, partial, code, CHUNKS, NULL, 0);
    } else {
        prox_apply_f32 *apply = NULL;
        prox_vjp_f32 *vjp = NULL;
        prox_levels_f32 *level_sums = NULL;
        assert_true(find(lib, "pudle_prox_apply_f32", &apply));
        assert_true(find(lib, "pudle_prox_vjp_f32", &vjp));
        assert_true(find(lib, "pudle_prox_levels_f32", &level_sums));
        apply(params, (float)tau, at, v.data, p[0].data, code);
        vjp(params, (float)tau, at, v.data, g.data, gv[0].data, code);
        level_sums(params, (float)tau, at, v.data, g.data, partial, code, CHUNKS, NULL, 0);
    }
    expect_same(desc, "prox", &p[0], &p[1]);
    expect_same(desc, "derivative", &gv[0], &gv[1]);
    for (int k = 0; k < levels; k++) { /* sums over many entries, in f64 */
        for (int64_t i = 0; i < extent; i++) {
            const double b = get(&gtheta[k], i), tolerance = dtype == PUDLE_F64 ? 1e-11 : 1e-3;
            double a = 0;
            for (int j = per_atom ? (int)i * CHUNKS : 0; j < (per_atom ? (int)(i + 1) : ATOMS) * CHUNKS; j++)
                a += partial[k * ATOMS * CHUNKS + j];
            assert_true((isnan(a) && isnan(b)) || fabs(a - b) <= tolerance * (1 + fabs(b)));
        }
        free(theta[k].data);
        free(gtheta[k].data);
    }
    for (int i = 0; i < 2; i++) {
        free(p[i].data);
        free(gv[i].data);
    }
    free(v.data);
    free(g.data);
    free(params);
}

typedef void loss_entry(const void *, const void *, const void *, void *, long long);
typedef void loss_hvp(const void *, const void *, const void *, const void *, void *, long long);
typedef void loss_mean(const void *, const void *, void *, long long);
typedef void code_value(const void *, const void *, double *, long long);
typedef void code_grad(const void *, const void *, void *, long long);

static void *kernel(void *lib, const char *name, int32_t dtype)
{
    char full[64];
    snprintf(full, sizeof full, "%s_%s", name, dtype == PUDLE_F64 ? "f64" : "f32");
    void *at = dlsym(lib, full);
    assert_non_null(at);
    return at;
}

static void run_loss(const pudle_desc *desc, void *lib, int32_t dtype)
{
    enum { N = 77 };
    const pudle_loss_kernel *host = ((const pudle_loss_ops *)desc->ops)->kernels[0];
    const int64_t n = N;
    pudle_view eta = fake_view(dtype, 1, &n), x = fake_view(dtype, 1, &n), u = fake_view(dtype, 1, &n), out[2];
    void *params = fake_params(desc, SETTINGS(NULL)), *at;
    double total = 0, sum = 0; /* one block, one sum */
    for (int i = 0; i < 2; i++)
        out[i] = fake_view(dtype, 1, &n);
    for (int64_t i = 0; i < n; i++) {
        set(&eta, i, 2 * normal());
        set(&x, i, i % 2); /* in the domain of every loss for real numbers, counts, events; positive ones see 1 below */
        set(&u, i, normal());
    }
    const pudle_loss_ops *ops = desc->ops;
    const pudle_cview ce = pudle_const(&eta), cx = pudle_const(&x), cu = pudle_const(&u);
    const pudle_host host_services = { .size = sizeof host_services, .fail = fake_fail, .log = fake_log, .alloc = fake_alloc, .free = fake_free };
    if (ops->check_target && ops->check_target(&host_services, params, &cx))
        for (int64_t i = 0; i < n; i++)
            set(&x, i, 1);
    assert_int_equal(host->value(params, NULL, &ce, &cx, &total), PUDLE_OK);
    at = kernel(lib, "pudle_loss_value", dtype);
    loss_entry *entry;
    memcpy(&entry, &at, sizeof at);
    entry(params, eta.data, x.data, &sum, n);
    assert_true(fabs(sum - total) <= 1e-12 * (1 + fabs(total)));
    at = kernel(lib, "pudle_loss_grad", dtype);
    memcpy(&entry, &at, sizeof at);
    entry(params, eta.data, x.data, out[0].data, n);
    assert_int_equal(host->grad(params, NULL, &ce, &cx, &out[1]), PUDLE_OK);
    expect_same(desc, "gradient", &out[0], &out[1]);
    loss_hvp *hvp;
    at = kernel(lib, "pudle_loss_hvp", dtype);
    memcpy(&hvp, &at, sizeof at);
    hvp(params, eta.data, x.data, u.data, out[0].data, n);
    assert_int_equal(host->hvp(params, NULL, &ce, &cx, &cu, &out[1]), PUDLE_OK);
    expect_same(desc, "curvature", &out[0], &out[1]);
    if (PUDLE_HAS(host, pudle_loss_kernel, mean) && host->mean) {
        loss_mean *mean;
        at = kernel(lib, "pudle_loss_mean", dtype);
        memcpy(&mean, &at, sizeof at);
        mean(params, eta.data, out[0].data, n);
        assert_int_equal(host->mean(params, NULL, &ce, &out[1]), PUDLE_OK);
        expect_same(desc, "mean", &out[0], &out[1]);
    }
    if (cuda_code_source_of(desc)) {
        code_value *value;
        code_grad *grad;
        at = kernel(lib, "pudle_code_value", dtype);
        memcpy(&value, &at, sizeof at);
        value(params, eta.data, &sum, n);
        assert_int_equal(host->code_value(params, NULL, &ce, &total), PUDLE_OK);
        assert_true(fabs(sum - total) <= 1e-12 * (1 + fabs(total)));
        at = kernel(lib, "pudle_code_grad", dtype);
        memcpy(&grad, &at, sizeof at);
        for (int64_t i = 0; i < n; i++) { /* added to */
            set(&out[0], i, pudle_entry(&cu, i));
            set(&out[1], i, pudle_entry(&cu, i));
        }
        grad(params, eta.data, out[0].data, n);
        assert_int_equal(host->code_grad(params, NULL, &ce, &out[1]), PUDLE_OK);
        expect_same(desc, "penalty's gradient", &out[0], &out[1]);
    }
    for (int i = 0; i < 2; i++)
        free(out[i].data);
    free(eta.data);
    free(x.data);
    free(u.data);
    free(params);
}

static void run_on_host(const pudle_desc *desc)
{
    static const int32_t dtypes[] = { PUDLE_F32, PUDLE_F64 };
    void *lib = compile_for_host(desc);
    for (int i = 0; i < 2; i++) {
        if (desc->kind == PUDLE_KIND_LOSS) {
            run_loss(desc, lib, dtypes[i]);
        } else {
            for (int c = 0; c < 4; c++) /* one level for all or one an atom; dense codes or maps */
                run_prox(desc, lib, dtypes[i], c % 2, c / 2 ? 1 : 6);
        }
    }
    dlclose(lib);
}

static void test_same_as_host_kernel(void **state)
{
    const char *compiler = getenv("CXX");
    char command[256];
    (void)state;
    snprintf(command, sizeof command, "command -v %s >/dev/null", compiler && *compiler ? compiler : "c++");
    if (system(command) != 0) {
        print_message("# SKIP there is no C++ compiler\n");
        skip();
    }
    const int count = for_each_source(run_on_host);
    print_message("# %d operators\n", count);
    assert_true(count > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compiles_for_device),
        cmocka_unit_test(test_same_as_host_kernel),
    };
    return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
