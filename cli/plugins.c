/* plugins list | info NAME | reference (new: plugins_new.c, check: plugins_check.c): what can be loaded, and the options of each, from the
 * tables alone. */
#include "cli.h"
#include "config/settings.h"
#include "plugin/registry.h"
#include <stdlib.h>
#include <string.h>

static void print_caps(const pudle_desc *desc)
{
    static const struct { int32_t kind; uint64_t cap; const char *word; } words[] = {
        { PUDLE_KIND_PROX, PUDLE_PROX_CONVEX, "convex" },       { PUDLE_KIND_PROX, PUDLE_PROX_SEPARABLE, "separable" },
        { PUDLE_KIND_PROX, PUDLE_PROX_INPLACE, "in place" },    { PUDLE_KIND_PROX, PUDLE_PROX_NONNEG, "non-negative" },
        { PUDLE_KIND_PROX, PUDLE_PROX_BATCH_COUPLED, "couples the batch" },
        { PUDLE_KIND_PROX, PUDLE_PROX_SURROGATE, "levels learned by a stand-in derivative" }, { PUDLE_KIND_LOSS, PUDLE_LOSS_CONVEX, "convex" },
        { PUDLE_KIND_LOSS, PUDLE_LOSS_QUADRATIC, "quadratic" }, { PUDLE_KIND_LOSS, PUDLE_LOSS_SEPARABLE, "separable" },
    };
    const char *before = "  [";
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].kind == desc->kind && (desc->caps & words[i].cap)) {
            printf("%s%s", before, words[i].word);
            before = ", ";
        }
    if (*before == ',')
        putchar(']');
}

static void print_derivative(const pudle_desc *desc)
{
    static const char *const needs[] = { "none: gradient \"dec\" and \"noodl\" only", "from its output", "from its input", "from input and output" };
    if (desc->kind != PUDLE_KIND_PROX)
        return;
    const int32_t n = ((const pudle_prox_ops *)desc->ops)->vjp_needs;
    printf("  derivative: %s\n", n >= 0 && n < 4 ? needs[n] : "?");
}

/* What the author could leave out, as far as the struct that was compiled into the plugin reaches. */
static void print_optional(const pudle_desc *desc)
{
    const pudle_prox_ops *prox = desc->ops;
    const pudle_loss_ops *loss = desc->ops;
    if (desc->kind == PUDLE_KIND_PROX)
        printf("  penalty: %s   dead zone: %s   device source: %s\n", prox->value ? "yes" : "no", prox->dead_zone ? "yes" : "no",
               PUDLE_HAS(prox, pudle_prox_ops, source) && prox->source ? "yes" : "no");
    if (desc->kind == PUDLE_KIND_LOSS) {
        const pudle_loss_kernel *host = loss->kernels[0];
        printf("  Lipschitz constant: %s   mean of the target: %s   device source: %s\n", loss->lipschitz ? "yes" : "no",
               PUDLE_HAS(host, pudle_loss_kernel, mean) && host->mean ? "yes" : "the prediction itself",
               PUDLE_HAS(loss, pudle_loss_ops, source) && loss->source ? "yes" : "no");
    }
}

static void info_text(const pd_plugin *plugin)
{
    const pudle_desc *d = plugin->desc;
    printf("%s %s  %s  %s", d->name, d->version, pd_kind_name(d->kind), d->license ? d->license : "");
    print_caps(d);
    printf("\n  %s\n", d->summary);
    if (d->math)
        printf("  %s\n", d->math);
    if (d->cite)
        printf("  source: %s\n", d->cite);
    print_derivative(d);
    print_optional(d);
    printf("  file: %s\n  plugin ABI %d.%d, sha256 %s\n\n", plugin->path, plugin->abi_major, plugin->abi_minor, plugin->sha256);
    pudle_option first;
    if (pd_option_at(d, 0, &first))
        pd_option_table_print(stdout, "text", NULL, NULL, d);
    else
        printf("  no options\n");
}

static void info_markdown(const pd_plugin *plugin)
{
    const pudle_desc *d = plugin->desc;
    pudle_option first;
    printf("### %s `%s`\n\n%s.\n\n", pd_kind_name(d->kind), d->name, d->summary);
    if (d->math)
        printf("    %s\n\n", d->math);
    if (d->cite)
        printf("Source: %s\n\n", d->cite);
    if (pd_option_at(d, 0, &first))
        pd_option_table_print(stdout, "md", NULL, NULL, d);
    else
        printf("No options.\n");
}

