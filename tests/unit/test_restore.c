/* Pictures of any size through a convolutional model: against a slow network written from the formulas on a picture extended
 * here, tiles against the whole, shifts against the reference cases; errors; SSIM against a direct sum; pictures of 16 bits. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <pudle/random.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "image/restore.h"
#include "measure/measure.h"
#include "tensor/arrays.h"
#include "train/dictionary.h"
#include "../../plugins/data/picture.h"

static pd_context *ctx;
static pudle_random rng;
static char folder[] = "/tmp/pudle-restore-XXXXXX";

#define assert_near(a, b, tolerance) do { \
        const double a_ = (a), b_ = (b); \
        if (!(fabs(a_ - b_) <= (tolerance))) fail_msg("%s = %.17g, wanted %.17g", #a, a_, b_); \
    } while (0)

static int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)pudle_random_below(&rng, (uint64_t)(high - low + 1));
}

static double *values(int64_t count, bool normal)
{
    double *v = malloc(sizeof *v * (size_t)count);
    assert_non_null(v);
    for (int64_t i = 0; i < count; i++)
        v[i] = normal ? pudle_random_normal(&rng) : pudle_random_uniform(&rng);
    return v;
}

static void ok(pudle_status s)
{
    if (s)
        fail_msg("%s", pd_error(ctx));
}

static void refused(pudle_status s, pudle_status wanted, const char *phrase)
{
    if (s != wanted || !strstr(pd_error(ctx), phrase))
        fail_msg("status %d, wanted %d; \"%s\", wanted \"%s\"", (int)s, (int)wanted, pd_error(ctx), phrase);
    pd_error_clear(ctx);
}

/* ------------------------------------------------------------------ a model */

typedef struct model {
    int64_t atoms, channels, size[2], stride[2], layers;
    double step, lambda;
    const char *backend, *learn, *data; /* more options of the data */
    double *filters; /* (atoms, channels, size...) */
    const char *file; /* of the filters, when they are not these */
    pd_settings *settings;
} model;

static model random_model(void)
{
    model m = { .atoms = between(1, 7), .channels = between(1, 3), .layers = between(1, 5), .step = 0.15, .lambda = 0.05, .backend = "ref" };
    for (int i = 0; i < 2; i++) {
        m.size[i] = between(1, 7);
        m.stride[i] = between(1, m.size[i] < 5 ? m.size[i] : 5);
    }
    const int64_t taps = m.channels * m.size[0] * m.size[1];
    m.filters = values(m.atoms * taps, true);
    for (int64_t k = 0; k < m.atoms; k++) {
        double norm = 0;
        for (int64_t i = 0; i < taps; i++)
            norm += m.filters[k * taps + i] * m.filters[k * taps + i];
        for (int64_t i = 0; i < taps; i++)
            m.filters[k * taps + i] /= sqrt(norm);
    }
    return m;
}

static void load(model *m)
{
    char path[256], w[256];
    snprintf(path, sizeof path, "%s/model.cfg", folder);
    snprintf(w, sizeof w, "%s/W.npy", folder);
    if (m->filters) {
        const pudle_cview v = pd_cview(m->filters, PUDLE_F64, 4, (const int64_t[]){ m->atoms, m->channels, m->size[0], m->size[1] });
        ok(pd_npy_write(ctx, w, &v));
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "precision = \"f64\"; backend: { name = \"%s\"; };\ndata: { name = \"npy\"; path = \"%s/not-there.npy\"; %s };\n", m->backend, folder,
            m->data ? m->data : "");
    fprintf(f, "model: { dictionary: { kind = \"conv\"; atoms = %lld; size = [%lld, %lld]; stride = [%lld, %lld]; init = \"file\"; path = \"%s\"; };\n",
            (long long)m->atoms, (long long)m->size[0], (long long)m->size[1], (long long)m->stride[0], (long long)m->stride[1],
            m->file ? m->file : w);
    fprintf(f, "layers = %lld; step = %.17g; gradient = \"ae\"; };\n", (long long)m->layers, m->step);
    fprintf(f, "prox: { name = \"soft_threshold\"; lambda = %.17g; learn = \"%s\"; };\nloss: { name = \"least_squares\"; };\n", m->lambda,
            m->learn ? m->learn : "none");
    assert_int_equal(fclose(f), 0);
    ok(pd_settings_load(ctx, path, NULL, 0, &m->settings));
}

