/* Runs that a sweep finds in its folder: which of the wanted ones they are, and whether they can stand in one table with them. */
#include "sweep_plan.h"
#include "train/fingerprint.h"
#include "train/manifest.h"
#include "train/rundir.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of a run, and its settings; other folders are passed over. */
static pudle_status add_there(sweep *sw, const char *name)
{
    pd_context *ctx = sw->ctx;
    bool ours = false;
    char *path = pd_format("%s/%s", sw->args->out, name), *config = path ? pd_format("%s/config.cfg", path) : NULL, *copy = pd_strdup(name);
    pudle_status s = path && config && copy ? PUDLE_OK : sweep_no_memory(ctx);
    if (!s && !access(config, F_OK))
        s = pd_manifest_ours(ctx, path, &ours);
    pd_settings *settings = NULL;
    if (!s && ours) {
        pd_log_level(ctx, PD_LOG_SILENT);
        const pudle_status read = pd_settings_load(ctx, config, NULL, 0, &settings);
        pd_log_level(ctx, sw->args->quiet ? PUDLE_LOG_WARNING : PUDLE_LOG_INFO);
        if (read) {
            pd_log(ctx, PUDLE_LOG_WARNING, "%s: its config cannot be read, so it is left out of the tables: %s", path, pd_error(ctx));
            pd_error_clear(ctx);
        }
    }
    sweep_run *more = settings ? realloc(sw->run, ((size_t)sw->runs + 1) * sizeof *more) : NULL;
    sw->run = more ? more : sw->run;
    if (more) {
        sw->run[sw->runs++] = (sweep_run){ .name = copy, .path = path, .settings = settings };
        copy = path = NULL;
    } else if (settings) {
        s = sweep_no_memory(ctx);
        pd_settings_destroy(settings);
    }
    free(copy);
    free(path);
    free(config);
    return s;
}

pudle_status sweep_find_there(sweep *sw)
{
    DIR *folder = opendir(sw->args->out);
    pudle_status s = PUDLE_OK;
    if (!folder)
        return errno == ENOENT ? PUDLE_OK : pd_fail(sw->ctx, PUDLE_ERR_CONFIG, "--out %s: cannot be listed: %s", sw->args->out, strerror(errno));
    for (const struct dirent *e; !s && (e = readdir(folder));)
        if (*e->d_name != '.')
            s = add_there(sw, e->d_name);
    closedir(folder);
    return s;
}

pudle_status sweep_take_levels(sweep *sw)
{
    pudle_status s = PUDLE_OK;
    for (int w = 0; w < sw->wanted && !s; w++) {
        s = pd_rundir_take_level(sw->ctx, sw->run[w].path, sw->run[w].settings);
    }
    return s;
}

/* A run of this name that is another, or one that differs in what nobody has varied: the table would compare what is not alike. */
typedef struct difference { sweep *sw; const sweep_run *there, *wanted; bool same_name; int told; } difference;

static void tell_difference(void *user, const char *key, const char *then, const char *now)
{
    difference *d = user;
    const char *multiple[] = { pd_settings_multiple(d->there->settings, key), pd_settings_multiple(d->wanted->settings, key) };
    if (multiple[0] && multiple[1] && !strcmp(multiple[0], multiple[1])) /* a number of its own for each seed */
        return;
    if (d->same_name ? !sweep_counts(d->sw, d->wanted->settings, key)
                     : !then || !now || sweep_is_key(d->sw, key) || !strcmp(key, SWEEP_SEED) || pd_rundir_may_change(d->wanted->settings, key))
        return;
    d->told++;
    if (d->same_name && sweep_is_key(d->sw, key)) {
        pd_fail(d->sw->ctx, PUDLE_ERR_CONFIG, "%s is the folder of %s = %s, and %s would have the same; tell the values apart by letters, digits and . _ + -, or choose another "
                "folder with --out", d->there->path, key, then ? then : "(unset)", now ? now : "(unset)");
        return;
    }
    pd_fail(d->sw->ctx, PUDLE_ERR_CONFIG, "%s is a run with %s = %s, and now it is %s: vary that too, with --vary %s=%s, or choose another folder with --out", d->there->path,
            key, then ? then : "(unset)", now ? now : "(unset)", key, now ? now : "...");
}

static pudle_status compare(sweep *sw, const sweep_run *there, const sweep_run *wanted, bool same_name, bool *differ)
{
    difference d = { sw, there, wanted, same_name, 0 };
    const pudle_status s = pd_settings_compare(sw->ctx, there->settings, wanted->settings, tell_difference, &d);
    *differ = d.told > 0;
    return s ? s : d.told ? PUDLE_ERR_CONFIG : PUDLE_OK;
}

