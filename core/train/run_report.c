/* What a run says: in its log, and at its end. */
#include "train/run.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

void pd_run_log_begin(const pd_run *r)
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

void pd_run_log_end(const pd_run *r, pudle_status s, const pd_train_report *report)
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
    for (int i = 0; i < report->levels; i++) {
        char text[256];
        pd_learned_text(&report->level[i], text, sizeof text);
        pd_log_note(r->ctx, "%s", text);
    }
    if (!s && !isnan(report->last_error))
        pd_log_note(r->ctx, "dictionary error: %.4f -> %.4f (%.4f after the best order%s)", report->first_error, report->last_error,
                    report->assigned_error, report->filters ? ", signs and lags" : " and signs");
}

void pd_learned_text(const pd_learned_level *l, char *text, size_t size)
{
    char of[96] = "", option[96] = "";
    if (l->count > 1)
        snprintf(of, sizeof of, " in the mean of %" PRId64 ", %" PRId64 " of them 0", l->count, l->zeros);
    if (l->step > 0)
        snprintf(option, sizeof option, " (%s %.6g at the step %.6g)", l->name, l->mean / l->step, l->step);
    snprintf(text, size, "learned %s%s: %.6g%s%s", l->step == 0 ? "" : "step*", l->name, l->mean, of, option);
}

/* What the option of a learned level is multiplied by, as the last refresh found it. */
static double step_of(const pd_network *net, const pd_level *level)
{
    if (!level->per_step)
        return 0;
    for (int64_t t = 1; t < net->layers; t++)
        if (net->alpha[t] != net->alpha[0])
            return NAN;
    return net->alpha[0];
}

void pd_run_report_levels(pd_run *r, pd_train_report *report)
{
    for (int i = 0; i < r->dir.levels; i++) {
        const pd_level *level = r->dir.level[i];
        pd_learned_level *to = &report->level[report->levels++];
        snprintf(to->name, sizeof to->name, "%s", level->name);
        to->count = level->rows * level->cols;
        to->step = step_of(&r->problem.net, level);
        to->mean = pd_level_mean(&r->problem.net, level, &to->zeros);
        /* a threshold that is learned down to nothing is a run that has gone wrong, and its loss looks better than ever */
        if (2 * to->zeros >= to->count && !r->began_at_0[i] && !(level->bounded && level->min < 0))
            pd_log(r->ctx, PUDLE_LOG_WARNING, "prox.%s has been learned down to 0, %" PRId64 " of %" PRId64 ": if it is a threshold, codes are not sparse any more. A loss "
                   "without a price on the code asks for that; give it one (loss.code_l1, or a loss with a penalty), or fix the level: prox.learn = \"none\"",
                   level->name, to->zeros, to->count);
    }
}

void pd_run_report_losses(const pd_run *r, pd_train_report *report)
{
    const int64_t seen = r->at.position * r->batch;
    report->first_loss = r->at.first_loss;
    report->last_loss = r->at.last_loss;
    if (isnan(report->first_loss) && seen > 0)
        report->first_loss = report->last_loss = r->at.epoch_loss / (double)seen;
}

/* A part of all that was gained is lost again, more than means of epochs waver, and not of late. Where levels change in the run, or samples with the epoch, the loss is
 * another all the time. */
void pd_run_warn_of_rise(const pd_run *r)
{
    const pd_progress *at = &r->at;
    const pd_train_params *t = &r->settings->train;
    const double gained = at->first_loss - at->least_loss, lost = at->smooth_loss - at->least_loss;
    if (!(lost > 0.02 * gained && lost > 0.01 * fabs(at->least_loss) && lost > 4 * sqrt(at->spread)) || 2 * at->least_epoch > at->epoch || !r->problem.epoch_free || r->settings->prox.decay_every > 0 || r->dir.levels > 0)
        return;
    const bool drifts = t->optimizer == PD_OPTIMIZER_ADAM && pd_keeps_unit_norm(t) && !t->tangent;
    pd_log(r->ctx, PUDLE_LOG_WARNING, "the loss has risen: %.6g around epoch %" PRId64 ", %.6g at the end (metrics.csv). Updates do not lower it any more: a lower "
           "train.learning_rate or a schedule may%s", at->least_loss, at->least_epoch, at->smooth_loss,
           drifts ? ", and train.tangent = true, without which adam drifts away from a minimum" : "");
}
