/* Mistakes in configs: each is reported with its file, line and remedy, and all of them together; the nearest name is that of fewest
 * edits. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "configs.h"

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
    { PROX("xyzzy = 1;"), .said = ":5: prox.xyzzy: unknown option of 'softly'; known here: name, decay,", "lambda, nonnegative", 1 },
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
    { DATA("factors = \"a\";"), .said = ":3: data.factors: wants a number or a list of numbers", NULL, 1 },
    { DATA("factors = (1, \"a\");"), .said = ":3: data.factors: item 2 of the list: wants", NULL, 1 },
    { DATA("factors = [0.5, 11.0];"), .said = ":3: data.factors: item 2 of the list: 11.0 is outside [0, 10]", NULL, 1 },
    { DATA("rows = [1.5];"), .said = ":3: data.rows: item 1 of the list: wants", NULL, 1 },
    { .p.train = "train = 5;", .said = ":7: train: is a group of options; write  train: { ... };", NULL, 1 },
    { .p.prox = "prox = \"softly\";", .said = ":5: prox: is a group of options; write  prox: { ... };", NULL, 1 },
    { .p.model = "model = 3;", .said = ":4: model: is a group of options", NULL, 1 },
    { .p.model = "model: { dictionary = 3; layers = 3; };", .said = ":4: model.dictionary: is a group of options", NULL, 1 },
    { .p.model = "model: ( );", .said = ":4: model: is a group of options", NULL, 1 },
    /* ranges */
    { PROX("lambda = -0.5;"), .said = ":5: prox.lambda: -0.5 is outside [0, inf); the default is 0.1", NULL, 1 },
    { TRAIN("epochs = 9223372036854775807L;"), .said = ":7: train.epochs: 9223372036854775807 is too large; whole numbers end at 1e+18", NULL, 1 },
    { TRAIN("epochs = -1;"), .said = ":7: train.epochs: -1 is outside [0, inf)", NULL, 1 },
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
      .said = ":7: train.optimizer: \"adma\" is none of sgd, momentum, adam, odl; did you mean \"adam\"?", NULL, 1 },
    { TRAIN("optimizer = \"lbfgs\";"), .said = "is none of sgd, momentum, adam, odl; choose one of them", NULL, 1 },
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
    { MODEL("momentum = 1;"), .said = ":4: model.momentum: \"1\" is no momentum of layers; write  momentum = \"fista\";  or a number from 0 up to but not 1", NULL, 1 },
    { MODEL("momentum = -0.1;"), .said = "\"-0.1\" is no momentum", NULL, 1 },
    { MODEL("momentum = \"nesterov\";"), .said = "\"nesterov\" is no momentum", NULL, 1 },
    { MODEL("momentum = \"nan\";"), .said = "\"nan\" is no momentum", NULL, 1 },
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
      .said = ":4: model.ill_conditioned: is read only with model.gradient = \"implicit\" or \"refit\", and here is model.gradient = \"ae\"", NULL, 1 },
    { MODEL("gradient = \"refit\"; step = 0.1;"), .p.loss = "loss: { name = \"rough\"; };",
      .said = ":4: model.gradient: \"refit\" fits codes by least squares, and the inner loss \"rough\" is no sum of squares", .errors = 1 },
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
    { DATA("factors = [1, 2.5];"), .said = ":3: mismatched element type in array", NULL, 1 },
    { .p.top = "/* open", .said = ":1: the comment that starts here is never closed", NULL, 1 },
    { .p.top = "plugin_path = \"/open;", .said = ":1: the string that starts here is never closed", NULL, 1 },
    { .p.top = "@include \"none.cfg\"", .said = ":1: @include \"none.cfg\": cannot read", "No such file", 1 },
    { .p.top = "@include none.cfg", .said = ":1: @include wants a path in double quotes", NULL, 1 },
    { .p.top = "@include \"none.cfg\" @include \".\"", .said = ":1: only a comment may follow the path of an @include", NULL, 1 },
    { .p.top = "@include \"none.cfg\";", .said = ":1: only a comment may follow the path of an @include", NULL, 1 },
    { .p.top = "plugin_path = \"/a\"; @include \".\"", .said = ":1: an @ stands where none is expected", NULL, 1 },
    { .p.top = "@include \".\"", .said = ":1: @include \".\": cannot read", "Is a directory", 1 },
    { .p.top = "@include \"t.cfg\"", .said = "nested more than 10 deep; does a file include itself?", NULL, 1 },
    /* everything at once */
    { PROX("lamda = 1; lambda = -0.5; nonnegative = 1;"), TRAIN("momentum = 0.5; epochs = 1e3; seed = 3000000000;"),
      .said = "6 errors, nothing was run", .errors = 6 },
};

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes), cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
