/* Prox and loss plugins: kernels made from their source where they have one, else their host kernels on copies. */
#include "cuda.h"

#include <string.h>

enum { VALUE, GRAD, HVP, MEAN, CODE_VALUE, CODE_GRAD };

/* ----------------------------------------------------------------- staging */

/* Copies in host memory, one behind the other. The first failure stops all that follows. */
typedef struct stage {
    cuda_exec *e;
    const char *op;
    char *at;
    pudle_status s;
} stage;

static size_t bytes_of(const pudle_cview *v)
{
    return v ? (size_t)pudle_count(v) * pudle_dtype_size(v->dtype) : 0;
}

static size_t rounded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Room for these views and `levels` of theta and gtheta; NULL ones take none. */
static stage stage_open(cuda_exec *e, const char *op, cuda_plugin *plugin, const pudle_cview *const views[], int count, const pudle_cview *theta,
                        const pudle_view *gtheta, int levels)
{
    stage g = { e, op, NULL, cuda_plugin_stage(e, op, plugin) };
    size_t bytes = 0;
    void *memory = NULL;
    for (int i = 0; i < count; i++)
        bytes += rounded(bytes_of(views[i]));
    for (int i = 0; i < levels; i++)
        bytes += rounded(bytes_of(&theta[i])) + (gtheta ? rounded((size_t)pudle_count(&theta[i]) * sizeof(double)) : 0);
    if (!g.s)
        g.s = host_scratch(&e->base, bytes, &memory);
    g.at = memory;
    return g;
}

/* A place on the host for a device's view; `read`: with what is there. */
static pudle_view stage_view(stage *g, const pudle_view *device, bool read)
{
    cuda_fault why;
    pudle_view v = *device;
    const pudle_cview c = pudle_const(device);
    const size_t bytes = bytes_of(&c);
    v.data = g->at;
    if (g->s)
        return v;
    g->at += rounded(bytes);
    if (read && bytes && !cuda.download(g->e->gpu, v.data, device->data, bytes, &why))
        g->s = cuda_failed(g->e, g->op, &why);
    return v;
}

static pudle_cview stage_in(stage *g, const pudle_cview *device)
{
    const pudle_view v = { .data = (void *)(uintptr_t)device->data, .dtype = device->dtype, .rank = device->rank,
                           .shape = { device->shape[0], device->shape[1], device->shape[2], device->shape[3], device->shape[4], device->shape[5] },
                           .stride = { device->stride[0], device->stride[1], device->stride[2], device->stride[3], device->stride[4], device->stride[5] } };
    const pudle_view on_host = stage_view(g, &v, true);
    return pudle_const(&on_host);
}

static void stage_back(stage *g, const pudle_view *device, const pudle_view *on_host)
{
    const pudle_cview c = pudle_const(device);
    if (!g->s)
        g->s = cuda_send(g->e, g->op, device->data, on_host->data, bytes_of(&c));
}

/* -------------------------------------------------------------------- prox */

static int wide(const pudle_cview *v)
{
    return v->dtype == PUDLE_F64;
}

/* Options that the plugin's table flags as levels: how many views theta has. */
static int level_count(const pudle_desc *desc)
{
    int count = 0;
    const char *at = (const char *)desc->options;
    for (; at && ((const pudle_option *)(const void *)at)->name; at += desc->option_size)
        count += (((const pudle_option *)(const void *)at)->flags & PUDLE_THRESHOLD) != 0;
    return count;
}

void *cuda_options_of(const pudle_instance *plugin, double room[CUDA_OPTIONS_ROOM])
{
    memset(room, 0, CUDA_OPTIONS_ROOM * sizeof *room);
    if (plugin->self && plugin->desc->params_size)
        memcpy(room, plugin->self, plugin->desc->params_size);
    return room;
}