static pd_restorer *restorer(model *m, bool shifts, int64_t memory)
{
    pudle_data_info given;
    pd_problem pb;
    pd_restorer *r = NULL;
    if (!m->settings)
        load(m);
    ok(pd_restore_model_shape(ctx, m->settings, m->channels, &given));
    ok(pd_problem_open(ctx, m->settings, &given, &pb));
    assert_int_equal(pb.net.depth, 0); /* no tape, although the config asks for gradients through all layers */
    ok(pd_problem_initialise(&pb));
    const pd_restore_options options = { .shift_average = shifts, .memory = memory };
    ok(pd_restorer_open(ctx, &pb, &options, &r));
    pd_problem_close(&pb);
    return r;
}

static void drop(model *m)
{
    pd_settings_destroy(m->settings);
    free(m->filters);
}

static void restore(pd_restorer *r, const double *x, double *out, int64_t channels, int64_t height, int64_t width)
{
    const int64_t shape[3] = { channels, height, width };
    const pudle_cview v = pd_cview(x, PUDLE_F64, 3, shape);
    const pudle_view o = pd_view(out, PUDLE_F64, 3, shape);
    ok(pd_restore(r, &v, &o));
}

/* -------------------------------------------------------------- slow network */

typedef struct plane { int64_t h, w; } plane;

static void slow_apply(const model *m, const double *z, plane code, double *u, plane data)
{
    memset(u, 0, sizeof *u * (size_t)(m->channels * data.h * data.w));
    for (int64_t k = 0; k < m->atoms; k++)
        for (int64_t i = 0; i < code.h; i++)
            for (int64_t j = 0; j < code.w; j++)
                for (int64_t c = 0; c < m->channels; c++)
                    for (int64_t a = 0; a < m->size[0]; a++)
                        for (int64_t b = 0; b < m->size[1]; b++)
                            u[(c * data.h + i * m->stride[0] + a) * data.w + j * m->stride[1] + b] +=
                                z[(k * code.h + i) * code.w + j] * m->filters[((k * m->channels + c) * m->size[0] + a) * m->size[1] + b];
}

static void slow_network(const model *m, const double *x, plane data, double *out)
{
    const plane code = { (data.h - m->size[0]) / m->stride[0] + 1, (data.w - m->size[1]) / m->stride[1] + 1 };
    double *z = calloc((size_t)(m->atoms * code.h * code.w), sizeof *z), *u = calloc((size_t)(m->channels * data.h * data.w), sizeof *u);
    assert_true(z && u);
    for (int64_t t = 0; t < m->layers; t++) {
        slow_apply(m, z, code, u, data);
        for (int64_t k = 0; k < m->atoms; k++)
            for (int64_t i = 0; i < code.h; i++)
                for (int64_t j = 0; j < code.w; j++) {
                    double v = z[(k * code.h + i) * code.w + j];
                    for (int64_t c = 0; c < m->channels; c++)
                        for (int64_t a = 0; a < m->size[0]; a++)
                            for (int64_t b = 0; b < m->size[1]; b++) {
                                const int64_t at = (c * data.h + i * m->stride[0] + a) * data.w + j * m->stride[1] + b;
                                v -= m->step * (u[at] - x[at]) * m->filters[((k * m->channels + c) * m->size[0] + a) * m->size[1] + b];
                            }
                    const double cut = fabs(v) - m->step * m->lambda;
                    z[(k * code.h + i) * code.w + j] = cut > 0 ? copysign(cut, v) : 0;
                }
    }
    slow_apply(m, z, code, out, data);
    free(z);
    free(u);
}

/* One step at a time, turning round at the edges. */
static int64_t mirrored(int64_t i, int64_t n)
{
    int64_t at = 0, way = i < 0 ? -1 : 1;
    for (int64_t k = 0; n > 1 && k < (i < 0 ? -i : i); k++) {
        if (at + way < 0 || at + way >= n)
            way = -way;
        at += way;
    }
    return at;
}

/* The picture begins at (top, left) of a larger one: extend, run, cut back, add. */
static void slow_window(const model *m, const double *x, plane image, plane whole, int64_t top, int64_t left, double *sum)
{
    const size_t count = (size_t)(m->channels * whole.h * whole.w);
    double *wide = calloc(count, sizeof *wide), *out = calloc(count, sizeof *out);
    assert_true(wide && out);
    for (int64_t c = 0; c < m->channels; c++)
        for (int64_t i = 0; i < whole.h; i++)
            for (int64_t j = 0; j < whole.w; j++)
                wide[(c * whole.h + i) * whole.w + j] = x[(c * image.h + mirrored(i - top, image.h)) * image.w + mirrored(j - left, image.w)];
    slow_network(m, wide, whole, out);
    for (int64_t c = 0; c < m->channels; c++)
        for (int64_t i = 0; i < image.h; i++)
            for (int64_t j = 0; j < image.w; j++)
                sum[(c * image.h + i) * image.w + j] += out[(c * whole.h + top + i) * whole.w + left + j];
    free(wide);
    free(out);
}

