/* Instances, backend and network from settings; the checks that need more than one of them. */
#include "train/problem.h"
#include "train/atom_prox.h"
#include "train/batch.h"
#include "train/measured.h"
#include "train/missing.h"
#include "train/prepare.h"
#include "train/schedule.h"
#include "train/truth.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static pudle_status instance(pd_problem *pb, int section, pudle_instance *out)
{
    const pd_section *s = &pb->settings->section[section];
    return pd_instance_create(pb->ctx, s->plugin, s->plugin_params, out);
}

static pudle_status make_instances(pd_problem *pb)
{
    pudle_status s = pb->train.rank ? PUDLE_OK : instance(pb, PD_SECTION_DATA, &pb->data); /* rank: the samples are given */
    if (!s)
        s = instance(pb, PD_SECTION_PROX, &pb->prox);
    if (!s)
        s = instance(pb, PD_SECTION_LOSS, &pb->loss);
    if (!s && pb->settings->loss.missing == PD_MISSING_SKIP)
        s = pd_missing_skip(pb->ctx, &pb->loss, &pb->gaps);
    if (!s && pb->settings->section[PD_SECTION_INNER_LOSS].plugin) {
        s = instance(pb, PD_SECTION_INNER_LOSS, &pb->inner);
        pb->own_inner = !s;
        if (!s && pb->settings->loss.missing == PD_MISSING_SKIP)
            s = pd_missing_skip(pb->ctx, &pb->inner, &pb->inner_gaps);
    } else {
        pb->inner = pb->loss;
    }
    return s ? s : instance(pb, PD_SECTION_BACKEND, &pb->backend);
}

static pudle_status open_backend(pd_problem *pb)
{
    pb->be = pb->backend.desc->ops;
    PD_CALL(pb->backend.desc->name, "open");
    const pudle_status s = pb->be->open(pd_host_for(pb->ctx, pb->backend.desc->name), pb->backend.self, &pb->exec);
    PD_RETURNED();
    return s;
}

/* A source's answer is checked before memory is taken by it. */
static pudle_status check_info(pd_problem *pb, int split, const pudle_data_info *info)
{
    const char *name = pb->data.desc->name, *which = split == PUDLE_SPLIT_TEST ? "test" : "training";
    int64_t entries = 1;
    if (info->samples < 1)
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "data: the source '%s' has no %s samples", name, which);
    if (info->rank < 1 || info->rank >= PUDLE_MAX_RANK)
        return pd_fail(pb->ctx, PUDLE_ERR_ABI, "data: the source '%s' says its samples have %d axes; 1 to %d are possible", name, (int)info->rank,
                       PUDLE_MAX_RANK - 1);
    for (int32_t i = 0; i < info->rank; i++) {
        if (info->shape[i] < 1 || __builtin_mul_overflow(entries, info->shape[i], &entries) || entries > INT64_MAX / 64)
            return pd_fail(pb->ctx, PUDLE_ERR_ABI, "data: the source '%s' says a sample has %lld entries along axis %d", name,
                           (long long)info->shape[i], (int)i);
        if (info->has_target && info->target_shape[i] != info->shape[i])
            return pd_fail(pb->ctx, PUDLE_ERR_UNSUPPORTED, "data: the source '%s' has targets of another shape than its samples", name);
        if (split == PUDLE_SPLIT_TEST && (info->rank != pb->train.rank || info->shape[i] != pb->train.shape[i]))
            return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "data: the test samples of '%s' have another shape than the training samples", name);
    }
    return PUDLE_OK;
}

static pudle_status describe(pd_problem *pb, int split, pudle_data_info *info)
{
    *info = (pudle_data_info){ .size = sizeof *info };
    PD_CALL(pb->data.desc->name, "describe");
    const pudle_status s = pb->source->describe(pd_host_for(pb->ctx, pb->data.desc->name), pb->data.self, split, info);
    PD_RETURNED();
    return s ? s : check_info(pb, split, info);
}