static pudle_status refuse_twins(sweep *sw)
{
    for (int i = 0; i < sw->wanted; i++)
        for (int k = 0; k < i; k++)
            if (!strcmp(sw->run[i].digest, sw->run[k].digest))
                return pd_fail(sw->ctx, PUDLE_ERR_CONFIG, "%s and %s would be the same run: values that are given twice, or mean the same", sw->run[k].name,
                               sw->run[i].name);
            else if (!strcmp(sw->run[i].name, sw->run[k].name))
                return pd_fail(sw->ctx, PUDLE_ERR_CONFIG, "two runs would both have the folder %s; tell their values apart by letters, digits and . _ + -",
                               sw->run[i].name);
    return PUDLE_OK;
}

pudle_status sweep_match(sweep *sw)
{
    bool differ = false;
    pudle_status s = refuse_twins(sw);
    for (int t = sw->wanted; t < sw->runs && !s;) {
        sweep_run *there = &sw->run[t];
        int same = -1, named = -1;
        for (int w = 0; w < sw->wanted; w++) {
            same = strcmp(sw->run[w].digest, there->digest) ? same : w;
            named = strcmp(sw->run[w].name, there->name) ? named : w;
        }
        if (same < 0 && named >= 0)
            s = compare(sw, there, &sw->run[named], true, &differ);
        if (same < 0 && !s && !differ)
            s = compare(sw, there, &sw->run[0], false, &differ);
        if (same < 0) {
            t++;
            continue;
        }
        sweep_run *wanted = &sw->run[same];
        char *name = wanted->name;
        wanted->name = there->name;
        wanted->path = there->path;
        free(name);
        pd_settings_destroy(there->settings);
        memmove(there, there + 1, (size_t)(--sw->runs - t) * sizeof *there);
    }
    for (int w = 0; w < sw->wanted && !s; w++) {
        sweep_run *run = &sw->run[w];
        if (!run->path && !(run->path = pd_format("%s/%s", sw->args->out, run->name)))
            s = sweep_no_memory(sw->ctx);
    }
    return s;
}

/* What files are now, each looked at once however many runs have read it. */
typedef struct known { char *path, hex[65]; } known;
typedef struct look { sweep *sw; const sweep_run *run; known *file; int files; bool failed; } look;

static const known *know(look *l, const char *path)
{
    for (int i = 0; i < l->files; i++)
        if (!strcmp(l->file[i].path, path))
            return &l->file[i];
    known *more = realloc(l->file, ((size_t)l->files + 1) * sizeof *more), *last = more ? &more[l->files] : NULL;
    l->file = more ? more : l->file;
    if (!last || !(last->path = pd_strdup(path)))
        return NULL;
    l->files++;
    if (!pd_fingerprint(path, last->hex))
        *last->hex = '\0';
    return last;
}

static void compare_file(void *user, const char *key, const char *path, const char *was)
{
    look *l = user;
    const known *now = know(l, path);
    l->failed |= !now;
    char *text = now && strcmp(now->hex, was) != 0 ? pd_format("%s is not what it was when the run was begun: %s has been %s. The run is done and stays as it is, beside others "
                                                               "that read what is there now; to learn all from that, choose another folder with --out", key, path, *now->hex ? "changed" : "taken away") : NULL;
    if (text)
        sweep_say(l->sw, l->run->name, text);
    free(text);
}

pudle_status sweep_look_at_files(sweep *sw)
{
    look l = { .sw = sw };
    pudle_status s = PUDLE_OK;
    for (int i = 0; i < sw->runs && !s; i++)
        if (sw->run[i].state == SWEEP_DONE) {
            l.run = &sw->run[i];
            s = pd_manifest_files(sw->ctx, l.run->path, compare_file, &l);
        }
    for (int i = 0; i < l.files; i++)
        free(l.file[i].path);
    free(l.file);
    return s ? s : l.failed ? sweep_no_memory(sw->ctx) : PUDLE_OK;
}

pudle_status sweep_try_folders(sweep *sw)
{
    struct stat info;
    for (int w = 0; w < sw->wanted; w++) {
        sweep_run *run = &sw->run[w];
        const pd_train_options options = { .directory = run->path, .resume = true };
        pd_rundir dir;
        if (stat(run->path, &info))
            continue;
        const pudle_status s = pd_rundir_open(sw->ctx, run->settings, &options, &dir);
        if (s)
            return s;
        pd_rundir_close(&dir);
    }
    return PUDLE_OK;
}