static int64_t next_fit(int64_t length, int64_t size, int64_t stride)
{
    while ((length - size) % stride)
        length++;
    return length;
}

static double *slow(const model *m, const double *x, plane image, bool shifts)
{
    double *sum = calloc((size_t)(m->channels * image.h * image.w), sizeof *sum);
    assert_non_null(sum);
    const int64_t sh = m->stride[0], sw = m->stride[1];
    if (!shifts) {
        const plane whole = { next_fit(image.h, m->size[0], sh), next_fit(image.w, m->size[1], sw) };
        slow_window(m, x, image, whole, 0, 0, sum);
        return sum;
    }
    const plane whole = { next_fit(image.h + sh, m->size[0], sh) + sh, next_fit(image.w + sw, m->size[1], sw) + sw };
    for (int64_t i = 0; i < sh; i++)
        for (int64_t j = 0; j < sw; j++)
            slow_window(m, x, image, whole, sh - i, sw - j, sum);
    for (int64_t i = 0; i < m->channels * image.h * image.w; i++)
        sum[i] /= (double)(sh * sw);
    return sum;
}

static double worst(const double *a, const double *b, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++)
        if (!(fabs(a[i] - b[i]) <= most))
            most = fabs(a[i] - b[i]);
    return most;
}

/* --------------------------------------------------------------------- tests */

static bool has_cpu(void)
{
    const pd_plugin *plugin = NULL;
    const bool found = !pd_plugin_find(ctx, PUDLE_KIND_BACKEND, "cpu", &plugin);
    pd_error_clear(ctx);
    return found;
}

static void any_size(void **state)
{
    (void)state;
    const bool cpu = has_cpu();
    for (int round = 0; round < 40; round++) {
        model m = random_model();
        const bool shifts = round % 2;
        m.backend = cpu && round % 4 > 1 ? "cpu" : "ref";
        pd_restorer *r = restorer(&m, shifts, 0);
        for (int picture_ = 0; picture_ < 2; picture_++) { /* the second one at another size */
            const plane image = { m.size[0] + between(0, 14), m.size[1] + between(0, 14) };
            const int64_t count = m.channels * image.h * image.w;
            double *x = values(count, false), *out = values(count, false), *wanted = slow(&m, x, image, shifts);
            restore(r, x, out, m.channels, image.h, image.w);
            assert_near(worst(out, wanted, count), 0, 1e-11);
            free(x);
            free(out);
            free(wanted);
        }
        pd_restorer_close(r);
        drop(&m);
    }
}

/* Ever smaller budgets, until not even the smallest tile fits. */
static void tiles(void **state)
{
    (void)state;
    int64_t most = 0;
    double error = 0;
    const bool cpu = has_cpu();
    for (int round = 0; round < 40; round++) {
        model m = random_model();
        const bool shifts = round % 4 == 3;
        m.backend = cpu && round % 2 ? "cpu" : "ref";
        m.layers = between(1, 4);
        pd_restore_facts f = { 0 };
        pd_restorer *whole = restorer(&m, shifts, 0);
        const plane image = { m.size[0] + between(30, 120), m.size[1] + between(30, 120) };
        const int64_t count = m.channels * image.h * image.w;
        double *x = values(count, false), *a = values(count, false), *b = values(count, false);
        restore(whole, x, a, m.channels, image.h, image.w);
        pd_restorer_facts(whole, &f);
        assert_true(f.tiles[0] == 1 && f.tiles[1] == 1);
        for (int64_t memory = f.bytes / f.at_once * 3 / 4; memory > 0; memory = memory * 2 / 3) {
            pd_restorer *cut = restorer(&m, shifts, memory);
            const pudle_cview v = pd_cview(x, PUDLE_F64, 3, (const int64_t[]){ m.channels, image.h, image.w });
            const pudle_view o = pd_view(b, PUDLE_F64, 3, v.shape);
            memset(b, 0xff, sizeof *b * (size_t)count);
            const pudle_status s = pd_restore(cut, &v, &o);
            if (s) {
                refused(s, PUDLE_ERR_CONFIG, "is too little");
                pd_restorer_close(cut);
                break;
            }
            pd_restore_facts g;
            pd_restorer_facts(cut, &g);
            assert_true(g.tiles[0] * g.tiles[1] > 1 && g.bytes <= memory);
            const double e = worst(a, b, count);
            assert_near(e, 0, 1e-12);
            error = fmax(error, e);
            most = g.tiles[0] * g.tiles[1] > most ? g.tiles[0] * g.tiles[1] : most;
            pd_restorer_close(cut);
        }
        pd_restorer_close(whole);
        free(x);
        free(a);
        free(b);
        drop(&m);
    }
    print_message("# up to %lld tiles; largest difference from the whole picture %.2g\n", (long long)most, error);
    assert_true(most > 20);
}

