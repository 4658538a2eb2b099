/* A run for every combination of values, each trained by a process of its own as `pudle train --resume` does, so that a call again goes on with what is missing. */
#include "sweep.h"
#include "train/train.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------ in the child */

static int check(const sweep *sw, const sweep_run *run)
{
    pd_problem problem;
    char memory[256];
    int64_t tests;
    pudle_status s = pd_problem_open(sw->ctx, run->settings, NULL, &problem);
    if (!s) {
        s = cli_rehearse(&problem, memory, sizeof memory);
        if (!s)
            s = sweep_tests(&problem, &tests);
        pd_problem_close(&problem);
    }
    return s ? cli_setup_failed(sw->ctx, s) : CLI_DONE;
}

static int train(const sweep *sw, const sweep_run *run)
{
    const pd_train_options options = { run->path, true, false, true, &cli_stop };
    pd_train_report report;
    bool stopped = false;
    pudle_status s = sweep_keep_reason(sw->ctx, run, NULL);
    if (!s)
        s = pd_train(sw->ctx, run->settings, &options, &report);
    if (!s && !report.interrupted)
        s = sweep_evaluate(sw->ctx, run, report.seconds, &stopped);
    return s ? cli_run_failed(sw->ctx, s) : CLI_DONE;
}

/* ----------------------------------------------------------------- in the parent */

static void checked(sweep *sw, sweep_run *run, int code, const char *said)
{
    run->ended = code != 0;
    if (code)
        sweep_say(sw, run->name, said);
    else
        sweep_say_lines(sw, run->name, said); /* warnings */
}

/* Of each combination the first run that is not done: seeds are seeds. */
static pudle_status check_all(sweep *sw)
{
    sweep_run **list = pd_alloc((size_t)sw->wanted + 1, sizeof *list);
    bool *taken = pd_alloc((size_t)sw->combinations + 1, sizeof *taken);
    int count = 0, wrong = 0;
    pudle_status s = list && taken ? PUDLE_OK : pd_fail(sw->ctx, PUDLE_ERR_NOMEM, "out of memory");
    for (int i = 0; i < sw->wanted && !s; i++)
        if (sw->run[i].state != SWEEP_DONE && !taken[sw->run[i].combination]) {
            taken[sw->run[i].combination] = true;
            list[count++] = &sw->run[i];
        }
    if (!s)
        sweep_children(sw, list, count, false, check, checked);
    for (int i = 0; i < count; i++)
        wrong += list[i]->ended;
    free(list);
    free(taken);
    sweep_tell(sw);
    if (!s && !cli_stop && wrong)
        s = pd_fail(sw->ctx, PUDLE_ERR_CONFIG, "%d of %d combinations would not run; nothing was run", wrong, count);
    return s;
}

static void print_progress(const sweep *sw, const sweep_run *run)
{
    int done = 0;
    for (int i = 0; i < sw->wanted; i++)
        done += sw->run[i].state == SWEEP_DONE || sw->run[i].ended;
    printf("%d/%d %s: ", done, sw->wanted, run->name);
    if (run->state == SWEEP_FAILED) {
        printf("failed\n");
    } else {
        printf("loss %.6g", run->figure[SWEEP_LOSS]);
        if (!isnan(run->figure[SWEEP_TEST_LOSS]))
            printf(", of the test samples %.6g", run->figure[SWEEP_TEST_LOSS]);
        printf(", nonzeros %.4g, %.1f s\n", run->figure[SWEEP_NONZEROS], run->figure[SWEEP_SECONDS]);
    }
    fflush(stdout);
}

/* The runs are more than their table, which is written again at the end, and than the reason in a folder. */
static void warn_of_error(const sweep *sw, pudle_status s)
{
    if (!s)
        return;
    pd_log(sw->ctx, PUDLE_LOG_WARNING, "%s", pd_error(sw->ctx));
    pd_error_clear(sw->ctx);
}

static void fail(sweep *sw, sweep_run *run, const char *reason)
{
    run->state = SWEEP_FAILED;
    free(run->reason);
    run->reason = pd_strdup(reason);
    sweep_say(sw, run->name, reason); /* at once, and in the list at the end */
    warn_of_error(sw, sweep_keep_reason(sw->ctx, run, reason));
}

