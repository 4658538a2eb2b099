/* The core's own options, one table a section. Defaults, ranges and meanings live here and nowhere else. */
#include "config/settings.h"

#include <math.h>
#include <stddef.h>

#define END { .name = NULL }
#define AT(type, member) .offset = (uint32_t)offsetof(type, member)

static const pudle_option global_table[] = {
    { .name = "precision", .type = PUDLE_ENUM, AT(pd_global_params, precision), .dflt = "f32", .choices = "f32|f64",
      .doc = "Floating-point type of all arrays; f64 for studies of convergence, f32 for speed." },
    { .name = "plugin_path", .type = PUDLE_STRING, AT(pd_global_params, plugin_path),
      .doc = "More folders to look for plugins in, absolute, separated by colons." },
    END
};

static const pudle_option data_table[] = {
    { .name = "center", .type = PUDLE_ENUM, AT(pd_data_params, center), .dflt = "none", .choices = "none|sample|channel",
      .doc = "Taken away from every sample, whatever its source: its mean (sample), or from each channel, the first axis of a sample, the mean of that channel (channel). "
             "Targets lose what their samples lose. Everything that is told of samples, reconstructions among it, is then told of what is left of them." },
    { .name = "scale", .type = PUDLE_ENUM, AT(pd_data_params, scale), .dflt = "none", .choices = "none|norm|std",
      .doc = "What every sample, once centred, and its target with it, is divided by: its Euclidean norm (norm), or its standard deviation (std), the root mean square of what "
             "center leaves. Entries that are missing (NaN) count neither here nor in means." },
    { .name = "scale_floor", .type = PUDLE_REAL, AT(pd_data_params, scale_floor), .dflt = "0.0", .max = INFINITY, .flags = PUDLE_OPEN_MAX,
      .doc = "Samples whose norm or standard deviation is less are divided by this instead, so that the noise of nearly constant ones is not enlarged to the size of the others; "
             "for pictures in [0, 1] and scale = \"std\" some hundredths. Samples that center makes zeros, constant ones, stay zeros." },
    END
};

static const pudle_option model_table[] = {
    { .name = "layers", .type = PUDLE_INT, .flags = PUDLE_REQUIRED, AT(pd_model_params, layers), .min = 1, .max = 1e6,
      .doc = "Number T of unrolled layers, that is iterations of the encoder." },
    { .name = "step", .type = PUDLE_TEXT, AT(pd_model_params, step), .dflt = "1/L",
      .doc = "Step alpha of every layer: a number above 0, or \"c/L\" with L the Lipschitz constant of the inner gradient, "
             "recomputed as the dictionary changes (\"1/L\", \"0.9/L\")." },
    { .name = "momentum", .type = PUDLE_TEXT, AT(pd_model_params, momentum), .dflt = "0",
      .doc = "Extrapolation between layers: layer t+1 begins at y_t = z_t + b_t (z_t - z_{t-1}) instead of z_t. \"fista\" takes b_t = (s_t - 1) / s_{t+1} of "
             "FISTA (s_1 = 1, s_{t+1} = (1 + sqrt(1 + 4 s_t^2)) / 2), whose bounds want a step of at most 1/L; a number from 0 up to but not 1 is b of every "
             "layer; 0 is plain proximal gradient descent." },
    { .name = "gradient", .type = PUDLE_ENUM, AT(pd_model_params, gradient), .dflt = "ae",
      .choices = "dec|ae|truncated|noodl|oracle|implicit|refit",
      .doc = "Gradient estimator of the dictionary: dec (decoder only), ae (backpropagation through all layers), "
             "truncated (through the last ones), noodl (signs of the code), oracle (g* at the true code; "
             "needs data that know it), implicit (what ae tends to with the number of layers, in closed form and without a tape: "
             "exact at converged codes, so give enough layers), refit (dec at the code fitted again, by least squares, on the atoms that the "
             "encoder has chosen: without the shrinkage of its threshold)." },
    { .name = "truncate", .type = PUDLE_INT, AT(pd_model_params, truncate), .max = 1e6,
      .doc = "Layers that gradient = \"truncated\" reaches back through; 0 is the same as dec." },
    { .name = "ill_conditioned", .type = PUDLE_ENUM, AT(pd_model_params, ill_conditioned), .dflt = "stop", .choices = "stop|skip",
      .doc = "gradient = \"implicit\" or \"refit\": what to do with a sample whose code uses atoms too close to dependent (condition number above 1e12): "
             "stop with an error that names it, or skip the part of its gradient that goes through the code, which leaves that of dec, and warn." },
    { .name = "encoder", .type = PUDLE_ENUM, AT(pd_model_params, encoder), .dflt = "tied", .choices = "tied|analysis|untied",
      .doc = "Weights of a layer v = z - step E' grad l(B z; x): tied (E = B = D), analysis (E is learned by itself, B = D), untied "
             "(E and B are learned by themselves, D is the decoder's)." },
    { .name = "encoder_layers", .type = PUDLE_BOOL, AT(pd_model_params, encoder_layers), .dflt = "false",
      .doc = "Each layer has weights E, B of its own, instead of all layers the same." },
    { .name = "encoder_path", .type = PUDLE_PATH, AT(pd_model_params, encoder_path),
      .doc = "A .npz with initial weights, arrays \"analysis\" and, if untied, \"synthesis\": shaped (1 or layers, shape of D, or of A D, ...), as encoder.npz "
             "of a run; without it they start as copies of D." },
    { .name = "learn_step", .type = PUDLE_ENUM, AT(pd_model_params, learn_step), .dflt = "none", .choices = "none|global|layer",
      .doc = "Learn the step: one for all layers, or one for each. It stays between 1/1000 and 1000 times its start. A prox that uses the step beside "
             "its levels is differentiated through the levels only." },
    { .name = "measurement", .type = PUDLE_PATH, AT(pd_model_params, measurement),
      .doc = "The samples are measurements x = A D z of signals D z by this known matrix A, (entries of a sample, entries of a signal): a .npy file, or an array of "
             "an .npz as \"file.npz:name\". The dictionary is that of the signals, and the layers work with A D." },
    END
};

