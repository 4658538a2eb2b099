/* What several options say together: keys that nothing reads, and parts that do not fit each other. */
#include "config/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -------------------------------------------------- options that others decide */

#define ONLY(choice) (1u << (choice))

#define BY_GRADIENT (ONLY(PD_OPTIMIZER_SGD) | ONLY(PD_OPTIMIZER_MOMENTUM) | ONLY(PD_OPTIMIZER_ADAM))

static const pd_rule rules[] = {
    { PD_SECTION_DATA, "scale_floor", PD_SECTION_DATA, "scale", ONLY(PD_SCALE_NORM) | ONLY(PD_SCALE_STD), false, NULL },
    { PD_SECTION_MODEL, "truncate", PD_SECTION_MODEL, "gradient", ONLY(PD_GRADIENT_TRUNCATED), true, "truncate = 5;" },
    { PD_SECTION_MODEL, "ill_conditioned", PD_SECTION_MODEL, "gradient", ONLY(PD_GRADIENT_IMPLICIT) | ONLY(PD_GRADIENT_REFIT), false, NULL },
    { PD_SECTION_MODEL, "measurement", PD_SECTION_DICTIONARY, "kind", ONLY(PD_KIND_DENSE), false, NULL },
    { PD_SECTION_DICTIONARY, "size", PD_SECTION_DICTIONARY, "kind", ONLY(PD_KIND_CONV), true, "size = [9, 9];" },
    { PD_SECTION_DICTIONARY, "stride", PD_SECTION_DICTIONARY, "kind", ONLY(PD_KIND_CONV), false, NULL },
    { PD_SECTION_DICTIONARY, "channels", PD_SECTION_DICTIONARY, "kind", ONLY(PD_KIND_CONV), false, NULL },
    { PD_SECTION_DICTIONARY, "channel_divisor", PD_SECTION_DICTIONARY, "kind", ONLY(PD_KIND_CONV), false, NULL },
    { PD_SECTION_DICTIONARY, "path", PD_SECTION_DICTIONARY, "init", ONLY(PD_INIT_FILE), true, "path = \"dictionary.npy\";" },
    { PD_SECTION_DICTIONARY, "noise", PD_SECTION_DICTIONARY, "init", ONLY(PD_INIT_TRUTH), false, NULL },
    { PD_SECTION_DICTIONARY, "pairs", PD_SECTION_DICTIONARY, "init", ONLY(PD_INIT_PAIRWISE), false, NULL },
    { PD_SECTION_DICTIONARY, "samples", PD_SECTION_DICTIONARY, "init", ONLY(PD_INIT_PAIRWISE), false, NULL },
    { PD_SECTION_DICTIONARY, "sparsity", PD_SECTION_DICTIONARY, "init", ONLY(PD_INIT_PAIRWISE), true, "sparsity = 5;" },
    { PD_SECTION_PROX, "decay_change", PD_SECTION_PROX, "decay_every", ONLY(1), true, "decay_change = -0.005;" },
    { PD_SECTION_TRAIN, "threshold_rate", PD_SECTION_PROX, "learn",
      ONLY(PD_LEARN_GLOBAL) | ONLY(PD_LEARN_ATOM) | ONLY(PD_LEARN_LAYER) | ONLY(PD_LEARN_LAYER_ATOM), false, NULL },
    { PD_SECTION_TRAIN, "learning_rate", PD_SECTION_TRAIN, "optimizer", BY_GRADIENT, false, NULL },
    { PD_SECTION_TRAIN, "weight_decay", PD_SECTION_TRAIN, "optimizer", BY_GRADIENT, false, NULL },
    { PD_SECTION_TRAIN, "schedule", PD_SECTION_TRAIN, "optimizer", BY_GRADIENT, false, NULL },
    { PD_SECTION_TRAIN, "forget", PD_SECTION_TRAIN, "optimizer", ONLY(PD_OPTIMIZER_ODL), false, NULL },
    { PD_SECTION_TRAIN, "prior", PD_SECTION_TRAIN, "optimizer", ONLY(PD_OPTIMIZER_ODL), false, NULL },
    { PD_SECTION_TRAIN, "beta1", PD_SECTION_TRAIN, "optimizer", ONLY(PD_OPTIMIZER_ADAM), false, NULL },
    { PD_SECTION_TRAIN, "beta2", PD_SECTION_TRAIN, "optimizer", ONLY(PD_OPTIMIZER_ADAM), false, NULL },
    { PD_SECTION_TRAIN, "epsilon", PD_SECTION_TRAIN, "optimizer", ONLY(PD_OPTIMIZER_ADAM), false, NULL },
    { PD_SECTION_TRAIN, "momentum", PD_SECTION_TRAIN, "optimizer", ONLY(PD_OPTIMIZER_MOMENTUM), false, NULL },
    { PD_SECTION_TRAIN, "schedule_every", PD_SECTION_TRAIN, "schedule", ONLY(PD_SCHEDULE_STEP), true,
      "schedule_every = 10;" },
    { PD_SECTION_TRAIN, "schedule_factor", PD_SECTION_TRAIN, "schedule", ONLY(PD_SCHEDULE_STEP), false, NULL },
    { PD_SECTION_TRAIN, "schedule_final", PD_SECTION_TRAIN, "schedule", ONLY(PD_SCHEDULE_COSINE), false, NULL },
    { PD_SECTION_TRAIN, "normalize_at", PD_SECTION_TRAIN, "normalize", ONLY(1), false, NULL },
    { PD_SECTION_TRAIN, "tangent", PD_SECTION_TRAIN, "normalize_at", ONLY(PD_NORMALIZE_UPDATE), false, NULL },
    { PD_SECTION_TRAIN, "tangent", PD_SECTION_TRAIN, "optimizer", BY_GRADIENT, false, NULL },
    { PD_SECTION_TRAIN, "revive_every", PD_SECTION_TRAIN, "revive", ONLY(PD_REVIVE_SAMPLES) | ONLY(PD_REVIVE_RESIDUAL), false, NULL },
    { PD_SECTION_TRAIN, "revive_below", PD_SECTION_TRAIN, "revive", ONLY(PD_REVIVE_SAMPLES) | ONLY(PD_REVIVE_RESIDUAL), false, NULL },
};

