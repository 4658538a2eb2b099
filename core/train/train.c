/* The loop: batch, gradient, metrics, step, checkpoint. All that it needs to go on later is in pd_progress and the parameters. */
#include "train/train.h"
#include "train/checkpoint.h"
#include "train/dictionary.h"
#include "train/memory.h"
#include "train/optimizer.h"
#include "train/order.h"
#include "train/progress.h"
#include "train/revive.h"
#include "train/rundir.h"
#include "train/schedule.h"
#include "train/stability.h"
#include "train/trial.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Relative change of the codes by one layer more from which on an implicit gradient is not that of converged codes. */
#define FAR 1e-3
enum { MOST_WARNINGS = 3 };

typedef struct run {
    pd_context *ctx;
    const pd_settings *settings;
    const pd_train_options *options;
    pd_problem problem;
    pd_rundir dir;
    pd_progress at;
    pd_progress_line line;
    int64_t samples, batch, batches, total; /* per epoch; updates in all */
    int64_t test_samples;                   /* 0: they are not looked at */
    pd_means first;                         /* of them before update 0, as the trial has found it */
    double test_loss;                       /* as last found; NaN: never */
    int64_t *order;                         /* sample numbers of this epoch */
    double started, before, last_checkpoint; /* before: seconds of earlier processes */
    double last_error;                      /* as last recorded, for the progress line */
    bool warned;                            /* that codes are far from fixed points */
    bool beyond;                            /* warned that the network holds more than its budget */
    int left_out;                           /* updates so far that had badly conditioned supports */
    bool began_at_0[PD_MAX_LEVELS];         /* half of a learned level (dir.level) or more, so that nothing has been learned away */
} run;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double elapsed(const run *r)
{
    return r->before + now() - r->started;
}

static char *path_of(const run *r, const char *name)
{
    return pd_rundir_file(&r->dir, name);
}

static double rate_at(const run *r, double base, int64_t epoch)
{
    const pd_train_params *t = &r->settings->train;
    return pd_rate_at(t->schedule, base, t->schedule_every, t->schedule_factor, t->schedule_final, epoch, t->epochs);
}

/* ---------------------------------------------------------------- the record */

/* All that is queued has come, and the last step was good. */
static pudle_status settle(run *r)
{
    const pudle_status s = r->problem.be->sync(r->problem.exec);
    return s ? s : pd_optimizer_check(&r->problem, r->at.update);
}

static pudle_status checkpoint(run *r)
{
    char *path = path_of(r, "checkpoint.safetensors");
    pudle_status s = settle(r);
    if (!s)
        s = path ? pd_metrics_sync(&r->dir) : pd_fail(r->ctx, PUDLE_ERR_NOMEM, "out of memory");
    r->at.seconds = elapsed(r);
    if (!s)
        s = pd_checkpoint_write(&r->problem, path, &r->at);
    free(path);
    r->last_checkpoint = now();
    return s;
}

static bool checkpoint_due(const run *r)
{
    const int64_t every = r->settings->train.checkpoint_every;
    if (every > 0)
        return r->at.update % every == 0;
    return r->at.position == 0 && now() - r->last_checkpoint > 10.0; /* when does not change what is computed */
}

static pudle_status record(run *r, const pd_pass *pass, int64_t epoch, double rate)
{
    pd_metrics row = { .update = r->at.update, .epoch = epoch, .loss = pass->data_loss + pass->code_loss, .data_loss = pass->data_loss,
                       .code_loss = pass->code_loss, .nonzeros = pass->nonzeros, .rate = rate, .beta = r->problem.net.beta,
                       .step = r->problem.net.alpha[0], .gradient_norm = pass->gradient_norm, .error = NAN, .seconds = elapsed(r),
                       .fixed_point = pass->fixed_point, .ill_conditioned = pass->ill_conditioned };
    for (int i = 0; i < r->dir.levels; i++) {
        int64_t zeros;
        row.level[i] = pd_level_mean(&r->problem.net, r->dir.level[i], &zeros);
    }
    const bool assign = r->settings->train.dictionary_error == PD_ERROR_ASSIGNED;
    double ordered;
    const pudle_status s = pd_problem_dictionary_error(&r->problem, assign ? &ordered : &row.error, assign ? &row.error : NULL);
    if (s)
        return s;
    r->last_error = row.error;
    if (r->at.update == 0)
        r->at.first_error = row.error;
    return pd_metrics_row(&r->dir, &row);
}

