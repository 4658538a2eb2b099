/* pudle - unrolled dictionary learning from the command line. Exit codes: 0 done, 1 failed, 2 the config or command line is wrong. */
#include "cli.h"
#include "config/settings.h"
#include "plugin/registry.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const cli_command commands[] = {
    { "train", "CONFIG|RUN [--out DIR] [--resume] [--force] [--set KEY=VALUE]...", "learn a dictionary", "out resume force quiet set unset", 1, 1, cli_train },
    { "sweep", "CONFIG --out DIR [--vary KEY=V1,V2,...]... [--seeds N] [--jobs J] [--set KEY=VALUE]...",
      "a run for every combination of values, and what came out as a table", "out vary seeds jobs quiet set unset", 1, 1, cli_sweep },
    { "evaluate", "RUN|CONFIG [--split train|test|--input X.npy]", "loss, sparsity and errors of a learned dictionary", "split input set unset quiet", 1, 1, cli_evaluate },
    { "encode", "RUN|CONFIG --output Z.npy [--input X.npy] [--reconstruction XHAT.npy] [--signals S.npy]", "codes of given samples",
      "input output reconstruction signals split set unset quiet", 1, 1, cli_encode },
    { "attribute", "RUN|CONFIG --out DIR [--atoms LIST] [--split train|test|--input X.npy] [--samples LIST] [--top K] [--omega W]",
      "which training samples an atom is made of, and which a code calls up", "out atoms split input samples top omega set unset quiet", 1, 1, cli_attribute },
    { "denoise", "INPUT OUTPUT --model RUN|--config CONFIG [--sigma S] [--shift-average] [--memory SIZE] [--grey] [--seed N] [--csv FILE] [--compare FILE.png]",
      "pictures of any size through a convolutional model", "input output model config sigma shift-average memory grey seed csv compare set unset quiet", 0, 2,
      cli_denoise },
    { "gradient", "CONFIG --out DIR", "code, reconstruction and gradients of all samples as one batch, as .npy", "out set unset quiet", 1, 1, cli_gradient },
    { "check", "CONFIG", "validate a config, read the files it names and try one batch; write nothing", "set unset quiet", 1, 1, cli_check },
    { "report", "RUN [RUN]...|SWEEP --out FILE.html", "curves, atoms and settings of runs, or of a sweep, as one page to look at and to send", "out quiet", 1, 64, cli_report },
    { "compare", "A.npy B.npy [--rtol R] [--atol A] [--dictionary [--csv FILE]]", "distance of two arrays, or of two dictionaries up to order and sign",
      "rtol atol dictionary csv", 2, 2, cli_compare },
    { "bench", "CONFIG... [--seconds S] [--runs R] [--csv FILE] [--set KEY=VALUE]...", "time updates and forward passes, beside what the machine can do",
      "seconds runs csv set unset quiet", 1, 64, cli_bench },
    { "plugins", "list | info NAME [--format text|md|cfg] | new KIND NAME [--dir DIR] | reference | check FILE.so|NAME [--only TEST] [--seed N] "
      "[--set KEY=VALUE]... [--backend NAME] [--timeout S] [--in-process]",
      "the plugins that can be found, their options, and whether they keep their promises; a new one to begin with",
      "format dir only seed set backend timeout in-process", 1, 3, cli_plugins },
    { "doctor", "", "versions, search paths, backends: what this installation is made of", "", 0, 0, cli_doctor },
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void usage(FILE *to)
{
    fputs("usage: pudle COMMAND [OPTION]...\n\n", to);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  pudle %s %s\n      %s\n", commands[i].name, commands[i].usage, commands[i].summary);
    fputs("\nEvery command takes --plugin-path DIR[:DIR]..., --verbose and --help. The manual page pudle(1) says more.\n", to);
}