const pd_rule *pd_rule_of(int section, const char *key)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].section == section && !strcmp(rules[i].key, key))
            return &rules[i];
    return NULL;
}

/* The deciding option as a bit number: the choice of an enum, 1 for true and for integers above 0. */
static int deciding(const pd_settings *settings, const pd_rule *rule, pudle_option *row)
{
    const pd_section *section = &settings->section[rule->by];
    int32_t choice;
    bool yes;
    int64_t integer;
    for (int i = 0; pd_section_row(section, i, row); i++) {
        const char *at = (const char *)section->params + row->offset;
        if (strcmp(row->name, rule->by_key) != 0)
            continue;
        if (row->type == PUDLE_ENUM)
            return memcpy(&choice, at, sizeof choice), choice;
        if (row->type == PUDLE_BOOL)
            return memcpy(&yes, at, sizeof yes), yes;
        return memcpy(&integer, at, sizeof integer), integer > 0;
    }
    return 0;
}

static const pd_rule *against(const pd_settings *settings, int section, const char *key);

/* The rule that keeps this one's option from being read: itself, or one of the option which decides, if that is not read itself. NULL: none. */
static const pd_rule *against_rule(const pd_settings *settings, const pd_rule *rule)
{
    pudle_option row;
    const pd_rule *above = against(settings, rule->by, rule->by_key);
    return above ? above : rule->when >> deciding(settings, rule, &row) & 1u ? NULL : rule;
}

/* The same of all its rules. */
static const pd_rule *against(const pd_settings *settings, int section, const char *key)
{
    const pd_rule *found = NULL;
    for (size_t i = 0; i < sizeof rules / sizeof *rules && !found; i++)
        if (rules[i].section == section && !strcmp(rules[i].key, key))
            found = against_rule(settings, &rules[i]);
    return found;
}

bool pd_is_read(const pd_settings *settings, int section, const char *key)
{
    return !against(settings, section, key);
}

/* `optimizer = "adam"`; several choices are joined with "or". */
static const char *condition(pd_loader *loader, const pd_rule *rule, const pudle_option *row, uint32_t choices)
{
    const char *path = pd_key_path(loader->arena, pd_section_path(rule->by), rule->by_key), *list = NULL, *begin;
    int length;
    if (row->type == PUDLE_BOOL)
        return pd_arena_format(loader->arena, "%s = %s", path, choices & ONLY(1) ? "true" : "false");
    if (row->type != PUDLE_ENUM)
        return pd_arena_format(loader->arena, choices & ONLY(1) ? "%s above 0" : "%s = 0", path);
    for (int i = 0; i < pd_choice(row->choices, i, &begin, &length); i++)
        if (choices & ONLY(i))
            list = pd_arena_format(loader->arena, "%s%s\"%.*s\"", list ? list : "", list ? " or " : "", length, begin);
    return pd_arena_format(loader->arena, "%s = %s", path, list ? list : "");
}

