/* The folder of a run: whose it is, what is in it, and in which order old files give way to new ones. */
#include "train/rundir.h"
#include "train/checkpoint.h"
#include "train/manifest.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

char *pd_rundir_file(const pd_rundir *dir, const char *name)
{
    return pd_format("%s/%s", dir->path, name);
}

/* What cannot be looked at counts as there: whoever reads it will say what is wrong. */
static bool exists(const pd_rundir *dir, const char *name)
{
    char *path = pd_rundir_file(dir, name);
    const bool there = !path || !access(path, F_OK) || errno != ENOENT;
    free(path);
    return there;
}

static void remove_file(const pd_rundir *dir, const char *name)
{
    char *path = pd_rundir_file(dir, name);
    if (path)
        unlink(path);
    free(path);
}

pudle_status pd_rundir_write(pd_rundir *dir, const char *name, const char *text)
{
    char *path = pd_rundir_file(dir, name);
    pd_atomic *file = NULL;
    pudle_status s = path ? pd_atomic_open(dir->ctx, path, &file) : pd_fail(dir->ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s) {
        fputs(text, pd_atomic_stream(file));
        s = pd_atomic_commit(dir->ctx, file);
    }
    free(path);
    return s;
}

/* --------------------------------------------------------------------- names */

enum { OTHER, EVERY_START, PROGRESS, RESULT, OLD_MANIFEST }; /* EVERY_START: nothing is lost with it */

static bool numbered(const char *name, size_t length, const char *before, const char *after)
{
    const size_t b = strlen(before), a = strlen(after);
    return length > a + b && !strncmp(name, before, b) && strspn(name + b, "0123456789") == length - a - b &&
           !strncmp(name + length - a, after, a);
}

static int kind_of(const char *name, size_t length)
{
    static const struct { const char *name; int kind; } names[] = {
        { "manifest.json", EVERY_START }, { "config.cfg", EVERY_START }, { "run.log", EVERY_START }, { "metrics.csv", PROGRESS }, { "test.csv", PROGRESS },
        { "checkpoint.safetensors", PROGRESS }, { "dictionary.npy", RESULT }, { "dictionary.png", RESULT }, { "thresholds.npz", RESULT },
        { "encoder.npz", RESULT }, { "offset.npy", RESULT },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i].name) == length && !strncmp(name, names[i].name, length))
            return names[i].kind;
    return numbered(name, length, "dictionary_", ".npy") ? RESULT : numbered(name, length, "manifest.", ".json") ? OLD_MANIFEST : OTHER;
}

pudle_status pd_rundir_owns(pd_context *ctx, const char *path, bool *owns)
{
    char *real = realpath(path, NULL), *folder = NULL; /* writing follows links */
    const char *at = real ? real : path, *slash = strrchr(at, '/'), *name = slash ? slash + 1 : at;
    pudle_status s = PUDLE_OK;
    *owns = false;
    if (kind_of(name, strlen(name)) != OTHER) {
        folder = slash ? pd_format("%.*s", slash == at ? 1 : (int)(slash - at), at) : pd_strdup(".");
        s = folder ? pd_manifest_ours(ctx, folder, owns) : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    }
    free(folder);
    free(real);
    return s;
}

/* NAME.tmp-PID-N, which a process that was killed while it wrote NAME has left. */
static bool is_torn(const char *name)
{
    static const char mark[] = ".tmp-";
    const char *at = strstr(name, mark);
    if (!at || kind_of(name, (size_t)(at - name)) == OTHER)
        return false;
    const char *number = at + sizeof mark - 1, *dash = number + strspn(number, "0123456789");
    return dash > number && *dash == '-' && dash[1] && !dash[1 + strspn(dash + 1, "0123456789")];
}

/* What the folder holds under our names: their kinds as bits, the first few to tell the user, and one that would be read and is no file: a pipe
 * would be waited for. */
typedef struct content { unsigned kinds; char list[256], no_file[64]; } content;