static void shift_cases(void **state)
{
    (void)state;
    const char *top = getenv("top_srcdir");
    const char *const names[] = { "x_conv1ch_splitstride2_T01", "x_conv1ch_splitstride2_T04" };
    for (int i = 0; i < 2; i++) {
        char base[2048], path[4096];
        pd_array x = { 0 }, wanted = { 0 };
        snprintf(base, sizeof base, "%s/../shared/reference/fixtures/%s", top ? top : ".", names[i]);
        snprintf(path, sizeof path, "%s/x.npy", base);
        if (access(path, R_OK)) {
            print_message("# skipped: no reference cases in ../shared\n");
            skip();
        }
        ok(pd_array_read(ctx, path, PUDLE_F64, &x));
        snprintf(path, sizeof path, "%s/xhat.npy", base);
        ok(pd_array_read(ctx, path, PUDLE_F64, &wanted));
        snprintf(path, sizeof path, "%s/W.npy", base);
        model m = { .atoms = 6, .channels = 1, .size = { 5, 5 }, .stride = { 2, 2 }, .layers = i ? 4 : 1, .step = 0.1, .lambda = 0.1,
                    .backend = has_cpu() ? "cpu" : "ref", .file = path };
        pd_restorer *r = restorer(&m, true, 0);
        double out[2 * 21 * 21];
        for (int n = 0; n < 2; n++)
            restore(r, (double *)x.view.data + n * 441, out + n * 441, 1, 21, 21);
        assert_near(worst(out, wanted.view.data, 2 * 441), 0, 1e-12);
        pd_restorer_close(r);
        drop(&m);
        pd_array_free(&x);
        pd_array_free(&wanted);
    }
}

/* Thresholds that are learned belong to the model, too. */
static void learned_levels(void **state)
{
    (void)state;
    model m = random_model();
    m.learn = "atom";
    load(&m);
    const plane image = { m.size[0] + 4 * m.stride[0], m.size[1] + 3 * m.stride[1] };
    const int64_t count = m.channels * image.h * image.w;
    const pudle_data_info given = { .size = sizeof given, .rank = 3, .samples = 1, .shape = { m.channels, image.h, image.w } };
    double *x = values(count, false), *level = values(m.atoms, false), *out = values(count, false), *wanted = values(count, false);
    pd_problem pb;
    ok(pd_problem_open(ctx, m.settings, &given, &pb));
    ok(pd_problem_initialise(&pb));
    assert_true(pb.net.levels == 1 && pb.net.level[0].learned);
    for (int64_t k = 0; k < m.atoms; k++)
        level[k] *= 0.05;
    ok(pb.be->upload(pb.exec, pb.net.level[0].parameter.value.data, level, sizeof *level * (size_t)m.atoms));
    ok(pd_network_refresh(&pb.net));
    const pudle_cview v = pd_cview(x, PUDLE_F64, 4, (const int64_t[]){ 1, m.channels, image.h, image.w });
    void *device = NULL;
    pd_batch batch;
    ok(pd_problem_own_batch(&pb, &v, false, &batch));
    ok(pb.be->alloc(pb.exec, sizeof *x * (size_t)count, &device));
    pd_pass pass = { .reconstruction = pd_matrix(device, PUDLE_F64, 1, count) };
    ok(pd_network_run(&pb.net, &batch, &pass));
    ok(pb.be->download(pb.exec, wanted, device, sizeof *x * (size_t)count));
    pb.be->free(pb.exec, device);
    const pd_restore_options options = { 0 };
    pd_restorer *r = NULL;
    ok(pd_restorer_open(ctx, &pb, &options, &r));
    pd_problem_close(&pb);
    restore(r, x, out, m.channels, image.h, image.w);
    assert_near(worst(out, wanted, count), 0, 1e-13);
    pd_restorer_close(r);
    free(x);
    free(level);
    free(out);
    free(wanted);
    drop(&m);
}

