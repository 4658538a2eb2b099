/* Loss, sparsity and errors over a whole split, in blocks that fit in memory. */
#include "cli.h"
#include "train/dictionary.h"
#include "train/measured.h"
#include "train/prepare.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>


typedef struct totals { double data_loss, code_loss, nonzeros, error2, energy2, moved, size; int64_t samples; } totals;

/* Codes against the true ones, where the source knows these: room for a block of both, and which atom stands for which. Where samples are measurements, signals
 * D z against the true ones, too. */
typedef struct truth {
    void *device, *signal_device;
    pudle_view code, real;
    pudle_view signal;   /* (block, n) */
    double *real_signal; /* the same */
    double error2, energy2;
    int64_t *match;      /* of the code's entries */
    double *factor;
    bool moved;          /* filters are, and there is nothing to compare codes by */
    pd_recovery_tally tally;
} truth;

static void truth_close(pd_problem *pb, truth *t)
{
    if (t->device)
        pb->be->free(pb->exec, t->device);
    if (t->signal_device)
        pb->be->free(pb->exec, t->signal_device);
    free(t->signal.data);
    free(t->real_signal);
    free(t->code.data);
    free(t->real.data);
    free(t->match);
    free(t->factor);
}

static pudle_status signals_open(pd_problem *pb, int64_t block, truth *t)
{
    const int64_t n = pb->net.dictionary.value.shape[0];
    const size_t count = (size_t)(block * n), bytes = count * pudle_dtype_size(pb->dtype);
    t->signal = pd_matrix(pd_alloc(bytes, 1), pb->dtype, block, n);
    t->real_signal = pd_alloc(count, sizeof *t->real_signal);
    if (!t->signal.data || !t->real_signal)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the signals of %" PRId64 " samples", block);
    return pb->be->alloc(pb->exec, bytes, &t->signal_device);
}

/* Which entries of codes belong together; then room for the codes of a block, whose samples may be fewer than asked for: those of filters are many times their samples. */
static pudle_status truth_open(pd_problem *pb, int64_t *block, truth *t)
{
    enum { ROOM = 64 << 20 }; /* bytes */
    const int64_t p = pb->net.map.code, size = (int64_t)pudle_dtype_size(pb->dtype);
    t->match = pd_alloc((size_t)p, sizeof *t->match);
    t->factor = pd_alloc((size_t)p, sizeof *t->factor);
    if (!t->match || !t->factor)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the matches of %" PRId64 " entries of codes", p);
    pudle_status s = pd_problem_match_truth(pb, t->match, t->factor, &t->moved);
    if (s || t->moved)
        return s;
    if (!(pb->prox.desc->caps & PUDLE_PROX_BATCH_COUPLED) && *block > ROOM / size / p)
        *block = ROOM / size / p > 0 ? ROOM / size / p : 1;
    const size_t bytes = (size_t)(*block * p * size);
    t->code = pd_matrix(pd_alloc(bytes, 1), pb->dtype, *block, p);
    t->real = pd_matrix(pd_alloc(bytes, 1), pb->dtype, *block, p);
    if (!t->code.data || !t->real.data)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the codes of %" PRId64 " samples", *block);
    s = pb->be->alloc(pb->exec, bytes, &t->device);
    return s || !pb->net.measurement.data ? s : signals_open(pb, *block, t);
}

/* ||D* z*||^2 and ||D z - D* z*||^2 of the block, whose true codes are there. */
static pudle_status add_signals(pd_problem *pb, const pudle_cview *real, truth *t)
{
    const int64_t count = real->shape[0], n = t->signal.shape[1];
    const pudle_cview code = pd_cmatrix(t->device, pb->dtype, count, real->shape[1]);
    const pudle_view to = pd_matrix(t->signal_device, pb->dtype, count, n);
    const pudle_cview signal = pd_cmatrix(t->signal.data, pb->dtype, count, n);
    pudle_status s = pd_measurement_signals(&pb->net, &code, &to);
    if (!s)
        s = pb->be->download(pb->exec, t->signal.data, to.data, (size_t)(count * n) * pudle_dtype_size(pb->dtype));
    if (!s)
        s = pd_measured_truth(pb, real, t->real_signal);
    for (int64_t i = 0; i < count * n && !s; i++) {
        const double error = pudle_entry(&signal, i) - t->real_signal[i];
        t->error2 += error * error;
        t->energy2 += t->real_signal[i] * t->real_signal[i];
    }
    return s;
}

