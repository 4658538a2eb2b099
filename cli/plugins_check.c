/* plugins check FILE.so|NAME: does it keep the promises of its kind? TAP on standard output; exit 0: all ok, 1: a test failed,
 * 2: the command line is wrong or the file is refused. */
#include "cli.h"
#include "config/settings.h"
#include "conform/conform.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TIMEOUT 60 /* seconds: ten times what the slowest test takes on a slow machine */

/* A seed that is short to type and new each time. */
static uint64_t fresh_seed(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec / 1000u) % 1000000000u;
}

static bool is_file(const char *subject)
{
    const size_t length = strlen(subject);
    return strchr(subject, '/') || (length > 3 && !strcmp(subject + length - 3, ".so"));
}

static pudle_status unknown_test(pd_context *ctx, const char *only)
{
    char names[2048] = "";
    size_t used = 0;
    for (int32_t kind = PUDLE_KIND_PROX; kind <= PUDLE_KIND_BACKEND; kind++) {
        const char *name, *claim;
        used += (size_t)snprintf(names + used, sizeof names - used, "\n  %s:", pd_kind_name(kind));
        for (int i = 0; pd_conform_test(kind, i, &name, &claim) && used < sizeof names; i++)
            used += (size_t)snprintf(names + used, sizeof names - used, " %s", name);
        if (used >= sizeof names)
            break;
    }
    return pd_fail(ctx, PUDLE_ERR_CONFIG, "--only %s: there is no such test; there are%s", only, names);
}

/* What can be wrong before anything runs. */
static pudle_status look_over(pd_context *ctx, const cli_args *args)
{
    const pd_plugin *backend;
    if (args->positionals != 2)
        return pd_fail(
            ctx, PUDLE_ERR_CONFIG,
            "pudle plugins check: usage: pudle plugins check FILE.so|NAME [--only TEST] [--seed N] [--set KEY=VALUE]... "
            "[--backend NAME] [--timeout S] [--in-process]");
    if (args->format)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle plugins check takes no --format: its output is TAP");
    if (args->only && !pd_conform_known(args->only))
        return unknown_test(ctx, args->only);
    return args->backend ? pd_plugin_find(ctx, PUDLE_KIND_BACKEND, args->backend, &backend) : PUDLE_OK;
}

static pudle_status options_fit(pd_context *ctx, const pd_plugin *plugin, int count, const cli_args *args)
{
    for (int i = 0; i < count && args->sets; i++) {
        void *params = NULL;
        const pudle_status s = pd_params_from_pairs(ctx, &plugin[i], args->set, args->sets, &params);
        if (s)
            return s;
        pd_params_free(params);
    }
    return PUDLE_OK;
}

static pudle_status check_file(pd_context *ctx, const pd_plugin *plugin, int count, const cli_args *args,
                               const pd_conform_how *how, int *failed)
{
    pd_conform_counts counts = { 0, 0, 0 };
    bool kernels = false;
    for (int i = 0; i < count; i++)
        kernels |= plugin[i].desc->kind == PUDLE_KIND_PROX || plugin[i].desc->kind == PUDLE_KIND_LOSS;
    if (args->backend && !kernels)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--backend %s: %s '%s' has no kernels that a backend could run", args->backend,
                       pd_kind_name(plugin->desc->kind), plugin->desc->name);
    pudle_status s = options_fit(ctx, plugin, count, args);
    if (!s)
        s = pd_conform(ctx, plugin, count, args->positional[1], how, stdout, &counts);
    *failed += counts.failed;
    return s;
}

/* Every plugin of that name, of whatever kind; all of a file where a file is given. */
static pudle_status find_and_check(pd_context *ctx, const cli_args *args, const pd_conform_how *how, int *failed)
{
    const char *subject = args->positional[1];
    const pd_plugin *plugin = NULL;
    int count = 0, found = 0;
    if (is_file(subject)) {
        const pudle_status s = pd_plugin_load_file(ctx, subject, &plugin, &count);
        return s ? s : check_file(ctx, plugin, count, args, how, failed);
    }
    for (int32_t kind = PUDLE_KIND_PROX; kind <= PUDLE_KIND_BACKEND && !found; kind++) {
        const pudle_status s = pd_plugin_find(ctx, kind, subject, &plugin);
        if (s && s != PUDLE_ERR_NOTFOUND)
            return s;
        found += !s;
    }
    if (!found)
        return PUDLE_ERR_NOTFOUND;
    pd_error_clear(ctx);
    return check_file(ctx, plugin, 1, args, how, failed);
}

int cli_plugins_check(pd_context *ctx, const cli_args *args)
{
    const pd_conform_how how = { .only = args->only,
                                 .seed = args->has_seed ? (uint64_t)args->seed : fresh_seed(),
                                 .in_process = args->in_process,
                                 .backend = args->backend,
                                 .set = args->set,
                                 .sets = args->sets,
                                 .timeout = args->timeout > 0 ? args->timeout : TIMEOUT };
    int failed = 0;
    pudle_status s = look_over(ctx, args);
    if (!s)
        s = find_and_check(ctx, args, &how, &failed);
    if (s)
        return cli_setup_failed(ctx, s);
    return failed ? CLI_FAILED : CLI_DONE;
}
