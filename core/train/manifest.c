#include "train/manifest.h"
#include "tensor/files.h"
#include "tensor/json.h"
#include "train/fingerprint.h"
#include <errno.h>
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
static pudle_status read_manifest(pd_context *ctx, const char *folder, json_object **root)
{
    const char *why;
    size_t at;
    pd_bytes text = { 0 };
    json_object *plugins = NULL;
    char *path = pd_format("%s/manifest.json", folder);
    *root = NULL;
    pudle_status s = path ? PUDLE_OK : PUDLE_ERR_NOMEM;
    if (!s && (!access(path, F_OK) || errno != ENOENT)) {
        s = pd_bytes_map(ctx, path, &text);
        if (s)
            goto cleanup;
        s = pd_json_parse((const char *)text.data, text.size, root, &why, &at);
        if (s == PUDLE_ERR_IO) /* somebody's text */
            s = PUDLE_OK;
    }
    if (s)
        pd_fail(ctx, s, "%s/manifest.json: no memory to read it", folder);
    else if (*root && (!*text_of(*root, "pudle") || !json_object_object_get_ex(*root, "plugins", &plugins) ||
                       !json_object_is_type(plugins, json_type_array))) {
        json_object_put(*root);
        *root = NULL;
    }
cleanup:
    pd_bytes_release(&text);
    free(path);
    return s;
}

pudle_status pd_manifest_ours(pd_context *ctx, const char *folder, bool *ours)
{
    json_object *root;
    const pudle_status s = read_manifest(ctx, folder, &root);
    *ours = root != NULL;
    json_object_put(root);
    return s;
}

/* Lines of the backend's description that tell what arithmetic is done, without remarks. */
static bool add_machine(json_object *root, const char *text)
{
    json_object *lines = pd_json_add(root, "machine", json_object_new_array());
    bool good = lines != NULL;
    while (*text && good) {
        const size_t length = strcspn(text, "\n");
        size_t words = strcspn(text, "(\n");
        while (words && text[words - 1] == ' ')
            words--;
        if (*text != ' ')
            good = pd_json_append(lines, json_object_new_string_len(text, (int)words)) != NULL;
        text += length + (text[length] == '\n');
    }
    return good;
}

typedef struct fingerprints { json_object *list; bool whole; } fingerprints;

static void add_file(void *user, const char *key, const char *path)
{
    fingerprints *f = user;
    char hex[65];
    if (!pd_fingerprint(path, hex))
        return;
    const pd_meta row[] = { { "option", key }, { "file", path }, { "fingerprint", hex } };
    if (!pd_json_texts(pd_json_append(f->list, json_object_new_object()), 3, row))
        f->whole = false;
}

static pudle_status no_memory(const pd_rundir *dir)
{
    return pd_fail(dir->ctx, PUDLE_ERR_NOMEM, "%s/manifest.json: out of memory", dir->path);
}

/* What is compared when a run is resumed: machine and files. */
static pudle_status add_circumstances(pd_rundir *dir, const pd_settings *settings, json_object *root)
{
    if (!add_machine(root, dir->machine))
        return no_memory(dir);
    fingerprints f = { pd_json_add(root, "files", json_object_new_array()), true };
    const pudle_status s = pd_named_files(dir->ctx, settings, add_file, &f);
    return s || (f.list && f.whole) ? s : no_memory(dir);
}

static bool add_plugins(json_object *root, const pd_settings *settings)
{
    json_object *plugins = pd_json_add(root, "plugins", json_object_new_array());
    bool good = plugins != NULL;
    for (int i = 0; i < PD_SECTIONS && good; i++) {
        const pd_plugin *plugin = settings->section[i].plugin;
        if (!plugin)
            continue;
        const pd_meta row[] = {
            { "group", settings->section[i].path }, { "kind", pd_kind_name(plugin->desc->kind) }, { "name", plugin->desc->name },
            { "version", plugin->desc->version }, { "file", plugin->path }, { "sha256", plugin->sha256 },
        };
        good = pd_json_texts(pd_json_append(plugins, json_object_new_object()), (int)(sizeof row / sizeof *row), row);
    }
    return good;
}

