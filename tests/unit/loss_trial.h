/* A loss with its arrays, and what its kernels make of them. Include after cmocka.h. */
#ifndef TESTS_LOSS_TRIAL_H
#define TESTS_LOSS_TRIAL_H

#include "fake_host.h"

typedef struct trial {
    const pudle_desc *desc;
    const pudle_loss_ops *ops;
    const pudle_loss_kernel *kernel;
    void *params;
    int32_t dtype;
    pudle_view a, b; /* pred and target; the code is a */
} trial;

static inline double value(const trial *c, const pudle_view *pred)
{
    const pudle_cview p = pudle_const(pred), t = pudle_const(&c->b);
    double sum = NAN;
    assert_int_equal(c->kernel->value(c->params, NULL, &p, &t, &sum), PUDLE_OK);
    return sum;
}

static inline void grad(const trial *c, const pudle_view *pred, const pudle_view *g)
{
    const pudle_cview p = pudle_const(pred), t = pudle_const(&c->b);
    assert_int_equal(c->kernel->grad(c->params, NULL, &p, &t, g), PUDLE_OK);
}

static inline double code_value(const trial *c)
{
    const pudle_cview z = pudle_const(&c->a);
    double sum = NAN;
    assert_int_equal(c->kernel->code_value(c->params, NULL, &z, &sum), PUDLE_OK);
    return sum;
}

#endif