static cuda_code code_of(const pudle_cview *v)
{
    const pudle_code_shape shape = pudle_code_shape_of(v);
    return (cuda_code){ shape.atoms, shape.inner, shape.batch * shape.atoms * shape.inner };
}

static pudle_status levels_of(cuda_exec *e, const char *op, const pudle_cview *theta, int count, const cuda_code *code, int32_t dtype,
                              cuda_levels *levels)
{
    memset(levels, 0, sizeof *levels);
    for (int k = 0; k < count; k++) {
        const int64_t values = theta ? pudle_count(&theta[k]) : 0;
        if (!theta || theta[k].dtype != dtype || (values != 1 && values != code->atoms))
            return FAIL(&e->base, PUDLE_ERR_ARG, "%s: level %d has %lld values; 1 or one for each of %lld atoms, of the code's precision, are wanted", op,
                        k, (long long)values, (long long)code->atoms);
        levels->theta[k] = theta[k].data;
        levels->step[k] = pudle_level_step(&theta[k]);
    }
    return PUDLE_OK;
}

static pudle_status staged_apply(cuda_exec *e, cuda_plugin *plugin, const pudle_prox_kernel *kernel, const pudle_instance *prox, double tau,
                                 const pudle_cview *theta, const pudle_cview *v, const pudle_view *p)
{
    const int levels = theta ? level_count(prox->desc) : 0;
    pudle_cview level[CUDA_LEVELS];
    if (levels > CUDA_LEVELS)
        return FAIL(&e->base, PUDLE_ERR_UNSUPPORTED, "prox_apply: '%s' has more than %d levels", prox->desc->name, CUDA_LEVELS);
    stage g = stage_open(e, "prox_apply", plugin, (const pudle_cview *const[]){ v, v }, 2, theta, NULL, levels);
    const pudle_cview in = stage_in(&g, v);
    const pudle_view out = stage_view(&g, p, false);
    for (int k = 0; k < levels; k++)
        level[k] = stage_in(&g, &theta[k]);
    if (!g.s)
        g.s = kernel->apply(prox->self, &e->base, tau, levels ? level : NULL, &in, &out);
    stage_back(&g, p, &out);
    return g.s;
}

pudle_status cuda_prox_apply(pudle_exec *exec, const pudle_instance *prox, double tau, const pudle_cview *theta, const pudle_cview *v,
                             const pudle_view *p)
{
    static const char op[] = "prox_apply";
    const pudle_prox_kernel *host = NULL;
    cuda_plugin *plugin = NULL;
    pudle_status s = host_check_prox_apply(exec, prox, v, p, &host);
    if (s || !pudle_count(v))
        return s;
    cuda_exec *e = cuda_of(exec);
    s = cuda_begin(e, op);
    if (!s)
        s = cuda_plugin_of(e, op, prox->desc, &plugin);
    if (s)
        return s;
    if (!plugin->module)
        return staged_apply(e, plugin, host, prox, tau, theta, v, p);
    double options[CUDA_OPTIONS_ROOM];
    float tau32 = (float)tau;
    cuda_code code = code_of(v);
    cuda_levels levels;
    cuda_kernel *kernel = NULL;
    const void *in = v->data;
    void *out = p->data;
    s = levels_of(e, op, theta, cuda_source_of(prox->desc)->levels, &code, v->dtype, &levels);
    if (!s)
        s = cuda_plugin_kernel(e, op, plugin, "prox_apply", CUDA_APPLY, v->dtype, &kernel);
    void *arguments[] = { cuda_options_of(prox, options), wide(v) ? (void *)&tau : &tau32, &levels, &in, &out, &code };
    if (!s)
        s = cuda_start(e, op, kernel, cuda_blocks(code.count), arguments);
    return s ? s : cuda_end(e, op);
}

int64_t cuda_chunks(const cuda_code *code)
{
    const int64_t each = code->count / code->atoms, wanted = 32768 / code->atoms;
    return wanted < 1 ? 1 : wanted > each ? each : wanted;
}

