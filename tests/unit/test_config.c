/* Configs: every rule of core/config, on plugins that exist only here. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------ plugins of the test */

typedef struct soft_params { double lambda; bool nonnegative; } soft_params;

static pudle_status soft_check(const pudle_host *host, const void *params)
{
    const soft_params *p = params;
    if (p->lambda == 7) /* cmocka has a macro of that name */
        return (host->fail)(host->ctx, PUDLE_ERR_CONFIG, "lambda 7 is unlucky; take 8");
    return p->lambda == 9 ? PUDLE_ERR_CONFIG : PUDLE_OK; /* 9: refused without a word */
}

static const pudle_option soft_options[] = {
    { .name = "lambda",
      .type = PUDLE_REAL,
      .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP,
      .offset = offsetof(soft_params, lambda),
      .dflt = "0.1",
      .max = INFINITY,
      .doc = "level" },
    { .name = "nonnegative",
      .type = PUDLE_BOOL,
      .offset = offsetof(soft_params, nonnegative),
      .dflt = "false",
      .doc = "side" },
    { .name = NULL },
};

static pudle_status some_vjp(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v,
                             const pudle_cview *p, const pudle_cview *g, const pudle_view *gv, const pudle_view *gtheta)
{
    (void)self, (void)exec, (void)tau, (void)theta, (void)v, (void)p, (void)g, (void)gv, (void)gtheta;
    return PUDLE_OK;
}

static const pudle_prox_kernel soft_kernel = { .size = sizeof(pudle_prox_kernel), .target = "host", .vjp = some_vjp };
static const pudle_prox_kernel *const soft_kernels[] = { &soft_kernel, NULL };
static const pudle_prox_ops soft_ops = { .size = sizeof soft_ops, .vjp_needs = PUDLE_VJP_OUTPUT, .kernels = soft_kernels };
static const pudle_desc soft = { .size = sizeof soft,
                                 .kind = PUDLE_KIND_PROX,
                                 .name = "softly",
                                 .options = soft_options,
                                 .option_size = sizeof *soft_options,
                                 .params_size = sizeof(soft_params),
                                 .check = soft_check,
                                 .ops = &soft_ops };

typedef struct count_params { int64_t k; } count_params;
static const pudle_option count_options[] = {
    { .name = "k",
      .type = PUDLE_INT,
      .flags = PUDLE_REQUIRED,
      .offset = offsetof(count_params, k),
      .min = 1,
      .max = 1e9,
      .doc = "kept" },
    { .name = NULL },
};
static const pudle_prox_ops count_ops = { .size = sizeof count_ops, .vjp_needs = PUDLE_VJP_NONE, .kernels = soft_kernels };
static const pudle_desc keep = { .size = sizeof keep,
                                 .kind = PUDLE_KIND_PROX,
                                 .name = "keep",
                                 .options = count_options,
                                 .option_size = sizeof *count_options,
                                 .params_size = sizeof(count_params),
                                 .ops = &count_ops };

static const pudle_option clash_options[] = {
    { .name = "decay", .type = PUDLE_REAL, .dflt = "1.0", .doc = "a name the core has" }, { .name = NULL },
};
static const pudle_desc clash = { .size = sizeof clash, .kind = PUDLE_KIND_PROX, .name = "clash", .options = clash_options,
                                  .option_size = sizeof *clash_options, .params_size = 8, .ops = &soft_ops };

static const pudle_option broken_options[] = {
    { .name = "range", .type = PUDLE_REAL, .dflt = "-1.0", .max = 1, .doc = "its default is outside" },
    { .name = "outside", .type = PUDLE_REAL, .offset = 4, .dflt = "1.0", .doc = "outside the struct" }, { .name = NULL },
};
static const pudle_desc broken = { .size = sizeof broken,
                                   .kind = PUDLE_KIND_PROX,
                                   .name = "broken",
                                   .options = broken_options,
                                   .option_size = sizeof *broken_options,
                                   .params_size = 8,
                                   .ops = &soft_ops };

static pudle_status some_hvp(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target_,
                             const pudle_cview *u, const pudle_view *hu)
{
    (void)self, (void)exec, (void)pred, (void)target_, (void)u, (void)hu;
    return PUDLE_OK;
}

static pudle_status some_lipschitz(const void *self, const pudle_cview *target_, double *constant)
{
    (void)self, (void)target_;
    *constant = 1;
    return PUDLE_OK;
}

static const pudle_loss_kernel smooth_kernel = { .size = sizeof smooth_kernel, .target = "host", .hvp = some_hvp };
static const pudle_loss_kernel *const smooth_kernels[] = { &smooth_kernel, NULL };
static const pudle_loss_ops smooth_ops = { .size = sizeof smooth_ops,
                                           .kernels = smooth_kernels,
                                           .lipschitz = some_lipschitz };
static const pudle_desc smooth = { .size = sizeof smooth, .kind = PUDLE_KIND_LOSS, .name = "smooth", .ops = &smooth_ops };
static const pudle_loss_kernel rough_kernel = { .size = sizeof rough_kernel, .target = "host" };
static const pudle_loss_kernel *const rough_kernels[] = { &rough_kernel, NULL };
static const pudle_loss_ops rough_ops = { .size = sizeof rough_ops, .kernels = rough_kernels };
static const pudle_desc rough = { .size = sizeof rough, .kind = PUDLE_KIND_LOSS, .name = "rough", .ops = &rough_ops };

typedef struct files_params {
    const char *path, *note, *scale_text;
    pudle_real_list scale;
    pudle_int_list rows;
    int32_t mode;
    int64_t big;
    double offset;
} files_params;
#define FILES(member) .offset = offsetof(files_params, member)
static const pudle_option files_options[] = {
    { .name = "path", .type = PUDLE_PATH, .flags = PUDLE_REQUIRED, FILES(path), .doc = "file" },
    { .name = "note", .type = PUDLE_STRING, FILES(note), .doc = "text" },
    { .name = "scale_text", .type = PUDLE_TEXT, FILES(scale_text), .dflt = "1", .doc = "number or text" },
    { .name = "scale", .type = PUDLE_REAL_LIST, FILES(scale), .dflt = "[1, 0.5]", .max = 10, .doc = "factors" },
    { .name = "rows", .type = PUDLE_INT_LIST, FILES(rows), .doc = "rows" },
    { .name = "mode", .type = PUDLE_ENUM, FILES(mode), .dflt = "mirror", .choices = "zero|mirror|wrap", .doc = "border" },
    { .name = "big", .type = PUDLE_INT, FILES(big), .dflt = "0", .doc = "any integer" },
    { .name = "offset", .type = PUDLE_REAL, FILES(offset), .dflt = "0", .doc = "any real" },
    { .name = NULL },
};
static const pudle_desc files = { .size = sizeof files, .kind = PUDLE_KIND_DATA, .name = "files", .options = files_options,
                                  .option_size = sizeof *files_options, .params_size = sizeof(files_params) };

static const void *made_ext(const char *id)
{
    static const pudle_data_truth truth = { .size = sizeof truth };
    return strcmp(id, PUDLE_DATA_TRUTH) ? NULL : &truth;
}
static const pudle_desc made = { .size = sizeof made, .kind = PUDLE_KIND_DATA, .name = "made", .get_ext = made_ext };

