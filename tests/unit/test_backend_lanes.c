/* How backends divide work: lanes run once each and report the first failure, blocks are planned for the caches, and training gives
 * the same bits on any number of threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "backends.h"

static void need_cpu(void)
{
    if (present == 1) {
        print_message("# skipped: %s\n", why_absent);
        skip();
    }
}

/* ----------------------------------------------------------------------- run */

enum { LANES = 41 };

typedef struct roll {
    int calls[LANES];
    pudle_exec *seen[LANES];
    pudle_status answer[LANES];
} roll;

static pudle_status sign_in(void *ctx, pudle_exec *lane, int64_t index)
{
    roll *r = ctx;
    r->calls[index]++;
    r->seen[index] = lane;
    return r->answer[index];
}

static void test_run(void **state)
{
    (void)state;
    for (int i = 0; i < present; i++) {
        roll r;
        memset(&r, 0, sizeof r);
        assert_int_equal(be[i].ops->run(be[i].exec, LANES, sign_in, &r), PUDLE_OK);
        for (int k = 0; k < LANES; k++) {
            assert_int_equal(r.calls[k], 1);
            assert_ptr_not_equal(r.seen[k], be[i].exec);
        }
        r.answer[7] = PUDLE_ERR_IO;
        r.answer[23] = PUDLE_ERR_NUMERIC;
        r.answer[40] = PUDLE_ERR_ARG;
        assert_int_equal(be[i].ops->run(be[i].exec, LANES, sign_in, &r), PUDLE_ERR_IO);
        for (int k = 0; k < LANES; k++)
            assert_int_equal(r.calls[k], 2);
        assert_int_equal(be[i].ops->run(be[i].exec, 0, sign_in, &r), PUDLE_OK);
        assert_int_equal(be[i].ops->run(be[i].exec, -1, sign_in, &r), PUDLE_ERR_ARG);
        assert_int_equal(be[i].ops->run(be[i].exec, 2, NULL, &r), PUDLE_ERR_ARG);
        assert_int_equal(be[i].ops->sync(be[i].exec), PUDLE_OK);
    }
}

/* What training does: lanes sum outer products of their blocks, the root adds the lanes in order and takes a step. */
typedef struct training {
    const backend *b;
    const array *x, *z;
    array sum[8];
    double loss[8];
} training;

static pudle_status lane_sum(void *ctx, pudle_exec *lane, int64_t index)
{
    training *w = ctx;
    const pudle_backend_ops *o = w->b->ops;
    pudle_status s = o->fill(lane, 0.0, &w->sum[index].view);
    for (int block = 0; block < 3 && !s; block++) {
        pudle_cview x = pudle_const(&w->x->view), z = pudle_const(&w->z->view);
        const int64_t first = (index * 3 + block) * 11;
        x.data = (const char *)x.data + (size_t)(first * x.stride[0]) * width_of(x.dtype);
        z.data = (const char *)z.data + (size_t)(first * z.stride[0]) * width_of(z.dtype);
        x.shape[0] = z.shape[0] = 11;
        double part = 0;
        s = o->gemm(lane, true, false, 0.3, &x, &z, 1.0, &w->sum[index].view);
        if (!s)
            s = o->dot(lane, &x, &x, &part);
        w->loss[index] += part;
    }
    return s;
}

static void train(const backend *b, int32_t dtype, const array *x, const array *z, array *out, double *loss)
{
    training w = { .b = b, .x = x, .z = z };
    for (int i = 0; i < 8; i++)
        w.sum[i] = matrix(dtype, 61, 83, 0);
    assert_int_equal(b->ops->run(b->exec, 8, lane_sum, &w), PUDLE_OK);
    *loss = 0;
    for (int i = 0; i < 8; i++) {
        const pudle_cview part = pudle_const(&w.sum[i].view);
        assert_int_equal(b->ops->axpby(b->exec, 0.125, &part, i ? 1.0 : 0.0, &out->view), PUDLE_OK);
        *loss += w.loss[i];
        drop(&w.sum[i]);
    }
    assert_int_equal(b->ops->normalize(b->exec, 1, 1.0, &out->view), PUDLE_OK);
}