/* gtheta[k] += sums over the entries that share the level. */
static pudle_status level_sums(cuda_exec *e, const char *op, cuda_plugin *plugin, int32_t dtype, void *arguments[6], const cuda_code *code,
                               const cuda_levels *levels, int count, const pudle_view *gtheta)
{
    long long chunks = cuda_chunks(code);
    const int64_t each = code->atoms * chunks;
    cuda_kernel *kernel = NULL;
    pudle_status s = cuda_room(e, op, &e->partial, (size_t)(count * each) * sizeof(double));
    double *partial = e->partial.at;
    const void *steps = NULL;
    int kept = 0;
    void *all[] = { arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], &partial, arguments[5], &chunks, &steps, &kept };
    if (!s)
        s = cuda_plugin_kernel(e, op, plugin, "prox_levels", CUDA_LEVEL_SUMS, dtype, &kernel);
    if (!s)
        s = cuda_start(e, op, kernel, cuda_blocks(each), all);
    for (int k = 0; k < count && !s; k++) {
        const bool along = levels->step[k] != 0;
        s = cuda_add_sums(e, op, partial + k * each, along ? code->atoms : 1, along ? chunks : each, gtheta[k].data);
    }
    return s;
}

static pudle_status staged_vjp(cuda_exec *e, cuda_plugin *plugin, const pudle_prox_kernel *kernel, const pudle_instance *prox, double tau,
                               const pudle_cview *theta, const pudle_cview *v, const pudle_cview *p, const pudle_cview *g, const pudle_view *gv,
                               const pudle_view *gtheta)
{
    const int levels = theta ? level_count(prox->desc) : 0;
    pudle_cview level[CUDA_LEVELS], in = { 0 }, done = { 0 };
    pudle_view sums[CUDA_LEVELS];
    if (levels > CUDA_LEVELS)
        return FAIL(&e->base, PUDLE_ERR_UNSUPPORTED, "prox_vjp: '%s' has more than %d levels", prox->desc->name, CUDA_LEVELS);
    stage t = stage_open(e, "prox_vjp", plugin, (const pudle_cview *const[]){ v, p, g, g }, 4, theta, gtheta, levels);
    if (v)
        in = stage_in(&t, v);
    if (p)
        done = stage_in(&t, p);
    const pudle_cview up = stage_in(&t, g);
    const pudle_view out = stage_view(&t, gv, false);
    for (int k = 0; k < levels; k++) {
        level[k] = stage_in(&t, &theta[k]);
        if (gtheta)
            sums[k] = stage_view(&t, &gtheta[k], true);
    }
    if (!t.s)
        t.s = kernel->vjp(prox->self, &e->base, tau, levels ? level : NULL, v ? &in : NULL, p ? &done : NULL, &up, &out, gtheta ? sums : NULL);
    stage_back(&t, gv, &out);
    for (int k = 0; gtheta && k < levels; k++)
        stage_back(&t, &gtheta[k], &sums[k]);
    return t.s;
}