typedef struct cores_params { int64_t threads; } cores_params;
static const pudle_option cores_options[] = {
    { .name = "threads",
      .type = PUDLE_INT,
      .offset = offsetof(cores_params, threads),
      .dflt = "0",
      .max = 1024,
      .doc = "threads" },
    { .name = NULL },
};
static const pudle_desc cores = { .size = sizeof cores,
                                  .kind = PUDLE_KIND_BACKEND,
                                  .name = "cores",
                                  .options = cores_options,
                                  .option_size = sizeof *cores_options,
                                  .params_size = sizeof(cores_params) };

/* Any backend's name will do: the default one is chosen when pudle is configured. */
static pudle_status find(pd_context *ctx, int32_t kind, const char *name, const pd_plugin **out)
{
    static const pudle_desc *const all[] = { &soft, &keep, &clash, &broken, &smooth, &rough, &files, &made, &cores };
    enum { COUNT = sizeof all / sizeof *all };
    static pd_plugin plugin[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        plugin[i].desc = all[i];
        if (all[i]->kind == kind && (kind == PUDLE_KIND_BACKEND || !strcmp(all[i]->name, name))) {
            *out = &plugin[i];
            return PUDLE_OK;
        }
    }
    return pd_fail(ctx, PUDLE_ERR_NOTFOUND, "no plugin \"%s\"", name);
}

/* --------------------------------------------------------------------- loading */

static char folder[] = "/tmp/pudle-config-XXXXXX";
static char file[64];

static void write_file(const char *path, const char *text, size_t length)
{
    FILE *to = fopen(path, "wb");
    assert_non_null(to);
    assert_int_equal(fwrite(text, 1, length, to), length);
    assert_int_equal(fclose(to), 0);
}

static pudle_status load_text(pd_context *ctx, const char *text, const char *const *overrides, int count, pd_settings **out)
{
    write_file(file, text, strlen(text));
    return pd_settings_load_with(ctx, file, overrides, count, find, out);
}

/* One group a line; what a case leaves NULL is as here. */
typedef struct parts { const char *top, *backend, *data, *model, *prox, *loss, *train; } parts;
static const parts good = {
    .top = "precision = \"f64\";", .backend = "backend: { name = \"cores\"; threads = 2; };",
    .data = "data: { name = \"files\"; path = \"x.npy\"; };",
    .model = "model: { dictionary: { atoms = 41; }; layers = 15; step = 0.2; gradient = \"ae\"; };",
    .prox = "prox: { name = \"softly\"; lambda = 0.1; };", .loss = "loss: { name = \"smooth\"; };",
    .train = "train: { optimizer = \"adam\"; learning_rate = 1e-3; epochs = 600; };",
};

static const char *text_of(const parts *p)
{
    static char text[8192];
#define PICK(member) (p->member ? p->member : good.member)
    snprintf(text, sizeof text, "%s\n%s\n%s\n%s\n%s\n%s\n%s\n", PICK(top), PICK(backend), PICK(data), PICK(model),
             PICK(prox), PICK(loss), PICK(train));
    return text;
}

/* --------------------------------------------------------------------- mistakes */

typedef struct mistake {
    parts p;
    const char *said;  /* without the file's name: ":5: prox.lamda: unknown" */
    const char *also;  /* a second phrase, or NULL */
    int errors;        /* 0: not checked */
} mistake;

#define MODEL(text) .p.model = "model: { dictionary: { atoms = 41; }; layers = 15; " text " };"
#define DICTIONARY(text) .p.model = "model: { dictionary: { atoms = 41; " text " }; layers = 15; };"
#define PROX(text) .p.prox = "prox: { name = \"softly\"; " text " };"
#define TRAIN(text) .p.train = "train: { " text " };"
#define DATA(text) .p.data = "data: { name = \"files\"; path = \"x.npy\"; " text " };"

