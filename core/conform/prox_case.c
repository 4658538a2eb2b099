/* Cases of a prox: an instance, a shape, levels as the core would hand them over, numbers. */
#include "conform/parts.h"
#include "config/settings.h"

enum { SHAPES_TRIED = 400 };

/* Steps that occur: 1/L of dictionaries with many atoms or large filters, and of losses that hardly curve. */
#define SMALLEST_STEP 1e-3
#define LARGEST_STEP 10.0

int64_t pd_prox_level_count(const pd_prox_case *c)
{
    return c->per_atom ? c->atoms : 1;
}

double pd_prox_level(const pd_prox_case *c, int k, int64_t entry)
{
    return c->level[k][c->per_atom ? entry / c->inner % c->atoms : 0];
}

static int threshold_rows(pd_trial *t, pudle_option *rows)
{
    pudle_option row;
    int count = 0;
    for (int i = 0; pd_option_at(t->desc, i, &row); i++)
        if (row.flags & PUDLE_THRESHOLD && count < PD_LEVELS)
            rows[count++] = row;
    return count;
}

static double level_value(const void *params, const pudle_option *row, double tau)
{
    double x;
    memcpy(&x, (const char *)params + row->offset, sizeof x);
    return pd_single(row->flags & PUDLE_PER_STEP ? x * tau : x);
}

/* For every atom levels of its own, drawn so that those of one atom are allowed together. */
static bool draw_levels(pd_trial *t, pd_prox_case *c)
{
    pudle_option rows[PD_LEVELS];
    c->levels = threshold_rows(t, rows);
    const int64_t count = pd_prox_level_count(c);
    for (int k = 0; k < c->levels; k++) {
        const double unit = rows[k].flags & PUDLE_PER_STEP ? c->tau : 1;
        const bool ranged = rows[k].min != 0 || rows[k].max != 0;
        c->level_min[k] = ranged ? rows[k].min * unit : -INFINITY;
        c->level_max[k] = ranged ? rows[k].max * unit : INFINITY;
        if (!(c->level[k] = pd_scratch(t, count)))
            return false;
    }
    if (c->levels == 0)
        return true;
    for (int64_t a = 0; a < count; a++) {
        void *other = a > 0 ? pd_levels_draw(t) : NULL;
        for (int k = 0; k < c->levels; k++)
            c->level[k][a] = level_value(other ? other : t->params, &rows[k], c->tau);
        pd_params_free(other);
    }
    return true;
}

/* v of the size of the levels, below and above. */
static void draw_numbers(pd_trial *t, pd_prox_case *c)
{
    for (int64_t i = 0; i < c->n; i++) {
        const double wide = pd_below(t, 4) == 0 ? exp(pd_normal(t)) : 1;
        c->v[i] = pd_single(c->scale * wide * pd_normal(t));
        c->g[i] = pd_single(pd_normal(t));
    }
}

static double size_of_levels(const pd_prox_case *c)
{
    double most = 0;
    for (int k = 0; k < c->levels; k++)
        for (int64_t i = 0; i < pd_prox_level_count(c); i++)
            if (fabs(c->level[k][i]) > most && fabs(c->level[k][i]) < 100)
                most = fabs(c->level[k][i]);
    return most > 0 ? most : 1;
}

static void set_shape(pd_trial *t, pd_prox_case *c, int64_t limit)
{
    pd_shape_draw(t, limit, &c->rank, c->shape);
    c->atoms = c->shape[1];
    c->inner = c->rank == 4 ? c->shape[2] * c->shape[3] : 1;
    c->sample = c->atoms * c->inner;
    c->n = c->shape[0] * c->sample;
}

static bool draw_case(pd_trial *t, pd_prox_case *c, int draw, bool per_atom, int64_t limit)
{
    char shape[64];
    c->per_atom = per_atom;
    c->tau = draw == 0 ? 0.25 : pd_single(SMALLEST_STEP * pow(LARGEST_STEP / SMALLEST_STEP, pd_uniform(t)));
    set_shape(t, c, limit);
    if (!pd_params_draw(t, draw) || !draw_levels(t, c))
        return false;
    c->scale = (pd_below(t, 3) ? 1.5 : 4) * size_of_levels(c);
    c->v = pd_scratch(t, c->n);
    c->g = pd_scratch(t, c->n);
    if (!c->v || !c->g)
        return false;
    draw_numbers(t, c);
    pd_shape_text(shape, sizeof shape, c->rank, c->shape);
    pd_drawn(t, "step %g, v %s, %s", c->tau, shape,
             c->levels == 0 ? "no levels"
             : c->per_atom  ? "a level for each atom"
                            : "one level for all");
    return true;
}

/* ------------------------------------------------------------------- running */