/* The body needs v, so an operator that declares it does not is run on the host. */
pudle_status cuda_prox_vjp(pudle_exec *exec, const pudle_instance *prox, double tau, const pudle_cview *theta, const pudle_cview *v,
                           const pudle_cview *p, const pudle_cview *g, const pudle_view *gv, const pudle_view *gtheta)
{
    static const char op[] = "prox_vjp";
    const pudle_prox_kernel *host = NULL;
    cuda_plugin *plugin = NULL;
    pudle_status s = host_check_prox_vjp(exec, prox, v, p, g, gv, &host);
    if (s || !pudle_count(g))
        return s;
    cuda_exec *e = cuda_of(exec);
    s = cuda_begin(e, op);
    if (!s)
        s = cuda_plugin_of(e, op, prox->desc, &plugin);
    if (s)
        return s;
    if (!plugin->module || !v)
        return staged_vjp(e, plugin, host, prox, tau, theta, v, p, g, gv, gtheta);
    double options[CUDA_OPTIONS_ROOM];
    float tau32 = (float)tau;
    const int count = cuda_source_of(prox->desc)->levels;
    cuda_code code = code_of(v);
    cuda_levels levels;
    cuda_kernel *kernel = NULL;
    const void *in = v->data, *up = g->data;
    void *out = gv->data, *step = wide(v) ? (void *)&tau : &tau32, *set = cuda_options_of(prox, options);
    s = levels_of(e, op, theta, count, &code, v->dtype, &levels);
    if (!s && gtheta && count) /* first, for gv may be g */
        s = level_sums(e, op, plugin, v->dtype, (void *[]){ set, step, &levels, &in, &up, &code }, &code, &levels, count, gtheta);
    if (!s)
        s = cuda_plugin_kernel(e, op, plugin, "prox_vjp", CUDA_VJP, v->dtype, &kernel);
    void *arguments[] = { set, step, &levels, &in, &up, &out, &code };
    if (!s)
        s = cuda_start(e, op, kernel, cuda_blocks(code.count), arguments);
    return s ? s : cuda_end(e, op);
}

/* -------------------------------------------------------------------- loss */

/* The loss's kernels, after the check that their arrays are of one length: a body knows one target an entry. */
static pudle_status loss_plugin(cuda_exec *e, const char *op, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target,
                                cuda_plugin **plugin)
{
    pudle_status s = cuda_begin(e, op);
    if (!s)
        s = cuda_plugin_of(e, op, loss->desc, plugin);
    if (!s && (*plugin)->module && target && pudle_count(pred) != pudle_count(target))
        s = FAIL(&e->base, PUDLE_ERR_ARG, "%s: '%s' takes one target for each prediction; here are %lld for %lld", op, loss->desc->name,
                 (long long)pudle_count(target), (long long)pudle_count(pred));
    return s;
}

static pudle_status loss_start(cuda_exec *e, const char *op, cuda_plugin *plugin, int which, int32_t dtype, int64_t n, void **arguments)
{
    static const char *const names[] = { "loss_value", "loss_grad", "loss_hvp", "loss_mean", "code_value", "code_grad" };
    const bool sum = which == VALUE || which == CODE_VALUE;
    cuda_kernel *kernel = NULL;
    pudle_status s = cuda_plugin_kernel(e, op, plugin, names[which], which, dtype, &kernel);
    if (!s)
        s = cuda_start(e, op, kernel, sum ? cuda_reduction(n) : cuda_blocks(n), arguments);
    return s || sum ? s : cuda_end(e, op);
}

/* A kernel that leaves a partial sum a block in e->partial, which `arguments` point to, and the sum of these. */
static pudle_status loss_total(cuda_exec *e, const char *op, cuda_plugin *plugin, int which, int32_t dtype, long long n, void **arguments, double *sum)
{
    *sum = 0;
    pudle_status s = n ? cuda_room(e, op, &e->partial, (size_t)cuda_reduction(n) * sizeof(double)) : PUDLE_OK;
    if (!s && n)
        s = loss_start(e, op, plugin, which, dtype, n, arguments);
    return s || !n ? s : cuda_collect(e, op, e->partial.at, 1, cuda_reduction(n), &(cuda_sum){ sum, NULL });
}