static void apply_rule(pd_loader *loader, const pd_rule *rule)
{
    const pd_entry *given = pd_entry_find(&loader->group[rule->section], rule->key);
    const pd_rule *no = against_rule(loader->settings, rule), *above = pd_rule_of(rule->by, rule->by_key);
    const pd_entry *by = pd_entry_find(&loader->group[rule->by], rule->by_key), *over = above ? pd_entry_find(&loader->group[above->by], above->by_key) : NULL;
    pudle_option row;
    if ((by && by->bad) || (over && over->bad))
        return;
    const int choice = deciding(loader->settings, no ? no : rule, &row);
    if (given && no) {
        const char *wants = condition(loader, no, &row, no->when), *is = condition(loader, no, &row, ONLY(choice));
        pd_report(loader, given->where, "is read only with %s, and here is %s; remove this key or change %s",
                  wants ? wants : "", is ? is : "", no->by_key);
    } else if (!given && !no && rule->needed) {
        const char *is = condition(loader, rule, &row, ONLY(choice));
        pd_report(loader, by ? by->where : loader->group[rule->section].where, "%s needs %s; add  %s", is ? is : "",
                  rule->key, rule->example);
    }
}

/* ------------------------------------------------------------------ parts */

/* Where the value of an option was said: its own line, or, for a default, the group's. */
typedef struct said { const char *where; bool given, bad; } said;

static said where_said(const pd_loader *loader, int section, const char *key)
{
    const pd_entry *entry = pd_entry_find(&loader->group[section], key);
    return (said){ entry ? entry->where : loader->group[section].where, entry != NULL, entry && entry->bad };
}

static void parse_step(pd_loader *loader)
{
    pd_settings *settings = loader->settings;
    const said at = where_said(loader, PD_SECTION_MODEL, "step");
    const char *text = settings->model.step;
    if (!text || at.bad)
        return;
    double value;
    const char *end = pd_decimal(text, &value), *rest = end ? end : "";
    bool over_l = *rest == '/';
    if (over_l) {
        rest += 1 + strspn(rest + 1, " ");
        over_l = *rest == 'L';
        rest += over_l;
        rest += strspn(rest, " ");
    }
    if (!end || *rest) {
        pd_report(loader, at.where,
                  "\"%.80s\" is no step; write a number above 0, or a multiple of 1/L such as \"1/L\" or \"0.9/L\"", text);
    } else if (!isfinite(value) || value <= 0) {
        pd_report(loader, at.where, "the step %.80s must be a finite number above 0; write for instance  step = \"1/L\";",
                  text);
    } else {
        settings->step = value;
        settings->step_over_l = over_l;
    }
}

static void parse_momentum(pd_loader *loader)
{
    pd_settings *settings = loader->settings;
    const said at = where_said(loader, PD_SECTION_MODEL, "momentum");
    const char *text = settings->model.momentum;
    if (!text || at.bad)
        return;
    double value;
    const char *end = pd_decimal(text, &value);
    settings->fista = !strcmp(text, "fista");
    if (settings->fista)
        return;
    if (!end || *end || !(value >= 0 && value < 1))
        pd_report(loader, at.where, "\"%.80s\" is no momentum of layers; write  momentum = \"fista\";  or a number from 0 up to but not 1", text);
    else
        settings->momentum = value;
}

static void parse_memory(pd_loader *loader)
{
    pd_settings *settings = loader->settings;
    const said at = where_said(loader, PD_SECTION_TRAIN, "memory");
    const char *text = settings->train.memory;
    if (text && *text && !at.bad && !pd_parse_bytes(text, &settings->memory))
        pd_report(loader, at.where, "\"%.80s\" is no amount of memory; write a whole number of bytes, or one with K, M or G, such as  memory = \"512M\";", text);
}

static const pudle_desc *desc_of(const pd_loader *loader, int section)
{
    const pd_plugin *plugin = loader->settings->section[section].plugin;
    return plugin ? plugin->desc : NULL;
}

static bool prox_has_derivative(const pudle_desc *desc)
{
    const pudle_prox_ops *ops = desc->ops;
    const pudle_prox_kernel *kernel = ops && ops->kernels ? ops->kernels[0] : NULL;
    return ops && ops->vjp_needs != PUDLE_VJP_NONE && kernel && PUDLE_HAS(kernel, pudle_prox_kernel, vjp) && kernel->vjp;
}

static bool loss_has_hvp(const pudle_desc *desc)
{
    const pudle_loss_ops *ops = desc->ops;
    const pudle_loss_kernel *kernel = ops && ops->kernels ? ops->kernels[0] : NULL;
    return kernel && PUDLE_HAS(kernel, pudle_loss_kernel, hvp) && kernel->hvp;
}

