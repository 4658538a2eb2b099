/* What else backends owe their callers: wrong arguments are refused with a reason, memory is had, filled, read and given back, and
 * the kernels of proxes and losses are found and called. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "backends.h"

/* -------------------------------------------------------------- wrong arguments */

#define REFUSED(call)                                   \
    do {                                                \
        said[0] = '\0';                                 \
        assert_int_equal((call), PUDLE_ERR_ARG);        \
        assert_true(strlen(said) > 10);                 \
    } while (0)

static void test_arguments(void **state)
{
    (void)state;
    for (int i = 0; i < present; i++) {
        const pudle_backend_ops *o = be[i].ops;
        pudle_exec *x = be[i].exec;
        array a = draw(matrix(PUDLE_F32, 4, 6, 0)), b = draw(matrix(PUDLE_F32, 6, 5, 2)),
              c = draw(matrix(PUDLE_F32, 4, 5, 0));
        array d = draw(matrix(PUDLE_F64, 4, 6, 0)), cube = draw(make(PUDLE_F32, 3, (const int64_t[]){ 2, 3, 4 }, 0));
        const pudle_cview A = pudle_const(&a.view), B = pudle_const(&b.view), D = pudle_const(&d.view);
        pudle_view bad;
        double sum;
        int64_t n, m;
        REFUSED(o->gemm(x, false, false, 1, &A, &A, 0, &c.view));
        REFUSED(o->gemm(x, true, false, 1, &A, &B, 0, &c.view));
        REFUSED(o->gemm(x, false, false, 1, &A, &B, 0, &a.view));
        REFUSED(o->gemm(x, false, false, 1, &D, &B, 0, &c.view));
        REFUSED(o->gemm(x, false, false, 1, NULL, &B, 0, &c.view));
        REFUSED(o->gemm(x, false, false, 1, &A, &B, 0, NULL));
        array square = draw(matrix(PUDLE_F32, 6, 6, 0));
        const pudle_cview S = pudle_const(&square.view);
        REFUSED(o->gemm(x, false, false, 1, &S, &S, 0, &square.view));
        drop(&square);
        bad = a.view;
        bad.stride[0] = 5;
        REFUSED(o->fill(x, 1, &bad));
        bad = a.view;
        bad.stride[1] = 2;
        REFUSED(o->fill(x, 1, &bad));
        bad = a.view;
        bad.dtype = 7;
        REFUSED(o->fill(x, 1, &bad));
        bad = a.view;
        bad.shape[0] = -1;
        REFUSED(o->fill(x, 1, &bad));
        bad = a.view;
        bad.shape[0] = bad.shape[1] = INT64_MAX / 2;
        REFUSED(o->fill(x, 1, &bad));
        bad = a.view;
        bad.data = NULL;
        REFUSED(o->fill(x, 1, &bad));
        bad = a.view;
        bad.rank = PUDLE_MAX_RANK + 1;
        REFUSED(o->fill(x, 1, &bad));
        bad = cube.view;
        bad.stride[0] += 1;
        REFUSED(o->fill(x, 1, &bad));
        REFUSED(o->fill(x, 1, NULL));
        REFUSED(o->copy(x, &A, &b.view));
        REFUSED(o->copy(x, NULL, &b.view));
        REFUSED(o->axpby(x, 1, &D, 1, &a.view));
        REFUSED(o->axpby(x, 1, &A, 1, NULL));
        REFUSED(o->sign(x, &A, &cube.view));
        REFUSED(o->dot(x, &A, &B, &sum));
        REFUSED(o->dot(x, &A, &A, NULL));
        REFUSED(o->census(x, NULL, &n, &m));
        REFUSED(o->census(x, &A, NULL, &m));
        REFUSED(o->normalize(x, 2, 1, &a.view));
        REFUSED(o->normalize(x, 1, 1, &cube.view));
        REFUSED(o->normalize(x, 1, NAN, &a.view));
        const pudle_cview of_a = pudle_const(&a.view), of_cube = pudle_const(&cube.view);
        REFUSED(o->tangent(x, 2, &of_a, &a.view));
        REFUSED(o->tangent(x, 1, &of_cube, &cube.view));
        REFUSED(o->tangent(x, 1, &of_cube, &a.view));
        REFUSED(o->tangent(x, 1, NULL, &a.view));
        REFUSED(o->momentum(x, 1, 1, &A, &a.view, &b.view));
        pudle_adam how = { sizeof how, 0, 1, 0.9, 0.999, 1e-8, 0 };
        REFUSED(o->adam(x, &how, &A, &a.view, &a.view, &a.view));
        how.update = 1;
        how.beta1 = 1;
        REFUSED(o->adam(x, &how, &A, &a.view, &a.view, &a.view));
        REFUSED(o->adam(x, NULL, &A, &a.view, &a.view, &a.view));
        REFUSED(o->plan(x, NULL, &n, &m));
        REFUSED(o->upload(x, NULL, a.view.data, 4));
        REFUSED(o->alloc(x, 4, NULL));
        REFUSED(o->prox_apply(x, NULL, 1, NULL, &A, &a.view));
        REFUSED(o->loss_value(x, NULL, &A, &A, &sum));
        assert_int_equal(o->fill(NULL, 1, &a.view), PUDLE_ERR_ARG);
        array *const all[] = { &a, &b, &c, &d, &cube };
        for (size_t k = 0; k < 5; k++)
            drop(all[k]);
    }
}