static const pudle_option dictionary_table[] = {
    { .name = "kind", .type = PUDLE_ENUM, AT(pd_dictionary_params, kind), .dflt = "dense", .choices = "dense|conv",
      .doc = "The linear map from code to data: dense is a matrix D (features, atoms); conv is filters (atoms, channels, size...) placed at "
             "every stride-th position." },
    { .name = "atoms", .type = PUDLE_INT, .flags = PUDLE_REQUIRED, AT(pd_dictionary_params, atoms), .min = 1, .max = 1e9,
      .doc = "Number p of atoms." },
    { .name = "size", .type = PUDLE_INT_LIST, AT(pd_dictionary_params, size), .min = 1, .max = 1e6,
      .doc = "kind = \"conv\": size of a filter along each axis of the data, [9, 9] for images, [25] for signals." },
    { .name = "stride", .type = PUDLE_INT_LIST, AT(pd_dictionary_params, stride), .dflt = "[1]", .min = 1, .max = 1e6,
      .doc = "kind = \"conv\": distance between neighbouring positions of a filter; one number, or one for each axis." },
    { .name = "channels", .type = PUDLE_INT, AT(pd_dictionary_params, channels), .dflt = "0", .min = 0, .max = 1e6,
      .doc = "kind = \"conv\": channels of the data; 0: as many as it has." },
    { .name = "channel_divisor", .type = PUDLE_BOOL, AT(pd_dictionary_params, channel_divisor), .dflt = "false",
      .doc = "kind = \"conv\": filters are scaled to Frobenius norm 1 / channels instead of 1." },
    { .name = "init", .type = PUDLE_ENUM, AT(pd_dictionary_params, init), .dflt = "random",
      .choices = "random|samples|file|truth|pairwise",
      .doc = "Where the dictionary starts: random (Gaussian, unit columns), samples (training samples, unit columns; of filters windows of them), "
             "file (path), truth (the dictionary that made the data, plus noise), pairwise (Arora et al. 2015, "
             "from pairs of samples)." },
    { .name = "path", .type = PUDLE_PATH, AT(pd_dictionary_params, path),
      .doc = "init = \"file\": a .npy file, or an array of an .npz as \"file.npz:name\"." },
    { .name = "noise", .type = PUDLE_REAL, AT(pd_dictionary_params, noise), .dflt = "0.0", .max = INFINITY,
      .doc = "init = \"truth\": standard deviation of the Gaussian noise added to every entry before columns are "
             "normalised." },
    { .name = "pairs", .type = PUDLE_INT, AT(pd_dictionary_params, pairs), .dflt = "1000", .min = 1, .max = 1e9,
      .doc = "init = \"pairwise\": candidate pairs of samples tried." },
    { .name = "samples", .type = PUDLE_INT, AT(pd_dictionary_params, samples), .dflt = "50000", .min = 1, .max = 1e12,
      .doc = "init = \"pairwise\": samples that the moments are taken over, at most those there are." },
    { .name = "sparsity", .type = PUDLE_INT, AT(pd_dictionary_params, sparsity), .min = 1, .max = 1e9,
      .doc = "init = \"pairwise\": nonzeros of a code that the acceptance test assumes." },
    END
};

