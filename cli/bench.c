/* Times of training and of encoding, beside what the machine can do: each config a case, and each case in a process of its own, so that
 * its memory is its own and a crash has a name. */
#include "cli.h"
#include "speed/speed.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const char cli_bench_help[] =
    "\n"
    "Every CONFIG is a case, named after its file. Updates (gradient, optimiser, constraints) and forward passes are timed on the batches\n"
    "that training would take; reading the data is not. docs/bench.md says what the columns mean.\n"
    "\n"
    "  --seconds S   for the updates of a case, and again for its forward passes; 3 by default. At least 5 of each are timed\n"
    "  --runs R      exactly R of each, however long they take\n"
    "  --csv FILE    write a line for each case\n"
    "  --set K=V     for all cases: --set backend.threads=1\n";

static const double usual_seconds = 3;

typedef struct work {
    pd_context *ctx;
    const cli_args *args;
    pd_speed_options options;
    FILE *csv;
    pd_atomic *csv_file;
} work;

/* ----------------------------------------------------------------- the child */

typedef int (*case_fn)(const work *w, const char *path, int pipe);

static int check_case(const work *w, const char *path, int pipe)
{
    pd_settings *settings = NULL;
    (void)pipe;
    pudle_status s = pd_settings_load(w->ctx, path, w->args->set, w->args->sets, &settings);
    if (!s)
        s = pd_speed_check(w->ctx, settings);
    pd_settings_destroy(settings);
    return s ? cli_setup_failed(w->ctx, s) : CLI_DONE;
}

static int time_case(const work *w, const char *path, int pipe)
{
    pd_settings *settings = NULL;
    pd_speed_result result;
    bool began = false;
    pudle_status s = pd_settings_load(w->ctx, path, w->args->set, w->args->sets, &settings);
    if (!s)
        s = pd_speed_run(w->ctx, settings, &w->options, &result, &began);
    pd_settings_destroy(settings);
    if (s)
        return began ? cli_run_failed(w->ctx, s) : cli_setup_failed(w->ctx, s);
    if (write(pipe, &result, sizeof result) == (ssize_t)sizeof result) /* less than a pipe holds: all or nothing */
        return CLI_DONE;
    fprintf(stderr, "pudle bench: %s: no result could be handed over: %s\n", path, strerror(errno));
    return CLI_FAILED;
}