/* -------------------------------------------------------------- memory, plugins */

static void test_memory(void **state)
{
    (void)state;
    for (int i = 0; i < present; i++) {
        double in[37], out[37];
        void *block = NULL, *none = NULL;
        for (int k = 0; k < 37; k++)
            in[k] = normal();
        assert_int_equal(be[i].ops->alloc(be[i].exec, sizeof in, &block), PUDLE_OK);
        assert_int_equal((uintptr_t)block % 64, 0);
        assert_int_equal(be[i].ops->upload(be[i].exec, block, in, sizeof in), PUDLE_OK);
        assert_int_equal(be[i].ops->download(be[i].exec, out, block, sizeof out), PUDLE_OK);
        assert_memory_equal(in, out, sizeof in);
        assert_int_equal(be[i].ops->upload(be[i].exec, NULL, NULL, 0), PUDLE_OK);
        be[i].ops->free(be[i].exec, block);
        be[i].ops->free(be[i].exec, NULL);
        starve = true;
        pudle_exec *exec = NULL;
        const cpu_params params = { 2, "", 0, VECTORS };
        assert_int_equal(be[i].ops->alloc(be[i].exec, 100, &none), PUDLE_ERR_NOMEM);
        assert_null(none);
        assert_int_equal(be[i].ops->open(&host, i == REF ? NULL : (const void *)&params, &exec), PUDLE_ERR_NOMEM);
        assert_null(exec);
        starve = false;
        char text[1024], cut[20];
        be[i].ops->describe(be[i].exec, text, sizeof text);
        assert_non_null(strstr(text, "threads"));
        be[i].ops->describe(be[i].exec, cut, sizeof cut);
        assert_int_equal(strlen(cut), sizeof cut - 1);
        assert_null(be[i].ops->get_ext(be[i].exec, "pudle.none/1"));
        assert_string_equal(be[i].ops->targets[0], "host");
        if (i == CPU1)
            for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
                print_message("# %s\n", line);
    }
}

typedef struct no_params { int32_t none; } no_params;
PUDLE_PROX(shrink, no_params, 1,
    const real a = v < 0 ? -v : v;
    *p = a <= t[0] ? 0 : v < 0 ? v + t[0] : v - t[0];
    *dv = a <= t[0] ? 0 : 1;
    dt[0] = a <= t[0] ? 0 : v < 0 ? 1 : -1;
)
static const pudle_prox_ops shrink_ops = { PUDLE_PROX_OPS(shrink) };

static pudle_status half_value(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target,
                               double *sum)
{
    (void)self;
    (void)exec;
    *sum = 0;
    for (int64_t i = 0; i < pudle_count(pred); i++) {
        const double r = read_at(pred->data, pred->dtype, i) - read_at(target->data, target->dtype, i);
        *sum += 0.5 * r * r;
    }
    return PUDLE_OK;
}

static pudle_status half_grad(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target,
                              const pudle_view *g)
{
    (void)self;
    (void)exec;
    for (int64_t i = 0; i < pudle_count(pred); i++)
        write_at(g->data, g->dtype, i, read_at(pred->data, pred->dtype, i) - read_at(target->data, target->dtype, i));
    return PUDLE_OK;
}

