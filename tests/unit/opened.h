/* A config opened as a problem, and what it holds as doubles; for tests of networks. Include after cmocka.h. */
#ifndef TESTS_OPENED_H
#define TESTS_OPENED_H

#include <stdlib.h>

#include "train/dictionary.h"
#include "train/problem.h"

typedef struct opened { pd_settings *settings; pd_problem pb; } opened;

static void close_problem(opened *o)
{
    pd_problem_close(&o->pb);
    pd_settings_destroy(o->settings);
}

/* A view in the backend's memory, to be freed. */
static double *doubles(pd_problem *pb, const pudle_view *v)
{
    pd_array a = { 0 };
    assert_int_equal(pd_problem_fetch(pb, v, &a), PUDLE_OK);
    const pudle_cview c = pudle_const(&a.view);
    const int64_t count = pudle_count(&c);
    double *out = malloc(sizeof *out * (size_t)(count + 1));
    assert_non_null(out);
    for (int64_t i = 0; i < count; i++)
        out[i] = pudle_entry(&c, i);
    pd_array_free(&a);
    return out;
}

#endif