static const mistake mistakes[] = {
    /* unknown keys */
    { PROX("lamda = 0.1;"), .said = ":5: prox.lamda: unknown option; did you mean \"lambda\"?", NULL, 1 },
    { PROX("epochs = 3;"), .said = ":5: prox.epochs: unknown option; did you mean \"train.epochs\"?", NULL, 1 },
    { .p.top = "epochs = 3;", .said = ":1: epochs: unknown option; did you mean \"train.epochs\"?", NULL, 1 },
    { TRAIN("lambda = 3;"), .said = ":7: train.lambda: unknown option; did you mean \"prox.lambda\"?", NULL, 1 },
    { TRAIN("theads = 3;"), .said = ":7: train.theads: unknown option; did you mean \"backend.threads\"?", NULL, 1 },
    { TRAIN("learning-rate = 1.0;"), .said = ":7: train.learning-rate: unknown option; did you mean \"learning_rate\"?",
      NULL, 1 },
    { PROX("xyzzy = 1;"), .said = ":5: prox.xyzzy: unknown option; known here: name, decay,", "lambda, nonnegative", 1 },
    { .p.top = "trian: { };", .said = ":1: trian: unknown group; did you mean \"train\"?", NULL, 1 },
    { .p.top = "dictionary: { atoms = 2; };",
      .said = ":1: dictionary: unknown group; did you mean \"model.dictionary\"?",
      NULL,
      1 },
    { .p.top = "quux: { };", .said = ":1: quux: unknown group; known here: precision, plugin_path, backend", NULL, 1 },
    { .p.prox = "prox: { nam = \"softly\"; };", .said = ":5: prox: name is missing; add  name = \"NAME\";", NULL, 1 },
    { MODEL("dictionry: { };"), .said = ":4: model.dictionry: unknown group; did you mean \"dictionary\"?", NULL, 1 },
    /* types */
    { PROX("lambda = \"0.1\";"), .said = ":5: prox.lambda: wants a number, but the text \"0.1\" is given", "lambda = 0.1;",
      1 },
    { PROX("lambda = true;"), .said = ":5: prox.lambda: wants a number, but true is given", NULL, 1 },
    { PROX("lambda = [0.1];"), .said = ":5: prox.lambda: wants a number, but a list is given", NULL, 1 },
    { PROX("lambda: { };"), .said = ":5: prox.lambda: wants a number, but a group { } is given", NULL, 1 },
    { PROX("nonnegative = 1;"), .said = ":5: prox.nonnegative: wants true or false, but 1 is given; write true", NULL, 1 },
    { PROX("nonnegative = 0;"), .said = "given; write false", NULL, 1 },
    { PROX("nonnegative = 2;"), .said = "wants true or false, but 2 is given", NULL, 1 },
    { TRAIN("epochs = 1e3;"), .said = ":7: train.epochs: wants a whole number, but the real 1000.0 is given; write 1000",
      NULL, 1 },
    { TRAIN("epochs = 1.5;"), .said = ":7: train.epochs: wants a whole number, but 1.5 is given", NULL, 1 },
    { TRAIN("epochs = \"3\";"), .said = ":7: train.epochs: wants a whole number, but the text \"3\" is given", NULL, 1 },
    { DATA("note = 3;"), .said = ":3: data.note: wants text in double quotes, but 3 is given", NULL, 1 },
    { .p.data = "data: { name = \"files\"; path = 3; };", .said = ":3: data.path: wants a path in double quotes", NULL, 1 },
    { .p.data = "data: { name = \"files\"; path = \"\"; };", .said = ":3: data.path: is an empty path", NULL, 1 },
    { .p.data = "data: { name = \"files\"; path = \"~/x.npy\"; };", .said = "~ is not expanded", NULL, 1 },
    { DATA("scale = \"a\";"), .said = ":3: data.scale: wants a number or a list of numbers", NULL, 1 },
    { DATA("scale = (1, \"a\");"), .said = ":3: data.scale: item 2 of the list: wants", NULL, 1 },
    { DATA("scale = [0.5, 11.0];"), .said = ":3: data.scale: item 2 of the list: 11.0 is outside [0, 10]", NULL, 1 },
    { DATA("rows = [1.5];"), .said = ":3: data.rows: item 1 of the list: wants", NULL, 1 },
    { .p.train = "train = 5;", .said = ":7: train: is a group of options; write  train: { ... };", NULL, 1 },
    { .p.prox = "prox = \"softly\";", .said = ":5: prox: is a group of options; write  prox: { ... };", NULL, 1 },
    { .p.model = "model = 3;", .said = ":4: model: is a group of options", NULL, 1 },
    { .p.model = "model: { dictionary = 3; layers = 3; };", .said = ":4: model.dictionary: is a group of options", NULL, 1 },
    { .p.model = "model: ( );", .said = ":4: model: is a group of options", NULL, 1 },
    /* ranges */
    { PROX("lambda = -0.5;"), .said = ":5: prox.lambda: -0.5 is outside [0, inf); the default is 0.1", NULL, 1 },
    { PROX("decay = 0.0;"), .said = ":5: prox.decay: 0.0 is outside (0, inf); the default is 1.0", NULL, 1 },
    { TRAIN("beta1 = 1;"), .said = ":7: train.beta1: 1 is outside [0, 1); the default is 0.9", NULL, 1 },
    { TRAIN("epochs = -1;"), .said = ":7: train.epochs: -1 is outside [0, inf)", NULL, 1 },
    { TRAIN("log_every = 0;"), .said = ":7: train.log_every: 0 is outside [1, inf)", NULL, 1 },
    { MODEL("truncate = -1; gradient = \"truncated\";"), .said = ":4: model.truncate: -1 is outside", NULL, 1 },
    { PROX("lambda = 1e400;"), .said = ":5: prox.lambda: the number is beyond the range of a double", NULL, 1 },
    { PROX("decay_change = -1e999; decay_every = 2;"),
      .said = ":5: prox.decay_change: the number is beyond the range of a double", NULL, 1 },
    /* choices */
    { TRAIN("optimizer = \"adma\";"),
      .said = ":7: train.optimizer: \"adma\" is none of sgd, momentum, adam; did you mean \"adam\"?", NULL, 1 },
    { TRAIN("optimizer = \"lbfgs\";"), .said = "is none of sgd, momentum, adam; choose one of them", NULL, 1 },
    { TRAIN("optimizer = 1;"), .said = ":7: train.optimizer: wants one of its choices in double quotes, but 1 is given",
      NULL, 1 },
    { DATA("mode = \"miror\";"), .said = ":3: data.mode: \"miror\" is none of zero, mirror, wrap; did you mean \"mirror\"?",
      NULL, 1 },
    { .p.top = "precision = \"f16\";", .said = ":1: precision: \"f16\" is none of f32, f64", NULL, 1 },
    /* missing */
    { .p.data = "", .said = ": data: the group is missing; add  data: { name = \"NAME\"; };", NULL, 1 },
    { .p.prox = "", .said = ": prox: the group is missing; add  prox: {", NULL, 1 },
    { .p.loss = "", .said = ": loss: the group is missing; add  loss: {", NULL, 1 },
    { .p.model = "", .said = ": model: the group is missing; add  model: {", NULL, 1 },
    { .p.model = "model: { layers = 3; };",
      .said = ": model.dictionary: the group is missing; add  dictionary: {",
      NULL,
      1 },
    { .p.model = "model: { dictionary: { atoms = 3; }; };",
      .said = ":4: model: layers is missing; add  layers = 1;",
      NULL,
      1 },
    { .p.model = "model: { dictionary: { }; layers = 3; };",
      .said = ":4: model.dictionary: atoms is missing; add  atoms = 1;",
      NULL,
      1 },
    { .p.data = "data: { name = \"files\"; };", .said = ":3: data: path is missing; add  path = \"file.npy\";", NULL, 1 },
    { .p.data = "data: { };", .said = ":3: data: name is missing; add  name = \"NAME\";", "plugins list", 1 },
    { .p.data = "", .p.prox = "", .p.loss = "", .said = "3 errors, nothing was run", .errors = 3 },
    /* plugins */
    { .p.prox = "prox: { name = \"sotfly\"; lamda = 1; };",
      .said = ":5: prox.name: the prox \"sotfly\" cannot be used",
      "no plugin \"sotfly\"",
      1 },
    { .p.prox = "prox: { name = \"../x\"; };", .said = ":5: prox.name: \"../x\" is no plugin name", NULL, 1 },
    { .p.prox = "prox: { name = 5; };", .said = ":5: prox.name: wants the name of a plugin in double quotes", NULL, 1 },
    { .p.prox = "prox: { name = \"clash\"; };",
      .said = ":5: prox: the plugin \"clash\" has an option \"decay\", a name the group keeps",
      NULL,
      1 },
    { .p.prox = "prox: { name = \"broken\"; };",
      .said = ":5: prox: range: its own default -1.0 is wrong: -1.0 is outside [0, 1]",
      "outside: its own default 1.0 is wrong: lies outside the plugin's params struct",
      2 },
    { PROX("lambda = 7;"), .said = ":5: prox: lambda 7 is unlucky; take 8", "1 error, nothing was run", 1 },
    { PROX("lambda = 9;"), .said = ":5: prox: the plugin \"softly\" refuses these options without saying why", NULL, 1 },
    { .p.top = "plugin_path = \"plugins\";", .said = ":1: plugin_path: \"plugins\" is relative", "write the whole path", 1 },
    { .p.top = "plugin_path = \"/a::/b\";", .said = ":1: plugin_path: has an empty entry", NULL, 1 },
    /* step */
    { MODEL("step = 0;"), .said = ":4: model.step: the step 0 must be a finite number above 0", NULL, 1 },
    { MODEL("step = \"-1/L\";"), .said = ":4: model.step: the step -1/L must be", NULL, 1 },
    { MODEL("step = \"fast\";"), .said = ":4: model.step: \"fast\" is no step; write a number above 0, or", NULL, 1 },
    { MODEL("step = \"1/K\";"), .said = "is no step", NULL, 1 },
    { MODEL("step = \"1/L2\";"), .said = "is no step", NULL, 1 },
    { MODEL("step = \"L\";"), .said = "is no step", NULL, 1 },
    { MODEL("step = \"nan\";"), .said = "is no step", NULL, 1 },
    { MODEL("step = \"0x1p3/L\";"), .said = "is no step", NULL, 1 },
    { MODEL("step = 1e400;"), .said = ":4: model.step:", NULL, 1 },
    { MODEL("step = [1.0];"), .said = ":4: model.step: wants a number or text in double quotes", NULL, 1 },
    { MODEL("step = \"1/L\";"), .p.loss = "loss: { name = \"rough\"; };",
      .said = ":4: model.step: \"1/L\" needs a Lipschitz constant of the inner loss, and \"rough\" has none", .errors = 2 },
    { MODEL("gradient = \"dec\";"), .p.loss = "loss: { name = \"rough\"; };",
      .said = ":4: model: the default step \"1/L\" needs a Lipschitz constant", .errors = 1 },
    { MODEL("gradient = \"dec\";"), .p.loss = "loss: { name = \"smooth\"; }; inner_loss: { name = \"rough\"; };",
      .said = "needs a Lipschitz constant of the inner loss, and \"rough\"", .errors = 1 },
    /* gradients */
    { MODEL("truncate = 3;"),
      .said = ":4: model.truncate: is read only with model.gradient = \"truncated\", and here is model.gradient = \"ae\"",
      "remove this key or change gradient", 1 },
    { MODEL("gradient = \"truncated\";"),
      .said = ":4: model.gradient: model.gradient = \"truncated\" needs truncate; add  truncate = 5;", NULL, 1 },
    { MODEL("gradient = \"truncated\"; truncate = 16;"),
      .said = ":4: model.truncate: 16 is more than the 15 layers there are", NULL, 1 },
    { .p.prox = "prox: { name = \"keep\"; k = 3; };",
      .said = ":4: model.gradient: \"ae\" needs a prox with a derivative, and \"keep\"",
      .errors = 1 },
    { MODEL(""), .p.prox = "prox: { name = \"keep\"; k = 3; };",
      .said = ":4: model: \"ae\" (the default of gradient) needs a prox", .errors = 1 },
    { MODEL("gradient = \"truncated\"; truncate = 2;"), .p.prox = "prox: { name = \"keep\"; k = 3; };",
      .said = ":4: model.gradient: \"truncated\" needs a prox with a derivative", .errors = 1 },
    { .p.loss = "loss: { name = \"rough\"; };",
      .said = ":4: model.gradient: \"ae\" needs second derivatives of the inner loss, and \"rough\"",
      NULL,
      1 },
    { MODEL("gradient = \"oracle\";"),
      .said = ":4: model.gradient: \"oracle\" needs data that know their true code, and \"files\"", NULL, 1 },
    { MODEL("ill_conditioned = \"skip\";"),
      .said = ":4: model.ill_conditioned: is read only with model.gradient = \"implicit\", and here is model.gradient = \"ae\"", NULL, 1 },
    { MODEL("gradient = \"implicit\"; ill_conditioned = \"stopp\";"), .said = "did you mean \"stop\"?", NULL, 1 },
    { MODEL("gradient = \"implicit\";"), .p.prox = "prox: { name = \"keep\"; k = 3; };",
      .said = ":4: model.gradient: \"implicit\" needs a prox with a derivative", .errors = 1 },
    { MODEL("gradient = \"implicit\"; step = 0.1;"), .p.loss = "loss: { name = \"rough\"; };",
      .said = ":4: model.gradient: \"implicit\" needs second derivatives of the inner loss, and \"rough\"", .errors = 1 },
    { MODEL("gradient = \"implicit\";"), .p.prox = "prox: { name = \"softly\"; learn = \"layer_atom\"; };",
      .said = ":5: prox.learn: an implicit gradient is that of a fixed point, which knows one layer only; write  learn = \"atom\";", .errors = 1 },
    { MODEL("gradient = \"implicit\"; step = 0.1; learn_step = \"global\";"),
      .said = ":4: model.gradient: \"implicit\" does not reach the encoder", .errors = 1 },
    { MODEL("gradient = \"af\";"), .said = "did you mean \"ae\"?", NULL, 1 },
    /* the dictionary's start */
    { DICTIONARY("init = \"file\";"),
      .said = ":4: model.dictionary.init: model.dictionary.init = \"file\" needs path; add  path =", NULL, 1 },
    { DICTIONARY("path = \"w.npy\";"),
      .said = ":4: model.dictionary.path: is read only with model.dictionary.init = \"file\"", NULL, 1 },
    { DICTIONARY("init = \"truth\";"), .said = ":4: model.dictionary.init: \"truth\" needs data that know their dictionary",
      NULL, 1 },
    { DICTIONARY("noise = 0.1;"), .said = ":4: model.dictionary.noise: is read only with model.dictionary.init = \"truth\"",
      NULL, 1 },
    { DICTIONARY("init = \"pairwise\";"), .said = "needs sparsity; add  sparsity = 5;", NULL, 1 },
    { DICTIONARY("init = \"pairwise\"; sparsity = 42;"), .said = "42 nonzeros are more than the 41 atoms", NULL, 1 },
    { DICTIONARY("pairs = 3;"), .said = "is read only with model.dictionary.init = \"pairwise\"", NULL, 1 },
    { DICTIONARY("samples = 3;"), .said = "is read only with", NULL, 1 },
    { DICTIONARY("kind = \"dens\";"), .said = "did you mean \"dense\"?", NULL, 1 },
    /* levels */
    { PROX("decay_change = -0.005;"),
      .said = ":5: prox.decay_change: is read only with prox.decay_every above 0, and here is prox.decay_every = 0", NULL,
      1 },
    { PROX("decay_every = 100;"),
      .said = ":5: prox.decay_every: prox.decay_every above 0 needs decay_change; add  decay_change = -0.005;", NULL, 1 },
    { PROX("learn = \"layer\"; decay_every = 100; decay_change = 0.1;"),
      .said = ":5: prox.decay_every: a decay that changes", NULL, 1 },
    { PROX("learn = \"layer_atom\"; decay_every = 100; decay_change = 0.1;"),
      .said = ":5: prox.decay_every: a decay that changes", NULL, 1 },
    { MODEL("gradient = \"dec\";"), .p.prox = "prox: { name = \"keep\"; k = 3; learn = \"global\"; };",
      .said = ":5: prox.learn: acts on the thresholds of the prox, and \"keep\" has none", .errors = 1 },
    { MODEL("gradient = \"dec\";"), .p.prox = "prox: { name = \"keep\"; k = 3; decay = 0.9; path = \"t.npy\"; };",
      .said = ":5: prox.decay: acts on the thresholds", .also = ":5: prox.path: acts on the thresholds", .errors = 2 },
    /* training */
    { TRAIN("momentum = 0.5;"),
      .said = ":7: train.momentum: is read only with train.optimizer = \"momentum\", and here is train.optimizer = \"adam\"",
      NULL, 1 },
    { TRAIN("optimizer = \"sgd\"; beta1 = 0.5; beta2 = 0.5; epsilon = 1e-3;"),
      .said = "is read only with train.optimizer = \"adam\"", NULL, 3 },
    { TRAIN("schedule_every = 3;"), .said = ":7: train.schedule_every: is read only with train.schedule = \"step\"", NULL,
      1 },
    { TRAIN("schedule_factor = 0.5;"), .said = "is read only with train.schedule = \"step\"", NULL, 1 },
    { TRAIN("schedule_final = 0.5;"), .said = "is read only with train.schedule = \"cosine\"", NULL, 1 },
    { TRAIN("schedule = \"step\";"),
      .said = ":7: train.schedule: train.schedule = \"step\" needs schedule_every; add  schedule_every = 10;", NULL, 1 },
    { TRAIN("schedule = \"cosine\"; epochs = 0; updates = 10;"), .said = "\"cosine\" spans the run's epochs", NULL, 1 },
    { TRAIN("epochs = 0;"), .said = ":7: train.epochs: 0 epochs and no limit of updates", NULL, 1 },
    { TRAIN("normalize = false; normalize_at = \"end\";"),
      .said = "is read only with train.normalize = true, and here is train.normalize = false", NULL, 1 },
    { TRAIN("threshold_rate = 0.1;"),
      .said = "is read only with prox.learn = \"global\" or \"atom\" or \"layer\" or \"layer_atom\"", NULL, 1 },
    /* literals */
    { TRAIN("seed = 3000000000;"),
      .said = ":7: train.seed: 3000000000 does not fit 32 bits and would be read as -1294967296; write 3000000000L", NULL,
      1 },
    { TRAIN("seed = 4294967297;"), .said = "would be read as 1; write 4294967297L", NULL, 1 },
    { TRAIN("seed = 0xFFFFFFFF;"), .said = "0xFFFFFFFF does not fit 32 bits and would be read as -1; write 0xFFFFFFFFL",
      NULL, 1 },
    { DATA("big = -2147483649;"), .said = ":3: data.big: -2147483649 does not fit 32 bits and would be read as 2147483647",
      NULL, 1 },
    { DATA("rows = [1, 3000000000];"), .said = ":3: data.rows: 3000000000 does not fit", NULL, 1 },
    { TRAIN("seed = 99999999999999999999L;"), .said = "99999999999999999999L does not fit 64 bits", NULL, 1 },
    { .p.model = "model: { dictionary: { atoms = 5000000000; }; layers = 2; };",
      .said = ":4: model.dictionary.atoms: 5000000000 does not fit",
      NULL,
      1 },
    /* syntax */
    { TRAIN("epochs = ;"), .said = ":7: syntax error: options look like  key = value;", NULL, 1 },
    { .p.train = "train: { epochs = 3;", .said = ":7: syntax error", NULL, 1 },
    { TRAIN("epochs = 3; epochs = 4;"), .said = ":7: duplicate setting name: a key or group is given twice", NULL, 1 },
    { .p.top = "train: { };", .said = ":7: duplicate setting name", NULL, 1 },
    { TRAIN("optimizer \"adam\";"), .said = ":7: train.optimizer: the text \"adam\" stands where none is expected", NULL,
      1 },
    { DATA("note = \"a\"; \"b\";"), .said = ":3: data.note: the text \"b\" stands where none is expected", NULL, 1 },
    { DATA("rows = [1 \"b\"];"), .said = ":3: data.rows: the text \"b\" stands where none is expected", NULL, 1 },
    { .p.top = "\"b\"", .said = ":1: the text \"b\" stands where none is expected", NULL, 1 },
    { DATA("scale = [1, 2.5];"), .said = ":3: mismatched element type in array", NULL, 1 },
    { .p.top = "/* open", .said = ":1: the comment that starts here is never closed", NULL, 1 },
    { .p.top = "plugin_path = \"/open;", .said = ":1: the string that starts here is never closed", NULL, 1 },
    { .p.top = "@include \"none.cfg\"", .said = ":1: @include \"none.cfg\": cannot read", "No such file", 1 },
    { .p.top = "@include none.cfg", .said = ":1: @include wants a path in double quotes", NULL, 1 },
    { .p.top = "@include \".\"", .said = ":1: @include \".\": cannot read", "Is a directory", 1 },
    { .p.top = "@include \"t.cfg\"", .said = "nested more than 10 deep; does a file include itself?", NULL, 1 },
    /* everything at once */
    { PROX("lamda = 1; lambda = -0.5; nonnegative = 1;"), TRAIN("momentum = 0.5; epochs = 1e3; seed = 3000000000;"),
      .said = "6 errors, nothing was run", .errors = 6 },
};

