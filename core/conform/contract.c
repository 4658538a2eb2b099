/* What is demanded of every kernel, whatever it computes: outputs overwritten, inputs left alone, nothing touched outside, the same
 * bits every time and on every thread, in place where allowed. */
#include "conform/parts.h"

#include <stdatomic.h>
#include <time.h>

enum { DRAWS = 12, THREADS = 8 };
static const int32_t precisions[] = { PUDLE_F64, PUDLE_F32 };

/* The arrays of one execution of a call. */
typedef struct arrays {
    pudle_cview in[PD_CALL_INPUTS];
    pudle_view out[PD_CALL_OUTPUTS];
} arrays;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Fill what will be overwritten with a pattern, and what is added to with what the call says. */
static void prepare(const pd_call *c, const pudle_view *out, unsigned char pattern)
{
    for (int i = 0; i < c->outputs; i++) {
        if (c->added[i])
            memcpy(out[i].data, c->out[i].data, pd_view_bytes(&out[i]));
        else
            memset(out[i].data, pattern, pd_view_bytes(&out[i]));
    }
}

/* Arrays of their own for an execution, with the call's numbers in them. */
static bool arrays_new(pd_trial *t, const pd_call *c, int guard, unsigned char pattern, arrays *a)
{
    for (int i = 0; i < c->inputs; i++) {
        const pudle_view v = pd_view_new(t, c->in[i].dtype, c->in[i].rank, c->in[i].shape, guard, c->in_name[i], NULL);
        if (!v.data)
            return false;
        memcpy(v.data, c->in[i].data, pd_view_bytes(&v));
        a->in[i] = pudle_const(&v);
    }
    for (int i = 0; i < c->outputs; i++) {
        a->out[i] = pd_view_new(t, c->out[i].dtype, c->out[i].rank, c->out[i].shape, guard, c->out_name[i], NULL);
        if (!a->out[i].data)
            return false;
    }
    prepare(c, a->out, pattern);
    return true;
}

static bool execute(pd_trial *t, const pd_call *c, const arrays *a)
{
    const pudle_status s = PD_IN(t, c->name, c->run(c, a->in, a->out));
    PD_OUT(t);
    return s ? pd_fails(t, "%s returned %s", c->name, pd_status_text(s)) : true;
}

/* Number of the first output whose bits differ; -1: none. */
static int differs(const pd_call *c, const pudle_view *a, const pudle_view *b)
{
    for (int i = 0; i < c->outputs; i++)
        if (memcmp(a[i].data, b[i].data, pd_view_bytes(&a[i])))
            return i;
    return -1;
}

static int64_t first_difference(const pudle_view *a, const pudle_view *b)
{
    const size_t size = pudle_dtype_size(a->dtype), bytes = pd_view_bytes(a);
    for (size_t i = 0; i < bytes / size; i++)
        if (memcmp((const char *)a->data + i * size, (const char *)b->data + i * size, size))
            return (int64_t)i;
    return -1;
}

static double entry(const pudle_view *v, int64_t i)
{
    const pudle_cview c = pudle_const(v);
    return pudle_entry(&c, i);
}

/* Every call of every draw in both precisions. */
static bool each_call(pd_trial *t, const pd_cases *cases, int64_t limit, int draws, bool (*test)(pd_trial *, const pd_call *))
{
    void *c = calloc(1, cases->size);
    bool good = c != NULL;
    for (int draw = 0; draw < draws && good; draw++) {
        for (int k = 0; k < 2 && good; k++) {
            pd_call calls[PD_CALLS];
            pd_trial_clear(t);
            good = k == 0 ? cases->open(t, c, draw, limit) : cases->open(t, c, draw + draws, limit);
            const int count = good ? cases->calls(t, c, precisions[k], calls) : 0;
            good = count >= 0 && good;
            for (int i = 0; i < count && good; i++)
                good = test(t, &calls[i]);
        }
    }
    free(c);
    return good;
}

/* -------------------------------------------------------------------- output */

