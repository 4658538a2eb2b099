/* Pictures in and out of the program. */
#include "pictures.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ------------------------------------------------------------------ finding */

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static bool is_array_path(const char *path)
{
    return ends_with(path, ".npy") || ends_with(path, ".npz") || strstr(path, ".npz:");
}

static pudle_status open_array(pd_context *ctx, const char *path, int32_t dtype, cli_pictures *out)
{
    const pudle_status s = pd_array_read(ctx, path, dtype, &out->array);
    if (s)
        return s;
    const pudle_view *v = &out->array.view;
    const pudle_cview c = pudle_const(v);
    if (v->rank < 2 || v->rank > 4 || pudle_count(&c) < 1)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: pictures are wanted as an array (n, channels, height, width), (channels, height, width) or "
                       "(height, width); this one has %d axes and %" PRId64 " numbers", path, (int)v->rank, pudle_count(&c));
    out->count = v->rank == 4 ? v->shape[0] : 1;
    return PUDLE_OK;
}

pudle_status cli_pictures_open(pd_context *ctx, const char *path, int32_t dtype, cli_pictures *out)
{
    struct stat info;
    cli_pictures p = { .path = path };
    pudle_status s;
    if (is_array_path(path)) {
        p.kind = CLI_ARRAY;
        s = open_array(ctx, path, dtype, &p);
    } else {
        p.kind = !stat(path, &info) && S_ISDIR(info.st_mode) ? CLI_FOLDER : CLI_PICTURE;
        s = picture_list_make(pd_host(ctx), path, &p.list);
        p.count = p.list.count;
    }
    if (s)
        cli_pictures_close(ctx, &p);
    else
        *out = p;
    return s;
}

void cli_pictures_close(pd_context *ctx, cli_pictures *p)
{
    picture_list_free(pd_host(ctx), &p->list);
    pd_array_free(&p->array);
}

/* ------------------------------------------------------------------ reading */

/* True when the three channels are the same everywhere: a grey picture. */
static bool is_grey(const picture *p)
{
    const size_t plane = (size_t)(p->width * p->height) * (size_t)(p->bits / 8);
    const char *c = p->pixels;
    return !memcmp(c, c + plane, plane) && !memcmp(c, c + 2 * plane, plane);
}

static pudle_status to_values(pd_context *ctx, const picture *p, int64_t channels, int32_t dtype, pd_array *out)
{
    const int64_t shape[3] = { channels, p->height, p->width }, count = channels * p->height * p->width;
    void *values = pd_alloc((size_t)count, pudle_dtype_size(dtype));
    if (!values)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for a picture of %" PRId64 " x %" PRId64 " pixels", p->width, p->height);
    for (int64_t i = 0; i < count; i++) {
        if (dtype == PUDLE_F64)
            ((double *)values)[i] = picture_value(p, i);
        else
            ((float *)values)[i] = (float)picture_value(p, i);
    }
    out->view = pd_view(values, dtype, 3, shape);
    return PUDLE_OK;
}

static pudle_status read_file(pd_context *ctx, const char *path, int64_t channels, bool grey, int32_t dtype, cli_picture *out)
{
    const pudle_host *host = pd_host(ctx);
    const char *slash = strrchr(path, '/');
    picture p;
    if (channels != 1 && channels != 3)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: the model's filters have %" PRId64 " channels, and a picture has 1 or 3: give an array (.npy)", path,
                       channels);
    pudle_status s = picture_read(host, path, !grey, &p);
    if (s)
        return s;
    s = to_values(ctx, &p, channels == 1 && p.channels == 3 && is_grey(&p) ? 1 : p.channels, dtype, &out->values);
    out->bits = p.bits;
    picture_free(host, &p);
    if (!s && (!(out->name = pd_strdup(slash ? slash + 1 : path)) || !(out->what = pd_strdup(path))))
        s = pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    return s;
}

static pudle_status read_row(pd_context *ctx, const cli_pictures *p, int64_t i, int64_t channels, cli_picture *out)
{
    const pudle_view *v = &p->array.view;
    int64_t shape[3] = { 1, 0, 0 }, count = 1;
    for (int32_t k = 1; k <= v->rank && k <= 3; k++)
        shape[3 - k] = v->shape[v->rank - k];
    for (int k = 0; k < 3; k++)
        count *= shape[k];
    if (channels != 1 && shape[0] != channels)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: pictures of %" PRId64 " channels, but the model's filters have %" PRId64, p->path, shape[0], channels);
    const size_t bytes = (size_t)count * pudle_dtype_size(v->dtype);
    void *values = pd_alloc(bytes, 1);
    out->name = pd_format("%" PRId64, i);
    out->what = p->count > 1 ? pd_format("%s, picture %" PRId64, p->path, i) : pd_strdup(p->path);
    if (!values || !out->name || !out->what) {
        free(values);
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for picture %" PRId64 " of %s", i, p->path);
    }
    memcpy(values, (const char *)v->data + (size_t)i * bytes, bytes);
    out->values.view = pd_view(values, v->dtype, 3, shape);
    out->bits = 8;
    return PUDLE_OK;
}