/* Number of the last line's "N errors". */
static int counted(const char *text)
{
    const char *last = strrchr(text, '\n');
    return last ? atoi(last + 1) : -1;
}

static void test_mistakes(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        const mistake *m = &mistakes[i];
        pd_context *ctx = pd_context_create();
        pd_settings *settings = NULL;
        char said[640];
        snprintf(said, sizeof said, "%s%s", m->said[0] == ':' ? file : "", m->said);
        const pudle_status s = load_text(ctx, text_of(&m->p), NULL, 0, &settings);
        const char *text = pd_error(ctx);
        if (s != PUDLE_ERR_CONFIG || settings || !strstr(text, said) || (m->also && !strstr(text, m->also)) ||
            (m->errors && counted(text) != m->errors)) {
            print_message("# case %zu: status %d, wanted: %s (%d errors)\n%s# got:\n%s\n", i, (int)s, said, m->errors,
                          text_of(&m->p), text);
            wrong++;
        }
        pd_settings_destroy(settings);
        pd_context_destroy(ctx);
    }
    print_message("# %zu bad configs\n", sizeof mistakes / sizeof *mistakes);
    assert_int_equal(wrong, 0);
}

/* -------------------------------------------------------------------- good ones */

static pd_settings *load_good(const char *text, const char *const *overrides, int count)
{
    pd_context *ctx = pd_context_create();
    pd_settings *settings = NULL;
    if (load_text(ctx, text, overrides, count, &settings))
        fail_msg("%s\n%s", text, pd_error(ctx));
    assert_string_equal(pd_error(ctx), "");
    pd_context_destroy(ctx);
    return settings;
}

