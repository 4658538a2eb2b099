/* Pictures through a trained model: restored, or, with noise added to clean ones, measured. */
#include "pictures.h"
#include "image/restore.h"
#include "measure/measure.h"
#include "train/streams.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char cli_denoise_help[] =
    "\n"
    "INPUT is a PNG or JPEG file, a folder of them, or an array .npy (n, channels, height, width), (channels, height, width)\n"
    "or (height, width); OUTPUT is of the same kind: .png, a folder of .png, .npy. Pictures may have any size.\n"
    "With --set loss.missing=skip, NaN in an array are pixels that are missing: codes go around them, and the result fills them.\n"
    "\n"
    "  --model RUN        a run directory that 'pudle train' made\n"
    "  --config CONFIG    a config with model.dictionary.init = \"file\"; its data are not opened\n"
    "  --sigma S          INPUT is clean: add normal noise of standard deviation S/255, and print PSNR (peak 1, and peak =\n"
    "                     maximum of the clean picture) and SSIM before and after; OUTPUT may then be left out\n"
    "  --seed N           of that noise; 0 by default\n"
    "  --csv FILE         write the figures of every picture\n"
    "  --shift-average    mean over all positions of the picture on the grid of strides: better, and s*s times the work\n"
    "  --memory SIZE      for the network, as 512M or 2G (1G by default); what needs more is cut into overlapping tiles,\n"
    "                     which changes nothing but rounding\n"
    "  --grey             turn colours to grey. Without it a model of one channel denoises each channel of a colour\n"
    "                     picture on its own\n"
    "  --compare FILE.png write noisy, denoised and, if it is known, clean side by side\n";

typedef struct figures { pd_psnr psnr; double ssim; } figures;

typedef struct work {
    pd_context *ctx;
    const cli_args *args;
    pd_settings *settings;
    char *directory; /* of the run; NULL: a config */
    int32_t dtype;
    int64_t channels; /* of the model */
    pd_restorer *restorer;
    cli_pictures pictures;
    const char *output; /* NULL: nothing is written */
    pd_array all;       /* results of an array */
    FILE *csv;
    pd_atomic *csv_file;
    figures sum_before, sum_after;
    int64_t measured;
} work;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --------------------------------------------------------------- the options */

static pudle_status check_options(pd_context *ctx, const cli_args *a, const char **input, const char **output)
{
    *input = a->input ? a->input : a->positionals > 0 ? a->positional[0] : NULL;
    const int used = a->input ? 0 : 1;
    *output = a->output ? a->output : a->positionals > used ? a->positional[used] : NULL;
    if (!*input)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle denoise: say what to denoise: a picture, a folder of pictures, or an array (.npy)");
    if (a->positionals > used + (a->output ? 0 : 1))
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle denoise: '%s' is one argument too many", a->positional[a->positionals - 1]);
    if (!a->model == !a->config)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle denoise: give the model, either --model RUN or --config CONFIG");
    if (a->csv && !a->has_sigma)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--csv: there are figures only where the clean picture is known: give --sigma");
    if (a->has_seed && !a->has_sigma)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--seed is that of the noise: give --sigma");
    if (!*output && !a->has_sigma && !a->compare)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle denoise: say where the result goes");
    return PUDLE_OK;
}

/* ----------------------------------------------------------------- the model */

/* Channels of the filters: as the config says, else as the file or the checkpoint has them. */
static pudle_status find_channels(work *w)
{
    const pd_dictionary_params *d = &w->settings->dictionary;
    pd_safetensors *checkpoint = NULL;
    pd_array filters = { 0 };
    pudle_status s = PUDLE_OK;
    w->channels = d->channels;
    if (w->channels || d->kind != PD_KIND_CONV)
        return s;
    if (w->directory) {
        char *path = pd_format("%s/checkpoint.safetensors", w->directory);
        s = path ? pd_safetensors_read(w->ctx, path, &checkpoint) : pd_fail(w->ctx, PUDLE_ERR_NOMEM, "out of memory");
        free(path);
        const pudle_cview *t = s ? NULL : pd_safetensors_tensor(checkpoint, "dictionary");
        w->channels = t && t->rank == 4 ? t->shape[1] : 1;
        pd_safetensors_free(checkpoint);
    } else {
        s = pd_array_read(w->ctx, d->path, PUDLE_F32, &filters);
        w->channels = !s && filters.view.rank == 4 ? filters.view.shape[1] : 1; /* another rank is reported when the model opens */
        pd_array_free(&filters);
    }
    if (!s && w->channels < 1)
        s = pd_fail(w->ctx, PUDLE_ERR_CONFIG, "the model's filters have no channels");
    return s;
}