static pudle_status describe_data(pd_problem *pb)
{
    pb->source = pb->data.desc->ops;
    pb->truth = pb->data.desc->get_ext ? pb->data.desc->get_ext(PUDLE_DATA_TRUTH) : NULL;
    pb->epoch_free = (pb->data.desc->caps & PUDLE_DATA_EPOCH_FREE) != 0;
    const pudle_status s = describe(pb, PUDLE_SPLIT_TRAIN, &pb->train);
    if (s)
        return s;
    if (pb->settings->train.batch > pb->train.samples)
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "train.batch = %lld, but there are only %lld samples (0 takes all of them)",
                       (long long)pb->settings->train.batch, (long long)pb->train.samples);
    return PUDLE_OK;
}

pudle_status pd_problem_samples(pd_problem *pb, int split, int64_t *samples)
{
    pudle_data_info info;
    const pudle_status s = describe(pb, split, &info);
    if (!s)
        *samples = info.samples;
    return s;
}

pudle_status pd_problem_tests(pd_problem *pb, int64_t *samples)
{
    const pudle_status s = pd_problem_samples(pb, PUDLE_SPLIT_TEST, samples);
    if (s == PUDLE_ERR_NOTFOUND)
        return pd_fail(pb->ctx, s, "train.test_every = %lld wants test samples: name some (data.test_path, or what the source '%s' has for them), or write  "
                       "test_every = 0;", (long long)pb->settings->train.test_every, pb->data.desc->name);
    return s;
}

static const int64_t depth_all = -1;

/* The estimator as the network understands it: how far back, and which code stands in the decoder. */
static void set_estimator(pd_problem *pb)
{
    static const struct { int64_t depth; int code; } estimators[] = {
        [PD_GRADIENT_DEC] = { 0, PD_CODE_ITSELF },   [PD_GRADIENT_AE] = { depth_all, PD_CODE_ITSELF },
        [PD_GRADIENT_TRUNCATED] = { 0, PD_CODE_ITSELF }, [PD_GRADIENT_NOODL] = { 0, PD_CODE_SIGN },
        [PD_GRADIENT_ORACLE] = { 0, PD_CODE_TRUE },      [PD_GRADIENT_IMPLICIT] = { 0, PD_CODE_ITSELF },
        [PD_GRADIENT_REFIT] = { 0, PD_CODE_ITSELF },
    };
    const pd_model_params *model = &pb->settings->model;
    pd_network *net = &pb->net;
    net->depth = estimators[model->gradient].depth == depth_all ? net->layers : 0;
    if (model->gradient == PD_GRADIENT_TRUNCATED)
        net->depth = model->truncate < net->layers ? model->truncate : net->layers;
    net->decoder_code = estimators[model->gradient].code;
    net->refit = model->gradient == PD_GRADIENT_REFIT;
    net->implicit = model->gradient == PD_GRADIENT_IMPLICIT || net->refit;
    net->skip_ill = model->ill_conditioned == PD_ILL_SKIP;
    if (!pb->source) { /* samples are given: a model at work, of which nobody asks a gradient */
        pd_network_forward_only(net);
        net->decoder_code = PD_CODE_ITSELF;
    }
}

/* The true code takes the place of the network's, so it has as many entries. */
static pudle_status check_truth(pd_problem *pb)
{
    if (pb->net.decoder_code != PD_CODE_TRUE)
        return PUDLE_OK;
    const int64_t atoms = pb->truth->atoms(pb->data.self);
    const bool filters = pd_truth_axes(pb) > 0;
    if (filters != (pb->settings->dictionary.kind == PD_KIND_CONV))
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.gradient = \"oracle\": the true codes of the data '%s' are those of %s dictionary, and "
                       "model.dictionary.kind is \"%s\"; write  gradient = \"ae\";", pb->data.desc->name, filters ? "a convolutional" : "a dense", filters ? "dense" : "conv");
    if (atoms != pb->net.map.atoms)
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.gradient = \"oracle\": model.dictionary.atoms = %lld, but the true dictionary has %lld",
                       (long long)pb->net.map.atoms, (long long)atoms);
    if (!pd_truth_same_codes(pb))
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.gradient = \"oracle\": the true filters have another size or stride than model.dictionary says; give theirs");
    return PUDLE_OK;
}