/* ------------------------------------------------------------------ the loop */

/* The loss of every batch as it was met, weighted by its samples. */
static void count_loss(run *r, double loss, int64_t samples)
{
    if (r->at.position == 0)
        r->at.epoch_loss = 0;
    r->at.epoch_loss += loss * (double)samples;
    if (r->at.position + 1 < r->batches)
        return;
    r->at.last_loss = r->at.epoch_loss / (double)r->samples;
    if (r->at.epoch == 0)
        r->at.first_loss = r->at.last_loss;
}

/* What an implicit gradient leaves out is never left out silently: all of it is in the log and in metrics.csv, and a terminal gets the
 * first few lines. */
static void warn_implicit(run *r, const pd_pass *pass, int64_t samples)
{
    char text[240];
    if (pass->ill_conditioned) {
        const bool last = ++r->left_out == MOST_WARNINGS;
        snprintf(text, sizeof text, "update %" PRId64 ": %" PRId64 " of %" PRId64 " samples have a badly conditioned support (condition number up to %.3g): the "
                 "%s", r->at.update, pass->ill_conditioned, samples, pass->worst_condition,
                 r->problem.net.refit ? "code is taken as it is" : "implicit part of their gradient is left out");
        if (r->left_out <= MOST_WARNINGS)
            pd_log(r->ctx, PUDLE_LOG_WARNING, "%s%s", text, last ? " (later updates: see run.log and metrics.csv)" : "");
        else
            pd_log_note(r->ctx, "%s", text);
    }
    if (r->warned || !(pass->fixed_point > FAR))
        return;
    r->warned = true;
    pd_log(r->ctx, PUDLE_LOG_WARNING, "update %" PRId64 ": one layer more would change the codes by %.2g of their size, so they have not converged, and the "
           "implicit gradient is an approximation; raise model.layers (column fixed_point of metrics.csv; said once)", r->at.update, pass->fixed_point);
}

/* The backend's own encoder is no part of the plan: its tape grows with the codes. */
static void warn_memory(run *r)
{
    const double most = (double)r->problem.net.memory;
    if (r->beyond || most <= 0) /* without asking, for which a device may have to be waited for */
        return;
    const double held = pd_memory_held(&r->problem);
    if (held <= most)
        return;
    r->beyond = true;
    pd_log(r->ctx, PUDLE_LOG_WARNING, "update %" PRId64 ": the network holds %.1f MiB, more than train.memory = \"%s\": the encoder that the backend '%s' has of its "
           "own knows no firm limit. One operation after the other keeps to it, where the backend has an option for that (backend.unroll = \"none\"; said once)",
           r->at.update, held / 1048576, r->settings->train.memory, r->problem.backend.desc->name);
}

/* Dead atoms become others before the first update of an epoch. A checkpoint in between would let a resumed run replace atoms twice, so there is none; and one
 * of the end of an epoch, or of what was the end of the run, is of atoms as they were learned. */
static bool revival_due(const run *r)
{
    const pd_train_params *how = &r->settings->train;
    return how->revive != PD_REVIVE_NONE && r->at.position == 0 && r->at.epoch > 0 && r->at.epoch % how->revive_every == 0;
}

static pudle_status revive(run *r, bool *stopped)
{
    pd_revival found;
    pudle_status s = settle(r);
    if (!s)
        s = pd_revive(&r->problem, r->at.epoch, r->at.update, r->options->stop, &found);
    *stopped = !s && found.stopped;
    if (s || *stopped)
        return s;
    r->dir.dead = found.dead;
    pd_log_note(r->ctx, "after %" PRId64 " epochs, %" PRId64 " updates: %" PRId64 " of %" PRId64 " atoms dead, as %" PRId64 " samples tell; %" PRId64 " replaced",
                r->at.epoch, r->at.update, found.dead, r->problem.net.map.atoms, found.looked, found.replaced);
    return PUDLE_OK;
}

/* The batch after this one, while the epoch's order says which. */
static void read_ahead(run *r)
{
    const int64_t next = (r->at.position + 1) * r->batch, left = r->samples - next;
    if (left > 0 && r->at.update + 1 < r->total)
        pd_problem_ahead(&r->problem, PUDLE_SPLIT_TRAIN, (uint64_t)r->at.epoch, r->order + next, left < r->batch ? left : r->batch);
}

