/* What the folder of one run tells: its log, its config, its tables. */
#include "report.h"
#include "report_lines.h"
#include "train/manifest.h"
#include "train/rundir.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_WARNINGS = 40 };

const char *const report_states[] = { "unknown: there is no run.log", "not finished: it was killed, or is only beginning", "being trained now", "finished", "interrupted",
                                      "stopped by an error" };

/* ------------------------------------------------------------------------ run.log */

static bool keep_warning(report_run *run, const char *text)
{
    for (int i = 0; i < run->warnings; i++)
        if (!strcmp(run->warning[i].text, text)) {
            run->warning[i].times++;
            return true;
        }
    if (run->warnings == MOST_WARNINGS) {
        run->more_warnings++;
        return true;
    }
    report_warning *more = realloc(run->warning, ((size_t)run->warnings + 1) * sizeof *more);
    run->warning = more ? more : run->warning;
    char *copy = more ? pd_strdup(text) : NULL;
    if (copy)
        run->warning[run->warnings++] = (report_warning){ copy, 1 };
    return copy != NULL;
}

/* As core/train/run_report.c writes them; the last word on how a run ended counts. */
static bool read_log_line(report_run *run, const char *line)
{
    static const struct { const char *format; int state; } ends[] = {
        { "finished: %" SCNd64 " updates, %lf s", REPORT_FINISHED }, { "interrupted after %" SCNd64 " updates, %lf s", REPORT_INTERRUPTED },
        { "stopped by an error after %" SCNd64 " updates, %lf s", REPORT_STOPPED },
    };
    char when[32], version[32], how[16];
    int64_t samples, batch, updates;
    double seconds;
    if (sscanf(line, "%31s pudle %31s %15s", when, version, how) == 3 && (!strcmp(how, "begins") || !strcmp(how, "resumes"))) {
        run->state = REPORT_UNFINISHED;
        run->resumed += *how == 'r';
        if (!*run->begun)
            memcpy(run->begun, when, sizeof when);
        memcpy(run->version, version, sizeof version);
        return true;
    }
    if (sscanf(line, "%" SCNd64 " samples in batches of %" SCNd64 "; %" SCNd64 " updates in all", &samples, &batch, &updates) == 3)
        run->total = updates;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (sscanf(line, ends[i].format, &updates, &seconds) == 2) {
            run->state = ends[i].state;
            run->updates = updates;
            run->seconds = seconds;
        }
    return !strncmp(line, "warning: ", 9) || !strncmp(line, "error: ", 7) ? keep_warning(run, line) : true;
}

typedef struct log_reader { pd_context *ctx; report_run *run; } log_reader;

static pudle_status visit_log(void *user, int64_t number, char *line)
{
    const log_reader *l = user;
    (void)number;
    return read_log_line(l->run, line) ? PUDLE_OK : report_no_memory(l->ctx);
}

/* Where there is none, or something that is no file, nothing is known. */
static pudle_status read_log(pd_context *ctx, report_run *run)
{
    log_reader l = { ctx, run };
    char *path = pd_format("%s/run.log", run->path);
    FILE *file = path ? report_file(path) : NULL;
    const bool none = errno == 0 || errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
    const pudle_status s = !path ? report_no_memory(ctx) : file ? report_lines(ctx, path, file, visit_log, &l)
                           : none ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    free(path);
    return s;
}

/* Whoever trains holds the lock. */
static bool is_locked(const report_run *run)
{
    char *path = pd_format("%s/.lock", run->path);
    const int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    const bool locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
    if (fd >= 0)
        close(fd);
    free(path);
    return locked;
}

/* ------------------------------------------------------------------------- config */

typedef struct options { report_run *run; bool failed; } options;

static void keep_option(void *user, const char *key, const char *value, const char *same)
{
    options *o = user;
    report_run *run = o->run;
    (void)same;
    report_option *more = realloc(run->option, ((size_t)run->options + 1) * sizeof *more);
    run->option = more ? more : run->option;
    report_option one = { more ? pd_strdup(key) : NULL, more ? pd_strdup(value) : NULL };
    if (more && one.key && one.value) {
        run->option[run->options++] = one;
        return;
    }
    free(one.key);
    free(one.value);
    o->failed = true;
}

/* A text that is not one of a run may be anything, so only its first part is kept. */
static char *read_text(const char *path)
{
    enum { MOST = 65536 };
    FILE *file = report_file(path);
    char *text = file ? pd_alloc(MOST, 1) : NULL;
    if (text)
        text[fread(text, 1, MOST - 1, file)] = '\0';
    if (file)
        fclose(file);
    return text;
}