pudle_status cuda_loss_value(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target, double *sum)
{
    static const char op[] = "loss_value";
    const pudle_loss_kernel *host = NULL;
    cuda_plugin *plugin = NULL;
    double options[CUDA_OPTIONS_ROOM];
    pudle_status s = host_check_loss_value(exec, loss, pred, target, sum, &host);
    if (s)
        return s;
    cuda_exec *e = cuda_of(exec);
    long long n = pudle_count(pred);
    s = loss_plugin(e, op, loss, pred, target, &plugin);
    if (s)
        return s;
    if (!plugin->module) {
        stage g = stage_open(e, op, plugin, (const pudle_cview *const[]){ pred, target }, 2, NULL, NULL, 0);
        const pudle_cview eta = stage_in(&g, pred), x = stage_in(&g, target);
        return g.s ? g.s : host->value(loss->self, exec, &eta, &x, sum);
    }
    const void *eta = pred->data, *x = target->data;
    void *arguments[] = { cuda_options_of(loss, options), &eta, &x, &e->partial.at, &n };
    return loss_total(e, op, plugin, VALUE, pred->dtype, n, arguments, sum);
}

pudle_status cuda_loss_grad(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target, const pudle_view *g)
{
    static const char op[] = "loss_grad";
    const pudle_loss_kernel *host = NULL;
    cuda_plugin *plugin = NULL;
    double options[CUDA_OPTIONS_ROOM];
    pudle_status s = host_check_loss_grad(exec, loss, pred, target, g, &host);
    if (s || !pudle_count(pred))
        return s;
    cuda_exec *e = cuda_of(exec);
    long long n = pudle_count(pred);
    s = loss_plugin(e, op, loss, pred, target, &plugin);
    if (s)
        return s;
    if (!plugin->module) {
        stage t = stage_open(e, op, plugin, (const pudle_cview *const[]){ pred, target, pred }, 3, NULL, NULL, 0);
        const pudle_cview eta = stage_in(&t, pred), x = stage_in(&t, target);
        const pudle_view out = stage_view(&t, g, false);
        if (!t.s)
            t.s = host->grad(loss->self, exec, &eta, &x, &out);
        stage_back(&t, g, &out);
        return t.s;
    }
    const void *eta = pred->data, *x = target->data;
    void *out = g->data;
    void *arguments[] = { cuda_options_of(loss, options), &eta, &x, &out, &n };
    return loss_start(e, op, plugin, GRAD, pred->dtype, n, arguments);
}

pudle_status cuda_loss_hvp(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target,
                           const pudle_cview *u, const pudle_view *hu)
{
    static const char op[] = "loss_hvp";
    const pudle_loss_kernel *host = NULL;
    cuda_plugin *plugin = NULL;
    double options[CUDA_OPTIONS_ROOM];
    pudle_status s = host_check_loss_hvp(exec, loss, pred, target, u, hu, &host);
    if (s || !pudle_count(pred))
        return s;
    cuda_exec *e = cuda_of(exec);
    long long n = pudle_count(pred);
    s = loss_plugin(e, op, loss, pred, target, &plugin);
    if (s)
        return s;
    if (!plugin->module) {
        stage t = stage_open(e, op, plugin, (const pudle_cview *const[]){ pred, target, u, u }, 4, NULL, NULL, 0);
        const pudle_cview eta = stage_in(&t, pred), x = stage_in(&t, target), along = stage_in(&t, u);
        const pudle_view out = stage_view(&t, hu, false);
        if (!t.s)
            t.s = host->hvp(loss->self, exec, &eta, &x, &along, &out);
        stage_back(&t, hu, &out);
        return t.s;
    }
    const void *eta = pred->data, *x = target->data, *along = u->data;
    void *out = hu->data;
    void *arguments[] = { cuda_options_of(loss, options), &eta, &x, &along, &out, &n };
    return loss_start(e, op, plugin, HVP, pred->dtype, n, arguments);
}

