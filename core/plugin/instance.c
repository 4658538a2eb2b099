/* Instances: options in, a checked object out. Every call into a plugin leaves a crumb for the crash report. */
#include "plugin/parts.h"

#include <stdlib.h>

static const char *status_name(pudle_status status)
{
    static const char *const names[] = { "OK",         "ERR_ARG",      "ERR_NOMEM",   "ERR_UNSUPPORTED",
                                         "ERR_CONFIG", "ERR_NUMERIC",  "ERR_DEVICE",  "ERR_IO",
                                         "ERR_ABI",    "ERR_NOTFOUND", "ERR_INTERNAL" };
    return status <= 0 && status >= PUDLE_ERR_INTERNAL ? names[-status] : "?";
}

static const pudle_host *host_of(pd_context *ctx, const pudle_desc *desc)
{
    char *label = pd_format("%s %s", pd_kind_name(desc->kind), desc->name);
    const pudle_host *host = label ? pd_host_for(ctx, label) : NULL;
    free(label);
    return host ? host : pd_host(ctx);
}

/* What a plugin's function returned, made sure to be a status that the user can understand. */
static pudle_status judge(pd_context *ctx, const pudle_desc *desc, const char *function, pudle_status status,
                          int errors_before)
{
    const char *kind = pd_kind_name(desc->kind);
    if (status > 0 || status < PUDLE_ERR_INTERNAL)
        return pd_fail(ctx, PUDLE_ERR_ABI,
                       "%s '%s': %s returned %d, which is no pudle_status: a bug of the plugin, tell its author", kind,
                       desc->name, function, (int)status);
    if (status && pd_error_count(ctx) == errors_before)
        return pd_fail(ctx, status,
                       "%s '%s': %s failed with PUDLE_%s and gave no reason: tell its author to report one with host->fail",
                       kind, desc->name, function, status_name(status));
    return status;
}

static pudle_status check(pd_context *ctx, const pudle_desc *desc, const pudle_host *host, const void *params)
{
    const int errors = pd_error_count(ctx);
    PD_CALL(desc->name, "check");
    const pudle_status s = desc->check(host, params);
    PD_RETURNED();
    return judge(ctx, desc, "check", s, errors);
}

static pudle_status create(pd_context *ctx, const pudle_desc *desc, const pudle_host *host, const void *params, void **self)
{
    const int errors = pd_error_count(ctx);
    PD_CALL(desc->name, "create");
    const pudle_status s = desc->create(host, params, self);
    PD_RETURNED();
    return judge(ctx, desc, "create", s, errors);
}

pudle_status pd_instance_create(pd_context *ctx, const pd_plugin *plugin, const void *params, pudle_instance *out)
{
    if (!plugin || !plugin->desc)
        return pd_fail(ctx, PUDLE_ERR_ARG, "an instance of no plugin was asked for");
    const pudle_desc *desc = plugin->desc;
    if (desc->params_size && !params)
        return pd_fail(ctx, PUDLE_ERR_ARG, "%s '%s': an instance without its options was asked for",
                       pd_kind_name(desc->kind), desc->name);
    const pudle_host *host = host_of(ctx, desc);
    void *self = (void *)params; /* without create the params are the instance, which is only ever read */
    pudle_status s = desc->check ? check(ctx, desc, host, params) : PUDLE_OK;
    if (!s && desc->create) {
        self = NULL;
        s = create(ctx, desc, host, params, &self);
    }
    if (!s)
        *out = (pudle_instance){ desc, self };
    return s;
}

void pd_instance_destroy(pd_context *ctx, pudle_instance *instance)
{
    if (!instance || !instance->desc)
        return;
    const pudle_desc *desc = instance->desc;
    if (desc->create && desc->destroy) { /* params used as the instance are not the plugin's */
        PD_CALL(desc->name, "destroy");
        desc->destroy(host_of(ctx, desc), instance->self);
        PD_RETURNED();
    }
    *instance = (pudle_instance){ NULL, NULL };
}
