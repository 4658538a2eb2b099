/* Before the first update: the plan, a checkpoint to go on from, the claim on the folder. */
#include "train/run.h"
#include "train/optimizer.h"
#include "train/order.h"
#include "train/schedule.h"
#include "train/trial.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

pudle_status pd_run_plan(pd_run *r)
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
static pudle_status check_position(const pd_run *r)
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
static pudle_status check_extension(pd_run *r)
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

static pudle_status go_on(pd_run *r)
{
    const pd_multiple *level = r->settings->multiple;
    if (level && !level->found)
        return pd_fail(r->ctx, PUDLE_ERR_CONFIG, "%s: prox.%s = \"%s\" became a number when the run began, which its config.cfg would tell, and there is none: bring it back, "
                       "or begin anew with --force", r->dir.path, level->level, level->text);
    char *path = pd_run_path(r, "checkpoint.safetensors");
    pudle_status s = path ? pd_checkpoint_read(&r->problem, path, false, &r->at) : pd_fail(r->ctx, PUDLE_ERR_NOMEM, "out of memory");
    free(path);
    if (!s)
        s = check_position(r);
    return s ? s : check_extension(r);
}

/* The state to go on from, tried; and the folder, which is this run's from here on. */
static pudle_status prepare(pd_run *r)
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
static void find_learned(pd_run *r)
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

/* What is said before there is a log is in it all the same, behind its first lines. */
pudle_status pd_run_begin(pd_run *r)
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
        pd_run_log_begin(r);
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
    r->dir.dead = r->at.dead >= 0 ? r->at.dead : r->dir.dead;
    r->before = isfinite(r->at.seconds) && r->at.seconds > 0 ? r->at.seconds : recorded;
    r->started = r->last_checkpoint = pd_run_now();
    r->at.samples = r->samples;
    r->at.batch = r->batch;
    memcpy(r->at.identity, r->dir.identity, sizeof r->at.identity);
    if (!r->dir.found)
        s = pd_run_checkpoint(r); /* from here on there is always something to go on from */
    if (!s && r->at.update == 0)
        pd_rundir_clear(&r->dir);
    if (!s && r->at.update > 0 && !r->at.finished)
        s = pd_run_snapshot(r); /* one of this very state may be missing, where writing it has ended the run; else it is the same again */
    return s;
}