static pudle_status look(const pd_rundir *dir, content *found)
{
    DIR *folder = opendir(dir->path);
    *found = (content){ 0 };
    for (const struct dirent *e; folder && (errno = 0, e = readdir(folder));) {
        const int kind = kind_of(e->d_name, strlen(e->d_name));
        const size_t used = strlen(found->list);
        if (kind == OTHER)
            continue;
        struct stat info;
        if ((kind == EVERY_START || kind == PROGRESS) && !fstatat(dirfd(folder), e->d_name, &info, 0) && !S_ISREG(info.st_mode))
            snprintf(found->no_file, sizeof found->no_file, "%s", e->d_name);
        found->kinds |= 1u << kind;
        if (used + strlen(e->d_name) + 3 <= sizeof found->list) {
            strcat(found->list, used ? ", " : "");
            strcat(found->list, e->d_name);
        }
    }
    const int why = errno;
    if (folder)
        closedir(folder);
    if (!folder || why)
        return pd_fail(dir->ctx, PUDLE_ERR_IO, "%s: the folder cannot be listed: %s", dir->path, strerror(why));
    if (*found->no_file)
        return pd_fail(dir->ctx, PUDLE_ERR_IO, "%s/%s: is not a file; move it away, or choose another folder with --out", dir->path, found->no_file);
    return PUDLE_OK;
}

static void remove_torn(const pd_rundir *dir)
{
    DIR *folder = opendir(dir->path);
    for (const struct dirent *e; folder && (e = readdir(folder));)
        if (is_torn(e->d_name))
            unlinkat(dirfd(folder), e->d_name, 0);
    if (folder)
        closedir(folder);
}

void pd_rundir_clear(const pd_rundir *dir)
{
    DIR *folder = opendir(dir->path);
    for (const struct dirent *e; folder && (e = readdir(folder));) {
        const int kind = kind_of(e->d_name, strlen(e->d_name));
        if (kind == RESULT || (kind == OLD_MANIFEST && !dir->found))
            unlinkat(dirfd(folder), e->d_name, 0);
    }
    if (folder)
        closedir(folder);
}

/* -------------------------------------------------------------------- folder */

pudle_status pd_make_folders(pd_context *ctx, const char *path)
{
    char *copy = pd_strdup(path);
    if (!copy)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    pudle_status s = PUDLE_OK;
    for (char *p = copy + 1; !s; p++) {
        if (*p && *p != '/')
            continue;
        const char end = *p;
        *p = '\0';
        if (mkdir(copy, 0777) && errno != EEXIST)
            s = pd_fail(ctx, PUDLE_ERR_IO, "%s: cannot make the folder: %s", copy, strerror(errno));
        *p = end;
        if (!end)
            break;
    }
    free(copy);
    return s;
}

/* A process that was just killed still holds its lock while the kernel takes its memory back, so wait a while for it. */
static pudle_status take_lock(pd_rundir *dir, const volatile sig_atomic_t *stop)
{
    enum { TRIES = 100 };
    const struct timespec tenth = { .tv_nsec = 100000000 };
    char *path = pd_rundir_file(dir, ".lock");
    dir->lock = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
    free(path);
    if (dir->lock < 0)
        return pd_fail(dir->ctx, PUDLE_ERR_IO, "%s: cannot write there: %s", dir->path, strerror(errno));
    for (int i = 0; flock(dir->lock, LOCK_EX | LOCK_NB); i++) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return pd_fail(dir->ctx, PUDLE_ERR_IO, "%s/.lock: cannot be locked: %s", dir->path, strerror(errno));
        if (i == TRIES || (stop && *stop))
            return pd_fail(dir->ctx, PUDLE_ERR_IO, "%s: another run is writing there; wait for it to end, or choose another folder with --out",
                           dir->path);
        if (i == 0)
            pd_log(dir->ctx, PUDLE_LOG_INFO, "%s: another run is writing there; waiting up to 10 s for it to end", dir->path);
        nanosleep(&tenth, NULL);
    }
    return PUDLE_OK;
}

/* A folder of the user's own is never written to where that would replace a file. */
static pudle_status refuse_others(pd_rundir *dir)
{
    content there;
    bool ours = true;
    pudle_status s = look(dir, &there);
    if (!s && there.kinds)
        s = pd_manifest_ours(dir->ctx, dir->path, &ours);
    if (s || ours)
        return s;
    return pd_fail(dir->ctx, PUDLE_ERR_CONFIG, "%s is not the folder of a run, it has no manifest.json of pudle, but it holds %s, which a run would "
                   "overwrite; choose another folder with --out, or move what is there away", dir->path, there.list);
}

/* -------------------------------------------------------------------- config */

static const char MARK[] = "\n// identity of the run: ", TEXT_MARK[] = "\n// digest of all lines above: ";

