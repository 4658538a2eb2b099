#include "train/manifest.h"
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *text_of(json_object *object, const char *key)
{
    json_object *value = NULL;
    if (!json_object_object_get_ex(object, key, &value) || !json_object_is_type(value, json_type_string))
        return "";
    return json_object_get_string(value);
}

/* The manifest in a folder; NULL where there is none, or one that is not pudle's. The caller puts it back. */
static json_object *read_manifest(const char *folder)
{
    char *path = pd_format("%s/manifest.json", folder);
    json_object *root = path && access(path, R_OK) == 0 ? json_object_from_file(path) : NULL, *plugins = NULL;
    free(path);
    if (root && (!json_object_is_type(root, json_type_object) || !*text_of(root, "pudle") ||
                 !json_object_object_get_ex(root, "plugins", &plugins) || !json_object_is_type(plugins, json_type_array))) {
        json_object_put(root);
        root = NULL;
    }
    return root;
}

bool pd_manifest_ours(const char *folder)
{
    json_object *root = read_manifest(folder);
    json_object_put(root);
    return root != NULL;
}

pudle_status pd_manifest_write(pd_rundir *dir, const pd_settings *settings)
{
    json_object *root = json_object_new_object(), *plugins = json_object_new_array();
    json_object_object_add(root, "pudle", json_object_new_string(PD_VERSION));
    json_object_object_add(root, "config", json_object_new_string(settings->source));
    json_object_object_add(root, "plugins", plugins);
    for (int i = 0; i < PD_SECTIONS; i++) {
        const pd_plugin *plugin = settings->section[i].plugin;
        if (!plugin)
            continue;
        json_object *row = json_object_new_object();
        json_object_object_add(row, "group", json_object_new_string(settings->section[i].path));
        json_object_object_add(row, "kind", json_object_new_string(pd_kind_name(plugin->desc->kind)));
        json_object_object_add(row, "name", json_object_new_string(plugin->desc->name));
        json_object_object_add(row, "version", json_object_new_string(plugin->desc->version));
        json_object_object_add(row, "file", json_object_new_string(plugin->path));
        json_object_object_add(row, "sha256", json_object_new_string(plugin->sha256));
        json_object_array_add(plugins, row);
    }
    const char *text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
    const pudle_status s = text ? pd_rundir_write(dir, "manifest.json", text) : pd_fail(dir->ctx, PUDLE_ERR_NOMEM, "out of memory");
    json_object_put(root);
    return s;
}

static json_object *row_of(json_object *plugins, const char *group)
{
    for (size_t i = 0; i < json_object_array_length(plugins); i++) {
        json_object *row = json_object_array_get_idx(plugins, i);
        if (json_object_is_type(row, json_type_object) && !strcmp(text_of(row, "group"), group))
            return row;
    }
    return NULL;
}

/* Is anything of this run not what the manifest says? */
static bool changed(const pd_rundir *dir, const pd_settings *settings, json_object *root)
{
    json_object *plugins = NULL;
    json_object_object_get_ex(root, "plugins", &plugins);
    bool any = strcmp(text_of(root, "pudle"), PD_VERSION) != 0;
    if (any)
        pd_log(dir->ctx, PUDLE_LOG_WARNING, "%s: the run was begun by pudle %s and goes on with %s, which may compute other bits", dir->path,
               text_of(root, "pudle"), PD_VERSION);
    for (int i = 0; i < PD_SECTIONS; i++) {
        const pd_section *section = &settings->section[i];
        json_object *row = section->plugin ? row_of(plugins, section->path) : NULL;
        if (!row || !strcmp(text_of(row, "sha256"), section->plugin->sha256))
            continue;
        any = true;
        pd_log(dir->ctx, PUDLE_LOG_WARNING,
               "%s: the plugin %s \"%s\" is not the file the run was begun with: then version %s (sha256 %.12s, %s), now version %s "
               "(sha256 %.12s, %s). It may compute other bits than an uninterrupted run",
               dir->path, pd_kind_name(section->plugin->desc->kind), section->plugin->desc->name, text_of(row, "version"),
               text_of(row, "sha256"), text_of(row, "file"), section->plugin->desc->version, section->plugin->sha256, section->plugin->path);
    }
    return any;
}

/* manifest.N.json with the first number that is free. */
static pudle_status keep(pd_rundir *dir, json_object *root)
{
    char name[40];
    for (int n = 1;; n++) {
        snprintf(name, sizeof name, "manifest.%d.json", n);
        char *path = pd_rundir_file(dir, name);
        const bool taken = path && access(path, F_OK) == 0;
        free(path);
        if (!taken)
            break;
    }
    const char *text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
    return text ? pd_rundir_write(dir, name, text) : pd_fail(dir->ctx, PUDLE_ERR_NOMEM, "out of memory");
}

pudle_status pd_manifest_renew(pd_rundir *dir, const pd_settings *settings)
{
    json_object *root = read_manifest(dir->path);
    if (!root)
        return pd_manifest_write(dir, settings);
    pudle_status s = PUDLE_OK;
    if (changed(dir, settings, root)) {
        s = keep(dir, root);
        if (!s)
            s = pd_manifest_write(dir, settings);
    }
    json_object_put(root);
    return s;
}