static bool loss_has_lipschitz(const pudle_desc *desc)
{
    const pudle_loss_ops *ops = desc->ops;
    return ops && PUDLE_HAS(ops, pudle_loss_ops, lipschitz) && ops->lipschitz;
}

static bool data_has_truth(const pudle_desc *desc)
{
    return PUDLE_HAS(desc, pudle_desc, get_ext) && desc->get_ext && desc->get_ext(PUDLE_DATA_TRUTH);
}

/* The loss that the encoder descends. */
static const pudle_desc *inner_loss(const pd_loader *loader)
{
    return desc_of(loader, loader->group[PD_SECTION_INNER_LOSS].present ? PD_SECTION_INNER_LOSS : PD_SECTION_LOSS);
}

static bool loss_is_squares(const pudle_desc *desc)
{
    const uint64_t squares = PUDLE_LOSS_QUADRATIC | PUDLE_LOSS_SEPARABLE;
    return (desc->caps & squares) == squares && loss_has_hvp(desc);
}

static const char *const gradients[] = { "dec", "ae", "truncated", "noodl", "oracle", "implicit", "refit" };

static void check_gradient(pd_loader *loader)
{
    const pd_model_params *model = &loader->settings->model;
    const said at = where_said(loader, PD_SECTION_MODEL, "gradient");
    const pudle_desc *prox = desc_of(loader, PD_SECTION_PROX), *loss = inner_loss(loader),
                     *data = desc_of(loader, PD_SECTION_DATA);
    const bool implicit = model->gradient == PD_GRADIENT_IMPLICIT;
    const bool backpropagates = implicit || model->gradient == PD_GRADIENT_AE || model->gradient == PD_GRADIENT_TRUNCATED;
    const char *name = gradients[model->gradient], *note = at.given ? "" : " (the default of gradient)";
    if (at.bad || !loader->group[PD_SECTION_MODEL].present)
        return;
    if (backpropagates && prox && !prox_has_derivative(prox))
        pd_report(loader, at.where,
                  "\"%s\"%s needs a prox with a derivative, and \"%s\" declares none; write  gradient = \"dec\";", name,
                  note, prox->name);
    if (backpropagates && loss && !loss_has_hvp(loss))
        pd_report(loader, at.where,
                  "\"%s\"%s needs second derivatives of the inner loss, and \"%s\" has no hvp; write  gradient = \"dec\";",
                  name, note, loss->name);
    if (implicit && prox && (prox->caps & PUDLE_PROX_SURROGATE))
        pd_report(loader, at.where,
                  "\"implicit\" needs the derivative of the prox itself, and that of \"%s\" is a stand-in; write  gradient = \"ae\";",
                  prox->name);
    if (implicit && prox && (prox->caps & PUDLE_PROX_BATCH_COUPLED))
        pd_report(loader, at.where,
                  "\"implicit\" solves for each sample by itself, and \"%s\" ties the samples of a batch together; write  gradient = \"ae\";",
                  prox->name);
    if (model->gradient == PD_GRADIENT_REFIT && loader->settings->dictionary.kind != PD_KIND_DENSE)
        pd_report(loader, at.where, "\"refit\" solves a small system for each sample, which a dense dictionary has; write  gradient = \"ae\";");
    if (model->gradient == PD_GRADIENT_REFIT && loss && !loss_is_squares(loss))
        pd_report(loader, at.where, "\"refit\" fits codes by least squares, and the inner loss \"%s\" is no sum of squares; write  gradient = \"ae\";", loss->name);
    if (model->gradient == PD_GRADIENT_ORACLE && data && !data_has_truth(data))
        pd_report(loader, at.where,
                  "\"oracle\" needs data that know their true code, and \"%s\" does not; write  gradient = \"ae\";",
                  data->name);
    const said cut = where_said(loader, PD_SECTION_MODEL, "truncate");
    if (model->gradient == PD_GRADIENT_TRUNCATED && cut.given && !cut.bad && model->layers > 0 &&
        model->truncate > model->layers)
        pd_report(loader, cut.where, "%lld is more than the %lld layers there are; lower it, or write  gradient = \"ae\";",
                  (long long)model->truncate, (long long)model->layers);
}