static pudle_status update(run *r)
{
    const int64_t first = r->at.position * r->batch, epoch = r->at.epoch;
    const int64_t count = r->samples - first < r->batch ? r->samples - first : r->batch;
    const pd_train_params *how = &r->settings->train;
    const double rate = rate_at(r, how->learning_rate, epoch);
    const double threshold_rate = rate_at(r, how->threshold_rate > 0 ? how->threshold_rate : how->learning_rate, epoch);
    pd_batch batch;
    const bool logged = r->at.update % how->log_every == 0 || revival_due(r); /* after a look, so that a resumed run reads there what it has found */
    pd_pass pass = { .gradient = true, .norm = logged };
    pudle_status s = pd_problem_refresh(&r->problem, pd_problem_beta(&r->problem, r->at.update));
    if (!s)
        s = pd_problem_batch(&r->problem, PUDLE_SPLIT_TRAIN, (uint64_t)epoch, r->order + first, count, &batch);
    if (!s)
        read_ahead(r);
    if (!s)
        s = pd_network_run(&r->problem.net, &batch, &pass);
    if (s == PUDLE_ERR_NUMERIC || !s) { /* a dictionary that the last step has spoiled is what to tell of */
        const pudle_status before = s ? settle(r) : pd_optimizer_check(&r->problem, r->at.update);
        s = before ? before : s;
    }
    if (!s)
        s = pd_problem_check_finite(&r->problem, &batch, &pass, r->at.update);
    if (!s)
        s = pd_stability_check(&r->problem, &batch, &pass, r->at.update);
    if (!s)
        warn_memory(r);
    if (!s && r->dir.solves)
        warn_implicit(r, &pass, count);
    if (!s && logged)
        s = record(r, &pass, epoch, rate);
    if (!s)
        s = pd_optimizer_step(&r->problem, rate, threshold_rate, r->at.update + 1);
    if (s)
        return s;
    const double loss = pass.data_loss + pass.code_loss;
    count_loss(r, loss, count);
    r->at.update++;
    pd_progress_show(&r->line, r->at.update, r->total, epoch, loss, r->last_error);
    if (++r->at.position == r->batches) {
        r->at.position = 0;
        r->at.epoch++;
    }
    return PUDLE_OK;
}

/* At the end of an epoch: the dictionary under the epoch's number, written again in the same bits after a resume. */
static pudle_status snapshot(run *r)
{
    const int64_t every = r->settings->train.snapshot_every;
    char name[64];
    if (every < 1 || r->at.position != 0 || r->at.epoch % every)
        return PUDLE_OK;
    snprintf(name, sizeof name, "dictionary_%" PRId64 ".npy", r->at.epoch);
    pudle_status s = settle(r);
    if (s)
        return s;
    char *path = path_of(r, name);
    s = path ? pd_problem_write_dictionary(&r->problem, path, NULL) : pd_fail(r->ctx, PUDLE_ERR_NOMEM, "out of memory");
    free(path);
    return s;
}

static bool stopped(const run *r)
{
    return r->options->stop && *r->options->stop;
}

/* The loss of the test samples, as D is now. A signal ends the look; then there is no row, and a resume looks again. */
static pudle_status test(run *r, const volatile sig_atomic_t *stop)
{
    pd_means means = r->first;
    pudle_status s = settle(r);
    if (!s && (r->at.update > 0 || r->dir.found)) /* else the trial has found it */
        s = pd_problem_means(&r->problem, r->test_samples, r->at.update, stop, &means);
    if (s || means.stopped)
        return s;
    r->test_loss = means.data_loss + means.code_loss;
    return pd_metrics_test(&r->dir, r->at.update, r->at.epoch, &means);
}

/* Before the next update; what is to be said after the last is finish()'s. */
static bool test_due(const run *r)
{
    return r->test_samples > 0 && r->at.position == 0 && r->at.epoch % r->settings->train.test_every == 0 && r->dir.tested != r->at.update;
}