static pudle_status set_levels(pd_problem *pb)
{
    pd_network *net = &pb->net;
    const int32_t learn = pb->settings->prox.learn;
    const char *values = pb->settings->section[PD_SECTION_PROX].plugin_params;
    pudle_option option;
    for (int i = 0; pd_option_at(pb->prox.desc, i, &option); i++) {
        if (!(option.flags & PUDLE_THRESHOLD))
            continue;
        if (net->levels == PD_MAX_LEVELS)
            return pd_fail(pb->ctx, PUDLE_ERR_ABI, "prox '%s' has more than %d thresholds", pb->prox.desc->name, PD_MAX_LEVELS);
        pd_level *level = &net->level[net->levels++];
        *level = (pd_level){ .name = option.name, .min = option.min, .max = option.max, .bounded = option.min != 0 || option.max != 0, .per_step = option.flags & PUDLE_PER_STEP,
                             .learned = learn != PD_LEARN_NONE, .rows = 1, .cols = 1 };
        memcpy(&level->initial, values + option.offset, sizeof level->initial);
        if (learn == PD_LEARN_LAYER || learn == PD_LEARN_LAYER_ATOM)
            level->rows = net->layers;
        if (learn == PD_LEARN_ATOM || learn == PD_LEARN_LAYER_ATOM)
            level->cols = net->map.atoms;
    }
    return PUDLE_OK;
}

/* Can the source give its samples another shape? */
static bool source_has_shape(const pd_problem *pb)
{
    const pd_plugin *source = pb->settings->section[PD_SECTION_DATA].plugin;
    pudle_option option;
    for (int i = 0; source && pd_option_at(source->desc, i, &option); i++)
        if (option.type == PUDLE_INT_LIST && !strcmp(option.name, "shape"))
            return true;
    return false;
}

/* Filters must fit into the data, and into each other's number of axes. */
static pudle_status make_conv(pd_problem *pb)
{
    const pd_dictionary_params *how = &pb->settings->dictionary;
    const int32_t axes = pb->train.rank - 1;
    int64_t stride[2];
    if (axes < 1 || axes > 2) {
        char remedy[96] = "";
        if (axes == 0 && source_has_shape(pb))
            snprintf(remedy, sizeof remedy, ". Signals of one channel are given it by  data.shape = [1, %lld];", (long long)pb->train.shape[0]);
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.dictionary.kind = \"conv\" wants samples of shape (channels, length) or (channels, height, width); "
                       "these have %d ax%s%s", (int)pb->train.rank, pb->train.rank == 1 ? "is" : "es", remedy);
    }
    if (how->size.count != axes)
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.dictionary.size has %lld number%s, and the data %d ax%s beside the first of a sample, which is its channels; "
                       "samples of one channel are given it by data.shape, [1, length] or [1, height, width]", (long long)how->size.count,
                       how->size.count == 1 ? "" : "s", (int)axes, axes == 1 ? "is" : "es");
    if (how->channels && how->channels != pb->train.shape[0])
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.dictionary.channels = %lld, but the data has %lld", (long long)how->channels,
                       (long long)pb->train.shape[0]);
    for (int32_t i = 0; i < axes; i++) {
        stride[i] = how->stride.item[how->stride.count > 1 ? i : 0];
        if (how->size.item[i] > pb->train.shape[i + 1])
            return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.dictionary.size: a filter of %lld does not fit into data of %lld (axis %d)",
                           (long long)how->size.item[i], (long long)pb->train.shape[i + 1], (int)i + 1);
    }
    pd_map_conv(&pb->net.map, pb->be, pb->train.rank, pb->train.shape, how->atoms, how->size.item, stride);
    return PUDLE_OK;
}