static void test_good(void **state)
{
    (void)state;
    pd_settings *s = load_good(text_of(&good), NULL, 0);
    assert_int_equal(s->global.precision, 1);
    assert_string_equal(s->section[PD_SECTION_BACKEND].plugin->desc->name, "cores");
    assert_int_equal(((cores_params *)s->section[PD_SECTION_BACKEND].plugin_params)->threads, 2);
    const files_params *data = s->section[PD_SECTION_DATA].plugin_params;
    char path[128];
    snprintf(path, sizeof path, "%s/x.npy", folder);
    assert_string_equal(data->path, path); /* relative to the config file */
    assert_null(data->note);
    assert_string_equal(data->scale_text, "1");
    assert_int_equal(data->scale.count, 2);
    assert_true(data->scale.item[1] == 0.5);
    assert_int_equal(data->rows.count, 0);
    assert_int_equal(data->mode, 1);
    assert_int_equal(s->dictionary.atoms, 41);
    assert_int_equal(s->model.layers, 15);
    assert_string_equal(s->model.step, "0.2");
    assert_true(s->step == 0.2 && !s->step_over_l);
    assert_int_equal(s->model.gradient, PD_GRADIENT_AE);
    assert_true(((soft_params *)s->section[PD_SECTION_PROX].plugin_params)->lambda == 0.1);
    assert_true(s->prox.decay == 1.0);
    assert_int_equal(s->train.optimizer, PD_OPTIMIZER_ADAM);
    assert_true(s->train.learning_rate == 1e-3 && s->train.epsilon == 1e-8);
    assert_int_equal(s->train.epochs, 600);
    assert_true(s->train.normalize && s->train.shuffle);
    assert_false(s->section[PD_SECTION_INNER_LOSS].present);
    assert_null(s->section[PD_SECTION_INNER_LOSS].plugin);
    assert_string_equal(s->source, file);
    pd_settings_destroy(s);
}