static void level_views(pd_trial *t, const pd_prox_case *c, int32_t dtype, pudle_view *theta)
{
    const int64_t count = pd_prox_level_count(c);
    for (int k = 0; k < c->levels; k++)
        theta[k] = pd_view_new(t, dtype, 1, &count, PD_PADDED, "theta", c->level[k]);
}

typedef struct apply_arrays { pudle_view theta[PD_LEVELS], v, p; pudle_cview ctheta[PD_LEVELS], cv; } apply_arrays;

/* Scratch views, freed by the caller with what was placed after `mark`. */
static bool apply_arrays_new(pd_trial *t, const pd_prox_case *c, int32_t dtype, apply_arrays *a)
{
    level_views(t, c, dtype, a->theta);
    a->v = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "v", NULL);
    a->p = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "p", NULL);
    for (int k = 0; k < c->levels; k++) {
        if (!a->theta[k].data)
            return false;
        a->ctheta[k] = pudle_const(&a->theta[k]);
    }
    a->cv = pudle_const(&a->v);
    return a->v.data && a->p.data;
}

static pudle_status apply_status(pd_trial *t, const pd_prox_case *c, int32_t dtype, const double *v, double *p)
{
    apply_arrays a;
    void *mark = pd_mark(t);
    pudle_status s = PUDLE_ERR_NOMEM;
    if (apply_arrays_new(t, c, dtype, &a)) {
        pd_view_put(&a.v, v);
        s = PD_IN(t, "apply", c->kernel->apply(t->self, NULL, c->tau, a.ctheta, &a.cv, &a.p));
        PD_OUT(t);
        pd_view_get(&a.p, p);
    }
    pd_release(t, mark);
    return s;
}

bool pd_prox_apply(pd_trial *t, const pd_prox_case *c, int32_t dtype, const double *v, double *p)
{
    const pudle_status s = apply_status(t, c, dtype, v, p);
    return s ? pd_fails(t, "apply, %s, returned %s", pd_dtype_text(dtype), pd_status_text(s)) : true;
}

bool pd_prox_value(pd_trial *t, const pd_prox_case *c, int32_t dtype, const double *p, double *f)
{
    apply_arrays a;
    void *mark = pd_mark(t);
    pudle_status s = PUDLE_ERR_NOMEM;
    if (apply_arrays_new(t, c, dtype, &a)) {
        pd_view_put(&a.v, p);
        s = PD_IN(t, "value", c->ops->value(t->self, c->tau, a.ctheta, &a.cv, f));
        PD_OUT(t);
    }
    pd_release(t, mark);
    return s ? pd_fails(t, "value returned %s", pd_status_text(s)) : true;
}

bool pd_prox_vjp(pd_trial *t, const pd_prox_case *c, int32_t dtype, const double *v, const double *g, double *gv, double *gtheta)
{
    apply_arrays a;
    pudle_view up, out, levels[PD_LEVELS];
    void *mark = pd_mark(t);
    const int64_t count = pd_prox_level_count(c);
    pudle_status s = PUDLE_ERR_NOMEM;
    if (!apply_arrays_new(t, c, dtype, &a))
        goto release;
    up = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "g", g);
    out = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "gv", NULL);
    if (!up.data || !out.data)
        goto release;
    for (int k = 0; k < c->levels; k++) {
        levels[k] = pd_view_new(t, PUDLE_F64, 1, &count, PD_PADDED, "gtheta", NULL);
        if (!levels[k].data)
            goto release;
        memset(levels[k].data, 0, pd_view_bytes(&levels[k]));
    }
    pd_view_put(&a.v, v);
    s = PD_IN(t, "apply", c->kernel->apply(t->self, NULL, c->tau, a.ctheta, &a.cv, &a.p));
    if (!s) {
        const pudle_cview cp = pudle_const(&a.p), cg = pudle_const(&up);
        s = PD_IN(t, "vjp",
                  c->kernel->vjp(t->self, NULL, c->tau, a.ctheta, c->ops->vjp_needs & PUDLE_VJP_INPUT ? &a.cv : NULL,
                                 c->ops->vjp_needs & PUDLE_VJP_OUTPUT ? &cp : NULL, &cg, &out,
                                 gtheta && c->levels ? levels : NULL));
    }
    PD_OUT(t);
    if (gv)
        pd_view_get(&out, gv);
    for (int k = 0; k < c->levels && gtheta; k++)
        pd_view_get(&levels[k], gtheta + k * count);
release:
    pd_release(t, mark);
    return s ? pd_fails(t, "vjp, %s, returned %s", pd_dtype_text(dtype), pd_status_text(s)) : true;
}

/* -------------------------------------------------------------------- cases */

static bool is_refusal(pudle_status s)
{
    return s == PUDLE_ERR_ARG || s == PUDLE_ERR_UNSUPPORTED;
}

bool pd_prox_refuses(pd_trial *t, const pd_prox_case *c)
{
    double *p = pd_scratch(t, c->n);
    return p && is_refusal(apply_status(t, c, PUDLE_F64, c->v, p));
}