/* Weights of the loss's parts: one over the number of pixels and positions, or of channels and filters. */
static void set_weights(pd_problem *pb)
{
    pd_network *net = &pb->net;
    const double channels = (double)net->map.data_shape[0], pixels = (double)net->map.features / channels;
    const double filters = (double)net->map.atoms, positions = (double)net->map.code / filters;
    switch (pb->settings->loss.reduction) {
    case PD_REDUCTION_MEAN:
        net->data_weight = 1.0 / pixels;
        net->code_weight = 1.0 / positions;
        break;
    case PD_REDUCTION_CHANNELS:
        net->data_weight = 1.0 / channels;
        net->code_weight = 1.0 / filters;
        break;
    default:
        net->data_weight = net->code_weight = 1.0;
    }
}

static pudle_status no_memory_for_offset(pd_problem *pb)
{
    return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the offset of %lld numbers", (long long)pb->net.map.features);
}

/* The baseline of the prediction: loss.offset, and what the file adds, by entry or by channel. */
static pudle_status set_baseline(pd_problem *pb)
{
    const pd_loss_params *o = &pb->settings->loss;
    const pd_map *map = &pb->net.map;
    const int64_t n = map->features, channels = map->data_shape[0];
    pd_array file = { 0 };
    const int64_t groups[] = { [PD_OFFSET_FIXED] = 0, [PD_OFFSET_ENTRY] = n, [PD_OFFSET_CHANNEL] = channels, [PD_OFFSET_GLOBAL] = 1 };
    pb->net.offset_groups = groups[o->learn_offset];
    if (o->offset == 0 && !o->offset_path)
        return PUDLE_OK;
    pb->baseline = pd_alloc((size_t)n, sizeof *pb->baseline);
    if (!pb->baseline)
        return no_memory_for_offset(pb);
    pudle_status s = o->offset_path ? pd_array_read(pb->ctx, o->offset_path, PUDLE_F64, &file) : PUDLE_OK;
    if (s)
        return s;
    if (o->offset != 0 && o->offset_path)
        pd_log_note(pb->ctx, "the baseline is loss.offset = %g and the numbers of loss.offset_path, added", o->offset);
    const pudle_cview c = pudle_const(&file.view);
    const int64_t count = file.view.data ? pudle_count(&c) : 0;
    if (file.view.data && count != n && count != channels)
        s = pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "loss.offset_path: %s holds %lld numbers; wanted are %lld, one for every entry of a sample%s",
                    o->offset_path, (long long)count, (long long)n, map->data_rank > 1 ? ", or one for every channel" : "");
    for (int64_t i = 0; i < n && !s; i++) {
        pb->baseline[i] = o->offset + (count ? pudle_entry(&c, count == n ? i : i / (n / channels)) : 0);
        if (!isfinite(pb->baseline[i]))
            s = pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "loss.offset_path: %s holds a number that is not finite (%g): the offset of a rate 0 is that of a "
                        "small one", o->offset_path ? o->offset_path : "", pb->baseline[i]);
    }
    pd_array_free(&file);
    pb->net.baseline = pb->baseline;
    return s;
}

static pudle_status make_network(pd_problem *pb)
{
    const pd_settings *st = pb->settings;
    pd_network *net = &pb->net;
    pudle_status s = PUDLE_OK;
    *net = (pd_network){ .ctx = pb->ctx, .be = pb->be, .exec = pb->exec, .dtype = pb->dtype, .prox = pb->prox, .loss = pb->loss,
                         .inner = pb->inner, .layers = st->model.layers, .step = st->step, .beta = st->prox.decay, .encoder = st->model.encoder,
                         .encoder_rows = st->model.encoder_layers ? st->model.layers : 1,
                         .step_rows = st->model.learn_step == PD_STEP_LAYER ? st->model.layers : st->model.learn_step == PD_STEP_GLOBAL,
                         .keeps_gram = st->train.optimizer == PD_OPTIMIZER_ODL, .code_l1 = st->loss.code_l1, .code_l2 = st->loss.code_l2 };
    if (st->dictionary.kind == PD_KIND_CONV)
        s = make_conv(pb);
    else
        pd_map_dense(&net->map, pb->be, pb->train.rank, pb->train.shape, st->dictionary.atoms);
    if (s)
        return s;
    set_weights(pb);
    set_estimator(pb);
    s = check_truth(pb);
    if (!s && (st->fista || st->momentum != 0))
        s = pd_network_momentum(net, st->fista, st->momentum);
    if (!s)
        s = set_levels(pb);
    if (!s)
        s = set_baseline(pb);
    if (!s)
        s = pd_measured_open(pb);
    return s ? s : pd_network_init(net);
}