static const pudle_option prox_table[] = {
    { .name = "decay", .type = PUDLE_REAL, .flags = PUDLE_OPEN_MIN, AT(pd_prox_params, decay), .dflt = "1.0",
      .max = INFINITY,
      .doc = "beta: the levels of layer t are multiplied by beta^(t-1)." },
    { .name = "decay_change", .type = PUDLE_REAL, AT(pd_prox_params, decay_change), .dflt = "0.0",
      .doc = "Added to beta every decay_every updates; negative to let it fall." },
    { .name = "decay_every", .type = PUDLE_INT, AT(pd_prox_params, decay_every), .dflt = "0", .max = 1e18, .unit = "updates",
      .doc = "How often beta changes by decay_change; 0: never." },
    { .name = "learn", .type = PUDLE_ENUM, AT(pd_prox_params, learn), .dflt = "none",
      .choices = "none|global|atom|layer|layer_atom",
      .doc = "Learn the levels: one for all, one per atom, one per layer, one per layer and atom. A loss that puts no price on the code "
             "learns thresholds away: give it one (loss.code_l1, or a loss with a penalty). What is learned, and what metrics.csv and thresholds.npz hold, is the "
             "level as the prox takes it: step * lambda where the option scales with the step, and it does not follow a step that changes later (\"c/L\")." },
    { .name = "path", .type = PUDLE_PATH, AT(pd_prox_params, path),
      .doc = "A .npy file with initial levels, in the shape that learn asks for, as the prox takes them: where the option scales with the step, numbers of "
             "the size of step * lambda, not of lambda. Without it every level starts at its option's value (times the step)." },
    { .name = "multiple", .type = PUDLE_STRING, AT(pd_prox_params, multiple),
      .doc = "Written by a run for a level that its config gave as a multiple of the critical value, such as lambda = \"0.1*max\", which becomes a number when "
             "training begins: what it was. Not to be given." },
    END
};

