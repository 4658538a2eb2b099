/* Plugins that exist only here, and configs written to a file and loaded with them; for tests of core/config. Include after cmocka.h. */
#ifndef TESTS_CONFIGS_H
#define TESTS_CONFIGS_H

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
    pudle_real_list factors;
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
    { .name = "factors", .type = PUDLE_REAL_LIST, FILES(factors), .dflt = "[1, 0.5]", .max = 10, .doc = "factors" },
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
    static char text[8000]; /* tests append to a copy in 8192 bytes */
#define PICK(member) (p->member ? p->member : good.member)
    snprintf(text, sizeof text, "%s\n%s\n%s\n%s\n%s\n%s\n%s\n", PICK(top), PICK(backend), PICK(data), PICK(model),
             PICK(prox), PICK(loss), PICK(train));
    return text;
}

/* Number of the last line's "N errors". */
static int counted(const char *text)
{
    const char *last = strrchr(text, '\n');
    return last ? atoi(last + 1) : -1;
}

static unsigned seed;

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

#endif