static void test_same_bits(void **state)
{
    (void)state;
    need_cpu();
    for (int t = 0; t < 2; t++) {
        const int32_t dtype = dtypes[t];
        array x = draw(matrix(dtype, 264, 61, 3)), z = draw(matrix(dtype, 264, 83, 0)), out[BACKENDS];
        array A = draw(matrix(dtype, 611, 173, 5)), B = draw(matrix(dtype, 1201, 173, 0)), C[BACKENDS], S[BACKENDS];
        array long_one = draw(make(dtype, 1, (const int64_t[]){ 300001 }, 0));
        const pudle_cview cA = pudle_const(&A.view), cB = pudle_const(&B.view), cl = pudle_const(&long_one.view);
        double loss[BACKENDS], dot[BACKENDS];
        for (int i = 0; i < BACKENDS; i++) {
            out[i] = matrix(dtype, 61, 83, 0);
            C[i] = matrix(dtype, 611, 1201, 0);
            train(&be[i], dtype, &x, &z, &out[i], &loss[i]);
            assert_int_equal(be[i].ops->gemm(be[i].exec, false, true, 1.0, &cA, &cB, 0.0, &C[i].view), PUDLE_OK);
            assert_int_equal(be[i].ops->normalize(be[i].exec, 0, 1.0, &C[i].view), PUDLE_OK);
            assert_int_equal(be[i].ops->normalize(be[i].exec, 1, 1.0, &C[i].view), PUDLE_OK);
            S[i] = matrix(dtype, 611, 1201, 2);
            const pudle_cview cC = pudle_const(&C[i].view);
            assert_int_equal(be[i].ops->axpby(be[i].exec, 1.7, &cC, 0.0, &S[i].view), PUDLE_OK);
            assert_int_equal(be[i].ops->momentum(be[i].exec, 0.1, 0.9, &cC, &S[i].view, &C[i].view), PUDLE_OK);
            assert_int_equal(be[i].ops->dot(be[i].exec, &cl, &cl, &dot[i]), PUDLE_OK);
        }
        expect_close(&out[CPU1], &out[REF], 40 * epsilon(dtype), "trained");
        expect_close(&S[CPU1], &S[REF], 40 * epsilon(dtype), "state");
        expect_close(&C[CPU1], &C[REF], 40 * epsilon(dtype), "matrix");
        for (int i = CPU2; i < BACKENDS; i++) {
            assert_memory_equal(out[CPU1].memory, out[i].memory, out[i].bytes);
            assert_memory_equal(C[CPU1].memory, C[i].memory, C[i].bytes);
            assert_memory_equal(S[CPU1].memory, S[i].memory, S[i].bytes);
            assert_memory_equal(&loss[CPU1], &loss[i], sizeof(double));
            assert_memory_equal(&dot[CPU1], &dot[i], sizeof(double));
        }
        for (int i = 0; i < BACKENDS; i++) {
            drop(&out[i]);
            drop(&C[i]);
            drop(&S[i]);
        }
        array *const all[] = { &x, &z, &A, &B, &long_one };
        for (size_t k = 0; k < 5; k++)
            drop(all[k]);
    }
}

static void test_plan(void **state)
{
    (void)state;
    for (int turn = 0; turn < 300; turn++) {
        const pudle_work work = { .size = sizeof work, .dtype = dtypes[below(2)],
                                  .samples = 1 + below(below(2) ? 100 : 100000), .features = 1 + below(5000),
                                  .code = 1 + below(9000), .layers = 1 + below(100),
                                  .whole = below(5) == 0 };
        int64_t rows[BACKENDS], lanes[BACKENDS];
        for (int i = 0; i < present; i++) {
            assert_int_equal(be[i].ops->plan(be[i].exec, &work, &rows[i], &lanes[i]), PUDLE_OK);
            assert_true(rows[i] >= 1 && lanes[i] >= 1 && lanes[i] <= 16);
            if (work.whole)
                assert_true(rows[i] == work.samples && lanes[i] == 1);
            const double dictionary = (double)(work.dtype == PUDLE_F64 ? 8 : 4) * (double)work.features * (double)work.code;
            const bool one = work.samples <= 256 && dictionary > 1048576; /* few rows would each bring all of it through the cache */
            if (!work.whole && work.samples >= 48 && !one)
                assert_true(lanes[i] >= 2 && rows[i] < work.samples && rows[i] <= 256);
            if (i > CPU1)
                assert_true(rows[i] == rows[CPU1] && lanes[i] == lanes[CPU1]);
        }
    }
    if (present == 1)
        return;
    int64_t rows, lanes;
    pudle_work wide = { .size = sizeof wide, .dtype = PUDLE_F32, .samples = 50, .features = 1000, .code = 1500 };
    wide.layers = 100;
    pudle_work many = wide, images = wide;
    many.samples = 10000;
    many.features = 50;
    many.code = 100;
    images.samples = 4;
    images.features = 16641;
    images.code = 61504;
    assert_int_equal(be[CPU1].ops->plan(be[CPU1].exec, &wide, &rows, &lanes), PUDLE_OK);
    assert_true(rows == 50 && lanes == 1);
    assert_int_equal(be[CPU1].ops->plan(be[CPU1].exec, &many, &rows, &lanes), PUDLE_OK);
    assert_true(rows >= 32 && rows * 2 * 100 * 4 * 100 <= 4 << 20 && lanes == 16); /* z and v of all layers stay in the cache */
    many.code = 600;
    assert_int_equal(be[CPU1].ops->plan(be[CPU1].exec, &many, &rows, &lanes), PUDLE_OK);
    assert_true(rows >= 48 && rows <= 256 && rows * 600 / 2 * 4 * 100 <= 16 << 20 && lanes == 16);
    assert_int_equal(be[CPU1].ops->plan(be[CPU1].exec, &images, &rows, &lanes), PUDLE_OK);
    assert_true(rows == 1 && lanes == 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run), cmocka_unit_test(test_same_bits), cmocka_unit_test(test_plan),
    };
    return cmocka_run_group_tests_name("backend_lanes", tests, set_up, tear_down);
}