static const pudle_option train_table[] = {
    { .name = "optimizer", .type = PUDLE_ENUM, AT(pd_train_params, optimizer), .dflt = "adam",
      .choices = "sgd|momentum|adam|odl",
      .doc = "How the dictionary is updated. sgd, momentum and adam follow the gradient. odl is online dictionary learning (Mairal, Bach, Ponce, Sapiro 2009), the "
             "baseline: sums A of z z' and B of x z' over the batches so far, and one round of block coordinate descent on 1/2 tr(D'D A) - tr(D'B), atom by atom and each at "
             "unit norm; for gradient = \"dec\", least squares and dense dictionaries. It has no learning rate, and every lane holds atoms x atoms numbers." },
    { .name = "learning_rate", .type = PUDLE_REAL, AT(pd_train_params, learning_rate), .dflt = "1e-3",
      .flags = PUDLE_OPEN_MIN,
      .max = INFINITY, .doc = "Length of an update of the dictionary." },
    { .name = "threshold_rate", .type = PUDLE_REAL, AT(pd_train_params, threshold_rate), .dflt = "0.0", .max = INFINITY,
      .doc = "The same for learned levels; 0: learning_rate." },
    { .name = "beta1", .type = PUDLE_REAL, AT(pd_train_params, beta1), .dflt = "0.9", .max = 1, .flags = PUDLE_OPEN_MAX,
      .doc = "adam: memory of the mean of the gradient." },
    { .name = "beta2", .type = PUDLE_REAL, AT(pd_train_params, beta2), .dflt = "0.999", .max = 1, .flags = PUDLE_OPEN_MAX,
      .doc = "adam: memory of its mean square." },
    { .name = "epsilon", .type = PUDLE_REAL, AT(pd_train_params, epsilon), .dflt = "1e-8", .max = INFINITY,
      .flags = PUDLE_OPEN_MIN,
      .doc = "adam: added to the root of the mean square; large values make it a near-gradient step." },
    { .name = "momentum", .type = PUDLE_REAL, AT(pd_train_params, momentum), .dflt = "0.9", .max = 1,
      .flags = PUDLE_OPEN_MAX,
      .doc = "momentum: share of the last update that is kept." },
    { .name = "forget", .type = PUDLE_REAL, AT(pd_train_params, forget), .dflt = "0.0", .max = INFINITY, .flags = PUDLE_OPEN_MAX,
      .doc = "odl: before update t adds its batch, what A and B have is multiplied by (1 - 1/(t + prior))^forget. 0 weighs all batches alike, so early codes are never forgotten; 1e9 "
             "leaves the present batch alone, which with all samples in it is alternating minimisation (MOD)." },
    { .name = "prior", .type = PUDLE_REAL, AT(pd_train_params, prior), .dflt = "10.0", .max = INFINITY, .flags = PUDLE_OPEN_MAX, .unit = "batches",
      .doc = "odl: how many batches the dictionary that it begins with counts for: A begins as w I and B as w D, w being prior times the mean of z_j^2 in the first batch that has codes. With 0 an atom "
             "that few codes have used jumps to what these leave, mistakes and all." },
    { .name = "weight_decay", .type = PUDLE_REAL, AT(pd_train_params, weight_decay), .dflt = "0.0", .max = INFINITY,
      .doc = "Adds weight_decay * D to the batch-mean gradient (the loss shown leaves it out). The omega of the paper's Theorem 5.1, whose "
             "sum runs over all n samples, is n * weight_decay, with normalize = false." },
    { .name = "schedule", .type = PUDLE_ENUM, AT(pd_train_params, schedule), .dflt = "constant",
      .choices = "constant|step|cosine",
      .doc = "How the rates change: step multiplies them by schedule_factor every schedule_every epochs, cosine takes "
             "them to "
             "schedule_final over the run's epochs." },
    { .name = "schedule_every", .type = PUDLE_INT, AT(pd_train_params, schedule_every), .min = 1, .max = 1e18,
      .unit = "epochs",
      .doc = "schedule = \"step\": epochs between two steps." },
    { .name = "schedule_factor", .type = PUDLE_REAL, AT(pd_train_params, schedule_factor), .dflt = "0.1", .max = INFINITY,
      .flags = PUDLE_OPEN_MIN, .doc = "schedule = \"step\": what the rates are multiplied by." },
    { .name = "schedule_final", .type = PUDLE_REAL, AT(pd_train_params, schedule_final), .dflt = "0.0", .max = INFINITY,
      .doc = "schedule = \"cosine\": the rate of the last epoch." },
    { .name = "epochs", .type = PUDLE_INT, AT(pd_train_params, epochs), .dflt = "0", .max = 1e18, .unit = "epochs",
      .doc = "Passes over the training samples; 0: as many as updates allows. To train, one of the two must be given." },
    { .name = "updates", .type = PUDLE_INT, AT(pd_train_params, updates), .dflt = "0", .max = 1e18, .unit = "updates",
      .doc = "Stop after so many updates; 0: as many as epochs take." },
    { .name = "batch", .type = PUDLE_INT, AT(pd_train_params, batch), .dflt = "0", .max = 1e12, .unit = "samples",
      .doc = "Samples in an update; 0: all of them." },
    { .name = "shuffle", .type = PUDLE_BOOL, AT(pd_train_params, shuffle), .dflt = "true",
      .doc = "Visit samples in a new random order every epoch." },
    { .name = "normalize", .type = PUDLE_BOOL, AT(pd_train_params, normalize), .dflt = "true",
      .doc = "Keep every atom at unit norm." },
    { .name = "normalize_at", .type = PUDLE_ENUM, AT(pd_train_params, normalize_at), .dflt = "update",
      .choices = "update|end",
      .doc = "When atoms are scaled to unit norm: after every update, or once at the end of training." },
    { .name = "tangent", .type = PUDLE_BOOL, AT(pd_train_params, tangent), .dflt = "true",
      .doc = "Where atoms are scaled to unit norm after every update: take the part along each atom out of its gradient, before the optimiser sees it. Scaling undoes that "
             "part of a plain step, but adam, which treats every entry by itself, makes a drift of it that does not lower the loss. false: as the paper's code does." },
    { .name = "revive", .type = PUDLE_ENUM, AT(pd_train_params, revive), .dflt = "none", .choices = "none|samples|residual",
      .doc = "What becomes of dead atoms, those that no code uses, between two epochs: none (they stay), samples (each becomes a training sample drawn at random), "
             "residual (what D leaves of the samples that it explains worst, one sample an atom, without what these have in common). Samples resemble each other: "
             "give them a step \"c/L\". Column dead of metrics.csv counts dead atoms." },
    { .name = "revive_every", .type = PUDLE_INT, AT(pd_train_params, revive_every), .dflt = "1", .min = 1, .max = 1e18, .unit = "epochs",
      .doc = "revive: how often dead atoms are looked for." },
    { .name = "revive_below", .type = PUDLE_REAL, AT(pd_train_params, revive_below), .dflt = "0.0", .max = 1, .flags = PUDLE_OPEN_MAX,
      .doc = "revive: an atom is dead that no larger share of the training samples uses (of at most 10000 of them, evenly spaced); 0: none of them." },
    { .name = "seed", .type = PUDLE_INT, AT(pd_train_params, seed), .dflt = "0", .max = INFINITY,
      .doc = "Seed of everything random: the same seed gives the same run." },
    { .name = "checkpoint_every", .type = PUDLE_INT, AT(pd_train_params, checkpoint_every), .dflt = "0", .max = 1e18,
      .unit = "updates",
      .doc = "How often the state is saved; 0: at the end of an epoch, at most every 10 seconds." },
    { .name = "snapshot_every", .type = PUDLE_INT, AT(pd_train_params, snapshot_every), .dflt = "0", .max = 1e18, .unit = "epochs",
      .doc = "How often the dictionary is kept as dictionary_EPOCH.npy; 0: only at the end." },
    { .name = "test_every", .type = PUDLE_INT, AT(pd_train_params, test_every), .dflt = "0", .max = 1e18, .unit = "epochs",
      .doc = "How often the loss of the data's test samples is found, a row of test.csv each; before the first epoch, too, and at the end; 0: never. What is "
             "learned does not depend on it." },
    { .name = "dictionary_error", .type = PUDLE_ENUM, AT(pd_train_params, dictionary_error), .dflt = "ordered", .choices = "ordered|assigned",
      .doc = "How metrics.csv compares the dictionary with the one that made the data, where that is known: atom by atom in their order (ordered), or after the best "
             "order and signs, and of filters the best lags (assigned), for dictionaries that did not start from the truth; that takes a linear assignment of all atoms each "
             "row, and of filters their correlations at all lags." },
    { .name = "log_every", .type = PUDLE_INT, AT(pd_train_params, log_every), .dflt = "1", .min = 1, .max = 1e18,
      .unit = "updates",
      .doc = "How often a row of metrics is written." },
    { .name = "memory", .type = PUDLE_STRING, AT(pd_train_params, memory), .dflt = "",
      .doc = "Most memory for the network's workspaces while it trains, as \"512M\" or \"2G\"; empty: what is fastest. Blocks become smaller, layers are "
             "computed again on the way back instead of being kept, and lanes become fewer, as it takes. Dictionary, optimiser and data come on top, and "
             "so does what the tape of a backend's own encoder needs beyond what it plans for: training warns of it." },
    END
};