/* A report needs no plugin, so a config that this machine cannot load is shown as it is. */
static pudle_status read_config(pd_context *ctx, const cli_args *args, report_run *run)
{
    const cli_args none = { .quiet = args->quiet };
    char *path = pd_format("%s/config.cfg", run->path), *directory = NULL;
    struct stat info;
    const bool plain = path && !stat(path, &info) && S_ISREG(info.st_mode); /* a pipe would be waited for */
    options o = { run, false };
    if (!path)
        return report_no_memory(ctx);
    pd_log_level(ctx, PD_LOG_SILENT); /* what it says of a config it has said when that was trained */
    pudle_status s = cli_settings_at(ctx, run->path, &none, &run->settings, &directory);
    pd_log_level(ctx, args->quiet ? PUDLE_LOG_WARNING : PUDLE_LOG_INFO);
    if (s && s != PUDLE_ERR_NOMEM) {
        run->why = pd_strdup(pd_error(ctx));
        run->config = read_text(path);
        pd_error_clear(ctx);
        s = run->why ? PUDLE_OK : report_no_memory(ctx);
    }
    if (!s && run->settings)
        s = pd_settings_each(ctx, run->settings, keep_option, &o);
    if (!s && o.failed)
        s = report_no_memory(ctx);
    if (plain) {
        run->edited = pd_rundir_edited(path);
        pd_rundir_identity(path, run->identity);
    }
    free(directory);
    free(path);
    return s;
}

/* ------------------------------------------------------------------------- tables */

/* Is there a test.csv that somebody else has put there? Training leaves such a file alone, too. */
static bool is_foreign(const char *path)
{
    static const char begin[] = "update,epoch,loss";
    char line[sizeof begin] = "";
    FILE *file = report_file(path);
    const bool foreign = file && (!fgets(line, sizeof line, file) || strcmp(line, begin) != 0);
    if (file)
        fclose(file);
    return foreign;
}

static pudle_status read_tables(pd_context *ctx, int room, report_run *run)
{
    char *metrics = pd_format("%s/metrics.csv", run->path), *test = pd_format("%s/test.csv", run->path);
    pudle_status s = metrics && test ? report_table_read(ctx, metrics, room, &run->metrics) : report_no_memory(ctx);
    if (!s && !run->metrics.rows)
        s = pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: has no rows yet, so there is nothing to report: let the run make an update first", metrics);
    if (!s && is_foreign(test))
        pd_log(ctx, PUDLE_LOG_WARNING, "%s: is no table of pudle's, and is left out", test);
    else if (!s && (!access(test, F_OK) || errno != ENOENT))
        s = report_table_read(ctx, test, room, &run->test);
    free(metrics);
    free(test);
    return s;
}

static pudle_status check_folder(pd_context *ctx, const char *path)
{
    struct stat info;
    bool ours = false;
    if (stat(path, &info))
        return pd_fail(ctx, PUDLE_ERR_NOTFOUND, "%s: %s; give the folder of a run, or of a sweep", path, strerror(errno));
    pudle_status s = S_ISDIR(info.st_mode) ? pd_manifest_ours(ctx, path, &ours)
                                           : pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: is not a folder; give that of a run, as `pudle train` has made it, or of a sweep", path);
    if (!s && !ours)
        s = pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: not a run: it holds no manifest.json of pudle (nor sweep.csv, as the folder of a sweep does)", path);
    return s;
}

pudle_status report_run_open(pd_context *ctx, const cli_args *args, const char *path, int room, report_run *run)
{
    *run = (report_run){ .path = pd_strdup(path), .updates = -1, .total = -1, .seconds = NAN };
    pudle_status s = run->path ? check_folder(ctx, path) : report_no_memory(ctx);
    if (!s)
        s = read_tables(ctx, room, run);
    if (!s)
        s = read_config(ctx, args, run);
    if (!s)
        s = read_log(ctx, run);
    if (s)
        return s;
    if (run->state == REPORT_UNFINISHED || run->state == REPORT_UNKNOWN)
        run->state = is_locked(run) ? REPORT_RUNNING : run->state;
    if (run->state < REPORT_FINISHED) { /* the log does not know yet */
        run->updates = (int64_t)run->metrics.update;
        run->seconds = run->metrics.seconds;
    }
    return PUDLE_OK;
}

void report_run_close(report_run *run)
{
    for (int i = 0; i < run->warnings; i++)
        free(run->warning[i].text);
    for (int i = 0; i < run->options; i++) {
        free(run->option[i].key);
        free(run->option[i].value);
    }
    report_table_close(&run->metrics);
    report_table_close(&run->test);
    pd_settings_destroy(run->settings);
    free(run->warning);
    free(run->option);
    free(run->config);
    free(run->why);
    free(run->label);
    free(run->path);
    *run = (report_run){ .path = NULL };
}
