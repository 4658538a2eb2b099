/* Kernels of prox and loss plugins: their source compiled for the device at hand, once, and kept on disk. */
#include "cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool cuda_arch(int device, const int *list, int count, char *arch, size_t size)
{
    int best = 0;
    for (int i = 0; i < count; i++)
        if (list[i] <= device && list[i] > best)
            best = list[i];
    snprintf(arch, size, "%s_%d", best == device ? "sm" : "compute", best);
    return best > 0;
}

static pudle_status ask_compiler(cuda_exec *e, const char *op)
{
    cuda_fault why;
    const int device = 10 * e->facts.major + e->facts.minor;
    if (e->targets)
        return PUDLE_OK;
    if (!cuda.targets(e->gpu, e->list, (int)(sizeof e->list / sizeof *e->list), &e->targets, e->compiler, sizeof e->compiler, &why))
        return cuda_failed(e, op, &why);
    if (!cuda_arch(device, e->list, e->targets, e->arch, sizeof e->arch))
        return FAIL(&e->base, PUDLE_ERR_DEVICE,
                    "%s: %s makes no code for %s, whose compute capability is %d.%d: the oldest it knows is %d.%d; use an older toolkit", op,
                    e->compiler, e->facts.name, e->facts.major, e->facts.minor, e->list[0] / 10, e->list[0] % 10);
    return PUDLE_OK;
}

static void keep(cuda_exec *e, const char *text, const void *image, size_t bytes)
{
    char reason[4400];
    if (cuda_cache_put(text, e->arch, e->compiler, image, bytes, reason, sizeof reason) || e->cache_told)
        return;
    e->cache_told = true;
    e->base.host->log(e->base.host->ctx, PUDLE_LOG_INFO, "compiled kernels are not kept for the next run: %s", reason);
}

/* Load a text's kernels. What is on disk may be good and yet not load, after a change of driver: then it is compiled anew. */
static pudle_status load_text(cuda_exec *e, const char *op, const pudle_desc *desc, const char *text, cuda_module **module)
{
    cuda_fault why;
    void *image = NULL;
    size_t bytes = 0;
    if (cuda_cache_get(text, e->arch, e->compiler, &image, &bytes)) {
        const bool good = cuda.load(e->gpu, image, bytes, module, &why);
        free(image);
        if (good)
            return PUDLE_OK;
    }
    if (!cuda.compile(e->gpu, text, desc->name, e->arch, &image, &bytes, &why))
        return cuda_failed(e, op, &why);
    keep(e, text, image, bytes);
    const bool good = cuda.load(e->gpu, image, bytes, module, &why);
    free(image);
    return good ? PUDLE_OK : cuda_failed(e, op, &why);
}

static pudle_status compile(cuda_exec *e, const char *op, cuda_plugin *plugin, int part)
{
    char *text = NULL;
    pudle_status s = plugin->desc->params_size > CUDA_OPTIONS_MOST ? PUDLE_ERR_UNSUPPORTED : cuda_source(plugin->desc, part, &text);
    if (s == PUDLE_ERR_UNSUPPORTED)
        return PUDLE_OK; /* staged */
    if (s)
        return FAIL(&e->base, s, "%s: the device source of '%s' cannot be put together%s", op, plugin->desc->name,
                    s == PUDLE_ERR_NOMEM ? ": out of memory" : ": it has more levels than a prox can have");
    s = ask_compiler(e, op);
    if (!s)
        s = load_text(e, op, plugin->desc, text, part == CUDA_TEXT_FILTERS ? &plugin->filters : &plugin->module);
    free(text);
    return s;
}

pudle_status cuda_plugin_stage(cuda_exec *e, const char *op, cuda_plugin *plugin)
{
    const char *kind = plugin->desc->kind == PUDLE_KIND_PROX ? "prox" : "loss", *name = plugin->desc->name;
    if (e->set.placement == CUDA_PLACE_STRICT)
        return FAIL(&e->base, PUDLE_ERR_UNSUPPORTED,
                    "%s: the %s '%s' has no source for devices, and backend.placement = \"strict\" refuses to run it on the host; write it with the "
                    "macros of pudle/elementwise.h, or set backend.placement = \"any\"",
                    op, kind, name);
    if (!plugin->told)
        e->base.host->log(e->base.host->ctx, PUDLE_LOG_WARNING,
                          "the %s '%s' has no source for devices: it runs on the host, with copies both ways; backend.placement = \"strict\" would "
                          "refuse it",
                          kind, name);
    plugin->told = true;
    plugin->staged++;
    return PUDLE_OK;
}

pudle_status cuda_plugin_of(cuda_exec *e, const char *op, const pudle_desc *desc, cuda_plugin **out)
{
    const pudle_host *host = e->base.host;
    cuda_plugin *p = e->plugins;
    while (p && p->desc != desc)
        p = p->next;
    if (!p) {
        if (!(p = host->alloc(host->ctx, sizeof *p)))
            return FAIL(&e->base, PUDLE_ERR_NOMEM, "%s: out of memory", op);
        memset(p, 0, sizeof *p);
        p->desc = desc;
        const pudle_status s = compile(e, op, p, CUDA_TEXT);
        if (s) {
            host->free(host->ctx, p);
            return s;
        }
        p->next = e->plugins;
        e->plugins = p;
    }
    *out = p;
    return PUDLE_OK;
}

pudle_status cuda_plugin_kernel(cuda_exec *e, const char *op, cuda_plugin *plugin, const char *name, int which, int32_t dtype, cuda_kernel **out)
{
    cuda_fault why;
    char full[64];
    cuda_kernel **kernel = &plugin->kernel[dtype == PUDLE_F64][which];
    snprintf(full, sizeof full, "pudle_%s_%s", name, dtype == PUDLE_F64 ? "f64" : "f32");
    const bool filters = which == CUDA_FILTER_LAYER || which == CUDA_FILTER_BACK;
    const pudle_status s = filters && !plugin->filters ? compile(e, op, plugin, CUDA_TEXT_FILTERS) : PUDLE_OK;
    if (s)
        return s;
    if (!*kernel && !cuda.find(e->gpu, filters ? plugin->filters : plugin->module, full, kernel, &why))
        return cuda_failed(e, op, &why);
    *out = *kernel;
    return PUDLE_OK;
}

void cuda_plugins_free(cuda_exec *e)
{
    const pudle_host *host = e->base.host;
    for (cuda_plugin *p = e->plugins, *next; p; p = next) {
        next = p->next;
        if (p->staged)
            host->log(host->ctx, PUDLE_LOG_INFO, "'%s' ran on the host %lld times", p->desc->name, (long long)p->staged);
        if (p->module)
            cuda.unload(e->gpu, p->module);
        if (p->filters)
            cuda.unload(e->gpu, p->filters);
        host->free(host->ctx, p);
    }
    e->plugins = NULL;
}