static const pudle_option loss_table[] = {
    { .name = "reduction", .type = PUDLE_ENUM, AT(pd_loss_params, reduction), .dflt = "sum", .choices = "sum|mean|channels",
      .doc = "sum: over the entries of a sample, mean over the batch. For kind = \"conv\" also mean: the data's part summed over channels, "
             "mean over batch and pixels, the code's part summed over filters, mean over batch and positions; and channels: the data's part "
             "mean over batch and channels, the code's part mean over batch and filters. The encoder always sums." },
    { .name = "code_l1", .type = PUDLE_REAL, AT(pd_loss_params, code_l1), .dflt = "0.0", .max = INFINITY, .flags = PUDLE_OPEN_MAX,
      .doc = "Adds code_l1 * ||z_T||_1 to the training loss, whichever it is: g_ae of any likelihood with the penalty in its objective. This and every number of a loss "
             "may follow one of the prox: code_l1 = \"prox.lambda\"." },
    { .name = "code_l2", .type = PUDLE_REAL, AT(pd_loss_params, code_l2), .dflt = "0.0", .max = INFINITY, .flags = PUDLE_OPEN_MAX,
      .doc = "Adds code_l2 / 2 * ||z_T||^2 to the training loss: the penalty of an encoder whose prox divides by 1 + step * code_l2. With both, an elastic net." },
    { .name = "offset", .type = PUDLE_REAL, AT(pd_loss_params, offset), .dflt = "0.0",
      .doc = "Baseline a of the prediction, D z + a, in encoder and decoder alike: what a code of zeros stands for, such as the log of a "
             "constant rate." },
    { .name = "offset_path", .type = PUDLE_PATH, AT(pd_loss_params, offset_path),
      .doc = "Added to offset: a .npy file, or an array of an .npz as \"file.npz:name\", with one number for every entry of a sample, or "
             "one for every channel." },
    { .name = "learn_offset", .type = PUDLE_ENUM, AT(pd_loss_params, learn_offset), .dflt = "none", .choices = "none|entry|channel|global",
      .doc = "Learn the baseline, from where offset and offset_path have it: one number for every entry of a sample, one for every channel (the first axis of a "
             "sample), or one for all. With the learning rate of the dictionary. A run writes the whole of it to offset.npy, which is an offset_path beside offset = 0." },
    { .name = "missing", .type = PUDLE_ENUM, AT(pd_loss_params, missing), .dflt = "refuse", .choices = "refuse|skip",
      .doc = "What a NaN in the data is: refuse stops and names it, unless the loss itself knows gaps; skip takes it for an entry that is missing, which adds "
             "nothing to the loss and pulls nowhere, in the training loss and in the encoder's. For losses that act on every entry alone. A source may want to be told "
             "as well: data of \"npy\" has its own missing = true." },
    END
};