static void check_dictionary(pd_loader *loader)
{
    const pd_dictionary_params *dictionary = &loader->settings->dictionary;
    const said at = where_said(loader, PD_SECTION_DICTIONARY, "init");
    const pudle_desc *data = desc_of(loader, PD_SECTION_DATA);
    if (!at.bad && dictionary->init == PD_INIT_TRUTH && data && !data_has_truth(data))
        pd_report(loader, at.where,
                  "\"truth\" needs data that know their dictionary, and \"%s\" does not; write  init = \"random\";",
                  data->name);
    if (!at.bad && dictionary->kind == PD_KIND_CONV && dictionary->init == PD_INIT_PAIRWISE)
        pd_report(loader, at.where, "a convolutional dictionary starts from random filters, windows of samples, a file or true filters; write  init = \"samples\";");
    const said stride = where_said(loader, PD_SECTION_DICTIONARY, "stride");
    if (dictionary->kind == PD_KIND_CONV && !stride.bad && dictionary->stride.count != 1 &&
        dictionary->stride.count != dictionary->size.count)
        pd_report(loader, stride.given ? stride.where : at.where,
                  "%lld strides for filters with %lld axes; give one number, or one for each axis", (long long)dictionary->stride.count,
                  (long long)dictionary->size.count);
    const said reduction = where_said(loader, PD_SECTION_LOSS, "reduction");
    if (!reduction.bad && loader->settings->loss.reduction != PD_REDUCTION_SUM && dictionary->kind != PD_KIND_CONV)
        pd_report(loader, reduction.where, "means over pixels or channels want a convolutional dictionary; write  reduction = \"sum\";");
    if (dictionary->init == PD_INIT_PAIRWISE && dictionary->atoms > 0 && dictionary->sparsity > dictionary->atoms)
        pd_report(loader, where_said(loader, PD_SECTION_DICTIONARY, "sparsity").where,
                  "%lld nonzeros are more than the %lld atoms; lower it", (long long)dictionary->sparsity,
                  (long long)dictionary->atoms);
}

static void check_step(pd_loader *loader)
{
    const said at = where_said(loader, PD_SECTION_MODEL, "step");
    const pudle_desc *loss = inner_loss(loader);
    if (loader->settings->step_over_l && loss && !loss_has_lipschitz(loss))
        pd_report(loader, at.where,
                  "%s\"%s\" needs a Lipschitz constant of the inner loss, and \"%s\" has none; write a fixed step such as  "
                  "step = 0.1;",
                  at.given ? "" : "the default step ", loader->settings->model.step, loss->name);
}

static void check_offset(pd_loader *loader)
{
    const said at = where_said(loader, PD_SECTION_LOSS, "learn_offset");
    if (!at.bad && loader->settings->loss.learn_offset == PD_OFFSET_ENTRY && loader->settings->dictionary.kind == PD_KIND_CONV)
        pd_report(loader, at.where, "filters know no place of their own, and neither does their baseline; write  learn_offset = \"channel\";");
}

/* Gaps can be passed over by a loss that acts on every entry alone, and alike: one that has made something of its options may hold a number for each. */
static void check_missing(pd_loader *loader)
{
    const said at = where_said(loader, PD_SECTION_LOSS, "missing");
    const pudle_desc *desc[] = { desc_of(loader, PD_SECTION_LOSS), inner_loss(loader) };
    if (at.bad || loader->settings->loss.missing != PD_MISSING_SKIP)
        return;
    for (int i = 0; i < 2; i++)
        if (desc[i] && (i == 0 || desc[i] != desc[0]) && (!(desc[i]->caps & PUDLE_LOSS_SEPARABLE) || desc[i]->create))
            pd_report(loader, at.where, "\"skip\" takes losses that treat every entry alone and alike, and \"%s\" is none%s; remove this key, or choose another loss", desc[i]->name,
                      desc[i]->caps & PUDLE_LOSS_SEPARABLE ? " (should it have weights, 0 passes over an entry)" : "");
}

/* Losses of counts, events and the like take nothing else. */
static void check_domain(pd_loader *loader, const char *where, const pudle_desc *loss)
{
    const pudle_loss_ops *ops = loss ? loss->ops : NULL;
    if (ops && ops->target_domain && *ops->target_domain && strncmp(ops->target_domain, "real", 4) != 0)
        pd_report(loader, where, "samples that are centred or scaled are no targets of the loss \"%s\" (%s); remove center and scale, or choose another loss", loss->name,
                  ops->target_domain);
}