static void test_good_variants(void **state)
{
    (void)state;
    static const parts variants[] = {
        { .backend = "", .train = "" }, /* both have defaults */
        { .model = "model: { dictionary: { atoms = 4; }; layers = 2; };" },
        { .model = "model: { dictionary: { atoms = 4; }; layers = 2; step = \" 0.9 / L \"; gradient = \"truncated\"; "
                   "truncate = 2; };" },
        { .data = "data: { name = \"made\"; };",
          .model =
              "model: { dictionary: { atoms = 4; init = \"truth\"; noise = 0.1; }; layers = 2; gradient = \"oracle\"; };" },
        { .model = "model: { dictionary: { atoms = 4; init = \"pairwise\"; sparsity = 2; pairs = 9; samples = 99; }; layers "
                   "= 2; };" },
        { .prox = "prox: { name = \"softly\"; lambda = 1; learn = \"layer_atom\"; decay = 0.9; };",
          .train = "train: { threshold_rate = 0.1; };" },
        { .prox = "prox: { name = \"softly\"; decay_every = 100; decay_change = -0.005; path = \"t.npy\"; };" },
        { .prox = "prox: { name = \"keep\"; k = 3; };",
          .model = "model: { dictionary: { atoms = 4; }; layers = 2; gradient = \"noodl\"; };" },
        { .loss = "loss: { name = \"rough\"; }; inner_loss: { name = \"smooth\"; };" },
        { .loss = "loss: { name = \"rough\"; };",
          .model = "model: { dictionary: { atoms = 4; }; layers = 2; gradient = \"dec\"; step = 0.1; };" },
        { .train = "train: { optimizer = \"momentum\"; momentum = 0; schedule = \"cosine\"; schedule_final = 0.1; normalize "
                   "= FALSE; };" },
        { .train =
              "train: { epochs = 0; updates = 5; seed = 9223372036854775807L; schedule = \"step\"; schedule_every = 2; };" },
        { .train = "train: { seed = 2147483647; /* 3000000000 \" */ }; # 4294967297 \"\n// 4294967297\n" },
        { .data = "data: { name = \"files\"; path = \"/abs/a.npz:b\"; note = \"a \\\"b\\\" 3000000000 # // \\\\\"; scale = "
                  "2; rows = (1, 2); };" },
        { .data =
              "data: { name = \"files\"; path = \"./x\"; scale = [ ]; big = -9223372036854775808L; offset = -1e-300; };" },
        { .top = "\xEF\xBB\xBFprecision = \"f32\";\r" },
    };
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        pd_settings_destroy(load_good(text_of(&variants[i]), NULL, 0));
    pd_settings *s = load_good(text_of(&variants[2]), NULL, 0);
    assert_true(s->step == 0.9 && s->step_over_l);
    pd_settings_destroy(s);
}

/* -------------------------------------------------------------------- overrides */

static void test_overrides(void **state)
{
    (void)state;
    static const char *const set[] = { "prox.name=keep",     "prox.k=3",
                                       "model.gradient=dec", "train.seed=3000000000",
                                       "train.epochs = 7",   "model.step=1/L",
                                       "data.path=a b.npy",  "data.scale=[1, 2.5]",
                                       "data.note=2024",     "train.shuffle=false",
                                       "train.epochs=8",     "model.dictionary.atoms=0x10",
                                       "precision=f32" };
    parts p = { .prox = "prox: { };", .train = "" };
    pd_settings *s = load_good(text_of(&p), set, sizeof set / sizeof *set);
    const files_params *data = s->section[PD_SECTION_DATA].plugin_params;
    char *here = getcwd(NULL, 0), path[4096];
    snprintf(path, sizeof path, "%s/a b.npy", here);
    free(here);
    assert_string_equal(data->path, path); /* relative to where pudle runs */
    assert_string_equal(data->note, "2024");
    assert_int_equal(data->scale.count, 2);
    assert_int_equal(((count_params *)s->section[PD_SECTION_PROX].plugin_params)->k, 3);
    assert_int_equal(s->train.seed, 3000000000);
    assert_int_equal(s->train.epochs, 8);
    assert_false(s->train.shuffle);
    assert_true(s->section[PD_SECTION_TRAIN].present);
    assert_true(s->step == 1 && s->step_over_l);
    assert_int_equal(s->dictionary.atoms, 16);
    assert_int_equal(s->global.precision, 0);
    pd_settings_destroy(s);

    static const struct { const char *set, *said; } bad[] = {
        { "prox.lamda=1", "--set prox.lamda=1: unknown option; did you mean \"lambda\"?" },
        { "prox.lambda=-1", "--set prox.lambda=-1: -1 is outside [0, inf)" },
        { "prox.lambda=", "wants a key and a value" },
        { "=3", "wants a key and a value" },
        { "prox.lambda", "wants a key and a value" },
        { "prox={}", "\"prox\" is a group; set one of its keys" },
        { "model.dictionary=3", "\"model.dictionary\" is a group" },
        { "porx.lambda=1", "--set porx.lambda=1: there is no group \"porx\"; did you mean \"prox\"?" },
        { "dictionary.atoms=1", "did you mean \"model.dictionary\"?" },
        { ".lambda=1", "there is no group" },
        { "epochs=3", "--set epochs=3: unknown option; did you mean \"train.epochs\"?" },
        { "train.epochs=1e3", "wants a whole number, but the real 1e3 is given; write 1000" },
        { "train.epochs=inf", "wants a whole number, but the text \"inf\"" },
        { "prox.lambda=nan", "wants a number, but the text \"nan\"" },
        { "prox.lambda=1e999", "--set prox.lambda=1e999: 1e999 is beyond the range of a double" },
        { "train.seed=99999999999999999999", "does not fit 64 bits" },
        { "prox.nonnegative=1", "wants true or false, but 1 is given; write true" },
        { "train.epochs=3; seed = 4", "wants a whole number, but the text" },
        { "prox.name=keep", "file t.cfg" }, /* lambda in the file is not keep's */
        { "data.scale=[1, 2", "wants a number or a list of numbers" },
        { "data.scale=[1,,2]", "wants a number or a list of numbers" },
        { "train.momentum=0.5", "--set train.momentum=0.5: is read only with train.optimizer = \"momentum\"" },
        { "data.path=\"a\" b", NULL }, /* no literal: the whole is a word */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pd_context *ctx = pd_context_create();
        s = NULL;
        const pudle_status status = load_text(ctx, text_of(&good), &bad[i].set, 1, &s);
        char unknown[128];
        snprintf(unknown, sizeof unknown, "%s:5: prox.lambda: unknown option", file);
        const char *said = bad[i].said && !strcmp(bad[i].said, "file t.cfg") ? unknown : bad[i].said;
        if (said ? status != PUDLE_ERR_CONFIG || !strstr(pd_error(ctx), said) : status != PUDLE_OK)
            fail_msg("--set %s: wanted \"%s\", got %d\n%s", bad[i].set, said ? said : "ok", (int)status, pd_error(ctx));
        pd_settings_destroy(s);
        pd_context_destroy(ctx);
    }
}