static void refusals(void **state)
{
    (void)state;
    model m = { .atoms = 3, .channels = 2, .size = { 5, 5 }, .stride = { 2, 2 }, .layers = 2, .step = 0.01, .lambda = 0.05, .backend = "ref",
                .filters = values(3 * 2 * 25, true) };
    double x[3 * 40 * 40] = { 0 }, out[3 * 40 * 40];
    pd_restorer *r = restorer(&m, false, 0);
    const pudle_cview small = pd_cview(x, PUDLE_F64, 3, (const int64_t[]){ 2, 4, 40 }), other = pd_cview(x, PUDLE_F64, 3, (const int64_t[]){ 3, 40, 40 });
    const pudle_view small_out = pd_view(out, PUDLE_F64, 3, small.shape), other_out = pd_view(out, PUDLE_F64, 3, other.shape);
    refused(pd_restore(r, &small, &small_out), PUDLE_ERR_CONFIG, "40 x 4 pixels (width x height) is smaller than a filter, 5 x 5");
    refused(pd_restore(r, &other, &other_out), PUDLE_ERR_CONFIG, "3 channels, but the model's filters have 2");
    const pudle_cview good = pd_cview(x, PUDLE_F64, 3, (const int64_t[]){ 2, 40, 40 });
    const pudle_view good_out = pd_view(out, PUDLE_F64, 3, good.shape);
    x[777] = NAN;
    ok(pd_restore(r, &good, &good_out));
    assert_true(isnan(out[777]) && !isnan(out[2 * 1600 - 1])); /* and not everywhere */
    x[777] = 0;
    pd_restorer_close(r);
    r = restorer(&m, false, 100);
    refused(pd_restore(r, &good, &good_out), PUDLE_ERR_CONFIG, "is too little");
    pd_restorer_close(r);
    drop(&m);
}

static double slow_ssim(const double *x, const double *y, int64_t channels, int64_t height, int64_t width)
{
    double total = 0, windows = 0;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 5; i < height - 5; i++)
            for (int64_t j = 5; j < width - 5; j++) {
                double s = 0, mx = 0, my = 0, vx = 0, vy = 0, cov = 0;
                for (int pass = 0; pass < 2; pass++)
                    for (int64_t a = -5; a <= 5; a++)
                        for (int64_t b = -5; b <= 5; b++) {
                            const double w = exp(-(double)(a * a + b * b) / 4.5);
                            const int64_t at = (c * height + i + a) * width + j + b;
                            const double p = fmin(fmax(x[at], 0), 1), q = y[at];
                            if (pass == 0) {
                                s += w;
                                mx += w * p;
                                my += w * q;
                            } else {
                                vx += w / s * (p - mx / s) * (p - mx / s);
                                vy += w / s * (q - my / s) * (q - my / s);
                                cov += w / s * (p - mx / s) * (q - my / s);
                            }
                        }
                mx /= s;
                my /= s;
                total += (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx * mx + my * my + 1e-4) * (vx + vy + 9e-4));
                windows++;
            }
    return total / windows;
}

static void ssim(void **state)
{
    (void)state;
    const int64_t shape[3] = { between(1, 3), between(11, 40), between(11, 40) }, count = shape[0] * shape[1] * shape[2];
    double *y = values(count, false), *x = values(count, true), found = 0;
    for (int64_t i = 0; i < count; i++)
        x[i] = y[i] + 0.2 * x[i];
    const pudle_cview vx = pd_cview(x, PUDLE_F64, 3, shape), vy = pd_cview(y, PUDLE_F64, 3, shape);
    ok(pd_ssim_measure(ctx, &vx, &vy, &found));
    assert_near(found, slow_ssim(x, y, shape[0], shape[1], shape[2]), 1e-12);
    ok(pd_ssim_measure(ctx, &vy, &vy, &found));
    assert_near(found, 1, 1e-14);
    const pudle_cview thin = pd_cview(x, PUDLE_F64, 3, (const int64_t[]){ 1, 10, 11 });
    ok(pd_ssim_measure(ctx, &thin, &thin, &found));
    assert_true(isnan(found));
    x[0] = NAN;
    ok(pd_ssim_measure(ctx, &vx, &vy, &found));
    assert_true(isnan(found));
    refused(pd_ssim_measure(ctx, &vx, &thin, &found), PUDLE_ERR_ARG, "of one shape");
    free(x);
    free(y);
}

