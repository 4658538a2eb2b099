/* Runs, or a sweep, as one page to look at, keep and send: curves, atoms, settings. */
#include "report.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* A page stays small whatever the number of runs. */
enum { FEW = 4, ROOM_OF_FEW = 600, ROOM_OF_MANY = 200 };

pudle_status report_no_memory(pd_context *ctx)
{
    return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the report");
}

/* ------------------------------------------------------------------------- names */

/* Folders of one name are told apart by their paths. */
static pudle_status name_runs(report *r)
{
    for (int i = 0; i < r->runs; i++) {
        report_run *run = &r->run[i];
        if (run->label)
            continue;
        char *real = realpath(run->path, NULL), *slash = real ? strrchr(real, '/') : NULL;
        run->label = pd_strdup(slash && slash[1] ? slash + 1 : run->path);
        free(real);
        if (!run->label)
            return report_no_memory(r->ctx);
    }
    bool *taken = pd_alloc((size_t)r->runs + 1, sizeof *taken);
    pudle_status s = taken ? PUDLE_OK : report_no_memory(r->ctx);
    for (int i = 0; i < r->runs && !s; i++)
        for (int k = 0; k < r->runs; k++)
            taken[i] |= k != i && !r->run[i].of_sweep && !strcmp(r->run[i].label, r->run[k].label);
    for (int i = 0; i < r->runs && !s; i++) {
        if (!taken[i])
            continue;
        free(r->run[i].label);
        r->run[i].label = pd_strdup(r->run[i].path);
        s = r->run[i].label ? PUDLE_OK : report_no_memory(r->ctx);
    }
    free(taken);
    return s;
}

/* -------------------------------------------------------------------------- runs */

static pudle_status add_run(report *r, const cli_args *args, const char *path, int room)
{
    report_run *more = realloc(r->run, ((size_t)r->runs + 1) * sizeof *more);
    if (!more)
        return report_no_memory(r->ctx);
    r->run = more;
    return report_run_open(r->ctx, args, path, room, &r->run[r->runs++]);
}

/* Runs that failed, or have not begun, stand in the table alone. */
static pudle_status add_sweep_run(report *r, const cli_args *args, report_sweep *w, int row, int style, bool first)
{
    char *path = pd_format("%s/%s", w->path, report_cell(&w->runs, row, "run"));
    pudle_status s = path ? add_run(r, args, path, ROOM_OF_MANY) : report_no_memory(r->ctx);
    free(path);
    if (s == PUDLE_ERR_NOMEM)
        return s;
    report_run *run = &r->run[r->runs - 1];
    if (s) {
        pd_log(r->ctx, PUDLE_LOG_WARNING, "left out of the curves: %s", pd_error(r->ctx));
        pd_error_clear(r->ctx);
        report_run_close(run);
        r->runs--;
        return PUDLE_OK;
    }
    run->of_sweep = true;
    run->style = style;
    run->first = first;
    run->label = report_sweep_label(w, row);
    return run->label ? PUDLE_OK : report_no_memory(r->ctx);
}

static pudle_status add_sweep(report *r, const cli_args *args, const char *path)
{
    bool seen[PLOT_COLOURS] = { false };
    report_sweep *w = &r->sweep;
    pudle_status s = report_sweep_open(r->ctx, path, args->quiet, w);
    for (int i = 0; !s && i < w->drawn; i++) {
        const int row = w->rank[i], style = w->combination[row], before = r->runs;
        if (style >= PLOT_COLOURS)
            continue;
        s = add_sweep_run(r, args, w, row, style, !seen[style]);
        seen[style] |= r->runs > before;
    }
    if (!s && !r->runs)
        s = pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%s: none of its runs can be shown", path);
    return s;
}

