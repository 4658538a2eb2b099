/* core/config/settings.h - a config file, validated and typed.
 *
 * Each group of a config (model, prox, train ...) is a section: rows of the core's own option table, and, where the group
 * names a plugin, the rows of that plugin's table. Both fill plain structs. Nothing outside core/config sees libconfig. */
#ifndef PD_SETTINGS_H
#define PD_SETTINGS_H

#include "context.h"
#include "plugin/registry.h"

enum { PD_GRADIENT_DEC, PD_GRADIENT_AE, PD_GRADIENT_TRUNCATED, PD_GRADIENT_NOODL, PD_GRADIENT_ORACLE, PD_GRADIENT_IMPLICIT, PD_GRADIENT_REFIT };
enum { PD_ILL_STOP, PD_ILL_SKIP };
enum { PD_KIND_DENSE, PD_KIND_CONV };
enum { PD_REDUCTION_SUM, PD_REDUCTION_MEAN, PD_REDUCTION_CHANNELS };
enum { PD_OFFSET_FIXED, PD_OFFSET_ENTRY, PD_OFFSET_CHANNEL, PD_OFFSET_GLOBAL };
enum { PD_MISSING_REFUSE, PD_MISSING_SKIP };
enum { PD_CENTER_NONE, PD_CENTER_SAMPLE, PD_CENTER_CHANNEL };
enum { PD_SCALE_NONE, PD_SCALE_NORM, PD_SCALE_STD };
enum { PD_INIT_RANDOM, PD_INIT_SAMPLES, PD_INIT_FILE, PD_INIT_TRUTH, PD_INIT_PAIRWISE };
enum { PD_LEARN_NONE, PD_LEARN_GLOBAL, PD_LEARN_ATOM, PD_LEARN_LAYER, PD_LEARN_LAYER_ATOM };
enum { PD_STEP_FIXED, PD_STEP_GLOBAL, PD_STEP_LAYER };
enum { PD_OPTIMIZER_SGD, PD_OPTIMIZER_MOMENTUM, PD_OPTIMIZER_ADAM, PD_OPTIMIZER_ODL };
enum { PD_SCHEDULE_CONSTANT, PD_SCHEDULE_STEP, PD_SCHEDULE_COSINE };
enum { PD_NORMALIZE_UPDATE, PD_NORMALIZE_END };
enum { PD_ERROR_ORDERED, PD_ERROR_ASSIGNED };
enum { PD_REVIVE_NONE, PD_REVIVE_SAMPLES, PD_REVIVE_RESIDUAL };

typedef struct pd_global_params { int32_t precision; /* index of "f32|f64" */ const char *plugin_path; } pd_global_params;

typedef struct pd_data_params {
    int32_t center, scale; /* PD_CENTER_*, PD_SCALE_* */
    double scale_floor;    /* what is smaller is divided by this */
} pd_data_params;

typedef struct pd_model_params {
    int64_t layers;
    const char *step; /* a number, or "c/L" */
    const char *momentum; /* a number, or "fista" */
    int32_t gradient; /* PD_GRADIENT_* */
    int64_t truncate;
    int32_t ill_conditioned; /* PD_ILL_* */
    int32_t encoder;           /* PD_ENCODER_* of graph/network.h, in that order */
    bool encoder_layers;       /* each layer its own weights */
    const char *encoder_path;  /* .npz with E and B to start from; NULL: copies of D */
    int32_t learn_step;        /* PD_STEP_* */
    const char *measurement;   /* A of samples A D z; NULL: samples are the signals themselves */
} pd_model_params;

typedef struct pd_dictionary_params {
    int32_t kind; /* PD_KIND_* */
    int64_t atoms;
    pudle_int_list size, stride; /* conv: of a filter, per axis; stride one number for all axes or one per axis */
    int64_t channels;            /* conv: of the data; 0: as the data has */
    bool channel_divisor;        /* conv: atoms have norm 1 / channels instead of 1 */
    int32_t init;     /* PD_INIT_* */
    const char *path; /* init = "file" */
    double noise;     /* init = "truth": standard deviation added to every entry, relative to nothing */
    int64_t pairs, samples; /* init = "pairwise": candidate pairs tried, samples used */
    int64_t sparsity;       /* init = "pairwise": nonzeros per code assumed */
} pd_dictionary_params;