bool pd_rundir_may_change(const pd_settings *settings, const char *key)
{
    static const char *const keys[] = { "train.updates", "train.checkpoint_every", "train.log_every", "train.snapshot_every", "train.test_every", "backend.threads",
                                        "plugin_path", "prox.multiple" };
    if (!strcmp(key, "train.epochs")) /* the cosine spans them, so its rates would not be those of the run so far */
        return settings->train.schedule != PD_SCHEDULE_COSINE;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(key, keys[i]))
            return true;
    return false;
}

pudle_status pd_rundir_take_level(pd_context *ctx, const char *folder, const pd_settings *settings)
{
    const pd_multiple *wanted = settings->multiple;
    pd_settings *old = NULL;
    if (!wanted || wanted->found)
        return PUDLE_OK;
    char *path = pd_format("%s/config.cfg", folder);
    if (!path)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    pudle_status s = PUDLE_OK;
    if (!access(path, R_OK) && !pd_settings_load(ctx, path, NULL, 0, &old)) {
        double value;
        if (old->section[PD_SECTION_PROX].plugin == settings->section[PD_SECTION_PROX].plugin && pd_settings_level(old, &value) &&
            !strcmp(old->multiple->level, wanted->level) && !strcmp(old->multiple->text, wanted->text))
            s = pd_settings_set_level(ctx, settings, value);
    } else {
        pd_error_clear(ctx); /* whoever compares the configs tells of it */
    }
    pd_settings_destroy(old);
    free(path);
    return s;
}

typedef struct comparison { const pd_rundir *dir; const pd_settings *now; int differences; } comparison;

static void report_difference(void *user, const char *key, const char *then, const char *now)
{
    comparison *c = user;
    if (pd_rundir_may_change(c->now, key))
        return;
    c->differences++;
    pd_fail(c->dir->ctx, PUDLE_ERR_CONFIG, "%s holds a run with %s = %s, and now it is %s%s", c->dir->path, key, then ? then : "(unset)", now ? now : "(unset)",
            strcmp(key, "train.epochs") ? "" : ": schedule = \"cosine\" spreads the rates over all epochs, so those of the updates that were made would have been others");
}

static pudle_status same_config(const pd_rundir *dir, const char *path, const pd_settings *settings)
{
    pd_settings *old = NULL;
    pudle_status s = pd_settings_load(dir->ctx, path, NULL, 0, &old);
    if (s)
        return pd_fail(dir->ctx, s, "%s: the config of the run that is there cannot be read, so nothing tells whether it is the same; repair it, or "
                       "choose another folder with --out", path);
    comparison c = { dir, settings, 0 };
    s = pd_settings_compare(dir->ctx, old, settings, report_difference, &c);
    pd_settings_destroy(old);
    if (!s && c.differences)
        s = pd_fail(dir->ctx, PUDLE_ERR_CONFIG, "%s holds a run of another config: resume it with `pudle train %s --resume`, choose another folder "
                    "with --out, or begin anew with --force", dir->path, dir->path);
    if (s == PUDLE_ERR_CONFIG && c.differences && exists(dir, "dictionary.npy"))
        pd_fail(dir->ctx, s, "another run can start from its dictionary: --out NEW%s --set model.dictionary.init=file --set model.dictionary.path=%s/dictionary.npy",
                settings->dictionary.init == PD_INIT_TRUTH ? " --unset model.dictionary.noise"
                : settings->dictionary.init == PD_INIT_PAIRWISE
                    ? " --unset model.dictionary.pairs --unset model.dictionary.samples --unset model.dictionary.sparsity"
                    : "", dir->path);
    return s;
}

typedef struct lines { const pd_settings *settings; FILE *to; } lines;

static void add_line(void *user, const char *key, const char *value, const char *same)
{
    const lines *l = user;
    (void)same;
    if (!pd_rundir_may_change(l->settings, key))
        fprintf(l->to, "%s = %s\n", key, value);
}

static pudle_status make_identity(pd_rundir *dir, const pd_settings *settings)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = pd_text_stream(&text, &size);
    pudle_status s = memory ? PUDLE_OK : pd_fail(dir->ctx, PUDLE_ERR_NOMEM, "out of memory for the resolved config");
    if (!s)
        s = pd_settings_each(dir->ctx, settings, add_line, &(lines){ settings, memory });
    if (memory && fclose(memory) && !s)
        s = pd_fail(dir->ctx, PUDLE_ERR_NOMEM, "out of memory for the resolved config");
    if (!s)
        pd_sha256(text, size, dir->identity);
    free(text);
    return s;
}