static pudle_status add_codes(pd_problem *pb, int split, int64_t first, int64_t count, truth *t)
{
    const pudle_view code = pd_rows(&t->code, 0, count), real = pd_rows(&t->real, 0, count);
    const pudle_cview c = pudle_const(&code), r = pudle_const(&real);
    pudle_status s = pb->be->download(pb->exec, code.data, t->device, (size_t)pudle_count(&c) * pudle_dtype_size(pb->dtype));
    if (!s)
        s = pd_problem_true_codes(pb, split, first, count, &real);
    if (!s && t->signal_device)
        s = add_signals(pb, &r, t);
    return s ? s : pd_recovery_add(pb->ctx, &c, &r, 0, t->match, t->factor, &t->tally);
}

/* ||x||^2 and ||x - x_hat||^2 of the batch, against the target where there is one; x_hat is the mean that the prediction stands
 * for. A target that is NaN is missing, and stays out of both. */
static pudle_status add_energy(pd_problem *pb, const pd_batch *batch, const void *own_samples, const pudle_view *reconstruction, totals *t)
{
    const pudle_cview c = pudle_const(reconstruction);
    const void *wanted = own_samples ? own_samples : batch->y.data ? pb->host.y : pb->host.x;
    const pudle_cview x = pd_cview(wanted, pb->dtype, c.rank, c.shape);
    pd_array own = { 0 };
    pudle_status s = pd_problem_mean(pb, reconstruction);
    if (!s)
        s = pd_problem_fetch(pb, reconstruction, &own);
    const pudle_cview mean = pudle_const(&own.view);
    for (int64_t i = 0; i < pudle_count(&c) && !s; i++) {
        const double there = pudle_entry(&x, i), error = there - pudle_entry(&mean, i);
        if (isnan(there))
            continue;
        t->energy2 += there * there;
        t->error2 += error * error;
    }
    pd_array_free(&own);
    return s;
}

static pudle_status add_block(pd_problem *pb, const pudle_cview *own, int split, int64_t first, int64_t count, void *memory, truth *known, totals *t)
{
    const pudle_cview rows = own ? pd_crows(own, first, count) : (pudle_cview){ 0 };
    pd_batch batch;
    pd_pass pass = { .reconstruction = pd_matrix(memory, pb->dtype, count, pb->net.map.features) };
    if (known)
        pass.code = pd_matrix(known->device, pb->dtype, count, pb->net.map.code);
    pudle_status s = own ? pd_problem_own_batch(pb, &rows, true, &batch) : pd_problem_first(pb, split, first, count, &batch);
    if (!s)
        s = pd_network_run(&pb->net, &batch, &pass);
    if (!s)
        s = pd_problem_check_finite(pb, &batch, &pass, 0);
    if (s)
        return s;
    if (known && (s = add_codes(pb, split, first, count, known)))
        return s;
    t->samples += count;
    t->data_loss += pass.data_loss * (double)count;
    t->code_loss += pass.code_loss * (double)count;
    t->nonzeros += pass.nonzeros * (double)count;
    t->moved += pass.moved;
    t->size += pass.size;
    return add_energy(pb, &batch, rows.data, &pass.reconstruction, t);
}