/* --------------------------------------------------------------------- includes */

static void test_includes(void **state)
{
    (void)state;
    char path[128], text[512];
    static const char inner[] =
        "// prox of the family\nprox:\n{\n  name = \"softly\"; lamda = 1;\n  path = \"levels.npy\";\n}; # end";
    snprintf(path, sizeof path, "%s/sub", folder);
    char command[256];
    snprintf(command, sizeof command, "mkdir -p %s", path);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/sub/prox.cfg", folder);
    write_file(path, inner, strlen(inner));
    snprintf(path, sizeof path, "%s/sub/middle.cfg", folder);
    write_file(path, "@include \"prox.cfg\"\n", 20); /* relative to the file that says it */
    parts p = { .prox = "\t@include \"sub/middle.cfg\" // the prox" };
    pd_context *ctx = pd_context_create();
    pd_settings *s = NULL;
    assert_int_equal(load_text(ctx, text_of(&p), NULL, 0, &s), PUDLE_ERR_CONFIG);
    snprintf(text, sizeof text,
             "%s/sub/prox.cfg:4: prox.lamda: unknown option; did you mean \"lambda\"?\n1 error, nothing was run", folder);
    assert_string_equal(pd_error(ctx), text);
    pd_error_clear(ctx);
    p.train = "train: { epoch = 3; };"; /* lines after an include keep their number */
    assert_int_equal(load_text(ctx, text_of(&p), NULL, 0, &s), PUDLE_ERR_CONFIG);
    snprintf(text, sizeof text, "%s:7: train.epoch: unknown option", file);
    assert_non_null(strstr(pd_error(ctx), text));
    pd_error_clear(ctx);
    snprintf(path, sizeof path, "%s/sub/prox.cfg", folder);
    write_file(path, "prox: { name = \"softly\"; path = \"levels.npy\"; };", 48);
    p.train = NULL;
    assert_int_equal(load_text(ctx, text_of(&p), NULL, 0, &s), PUDLE_OK);
    snprintf(text, sizeof text, "%s/sub/levels.npy", folder);
    assert_string_equal(s->prox.path, text); /* relative to the included file */
    pd_settings_destroy(s);
    pd_context_destroy(ctx);
}

static void test_files(void **state)
{
    (void)state;
    pd_context *ctx = pd_context_create();
    pd_settings *s = NULL;
    assert_int_equal(pd_settings_load_with(ctx, "/nonexistent/x.cfg", NULL, 0, find, &s), PUDLE_ERR_NOTFOUND);
    assert_non_null(strstr(pd_error(ctx), "/nonexistent/x.cfg: No such file"));
    pd_error_clear(ctx);
    assert_int_equal(pd_settings_load_with(ctx, folder, NULL, 0, find, &s), PUDLE_ERR_IO);
    assert_non_null(strstr(pd_error(ctx), "Is a directory"));
    pd_error_clear(ctx);
    write_file(file, "a = 1;\0b", 8);
    assert_int_equal(pd_settings_load_with(ctx, file, NULL, 0, find, &s), PUDLE_ERR_IO);
    assert_non_null(strstr(pd_error(ctx), "zero byte"));
    pd_error_clear(ctx);
    assert_int_equal(load_text(ctx, "", NULL, 0, &s), PUDLE_ERR_CONFIG); /* empty: all that is required is listed */
    assert_int_equal(counted(pd_error(ctx)), 4);
    assert_null(s);
    pd_context_destroy(ctx);
}

/* ----------------------------------------------------------- writing and reading */

static char *written(const pd_settings *s)
{
    char *text = NULL;
    size_t size = 0;
    pd_context *ctx = pd_context_create();
    FILE *to = open_memstream(&text, &size);
    assert_int_equal(pd_settings_write(ctx, s, to), PUDLE_OK);
    fclose(to);
    pd_context_destroy(ctx);
    return text;
}

static unsigned seed;

static double random_real(void)
{
    union { double real; uint64_t bits; } u;
    do
        u.bits = (uint64_t)rand() << 62 ^ (uint64_t)rand() << 31 ^ (uint64_t)rand();
    while (!isfinite(u.real));
    return u.real;
}

/* Random settings, written and read back: the same text again, and the same structs. */
static void test_round_trip(void **state)
{
    (void)state;
    static const char *const learns[] = { "none", "global", "atom", "layer", "layer_atom" };
    static const char *const optimizers[] = { "sgd", "momentum", "adam" }, *const schedules[] = { "constant", "step",
                                                                                                  "cosine" };
    static const char *const inits[] = { "random", "samples", "file", "pairwise" };
    for (int round = 0; round < 200; round++) {
        char text[4096];
        const int init = rand() % 4, schedule = rand() % 3, optimizer = rand() % 3, learn = rand() % 5;
        snprintf(text, sizeof text,
                 "%s\nbackend: { threads = %d; }; data: { name = \"files\"; path = \"d%d.npy\"; note = \"q\\\"\\\\ "
                 "\\n\\t\\x01\xC3\xA9 // %d\";\n"
                 "scale_text = \"%d/L\"; scale = [%.17g, 1.5]; rows = (%d, %lldL); big = %lldL; offset = %#.17g; mode = "
                 "\"wrap\"; };\n"
                 "model: { layers = %d; %s dictionary: { atoms = 50; init = \"%s\"; %s }; };\n"
                 "prox: { name = \"softly\"; lambda = %#.17g; learn = \"%s\"; %s };\nloss: { name = \"smooth\"; }; %s\n"
                 "train: { seed = %lldL; optimizer = \"%s\"; %s schedule = \"%s\"; %s learning_rate = %#.17g; normalize = "
                 "%s; };\n",
                 rand() % 2 ? "precision = \"f64\";" : "plugin_path = \"/a/b:/c\";", rand() % 9, rand(), rand(), rand(),
                 fmod(fabs(random_real()), 10.0) + 0.5 > 10 ? 1.25 : 0.1 + rand() % 9, rand(), (long long)rand() << 20,
                 -((long long)rand() << 31), random_real(), 1 + rand() % 99,
                 rand() % 2 ? "step = \"0.9/L\";" : "step = 3e-7; gradient = \"truncated\"; truncate = 1;", inits[init],
                 init == 2   ? "path = \"w.npy\";"
                 : init == 3 ? "sparsity = 3;"
                             : "",
                 fabs(random_real()), learns[learn],
                 learn < 3 && rand() % 2 ? "decay_every = 5; decay_change = -0.1;" : "decay = 0.3;",
                 rand() % 2 ? "inner_loss: { name = \"smooth\"; };" : "", (long long)rand() << 31 | rand(),
                 optimizers[optimizer], optimizer == 1 ? "momentum = 0.123456789012345678;" : "", schedules[schedule],
                 schedule == 1 ? "schedule_every = 3;" : "", fabs(random_real()) + 1e-300, rand() % 2 ? "true" : "false");
        pd_settings *a = load_good(text, NULL, 0);
        char *first = written(a);
        pd_settings *b = load_good(first, NULL, 0);
        char *second = written(b);
        assert_string_equal(first, second);
        const files_params *x = a->section[PD_SECTION_DATA].plugin_params, *y = b->section[PD_SECTION_DATA].plugin_params;
        assert_string_equal(x->path, y->path);
        assert_string_equal(x->note, y->note);
        assert_memory_equal(&x->offset, &y->offset, sizeof x->offset);
        assert_memory_equal(x->scale.item, y->scale.item, 2 * sizeof(double));
        assert_memory_equal(x->rows.item, y->rows.item, 2 * sizeof(int64_t));
        assert_true(x->big == y->big && x->mode == y->mode);
        assert_memory_equal(a->section[PD_SECTION_PROX].plugin_params, b->section[PD_SECTION_PROX].plugin_params,
                            sizeof(soft_params));
        assert_true(a->train.seed == b->train.seed && a->train.learning_rate == b->train.learning_rate);
        assert_true(a->train.momentum == b->train.momentum && a->step == b->step && a->step_over_l == b->step_over_l);
        assert_true(a->prox.decay == b->prox.decay && a->prox.decay_change == b->prox.decay_change);
        pd_settings_destroy(a);
        pd_settings_destroy(b);
        free(first);
        free(second);
    }
}