pudle_status cli_pictures_read(pd_context *ctx, const cli_pictures *p, int64_t i, int64_t channels, bool grey, int32_t dtype, cli_picture *out)
{
    cli_picture read = { .bits = 8 };
    const pudle_status s = p->kind == CLI_ARRAY ? read_row(ctx, p, i, channels, &read) : read_file(ctx, p->list.path[i], channels, grey, dtype, &read);
    if (s)
        cli_picture_free(&read);
    else
        *out = read;
    return s;
}

void cli_picture_free(cli_picture *p)
{
    pd_array_free(&p->values);
    free(p->name);
    free(p->what);
    p->name = p->what = NULL;
}

/* ------------------------------------------------------------------ writing */

static double value_at(const pudle_cview *v, int64_t i)
{
    return v->dtype == PUDLE_F64 ? ((const double *)v->data)[i] : (double)((const float *)v->data)[i];
}

/* Rounded to the nearest of 0 .. top; NaN is black. */
static unsigned level(double value, unsigned top)
{
    return value >= 1 ? top : value > 0 ? (unsigned)(value * top + 0.5) : 0;
}

/* (channels, height, width) into interleaved pixels of a wider picture, from column `left`. */
static void interleave(const pudle_cview *v, int bits, int64_t left, int64_t full_width, void *pixels)
{
    const int64_t channels = v->shape[0], height = v->shape[1], width = v->shape[2];
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++)
            for (int64_t c = 0; c < channels; c++) {
                const int64_t to = (y * full_width + left + x) * channels + c;
                const double value = value_at(v, (c * height + y) * width + x);
                if (bits == 16)
                    ((uint16_t *)pixels)[to] = (uint16_t)level(value, 65535);
                else
                    ((uint8_t *)pixels)[to] = (uint8_t)level(value, 255);
            }
}

pudle_status cli_pictures_write_row(pd_context *ctx, const char *path, int count, const pudle_cview *values, int bits)
{
    enum { LINE = 4 };
    const int64_t channels = values->shape[0], height = values->shape[1], width = count * values->shape[2] + (count - 1) * LINE;
    if (channels != 1 && channels != 3)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: %" PRId64 " channels do not make a picture; 1 (grey) and 3 (colour) do", path, channels);
    const size_t bytes = (size_t)(channels * height * width) * (size_t)(bits / 8);
    void *pixels = pd_alloc(bytes, 1);
    if (!pixels)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "%s: out of memory for a picture of %" PRId64 " x %" PRId64 " pixels", path, width, height);
    memset(pixels, 255, bytes);
    for (int i = 0; i < count; i++)
        interleave(&values[i], bits, i * (values->shape[2] + LINE), width, pixels);
    const pudle_status s = bits == 16 ? pd_png_write_deep(ctx, path, width, height, (int)channels, pixels)
                                      : pd_png_write(ctx, path, width, height, (int)channels, pixels);
    free(pixels);
    return s;
}

pudle_status cli_picture_write(pd_context *ctx, const char *path, const pudle_cview *values, int bits)
{
    return cli_pictures_write_row(ctx, path, 1, values, bits);
}

char *cli_pictures_target(const cli_pictures *p, int64_t i, const char *output)
{
    if (p->kind != CLI_FOLDER)
        return pd_strdup(output);
    const char *slash = strrchr(p->list.path[i], '/'), *name = slash ? slash + 1 : p->list.path[i], *dot = strrchr(name, '.');
    const int length = (int)(dot && dot > name ? dot - name : (ptrdiff_t)strlen(name));
    return pd_format("%s/%.*s.png", output, length, name);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Two pictures of a folder, a.jpg and a.png, must not become one file. */
static pudle_status check_names(pd_context *ctx, const cli_pictures *p, const char *output)
{
    char **target = pd_alloc((size_t)p->count, sizeof *target);
    pudle_status s = PUDLE_OK;
    for (int64_t i = 0; target && i < p->count && !s; i++)
        s = (target[i] = cli_pictures_target(p, i, output)) ? PUDLE_OK : PUDLE_ERR_NOMEM;
    if (!target || s)
        s = pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the names of %" PRId64 " files", p->count);
    else
        qsort(target, (size_t)p->count, sizeof *target, by_bytes);
    for (int64_t i = 1; i < p->count && !s; i++)
        if (!strcmp(target[i - 1], target[i]))
            s = pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: two pictures of %s would become %s: rename one", output, p->path, target[i]);
    for (int64_t i = 0; target && i < p->count; i++)
        free(target[i]);
    free(target);
    return s;
}

pudle_status cli_pictures_check_output(pd_context *ctx, const cli_pictures *p, const char *output)
{
    struct stat info;
    if (cli_same_file(p->path, output))
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: the output would overwrite the input", output);
    if (p->kind == CLI_ARRAY)
        return ends_with(output, ".npy") ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: the input is an array, so the output must end in .npy", output);
    if (p->kind == CLI_PICTURE)
        return ends_with(output, ".png") ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: the input is a picture, so the output must end in .png", output);
    if (mkdir(output, 0777) && errno != EEXIST)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: the folder cannot be made: %s", output, strerror(errno));
    if (stat(output, &info) || !S_ISDIR(info.st_mode))
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: the input is a folder, so the output must be one", output);
    return check_names(ctx, p, output);
}