static pudle_status loop(run *r, bool *interrupted)
{
    int64_t shuffled = -1;
    pudle_status s = PUDLE_OK;
    while (r->at.update < r->total && !s) {
        if (test_due(r)) {
            s = test(r, r->options->stop);
            *interrupted = !s && stopped(r);
            if (s || *interrupted)
                return s ? s : checkpoint(r);
        }
        if (revival_due(r)) {
            s = revive(r, interrupted);
            if (s || *interrupted)
                return s ? s : checkpoint(r);
        }
        if (r->at.epoch != shuffled)
            pd_epoch_order(r->settings, shuffled = r->at.epoch, r->samples, r->order);
        s = update(r);
        if (!s)
            s = snapshot(r);
        *interrupted = !s && stopped(r);
        if (*interrupted)
            return checkpoint(r);
        if (!s && r->at.update < r->total && checkpoint_due(r))
            s = checkpoint(r);
    }
    return s;
}

/* The state after the last update: one more row of metrics, forward only. */
static pudle_status closing_row(run *r)
{
    pd_batch batch;
    pd_pass pass = { .gradient = false };
    pudle_status s = pd_problem_refresh(&r->problem, pd_problem_beta(&r->problem, r->at.update));
    if (!s)
        s = pd_problem_first(&r->problem, PUDLE_SPLIT_TRAIN, 0, r->batch, &batch);
    if (!s)
        s = pd_network_run(&r->problem.net, &batch, &pass);
    if (!s)
        s = pd_optimizer_check(&r->problem, r->at.update);
    if (!s)
        s = pd_problem_check_finite(&r->problem, &batch, &pass, r->at.update);
    if (!s)
        s = pd_stability_check(&r->problem, &batch, &pass, r->at.update);
    return s ? s : record(r, &pass, r->at.epoch, NAN);
}

static pudle_status write_results(run *r)
{
    char *npy = path_of(r, "dictionary.npy"), *png = path_of(r, "dictionary.png"), *levels = path_of(r, "thresholds.npz"), *encoder = path_of(r, "encoder.npz");
    pudle_status s = npy && png && levels && encoder ? PUDLE_OK : pd_fail(r->ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s)
        s = pd_problem_write_dictionary(&r->problem, npy, png);
    if (!s)
        s = pd_problem_write_thresholds(&r->problem, levels);
    if (!s)
        s = pd_problem_write_encoder(&r->problem, encoder);
    free(encoder);
    free(npy);
    free(png);
    free(levels);
    return s;
}

/* ---------------------------------------------------------------- begin, end */

static pudle_status plan(run *r)
{
    const pd_train_params *t = &r->settings->train;
    r->samples = r->problem.train.samples;
    r->batch = pd_batch_size(r->settings, r->samples);
    r->batches = (r->samples + r->batch - 1) / r->batch;
    if (t->epochs > 0 && r->batches > INT64_MAX / t->epochs)
        return pd_fail(r->ctx, PUDLE_ERR_CONFIG, "train.epochs = %" PRId64 ": too many", t->epochs);
    r->total = pd_total_updates(t, r->batches);
    pudle_status s = pd_memory_plan(&r->problem);
    if (!s && t->test_every > 0)
        s = pd_problem_tests(&r->problem, &r->test_samples);
    if (s)
        return s;
    r->order = pd_alloc((size_t)r->samples, sizeof *r->order);
    return r->order ? PUDLE_OK : pd_fail(r->ctx, PUDLE_ERR_NOMEM, "out of memory for the order of %" PRId64 " samples", r->samples);
}

/* The counters of a checkpoint mean something only for the batches that they count. */
static pudle_status check_position(const run *r)
{
    const pd_progress *at = &r->at;
    const char *dir = r->dir.path;
    if (at->samples >= 0 && at->samples != r->samples)
        return pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%s/checkpoint.safetensors: the run has %" PRId64 " training samples, and the data now have %" PRId64
                       ": put the old data back, or begin anew with --force", dir, at->samples, r->samples);
    if (at->batch >= 0 && at->batch != r->batch)
        return pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%s/checkpoint.safetensors: the run has batches of %" PRId64 " samples, and now they are of %" PRId64
                       ": resume it as it was, or begin anew with --force", dir, at->batch, r->batch);
    if (at->epoch != at->update / r->batches || at->position != at->update % r->batches)
        return pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%s/checkpoint.safetensors: is at update %" PRId64 ", batch %" PRId64 " of epoch %" PRId64
                       ", which does not fit epochs of %" PRId64 " batches: the data have changed. Put the old data back, or begin anew with --force",
                       dir, at->update, at->position, at->epoch, r->batches);
    return PUDLE_OK;
}