/* What is added to: the same call on zeros differs by what was there. */
static bool added_to(pd_trial *t, const pd_call *c, const arrays *a)
{
    arrays z;
    if (!arrays_new(t, c, PD_PADDED, 0xff, &z))
        return false;
    for (int i = 0; i < c->outputs; i++)
        if (c->added[i])
            memset(z.out[i].data, 0, pd_view_bytes(&z.out[i]));
    if (!execute(t, c, &z))
        return false;
    for (int i = 0; i < c->outputs; i++) {
        const pudle_cview v = pudle_const(&z.out[i]);
        for (int64_t k = 0; k < pudle_count(&v) && c->added[i]; k++) {
            const double before = entry(&c->out[i], k), alone = entry(&z.out[i], k), after = entry(&a->out[i], k);
            if (!(fabs(after - alone - before) <=
                  pd_tolerance(c->out[i].dtype, 1 << 16) * (fabs(alone) + fabs(before) + 1))) /* sums of many terms */
                return pd_fails(
                    t, "%s, %s: %s[%lld] was %.9g, its own part is %.9g, and after the call it is %.9g: it is not added to",
                    c->name, pd_dtype_text(c->out[i].dtype), c->out_name[i], (long long)k, before, alone, after);
        }
    }
    return true;
}

static bool output_of(pd_trial *t, const pd_call *c)
{
    arrays a, b;
    if (!arrays_new(t, c, PD_PADDED, 0xff, &a) || !arrays_new(t, c, PD_PADDED, 0x11, &b)) /* 0xff...: NaN; 0x11...: tiny */
        return false;
    if (!execute(t, c, &a) || !execute(t, c, &b))
        return false;
    const int i = differs(c, a.out, b.out);
    if (i < 0)
        return added_to(t, c, &a);
    const int64_t at = first_difference(&a.out[i], &b.out[i]);
    return pd_fails(t, "%s, %s: entry %lld of %s depends on what was in %s before the call (%g, or %g)", c->name,
                    pd_dtype_text(c->out[i].dtype), (long long)at, c->out_name[i], c->out_name[i], entry(&a.out[i], at),
                    entry(&b.out[i], at));
}

bool pd_contract_output(pd_trial *t, const pd_cases *cases)
{
    return each_call(t, cases, 512, DRAWS, output_of);
}

/* ------------------------------------------------------------- deterministic */

static bool repeated(pd_trial *t, const pd_call *c)
{
    arrays a, b;
    if (!arrays_new(t, c, PD_PADDED, 0xff, &a) || !arrays_new(t, c, PD_PADDED, 0xff, &b) || !execute(t, c, &a))
        return false;
    for (int i = 0; i < 20; i++) {
        prepare(c, b.out, 0xff);
        if (!execute(t, c, &b))
            return false;
        const int k = differs(c, a.out, b.out);
        const int64_t at = k < 0 ? 0 : first_difference(&a.out[k], &b.out[k]);
        if (k >= 0)
            return pd_fails(t, "%s, %s: the same call gives %s[%lld] = %.17g the first and %.17g the %dth time", c->name,
                            pd_dtype_text(c->out[k].dtype), c->out_name[k], (long long)at, entry(&a.out[k], at),
                            entry(&b.out[k], at), i + 2);
    }
    return true;
}

bool pd_contract_deterministic(pd_trial *t, const pd_cases *cases)
{
    return each_call(t, cases, 512, DRAWS, repeated);
}

/* ------------------------------------------------------------------ in place */

static bool in_place(pd_trial *t, const pd_call *c)
{
    arrays a, b;
    if (c->in_place < 0)
        return true;
    if (!arrays_new(t, c, PD_PADDED, 0xff, &a) || !arrays_new(t, c, PD_PADDED, 0xff, &b))
        return false;
    memcpy(b.out[0].data, b.in[c->in_place].data, pd_view_bytes(&b.out[0]));
    b.in[c->in_place].data = b.out[0].data;
    if (!execute(t, c, &a) || !execute(t, c, &b))
        return false;
    for (int i = 0; i < c->outputs; i++) {
        const pudle_cview v = pudle_const(&a.out[i]);
        for (int64_t k = 0; k < pudle_count(&v); k++) { /* loops for arrays that overlap may round otherwise */
            const double x = entry(&a.out[i], k), y = entry(&b.out[i], k);
            if (!(fabs(x - y) <= pd_tolerance(c->out[0].dtype, 1) * (fabs(x) + 1e-3)) && !(isnan(x) && isnan(y)) && x != y)
                return pd_fails(t, "%s, %s, with %s in the memory of %s: %s[%lld] is %.9g, not %.9g as with arrays of their own",
                                c->name, pd_dtype_text(c->out[0].dtype), c->out_name[0], c->in_name[c->in_place], c->out_name[i],
                                (long long)k, y, x);
        }
    }
    return true;
}

