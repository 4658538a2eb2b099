/* What this installation is made of, for a user who wonders why something is slow or not found. */
#include "cli.h"
#include "config/settings.h"
#include "plugin/registry.h"
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* An instance with its default options, opened, asked about itself, closed. */
static pudle_status describe_backend(pd_context *ctx, const pd_plugin *plugin)
{
    char text[4096] = "";
    void *params = NULL;
    pudle_instance instance = { 0 };
    pudle_exec *exec = NULL;
    const pudle_backend_ops *ops = plugin->desc->ops;
    pudle_status s = pd_params_from_pairs(ctx, plugin, NULL, 0, &params);
    if (!s)
        s = pd_instance_create(ctx, plugin, params, &instance);
    if (!s)
        s = ops->open(pd_host_for(ctx, plugin->desc->name), instance.self, &exec);
    if (!s) {
        ops->describe(exec, text, sizeof text);
        ops->close(exec);
    }
    pd_instance_destroy(ctx, &instance);
    pd_params_free(params);
    printf("backend %s %s\n", plugin->desc->name, plugin->desc->version);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        printf("  %s\n", line);
    if (s) {
        printf("  cannot be used: %s\n", pd_error(ctx));
        pd_error_clear(ctx);
    }
    return PUDLE_OK;
}

int cli_doctor(pd_context *ctx, const cli_args *args)
{
    (void)args;
    struct utsname system;
    pd_plugin_row *rows = NULL;
    int count = 0, refused = 0;
    printf("pudle %s, plugin ABI %d.%d\n", PD_VERSION, PUDLE_ABI_MAJOR, PUDLE_ABI_MINOR);
    if (!uname(&system))
        printf("%s %s %s, %ld processors\n", system.sysname, system.release, system.machine, sysconf(_SC_NPROCESSORS_ONLN));
    printf("\nplugins are looked for in\n");
    pd_plugin_path_describe(ctx, stdout);
    pudle_status s = pd_plugin_scan(ctx, &rows, &count);
    if (s)
        return cli_setup_failed(ctx, s);
    printf("\n");
    for (int i = 0; i < count; i++)
        if (rows[i].plugin && rows[i].kind == PUDLE_KIND_BACKEND && !rows[i].shadowed)
            describe_backend(ctx, rows[i].plugin);
    for (int i = 0; i < count; i++)
        if (rows[i].reason) {
            printf("%srefused: %s\n  %s\n", refused++ ? "" : "\n", rows[i].path, rows[i].reason);
        }
    printf("\n%d plugins, %d refused; 'pudle plugins list' names them\n", count - refused, refused);
    if (count == 0)
        printf("%s\n", PD_NO_PLUGINS);
    pd_plugin_rows_free(rows, count);
    return CLI_DONE;
}
