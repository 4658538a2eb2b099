/* A backend opened for a test, and arrays in its memory. */
#include "conform/parts.h"
#include "config/settings.h"

static bool open_it(pd_trial *t, pd_bench *b)
{
    pd_test_host_forget(&t->host);
    const pudle_status s = PD_IN(t, "open", b->ops->open(&t->host.table, b->instance.self, &b->exec));
    PD_OUT(t);
    return s ? pd_fails(t, "the backend %s does not open: %s; %s", b->instance.desc->name, pd_status_text(s), t->host.said) : true;
}

bool pd_bench_open(pd_trial *t, pd_bench *b)
{
    *b = (pd_bench){ .t = t, .ops = t->desc->ops, .instance = { t->desc, t->self } };
    return open_it(t, b);
}

bool pd_bench_open_named(pd_trial *t, const char *other, pd_bench *b)
{
    const pd_plugin *plugin = NULL;
    const char *name = t->how->backend;
    if (!name)
        return other ? pd_skips(t, "a kernel for \"%s\" needs a backend that runs it: --backend NAME", other)
                     : pd_skips(t, "it has a host kernel alone; --backend NAME runs it through a backend");
    *b = (pd_bench){ .t = t };
    if (pd_plugin_find(t->ctx, PUDLE_KIND_BACKEND, name, &plugin) || pd_params_from_pairs(t->ctx, plugin, NULL, 0, &b->params) ||
        pd_instance_create(t->ctx, plugin, b->params, &b->instance))
        return pd_fails(t, "the backend %s cannot be used: %s", name, pd_error(t->ctx));
    b->ops = plugin->desc->ops;
    return open_it(t, b);
}

void pd_bench_close(pd_bench *b)
{
    if (b->exec) {
        PD_IN(b->t, "close", b->ops->close(b->exec));
        PD_OUT(b->t);
    }
    if (b->params) {
        pd_instance_destroy(b->t->ctx, &b->instance);
        pd_params_free(b->params);
    }
    *b = (pd_bench){ .t = b->t };
}

bool pd_bench_can(const pd_bench *b, const char *target)
{
    for (const char *const *name = b->ops->targets; *name; name++)
        if (!strcmp(*name, target))
            return true;
    return false;
}

bool pd_bench_put(pd_bench *b, int32_t dtype, int32_t rank, const int64_t *shape, const double *from, pudle_view *v)
{
    pd_trial *t = b->t;
    void *mark = pd_mark(t);
    const pudle_view host = pd_view_new(t, dtype, rank, shape, PD_PADDED, "staging", from);
    const size_t bytes = host.data ? pd_view_bytes(&host) : 0;
    pudle_status s = host.data ? PUDLE_OK : PUDLE_ERR_NOMEM;
    if (!s && !from)
        memset(host.data, 0xff, bytes);
    *v = host;
    v->data = NULL;
    if (!s)
        s = PD_IN(t, "alloc", b->ops->alloc(b->exec, bytes, &v->data));
    if (!s)
        s = PD_IN(t, "upload", b->ops->upload(b->exec, v->data, host.data, bytes));
    PD_OUT(t);
    pd_release(t, mark);
    return s ? pd_fails(t, "alloc and upload of %zu bytes: %s; %s", bytes, pd_status_text(s), t->host.said) : true;
}

bool pd_bench_get(pd_bench *b, const pudle_view *v, double *to)
{
    pd_trial *t = b->t;
    void *mark = pd_mark(t);
    pudle_view host = pd_view_new(t, v->dtype, v->rank, v->shape, PD_PADDED, "staging", NULL);
    const pudle_status s =
        !host.data ? PUDLE_ERR_NOMEM : PD_IN(t, "download", b->ops->download(b->exec, host.data, v->data, pd_view_bytes(&host)));
    PD_OUT(t);
    if (!s)
        pd_view_get(&host, to);
    pd_release(t, mark);
    return s ? pd_fails(t, "download: %s; %s", pd_status_text(s), t->host.said) : true;
}

void pd_bench_free(pd_bench *b, pudle_view *v)
{
    if (v->data) {
        PD_IN(b->t, "free", b->ops->free(b->exec, v->data));
        PD_OUT(b->t);
    }
    v->data = NULL;
}

pudle_status pd_bench_run(pd_bench *b, pudle_lane_fn fn, void *ctx)
{
    pudle_status s = PD_IN(b->t, "run", b->ops->run(b->exec, 1, fn, ctx));
    if (!s)
        s = PD_IN(b->t, "sync", b->ops->sync(b->exec));
    PD_OUT(b->t);
    return s;
}
