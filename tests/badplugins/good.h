/* A complete prox, p = v: the one correct plugin here. Each bad plugin changes one thing of it with a macro, so that this
 * one thing is what it is refused for. */
#ifndef GOOD_H
#define GOOD_H

#include <pudle/plugin.h>

#ifndef NAME
#error "define NAME, the plugin's name as a string"
#endif
#ifndef ENTRY_MAGIC
#define ENTRY_MAGIC PUDLE_MAGIC
#endif
#ifndef ENTRY_MAJOR
#define ENTRY_MAJOR PUDLE_ABI_MAJOR
#endif
#ifndef ENTRY_MINOR
#define ENTRY_MINOR PUDLE_ABI_MINOR
#endif
#ifndef ENTRY_SIZE
#define ENTRY_SIZE sizeof(pudle_plugin_entry)
#endif
#ifndef ENTRY_FLAGS
#define ENTRY_FLAGS 0
#endif
#ifndef ENTRY_LIST
#define ENTRY_LIST &desc, NULL
#endif
#ifndef DESC_SIZE
#define DESC_SIZE sizeof(pudle_desc)
#endif
#ifndef KIND
#define KIND PUDLE_KIND_PROX
#endif
#ifndef VERSION
#define VERSION "1.0.0"
#endif
#ifndef SUMMARY
#define SUMMARY "For tests of the loader"
#endif
#ifndef OPTION_SIZE
#define OPTION_SIZE sizeof(pudle_option)
#endif
#ifndef PARAMS_SIZE
#define PARAMS_SIZE sizeof(params)
#endif
#ifndef LAMBDA_FLAGS
#define LAMBDA_FLAGS PUDLE_THRESHOLD
#endif
#ifndef EXTRA_OPTION /* one more row, with its comma */
#define EXTRA_OPTION
#endif
#ifndef KERNEL_SIZE
#define KERNEL_SIZE sizeof(pudle_prox_kernel)
#endif
#ifndef TARGET
#define TARGET "host"
#endif
#ifndef APPLY
#define APPLY apply
#endif
#ifndef VJP
#define VJP vjp
#endif
#ifndef VJP_NEEDS
#define VJP_NEEDS PUDLE_VJP_OUTPUT
#endif
#ifndef OPS_SIZE
#define OPS_SIZE sizeof(pudle_prox_ops)
#endif
#ifndef KERNELS
#define KERNELS kernels
#endif
#ifndef OPS
#define OPS &prox_ops
#endif
#ifndef CHECK
#define CHECK NULL
#endif
#ifndef CREATE
#define CREATE NULL
#endif

typedef struct params {
    double lambda, spare;
    int32_t choice;
} params;

static inline pudle_status apply(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta,
                                 const pudle_cview *v, const pudle_view *p)
{
    const char *from = (const char *)v->data;
    char *to = (char *)p->data;
    const size_t bytes = (size_t)pudle_count(v) * pudle_dtype_size(v->dtype);
    (void)self, (void)exec, (void)tau, (void)theta;
    for (size_t i = 0; i < bytes; i++)
        to[i] = from[i];
    return PUDLE_OK;
}

static inline pudle_status vjp(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta,
                               const pudle_cview *v, const pudle_cview *p, const pudle_cview *g,
                               const pudle_view *gv, const pudle_view *gtheta)
{
    (void)v, (void)p, (void)gtheta;
    return apply(self, exec, tau, theta, g, gv);
}

static const pudle_prox_kernel kernel = { (uint32_t)(KERNEL_SIZE), 0, TARGET, APPLY, VJP };
static const pudle_prox_kernel *const kernels[] = { &kernel, NULL };
static const pudle_prox_ops prox_ops = { (uint32_t)(OPS_SIZE), VJP_NEEDS, KERNELS, NULL, NULL };

static const pudle_option options[] = {
    { "lambda", PUDLE_REAL, LAMBDA_FLAGS, offsetof(params, lambda), "0.1", 0, 1, NULL, NULL, "Does nothing." },
    EXTRA_OPTION
    { NULL, 0, 0, 0, NULL, 0, 0, NULL, NULL, NULL }
};

#ifdef BEFORE_DESC /* code that a macro above names */
BEFORE_DESC
#endif

static const pudle_desc desc = {
    .size = DESC_SIZE, .kind = KIND, .name = NAME, .version = VERSION, .summary = SUMMARY, .license = "MIT",
    .options = options, .option_size = OPTION_SIZE, .params_size = PARAMS_SIZE, .check = CHECK, .create = CREATE, .ops = OPS,
};

#ifndef NO_ENTRY
static const pudle_desc *const list[] = { ENTRY_LIST };
const pudle_plugin_entry pudle_plugin = { ENTRY_MAGIC, ENTRY_MAJOR, ENTRY_MINOR, ENTRY_SIZE, ENTRY_FLAGS, list };
#endif

#endif