/* A digest behind a mark; empty where there is none. Returns where the mark stands. */
static const char *digest_behind(const char *text, const char *mark, char digest[65])
{
    const char *at = text ? strstr(text, mark) : NULL;
    digest[0] = '\0';
    if (at && strspn(at + strlen(mark), "0123456789abcdef") == 64)
        memcpy(digest, at + strlen(mark), 64), digest[64] = '\0';
    return at;
}

/* The identity that a config.cfg ends with; empty where it has none. *edited: its text is not what the run wrote. */
static void read_identity(const char *path, char identity[65], bool *edited)
{
    char *text = NULL, digest[65], now[65];
    size_t room = 0;
    FILE *file = fopen(path, "rbe");
    const bool read = file && getdelim(&text, &room, '\0', file) > 0;
    digest_behind(read ? text : NULL, MARK, identity);
    const char *end = digest_behind(read ? text : NULL, TEXT_MARK, digest);
    if (*digest)
        pd_sha256(text, (size_t)(end + 1 - text), now);
    *edited = *digest && strcmp(digest, now) != 0;
    free(text);
    if (file)
        fclose(file);
}

bool pd_rundir_edited(const char *config)
{
    char identity[65] = "";
    bool edited = false;
    read_identity(config, identity, &edited);
    return edited;
}

void pd_rundir_identity(const char *config, char identity[65])
{
    bool edited = false;
    read_identity(config, identity, &edited);
}

static pudle_status write_config(pd_rundir *dir, const pd_settings *settings)
{
    char *text = NULL, digest[65];
    size_t size = 0;
    FILE *memory = pd_text_stream(&text, &size);
    pudle_status s = memory ? pd_settings_write(dir->ctx, settings, memory) : pd_fail(dir->ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s)
        fprintf(memory, "%s%s\n", MARK, dir->identity);
    if (memory && fclose(memory) && !s)
        s = pd_fail(dir->ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s) {
        pd_sha256(text, size, digest);
        char *whole = pd_format("%s%s%s\n", text, TEXT_MARK + 1, digest);
        s = whole ? pd_rundir_write(dir, "config.cfg", whole) : pd_fail(dir->ctx, PUDLE_ERR_NOMEM, "out of memory");
        free(whole);
    }
    free(text);
    return s;
}

/* ----------------------------------------------------------------- open, claim */

/* Is the checkpoint that is there this run's, or one that --force was about to replace when it was stopped? The identity is
 * carried on as it was, so that a newer pudle with more options knows the checkpoints of an older one. */
static pudle_status identify(pd_rundir *dir, const char *config)
{
    char written[65] = "", stored[65] = "";
    bool edited = false;
    read_identity(config, written, &edited);
    if (edited && strcmp(dir->identity, written) != 0) /* options that may change may be changed there too */
        pd_log(dir->ctx, PUDLE_LOG_WARNING, "%s: the config has been edited since the run wrote it: what follows is not the run that was begun. To change "
               "a run, begin another one", config);
    char *path = pd_rundir_file(dir, "checkpoint.safetensors");
    pudle_status s = path ? PUDLE_OK : pd_fail(dir->ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s && exists(dir, "checkpoint.safetensors")) {
        dir->found = true;
        s = pd_checkpoint_identity(dir->ctx, path, stored);
    }
    free(path);
    if (!s && dir->found && !exists(dir, "config.cfg") && *stored && strcmp(dir->identity, stored) != 0)
        s = pd_fail(dir->ctx, PUDLE_ERR_CONFIG, "%s: its config.cfg is missing, and the checkpoint there is of another config; choose another "
                    "folder with --out, or begin anew with --force", dir->path);
    if (*written && *stored && strcmp(written, stored) != 0) {
        dir->leftover = true;
        dir->found = false;
    }
    if (*written || *stored)
        memcpy(dir->identity, *written ? written : stored, sizeof dir->identity);
    return s;
}

/* Does metrics.csv hold more than its header, as far as can be read? */
static bool has_rows(const pd_rundir *dir)
{
    char *path = pd_rundir_file(dir, "metrics.csv");
    FILE *file = path ? fopen(path, "re") : NULL;
    int ends = file || errno == ENOENT ? 0 : 2;
    for (int c; file && ends < 2 && (c = getc(file)) != EOF;)
        ends += c == '\n';
    if (file)
        fclose(file);
    free(path);
    return ends == 2;
}

