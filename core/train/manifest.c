#include "train/manifest.h"
#include "train/fingerprint.h"
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

/* Lines of the backend's description that tell what arithmetic is done, without remarks. */
static void add_machine(json_object *root, const char *text)
{
    json_object *lines = json_object_new_array();
    while (*text) {
        const size_t length = strcspn(text, "\n");
        size_t words = strcspn(text, "(\n");
        while (words && text[words - 1] == ' ')
            words--;
        if (*text != ' ')
            json_object_array_add(lines, json_object_new_string_len(text, (int)words));
        text += length + (text[length] == '\n');
    }
    json_object_object_add(root, "machine", lines);
}

static void add_file(void *user, const char *key, const char *path)
{
    char hex[65];
    if (!pd_fingerprint(path, hex))
        return;
    json_object *row = json_object_new_object();
    json_object_object_add(row, "option", json_object_new_string(key));
    json_object_object_add(row, "file", json_object_new_string(path));
    json_object_object_add(row, "fingerprint", json_object_new_string(hex));
    json_object_array_add(user, row);
}

static pudle_status add_files(pd_rundir *dir, const pd_settings *settings, json_object *root)
{
    json_object *files = json_object_new_array();
    json_object_object_add(root, "files", files);
    return pd_named_files(dir->ctx, settings, add_file, files);
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
    add_machine(root, dir->machine);
    pudle_status s = add_files(dir, settings, root);
    const char *text = s ? NULL : json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
    if (!s)
        s = text ? pd_rundir_write(dir, "manifest.json", text) : pd_fail(dir->ctx, PUDLE_ERR_NOMEM, "out of memory");
    json_object_put(root);
    return s;
}

/* The row of a list whose `key` has a value. */
static json_object *row_of(json_object *list, const char *key, const char *value)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *row = json_object_array_get_idx(list, i);
        if (json_object_is_type(row, json_type_object) && !strcmp(text_of(row, key), value))
            return row;
    }
    return NULL;
}

/* A list of the old manifest and of one made now; false: the old one has none, it is of an older pudle. */
static bool lists_of(json_object *old, json_object *now, const char *key, json_object **then_list, json_object **now_list)
{
    return json_object_object_get_ex(old, key, then_list) && json_object_is_type(*then_list, json_type_array) &&
           json_object_object_get_ex(now, key, now_list);
}

static bool machine_changed(const pd_rundir *dir, json_object *old, json_object *now)
{
    json_object *then_lines, *now_lines;
    if (!lists_of(old, now, "machine", &then_lines, &now_lines))
        return false;
    for (size_t i = 0; i < json_object_array_length(now_lines); i++) {
        json_object *line = json_object_array_get_idx(then_lines, i);
        const char *was = line && json_object_is_type(line, json_type_string) ? json_object_get_string(line) : "(nothing)";
        const char *is = json_object_get_string(json_object_array_get_idx(now_lines, i));
        if (!strcmp(was, is))
            continue;
        pd_log(dir->ctx, PUDLE_LOG_WARNING, "%s: the run was begun with \"%s\" and goes on with \"%s\", which may compute other bits", dir->path, was, is);
        return true;
    }
    return false;
}

static bool files_changed(const pd_rundir *dir, json_object *old, json_object *now)
{
    json_object *then_files, *now_files;
    bool any = false;
    if (!lists_of(old, now, "files", &then_files, &now_files))
        return false;
    for (size_t i = 0; i < json_object_array_length(now_files); i++) {
        json_object *is = json_object_array_get_idx(now_files, i), *was = row_of(then_files, "option", text_of(is, "option"));
        if (!was || !strcmp(text_of(was, "fingerprint"), text_of(is, "fingerprint")))
            continue;
        any = true;
        pd_log(dir->ctx, PUDLE_LOG_WARNING, "%s: %s is not what it was when the run was begun: %s has been changed. The run goes on with what is there now",
               dir->path, text_of(is, "option"), text_of(is, "file"));
    }
    return any;
}

/* Is anything of this run not what the manifest says? */
static bool changed(const pd_rundir *dir, const pd_settings *settings, json_object *root, json_object *now)
{
    json_object *plugins = NULL;
    json_object_object_get_ex(root, "plugins", &plugins);
    const bool machine = machine_changed(dir, root, now), files = files_changed(dir, root, now);
    const bool version = strcmp(text_of(root, "pudle"), PD_VERSION) != 0;
    bool any = machine || files || version;
    if (version)
        pd_log(dir->ctx, PUDLE_LOG_WARNING, "%s: the run was begun by pudle %s and goes on with %s, which may compute other bits", dir->path,
               text_of(root, "pudle"), PD_VERSION);
    for (int i = 0; i < PD_SECTIONS; i++) {
        const pd_section *section = &settings->section[i];
        json_object *row = section->plugin ? row_of(plugins, "group", section->path) : NULL;
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
    json_object *now = json_object_new_object();
    add_machine(now, dir->machine);
    pudle_status s = add_files(dir, settings, now);
    if (!s && changed(dir, settings, root, now)) {
        s = keep(dir, root);
        if (!s)
            s = pd_manifest_write(dir, settings);
    }
    json_object_put(now);
    json_object_put(root);
    return s;
}
