/* From a file to settings: read, lint, parse, collect, fill, check, and one last line that counts. */
#include "config/parts.h"

#include <libconfig.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

bool pd_loader_starved(const pd_loader *loader)
{
    return loader->no_memory || pd_arena_failed(loader->arena);
}

void pd_report(pd_loader *loader, const char *where, const char *format, ...)
{
    char text[1024];
    va_list args;
    if (pd_loader_starved(loader))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    loader->errors++;
    pd_fail(loader->ctx, PUDLE_ERR_CONFIG, "%s: %s", where, text);
}

static pd_settings *settings_create(void)
{
    pd_settings *settings = calloc(1, sizeof *settings);
    if (!settings)
        return NULL;
    void *const params[PD_SECTIONS] = {
        [PD_SECTION_GLOBAL] = &settings->global, [PD_SECTION_DATA] = &settings->data, [PD_SECTION_MODEL] = &settings->model, [PD_SECTION_PROX] = &settings->prox,
        [PD_SECTION_DICTIONARY] = &settings->dictionary, [PD_SECTION_LOSS] = &settings->loss,
        [PD_SECTION_TRAIN] = &settings->train,
    };
    settings->arena = pd_arena_create();
    if (!settings->arena) {
        free(settings);
        return NULL;
    }
    for (int i = 0; i < PD_SECTIONS; i++)
        settings->section[i] = (pd_section){
            .path = pd_section_path(i), .kind = pd_section_kind(i), .table = pd_core_table(i), .params = params[i]
        };
    return settings;
}

void pd_settings_destroy(pd_settings *settings)
{
    if (!settings)
        return;
    pd_arena_destroy(settings->arena);
    free(settings->source);
    free(settings);
}

/* libconfig's words for a mistake, with what to do about it where it says little. */
static void report_syntax(pd_loader *loader, const config_t *config, const pd_source *source)
{
    const char *text = config_error_text(config) ? config_error_text(config) : "syntax error", *remedy = "";
    const pd_origin *from = pd_source_origin(source, config_error_line(config));
    const char *where = pd_arena_format(loader->arena, "%s:%d", from->file, from->line);
    if (strstr(text, "duplicate"))
        remedy = ": a key or group is given twice; keep one of them, or merge the groups";
    else if (strstr(text, "mismatched"))
        remedy = ": the items of [ ] must be of one type; write  [1.0, 2.5]";
    else if (strstr(text, "syntax"))
        remedy = ": options look like  key = value;  and groups like  train: { ... };  look here and in the line before for "
                 "a missing ; or } or quote";
    pd_report(loader, where ? where : loader->path, "%s%s", text, remedy);
}

static void parse(pd_loader *loader, const pd_source *source, const char *const *overrides, int count)
{
    config_t config;
    pd_lint lint = { 0 };
    pd_lint_source(loader, source, &lint);
    config_init(&config);
    if (lint.broken) {
        /* reported */
    } else if (config_read_string(&config, source->text ? source->text : "")) {
        pd_collect_file(loader, config_root_setting(&config), source, &lint);
        pd_collect_overrides(loader, overrides, count);
        pd_fill(loader);
        if (!pd_loader_starved(loader))
            pd_rules(loader);
    } else {
        report_syntax(loader, &config, source);
    }
    config_destroy(&config);
    pd_lint_free(&lint);
}

pudle_status pd_settings_load_with(pd_context *ctx, const char *path, const char *const *overrides, int count,
                                   pd_finder find, pd_settings **out)
{
    pd_settings *settings = settings_create();
    if (!settings)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "%s: out of memory", path);
    pd_loader loader = { .ctx = ctx, .settings = settings, .arena = settings->arena, .find = find, .path = path };
    pd_source source;
    pudle_status s = pd_source_read(&loader, path, &source);
    settings->source = pd_strdup(path);
    loader.no_memory |= !settings->source;
    if (!s)
        parse(&loader, &source, overrides, count);
    pd_source_free(&source);
    if (pd_loader_starved(&loader)) {
        s = pd_fail(ctx, PUDLE_ERR_NOMEM, "%s: out of memory", path);
    } else if (loader.errors) {
        pd_fail(ctx, PUDLE_ERR_CONFIG, "%d error%s, nothing was run", loader.errors, loader.errors == 1 ? "" : "s");
        s = s ? s : PUDLE_ERR_CONFIG;
    }
    if (s)
        pd_settings_destroy(settings);
    else
        *out = settings;
    return s;
}

pudle_status pd_settings_load(pd_context *ctx, const char *path, const char *const *overrides, int count, pd_settings **out)
{
    return pd_settings_load_with(ctx, path, overrides, count, pd_plugin_find, out);
}