static const struct option long_options[] = {
    { "unset", required_argument, NULL, 'u' },
    { "out", required_argument, NULL, 'o' },   { "set", required_argument, NULL, 's' },    { "resume", no_argument, NULL, 'r' },
    { "force", no_argument, NULL, 'f' },       { "quiet", no_argument, NULL, 'q' },        { "input", required_argument, NULL, 'i' },
    { "output", required_argument, NULL, 'O' },{ "reconstruction", required_argument, NULL, 'R' }, { "split", required_argument, NULL, 'S' },
    { "format", required_argument, NULL, 'F' },{ "rtol", required_argument, NULL, 't' },   { "atol", required_argument, NULL, 'a' },
    { "dictionary", no_argument, NULL, 'd' },  { "plugin-path", required_argument, NULL, 'p' }, { "verbose", no_argument, NULL, 'v' },
    { "model", required_argument, NULL, 'M' }, { "config", required_argument, NULL, 'C' }, { "sigma", required_argument, NULL, 'G' },
    { "shift-average", no_argument, NULL, 'A' },{ "memory", required_argument, NULL, 'Y' }, { "grey", no_argument, NULL, 'g' },
    { "seed", required_argument, NULL, 'D' },  { "csv", required_argument, NULL, 'V' },    { "compare", required_argument, NULL, 'P' },
    { "only", required_argument, NULL, 'N' },  { "backend", required_argument, NULL, 'B' }, { "timeout", required_argument, NULL, 'T' },
    { "in-process", no_argument, NULL, 'I' }, { "seconds", required_argument, NULL, 'E' }, { "runs", required_argument, NULL, 'U' },
    { "samples", required_argument, NULL, 'n' }, { "atoms", required_argument, NULL, 'j' }, { "top", required_argument, NULL, 'k' },
    { "omega", required_argument, NULL, 'w' }, { "vary", required_argument, NULL, 'x' },   { "seeds", required_argument, NULL, 'e' },
    { "jobs", required_argument, NULL, 'J' },
    { "signals", required_argument, NULL, 'z' },
    { "dir", required_argument, NULL, 'W' },   { "help", no_argument, NULL, 'h' },        { NULL, 0, NULL, 0 },
};

/* What --help of a command says of the options that it takes. */
static const struct { const char *name, *value, *text; } explained[] = {
    { "out", "DIR", "the folder of the run, or of the arrays (train: runs/NAME of the config by default); report: the page" },
    { "resume", "", "go on from the run's last checkpoint, or begin where there is none" },
    { "force", "", "begin anew; an earlier run there is given up once the new one has begun" },
    { "set", "KEY=VALUE", "override a value of the config, as train.epochs=20 (plugins check: of the plugin's options)" },
    { "unset", "KEY", "do without a key of the config" },
    { "vary", "KEY=V1,V2", "values of a key, or of several, KEY,KEY=V1,V2, that take the same; a run for each combination" },
    { "seeds", "N", "each combination N times: train.seed as in the config, and the numbers after it" },
    { "jobs", "J", "runs at a time; 1 by default. They share the processors, unless backend.threads says otherwise" },
    { "input", "FILE", "samples in place of the config's data" },
    { "output", "FILE", "where the result goes" },
    { "reconstruction", "FILE", "also write what the codes stand for" },
    { "signals", "FILE", "also write the signals D z of a model whose samples are measurements, model.measurement" },
    { "split", "train|test", "which samples of the config's data; train by default" },
    { "atoms", "LIST", "atoms in the picture, as 8,9,19; by default the dozen of most energy" },
    { "samples", "LIST", "samples that are explained at length, of --split or --input; by default the first eight" },
    { "top", "K", "training samples that are named for each, from either end; 10 by default" },
    { "omega", "W", "weight of the dictionary's squares, 1/2 W ||D||^2; by default samples * train.weight_decay, or 0.001" },
    { "rtol", "R", "with --atol: agree where max|a-b| <= atol + rtol max|b|, else exit with 1" },
    { "atol", "A", "the same" },
    { "dictionary", "", "columns are atoms, compared in the best order and with the best signs as well; the first of 3 or 4 axes counts filters, compared at the best lags, too" },
    { "csv", "FILE", "with --dictionary: write which atom of A belongs to each of B, sign, lag and |cosine|" },
    { "only", "TEST", "one test of the suite" },
    { "backend", "NAME", "run the plugin through this backend" },
    { "timeout", "S", "seconds that a test may take" },
    { "seed", "N", "of what is drawn" },
    { "in-process", "", "no process of its own for every test, for a debugger" },
    { "format", "text|md|cfg", "how options are printed" },
    { "dir", "DIR", "where the new folder goes" },
    { "quiet", "", "warnings and errors only" },
};

static const char *long_name(int value)
{
    for (const struct option *o = long_options; o->name; o++)
        if (o->val == value)
            return o->name;
    return "?";
}

/* Is this one of the space-separated words? */
static bool among(const char *words, const char *word)
{
    const size_t length = strlen(word);
    for (const char *p = words; (p = strstr(p, word)); p += length)
        if ((p == words || p[-1] == ' ') && (p[length] == ' ' || !p[length]))
            return true;
    return false;
}

/* Some commands explain their own options themselves. */
static void explain_options(const cli_command *command)
{
    const bool own = command->run == cli_denoise || command->run == cli_bench;
    for (size_t i = 0; i < sizeof explained / sizeof *explained; i++)
        if (among(own ? "set unset quiet" : command->options, explained[i].name))
            printf("  --%s %-*s %s\n", explained[i].name, (int)(20 - strlen(explained[i].name)), explained[i].value, explained[i].text);
    printf("  --plugin-path DIR[:DIR]  folders to look for plugins in first\n  --verbose                say more\n");
}