/* What is done to samples must leave them what the other parts take them for. */
static void check_preparation(pd_loader *loader)
{
    const pd_settings *settings = loader->settings;
    const pudle_desc *loss = desc_of(loader, PD_SECTION_LOSS), *inner = inner_loss(loader);
    const said center = where_said(loader, PD_SECTION_DATA, "center"), scale = where_said(loader, PD_SECTION_DATA, "scale"),
               gradient = where_said(loader, PD_SECTION_MODEL, "gradient"), init = where_said(loader, PD_SECTION_DICTIONARY, "init");
    const bool centers = settings->data.center != PD_CENTER_NONE && !center.bad, scales = settings->data.scale != PD_SCALE_NONE && !scale.bad;
    const char *where = centers ? center.where : scale.where;
    if (!centers && !scales)
        return;
    if (settings->data.scale == PD_SCALE_STD && scales && !centers && !center.bad)
        pd_report(loader, scale.where, "a standard deviation is one from a mean, which nothing takes away; write  center = \"sample\";  or  scale = \"norm\";");
    check_domain(loader, where, loss);
    if (inner != loss)
        check_domain(loader, where, inner);
    if (settings->model.gradient == PD_GRADIENT_ORACLE && !gradient.bad)
        pd_report(loader, where, "true codes are those of samples as they come, and gradient = \"oracle\" wants them; remove center and scale, or write  gradient = \"ae\";");
    if (settings->dictionary.init == PD_INIT_TRUTH && !init.bad && centers)
        pd_report(loader, where, "centred samples have another dictionary than the true one that init = \"truth\" begins with; remove center, or write  init = \"random\";");
    if (settings->model.measurement && settings->dictionary.kind == PD_KIND_DENSE && centers)
        pd_report(loader, where, "the matrix of model.measurement has made samples as they come, and centred ones are measured by another; remove center (scale does no harm)");
}

/* Decay pulls along atoms, which are scaled back at once. */
static void check_decay(pd_loader *loader)
{
    const pd_train_params *train = &loader->settings->train;
    const said at = where_said(loader, PD_SECTION_TRAIN, "weight_decay");
    if (at.given && !at.bad && train->weight_decay > 0 && pd_keeps_unit_norm(train))
        pd_log(loader->ctx, PUDLE_LOG_WARNING, "%s: atoms are scaled to unit norm after every update, so that a decay of their length %s; write  normalize = false;  or  weight_decay = 0;",
               at.where, train->tangent || train->optimizer != PD_OPTIMIZER_ADAM ? "comes to nothing" : "is nothing but a drift, as adam makes of it");
}

