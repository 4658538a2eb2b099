/* Every plugin that the search directories hold, the good and the refused. */
#include "plugin/parts.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

typedef struct scan {
    pd_context *ctx;
    pd_plugin_row *row;
    int count, room;
    int first; /* row of the directory being read */
} scan;

static void row_free(pd_plugin_row *row)
{
    free(row->name);
    free(row->path);
    free(row->reason);
}

void pd_plugin_rows_free(pd_plugin_row *rows, int count)
{
    for (int i = 0; rows && i < count; i++)
        row_free(&rows[i]);
    free(rows);
}

/* plugin NULL: refused, with the reason. */
static pudle_status add(scan *s, int32_t kind, const char *name, const char *path, const char *reason,
                        const pd_plugin *plugin)
{
    if (s->count == s->room) {
        const int room = s->room ? 2 * s->room : 16;
        pd_plugin_row *larger = realloc(s->row, (size_t)room * sizeof *larger);
        if (!larger)
            return PUDLE_ERR_NOMEM;
        s->row = larger;
        s->room = room;
    }
    pd_plugin_row row = { .kind = kind,
                          .name = pd_strdup(name),
                          .path = pd_strdup(path),
                          .reason = reason ? pd_strdup(reason) : NULL,
                          .plugin = plugin };
    if (!row.name || !row.path || (reason && !row.reason)) {
        row_free(&row);
        return PUDLE_ERR_NOMEM;
    }
    for (int i = 0; i < s->first && !row.shadowed; i++)
        row.shadowed = s->row[i].kind == kind && !strcmp(s->row[i].name, name);
    s->row[s->count++] = row;
    return PUDLE_OK;
}

/* One file, in the folder of a kind or (kind 0) in the directory itself. */
static pudle_status scan_file(scan *s, int32_t kind, const char *name, const char *path)
{
    pd_reason why;
    pd_file *file = NULL;
    if (pd_file_open(s->ctx, path, &why, &file))
        return add(s, kind, name, path, why.text, NULL);
    if (kind && !pd_file_plugin(file, kind, name)) {
        pd_refuse(&why, PUDLE_ERR_CONFIG, "holds a %s and stands in the folder %s: move it",
                  pd_kind_name(file->plugin[0].desc->kind), pd_kind_name(kind));
        return add(s, kind, name, path, why.text, NULL);
    }
    for (int i = 0; i < file->count; i++) {
        const int32_t own = file->plugin[i].desc->kind;
        const pudle_status status = !kind || own == kind ? add(s, own, name, path, NULL, &file->plugin[i]) : PUDLE_OK;
        if (status)
            return status;
    }
    return PUDLE_OK;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_module(const struct dirent *e)
{
    const size_t length = strlen(e->d_name);
    return length > 3 && e->d_name[0] != '.' && !strcmp(e->d_name + length - 3, ".so");
}

static pudle_status scan_folder(scan *s, int32_t kind, const char *folder)
{
    struct dirent **entry = NULL;
    pudle_status status = PUDLE_OK;
    const int n = scandir(folder, &entry, is_module, by_name);
    for (int i = 0; i < n; i++) {
        char *path = pd_format("%s/%s", folder, entry[i]->d_name);
        entry[i]->d_name[strlen(entry[i]->d_name) - 3] = '\0';
        if (!status)
            status = path ? scan_file(s, kind, entry[i]->d_name, path) : PUDLE_ERR_NOMEM;
        free(path);
        free(entry[i]);
    }
    free(entry);
    return status;
}

/* Two different files in one directory for one plugin: neither can be used. */
static pudle_status mark_twice(scan *s)
{
    for (int i = s->first; i < s->count; i++) {
        for (int k = s->first; k < s->count; k++) {
            const pd_plugin_row *a = &s->row[i], *b = &s->row[k];
            if (a->reason || !b->plugin || a->plugin == b->plugin || a->kind != b->kind || strcmp(a->name, b->name))
                continue;
            s->row[i].reason = pd_format("twice in one directory, also as %s: remove one", b->path);
            if (!s->row[i].reason)
                return PUDLE_ERR_NOMEM;
        }
    }
    for (int i = s->first; i < s->count; i++)
        if (s->row[i].reason)
            s->row[i].plugin = NULL;
    return PUDLE_OK;
}

static pudle_status scan_directory(scan *s, const char *dir)
{
    pudle_status status = PUDLE_OK;
    s->first = s->count;
    for (int32_t kind = PUDLE_KIND_PROX; kind <= PUDLE_KIND_BACKEND && !status; kind++) {
        char *folder = pd_format("%s/%s", dir, pd_kind_name(kind));
        status = folder ? scan_folder(s, kind, folder) : PUDLE_ERR_NOMEM;
        free(folder);
    }
    if (!status)
        status = scan_folder(s, 0, dir);
    return status ? status : mark_twice(s);
}

pudle_status pd_plugin_scan(pd_context *ctx, pd_plugin_row **rows, int *count)
{
    scan s = { .ctx = ctx };
    pd_registry *r = NULL;
    pudle_status status = pd_registry_get(ctx, &r);
    if (status)
        return status;
    for (int i = 0; i < r->dirs && !status; i++)
        if (!pd_directory_skipped(r, i))
            status = scan_directory(&s, r->dir[i].path);
    if (status) {
        pd_plugin_rows_free(s.row, s.count);
        return pd_fail(ctx, status, "out of memory");
    }
    *rows = s.row;
    *count = s.count;
    return PUDLE_OK;
}
