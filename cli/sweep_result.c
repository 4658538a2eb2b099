/* What a run has come to: found once over all samples, kept in the run's folder, and good for the checkpoint that it was found at. */
#include "sweep.h"
#include "train/checkpoint.h"
#include "train/order.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const sweep_figure_names[SWEEP_FIGURES] = { "updates", "seconds", "level", "loss", "data_loss", "code_loss", "nonzeros", "relative_error", "dictionary_error", "test_loss",
                                                        "test_data_loss", "test_code_loss", "test_nonzeros", "test_relative_error" };

static const char FILE_NAME[] = "evaluation.txt", MARK[] = "checkpoint=", FAILURE[] = "failure.txt";

static char *file_in(const sweep_run *run, const char *name)
{
    return pd_format("%s/%s", run->path, name);
}

static int64_t number(const pd_safetensors *file, const char *key)
{
    const char *text = pd_safetensors_meta(file, key);
    return text ? strtoll(text, NULL, 10) : -1;
}

/* ----------------------------------------------------------------------- found */

static void forget(double figure[SWEEP_FIGURES])
{
    for (int i = 0; i < SWEEP_FIGURES; i++)
        figure[i] = NAN;
}

static void keep(const cli_evaluation *e, double *from) /* loss, its parts, nonzeros, relative error */
{
    const double list[] = { e->data_loss + e->code_loss, e->data_loss, e->code_loss, e->nonzeros, e->relative_error };
    memcpy(from, list, sizeof list);
}

pudle_status sweep_tests(pd_problem *pb, int64_t *samples)
{
    const pudle_status s = pd_problem_samples(pb, PUDLE_SPLIT_TEST, samples);
    if (s != PUDLE_ERR_NOTFOUND)
        return s;
    pd_error_clear(pb->ctx);
    *samples = 0;
    return PUDLE_OK;
}

static pudle_status measure(pd_problem *pb, double figure[SWEEP_FIGURES], bool *stopped)
{
    cli_evaluation train, test;
    int64_t tests = 0;
    pudle_status s = sweep_tests(pb, &tests);
    pd_network_forward_only(&pb->net);
    if (!s)
        s = cli_evaluate_split(pb, NULL, PUDLE_SPLIT_TRAIN, pb->train.samples, &train);
    *stopped = !s && train.stopped;
    if (s || *stopped)
        return s;
    keep(&train, figure + SWEEP_LOSS);
    figure[SWEEP_DICTIONARY_ERROR] = train.assigned;
    if (!tests)
        return PUDLE_OK;
    s = cli_evaluate_split(pb, NULL, PUDLE_SPLIT_TEST, tests, &test);
    *stopped = !s && test.stopped;
    if (!s)
        keep(&test, figure + SWEEP_TEST_LOSS);
    return s;
}

static pudle_status write_figures(pd_context *ctx, const sweep_run *run, const char *digest, const double figure[SWEEP_FIGURES])
{
    char *path = file_in(run, FILE_NAME);
    pd_atomic *file = NULL;
    pudle_status s = path ? pd_atomic_open(ctx, path, &file) : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s) {
        fprintf(pd_atomic_stream(file), "%s%s\n", MARK, digest);
        for (int i = 0; i < SWEEP_FIGURES; i++)
            if (!isnan(figure[i]))
                fprintf(pd_atomic_stream(file), "%s=%.12g\n", sweep_figure_names[i], figure[i]);
        s = pd_atomic_commit(ctx, file);
    }
    free(path);
    return s;
}

pudle_status sweep_evaluate(pd_context *ctx, const sweep_run *run, double seconds, bool *stopped)
{
    double figure[SWEEP_FIGURES];
    pd_problem problem;
    pd_safetensors *checkpoint = NULL;
    char *path = file_in(run, "checkpoint.safetensors");
    forget(figure);
    pudle_status s = path ? pd_safetensors_read(ctx, path, &checkpoint) : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    free(path);
    if (!s)
        s = cli_model(ctx, run->settings, run->path, NULL, &problem);
    if (!s) {
        s = measure(&problem, figure, stopped);
        pd_problem_close(&problem);
    }
    if (!s && !*stopped) {
        const char *digest = pd_safetensors_meta(checkpoint, "sha256");
        figure[SWEEP_UPDATES] = (double)number(checkpoint, "update");
        figure[SWEEP_SECONDS] = seconds;
        (void)pd_settings_level(run->settings, &figure[SWEEP_LEVEL]);
        s = write_figures(ctx, run, digest ? digest : "", figure);
    }
    pd_safetensors_free(checkpoint);
    return s;
}