static pudle_status tolerance(pd_context *ctx, const char *name, const char *text, double *value)
{
    char *end = NULL;
    *value = strtod(text, &end);
    if (end == text || *end || !(*value >= 0) || !isfinite(*value))
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--%s %s: a finite number that is not negative is wanted", name, text);
    return PUDLE_OK;
}

/* A number of bytes: digits, then nothing, K, M or G. */
static pudle_status bytes(pd_context *ctx, const char *name, const char *text, int64_t *value)
{
    return pd_parse_bytes(text, value) ? PUDLE_OK
                                       : pd_fail(ctx, PUDLE_ERR_CONFIG, "--%s %s: a number of bytes is wanted, as 1500000, 512M or 2G", name, text);
}

static pudle_status seed(pd_context *ctx, const char *text, int64_t *value)
{
    char *end = NULL;
    errno = 0;
    *value = strtoll(text, &end, 10);
    if (end == text || *end || errno || *value < 0)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--seed %s: a whole number that is not negative is wanted", text);
    return PUDLE_OK;
}

/* A whole number from 1 to `most`. */
static pudle_status count(pd_context *ctx, const char *name, const char *text, int64_t most, int64_t *value)
{
    char *end = NULL;
    errno = 0;
    *value = strtoll(text, &end, 10);
    if (end == text || *end || errno || *value < 1 || *value > most)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--%s %s: a whole number from 1 to %lld is wanted", name, text, (long long)most);
    return PUDLE_OK;
}

static pudle_status seconds(pd_context *ctx, const char *text, double *value)
{
    const pudle_status s = tolerance(ctx, "seconds", text, value);
    return s || *value > 0 ? s : pd_fail(ctx, PUDLE_ERR_CONFIG, "--seconds %s: a number above 0 is wanted", text);
}

/* As an override; the list keeps what it is given. */
static const char *unset_text(cli_args *args, const char *key)
{
    static const size_t most = sizeof args->unset[0];
    snprintf(args->unset[args->sets], most, "%c%s", PD_UNSET, key);
    return args->unset[args->sets];
}

static pudle_status one_option(pd_context *ctx, int value, const char *text, cli_args *args)
{
    switch (value) {
    case 'o': args->out = text; break;
    case 'r': args->resume = true; break;
    case 'f': args->force = true; break;
    case 'q': args->quiet = true; break;
    case 'i': args->input = text; break;
    case 'O': args->output = text; break;
    case 'R': args->reconstruction = text; break;
    case 'z': args->signals = text; break;
    case 'S': args->split = text; break;
    case 'F': args->format = text; break;
    case 'W': args->dir = text; break;
    case 'd': args->dictionary = true; break;
    case 'v': pd_log_level(ctx, PUDLE_LOG_DEBUG); break;
    case 't': args->has_tolerance = true; return tolerance(ctx, "rtol", text, &args->rtol);
    case 'a': args->has_tolerance = true; return tolerance(ctx, "atol", text, &args->atol);
    case 'p': return pd_plugin_path_add(ctx, PD_FROM_COMMAND_LINE, text);
    case 'M': args->model = text; break;
    case 'C': args->config = text; break;
    case 'V': args->csv = text; break;
    case 'P': args->compare = text; break;
    case 'A': args->shift_average = true; break;
    case 'g': args->grey = true; break;
    case 'G': args->has_sigma = true; return tolerance(ctx, "sigma", text, &args->sigma);
    case 'Y': return bytes(ctx, "memory", text, &args->memory);
    case 'D': args->has_seed = true; return seed(ctx, text, &args->seed);
    case 'N': args->only = text; break;
    case 'B': args->backend = text; break;
    case 'I': args->in_process = true; break;
    case 'T': return tolerance(ctx, "timeout", text, &args->timeout);
    case 'E': return seconds(ctx, text, &args->seconds);
    case 'U': return count(ctx, "runs", text, 1000000000, &args->runs);
    case 'n': args->samples = text; break;
    case 'j': args->atoms = text; break;
    case 'k': return count(ctx, "top", text, 100000, &args->top);
    case 'w': args->has_omega = true; return tolerance(ctx, "omega", text, &args->omega);
    case 'e': return count(ctx, "seeds", text, 10000, &args->seeds);
    case 'J': return count(ctx, "jobs", text, 1024, &args->jobs);
    case 'x':
        if (args->varies == (int)(sizeof args->vary / sizeof *args->vary))
            return pd_fail(ctx, PUDLE_ERR_CONFIG, "--vary is given more than %d times", args->varies);
        args->vary[args->varies++] = text;
        break;
    case 'u':
    case 's':
        if (args->sets == (int)(sizeof args->set / sizeof *args->set))
            return pd_fail(ctx, PUDLE_ERR_CONFIG, "--set is given more than %d times: put the values into a config file", args->sets);
        args->set[args->sets++] = value == 's' ? text : unset_text(args, text);
        break;
    default: break;
    }
    return PUDLE_OK;
}