/* More updates after the end: what was done at the end must not be done in the middle. And fewer than were done, of a run that has not ended, are
 * hardly meant: a config that was overruled when the run began would end it here. */
static pudle_status check_extension(run *r)
{
    if (!r->at.finished && r->at.update > r->total)
        return pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%s: the run has done %" PRId64 " updates and is not at its end, and train.epochs and train.updates would now end it "
                       "after %" PRId64 ": to go on as it was begun, pudle train %s --resume; to end it where it is, that with --set train.updates=%" PRId64,
                       r->dir.path, r->at.update, r->total, r->dir.path, r->at.update);
    if (!r->at.finished || r->at.update >= r->total)
        return PUDLE_OK;
    if (r->settings->train.normalize && r->settings->train.normalize_at == PD_NORMALIZE_END)
        return pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%s: the run is finished after %" PRId64 " updates and its atoms were normalised at the end "
                       "(train.normalize_at = \"end\"), so going on would not be one longer run; begin anew with --force, or choose another folder with --out",
                       r->dir.path, r->at.update);
    r->at.finished = false;
    return PUDLE_OK;
}

static pudle_status go_on(run *r)
{
    char *path = path_of(r, "checkpoint.safetensors");
    pudle_status s = path ? pd_checkpoint_read(&r->problem, path, false, &r->at) : pd_fail(r->ctx, PUDLE_ERR_NOMEM, "out of memory");
    free(path);
    if (!s)
        s = check_position(r);
    return s ? s : check_extension(r);
}

/* What the log says first: enough to tell later what computed the numbers. */
static void log_begin(const run *r)
{
    char text[4096] = "", when[32] = "";
    const time_t t = time(NULL);
    struct tm utc;
    if (gmtime_r(&t, &utc))
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    pd_log_note(r->ctx, "%s  pudle %s %s %s", when, PD_VERSION, r->dir.found ? "resumes" : "begins", r->settings->source);
    for (int i = 0; i < PD_SECTIONS; i++) {
        const pd_section *section = &r->settings->section[i];
        if (section->plugin)
            pd_log_note(r->ctx, "%s: %s %s, %s", section->path, section->plugin->desc->name, section->plugin->desc->version, section->plugin->path);
    }
    r->problem.be->describe(r->problem.exec, text, sizeof text);
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        pd_log_note(r->ctx, "  %s", line);
    pd_log_note(r->ctx, "%" PRId64 " samples in batches of %" PRId64 "; %" PRId64 " updates in all", r->samples, r->batch, r->total);
    pd_memory_describe(&r->problem, text, sizeof text);
    pd_log_note(r->ctx, "workspaces: %s", text);
}

static void log_end(const run *r, pudle_status s, const pd_train_report *report)
{
    if (s)
        pd_log_note(r->ctx, "stopped by an error after %" PRId64 " updates, %.1f s", report->updates, report->seconds);
    else if (report->interrupted)
        pd_log_note(r->ctx, "interrupted after %" PRId64 " updates, %.1f s", report->updates, report->seconds);
    else
        pd_log_note(r->ctx, "finished: %" PRId64 " updates, %.1f s; mean loss of the first epoch %.6g, of the last %.6g", report->updates,
                    report->seconds, report->first_loss, report->last_loss);
    pd_log_note(r->ctx, "memory: the network held %.1f MiB, the process at most %.1f MiB", report->network_bytes / 1048576, report->peak_bytes / 1048576);
    if (report->device_bytes > 0)
        pd_log_note(r->ctx, "memory of the device: at most %.1f MiB", report->device_bytes / 1048576);
    if (report->dead >= 0)
        pd_log_note(r->ctx, "atoms that were dead at the last look: %" PRId64 " of %" PRId64, report->dead, report->atoms);
    for (int i = 0; i < report->levels; i++)
        pd_log_note(r->ctx, "learned %s: %.6g in the mean of %" PRId64 ", %" PRId64 " of them 0", report->level[i].name, report->level[i].mean, report->level[i].count,
                    report->level[i].zeros);
    if (!s && !isnan(report->last_error))
        pd_log_note(r->ctx, "dictionary error: %.4f -> %.4f (%.4f after the best order and signs)", report->first_error, report->last_error,
                    report->assigned_error);
}