static pudle_status open_model(work *w)
{
    const cli_args *a = w->args;
    pudle_data_info given = { 0 };
    pd_problem model;
    pudle_status s = cli_settings_at(w->ctx, a->model ? a->model : a->config, a, &w->settings, &w->directory);
    if (s)
        return s;
    w->dtype = w->settings->global.precision ? PUDLE_F64 : PUDLE_F32;
    if (!w->directory && w->settings->dictionary.init != PD_INIT_FILE)
        return pd_fail(w->ctx, PUDLE_ERR_CONFIG, "%s: a config denoises with the filters of a file: set model.dictionary.init = \"file\" and path, or give "
                       "a trained run with --model", a->model ? a->model : a->config);
    s = find_channels(w);
    if (!s)
        s = pd_restore_model_shape(w->ctx, w->settings, w->channels, &given);
    if (!s && a->grey && w->channels != 1)
        s = pd_fail(w->ctx, PUDLE_ERR_CONFIG, "--grey: the model's filters have %" PRId64 " channels, not one", w->channels);
    if (!s)
        s = cli_model(w->ctx, w->settings, w->directory, &given, &model);
    if (s)
        return s;
    const pd_restore_options options = { .shift_average = a->shift_average, .memory = a->memory, .stop = &cli_stop };
    s = pd_restorer_open(w->ctx, &model, &options, &w->restorer);
    pd_problem_close(&model);
    return s;
}

/* ------------------------------------------------------------------ one picture */

/* A second array of the same shape; data NULL without memory. */
static pd_array like(const pd_array *a)
{
    const pudle_cview c = pd_array_const(a);
    pd_array b = { 0 };
    void *memory = pd_alloc((size_t)pudle_count(&c), pudle_dtype_size(c.dtype));
    if (memory)
        b.view = pd_view(memory, c.dtype, c.rank, c.shape);
    return b;
}

/* noisy = clean + sigma / 255 N(0, 1): neither clipped nor rounded to grey levels. */
static void add_noise(const pd_array *clean, double sigma, uint64_t seed, int64_t index, pd_array *noisy)
{
    const pudle_cview c = pd_array_const(clean);
    const int64_t count = pudle_count(&c);
    pudle_random r = pudle_random_at(seed, PD_STREAM_NOISE, 0, (uint64_t)index);
    for (int64_t i = 0; i < count; i++) {
        const double noise = sigma / 255.0 * pudle_random_normal(&r);
        if (c.dtype == PUDLE_F64)
            ((double *)noisy->view.data)[i] = ((const double *)c.data)[i] + noise;
        else
            ((float *)noisy->view.data)[i] = (float)((double)((const float *)c.data)[i] + noise);
    }
}

/* All channels together where the model has as many, else one by one. */
static pudle_status restore(work *w, const pd_array *noisy, pd_array *out)
{
    const pudle_cview in = pd_array_const(noisy);
    const int64_t step = w->channels == 1 ? 1 : in.shape[0];
    pudle_status s = PUDLE_OK;
    for (int64_t c = 0; c < in.shape[0] && !s; c += step) {
        const pudle_cview part = pd_crows(&in, c, step);
        const pudle_view to = pd_rows(&out->view, c, step);
        s = pd_restore(w->restorer, &part, &to);
    }
    return s;
}

static pudle_status measure(work *w, const pd_array *image, const pd_array *clean, figures *f)
{
    const pudle_cview a = pd_array_const(image), b = pd_array_const(clean);
    const pudle_status s = pd_psnr_measure(w->ctx, &a, &b, &f->psnr);
    return s ? s : pd_ssim_measure(w->ctx, &a, &b, &f->ssim);
}

static void add_figures(figures *sum, const figures *f)
{
    sum->psnr.unit += f->psnr.unit;
    sum->psnr.maximum += f->psnr.maximum;
    sum->ssim += f->ssim;
}

/* A name as a field of CSV. */
static void csv_name(FILE *to, const char *name)
{
    const bool quote = strpbrk(name, ",\"\r\n") != NULL;
    if (quote)
        fputc('"', to);
    for (; *name; name++) {
        if (*name == '"')
            fputc('"', to);
        fputc(*name, to);
    }
    if (quote)
        fputc('"', to);
}

