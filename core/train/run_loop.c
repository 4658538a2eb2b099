/* The loop: batch, gradient, metrics, step, checkpoint. All that it needs to go on later is in pd_progress and the parameters. */
#include "train/run.h"
#include "train/optimizer.h"
#include "train/order.h"
#include "train/revive.h"
#include "train/schedule.h"
#include "train/stability.h"
#include <inttypes.h>
#include <math.h>

/* Relative change of the codes by one layer more from which on an implicit gradient is not that of converged codes. */
#define FAR 1e-3
enum { MOST_WARNINGS = 3 };

static double rate_at(const pd_run *r, double base, int64_t epoch)
{
    const pd_train_params *t = &r->settings->train;
    return pd_rate_at(t->schedule, base, t->schedule_every, t->schedule_factor, t->schedule_final, epoch, t->epochs);
}

static bool checkpoint_due(const pd_run *r)
{
    const int64_t every = r->settings->train.checkpoint_every;
    if (every > 0)
        return r->at.update % every == 0;
    return r->at.position == 0 && pd_run_now() - r->last_checkpoint > 10.0; /* when does not change what is computed */
}

/* The loss of every batch as it was met, weighted by its samples. */
static void count_loss(pd_run *r, double loss, int64_t samples)
{
    if (r->at.position == 0)
        r->at.epoch_loss = 0;
    r->at.epoch_loss += loss * (double)samples;
    if (r->at.position + 1 < r->batches)
        return;
    r->at.last_loss = r->at.epoch_loss / (double)r->samples;
    if (r->at.epoch == 0)
        r->at.first_loss = r->at.last_loss;
    const double off = r->at.epoch == 0 ? 0 : r->at.last_loss - r->at.smooth_loss;
    r->at.smooth_loss = r->at.last_loss - 0.75 * off;
    r->at.spread = r->at.epoch == 0 ? 0 : r->at.spread + 0.25 * (off * off - r->at.spread);
    if (r->at.epoch == 0 || r->at.smooth_loss < r->at.least_loss) {
        r->at.least_loss = r->at.smooth_loss;
        r->at.least_epoch = r->at.epoch + 1;
    }
}

/* What an implicit gradient leaves out is never left out silently: all of it is in the log and in metrics.csv, and a terminal gets the
 * first few lines. */
static void warn_implicit(pd_run *r, const pd_pass *pass, int64_t samples)
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
static void warn_memory(pd_run *r)
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
static bool revival_due(const pd_run *r)
{
    const pd_train_params *how = &r->settings->train;
    return how->revive != PD_REVIVE_NONE && r->at.position == 0 && r->at.epoch > 0 && r->at.epoch % how->revive_every == 0;
}

static pudle_status revive(pd_run *r, bool *stopped)
{
    pd_revival found;
    pudle_status s = pd_run_settle(r);
    if (!s)
        r->revived = true;
    if (!s)
        s = pd_revive(&r->problem, r->at.epoch, r->at.update, r->options->stop, &found);
    *stopped = !s && found.stopped;
    r->revived = !*stopped;
    if (s || *stopped)
        return s;
    r->dir.dead = found.dead;
    pd_log_note(r->ctx, "after %" PRId64 " epochs, %" PRId64 " updates: %" PRId64 " of %" PRId64 " atoms dead, as %" PRId64 " samples tell; %" PRId64 " replaced",
                r->at.epoch, r->at.update, found.dead, r->problem.net.map.atoms, found.looked, found.replaced);
    return PUDLE_OK;
}

/* The batch after this one, while the epoch's order says which. */
static void read_ahead(pd_run *r)
{
    const int64_t next = (r->at.position + 1) * r->batch, left = r->samples - next;
    if (left > 0 && r->at.update + 1 < r->total)
        pd_problem_ahead(&r->problem, PUDLE_SPLIT_TRAIN, (uint64_t)r->at.epoch, r->order + next, left < r->batch ? left : r->batch);
}

static pudle_status update(pd_run *r)
{
    const int64_t first = r->at.position * r->batch, epoch = r->at.epoch;
    const int64_t count = r->samples - first < r->batch ? r->samples - first : r->batch;
    const pd_train_params *how = &r->settings->train;
    const double rate = how->optimizer == PD_OPTIMIZER_ODL ? NAN : rate_at(r, how->learning_rate, epoch); /* NaN: there is none */
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
        const pudle_status before = s ? pd_run_settle(r) : pd_optimizer_check(&r->problem, r->at.update);
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
        s = pd_run_record(r, &pass, epoch, rate);
    if (!s)
        s = pd_optimizer_step(&r->problem, rate, threshold_rate, r->at.update + 1);
    if (s)
        return s;
    r->revived = false;
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

static bool stopped(const pd_run *r)
{
    return r->options->stop && *r->options->stop;
}

/* Before the next update; what is to be said after the last is finish()'s. */
static bool test_due(const pd_run *r)
{
    return r->test_samples > 0 && r->at.position == 0 && r->at.epoch % r->settings->train.test_every == 0 && r->dir.tested != r->at.update;
}

pudle_status pd_run_loop(pd_run *r, bool *interrupted)
{
    int64_t shuffled = -1;
    pudle_status s = PUDLE_OK;
    while (r->at.update < r->total && !s) {
        if (test_due(r)) {
            s = pd_run_test(r, r->options->stop);
            *interrupted = !s && stopped(r);
            if (s || *interrupted)
                return s ? s : pd_run_checkpoint(r);
        }
        if (revival_due(r)) {
            s = revive(r, interrupted);
            if (s || *interrupted)
                return s ? s : pd_run_checkpoint(r);
        }
        if (r->at.epoch != shuffled)
            pd_epoch_order(r->settings, shuffled = r->at.epoch, r->samples, r->order);
        s = update(r);
        if (!s)
            s = pd_run_snapshot(r);
        *interrupted = !s && stopped(r);
        if (*interrupted)
            return pd_run_checkpoint(r);
        if (!s && r->at.update < r->total && checkpoint_due(r))
            s = pd_run_checkpoint(r);
    }
    return s;
}