/* -------------------------------------------------------------------- read again */

static void read_line(const char *line, double figure[SWEEP_FIGURES])
{
    for (int i = 0; i < SWEEP_FIGURES; i++) {
        const size_t length = strlen(sweep_figure_names[i]);
        if (!strncmp(line, sweep_figure_names[i], length) && line[length] == '=')
            figure[i] = strtod(line + length + 1, NULL);
    }
}

/* False: there is no such file, or it is of another checkpoint. */
static bool read_figures(const sweep_run *run, const char *digest, double figure[SWEEP_FIGURES])
{
    char *path = file_in(run, FILE_NAME), line[256] = "";
    FILE *file = path ? fopen(path, "re") : NULL;
    const size_t mark = sizeof MARK - 1;
    const bool good = file && digest && fgets(line, sizeof line, file) && !strncmp(line, MARK, mark) && !strncmp(line + mark, digest, strlen(digest)) &&
                      line[mark + strlen(digest)] == '\n';
    while (good && fgets(line, sizeof line, file))
        read_line(line, figure);
    if (file)
        fclose(file);
    free(path);
    return good;
}

pudle_status sweep_keep_reason(pd_context *ctx, const sweep_run *run, const char *reason)
{
    char *path = file_in(run, FAILURE);
    pd_atomic *file = NULL;
    pudle_status s = path ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s && !reason) {
        if (unlink(path) && errno != ENOENT && errno != ENOTDIR)
            s = pd_fail(ctx, PUDLE_ERR_IO, "%s: cannot be removed: %s", path, strerror(errno));
    } else if (!s && !access(run->path, F_OK)) {
        s = pd_atomic_open(ctx, path, &file);
        if (!s) {
            fprintf(pd_atomic_stream(file), "%s\n", reason);
            s = pd_atomic_commit(ctx, file);
        }
    }
    free(path);
    return s;
}

/* Has the run been trained since, by `pudle train`? */
static bool overtaken(const sweep_run *run, const char *failure)
{
    char *path = file_in(run, "checkpoint.safetensors");
    struct stat then, now;
    const bool later = path && !stat(failure, &then) && !stat(path, &now) &&
                       (now.st_mtim.tv_sec > then.st_mtim.tv_sec || (now.st_mtim.tv_sec == then.st_mtim.tv_sec && now.st_mtim.tv_nsec > then.st_mtim.tv_nsec));
    free(path);
    return later;
}

/* NULL: there is none. */
static char *read_reason(const sweep_run *run)
{
    char *path = file_in(run, FAILURE), *text = NULL;
    FILE *file = path && !overtaken(run, path) ? fopen(path, "re") : NULL;
    size_t room = 0;
    ssize_t length = file ? getdelim(&text, &room, '\0', file) : -1;
    while (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    if (length <= 0) {
        free(text);
        text = NULL;
    }
    if (file)
        fclose(file);
    free(path);
    return text;
}

void sweep_look(sweep *sw, sweep_run *run)
{
    pd_safetensors *checkpoint = NULL;
    char *path = file_in(run, "checkpoint.safetensors");
    forget(run->figure);
    free(run->reason);
    run->reason = read_reason(run);
    run->state = run->reason ? SWEEP_FAILED : SWEEP_UNFINISHED;
    if (path && !pd_safetensors_read(sw->ctx, path, &checkpoint)) {
        const int64_t samples = number(checkpoint, "samples"), batch = number(checkpoint, "batch"), update = number(checkpoint, "update");
        const int64_t batches = batch > 0 ? (samples + batch - 1) / batch : 0;
        const char *finished = pd_safetensors_meta(checkpoint, "finished");
        char *dictionary = file_in(run, "dictionary.npy"); /* where it is missing, the run makes it again */
        const bool there = dictionary && !access(dictionary, R_OK);
        free(dictionary);
        if (there && finished && !strcmp(finished, "true") && update >= pd_total_updates(&run->settings->train, batches) &&
            read_figures(run, pd_safetensors_meta(checkpoint, "sha256"), run->figure)) {
            run->state = SWEEP_DONE;
            if (isnan(run->figure[SWEEP_LEVEL])) /* figures of an older pudle */
                (void)pd_settings_level(run->settings, &run->figure[SWEEP_LEVEL]);
            free(run->reason); /* of a time before somebody trained it otherwise */
            run->reason = NULL;
        } else {
            run->figure[SWEEP_UPDATES] = (double)update;
        }
    }
    pd_error_clear(sw->ctx); /* no checkpoint, or none that can be read: the run says so when it goes on */
    pd_safetensors_free(checkpoint);
    free(path);
}