static const pudle_option empty_table[] = { END };

static const struct { const char *path; int32_t kind; const pudle_option *table; } sections[PD_SECTIONS] = {
    [PD_SECTION_GLOBAL] = { "", 0, global_table },
    [PD_SECTION_BACKEND] = { "backend", PUDLE_KIND_BACKEND, empty_table },
    [PD_SECTION_DATA] = { "data", PUDLE_KIND_DATA, data_table },
    [PD_SECTION_MODEL] = { "model", 0, model_table },
    [PD_SECTION_DICTIONARY] = { "model.dictionary", 0, dictionary_table },
    [PD_SECTION_PROX] = { "prox", PUDLE_KIND_PROX, prox_table },
    [PD_SECTION_LOSS] = { "loss", PUDLE_KIND_LOSS, loss_table },
    [PD_SECTION_INNER_LOSS] = { "inner_loss", PUDLE_KIND_LOSS, empty_table },
    [PD_SECTION_DICTIONARY_PROX] = { "dictionary_prox", PUDLE_KIND_PROX, empty_table },
    [PD_SECTION_TRAIN] = { "train", 0, train_table },
};

const pudle_option *pd_core_table(int section)
{
    return section >= 0 && section < PD_SECTIONS ? sections[section].table : NULL;
}

const char *pd_section_path(int section)
{
    return section >= 0 && section < PD_SECTIONS ? sections[section].path : NULL;
}

int32_t pd_section_kind(int section)
{
    return section >= 0 && section < PD_SECTIONS ? sections[section].kind : 0;
}