double pd_problem_atom_norm(const pd_problem *pb)
{
    return pb->settings->dictionary.channel_divisor ? 1.0 / (double)pb->net.map.data_shape[0] : 1.0;
}

pudle_status pd_problem_open(pd_context *ctx, const pd_settings *settings, const pudle_data_info *given, pd_problem *pb)
{
    *pb = (pd_problem){ .ctx = ctx, .settings = settings, .dtype = settings->global.precision ? PUDLE_F64 : PUDLE_F32 };
    if (given)
        pb->train = *given;
    pudle_status s = make_instances(pb);
    if (!s && !given)
        s = describe_data(pb);
    if (!s)
        s = pd_prepare_check(ctx, &settings->data, pb->train.rank, pb->train.shape);
    if (!s)
        s = open_backend(pb);
    if (!s)
        s = make_network(pb);
    if (!s)
        s = pd_atom_prox_open(pb);
    if (s)
        pd_problem_close(pb);
    return s;
}

void pd_problem_close(pd_problem *pb)
{
    if (pb->exec) {
        pd_batch_free(pb);
        pd_atom_prox_close(pb);
        pd_network_fini(&pb->net);
        pb->be->close(pb->exec);
    }
    free(pb->baseline);
    pd_array_free(&pb->true_dictionary);
    pd_array_free(&pb->host_dictionary);
    pd_instance_destroy(pb->ctx, &pb->backend);
    pd_missing_free(pb->inner_gaps, &pb->inner);
    pd_missing_free(pb->gaps, &pb->loss);
    if (pb->own_inner)
        pd_instance_destroy(pb->ctx, &pb->inner);
    pd_instance_destroy(pb->ctx, &pb->loss);
    pd_instance_destroy(pb->ctx, &pb->prox);
    pd_instance_destroy(pb->ctx, &pb->data);
    *pb = (pd_problem){ 0 };
}

/* The largest constant over the training samples, which the encoder descends on. */
static pudle_status lipschitz_of_data(pd_problem *pb, double *most)
{
    const pudle_loss_ops *inner = pb->inner.desc->ops;
    const int64_t n = pb->train.samples, most_at_once = 256, batch_size = pb->settings->train.batch;
    const int64_t block = batch_size > 0 && batch_size < most_at_once ? batch_size : most_at_once; /* no more memory than training takes */
    pudle_status s = PUDLE_OK;
    for (int64_t first = 0; first < n && !s; first += block) {
        pd_batch batch;
        double one = 0;
        s = pd_problem_first(pb, PUDLE_SPLIT_TRAIN, first, n - first < block ? n - first : block, &batch);
        const pudle_cview x = pd_cmatrix(pb->host.x, pb->dtype, s ? 0 : batch.count, pb->net.map.features);
        if (!s)
            s = inner->lipschitz(pb->inner.self, &x, &one);
        *most = !s && one > *most ? one : *most;
    }
    return s;
}