/* Exit code of fn in a process of its own, which the plugins and the threads of no other case have been in. */
static int in_child(const work *w, const char *path, case_fn fn, pd_speed_result *result)
{
    int ends[2], state = 0;
    fflush(NULL);
    const pid_t child = pipe(ends) ? -1 : fork();
    if (child < 0)
        return cli_run_failed(w->ctx, pd_fail(w->ctx, PUDLE_ERR_INTERNAL, "%s: no process for this case: %s", path, strerror(errno)));
    if (child == 0) {
        close(ends[0]);
        const int code = fn(w, path, ends[1]);
        fflush(NULL);
        _exit(code);
    }
    close(ends[1]);
    const ssize_t got = result ? read(ends[0], result, sizeof *result) : 0;
    close(ends[0]);
    while (waitpid(child, &state, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(state)) {
        fprintf(stderr, "%s: the case ended by signal %d (%s)\n", path, WTERMSIG(state), strsignal(WTERMSIG(state)));
        return CLI_FAILED;
    }
    const int code = WEXITSTATUS(state);
    if (code)
        fprintf(stderr, "%s: not measured\n", path);
    return !code && result && got != (ssize_t)sizeof *result ? CLI_FAILED : code;
}

/* ---------------------------------------------------------------- the report */

static void case_name(const char *path, char *name, size_t size)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
    snprintf(name, size, "%.*s", dot && dot > base ? (int)(dot - base) : (int)strlen(base), base);
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Less than this an update cannot take, whatever its program. */
static double bound(const pd_speed_result *r)
{
    return larger(r->work.least_flops / r->ceiling.flops, r->work.least_bytes / r->ceiling.bytes);
}

static void print_header(const work *w)
{
    printf("%-16s %-7s %3s %12s %7s %12s %9s %8s %9s %7s %9s %8s\n", "case", "backend", "thr", "update ms", "spread", "forward ms", "updates/s",
           "density", "GFLOP/s", "share", "bound ms", "peak MB");
    if (w->csv)
        fputs("case,backend,threads,precision,features,atoms,layers,batch,density,update_ms,update_min_ms,update_spread,updates_per_s,"
              "forward_ms,forward_min_ms,forward_spread,gflops,gb_s,peak_mb,gemm_gflops,bandwidth_gb_s,share,bound_ms,device_mb\n", w->csv);
}

static void print_case(const work *w, const char *path, const pd_speed_result *r)
{
    char name[64];
    const double gflops = 1e-9 * r->work.update_flops / r->update.median, most = 1e-9 * r->ceiling.flops, peak = r->peak_bytes / 1048576.0;
    case_name(path, name, sizeof name);
    printf("%-16s %-7s %3d %12.4f %6.1f%% %12.4f %9.2f %8.4f %9.2f %7.3f %9.4f %8.1f\n", name, r->backend, r->ceiling.threads,
           1e3 * r->update.median, 100 * r->update.spread, 1e3 * r->forward.median, 1 / r->update.median, r->density, gflops, gflops / most,
           1e3 * bound(r), r->device_bytes > 0 ? r->device_bytes / 1048576 : peak);
    fflush(stdout);
    if (!w->csv)
        return;
    fprintf(w->csv, "%s,%s,%d,%s,%lld,%lld,%lld,%lld,%.6g,%.6g,%.6g,%.4g,%.6g,", name, r->backend, r->ceiling.threads,
            r->dtype == PUDLE_F64 ? "f64" : "f32", (long long)r->features, (long long)r->atoms, (long long)r->layers, (long long)r->batch,
            r->density, 1e3 * r->update.median, 1e3 * r->update.least, r->update.spread, 1 / r->update.median);
    fprintf(w->csv, "%.6g,%.6g,%.4g,%.6g,%.6g,%.1f,%.6g,%.6g,%.4g,%.6g,%.1f\n", 1e3 * r->forward.median, 1e3 * r->forward.least, r->forward.spread,
            gflops, 1e-9 * r->work.update_bytes / r->update.median, peak, most, 1e-9 * r->ceiling.bytes, gflops / most, 1e3 * bound(r),
            r->device_bytes / 1048576);
}

/* ----------------------------------------------------------------------- all */

static pudle_status check_options(pd_context *ctx, const cli_args *args)
{
    if (args->runs && args->seconds > 0)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--runs and --seconds both say how long to measure: give one of them");
    const cli_file out = { "--csv", args->csv, ".csv" };
    cli_file in[sizeof args->positional / sizeof *args->positional];
    for (int i = 0; i < args->positionals; i++)
        in[i] = (cli_file){ "a config", args->positional[i], NULL };
    return cli_check_outputs(ctx, NULL, &out, 1, in, args->positionals);
}

/* Every mistake of every config, before the first is measured. */
static int check_all(const work *w)
{
    int worst = CLI_DONE;
    for (int i = 0; i < w->args->positionals; i++) {
        const int code = in_child(w, w->args->positional[i], check_case, NULL);
        worst = code == CLI_USAGE || !worst ? code : worst;
    }
    if (worst)
        fprintf(stderr, "nothing was measured\n");
    return worst;
}

static int time_all(const work *w)
{
    int worst = CLI_DONE;
    print_header(w);
    for (int i = 0; i < w->args->positionals; i++) {
        pd_speed_result result;
        const int code = in_child(w, w->args->positional[i], time_case, &result);
        if (code)
            worst = code;
        else
            print_case(w, w->args->positional[i], &result);
    }
    return worst;
}

int cli_bench(pd_context *ctx, const cli_args *args)
{
    work w = { .ctx = ctx, .args = args, .options = { args->seconds > 0 ? args->seconds : usual_seconds, args->runs } };
    pudle_status s = check_options(ctx, args);
    int code = s ? cli_setup_failed(ctx, s) : check_all(&w);
    if (code)
        return code;
    if (args->csv && (s = pd_atomic_open(ctx, args->csv, &w.csv_file)))
        return cli_setup_failed(ctx, s);
    w.csv = w.csv_file ? pd_atomic_stream(w.csv_file) : NULL;
    code = time_all(&w);
    if (w.csv_file && (s = pd_atomic_commit(ctx, w.csv_file))) /* what was measured is kept, though another case failed */
        code = cli_run_failed(ctx, s);
    return code;
}