static void test_plugins(void **state)
{
    static const pudle_desc prox_desc = {
        .size = sizeof prox_desc, .kind = PUDLE_KIND_PROX, .name = "shrink", .ops = &shrink_ops
    };
    static const pudle_loss_kernel half = { .size = sizeof half, .target = "host", .value = half_value, .grad = half_grad };
    static const pudle_loss_kernel *const kernels[] = { &half, NULL };
    static const pudle_loss_ops half_ops = { .size = sizeof half_ops, .kernels = kernels };
    static const pudle_desc loss_desc = {
        .size = sizeof loss_desc, .kind = PUDLE_KIND_LOSS, .name = "half", .ops = &half_ops
    };
    static const pudle_prox_kernel other = { .size = sizeof other, .target = "elsewhere" };
    static const pudle_prox_kernel *const others[] = { &other, NULL };
    static const pudle_prox_ops foreign_ops = { .size = sizeof foreign_ops, .kernels = others };
    static const pudle_desc foreign_desc = {
        .size = sizeof foreign_desc, .kind = PUDLE_KIND_PROX, .name = "foreign", .ops = &foreign_ops
    };
    no_params nothing = { 0 };
    const pudle_instance prox = { &prox_desc, &nothing }, loss = { &loss_desc, NULL }, foreign = { &foreign_desc, NULL };
    (void)state;
    for (int i = 0; i < present; i++)
        for (int t = 0; t < 2; t++) {
            const pudle_backend_ops *o = be[i].ops;
            pudle_exec *x = be[i].exec;
            array v = draw(matrix(dtypes[t], 5, 7, 0)), p = matrix(dtypes[t], 5, 7, 0), g = draw(matrix(dtypes[t], 5, 7, 0));
            array gaps = draw(matrix(dtypes[t], 5, 7, 2)), level = make(dtypes[t], 0, NULL, 0);
            put(&level, 0, 0.5);
            const pudle_cview cv = pudle_const(&v.view), cg = pudle_const(&g.view), theta = pudle_const(&level.view);
            const pudle_cview cgaps = pudle_const(&gaps.view);
            assert_int_equal(o->prox_apply(x, &prox, 1, &theta, &cv, &p.view), PUDLE_OK);
            for (int64_t k = 0; k < 35; k++)
                assert_true(fabs(get(&p, k) - (fabs(get(&v, k)) <= 0.5 ? 0 : get(&v, k) - copysign(0.5, get(&v, k)))) <
                            1e-6);
            assert_int_equal(o->prox_vjp(x, &prox, 1, &theta, &cv, NULL, &cg, &p.view, NULL), PUDLE_OK);
            for (int64_t k = 0; k < 35; k++)
                assert_true(get(&p, k) == (fabs(get(&v, k)) <= 0.5 ? 0 : get(&g, k)));
            REFUSED(o->prox_vjp(x, &prox, 1, &theta, NULL, NULL, &cg, &p.view, NULL));
            REFUSED(o->prox_apply(x, &prox, 1, &theta, &cgaps, &p.view));
            REFUSED(o->prox_apply(x, &loss, 1, &theta, &cv, &p.view));
            assert_int_equal(o->prox_apply(x, &foreign, 1, &theta, &cv, &p.view), PUDLE_ERR_UNSUPPORTED);
            double sum = -1, want = 0;
            for (int64_t k = 0; k < 35; k++)
                want += 0.5 * pow(get(&v, k) - get(&g, k), 2);
            assert_int_equal(o->loss_value(x, &loss, &cv, &cg, &sum), PUDLE_OK);
            assert_true(fabs(sum - want) < 1e-5 * want);
            assert_int_equal(o->loss_grad(x, &loss, &cv, &cg, &p.view), PUDLE_OK);
            assert_true(fabs(get(&p, 3) - (get(&v, 3) - get(&g, 3))) < 1e-6);
            REFUSED(o->loss_value(x, &loss, &cv, &cgaps, &sum));
            assert_int_equal(o->loss_hvp(x, &loss, &cv, &cg, &cg, &p.view), PUDLE_ERR_UNSUPPORTED);
            array before = twin(&p);
            assert_int_equal(o->code_value(x, &loss, &cv, &sum), PUDLE_OK); /* this loss has no penalty on the code */
            assert_true(sum == 0);
            assert_int_equal(o->code_grad(x, &loss, &cv, &p.view), PUDLE_OK);
            assert_memory_equal(before.memory, p.memory, p.bytes);
            array *const all[] = { &v, &p, &g, &gaps, &level, &before };
            for (size_t k = 0; k < 6; k++)
                drop(all[k]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments), cmocka_unit_test(test_memory), cmocka_unit_test(test_plugins),
    };
    return cmocka_run_group_tests_name("backend_contract", tests, set_up, tear_down);
}
