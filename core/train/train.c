/* A run from its config to its results. */
#include "train/run.h"
#include "train/optimizer.h"
#include "train/stability.h"
#include <math.h>
#include <stdlib.h>

/* The state after the last update: one more row of metrics, forward only. */
static pudle_status closing_row(pd_run *r)
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
    return s ? s : pd_run_record(r, &pass, r->at.epoch, NAN);
}

static pudle_status write_results(pd_run *r)
{
    char *npy = pd_run_path(r, "dictionary.npy"), *png = pd_run_path(r, "dictionary.png"), *levels = pd_run_path(r, "thresholds.npz");
    char *encoder = pd_run_path(r, "encoder.npz"), *offset = pd_run_path(r, "offset.npy");
    pudle_status s = npy && png && levels && encoder && offset ? PUDLE_OK : pd_fail(r->ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s)
        s = pd_problem_write_dictionary(&r->problem, npy, png);
    if (!s)
        s = pd_problem_write_thresholds(&r->problem, levels);
    if (!s)
        s = pd_problem_write_encoder(&r->problem, encoder);
    if (!s)
        s = pd_problem_write_offset(&r->problem, offset);
    free(offset);
    free(encoder);
    free(npy);
    free(png);
    free(levels);
    return s;
}

/* As metrics.csv compares dictionaries, and after the best order and signs, and lags of filters, in any case. */
static pudle_status final_error(pd_run *r, pd_train_report *report)
{
    report->filters = r->settings->dictionary.kind == PD_KIND_CONV;
    const pudle_status s = pd_problem_dictionary_error(&r->problem, &report->last_error, &report->assigned_error);
    if (r->settings->train.dictionary_error == PD_ERROR_ASSIGNED)
        report->last_error = report->assigned_error;
    return s;
}

/* Of what was learned. It does not end early: a row that is not there now would never come. */
static pudle_status last_test(pd_run *r)
{
    return r->test_samples && r->dir.tested != r->at.update ? pd_run_test(r, NULL) : PUDLE_OK;
}

static pudle_status finish(pd_run *r, pd_train_report *report)
{
    const bool normalize = r->settings->train.normalize && r->settings->train.normalize_at == PD_NORMALIZE_END;
    pudle_status s = normalize ? pd_run_checkpoint(r) : PUDLE_OK; /* to go on from, should the rest fail: atoms are scaled once */
    if (!s && normalize)
        s = pd_normalize_atoms(&r->problem);
    if (!s)
        s = last_test(r);
    if (!s)
        s = closing_row(r);
    if (!s)
        s = write_results(r);
    r->at.finished = !s;
    if (!s)
        s = pd_run_checkpoint(r);
    return s ? s : final_error(r, report);
}

/* A finished run that is resumed: its results are made again from the checkpoint, should they be missing. */
static pudle_status already_done(pd_run *r, pd_train_report *report)
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

static pudle_status work(pd_run *r, pd_train_report *report)
{
    if (r->at.finished)
        return already_done(r, report);
    pudle_status s = pd_run_loop(r, &report->interrupted);
    bool whole = true; /* the state is one between two updates, and nothing else was made of it */
    if (!s && !report->interrupted) {
        whole = r->settings->train.normalize_at != PD_NORMALIZE_END;
        s = finish(r, report);
    }
    if (s == PUDLE_ERR_IO && whole)
        pd_run_rescue(r, s);
    else if (s == PUDLE_ERR_IO) /* a checkpoint was written before atoms were scaled, or that is what failed */
        pd_fail(r->ctx, s, "when this is mended, go on with: pudle train %s --resume", r->dir.path);
    return s;
}

pudle_status pd_train_limits(pd_context *ctx, const pd_settings *settings)
{
    if (settings->train.epochs > 0 || settings->train.updates > 0)
        return PUDLE_OK;
    return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: train: nothing says how long to train; add to the group train  epochs = 10;  or  updates = 1000;  "
                   "(on the command line --set train.epochs=10)", settings->source);
}

pudle_status pd_train(pd_context *ctx, const pd_settings *settings, const pd_train_options *options, pd_train_report *report)
{
    pd_run r = { .ctx = ctx, .settings = settings, .options = options, .dir = { .lock = -1, .dead = -1 }, .last_error = NAN, .test_loss = NAN,
              .at = { .first_loss = NAN, .last_loss = NAN, .smooth_loss = NAN, .spread = NAN, .least_loss = NAN, .dead = -1, .first_error = NAN, .seconds = NAN } };
    *report = (pd_train_report){ .last_error = NAN, .assigned_error = NAN, .dead = -1 };
    pudle_status s = pd_train_limits(ctx, settings);
    if (!s && options->resume)
        s = pd_rundir_take_level(ctx, options->directory, settings);
    if (!s)
        s = pd_problem_open(ctx, settings, NULL, &r.problem);
    if (!s)
        s = pd_run_plan(&r);
    if (!s)
        s = pd_rundir_open(ctx, settings, options, &r.dir);
    r.started = pd_run_now();
    if (!s)
        s = pd_run_begin(&r);
    if (!s) {
        pd_progress_begin(&r.line, ctx, options->quiet, r.at.update);
        s = work(&r, report);
        pd_progress_end(&r.line);
    }
    if (s == PUDLE_ERR_NUMERIC && r.dir.metrics)
        pd_fail(ctx, s, "the last good checkpoint is kept: %s/checkpoint.safetensors", r.dir.path);
    report->updates = r.at.update;
    report->seconds = pd_run_elapsed(&r);
    report->first_error = r.at.first_error;
    pd_run_report_losses(&r, report);
    report->test_loss = report->interrupted ? NAN : r.test_loss;
    report->dead = r.dir.dead;
    report->atoms = r.problem.net.map.atoms;
    if (!s && !report->interrupted)
        pd_run_report_levels(&r, report);
    if (!s && !report->interrupted && !report->nothing_to_do)
        pd_run_warn_of_rise(&r);
    report->network_bytes = pd_memory_held(&r.problem);
    report->peak_bytes = pd_memory_peak();
    report->device_bytes = r.problem.exec ? pd_memory_device(&r.problem) : 0;
    pd_run_log_end(&r, s, report);
    free(r.order);
    pd_rundir_close(&r.dir);
    pd_problem_close(&r.problem);
    return s;
}