static void sixteen_bits(void **state)
{
    (void)state;
    enum { W = 7, H = 5 };
    uint16_t pixels[H * W * 3];
    char path[256];
    picture p;
    for (int i = 0; i < H * W * 3; i++)
        pixels[i] = (uint16_t)between(0, 65535);
    snprintf(path, sizeof path, "%s/deep.png", folder);
    ok(pd_png_write_deep(ctx, path, W, H, 3, pixels));
    ok(picture_read(pd_host(ctx), path, true, &p));
    assert_true(p.width == W && p.height == H && p.channels == 3 && p.bits == 16);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < H * W; i++)
            assert_int_equal(((uint16_t *)p.pixels)[c * H * W + i], pixels[i * 3 + c]);
    picture_free(pd_host(ctx), &p);
}

static int set_up(void **state)
{
    (void)state;
    const char *given = getenv("PUDLE_TEST_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
    print_message("# seed %llu (set PUDLE_TEST_SEED to repeat)\n", (unsigned long long)seed);
    rng = pudle_random_at(seed, 1, 0, 0);
    ctx = pd_context_create();
    return !ctx || !mkdtemp(folder);
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = { "model.cfg", "W.npy", "deep.png" };
    char path[256];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
    pd_context_destroy(ctx);
    return 0;
}

/* A model of centred and scaled samples takes a picture as one of them, as a whole: brightness and contrast go in and come out, tiles or none. */
static void brightness_and_contrast(void **state)
{
    static const char *const data[] = { "center = \"sample\";", "center = \"channel\";", "center = \"sample\"; scale = \"std\";", "center = \"channel\"; scale = \"std\";" };
    (void)state;
    for (int round = 0; round < 24; round++) {
        model m = random_model();
        m.data = data[round % 4];
        const int64_t h = m.size[0] + between(5, 30), w = m.size[1] + between(5, 30), n = m.channels * h * w;
        const double contrast = round % 4 > 1 ? 7 : 1, brightness = -3;
        double *x = values(n, false), *other = values(n, false), *a = values(n, false), *b = values(n, false), *tiled = values(n, false);
        for (int64_t i = 0; i < n; i++)
            other[i] = contrast * x[i] + brightness * (double)(1 + (round % 2 ? i / (h * w) : 0));
        pd_restorer *r = restorer(&m, round % 3 == 0, 0), *little = restorer(&m, round % 3 == 0, 1 << 16);
        restore(r, x, a, m.channels, h, w);
        restore(r, other, b, m.channels, h, w);
        const pudle_cview v = pd_cview(x, PUDLE_F64, 3, (const int64_t[]){ m.channels, h, w });
        const pudle_view o = pd_view(tiled, PUDLE_F64, 3, v.shape);
        const bool fits = !pd_restore(little, &v, &o); /* too little memory for some */
        pd_error_clear(ctx);
        for (int64_t i = 0; i < n; i++) {
            assert_near(b[i], contrast * a[i] + brightness * (double)(1 + (round % 2 ? i / (h * w) : 0)), 1e-10);
            if (fits)
                assert_near(tiled[i], a[i], 1e-10);
        }
        pd_restorer_close(r);
        pd_restorer_close(little);
        drop(&m);
        free(x);
        free(other);
        free(a);
        free(b);
        free(tiled);
    }
}

static void a_norm_is_that_of_one_size(void **state)
{
    model m = random_model();
    pudle_data_info given;
    pd_problem pb;
    pd_restorer *r = NULL;
    const pd_restore_options options = { .memory = 0 };
    (void)state;
    m.data = "scale = \"norm\";";
    load(&m);
    ok(pd_restore_model_shape(ctx, m.settings, m.channels, &given));
    ok(pd_problem_open(ctx, m.settings, &given, &pb));
    refused(pd_restorer_open(ctx, &pb, &options, &r), PUDLE_ERR_CONFIG, "grows with the pixels");
    pd_problem_close(&pb);
    drop(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_size), cmocka_unit_test(tiles), cmocka_unit_test(shift_cases), cmocka_unit_test(learned_levels),
        cmocka_unit_test(brightness_and_contrast), cmocka_unit_test(a_norm_is_that_of_one_size), cmocka_unit_test(refusals), cmocka_unit_test(ssim), cmocka_unit_test(sixteen_bits),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