static pudle_status report(work *w, const cli_picture *shown, const pd_array *noisy, const pd_array *result, double took)
{
    figures before, after;
    pudle_status s = measure(w, noisy, &shown->values, &before);
    if (!s)
        s = measure(w, result, &shown->values, &after);
    if (s)
        return s;
    add_figures(&w->sum_before, &before);
    add_figures(&w->sum_after, &after);
    w->measured++;
    const int64_t *shape = shown->values.view.shape;
    printf("%-24s %7.3f -> %7.3f  %7.3f -> %7.3f  %6.4f -> %6.4f\n", shown->name, before.psnr.unit, after.psnr.unit, before.psnr.maximum,
           after.psnr.maximum, before.ssim, after.ssim);
    if (w->csv) {
        csv_name(w->csv, shown->name);
        fprintf(w->csv, ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%.6f,%.6f,%.6f,%.6f,%.6f,%.6f,%.6f\n", shape[0], shape[1], shape[2], before.psnr.unit,
                after.psnr.unit, before.psnr.maximum, after.psnr.maximum, before.ssim, after.ssim, took);
    }
    return PUDLE_OK;
}

static pudle_status write_result(work *w, int64_t i, const cli_picture *shown, const pd_array *result)
{
    const pudle_cview c = pd_array_const(result);
    if (w->pictures.kind == CLI_ARRAY) {
        const size_t bytes = (size_t)pudle_count(&c) * pudle_dtype_size(c.dtype);
        memcpy((char *)w->all.view.data + (size_t)i * bytes, c.data, bytes);
        return PUDLE_OK;
    }
    char *target = cli_pictures_target(&w->pictures, i, w->output);
    const pudle_status s = target ? cli_picture_write(w->ctx, target, &c, shown->bits) : pd_fail(w->ctx, PUDLE_ERR_NOMEM, "out of memory");
    free(target);
    return s;
}

static pudle_status write_comparison(work *w, const cli_picture *shown, const pd_array *noisy, const pd_array *result)
{
    const pudle_cview row[3] = { pd_array_const(noisy), pd_array_const(result), pd_array_const(&shown->values) };
    return cli_pictures_write_row(w->ctx, w->args->compare, w->args->has_sigma ? 3 : 2, row, shown->bits);
}

static void log_facts(work *w, const cli_picture *shown)
{
    pd_restore_facts f;
    pd_restorer_facts(w->restorer, &f);
    pd_log(w->ctx, PUDLE_LOG_DEBUG, "%s: %" PRId64 " shifts, %" PRId64 " x %" PRId64 " tiles of %" PRId64 " x %" PRId64 " pixels (down x across), %" PRId64
           " at once, about %.0f MiB", shown->what, f.phases, f.tiles[0], f.tiles[1], f.tile[0], f.tile[1], f.at_once, (double)f.bytes / 1048576.0);
}

/* *input: what failed was reading or fitting this picture. */
static pudle_status one_picture(work *w, int64_t i, bool *input)
{
    const cli_args *a = w->args;
    cli_picture shown;
    *input = true;
    pudle_status s = cli_pictures_read(w->ctx, &w->pictures, i, w->channels, a->grey, w->dtype, &shown);
    if (s)
        return s;
    pd_array noise = a->has_sigma ? like(&shown.values) : (pd_array){ 0 }, result = like(&shown.values);
    const pd_array *noisy = a->has_sigma ? &noise : &shown.values;
    if (!result.view.data || !noisy->view.data) {
        s = pd_fail(w->ctx, PUDLE_ERR_NOMEM, "out of memory for %s", shown.what);
        goto cleanup;
    }
    const pudle_cview given = pd_array_const(&shown.values);
    s = cli_check_numbers(w->ctx, w->settings, shown.what, "channel", &given);
    if (s)
        goto cleanup;
    if (a->has_sigma)
        add_noise(&shown.values, a->sigma, (uint64_t)a->seed, i, &noise);
    const double start = seconds();
    s = restore(w, noisy, &result);
    if (s) {
        pd_fail(w->ctx, s, "%s: not denoised", shown.what);
        goto cleanup;
    }
    *input = false;
    log_facts(w, &shown);
    if (a->has_sigma)
        s = report(w, &shown, noisy, &result, seconds() - start);
    if (!s && w->output)
        s = write_result(w, i, &shown, &result);
    if (!s && a->compare)
        s = write_comparison(w, &shown, noisy, &result);
cleanup:
    pd_array_free(&noise);
    pd_array_free(&result);
    cli_picture_free(&shown);
    return s;
}

/* -------------------------------------------------------------------- all */