static pudle_status examine(pd_rundir *dir, const pd_settings *settings, const pd_train_options *options)
{
    content there;
    pudle_status s = look(dir, &there);
    if (s)
        return s;
    if ((there.kinds & (1u << PROGRESS | 1u << RESULT)) && !options->resume && !options->force)
        return pd_fail(dir->ctx, PUDLE_ERR_CONFIG, "%s already holds a run: --resume continues it, --force begins anew, --out chooses another folder",
                       dir->path);
    if ((dir->tests || options->force) && pd_metrics_foreign_tests(dir))
        return pd_fail(dir->ctx, PUDLE_ERR_CONFIG, "%s/test.csv is of no run, and would be overwritten: move it away, or choose another folder with --out", dir->path);
    remove_torn(dir);
    s = make_identity(dir, settings);
    if (s || !options->resume)
        return s;
    char *config = pd_rundir_file(dir, "config.cfg");
    s = config ? PUDLE_OK : pd_fail(dir->ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s && exists(dir, "config.cfg")) /* not there: a run was stopped at its very start */
        s = same_config(dir, config, settings);
    if (!s)
        s = identify(dir, config);
    free(config);
    if (!s && !dir->found && !dir->leftover && has_rows(dir))
        s = pd_fail(dir->ctx, PUDLE_ERR_CONFIG, "%s: metrics.csv tells of updates, and there is no checkpoint.safetensors to go on from: bring it back, or "
                    "begin anew with --force", dir->path);
    return s;
}

pudle_status pd_rundir_open(pd_context *ctx, const pd_settings *settings, const pd_train_options *options, pd_rundir *dir)
{
    *dir = (pd_rundir){ .ctx = ctx, .path = pd_strdup(options->directory), .lock = -1, .begin_anew = options->force,
                         .implicit = settings->model.gradient == PD_GRADIENT_IMPLICIT,
                         .solves = settings->model.gradient == PD_GRADIENT_IMPLICIT || settings->model.gradient == PD_GRADIENT_REFIT,
                         .tests = settings->train.test_every > 0, .tested = -1, .revives = settings->train.revive != PD_REVIVE_NONE, .dead = -1 };
    pudle_status s = dir->path ? pd_make_folders(ctx, dir->path) : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s)
        s = refuse_others(dir);
    if (!s)
        s = take_lock(dir, options->stop);
    if (!s)
        s = examine(dir, settings, options);
    if (s)
        pd_rundir_close(dir);
    return s;
}

static pudle_status open_log(pd_rundir *dir)
{
    char *path = pd_rundir_file(dir, "run.log");
    dir->log = path ? fopen(path, dir->begin_anew ? "we" : "ae") : NULL;
    free(path);
    if (!dir->log)
        return pd_fail(dir->ctx, PUDLE_ERR_IO, "%s/run.log: %s", dir->path, strerror(errno));
    pd_log_file(dir->ctx, dir->log);
    return PUDLE_OK;
}

pudle_status pd_rundir_claim(pd_rundir *dir, const pd_settings *settings)
{
    pudle_status s = dir->found ? PUDLE_OK : pd_manifest_write(dir, settings);
    if (!s)
        s = open_log(dir);
    if (!s && dir->found)
        s = pd_manifest_renew(dir, settings);
    /* The config before the checkpoint goes: between the two, their identities tell that the checkpoint is not this run's. */
    if (!s)
        s = write_config(dir, settings);
    if (s || dir->found)
        return s;
    if (dir->leftover)
        pd_log(dir->ctx, PUDLE_LOG_WARNING, "%s: the checkpoint there is of a run that --force was replacing: discarded, the run begins anew",
               dir->path);
    remove_file(dir, "metrics.csv"); /* first: rows without a checkpoint tell that somebody has taken that away */
    remove_file(dir, "test.csv");
    remove_file(dir, "checkpoint.safetensors");
    return PUDLE_OK;
}

void pd_rundir_close(pd_rundir *dir)
{
    if (dir->log) {
        pd_log_file(dir->ctx, NULL);
        fclose(dir->log);
    }
    if (dir->metrics)
        fclose(dir->metrics);
    if (dir->test)
        fclose(dir->test);
    if (dir->lock >= 0)
        close(dir->lock);
    free(dir->path);
    *dir = (pd_rundir){ .lock = -1 };
}