/* A loss may have a constant for any target, or only for targets that are known, as counts of bounded size are. */
static pudle_status find_lipschitz(pd_problem *pb)
{
    const pudle_loss_ops *inner = pb->inner.desc->ops;
    const char *name = pb->inner.desc->name;
    double most = 0;
    pudle_status s = inner->lipschitz(pb->inner.self, NULL, &most);
    if (s == PUDLE_ERR_UNSUPPORTED && pb->source && pb->epoch_free)
        s = lipschitz_of_data(pb, &most);
    if (s && s != PUDLE_ERR_UNSUPPORTED)
        return s;
    if (s)
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.step: the inner loss '%s' has no Lipschitz constant%s, so \"c/L\" has no meaning: give the step "
                       "as a number, or see whether an option bounds the slope of its gradient (pudle plugins info %s)", name,
                       pb->source && pb->epoch_free ? "" : " for samples that are not known beforehand", name);
    if (!(most > 0) || !isfinite(most))
        return pd_fail(pb->ctx, PUDLE_ERR_NUMERIC, "model.step: the Lipschitz constant of the inner loss '%s' is %g: give the step as a number", name, most);
    pb->lipschitz = most;
    return PUDLE_OK;
}

static pudle_status set_step(pd_problem *pb)
{
    if (!pb->settings->step_over_l)
        return PUDLE_OK;
    pudle_status s = pb->lipschitz > 0 ? PUDLE_OK : find_lipschitz(pb);
    if (!s)
        s = pd_network_sigma2(&pb->net, PD_SIGMA_STEP, &pb->sigma2);
    if (s)
        return s;
    if (!(pb->sigma2 > 0) || !isfinite(pb->sigma2))
        return pd_fail(pb->ctx, PUDLE_ERR_NUMERIC, "the largest singular value of %s, D being the dictionary, is %g: no step \"c/L\" can be formed",
                       pd_measured_name(pb), sqrt(pb->sigma2));
    pb->net.step = pb->settings->step / (pb->lipschitz * pb->sigma2);
    return PUDLE_OK;
}

double pd_problem_beta(const pd_problem *pb, int64_t update)
{
    const pd_prox_params *p = &pb->settings->prox;
    return pd_decay_at(p->decay, p->decay_change, p->decay_every, update);
}

pudle_status pd_problem_refresh(pd_problem *pb, double beta)
{
    pb->net.beta = beta;
    pudle_status s = pd_measurement_refresh(&pb->net);
    if (!s)
        s = set_step(pb);
    return s ? s : pd_network_refresh(&pb->net);
}

pudle_status pd_problem_baseline(pd_problem *pb, const pudle_view *predictions)
{
    const pudle_cview c = pudle_const(predictions);
    const int64_t count = pudle_count(&c), m = pb->net.map.features;
    const size_t width = pudle_dtype_size(pb->dtype);
    if (!pb->net.baseline)
        return pb->be->fill(pb->exec, 0.0, predictions);
    void *host = pd_alloc((size_t)count, width);
    if (!host)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for %lld predictions", (long long)(count / m));
    for (int64_t i = 0; i < count; i++)
        pd_put(host, pb->dtype, i, pb->net.baseline[i % m]);
    const pudle_status s = pb->be->upload(pb->exec, predictions->data, host, (size_t)count * width);
    free(host);
    return s;
}

static const pudle_loss_kernel *host_kernel(const pudle_instance *loss)
{
    const pudle_loss_ops *ops = loss->desc->ops;
    return ops->kernels[0]; /* "host", as the registry has checked */
}

bool pd_problem_has_mean(const pd_problem *pb)
{
    const pudle_loss_kernel *kernel = host_kernel(&pb->loss);
    return PUDLE_HAS(kernel, pudle_loss_kernel, mean) && kernel->mean;
}

pudle_status pd_problem_mean(pd_problem *pb, const pudle_view *predictions)
{
    const pudle_view v = pd_map_data_view(&pb->net.map, predictions);
    const pudle_cview c = pudle_const(&v);
    if (!pd_problem_has_mean(pb))
        return PUDLE_OK;
    if (!PUDLE_HAS(pb->be, pudle_backend_ops, loss_mean) || !pb->be->loss_mean)
        return pd_fail(pb->ctx, PUDLE_ERR_UNSUPPORTED, "the backend '%s' cannot give the mean that a prediction of '%s' stands for",
                       pb->backend.desc->name, pb->loss.desc->name);
    return pb->be->loss_mean(pb->exec, &pb->loss, &c, &v);
}