pudle_status cuda_loss_mean(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_view *m)
{
    static const char op[] = "loss_mean";
    const pudle_loss_kernel *host = NULL;
    cuda_plugin *plugin = NULL;
    double options[CUDA_OPTIONS_ROOM];
    pudle_status s = host_check_loss_mean(exec, loss, pred, m, &host);
    if (s || !pudle_count(pred))
        return s;
    if (!PUDLE_HAS(host, pudle_loss_kernel, mean) || !host->mean)
        return cuda_copy(exec, pred, m);
    cuda_exec *e = cuda_of(exec);
    long long n = pudle_count(pred);
    s = loss_plugin(e, op, loss, pred, NULL, &plugin);
    if (s)
        return s;
    if (!plugin->module) {
        stage t = stage_open(e, op, plugin, (const pudle_cview *const[]){ pred, pred }, 2, NULL, NULL, 0);
        const pudle_cview eta = stage_in(&t, pred);
        const pudle_view out = stage_view(&t, m, false);
        if (!t.s)
            t.s = host->mean(loss->self, exec, &eta, &out);
        stage_back(&t, m, &out);
        return t.s;
    }
    const void *eta = pred->data;
    void *out = m->data;
    void *arguments[] = { cuda_options_of(loss, options), &eta, &out, &n };
    return loss_start(e, op, plugin, MEAN, pred->dtype, n, arguments);
}

/* The penalty's plugin, and whether its kernels are the device's. */
static pudle_status penalty(cuda_exec *e, const char *op, const pudle_instance *loss, cuda_plugin **plugin, bool *compiled)
{
    pudle_status s = cuda_begin(e, op);
    if (!s)
        s = cuda_plugin_of(e, op, loss->desc, plugin);
    *compiled = !s && (*plugin)->module && cuda_code_source_of(loss->desc);
    return s;
}

pudle_status cuda_code_value(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *z, double *sum)
{
    static const char op[] = "code_value";
    const pudle_loss_kernel *host = NULL;
    cuda_plugin *plugin = NULL;
    double options[CUDA_OPTIONS_ROOM];
    bool compiled = false;
    pudle_status s = host_check_code_value(exec, loss, z, sum, &host);
    if (s)
        return s;
    if (!PUDLE_HAS(host, pudle_loss_kernel, code_value) || !host->code_value) {
        *sum = 0;
        return PUDLE_OK;
    }
    cuda_exec *e = cuda_of(exec);
    long long n = pudle_count(z);
    s = penalty(e, op, loss, &plugin, &compiled);
    if (s)
        return s;
    if (!compiled) {
        stage g = stage_open(e, op, plugin, (const pudle_cview *const[]){ z }, 1, NULL, NULL, 0);
        const pudle_cview code = stage_in(&g, z);
        return g.s ? g.s : host->code_value(loss->self, exec, &code, sum);
    }
    const void *code = z->data;
    void *arguments[] = { cuda_options_of(loss, options), &code, &e->partial.at, &n };
    return loss_total(e, op, plugin, CODE_VALUE, z->dtype, n, arguments, sum);
}

pudle_status cuda_code_grad(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *z, const pudle_view *g)
{
    static const char op[] = "code_grad";
    const pudle_loss_kernel *host = NULL;
    cuda_plugin *plugin = NULL;
    double options[CUDA_OPTIONS_ROOM];
    bool compiled = false;
    pudle_status s = host_check_code_grad(exec, loss, z, g, &host);
    if (s || !PUDLE_HAS(host, pudle_loss_kernel, code_grad) || !host->code_grad || !pudle_count(z))
        return s;
    cuda_exec *e = cuda_of(exec);
    long long n = pudle_count(z);
    s = penalty(e, op, loss, &plugin, &compiled);
    if (s)
        return s;
    if (!compiled) {
        stage t = stage_open(e, op, plugin, (const pudle_cview *const[]){ z, z }, 2, NULL, NULL, 0);
        const pudle_cview code = stage_in(&t, z);
        const pudle_view out = stage_view(&t, g, true);
        if (!t.s)
            t.s = host->code_grad(loss->self, exec, &code, &out);
        stage_back(&t, g, &out);
        return t.s;
    }
    const void *code = z->data;
    void *out = g->data;
    void *arguments[] = { cuda_options_of(loss, options), &code, &out, &n };
    return loss_start(e, op, plugin, CODE_GRAD, z->dtype, n, arguments);
}