bool pd_contract_in_place(pd_trial *t, const pd_cases *cases)
{
    return each_call(t, cases, 512, DRAWS, in_place);
}

/* -------------------------------------------------------------------- bounds */

static bool within(pd_trial *t, const pd_call *c)
{
    for (int guard = PD_GUARD_AFTER; guard <= PD_GUARD_BEFORE; guard++) {
        arrays a;
        if (!arrays_new(t, c, guard, 0xff, &a) || !execute(t, c, &a))
            return false;
        for (int i = 0; i < c->outputs; i++) {
            bool after = false;
            if (!pd_place_intact(t, a.out[i].data, &after))
                return pd_fails(t, "%s, %s: it wrote %s %s", c->name, pd_dtype_text(c->out[i].dtype),
                                after ? "past the end of" : "before the start of", c->out_name[i]);
        }
    }
    return true;
}

bool pd_contract_bounds(pd_trial *t, const pd_cases *cases)
{
    return each_call(t, cases, 512, 2 * DRAWS, within);
}

/* -------------------------------------------------------------------- inputs */

/* A write to memory that is read only ends the process, and the handler says which array it was. */
static bool inputs_kept(pd_trial *t, const pd_call *c)
{
    arrays a;
    pd_call call = *c;
    if (!arrays_new(t, c, PD_PLAIN, 0xff, &a))
        return false;
    for (int i = 0; i < c->inputs; i++)
        pd_place_protect(t, a.in[i].data, true);
    if (!t->desc->create && t->desc->params_size) { /* the params are the instance */
        void *params = pd_place_new(t, (t->desc->params_size + 63) / 64 * 64, PD_PLAIN, "self");
        if (!params)
            return false;
        memcpy(params, c->self, t->desc->params_size);
        pd_place_protect(t, params, true);
        call.self = params;
    }
    pd_test_host_protect(&t->host, true);
    const bool good = execute(t, &call, &a);
    pd_test_host_protect(&t->host, false);
    return good;
}

bool pd_contract_inputs(pd_trial *t, const pd_cases *cases)
{
    t->host.pages = true;
    return each_call(t, cases, 512, DRAWS, inputs_kept);
}

/* --------------------------------------------------------------------- empty */

/* Nothing to do is done, or refused. */
static bool runs(pd_trial *t, const pd_call *c)
{
    arrays a;
    if (!arrays_new(t, c, PD_GUARD_AFTER, 0xff, &a))
        return false;
    const pudle_status s = PD_IN(t, c->name, c->run(c, a.in, a.out));
    PD_OUT(t);
    return s && s != PUDLE_ERR_ARG && s != PUDLE_ERR_UNSUPPORTED ? pd_fails(t, "%s returned %s", c->name, pd_status_text(s)) : true;
}

bool pd_contract_empty(pd_trial *t, const pd_cases *cases)
{
    return each_call(t, cases, 0, DRAWS, runs);
}

/* ------------------------------------------------------------------- threads */

typedef struct worker {
    pd_trial *t;
    const pd_call *calls; /* the numbers of this thread */
    int count, first;
    arrays *a;            /* a call each */
    const arrays *right;
    const atomic_int *go;
    double until;
    int wrong;            /* call that gave something else; -1: none */
    pudle_status status;
    long rounds;
} worker;

static void *work(void *arg)
{
    worker *w = arg;
    while (!atomic_load(w->go))
        continue;
    do {
        for (int k = 0; k < w->count && w->wrong < 0; k++) {
            const int i = (k + w->first) % w->count;
            prepare(&w->calls[i], w->a[i].out, 0xff);
            w->status = w->calls[i].run(&w->calls[i], w->a[i].in, w->a[i].out);
            if (w->status || differs(&w->calls[i], w->a[i].out, w->right[i].out) >= 0)
                w->wrong = i;
        }
        w->rounds++;
    } while (w->wrong < 0 && seconds() < w->until);
    return NULL;
}

typedef struct team {
    pd_call calls[THREADS][PD_CALLS];
    arrays right[THREADS][PD_CALLS], own[THREADS][PD_CALLS];
    int count;
} team;