/* Online dictionary learning solves for D alone, from codes and samples. */
static void check_odl(pd_loader *loader)
{
    const pd_settings *st = loader->settings;
    const said at = where_said(loader, PD_SECTION_TRAIN, "optimizer");
    if (at.bad || st->train.optimizer != PD_OPTIMIZER_ODL)
        return;
    const struct { bool wrong; const char *what, *remedy; } list[] = {
        { st->model.gradient != PD_GRADIENT_DEC, "takes its sums from the decoder's gradient", "model.gradient = \"dec\"" },
        { st->dictionary.kind != PD_KIND_DENSE, "is for dense dictionaries", "train.optimizer = \"adam\"" },
        { !pd_keeps_unit_norm(&st->train), "keeps atoms at unit norm", "train.normalize = true and normalize_at = \"update\"" },
        { st->loss.missing != PD_MISSING_REFUSE, "has no place for gaps", "loss.missing = \"refuse\", or train.optimizer = \"adam\"" },
        { st->model.measurement != NULL, "does not know of measurements", "train.optimizer = \"adam\"" },
        { st->section[PD_SECTION_DICTIONARY_PROX].present, "holds atoms to nothing but unit norm: leave dictionary_prox out, or write", "train.optimizer = \"adam\"" },
        { st->prox.learn != PD_LEARN_NONE, "learns the dictionary alone", "prox.learn = \"none\"" },
        { st->loss.learn_offset != PD_OFFSET_FIXED, "learns the dictionary alone", "loss.learn_offset = \"none\"" },
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (list[i].wrong)
            pd_report(loader, at.where, "odl %s; write  %s", list[i].what, list[i].remedy);
}

static bool has_thresholds(const pudle_desc *desc)
{
    pudle_option row;
    for (int i = 0; pd_option_at(desc, i, &row); i++)
        if (row.flags & PUDLE_THRESHOLD)
            return true;
    return false;
}

/* Levels: what decays, is read from a file or learned must exist, and learning what has no gradient is worth a warning. */
static void check_levels(pd_loader *loader)
{
    static const char *const keys[] = { "decay", "decay_every", "path", "learn" };
    const pd_settings *settings = loader->settings;
    const pd_prox_params *prox = &settings->prox;
    const pudle_desc *desc = desc_of(loader, PD_SECTION_PROX);
    const said learn = where_said(loader, PD_SECTION_PROX, "learn"),
               gradient = where_said(loader, PD_SECTION_MODEL, "gradient");
    const bool asked[] = { prox->decay != 1, prox->decay_every > 0, prox->path != NULL, prox->learn != PD_LEARN_NONE };
    bool learns = prox->learn != PD_LEARN_NONE && !learn.bad;
    if (desc && !has_thresholds(desc)) {
        for (int i = 0; i < 4; i++) {
            const said at = where_said(loader, PD_SECTION_PROX, keys[i]);
            if (asked[i] && at.given && !at.bad)
                pd_report(loader, at.where, "acts on the thresholds of the prox, and \"%s\" has none; remove this key",
                          desc->name);
        }
        learns = false;
    }
    const said path = where_said(loader, PD_SECTION_PROX, "path");
    if (prox->path && !path.bad && settings->multiple && !settings->multiple->found)
        pd_report(loader, path.where, "the levels come from this file, so prox.%s = \"%s\" has no meaning; remove one of them", settings->multiple->level,
                  settings->multiple->text);
    const pd_model_params *model = &settings->model;
    const bool no_gradient = model->gradient == PD_GRADIENT_DEC || model->gradient == PD_GRADIENT_NOODL ||
                             model->gradient == PD_GRADIENT_ORACLE || model->gradient == PD_GRADIENT_REFIT ||
                             (model->gradient == PD_GRADIENT_TRUNCATED && model->truncate == 0 &&
                              where_said(loader, PD_SECTION_MODEL, "truncate").given);
    if (learns && !gradient.bad && no_gradient)
        /* well defined, and what an estimator study may want to see, so not an error */
        pd_log(loader->ctx, PUDLE_LOG_WARNING,
               "%s: the gradient of the thresholds is zero with model.gradient = \"%s\"%s: they stay where they start",
               learn.where, gradients[model->gradient], model->gradient == PD_GRADIENT_TRUNCATED ? " and truncate = 0" : "");
    if (learns && model->gradient == PD_GRADIENT_IMPLICIT && (prox->learn == PD_LEARN_LAYER || prox->learn == PD_LEARN_LAYER_ATOM))
        pd_report(loader, learn.where, "an implicit gradient is that of a fixed point, which knows one layer only; write  learn = \"%s\";  or  "
                  "model.gradient = \"ae\";", prox->learn == PD_LEARN_LAYER ? "global" : "atom");
    if (learns && (prox->learn == PD_LEARN_LAYER || prox->learn == PD_LEARN_LAYER_ATOM) && prox->decay_every > 0)
        pd_report(loader, where_said(loader, PD_SECTION_PROX, "decay_every").where,
                  "a decay that changes and levels learned for every layer "
                  "work against each other; remove decay_every, or write  learn = \"global\";");
}

static const char *where_of(const pd_loader *loader, const char *level)
{
    return pd_key_path(loader->arena, pd_section_path(PD_SECTION_PROX), level);
}

/* A level of the prox and an option of the loss that are called the same are mostly one number of one objective. Where the prox's is written and the loss's is
 * not, the two may differ unnoticed. */
static void note_namesakes(const pd_loader *loader)
{
    const pd_section *prox = &loader->settings->section[PD_SECTION_PROX], *loss = &loader->settings->section[PD_SECTION_LOSS];
    pudle_option level, option;
    for (int i = 0; prox->plugin && loss->plugin && prox->plugin_params && loss->plugin_params && pd_option_at(prox->plugin->desc, i, &level); i++)
        for (int k = 0; (level.flags & PUDLE_THRESHOLD) && pd_option_at(loss->plugin->desc, k, &option); k++) {
            double of_prox, of_loss;
            char exact[40];
            if (strcmp(level.name, option.name) || option.type != PUDLE_REAL || !where_said(loader, PD_SECTION_PROX, level.name).given ||
                where_said(loader, PD_SECTION_LOSS, level.name).given)
                continue;
            memcpy(&of_prox, (const char *)prox->plugin_params + level.offset, sizeof of_prox);
            memcpy(&of_loss, (const char *)loss->plugin_params + option.offset, sizeof of_loss);
            pd_real_literal(of_prox, exact);
            const char *multiple = pd_settings_multiple(loader->settings, where_of(loader, level.name));
            if (multiple || of_prox != of_loss)
                pd_log(loader->ctx, PUDLE_LOG_WARNING, "loss.%s = %g is a default, and prox.%s is %s: if the loss is to be what the encoder minimises, let it follow; "
                       "--set loss.%s=prox.%s", level.name, of_loss, level.name, multiple ? multiple : exact, level.name, level.name);
        }
}

/* Encoders of their own: what is learned must be reached by the gradient, and have one meaning. */
static void check_encoder(pd_loader *loader)
{
    const pd_settings *settings = loader->settings;
    const pd_model_params *model = &settings->model;
    const said encoder = where_said(loader, PD_SECTION_MODEL, "encoder"), layers = where_said(loader, PD_SECTION_MODEL, "encoder_layers"),
               path = where_said(loader, PD_SECTION_MODEL, "encoder_path"), step = where_said(loader, PD_SECTION_MODEL, "learn_step"),
               gradient = where_said(loader, PD_SECTION_MODEL, "gradient");
    const bool tied = model->encoder == 0, learns = (!tied && !encoder.bad) || (model->learn_step != PD_STEP_FIXED && !step.bad);
    if (tied && !encoder.bad && model->encoder_layers && !layers.bad)
        pd_report(loader, layers.where, "tied layers all have the weights of D; write  encoder = \"untied\";  or remove this key");
    if (tied && !encoder.bad && model->encoder_path && !path.bad)
        pd_report(loader, path.where, "a tied encoder has no weights of its own to start; write  encoder = \"untied\";  or remove this key");
    if (model->learn_step != PD_STEP_FIXED && !step.bad && settings->step_over_l)
        pd_report(loader, step.where, "a step that is learned cannot follow L at the same time; write a number, such as  step = 0.1;");
    if (learns && !gradient.bad && model->gradient != PD_GRADIENT_AE && model->gradient != PD_GRADIENT_TRUNCATED)
        pd_report(loader, gradient.where, "\"%s\" does not reach the encoder, whose own weights or step would stay where they start; write  "
                  "gradient = \"ae\";", gradients[model->gradient]);
}

/* Atoms that are made of samples have the length of these, and not of signals. */
static void check_measurement(pd_loader *loader)
{
    const pd_settings *settings = loader->settings;
    const said at = where_said(loader, PD_SECTION_MODEL, "measurement"), init = where_said(loader, PD_SECTION_DICTIONARY, "init"),
               revive = where_said(loader, PD_SECTION_TRAIN, "revive");
    if (!settings->model.measurement || at.bad || settings->dictionary.kind != PD_KIND_DENSE)
        return;
    if (!init.bad && (settings->dictionary.init == PD_INIT_SAMPLES || settings->dictionary.init == PD_INIT_PAIRWISE))
        pd_report(loader, init.where, "atoms cannot begin as samples, which with model.measurement are measurements and no signals; write  init = \"random\";");
    if (!revive.bad && settings->train.revive != PD_REVIVE_NONE)
        pd_report(loader, revive.where, "dead atoms cannot become samples, which with model.measurement are measurements and no signals; write  revive = \"none\";");
}

static void check_train(pd_loader *loader)
{
    const pd_train_params *train = &loader->settings->train;
    const said epochs = where_said(loader, PD_SECTION_TRAIN, "epochs"),
               updates = where_said(loader, PD_SECTION_TRAIN, "updates");
    const said schedule = where_said(loader, PD_SECTION_TRAIN, "schedule");
    /* both at 0 is what a config without them resolves to: everything but training works */
    if (train->epochs == 0 && train->updates == 0 && !epochs.bad && !updates.bad && epochs.given && !updates.given)
        pd_report(loader, epochs.where,
                  "0 epochs and no limit of updates leave nothing to stop at; write  epochs = 10;  or  updates = 1000;");
    if (train->schedule == PD_SCHEDULE_COSINE && train->epochs == 0 && train->updates > 0 && !schedule.bad && !epochs.bad)
        pd_report(loader, schedule.where, "\"cosine\" spans the run's epochs, and epochs is 0; write  epochs = 10;");
}

void pd_rules(pd_loader *loader)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (!loader->group[rules[i].section].scalar &&
            (loader->group[rules[i].section].present || rules[i].section == PD_SECTION_TRAIN))
            apply_rule(loader, &rules[i]);
    if (loader->group[PD_SECTION_MODEL].present && !loader->group[PD_SECTION_MODEL].scalar) {
        parse_step(loader);
        parse_momentum(loader);
        check_gradient(loader);
        check_step(loader);
        check_encoder(loader);
    }
    check_dictionary(loader);
    check_offset(loader);
    check_missing(loader);
    check_preparation(loader);
    check_decay(loader);
    check_odl(loader);
    check_measurement(loader);
    check_levels(loader);
    note_namesakes(loader);
    parse_memory(loader);
    check_train(loader);
}