static pudle_status write_json(pd_rundir *dir, const char *name, json_object *root)
{
    char *text = pd_json_text(root, true);
    const pudle_status s = text ? pd_rundir_write(dir, name, text) : no_memory(dir);
    free(text);
    return s;
}

pudle_status pd_manifest_write(pd_rundir *dir, const pd_settings *settings)
{
    const pd_meta head[] = { { "pudle", PD_VERSION }, { "config", settings->source } };
    json_object *root = json_object_new_object();
    pudle_status s = pd_json_texts(root, 2, head) && add_plugins(root, settings) ? add_circumstances(dir, settings, root) : no_memory(dir);
    if (!s)
        s = write_json(dir, "manifest.json", root);
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
    bool taken = true;
    for (int n = 1; taken; n++) {
        snprintf(name, sizeof name, "manifest.%d.json", n);
        char *path = pd_rundir_file(dir, name);
        if (!path)
            return no_memory(dir);
        taken = access(path, F_OK) == 0;
        free(path);
    }
    return write_json(dir, name, root);
}

pudle_status pd_manifest_renew(pd_rundir *dir, const pd_settings *settings)
{
    json_object *root;
    pudle_status s = read_manifest(dir->ctx, dir->path, &root);
    if (s || !root)
        return s ? s : pd_manifest_write(dir, settings);
    json_object *now = json_object_new_object();
    s = add_circumstances(dir, settings, now);
    if (!s && changed(dir, settings, root, now)) {
        s = keep(dir, root);
        if (!s)
            s = pd_manifest_write(dir, settings);
    }
    json_object_put(now);
    json_object_put(root);
    return s;
}

/* The list of files of a manifest; NULL: there is none. */
static json_object *files_of(json_object *root)
{
    json_object *list = NULL;
    return root && json_object_object_get_ex(root, "files", &list) && json_object_is_type(list, json_type_array) ? list : NULL;
}

pudle_status pd_manifest_files(pd_context *ctx, const char *folder, pd_manifest_visit visit, void *user)
{
    json_object *root = NULL;
    const pudle_status s = read_manifest(ctx, folder, &root);
    json_object *list = s ? NULL : files_of(root);
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        json_object *row = json_object_array_get_idx(list, i);
        if (json_object_is_type(row, json_type_object))
            visit(user, text_of(row, "option"), text_of(row, "file"), text_of(row, "fingerprint"));
    }
    json_object_put(root);
    return s;
}

typedef struct model_files { pd_context *ctx; const char *folder; json_object *list; } model_files;

static void check_file(void *user, const char *key, const char *path)
{
    const model_files *m = user;
    const bool of_model = !strcmp(key, "model.measurement") || !strncmp(key, "loss.", 5) || !strncmp(key, "inner_loss.", 11) ||
                          (!strncmp(key, "prox.", 5) && strcmp(key, "prox.path") != 0);
    json_object *was = of_model ? row_of(m->list, "option", key) : NULL;
    char hex[65];
    if (was && !strcmp(text_of(was, "file"), path) && pd_fingerprint(path, hex) && strcmp(text_of(was, "fingerprint"), hex) != 0)
        pd_log(m->ctx, PUDLE_LOG_WARNING, "%s: %s is not what it was when the run was begun: %s has been changed, and what was learned goes with what it was", m->folder, key,
               path);
}

pudle_status pd_manifest_check_model(pd_context *ctx, const char *folder, const pd_settings *settings)
{
    json_object *root = NULL;
    pudle_status s = read_manifest(ctx, folder, &root);
    json_object *list = s ? NULL : files_of(root);
    if (list)
        s = pd_named_files(ctx, settings, check_file, &(model_files){ ctx, folder, list });
    json_object_put(root);
    return s;
}