static int info(pd_context *ctx, const char *name, const char *format)
{
    int found = 0;
    for (int32_t kind = PUDLE_KIND_PROX; kind <= PUDLE_KIND_BACKEND; kind++) {
        const pd_plugin *plugin = NULL;
        if (pd_plugin_find(ctx, kind, name, &plugin))
            continue;
        if (found++)
            putchar('\n');
        if (!strcmp(format, "md"))
            info_markdown(plugin);
        else if (!strcmp(format, "cfg"))
            pd_option_table_print(stdout, "cfg", pd_kind_name(kind), NULL, plugin->desc);
        else
            info_text(plugin);
    }
    if (!found)
        return cli_setup_failed(ctx, PUDLE_ERR_NOTFOUND);
    pd_error_clear(ctx);
    return CLI_DONE;
}

static int by_kind_and_name(const void *a, const void *b)
{
    const pd_plugin_row *x = a, *y = b;
    return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1) : strcmp(x->name, y->name);
}

static int list(pd_context *ctx)
{
    pd_plugin_row *rows = NULL;
    int count = 0;
    const pudle_status s = pd_plugin_scan(ctx, &rows, &count);
    if (s)
        return cli_setup_failed(ctx, s);
    qsort(rows, (size_t)count, sizeof *rows, by_kind_and_name);
    for (int i = 0; i < count; i++) {
        const pd_plugin_row *r = &rows[i];
        if (r->plugin)
            printf("%-8s %-20s %-8s %s%s\n", pd_kind_name(r->kind), r->name, r->plugin->desc->version, r->plugin->desc->summary,
                   r->shadowed ? "  (shadowed by an earlier folder)" : "");
        else
            printf("%-8s %-20s refused  %s: %s\n", pd_kind_name(r->kind), r->name, r->path, r->reason);
    }
    pd_plugin_rows_free(rows, count);
    if (count == 0)
        fprintf(stderr, "%s; `pudle doctor` lists where they are looked for\n", PD_NO_PLUGINS);
    return count ? CLI_DONE : CLI_FAILED;
}

/* The whole option reference, as Markdown: the core's groups, then every plugin. */
static int reference(pd_context *ctx)
{
    pd_plugin_row *rows = NULL;
    int count = 0;
    const pudle_status s = pd_plugin_scan(ctx, &rows, &count);
    if (s)
        return cli_setup_failed(ctx, s);
    qsort(rows, (size_t)count, sizeof *rows, by_kind_and_name);
    printf("# Options\n\nMade by `pudle plugins reference` from the option tables; do not edit.\n\n## Groups of a config\n");
    for (int i = 0; i < PD_SECTIONS; i++) {
        const char *path = pd_section_path(i);
        printf("\n### %s%s%s\n\n", *path ? "`" : "", *path ? path : "Top level", *path ? "`" : "");
        if (pd_section_kind(i))
            printf("`name` chooses the %s plugin, whose own options stand in the same group.\n\n", pd_kind_name(pd_section_kind(i)));
        if (pd_core_table(i)[0].name)
            pd_option_table_print(stdout, "md", NULL, pd_core_table(i), NULL);
    }
    printf("\n## Plugins\n");
    for (int i = 0; i < count; i++)
        if (rows[i].plugin && !rows[i].shadowed) {
            putchar('\n');
            info_markdown(rows[i].plugin);
        }
    pd_plugin_rows_free(rows, count);
    return CLI_DONE;
}

int cli_plugins(pd_context *ctx, const cli_args *args)
{
    const char *what = args->positional[0], *format = args->format ? args->format : "text";
    if (args->dir && strcmp(what, "new") != 0)
        return cli_setup_failed(ctx, pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle plugins %s: --dir belongs to pudle plugins new", what));
    if (!strcmp(what, "check"))
        return cli_plugins_check(ctx, args);
    if (args->only || args->backend || args->timeout > 0 || args->in_process || args->has_seed || args->sets)
        return cli_setup_failed(ctx, pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle plugins %s: --only, --seed, --set, --backend, --timeout and --in-process belong to "
                                             "pudle plugins check", what));
    if (strcmp(format, "text") != 0 && strcmp(format, "md") != 0 && strcmp(format, "cfg") != 0)
        return cli_setup_failed(ctx, pd_fail(ctx, PUDLE_ERR_CONFIG, "--format %s: there are text, md and cfg", format));
    if (!strcmp(what, "list") && args->positionals == 1)
        return list(ctx);
    if (!strcmp(what, "reference") && args->positionals == 1)
        return reference(ctx);
    if (!strcmp(what, "info") && args->positionals == 2)
        return info(ctx, args->positional[1], format);
    if (!strcmp(what, "new") && args->positionals == 3)
        return cli_plugins_new(ctx, args);
    return cli_setup_failed(ctx, pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle plugins: usage: pudle plugins list | info NAME [--format text|md|cfg] | "
                                         "new KIND NAME [--dir DIR] | reference | check FILE.so|NAME"));
}