typedef struct pd_prox_params {
    double decay; /* beta: levels of layer t are multiplied by beta^(t-1) */
    double decay_change;
    int64_t decay_every; /* every so many updates beta changes by decay_change; 0: never */
    int32_t learn;       /* PD_LEARN_* */
    const char *path;    /* initial levels, .npy; NULL: from the options */
    const char *multiple; /* "lambda = 0.1*max": what is in pd_settings.multiple, for a run's config. NULL: no level is one */
} pd_prox_params;

typedef struct pd_loss_params {
    int32_t reduction; /* PD_REDUCTION_* */
    double code_l1, code_l2;
    double offset;
    const char *offset_path; /* NULL: offset alone */
    int32_t learn_offset; /* PD_OFFSET_* */
    int32_t missing;   /* PD_MISSING_* */
} pd_loss_params;

typedef struct pd_train_params {
    int32_t optimizer;
    double learning_rate, threshold_rate; /* threshold_rate 0: the same as learning_rate */
    double beta1, beta2, epsilon, momentum, forget, prior, weight_decay;
    int32_t schedule;
    int64_t schedule_every; /* in epochs */
    double schedule_factor, schedule_final;
    int64_t epochs, updates, batch; /* updates 0: no limit; batch 0: all samples */
    bool shuffle, normalize;
    int32_t normalize_at;
    bool tangent;
    int64_t seed;
    int32_t revive;        /* PD_REVIVE_* */
    int64_t revive_every;  /* in epochs */
    double revive_below;   /* share of the samples that use an atom, up to which it is dead */
    int64_t snapshot_every, test_every; /* in epochs; 0: never */
    int64_t checkpoint_every, log_every; /* in updates; checkpoint 0: every epoch or every 30 s, see docs */
    int32_t dictionary_error; /* PD_ERROR_* */
    const char *memory;
} pd_train_params;

/** Are atoms of unit norm after every update? Then `tangent` has a meaning. */
static inline bool pd_keeps_unit_norm(const pd_train_params *t)
{
    return t->normalize && t->normalize_at == PD_NORMALIZE_UPDATE;
}

enum {
    PD_SECTION_GLOBAL, PD_SECTION_BACKEND, PD_SECTION_DATA, PD_SECTION_MODEL, PD_SECTION_DICTIONARY, PD_SECTION_PROX,
    PD_SECTION_LOSS, PD_SECTION_INNER_LOSS, PD_SECTION_DICTIONARY_PROX, PD_SECTION_TRAIN, PD_SECTIONS
};

/** One group of the config. */
typedef struct pd_section {
    const char *path;           /* "model.dictionary"; "" for the top level */
    int32_t kind;               /* PUDLE_KIND_* when the group names a plugin, else 0 */
    bool present;               /* the config has it */
    const pudle_option *table;  /* the core's rows */
    void *params;               /* the core's struct */
    const pd_plugin *plugin;    /* resolved `name`, NULL if none */
    void *plugin_params;        /* what its options were set to */
} pd_section;

/** A level of the prox that the config has as a multiple of its critical value, the least for which all codes are zeros. Until the number is found
 *  (train/critical.h) something else stands in the options. */
typedef struct pd_multiple {
    const char *level, *text; /* the option's name; "0.1*max" */
    double times;
    bool found;
} pd_multiple;

/** A number of a loss that the config has as that of the prox, lambda = "prox.lambda". */
typedef struct pd_follower {
    struct pd_follower *next;
    int section;
    const char *option, *what; /* "lambda"; "prox.lambda" */
} pd_follower;