/* The output itself is looked at with the pictures, for it may be a folder of them. */
static pudle_status check_files(work *w)
{
    const cli_args *a = w->args;
    const bool single = w->pictures.kind != CLI_FOLDER;
    const cli_file out[] = { { "the output", single ? w->output : NULL, NULL }, { "--compare", a->compare, ".png" }, { "--csv", a->csv, ".csv" } };
    const cli_file in[] = { { "the input", w->pictures.path, NULL }, { "--config", a->config, NULL } };
    pudle_status s = cli_check_outputs(w->ctx, w->settings, out, 3, in, 2);
    for (int64_t i = 0; i < w->pictures.list.count && !s; i++) {
        const cli_file one = { "a picture", w->pictures.list.path[i], NULL };
        s = cli_check_outputs(w->ctx, NULL, out, 3, &one, 1);
    }
    return s;
}

static pudle_status open_outputs(work *w)
{
    const cli_args *a = w->args;
    pudle_status s = w->output ? cli_pictures_check_output(w->ctx, &w->pictures, w->output) : PUDLE_OK;
    if (!s)
        s = check_files(w);
    if (!s && a->compare && w->pictures.count != 1)
        s = pd_fail(w->ctx, PUDLE_ERR_CONFIG, "--compare shows one picture, and there are %" PRId64, w->pictures.count);
    if (!s && w->output && w->pictures.kind == CLI_ARRAY) {
        w->all = like(&w->pictures.array);
        if (!w->all.view.data)
            s = pd_fail(w->ctx, PUDLE_ERR_NOMEM, "out of memory for the result");
    }
    if (!s && a->csv)
        s = pd_atomic_open(w->ctx, a->csv, &w->csv_file);
    if (s || !a->csv)
        return s;
    w->csv = pd_atomic_stream(w->csv_file);
    fputs("picture,channels,height,width,psnr_before,psnr,psnr_max_before,psnr_max,ssim_before,ssim,seconds\n", w->csv);
    return PUDLE_OK;
}

static void print_means(const work *w)
{
    const double n = (double)w->measured;
    printf("pictures=%" PRId64 "\npsnr_before=%.4f\npsnr=%.4f\npsnr_max_before=%.4f\npsnr_max=%.4f\nssim_before=%.5f\nssim=%.5f\n", w->measured,
           w->sum_before.psnr.unit / n, w->sum_after.psnr.unit / n, w->sum_before.psnr.maximum / n, w->sum_after.psnr.maximum / n,
           w->sum_before.ssim / n, w->sum_after.ssim / n);
}

static int run(work *w)
{
    const cli_args *a = w->args;
    bool input = false;
    pudle_status s = PUDLE_OK;
    if (a->has_sigma)
        printf("%-24s %-20s  %-20s  %s\n", "picture", "PSNR, peak 1", "PSNR, peak = maximum", "SSIM");
    for (int64_t i = 0; i < w->pictures.count && !s; i++) {
        if (cli_stop) {
            fprintf(stderr, "interrupted after %" PRId64 " of %" PRId64 " pictures\n", i, w->pictures.count);
            return CLI_FAILED;
        }
        s = one_picture(w, i, &input);
    }
    const bool stopped = s == PUDLE_ERR_NUMERIC; /* the picture was read, and the work had begun */
    if (s)
        return input && !stopped ? cli_setup_failed(w->ctx, s) : cli_run_failed(w->ctx, s);
    if (w->all.view.data) {
        const pudle_cview all = pd_array_const(&w->all);
        s = pd_npy_write(w->ctx, w->output, &all);
    }
    if (!s && w->csv_file) {
        s = pd_atomic_commit(w->ctx, w->csv_file);
        w->csv_file = NULL;
    }
    if (s)
        return cli_run_failed(w->ctx, s);
    if (a->has_sigma)
        print_means(w);
    if (w->output && !a->quiet)
        printf("%" PRId64 " picture%s: %s\n", w->pictures.count, w->pictures.count == 1 ? "" : "s", w->output);
    return CLI_DONE;
}

int cli_denoise(pd_context *ctx, const cli_args *args)
{
    work w = { .ctx = ctx, .args = args };
    const char *input = NULL;
    pudle_status s = check_options(ctx, args, &input, &w.output);
    if (!s)
        s = open_model(&w);
    if (!s)
        s = cli_pictures_open(ctx, input, w.dtype, &w.pictures);
    if (!s)
        s = open_outputs(&w);
    const int code = s ? cli_setup_failed(ctx, s) : run(&w);
    pd_atomic_abandon(w.csv_file);
    pd_array_free(&w.all);
    cli_pictures_close(ctx, &w.pictures);
    pd_restorer_close(w.restorer);
    pd_settings_destroy(w.settings);
    free(w.directory);
    return code;
}