/* Damaged configs are refused or read, never worse. Run under a sanitizer or valgrind for the full meaning. */
static void test_damage(void **state)
{
    (void)state;
    static const char bytes[] = "{}()[];:=,\"\\/*#@.-+eL0123456789 \n\tax";
    pd_context *ctx = pd_context_create();
    for (int round = 0; round < 600; round++) {
        char text[8192];
        snprintf(text, sizeof text, "%s@include \"sub/prox.cfg\"\n", text_of(&good));
        size_t length = strlen(text);
        for (int k = rand() % 6; k >= 0; k--) {
            const size_t at = (size_t)rand() % length;
            if (rand() % 3) {
                text[at] = bytes[(size_t)rand() % (sizeof bytes - 1)];
            } else {
                memmove(text + at, text + at + 1, length - at);
                length--;
            }
        }
        pd_settings *s = NULL;
        const pudle_status status = load_text(ctx, text, NULL, 0, &s);
        assert_true(status == PUDLE_OK ? s != NULL : s == NULL && pd_error_count(ctx) > 0);
        pd_settings_destroy(s);
        pd_error_clear(ctx);
    }
    char *deep = malloc(400001);
    for (int i = 0; i < 100000; i++)
        memcpy(deep + 4 * i, "a:{ ", 4);
    deep[400000] = '\0';
    pd_settings *s = NULL;
    assert_int_equal(load_text(ctx, deep, NULL, 0, &s), PUDLE_ERR_CONFIG);
    free(deep);
    pd_context_destroy(ctx);
}

/* -------------------------------------------------------------- the smaller parts */

static void test_pairs(void **state)
{
    (void)state;
    const pd_plugin plugin = { .desc = &soft };
    pd_context *ctx = pd_context_create();
    void *params = NULL;
    static const char *const one[] = { "lambda=0.5", "nonnegative=true", "lambda=0.25" };
    assert_int_equal(pd_params_from_pairs(ctx, &plugin, NULL, 0, &params), PUDLE_OK);
    assert_true(((soft_params *)params)->lambda == 0.1);
    pd_params_free(params);
    assert_int_equal(pd_params_from_pairs(ctx, &plugin, one, 3, &params), PUDLE_OK);
    assert_true(((soft_params *)params)->lambda == 0.25 && ((soft_params *)params)->nonnegative);
    pd_params_free(params);
    static const struct { const char *pair, *said;
    } bad[] = {
        { "lambda=-1", "prox softly: lambda=-1: -1 is outside [0, inf)" },
        { "lamda=1", "prox softly: lamda=1: unknown option" },
        { "lambda", "wants key=value" },
        { "lambda=7", "lambda 7 is unlucky" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        params = NULL;
        pd_error_clear(ctx);
        assert_int_equal(pd_params_from_pairs(ctx, &plugin, &bad[i].pair, 1, &params), PUDLE_ERR_CONFIG);
        assert_null(params);
        if (!strstr(pd_error(ctx), bad[i].said))
            fail_msg("%s: %s", bad[i].pair, pd_error(ctx));
    }
    pd_params_free(NULL);
    pd_context_destroy(ctx);
}

static void test_nearest(void **state)
{
    (void)state;
    assert_int_equal(pd_edit_distance("", "abc"), 3);
    assert_int_equal(pd_edit_distance("lamda", "lambda"), 1);
    assert_int_equal(pd_edit_distance("adma", "adam"), 1);
    assert_int_equal(pd_edit_distance("Learning-Rate", "learning_rate"), 0);
    assert_int_equal(pd_edit_distance("kitten", "sitting"), 3);
    for (int round = 0; round < 500; round++) { /* symmetric, and never beyond the longer word */
        char a[12] = "", b[12] = "";
        const int n = rand() % 10, m = rand() % 10;
        for (int i = 0; i < n; i++)
            a[i] = (char)('a' + rand() % 3);
        for (int i = 0; i < m; i++)
            b[i] = (char)('a' + rand() % 3);
        const int d = pd_edit_distance(a, b);
        assert_int_equal(d, pd_edit_distance(b, a));
        assert_true(d >= abs(n - m) && d <= (n > m ? n : m));
        assert_int_equal(d == 0, !strcmp(a, b));
    }
}

/* What the tables say must itself be loadable, and be printed in full. */
static void test_tables(void **state)
{
    (void)state;
    static const char *const formats[] = { "text", "md", "cfg" };
    pd_arena *arena = pd_arena_create();
    for (int i = 0; i < PD_SECTIONS; i++) {
        for (const pudle_option *row = pd_core_table(i); row->name; row++) {
            char params[512] = { 0 };
            pd_why why;
            assert_true(row->doc && *row->doc && row->doc[strlen(row->doc) - 1] == '.');
            if (!pd_option_default(arena, row, params, sizeof params, &why))
                fail_msg("%s: %s", row->name, why.text);
        }
        for (int f = 0; f < 3; f++) {
            char *text = NULL;
            size_t size = 0;
            FILE *to = open_memstream(&text, &size);
            pd_option_table_print(to, formats[f], pd_section_path(i), pd_core_table(i), i == PD_SECTION_PROX ? &soft : NULL);
            fclose(to);
            for (const pudle_option *row = pd_core_table(i); row->name; row++)
                assert_non_null(strstr(text, row->name));
            if (i == PD_SECTION_PROX)
                assert_non_null(strstr(text, "lambda"));
            free(text);
        }
    }
    assert_null(pd_core_table(PD_SECTIONS));
    pd_arena_destroy(arena);
}

static int set_up(void **state)
{
    (void)state;
    const char *given = getenv("PUDLE_TEST_SEED");
    seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL) ^ (unsigned)getpid() << 8;
    print_message("# PUDLE_TEST_SEED=%u\n", seed);
    srand(seed);
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof file, "%s/t.cfg", folder);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),       cmocka_unit_test(test_good_variants), cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_overrides),  cmocka_unit_test(test_includes),      cmocka_unit_test(test_files),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_damage),        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_nearest),    cmocka_unit_test(test_tables),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