/* A sweep is shown by itself: its colours are those of its combinations. */
static pudle_status open_all(report *r, const cli_args *args)
{
    pudle_status s = PUDLE_OK;
    bool sweep_there = false;
    for (int i = 0; i < args->positionals; i++) {
        s = report_sweep_is(r->ctx, args->positional[i], &sweep_there);
        if (s)
            return s;
        if (sweep_there && args->positionals > 1)
            return pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%s: is the folder of a sweep, which is reported by itself; beside others, give its runs: %s/...", args->positional[i],
                           args->positional[i]);
        for (int k = 0; k < i; k++)
            if (cli_same_file(args->positional[i], args->positional[k]))
                return pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%s: is given twice", args->positional[i]);
    }
    if (args->positionals > PLOT_STYLES)
        return pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%d runs: no more than %d can be told apart in a picture; make several reports", args->positionals, PLOT_STYLES);
    if (sweep_there)
        return add_sweep(r, args, args->positional[0]);
    for (int i = 0; i < args->positionals && !s; i++) {
        s = add_run(r, args, args->positional[i], args->positionals <= FEW ? ROOM_OF_FEW : ROOM_OF_MANY);
        if (!s) {
            r->run[i].style = i;
            r->run[i].first = true;
        }
    }
    return s;
}

static void close_all(report *r)
{
    for (int i = 0; i < r->runs; i++)
        report_run_close(&r->run[i]);
    report_sweep_close(&r->sweep);
    free(r->run);
}

/* ---------------------------------------------------------------------- the file */

/* Whatever has another name is nobody's page. */
static pudle_status check_name(const report *r, const char *path)
{
    static const char *const endings[] = { ".html", ".htm", ".xhtml" };
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (!strcasecmp(dot, endings[i]))
            return PUDLE_OK;
    return pd_fail(r->ctx, PUDLE_ERR_CONFIG, "--out %s: a report is a page for a browser; give it a name that ends in .html", path);
}

static pudle_status check_output(const report *r, const cli_args *args)
{
    const char *const folder = r->sweep.path;
    char *runs = folder ? pd_format("%s/%s", folder, SWEEP_RUNS) : NULL, *combinations = folder ? pd_format("%s/%s", folder, SWEEP_COMBINATIONS) : NULL;
    const cli_file out = { "--out", args->out, ".html" }, in[] = { { SWEEP_RUNS, runs, NULL }, { SWEEP_COMBINATIONS, combinations, NULL } };
    pudle_status s = folder && (!runs || !combinations) ? report_no_memory(r->ctx) : cli_check_outputs(r->ctx, NULL, &out, 1, in, 2);
    free(runs);
    free(combinations);
    for (int i = 0; i < r->runs && !s; i++)
        if (r->run[i].settings)
            s = cli_check_outputs(r->ctx, r->run[i].settings, &out, 1, NULL, 0);
    return s;
}

static pudle_status write_page(const report *r, const char *path)
{
    struct stat info;
    pd_atomic *file = NULL;
    pudle_status s = pd_atomic_open(r->ctx, path, &file);
    if (s)
        return s;
    s = report_page(pd_atomic_stream(file), r);
    if (s) {
        pd_atomic_abandon(file);
        return s;
    }
    s = pd_atomic_commit(r->ctx, file);
    if (!s)
        printf("report: %s (%d run%s, %.0f kB)\n", path, r->runs, r->runs == 1 ? "" : "s", stat(path, &info) ? 0 : (double)info.st_size / 1000);
    return s;
}

int cli_report(pd_context *ctx, const cli_args *args)
{
    report r = { .ctx = ctx };
    pudle_status s = args->out ? check_output(&r, args) : pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle report: say where to write with --out FILE.html");
    if (!s)
        s = check_name(&r, args->out);
    if (!s)
        s = open_all(&r, args);
    if (!s)
        s = name_runs(&r);
    if (!s)
        s = check_output(&r, args);
    int code = s ? cli_setup_failed(ctx, s) : CLI_DONE;
    if (!s && (s = write_page(&r, args->out)))
        code = cli_run_failed(ctx, s);
    close_all(&r);
    return code;
}