/* An operator may refuse some shapes, groups that do not divide the atoms for one, and levels for each atom where one for all is
 * meant, the radius of a ball; it may not refuse everything. */
static bool open_case(pd_trial *t, void *c_, int draw, int64_t limit)
{
    pd_prox_case *c = c_;
    c->ops = t->desc->ops;
    c->kernel = c->ops->kernels[0];
    for (int tried = 0; tried < SHAPES_TRIED; tried++) {
        void *mark = pd_mark(t);
        const bool per_atom = draw % 2 == 1 && tried < SHAPES_TRIED / 4;
        if (!draw_case(t, c, draw, per_atom, limit > 0 && tried >= SHAPES_TRIED / 2 ? 8 * limit : limit) || !pd_instance_adopt(t))
            return false;
        if (limit == 0 || !pd_prox_refuses(t, c)) /* 0: the test itself shall be the first to call it on nothing */
            return true;
        pd_release(t, mark);
    }
    return pd_fails(t, "apply refuses every one of %d shapes and levels", SHAPES_TRIED);
}

static bool refresh_case(pd_trial *t, void *c)
{
    draw_numbers(t, c);
    return true;
}

/* Inputs of a call: levels, then v, p, g where they are read. */
static pudle_status run_apply(const pd_call *call, const pudle_cview *in, const pudle_view *out)
{
    const pd_prox_case *c = call->owner;
    return c->kernel->apply(call->self, NULL, c->tau, in, &in[c->levels], &out[0]);
}

static pudle_status run_vjp(const pd_call *call, const pudle_cview *in, const pudle_view *out)
{
    const pd_prox_case *c = call->owner;
    const int n = c->levels, needs = c->ops->vjp_needs;
    const pudle_cview *v = needs & PUDLE_VJP_INPUT ? &in[n + 1] : NULL;
    const pudle_cview *p = needs & PUDLE_VJP_OUTPUT ? &in[n + 1 + (v != NULL)] : NULL;
    return c->kernel->vjp(call->self, NULL, c->tau, in, v, p, &in[n], &out[0], call->outputs > 1 ? &out[1] : NULL);
}

static void add_input(pd_call *call, pudle_view v, const char *name)
{
    call->in[call->inputs] = v;
    call->in_name[call->inputs++] = name;
}

static void add_output(pd_call *call, pudle_view v, const char *name, bool added)
{
    call->out[call->outputs] = v;
    call->added[call->outputs] = added;
    call->out_name[call->outputs++] = name;
}

static int calls_of(pd_trial *t, void *c_, int32_t dtype, pd_call *calls)
{
    const pd_prox_case *c = c_;
    const bool in_place = (t->desc->caps & PUDLE_PROX_INPLACE) != 0;
    const int64_t count = pd_prox_level_count(c);
    pudle_view theta[PD_LEVELS];
    double *p = pd_scratch(t, c->n), *some = pd_scratch(t, count);
    if (!p || !some)
        return -1;
    for (int64_t i = 0; i < count; i++)
        some[i] = 0.25;
    level_views(t, c, dtype, theta);
    calls[0] = (pd_call){ .name = "apply", .self = t->self, .owner = c, .run = run_apply, .in_place = in_place ? c->levels : -1 };
    for (int k = 0; k < c->levels; k++)
        add_input(&calls[0], theta[k], "theta");
    const pudle_view v = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "v", c->v);
    add_input(&calls[0], v, "v");
    add_output(&calls[0], v, "p", false);
    if (!c->kernel->vjp || c->ops->vjp_needs == PUDLE_VJP_NONE)
        return 1;
    if (c->n && c->ops->vjp_needs & PUDLE_VJP_OUTPUT && !pd_prox_apply(t, c, dtype, c->v, p))
        return -1;
    for (int k = 1; k <= 2; k++) { /* with and without the levels' gradients */
        calls[k] = (pd_call){ .name = "vjp", .self = t->self, .owner = c, .run = run_vjp, .in_place = in_place ? c->levels : -1 };
        for (int l = 0; l < c->levels; l++)
            add_input(&calls[k], theta[l], "theta");
        const pudle_view g = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "g", c->g);
        add_input(&calls[k], g, "g");
        if (c->ops->vjp_needs & PUDLE_VJP_INPUT)
            add_input(&calls[k], v, "v");
        if (c->ops->vjp_needs & PUDLE_VJP_OUTPUT)
            add_input(&calls[k], pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "p", p), "p");
        add_output(&calls[k], g, "gv", false);
        for (int l = 0; l < c->levels && k == 1; l++)
            add_output(&calls[k], pd_view_new(t, PUDLE_F64, 1, &count, PD_PADDED, "gtheta", some), "gtheta", true);
    }
    return c->levels ? 3 : 2;
}

const pd_cases pd_prox_cases = { open_case, refresh_case, calls_of, sizeof(pd_prox_case) };
