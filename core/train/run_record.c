/* What a run writes on its way. */
#include "train/run.h"
#include "train/optimizer.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

double pd_run_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double pd_run_elapsed(const pd_run *r)
{
    return r->before + pd_run_now() - r->started;
}

char *pd_run_path(const pd_run *r, const char *name)
{
    return pd_rundir_file(&r->dir, name);
}

pudle_status pd_run_settle(pd_run *r)
{
    const pudle_status s = r->problem.be->sync(r->problem.exec);
    return s ? s : pd_optimizer_check(&r->problem, r->at.update);
}

static pudle_status write_checkpoint(pd_run *r)
{
    char *path = pd_run_path(r, "checkpoint.safetensors");
    r->at.seconds = pd_run_elapsed(r);
    r->at.dead = r->dir.dead;
    const pudle_status s = path ? pd_checkpoint_write(&r->problem, path, &r->at) : pd_fail(r->ctx, PUDLE_ERR_NOMEM, "out of memory");
    free(path);
    r->last_checkpoint = pd_run_now();
    return s;
}

pudle_status pd_run_checkpoint(pd_run *r)
{
    pudle_status s = pd_run_settle(r);
    if (!s)
        s = pd_metrics_sync(&r->dir);
    return s ? s : write_checkpoint(r);
}

void pd_run_rescue(pd_run *r, pudle_status failed)
{
    r->at.finished = false;
    if (!r->revived && !pd_run_settle(r) && !write_checkpoint(r))
        pd_fail(r->ctx, failed, "the %" PRId64 " updates that were made are in %s/checkpoint.safetensors (rows of its tables, and snapshots, that could not be written will be missing); when this is mended, go on with: pudle train %s --resume",
                r->at.update, r->dir.path, r->dir.path);
    else
        pd_fail(r->ctx, failed, "what came after the last checkpoint, if there is one, is lost; when this is mended, go on from there with `pudle train %s --resume`, or begin "
                "anew with --force", r->dir.path);
}

pudle_status pd_run_record(pd_run *r, const pd_pass *pass, int64_t epoch, double rate)
{
    pd_metrics row = { .update = r->at.update, .epoch = epoch, .loss = pass->data_loss + pass->code_loss, .data_loss = pass->data_loss,
                       .code_loss = pass->code_loss, .nonzeros = pass->nonzeros, .rate = rate, .beta = r->problem.net.beta,
                       .step = r->problem.net.alpha[0], .gradient_norm = pass->gradient_norm, .error = NAN, .seconds = pd_run_elapsed(r),
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

pudle_status pd_run_snapshot(pd_run *r)
{
    const int64_t every = r->settings->train.snapshot_every;
    char name[64];
    if (every < 1 || r->at.position != 0 || r->at.epoch % every)
        return PUDLE_OK;
    snprintf(name, sizeof name, "dictionary_%" PRId64 ".npy", r->at.epoch);
    pudle_status s = pd_run_settle(r);
    if (s)
        return s;
    char *path = pd_run_path(r, name);
    s = path ? pd_problem_write_dictionary(&r->problem, path, NULL) : pd_fail(r->ctx, PUDLE_ERR_NOMEM, "out of memory");
    free(path);
    return s;
}

pudle_status pd_run_test(pd_run *r, const volatile sig_atomic_t *stop)
{
    pd_means means = r->first;
    pudle_status s = pd_run_settle(r);
    if (!s && (r->at.update > 0 || r->dir.found)) /* else the trial has found it */
        s = pd_problem_means(&r->problem, r->test_samples, r->at.update, stop, &means);
    if (s || means.stopped)
        return s;
    r->test_loss = means.data_loss + means.code_loss;
    return pd_metrics_test(&r->dir, r->at.update, r->at.epoch, &means);
}
