/* What the cuda backend decides on the host: targets, the cache on disk, the cut of the work, the mapping of products, the choice
 * of algorithms. And, where the toolkit is installed, that its libraries have all that device_*.c will look for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../plugins/backend/cuda/cuda.h"

#include <dlfcn.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void targets(void **state)
{
    static const int list[] = { 75, 80, 86, 90, 100 };
    char arch[32];
    (void)state;
    assert_true(cuda_arch(90, list, 5, arch, sizeof arch));
    assert_string_equal(arch, "sm_90");
    assert_true(cuda_arch(89, list, 5, arch, sizeof arch)); /* the driver finishes what is between two */
    assert_string_equal(arch, "compute_86");
    assert_true(cuda_arch(120, list, 5, arch, sizeof arch));
    assert_string_equal(arch, "compute_100");
    assert_false(cuda_arch(70, list, 5, arch, sizeof arch));
}

/* ------------------------------------------------------------------- cache */

static char folder[] = "/tmp/pudle-cuda-XXXXXX";

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static char found[4096];
static int files;

static int note_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)walk;
    if (type == FTW_F) {
        snprintf(found, sizeof found, "%s", path);
        files++;
    }
    return 0;
}

static void put_byte(long at, int change)
{
    FILE *f = fopen(found, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    const int was = fgetc(f);
    assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    assert_int_not_equal(fputc(was ^ change, f), EOF);
    assert_int_equal(fclose(f), 0);
}

/* Does the file that was found hold this? */
static bool found_holds(const char *text)
{
    char all[4096] = "";
    FILE *f = fopen(found, "rb");
    assert_non_null(f);
    const size_t bytes = fread(all, 1, sizeof all, f);
    fclose(f);
    return memmem(all, bytes, text, strlen(text)) != NULL;
}

static bool has(const char *text, const char *arch, const char *compiler, const char *wanted)
{
    void *image = NULL;
    size_t bytes = 0;
    if (!cuda_cache_get(text, arch, compiler, &image, &bytes))
        return false;
    const bool same = bytes == strlen(wanted) && !memcmp(image, wanted, bytes);
    free(image);
    return same;
}

static void cache(void **state)
{
    char reason[5000], path[4096];
    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(setenv("XDG_CACHE_HOME", folder, 1), 0);
    assert_true(cuda_cache_folder(path, sizeof path));
    assert_memory_equal(path, folder, strlen(folder));
    assert_false(has("text", "sm_90", "NVRTC 13.0", "image"));
    assert_true(cuda_cache_put("text", "sm_90", "NVRTC 13.0", "image", 5, reason, sizeof reason));
    assert_true(has("text", "sm_90", "NVRTC 13.0", "image"));
    assert_false(has("text ", "sm_90", "NVRTC 13.0", "image"));
    assert_false(has("text", "sm_80", "NVRTC 13.0", "image"));
    assert_false(has("text", "sm_90", "NVRTC 13.1", "image"));
    assert_true(cuda_cache_put("text", "sm_90", "NVRTC 13.0", "another", 7, reason, sizeof reason));
    assert_true(has("text", "sm_90", "NVRTC 13.0", "another"));
    files = 0;
    assert_int_equal(nftw(folder, note_one, 8, FTW_PHYS), 0);
    assert_int_equal(files, 1); /* and no temporary file is left */
    assert_true(found_holds(CUDA_COMPILE)); /* other options make another file */
    for (long at = -1; at >= -12; at--) { /* in the image, in the key */
        put_byte(at, 1);
        assert_false(has("text", "sm_90", "NVRTC 13.0", "another"));
        put_byte(at, 1);
    }
    for (long at = 0; at < 32; at++) { /* in the header */
        put_byte(at, 64);
        assert_false(has("text", "sm_90", "NVRTC 13.0", "another"));
        put_byte(at, 64);
    }
    assert_true(has("text", "sm_90", "NVRTC 13.0", "another"));
    assert_int_equal(truncate(found, 40), 0);
    assert_false(has("text", "sm_90", "NVRTC 13.0", "another"));
    snprintf(path, sizeof path, "%s/file", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(setenv("XDG_CACHE_HOME", path, 1), 0); /* no folder can be made there */
    assert_false(cuda_cache_put("text", "sm_90", "NVRTC 13.0", "image", 5, reason, sizeof reason));
    assert_non_null(strstr(reason, path));
    assert_int_equal(setenv("XDG_CACHE_HOME", "relative", 1), 0); /* as its specification says, such a value is passed over */
    assert_int_equal(setenv("HOME", "/home/of", 1), 0);
    assert_true(cuda_cache_folder(path, sizeof path));
    assert_string_equal(path, "/home/of/.cache/pudle/cuda");
    assert_int_equal(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* --------------------------------------------------------------- decisions */

static void cut(void **state)
{
    pudle_work w = { .size = sizeof w, .dtype = PUDLE_F32, .samples = 50, .features = 1000, .code = 1500, .layers = 100 };
    int64_t rows = 0, lanes = 0;
    (void)state;
    cuda_cut(&w, &rows, &lanes);
    assert_int_equal(rows, 50); /* the paper's batches are one block */
    assert_int_equal(lanes, 1);
    w.samples = 100000;
    cuda_cut(&w, &rows, &lanes);
    assert_true(rows < 100000 && (double)rows * 4 * 104 * 4000 <= 2147483648.0 * 1.001);
    const int64_t blocks = (100000 + rows - 1) / rows;
    assert_true((blocks - 1) * rows < 100000 && blocks * rows - 100000 < blocks); /* equal ones */
    assert_true((double)rows * 1500 >= 0.98 * 2097152 || (double)rows * 4 * 104 * 4000 >= 0.98 * 2147483648.0); /* and so many that the card is filled */
    w.memory = 1 << 30;
    int64_t fewer = 0;
    cuda_cut(&w, &fewer, &lanes);
    assert_true((double)fewer * 4 * 104 * 4000 <= 1073741824.0 * 1.001 && fewer < rows);
    w.memory = 1; /* not even one sample: one by one */
    cuda_cut(&w, &fewer, &lanes);
    assert_int_equal(fewer, 1);
    w.memory = 0;
    w.whole = 1;
    cuda_cut(&w, &rows, &lanes);
    assert_int_equal(rows, 100000);
    w = (pudle_work){ .size = sizeof w, .dtype = PUDLE_F64, .samples = 3, .features = 100000000, .code = 1000000000, .layers = 40 };
    cuda_cut(&w, &rows, &lanes);
    assert_int_equal(rows, 1);
    w.samples = 0;
    cuda_cut(&w, &rows, &lanes);
    assert_true(rows >= 1 && lanes >= 1);
}

/* A quotient as a kernel has it (pudle_divide of tiles.h). */
static int64_t divided(int64_t e, const cuda_divisor *d)
{
    return d->d == 1 ? e : (int64_t)((uint64_t)e * d->by >> 32);
}

/* Filters as matrices: every weight is there, as often as it is needed. Whether it stands in the right place is seen where D z is compared. */
static void filters(void **state)
{
    static const int64_t shapes[][8] = { /* atoms, channels, kernel, stride, code */
        { 64, 1, 9, 9, 4, 4, 31, 31 }, { 1, 1, 1, 1, 1, 1, 1, 1 }, { 3, 2, 1, 13, 1, 5, 1, 46 }, { 7, 3, 5, 4, 1, 2, 9, 6 }, { 70, 1, 3, 7, 1, 1, 8, 31 }, { 5, 16, 2, 2, 1, 3, 4, 5 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int64_t *s = shapes[i];
        pudle_conv c = { .atoms = s[0], .channels = s[1], .kernel = { s[2], s[3] }, .stride = { s[4], s[5] }, .code = { s[6], s[7] },
                         .data = { (s[6] - 1) * s[4] + s[2], (s[7] - 1) * s[5] + s[3] } };
        cuda_filters f;
        assert_true(cuda_filters_of(&c, &f));
        const int64_t weights = (int64_t)f.k * f.terms, entries = (int64_t)f.taps * f.k * f.pixels;
        int *analysis = malloc((size_t)(f.terms * f.filters) * sizeof *analysis), *synthesis = malloc((size_t)entries * sizeof *synthesis);
        int64_t *seen = calloc((size_t)weights, sizeof *seen);
        assert_true(analysis && synthesis && seen);
        cuda_filters_arrange(&f, analysis, synthesis);
        for (int64_t e = 0; e < (int64_t)f.terms * f.filters; e++)
            assert_int_equal(analysis[e], e % f.filters < f.k ? e % f.filters * f.terms + e / f.filters : -1);
        for (int64_t e = 0; e < entries; e++)
            if (synthesis[e] >= 0)
                seen[synthesis[e]]++;
        for (int64_t e = 0; e < weights; e++) /* once for each of a cell's positions */
            assert_int_equal(seen[e], f.jump[0] * f.jump[1]);
        for (int64_t e = 0; e < (int64_t)f.taps * f.k; e++)
            assert_int_equal(divided(e, &f.of_k), e / f.k);
        for (int64_t e = 0; e < f.taps; e++)
            assert_int_equal(divided(e, &f.of_across), e / f.of_across.d);
        for (int64_t e = 0; e < f.terms; e++)
            assert_true(divided(e, &f.of_rs) == e / (f.r * f.s) && divided(e, &f.of_s) == e / f.s);
        for (int64_t e = 0; e < f.slots; e++)
            assert_true(divided(e, &f.of_cell) == e / (f.group[0] * f.group[1]) && divided(e, &f.of_wide) == e / f.group[1]);
        free(analysis);
        free(synthesis);
        free(seen);
    }
    pudle_conv c = { .atoms = 1000, .channels = 1, .kernel = { 9, 9 }, .stride = { 1, 1 }, .code = { 4000, 4000 }, .data = { 4008, 4008 } };
    cuda_filters f;
    assert_false(cuda_filters_of(&c, &f)); /* a code has more entries than an int counts */
    c = (pudle_conv){ .atoms = 60000, .channels = 16, .kernel = { 9, 9 }, .stride = { 1, 1 }, .code = { 2, 2 }, .data = { 10, 10 } };
    assert_false(cuda_filters_of(&c, &f)); /* and here D by taps */
    c = (pudle_conv){ .atoms = 1, .channels = 1, .kernel = { 1, 65522 }, .stride = { 1, 1 }, .code = { 1, 100 }, .data = { 1, 65621 } };
    assert_false(cuda_filters_of(&c, &f)); /* a quotient would be wrong: 65536 / 65537 as kernels have it is 1 */
    c = (pudle_conv){ .atoms = 1, .channels = 1, .kernel = { 1, 1 }, .stride = { 255, 257 }, .code = { 2, 2 }, .data = { 256, 258 } };
    assert_true(cuda_filters_of(&c, &f));
    c = (pudle_conv){ .atoms = 1, .channels = 1, .kernel = { 1, 1 }, .stride = { 256, 256 }, .code = { 2, 2 }, .data = { 257, 257 } };
    assert_false(cuda_filters_of(&c, &f)); /* nor this one's, of pixels of a cell */
}

/* A tile is made by all threads of a block, and where there is little work it is small. */
static void tiles(void **state)
{
    (void)state;
    for (int64_t count = 1; count < 2000000; count += count / 2 + 1)
        for (int64_t results = 1; results < 3000; results += results / 2 + 1) {
            const cuda_tile tile = cuda_tile_of(count, results);
            const int64_t wide = 4 << tile.col_bits, large = (count + 63) / 64 * ((results + wide - 1) / wide);
            assert_true(tile.col_bits >= 0 && tile.col_bits <= 4);
            assert_true(large >= 100 ? tile.each == 4 && tile.row_bits == 4 : tile.each == 1 && tile.row_bits == 3); /* as the kernels have them */
        }
    assert_int_equal(cuda_tile_of(1000, 64).col_bits, 4);
    assert_int_equal(cuda_tile_of(1000, 48).col_bits, 4);
    assert_int_equal(cuda_tile_of(1000, 16).col_bits, 2);
    assert_int_equal(cuda_tile_of(1000, 3).col_bits, 0);
}

static void grids(void **state)
{
    (void)state;
    for (int64_t n = 1; n < 100000000; n += n / 3 + 1) {
        assert_in_range(cuda_blocks(n), 1, 65536);
        assert_in_range(cuda_reduction(n), 1, 1024);
    }
    for (int64_t atoms = 1; atoms < 5000; atoms += atoms / 2 + 1)
        for (int64_t inner = 1; inner < 5000; inner += inner / 2 + 1) {
            const cuda_code code = { atoms, inner, 3 * atoms * inner };
            const int64_t chunks = cuda_chunks(&code);
            assert_true(chunks >= 1 && chunks <= 3 * inner);
        }
}

/* Row-major C = op(A) op(B) read as column-major C' = op(B)' op(A)'. */
static void products(void **state)
{
    const host_gemm sizes = { .rows = 2, .cols = 3, .inner = 4, .lda = 5, .ldb = 6, .ldc = 7 };
    cuda_gemm call = { 0 };
    (void)state;
    cuda_gemm_of(&sizes, true, false, &call);
    assert_true(!call.trans_a && call.trans_b);
    assert_true(call.m == 3 && call.n == 2 && call.k == 4 && call.lda == 6 && call.ldb == 5 && call.ldc == 7);
}

static void algorithms(void **state)
{
    const cuda_algorithm list[] = { { 0, 1000, true, false, 0 }, { 1, 0, false, true, 0 }, { 2, 5000, true, true, 0 }, { 3, 100, true, true, 0 } };
    (void)state;
    assert_int_equal(cuda_choose(list, 4, 1000)->id, 3);
    assert_int_equal(cuda_choose(list, 4, 5000)->id, 2);  /* the one thought faster */
    assert_int_equal(cuda_choose(list, 4, 10)->id, 2);    /* more memory rather than other digits */
    assert_int_equal(cuda_choose(list, 2, 10)->id, 0);
    assert_null(cuda_choose(list + 1, 1, 10));
    assert_null(cuda_choose(list, 0, 10));
}

/* --------------------------------------------------------------- libraries */

static void libraries(void **state)
{
    static const struct { const char *file; const char *names[12]; } all[] = {
        { "libcublas.so", { "cublasCreate_v2", "cublasDestroy_v2", "cublasSetStream_v2", "cublasSetWorkspace_v2", "cublasGetVersion_v2",
                            "cublasGemmEx_64", "cublasGetStatusString" } },
        { "libcudnn.so", { "cudnnCreate", "cudnnGetConvolutionForwardAlgorithm_v7", "cudnnGetConvolutionBackwardDataAlgorithm_v7",
                           "cudnnGetConvolutionBackwardFilterAlgorithm_v7", "cudnnConvolutionForward", "cudnnConvolutionBackwardData",
                           "cudnnConvolutionBackwardFilter", "cudnnSetConvolutionMathType", "cudnnGetErrorString" } },
        { "libnvrtc.so", { "nvrtcGetSupportedArchs", "nvrtcCompileProgram", "nvrtcGetCUBIN", "nvrtcGetPTX" } },
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", PD_CUDA_LIB, all[i].file);
        if (access(path, R_OK)) {
            print_message("# SKIP %s is not installed\n", all[i].file);
            skip();
        }
        void *lib = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
        if (!lib)
            fail_msg("%s", dlerror());
        for (int k = 0; k < 12 && all[i].names[k]; k++)
            if (!dlsym(lib, all[i].names[k]))
                fail_msg("%s has no %s", path, all[i].names[k]);
    }
}

/* cuDNN's own idea of a shape, which needs no device: the codes of a valid correlation with stride are as large as pudle_conv says. */
static void descriptors(void **state)
{
    int (*tensor)(void **), (*filter)(void **), (*conv)(void **), (*no_tensor)(void *), (*no_filter)(void *), (*no_conv)(void *), (*set_tensor)(void *, int, int, int, int, int, int),
        (*set_filter)(void *, int, int, int, int, int, int), (*set_conv)(void *, int, int, int, int, int, int, int, int),
        (*output)(void *, void *, void *, int *, int *, int *, int *);
    const struct { const char *name; void *to; } wanted[] = {
        { "cudnnCreateTensorDescriptor", &tensor },          { "cudnnCreateFilterDescriptor", &filter },
        { "cudnnCreateConvolutionDescriptor", &conv },       { "cudnnSetTensor4dDescriptor", &set_tensor },
        { "cudnnSetFilter4dDescriptor", &set_filter },       { "cudnnSetConvolution2dDescriptor", &set_conv },
        { "cudnnGetConvolution2dForwardOutputDim", &output }, { "cudnnDestroyTensorDescriptor", &no_tensor },
        { "cudnnDestroyFilterDescriptor", &no_filter },      { "cudnnDestroyConvolutionDescriptor", &no_conv },
    };
    (void)state;
    if (access(PD_CUDA_LIB "/libcudnn.so", R_OK)) {
        print_message("# SKIP libcudnn.so is not installed\n");
        skip();
    }
    void *lib = dlopen(PD_CUDA_LIB "/libcudnn.so", RTLD_LAZY | RTLD_LOCAL);
    if (!lib)
        fail_msg("%s", dlerror());
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *at = dlsym(lib, wanted[i].name);
        assert_non_null(at);
        memcpy(wanted[i].to, &at, sizeof at);
    }
    for (int kernel = 1; kernel < 6; kernel++)
        for (int stride = 1; stride < 4; stride++)
            for (int size = kernel; size < 20; size += 3) {
                void *x = NULL, *w = NULL, *c = NULL;
                int n = 0, k = 0, p = 0, q = 0;
                assert_int_equal(tensor(&x), 0);
                assert_int_equal(filter(&w), 0);
                assert_int_equal(conv(&c), 0);
                assert_int_equal(set_tensor(x, 0, 0, 3, 2, 1 + (size - 1) / 2 + kernel, size), 0); /* NCHW, float */
                assert_int_equal(set_filter(w, 0, 0, 5, 2, 1, kernel), 0);
                assert_int_equal(set_conv(c, 0, 0, 1, stride, 1, 1, 1, 0), 0); /* cross-correlation, float */
                assert_int_equal(output(c, x, w, &n, &k, &p, &q), 0);
                assert_true(n == 3 && k == 5 && p == 1 + (size - 1) / 2 + kernel && q == (size - kernel) / stride + 1);
                assert_int_equal(no_tensor(x), 0);
                assert_int_equal(no_filter(w), 0);
                assert_int_equal(no_conv(c), 0);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets), cmocka_unit_test(cache),      cmocka_unit_test(cut),       cmocka_unit_test(grids),
        cmocka_unit_test(products), cmocka_unit_test(algorithms), cmocka_unit_test(libraries),
        cmocka_unit_test(descriptors), cmocka_unit_test(filters), cmocka_unit_test(tiles),
    };
    return cmocka_run_group_tests_name("cuda", tests, NULL, NULL);
}
