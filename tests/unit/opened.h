/* A config opened as a problem, and what it holds as doubles; for tests of networks. Include after cmocka.h. */
#ifndef TESTS_OPENED_H
#define TESTS_OPENED_H

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "train/dictionary.h"
#include "train/problem.h"

static pd_context *ctx;
static pudle_random random_state;

static inline int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)pudle_random_below(&random_state, (uint64_t)(high - low + 1));
}

/* The context, fresh random numbers, and a file at each of the paths, which mkstemp changes; not 0: failed. */
static int begin_tests(char *const paths[], int count)
{
    const char *given = getenv("PUDLE_TEST_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)getpid() * 2654435761u;
    print_message("# seed %llu (set PUDLE_TEST_SEED to repeat)\n", (unsigned long long)seed);
    random_state = pudle_random_at(seed, 1, 0, 0);
    ctx = pd_context_create();
    for (int i = 0; i < count; i++) {
        const int fd = mkstemp(paths[i]);
        if (fd < 0 || close(fd))
            return 1;
    }
    return !ctx;
}

static int end_tests(char *const paths[], int count)
{
    for (int i = 0; i < count; i++)
        unlink(paths[i]);
    pd_context_destroy(ctx);
    return 0;
}

static inline bool backend_found(const char *name)
{
    const pd_plugin *plugin = NULL;
    const bool found = !pd_plugin_find(ctx, PUDLE_KIND_BACKEND, name, &plugin);
    pd_error_clear(ctx);
    return found;
}

/* max |a - b| against max |b|, or against `size`, of which a gradient that is zero but for rounding is made. */
static inline double relative(const double *a, const double *b, int64_t n, double size)
{
    double worst = 0, scale = size;
    for (int64_t i = 0; i < n; i++) {
        worst = fmax(worst, isnan(a[i]) ? INFINITY : fabs(a[i] - b[i]));
        scale = fmax(scale, fabs(b[i]));
    }
    return scale > 0 ? worst / scale : worst;
}

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