/* The state to go on from, tried; and the folder, which is this run's from here on. */
static pudle_status prepare(run *r)
{
    char machine[4096] = "";
    pudle_status s = pd_optimizer_init(&r->problem);
    if (!s)
        s = r->dir.found ? go_on(r) : pd_problem_initialise(&r->problem);
    if (!s && !r->dir.found)
        s = pd_try_first_batch(&r->problem, &r->first);
    if (s)
        return s;
    r->problem.be->describe(r->problem.exec, machine, sizeof machine);
    r->dir.machine = machine;
    s = pd_rundir_claim(&r->dir, r->settings);
    r->dir.machine = "";
    return s;
}

/* The levels that are learned. Where they began is known of a run that begins now; of another, what the config says. */
static void find_learned(run *r)
{
    for (int i = 0; i < r->problem.net.levels; i++) {
        const pd_level *level = &r->problem.net.level[i];
        int64_t zeros;
        if (!level->learned)
            continue;
        (void)pd_level_mean(&r->problem.net, level, &zeros);
        r->began_at_0[r->dir.levels] = r->dir.found ? level->initial == 0 && !r->settings->prox.path : 2 * zeros >= level->rows * level->cols;
        r->dir.level[r->dir.levels++] = level;
    }
}

/* Everything that can be refused comes first: only then does the folder become this run's, and old files go. What is said on the way is in the
 * log all the same, behind its first lines. */
static pudle_status begin(run *r)
{
    char *said = NULL;
    size_t length = 0;
    double recorded = 0;
    FILE *memory = pd_text_stream(&said, &length);
    pd_log_file(r->ctx, memory);
    pudle_status s = prepare(r);
    if (s && !r->dir.log)
        pd_log_file(r->ctx, NULL);
    if (memory)
        fclose(memory);
    if (!s) {
        log_begin(r);
        fputs(said ? said : "", r->dir.log);
    }
    free(said);
    if (s)
        return s;
    if (r->dir.found)
        pd_log(r->ctx, PUDLE_LOG_INFO, "resuming at update %" PRId64 " of %" PRId64, r->at.update, r->total);
    find_learned(r);
    /* A row at the end of a run that normalises there, and was stopped on the way, is of atoms that were not. */
    const bool anew = !r->at.finished && r->at.update >= r->total && r->settings->train.normalize_at == PD_NORMALIZE_END;
    s = pd_metrics_open(&r->dir, r->at.update, r->dir.found ? r->at.update - anew : -1, &recorded);
    if (s)
        return s;
    r->before = isfinite(r->at.seconds) && r->at.seconds > 0 ? r->at.seconds : recorded;
    r->started = r->last_checkpoint = now();
    r->at.samples = r->samples;
    r->at.batch = r->batch;
    memcpy(r->at.identity, r->dir.identity, sizeof r->at.identity);
    if (!r->dir.found)
        s = checkpoint(r); /* from here on there is always something to go on from */
    if (!s && r->at.update == 0)
        pd_rundir_clear(&r->dir);
    return s;
}

/* As metrics.csv compares dictionaries, and after the best order and signs in any case. */
static pudle_status final_error(run *r, pd_train_report *report)
{
    const pudle_status s = pd_problem_dictionary_error(&r->problem, &report->last_error, &report->assigned_error);
    if (r->settings->train.dictionary_error == PD_ERROR_ASSIGNED)
        report->last_error = report->assigned_error;
    return s;
}

/* Of what was learned. It does not end early: a row that is not there now would never come. */
static pudle_status last_test(run *r)
{
    return r->test_samples && r->dir.tested != r->at.update ? test(r, NULL) : PUDLE_OK;
}

static pudle_status finish(run *r, pd_train_report *report)
{
    pudle_status s = PUDLE_OK;
    if (r->settings->train.normalize && r->settings->train.normalize_at == PD_NORMALIZE_END)
        s = pd_normalize_atoms(&r->problem);
    if (!s)
        s = last_test(r);
    if (!s)
        s = closing_row(r);
    if (!s)
        s = write_results(r);
    r->at.finished = !s;
    if (!s)
        s = checkpoint(r);
    return s ? s : final_error(r, report);
}