/* getopt does not take it: there is none of that name, or its value is missing. */
static pudle_status wrong_option(pd_context *ctx, const cli_command *command, const char *given)
{
    const char *name = given + strspn(given, "-");
    const size_t length = strcspn(name, "=");
    for (const struct option *o = long_options; o->name; o++)
        if (strlen(o->name) == length && !strncmp(o->name, name, length))
            return pd_fail(ctx, PUDLE_ERR_CONFIG, o->has_arg ? "pudle %s: --%s wants a value behind it; see pudle %s --help" : "pudle %s: --%s takes no value; see "
                           "pudle %s --help", command->name, o->name, command->name);
    return pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle %s: there is no option %s; see pudle %s --help. Values of the config are given as --set KEY=VALUE", command->name,
                   given, command->name);
}

static pudle_status parse(pd_context *ctx, const cli_command *command, int argc, char **argv, cli_args *args, bool *help)
{
    int value;
    opterr = 0;
    while ((value = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (value == '?')
            return wrong_option(ctx, command, argv[optind - 1]);
        if (value == 'h') {
            *help = true;
            return PUDLE_OK;
        }
        if (value != 'p' && value != 'v' && !among(command->options, long_name(value)))
            return pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle %s does not take --%s; usage: pudle %s %s", command->name, long_name(value),
                           command->name, command->usage);
        const pudle_status s = one_option(ctx, value, optarg, args);
        if (s)
            return s;
    }
    for (; optind < argc; optind++) {
        if (args->positionals == command->max_positionals)
            return pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle %s: '%s' is one argument too many; usage: pudle %s %s", command->name, argv[optind],
                           command->name, command->usage);
        args->positional[args->positionals++] = argv[optind];
    }
    if (args->positionals < command->min_positionals)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle %s: an argument is missing; usage: pudle %s %s", command->name, command->name, command->usage);
    return PUDLE_OK;
}

static const cli_command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

static int dispatch(pd_context *ctx, int argc, char **argv)
{
    const cli_command *command = find(argv[1]);
    if (!command) {
        pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle: '%s' is not a command; 'pudle --help' lists them", argv[1]);
        return cli_setup_failed(ctx, PUDLE_ERR_CONFIG);
    }
    cli_args args = { 0 };
    bool help = false;
    const pudle_status s = parse(ctx, command, argc - 1, argv + 1, &args, &help);
    if (s)
        return cli_setup_failed(ctx, s);
    if (help) {
        printf("usage: pudle %s %s\n%s\n", command->name, command->usage, command->summary);
        if (command->run == cli_denoise)
            fputs(cli_denoise_help, stdout);
        if (command->run == cli_bench)
            fputs(cli_bench_help, stdout);
        explain_options(command);
        return CLI_DONE;
    }
    if (args.quiet)
        pd_log_level(ctx, PUDLE_LOG_WARNING);
    return command->run(ctx, &args);
}

/* A descriptor that is closed would be given to the next file or pipe, and messages would end in that. */
static void open_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDONLY) < 0) /* so that what is written there fails, and is told */
            _exit(CLI_FAILED);
}

static bool ended; /* main has; who calls exit before, ends a program that is not done */

static void ended_early(void)
{
    if (ended)
        return;
    fflush(stdout);
    fprintf(stderr, "pudle ended before it was done: a plugin%s%s, or a library, called exit\n", pd_calling_plugin ? ", probably " : "",
            pd_calling_plugin ? pd_calling_plugin : "");
    fflush(stderr);
    _exit(CLI_FAILED);
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return CLI_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        usage(stdout);
        return CLI_DONE;
    }
    if (!strcmp(argv[1], "--version")) {
        printf("pudle %s (plugin ABI %d.%d)\n", PD_VERSION, PUDLE_ABI_MAJOR, PUDLE_ABI_MINOR);
        return CLI_DONE;
    }
    pd_context *ctx = pd_context_create();
    if (!ctx) {
        fputs("pudle: out of memory\n", stderr);
        return CLI_FAILED;
    }
    cli_signals();
    const int code = dispatch(ctx, argc, argv);
    pd_context_destroy(ctx);
    return code;
}

int main(int argc, char **argv)
{
    open_standard_files();
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write, which is told */
    atexit(ended_early);
    int code = run(argc, argv);
    if ((fflush(stdout) || ferror(stdout)) && code == CLI_DONE) {
        perror("pudle: standard output");
        code = CLI_FAILED;
    }
    ended = true;
    return code;
}