/* Calls with numbers of their own for each thread, and what is right, computed alone. */
static bool gather(pd_trial *t, const pd_cases *cases, void *c, int32_t dtype, team *m)
{
    for (int i = 0; i < THREADS; i++) {
        if (i && !cases->refresh(t, c))
            return false;
        m->count = cases->calls(t, c, dtype, m->calls[i]);
        if (m->count < 0)
            return false;
        for (int k = 0; k < m->count; k++)
            if (!arrays_new(t, &m->calls[i][k], PD_PADDED, 0xff, &m->right[i][k]) ||
                !arrays_new(t, &m->calls[i][k], PD_PLAIN, 0xff, &m->own[i][k]) || !execute(t, &m->calls[i][k], &m->right[i][k]))
                return false;
    }
    return true;
}

/* Each thread its own numbers, all at the same time. */
static bool together(pd_trial *t, team *m)
{
    worker w[THREADS];
    pthread_t thread[THREADS];
    atomic_int go = 0;
    int started = 0;
    t->verdict->calling = "a kernel, on several threads";
    for (; started < THREADS; started++) {
        w[started] = (worker){ .t = t, .calls = m->calls[started], .count = m->count, .first = started, .a = m->own[started],
                               .right = m->right[started], .go = &go, .until = seconds() + 0.03, .wrong = -1 };
        if (pthread_create(&thread[started], NULL, work, &w[started]))
            break;
    }
    atomic_store(&go, 1);
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    PD_OUT(t);
    if (started < 2)
        return pd_skips(t, "no threads can be made");
    for (int i = 0; i < started; i++)
        if (w[i].wrong >= 0)
            return pd_fails(
                t,
                "%s gives something else when %d threads call it at the same time, each with its own arrays; is there static or "
                "shared memory in it?",
                m->calls[i][w[i].wrong].name, started);
    return true;
}

/* ---- one call interrupted by another: what it keeps outside its arrays shows for certain, even on one processor */

typedef struct intruder { const pd_call *call; const arrays *a; } intruder;

static bool intrude(void *arg)
{
    const intruder *i = arg;
    prepare(i->call, i->a->out, 0xff);
    return i->call->run(i->call, i->a->in, i->a->out) == PUDLE_OK;
}

static bool interrupted(pd_trial *t, team *m, int call, const void *trap)
{
    const pd_call *c = &m->calls[0][call];
    intruder other = { &m->calls[1][call], &m->own[1][call] };
    bool result = true;
    prepare(c, m->own[0][call].out, 0xff);
    if (!pd_pause_begin(t, trap, intrude, &other))
        return true;
    const bool good = execute(t, c, &m->own[0][call]);
    const bool happened = pd_pause_end(&result);
    if (!good || !happened)
        return good;
    if (!result)
        return pd_fails(t, "%s failed when another thread was in the middle of it", c->name);
    if (differs(c, m->own[0][call].out, m->right[0][call].out) >= 0 || differs(other.call, other.a->out, m->right[1][call].out) >= 0)
        return pd_fails(
            t,
            "%s gives something else when another thread calls it before it is done, with its own arrays: there is static or "
            "shared memory in it",
            c->name);
    return true;
}

static bool interruptions(pd_trial *t, team *m)
{
    for (int k = 0; k < m->count; k++) {
        for (int i = 0; i < m->calls[0][k].inputs; i++)
            if (!interrupted(t, m, k, m->own[0][k].in[i].data))
                return false;
        for (int i = 0; i < m->calls[0][k].outputs; i++)
            if (!m->calls[0][k].added[i] && !interrupted(t, m, k, m->own[0][k].out[i].data))
                return false;
    }
    return true;
}

bool pd_contract_threads(pd_trial *t, const pd_cases *cases)
{
    static const int64_t limits[] = { 4000, 64, 4000 };
    void *c = calloc(1, cases->size);
    team *m = calloc(1, sizeof *m);
    bool good = c && m;
    for (int draw = 0; draw < 3 && good; draw++)
        for (int k = 0; k < 2 && good; k++) {
            pd_trial_clear(t);
            good = cases->open(t, c, 2 * draw + k, limits[draw]) && gather(t, cases, c, precisions[k], m) && interruptions(t, m) &&
                   together(t, m);
        }
    free(m);
    free(c);
    return good;
}