/* A finished run that is resumed: its results are made again from the checkpoint, should they be missing. */
static pudle_status already_done(run *r, pd_train_report *report)
{
    report->nothing_to_do = true;
    pudle_status s = pd_problem_refresh(&r->problem, pd_problem_beta(&r->problem, r->at.update));
    if (!s)
        s = last_test(r);
    if (!s)
        s = closing_row(r);
    if (!s)
        s = pd_metrics_sync(&r->dir);
    if (!s)
        s = write_results(r);
    return s ? s : final_error(r, report);
}

/* What was learned of the levels. A threshold that is learned down to nothing is a run that has gone wrong, and its loss looks better than ever. */
static void report_levels(run *r, pd_train_report *report)
{
    for (int i = 0; i < r->dir.levels; i++) {
        const pd_level *level = r->dir.level[i];
        pd_learned_level *to = &report->level[report->levels++];
        snprintf(to->name, sizeof to->name, "%s", level->name);
        to->count = level->rows * level->cols;
        to->mean = pd_level_mean(&r->problem.net, level, &to->zeros);
        if (2 * to->zeros >= to->count && !r->began_at_0[i] && !(level->bounded && level->min < 0))
            pd_log(r->ctx, PUDLE_LOG_WARNING, "prox.%s has been learned down to 0, %" PRId64 " of %" PRId64 ": if it is a threshold, codes are not sparse any more. A loss "
                   "without a price on the code asks for that; give it one (loss.code_l1, or a loss with a penalty), or fix the level: prox.learn = \"none\"",
                   level->name, to->zeros, to->count);
    }
}

/* The report's losses; of a run without a whole epoch, the mean so far. */
static void report_losses(const run *r, pd_train_report *report)
{
    const int64_t seen = r->at.position * r->batch;
    report->first_loss = r->at.first_loss;
    report->last_loss = r->at.last_loss;
    if (isnan(report->first_loss) && seen > 0)
        report->first_loss = report->last_loss = r->at.epoch_loss / (double)seen;
}

static pudle_status work(run *r, pd_train_report *report)
{
    if (r->at.finished)
        return already_done(r, report);
    const pudle_status s = loop(r, &report->interrupted);
    return s || report->interrupted ? s : finish(r, report);
}

static pudle_status check_limits(pd_context *ctx, const pd_settings *settings)
{
    if (settings->train.epochs > 0 || settings->train.updates > 0)
        return PUDLE_OK;
    return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: train: nothing says how long to train; add to the group train  epochs = 10;  or  updates = 1000;  "
                   "(on the command line --set train.epochs=10)", settings->source);
}

pudle_status pd_train(pd_context *ctx, const pd_settings *settings, const pd_train_options *options, pd_train_report *report)
{
    run r = { .ctx = ctx, .settings = settings, .options = options, .dir = { .lock = -1, .dead = -1 }, .last_error = NAN, .test_loss = NAN,
              .at = { .first_loss = NAN, .last_loss = NAN, .first_error = NAN, .seconds = NAN } };
    *report = (pd_train_report){ .last_error = NAN, .assigned_error = NAN, .dead = -1 };
    pudle_status s = check_limits(ctx, settings);
    if (!s)
        s = pd_problem_open(ctx, settings, NULL, &r.problem);
    if (!s)
        s = plan(&r);
    if (!s)
        s = pd_rundir_open(ctx, settings, options, &r.dir);
    r.started = now();
    if (!s)
        s = begin(&r);
    if (!s) {
        pd_progress_begin(&r.line, ctx, options->quiet, r.at.update);
        s = work(&r, report);
        pd_progress_end(&r.line);
    }
    if (s == PUDLE_ERR_NUMERIC && r.dir.metrics)
        pd_fail(ctx, s, "the last good checkpoint is kept: %s/checkpoint.safetensors", r.dir.path);
    report->updates = r.at.update;
    report->seconds = elapsed(&r);
    report->first_error = r.at.first_error;
    report_losses(&r, report);
    report->test_loss = report->interrupted ? NAN : r.test_loss;
    report->dead = r.dir.dead;
    report->atoms = r.problem.net.map.atoms;
    if (!s && !report->interrupted)
        report_levels(&r, report);
    report->network_bytes = pd_memory_held(&r.problem);
    report->peak_bytes = pd_memory_peak();
    report->device_bytes = r.problem.exec ? pd_memory_device(&r.problem) : 0;
    log_end(&r, s, report);
    free(r.order);
    pd_rundir_close(&r.dir);
    pd_problem_close(&r.problem);
    return s;
}