static void trained(sweep *sw, sweep_run *run, int code, const char *said)
{
    sweep_look(sw, run);
    const bool stopped = cli_stop && (!code || !*said);
    run->ended = !stopped;
    if (!stopped && (code || run->state != SWEEP_DONE))
        fail(sw, run, *said ? said : "ended without a word");
    else
        sweep_say_lines(sw, run->name, said); /* warnings */
    sweep_tell(sw);
    if (run->ended && !sw->args->quiet)
        print_progress(sw, run);
    warn_of_error(sw, sweep_write_runs(sw));
}

static void announce(const sweep *sw, int to_do)
{
    printf("%d run%s, %d to do; %" PRId64 " at a time", sw->wanted, sw->wanted == 1 ? "" : "s", to_do, sw->jobs);
    if (sw->threads)
        printf(", each on %" PRId64 " thread%s (backend.threads)", sw->threads, sw->threads == 1 ? "" : "s");
    printf("\n");
    fflush(stdout);
}

static pudle_status train_all(sweep *sw)
{
    sweep_run **list = pd_alloc((size_t)sw->wanted + 1, sizeof *list);
    int count = 0;
    if (!list)
        return pd_fail(sw->ctx, PUDLE_ERR_NOMEM, "out of memory");
    for (int i = 0; i < sw->wanted; i++)
        if (sw->run[i].state != SWEEP_DONE)
            list[count++] = &sw->run[i];
    if (!sw->args->quiet)
        announce(sw, count);
    sweep_children(sw, list, count, true, train, trained);
    free(list);
    return sweep_write_runs(sw);
}

/* Those that failed, with their reasons; 1 when there are any, or some were not done. */
static int verdict(const sweep *sw)
{
    int failed = 0, left = 0;
    for (int i = 0; i < sw->wanted; i++) {
        const sweep_run *run = &sw->run[i];
        failed += run->state == SWEEP_FAILED && run->ended;
        left += run->state != SWEEP_DONE && !run->ended;
    }
    fflush(stdout);
    if (failed)
        fprintf(stderr, "%d of %d runs failed:\n", failed, sw->wanted);
    for (int i = 0; i < sw->wanted; i++)
        if (sw->run[i].state == SWEEP_FAILED && sw->run[i].ended)
            fprintf(stderr, "%s: %s\n", sw->run[i].name, sw->run[i].reason ? sw->run[i].reason : "out of memory for the reason");
    if (left)
        fprintf(stderr, "interrupted: %d of %d runs are not done; the same command goes on with them\n", left, sw->wanted);
    else if (cli_stop && !sw->combined)
        fprintf(stderr, "interrupted: all runs have ended, but the table of combinations is not written; the same command writes it\n");
    return failed || left || (cli_stop && !sw->combined) ? CLI_FAILED : CLI_DONE;
}

/* A folder that was made for nothing goes again. */
static void leave(const sweep *sw)
{
    char *lock = pd_format("%s/.lock", sw->args->out);
    struct stat info;
    char *table = pd_format("%s/sweep.csv", sw->args->out);
    if (sw->lock >= 0 && lock && table && stat(table, &info)) {
        unlink(lock);
        rmdir(sw->args->out); /* where nothing else is in it */
    }
    free(lock);
    free(table);
}

int cli_sweep(pd_context *ctx, const cli_args *args)
{
    sweep sw;
    int code = CLI_DONE;
    pudle_status s = sweep_open(ctx, args, &sw);
    cli_stop_on_signals();
    if (!s)
        s = check_all(&sw);
    if (s || cli_stop) {
        leave(&sw);
        code = s ? cli_setup_failed(ctx, s) : CLI_FAILED;
        if (!s)
            fprintf(stderr, "interrupted before anything was run\n");
        sweep_close(&sw);
        return code;
    }
    s = train_all(&sw);
    sweep_tell_others(&sw);
    if (!s && !cli_stop)
        s = sweep_report(&sw);
    code = verdict(&sw);
    if (s)
        code = cli_run_failed(ctx, s);
    sweep_close(&sw);
    return code;
}
