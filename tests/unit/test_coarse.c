/* Coarse evaluations of the cpu backend's unroll: products of bytes against plain sums, and correlations of all atoms that are never further off
 * than the margin that is said, over several evaluations that go by each other. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_host.h"
#include "backend/cpu/unroll_wide.c"

/* ---- what unroll.c asks of the rest of the backend; products of matrices are not tried here */

void cpu_parts(const pudle_exec *exec, int64_t parts, cpu_body body, void *ctx)
{
    (void)exec;
    for (int64_t i = 0; i < parts; i++)
        body(ctx, i);
}

void cpu_share(const pudle_exec *exec, int64_t parts, double work, cpu_body body, void *ctx)
{
    (void)work;
    cpu_parts(exec, parts, body, ctx);
}

pudle_status cpu_gemm(pudle_exec *exec, bool trans_a, bool trans_b, double a, const pudle_cview *A, const pudle_cview *B, double b, const pudle_view *C)
{
    (void)exec, (void)trans_a, (void)trans_b, (void)a, (void)A, (void)B, (void)b, (void)C;
    return PUDLE_ERR_UNSUPPORTED;
}

#ifdef WIDE_POSSIBLE

static double draw(double scale)
{
    return scale * pudle_random_normal(fake_random());
}

static int64_t between(int64_t least, int64_t most)
{
    return least + (int64_t)pudle_random_below(fake_random(), (uint64_t)(most - least + 1));
}

static bool skipped(void)
{
    if (!bytes_here())
        print_message("# this processor has no instructions for products of bytes\n");
    return !bytes_here();
}

/* ------------------------------------------------------------ products */

static void compare_products(int64_t rows, int64_t panels, int64_t groups, bool extreme)
{
    const int64_t inner = groups * BYTES_GROUP, lda = inner + BYTES_GROUP * between(0, 3), ldc = panels * BYTES_PANEL + between(0, 5);
    int8_t *A = fake_alloc(NULL, (size_t)(rows * lda));
    uint8_t *B = fake_alloc(NULL, (size_t)(panels * BYTES_PANEL * inner));
    int32_t *C = fake_alloc(NULL, (size_t)(rows * ldc) * sizeof *C);
    for (int64_t i = 0; i < rows * lda; i++)
        A[i] = (int8_t)(extreme ? 127 : between(-127, 127));
    for (int64_t i = 0; i < panels * BYTES_PANEL * inner; i++)
        B[i] = (uint8_t)(extreme ? 255 : between(0, 255));
    for (int64_t i = 0; i < rows * ldc; i++)
        C[i] = 7;
    bytes_product(rows, panels, groups, A, lda, B, C, ldc);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < ldc; j++) {
            int64_t sum = 0;
            const uint8_t *column = B + j / BYTES_PANEL * BYTES_PANEL * inner + j % BYTES_PANEL * BYTES_GROUP;
            for (int64_t k = 0; k < inner && j < panels * BYTES_PANEL; k++)
                sum += A[i * lda + k] * column[k / BYTES_GROUP * BYTES_PANEL * BYTES_GROUP + k % BYTES_GROUP];
            assert_int_equal(C[i * ldc + j], j < panels * BYTES_PANEL ? sum : 7);
        }
    fake_free(NULL, A);
    fake_free(NULL, B);
    fake_free(NULL, C);
}

static void bytes_match_plain_sums(void **state)
{
    (void)state;
    if (skipped())
        skip();
    for (int64_t rows = 1; rows <= 20; rows++)
        for (int64_t panels = 1; panels <= 9; panels++)
            compare_products(rows, panels, between(1, 40), false);
    compare_products(7, 3, BYTES_LONGEST / BYTES_GROUP, true); /* the largest sum that there can be */
}

/* ------------------------------------------------------------ margins */

/* What a problem is like beside its size: atoms whose bytes are good or bad, or nothing. */
enum { USUAL, WITH_SPIKES, WITH_ZEROS, TINY, KINDS };

#define REAL float
#define NAME(x) x##_f32
#define DTYPE PUDLE_F32
#include "coarse_margins.h"
#undef REAL
#undef NAME
#undef DTYPE
#define REAL double
#define NAME(x) x##_f64
#define DTYPE PUDLE_F64
#include "coarse_margins.h"
#undef REAL
#undef NAME
#undef DTYPE

static void margins_hold(void **state)
{
    (void)state;
    if (skipped())
        skip();
    for (int round = 0; round < 60; round++) {
        const int64_t atoms = between(2, 90), features = round % 5 ? between(1, 300) : between(1000, 2200);
        margins_f32(atoms, features, round % KINDS);
        margins_f64(atoms, features, round % KINDS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(bytes_match_plain_sums, fresh),
        cmocka_unit_test_setup(margins_hold, fresh),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("coarse", tests, NULL, NULL);
}

#else

static void no_wide_vectors(void **state)
{
    (void)state;
    print_message("# not made for this processor\n");
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_wide_vectors) };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("coarse", tests, NULL, NULL);
}

#endif
