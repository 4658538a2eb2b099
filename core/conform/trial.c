/* What a test has at hand: a verdict to give, numbers to draw, instances to make. */
#include "conform/parts.h"
#include "config/settings.h"

#include <stdarg.h>

static bool decide(pd_trial *t, int32_t state, const char *format, va_list list)
{
    if (t->verdict->state == PD_RUNNING) {
        vsnprintf(t->verdict->text, sizeof t->verdict->text, format, list);
        t->verdict->state = state;
    }
    return false;
}

bool pd_fails(pd_trial *t, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    decide(t, PD_FAILED, format, list);
    va_end(list);
    return false;
}

bool pd_skips(pd_trial *t, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    decide(t, PD_SKIPPED, format, list);
    va_end(list);
    return false;
}

void pd_drawn(pd_trial *t, const char *format, ...)
{
    char *to = t->verdict->drawn;
    const size_t room = sizeof t->verdict->drawn;
    va_list list;
    const int used = snprintf(to, room, "%s%s", t->options, t->options[0] ? ", " : "");
    if (used < 0 || (size_t)used >= room)
        return;
    va_start(list, format);
    vsnprintf(to + used, room - (size_t)used, format, list);
    va_end(list);
}

/* -------------------------------------------------------------------- random */

double pd_uniform(pd_trial *t)
{
    return pudle_random_uniform(&t->random);
}

double pd_normal(pd_trial *t)
{
    return pudle_random_normal(&t->random);
}

int64_t pd_below(pd_trial *t, int64_t n)
{
    return (int64_t)pudle_random_below(&t->random, (uint64_t)n);
}

double pd_single(double x)
{
    return (double)(float)x;
}

void pd_fill_normal(pd_trial *t, double *x, int64_t n, double scale)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = pd_single(scale * pd_normal(t));
}

/* -------------------------------------------------------------------- shapes */

void pd_shape_draw(pd_trial *t, int64_t limit, int32_t *rank, int64_t *shape)
{
    static const int64_t batches[] = { 1, 2, 3, 5, 7 }, atoms[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 24, 31 };
    const int64_t most = limit > 0 ? limit : 64;
    int64_t n;
    do {
        *rank = pd_below(t, 2) ? 4 : 2;
        shape[0] = batches[pd_below(t, 5)];
        shape[1] = atoms[pd_below(t, 16)];
        shape[2] = 1 + pd_below(t, 5);
        shape[3] = 1 + pd_below(t, 5);
        if (limit > 600) { /* a large one is wanted: more samples and positions */
            shape[0] *= 1 + pd_below(t, limit / 200);
            shape[2] *= 1 + pd_below(t, 7);
        }
        n = shape[0] * shape[1] * (*rank == 4 ? shape[2] * shape[3] : 1);
    } while (n > most || (limit > 600 && n < limit / 2));
    if (limit == 0)
        shape[pd_below(t, *rank)] = 0;
}

void pd_shape_text(char *text, size_t room, int32_t rank, const int64_t *shape)
{
    size_t used = (size_t)snprintf(text, room, "(");
    for (int32_t i = 0; i < rank && used < room; i++)
        used += (size_t)snprintf(text + used, room - used, "%s%lld", i ? ", " : "", (long long)shape[i]);
    if (used < room)
        snprintf(text + used, room - used, ")");
}

const char *pd_dtype_text(int32_t dtype)
{
    return dtype == PUDLE_F64 ? "f64" : "f32";
}

const char *pd_status_text(pudle_status status)
{
    static const char *const names[] = { "PUDLE_OK",         "PUDLE_ERR_ARG",     "PUDLE_ERR_NOMEM", "PUDLE_ERR_UNSUPPORTED",
                                         "PUDLE_ERR_CONFIG", "PUDLE_ERR_NUMERIC", "PUDLE_ERR_DEVICE", "PUDLE_ERR_IO",
                                         "PUDLE_ERR_ABI",    "PUDLE_ERR_NOTFOUND", "PUDLE_ERR_INTERNAL" };
    return status <= 0 && status >= PUDLE_ERR_INTERNAL ? names[-status] : "a number that is no pudle_status";
}

/* ----------------------------------------------------------------- instances */

pudle_status pd_instance_make(pd_trial *t, void **self)
{
    pudle_status s = PUDLE_OK;
    *self = t->params;
    if (t->desc->check) {
        s = PD_IN(t, "check", t->desc->check(&t->host.table, t->params));
        PD_OUT(t);
    }
    if (!s && t->desc->create) {
        *self = NULL;
        s = PD_IN(t, "create", t->desc->create(&t->host.table, t->params, self));
        PD_OUT(t);
    }
    return s;
}

void pd_instance_unmake(pd_trial *t, void *self)
{
    if (!t->desc->create || !t->desc->destroy)
        return;
    PD_IN(t, "destroy", t->desc->destroy(&t->host.table, self));
    PD_OUT(t);
}

void pd_instance_drop(pd_trial *t)
{
    if (t->alive)
        pd_instance_unmake(t, t->self);
    t->alive = false;
    t->self = NULL;
    pd_params_free(t->params);
    t->params = NULL;
}

bool pd_instance_draw(pd_trial *t, int draw)
{
    return pd_params_draw(t, draw) && pd_instance_adopt(t);
}

bool pd_instance_adopt(pd_trial *t)
{
    pd_test_host_forget(&t->host);
    const pudle_status s = pd_instance_make(t, &t->self);
    if (s)
        return pd_fails(t, "no instance could be made: %s; %s", pd_status_text(s),
                        t->host.said[0] ? t->host.said : *pd_error(t->ctx) ? pd_error(t->ctx) : "without a reason");
    t->alive = true;
    return true;
}