pudle_status cli_evaluate_split(pd_problem *pb, const pudle_cview *own, int split, int64_t samples, cli_evaluation *out)
{
    totals t = { 0 };
    *out = (cli_evaluation){ .fixed = NAN, .assigned = NAN, .measured = NAN, .measured_assigned = NAN };
    truth known = { .device = NULL };
    bool knows = !own && pd_problem_knows_codes(pb);
    void *memory = NULL;
    pb->net.further = true;
    int64_t block = cli_block(pb, samples);
    pudle_status s = knows ? truth_open(pb, &block, &known) : PUDLE_OK;
    knows = knows && !known.moved;
    if (!s)
        s = pb->be->alloc(pb->exec, (size_t)(block * pb->net.map.features) * pudle_dtype_size(pb->dtype), &memory);
    for (int64_t first = 0; first < samples && !s && !cli_stop; first += block)
        s = add_block(pb, own, split, first, samples - first < block ? samples - first : block, memory, knows ? &known : NULL, &t);
    if (!s)
        s = pd_problem_dictionary_error(pb, &out->fixed, &out->assigned);
    if (!s && knows && pb->net.measurement.data)
        s = pd_measured_error(pb, &out->measured, &out->measured_assigned);
    if (memory)
        pb->be->free(pb->exec, memory);
    truth_close(pb, &known);
    const double n = (double)t.samples;
    out->samples = t.samples;
    out->data_loss = t.data_loss / n;
    out->code_loss = t.code_loss / n;
    out->nonzeros = t.nonzeros / n;
    out->relative_error = t.energy2 > 0 ? sqrt(t.error2 / t.energy2) : (double)NAN;
    out->fixed_point = t.size > 0 ? sqrt(t.moved / t.size) : (double)NAN; /* of codes of zeros it is not known */
    out->signal_error = sqrt(known.error2 / known.energy2);
    out->knows_codes = knows;
    out->moved = known.moved;
    out->prepared = !own && pb->truth && pd_prepares(&pb->settings->data);
    out->elsewhere = !own && !out->prepared && pd_problem_knows_truth(pb) && !pd_problem_knows_codes(pb);
    out->stopped = t.samples < samples;
    if (!s && knows && !out->stopped)
        out->codes = pd_recovery_of(&known.tally);
    return s;
}

/* own: the caller's samples (n, ...), or NULL for the config's data source. */
static pudle_status run(pd_problem *pb, const pudle_cview *own, int split, int64_t samples)
{
    cli_evaluation e;
    const pudle_status s = cli_evaluate_split(pb, own, split, samples, &e);
    if (s)
        return s;
    printf("samples=%" PRId64 "\nloss=%.9g\ndata_loss=%.9g\ncode_loss=%.9g\nnonzeros=%.6g of %" PRId64 "\nrelative_error=%.6g\nfixed_point=%.3g\n", e.samples,
           e.data_loss + e.code_loss, e.data_loss, e.code_loss, e.nonzeros, pb->net.map.code, e.relative_error, e.fixed_point);
    if (!isnan(e.fixed))
        printf("dictionary_error=%.6g\ndictionary_error_assigned=%.6g\n", e.fixed, e.assigned);
    if (!isnan(e.measured))
        printf("measured_error=%.6g\nmeasured_error_assigned=%.6g\nsignal_error=%.6g\n", e.measured, e.measured_assigned, e.signal_error);
    if (e.knows_codes)
        printf("support_precision=%.6g\nsupport_recall=%.6g\nsupport_exact=%.6g\ncode_error=%.6g\n", e.codes.precision, e.codes.recall, e.codes.exact,
               e.codes.relative);
    if (e.moved)
        pd_log(pb->ctx, PUDLE_LOG_INFO, "codes are not compared with the true ones: some filters suit the true ones best when they are moved");
    if (e.elsewhere)
        pd_log(pb->ctx, PUDLE_LOG_INFO, "codes are not compared with the true ones: the stride of the data is another, so that filters lie at other places");
    if (e.prepared)
        pd_log(pb->ctx, PUDLE_LOG_INFO, "%s not compared with the true ones, which are those of samples as they come, before data.center and data.scale",
               pb->settings->data.center == PD_CENTER_NONE ? "codes are" : "dictionary and codes are");
    return PUDLE_OK;
}

int cli_evaluate(pd_context *ctx, const cli_args *args)
{
    cli_job job;
    pd_problem problem;
    int64_t samples = 0;
    pudle_status s = cli_job_open(ctx, args, &job);
    if (!s)
        s = cli_job_samples(ctx, args, &job);
    if (!s)
        s = cli_model(ctx, job.settings, job.directory, args->input ? &job.given : NULL, &problem);
    if (!s && !args->input && (s = pd_problem_samples(&problem, job.split, &samples)))
        pd_problem_close(&problem);
    int code = s ? cli_setup_failed(ctx, s) : CLI_DONE;
    if (!s) {
        pd_network_forward_only(&problem.net);
        const pudle_cview own = pudle_const(&job.input.view);
        s = args->input ? run(&problem, &own, job.split, job.given.samples) : run(&problem, NULL, job.split, samples);
        pd_problem_close(&problem);
        if (s)
            code = cli_run_failed(ctx, s);
    }
    cli_job_close(&job);
    return code;
}