typedef struct pd_settings {
    pd_section section[PD_SECTIONS];
    pd_global_params global;
    pd_data_params data;
    pd_model_params model;
    pd_dictionary_params dictionary;
    pd_prox_params prox;
    pd_loss_params loss;
    pd_train_params train;
    double step;          /* parsed: the step itself, or c of "c/L" */
    bool step_over_l;     /* step is "c/L" */
    double momentum;      /* parsed: b of every layer, unless fista */
    bool fista;
    pd_multiple *multiple; /* NULL: every level is a number */
    pd_follower *follower; /* NULL: there are none */
    int64_t memory;       /* parsed train.memory, in bytes; 0: no limit */
    char *source;         /* path of the file */
    struct pd_arena *arena; /* strings and lists */
} pd_settings;

/** Overrides, in their order: "train.epochs=20" (from --set), the same behind PD_VARIED (a value of --vary), or PD_UNSET and a key, which is then as if it were
 *  not there (--unset). */
#define PD_UNSET '\1'
#define PD_VARIED '\2'

/** Read, merge (@include), override and validate. All errors are recorded, each as file:line: key: what and the remedy,
 *  then a last line "N errors, nothing was run". @errors CONFIG, IO, NOTFOUND */
pudle_status pd_settings_load(pd_context *ctx, const char *path, const char *const *overrides, int count, pd_settings **out);
void pd_settings_destroy(pd_settings *settings);

/** Write the fully resolved config: every option with its value, so that loading it gives the same settings. */
pudle_status pd_settings_write(pd_context *ctx, const pd_settings *settings, FILE *to);

/** Told of one option: its path ("train.epochs", "prox.name") and its value in two settings, as a config says it; NULL:
 *  unset, or not read under the other choices. */
typedef void (*pd_option_visit)(void *user, const char *key, const char *a, const char *b);
/** Visit the options whose values differ. A key that one config did not give has its default, so a new option alone makes no
 *  difference. Where the plugins of a group differ, only its name is visited. @errors NOMEM */
pudle_status pd_settings_compare(pd_context *ctx, const pd_settings *a, const pd_settings *b, pd_option_visit visit, void *user);
/** Visit every option that is in force, in the order of the resolved config; a and b are the same. @errors NOMEM */
pudle_status pd_settings_each(pd_context *ctx, const pd_settings *settings, pd_option_visit visit, void *user);

/** "0.1*max" where a key ("prox.lambda") is such a level, its number found or not; else NULL. */
const char *pd_settings_multiple(const pd_settings *settings, const char *key);
/** The number that it has become; false: not yet, or no level is a multiple. */
bool pd_settings_level(const pd_settings *settings, double *value);
/** The number of that level, into the options, and into those that follow it. @errors CONFIG: it is outside an option's range, or a plugin refuses it */
pudle_status pd_settings_set_level(pd_context *ctx, const pd_settings *settings, double value);

/** "1500000", "512K", "512M", "2G" to bytes: a whole number above 0; false for anything else. */
bool pd_parse_bytes(const char *text, int64_t *value);

/** The core's own table of a section ("train"), for documentation; NULL-name terminated. */
const pudle_option *pd_core_table(int section);
const char *pd_section_path(int section);
int32_t pd_section_kind(int section);

/** The params of one plugin: its defaults plus `count` pairs "key=value", checked as in a config, then by the plugin itself.
 *  Freed by pd_params_free. @errors CONFIG with one line a mistake */
pudle_status pd_params_from_pairs(pd_context *ctx, const pd_plugin *plugin, const char *const *pairs, int count,
                                  void **params);
void pd_params_free(void *params); /* NULL is legal */

/** Print the rows of a core table, of a plugin, or of both (either may be NULL), as "text", "md" or "cfg": the last is a
 * block to paste into a config, with `group` around it ("prox"; NULL or "": none). */
void pd_option_table_print(FILE *to, const char *format, const char *group, const pudle_option *table,
                           const pudle_desc *desc);

#endif
