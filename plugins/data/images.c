/* Pictures, one file or a folder of PNG and JPEG, as samples (channels, height, width) in [0, 1]:
 *   y = a window of the picture, for training at a random place and flipped at random,
 *   x = y + (noise/255) N(0, 1)     or     x = Poisson(peak y) / peak     or     x = y.
 *
 * Files count in the byte order of their names. Of each, training takes `windows` samples an epoch, sample i from file i / windows,
 * so that samples in order ask for one picture after the other; a test sample is a file. Window, flips and noise are pure functions of
 * (seed, epoch, i), drawn anew every epoch; the test split is looked at through the same windows with the same noise always, a
 * function of (seed, i). All is computed in double and rounded once. Noisy values are neither clipped nor rounded. */
#include "picture_list.h"
#include "poisson.h"
#include "samples.h"
#include <stdio.h>
#include <string.h>

/* Uses of random numbers. */
enum { RANDOM_CROP = 0x696d6701, RANDOM_FLIP, RANDOM_NOISE, RANDOM_TEST_NOISE };
enum { TEST_CROP_NONE, TEST_CROP_CENTRE }; /* in the order of the option's choices */

typedef struct params {
    const char *path, *test_path;
    bool colour, flip;
    int32_t test_crop;
    int64_t crop, windows, memory;
    double noise, poisson;
} params;

#define MEMBER(member, kind, dflt_) .name = #member, .type = kind, .offset = offsetof(params, member), .dflt = dflt_
static const pudle_option options[] = {
    { MEMBER(path, PUDLE_PATH, NULL), .flags = PUDLE_REQUIRED,
      .doc = "Training pictures: a folder with PNG and JPEG files (folders in it are not looked into), or one file." },
    { MEMBER(test_path, PUDLE_PATH, NULL), .doc = "Test pictures: a folder or one file." },
    { MEMBER(colour, PUDLE_BOOL, "false"),
      .doc = "Three channels, red, green and blue; otherwise one, grey = (19595 R + 38470 G + 7471 B + 32768) >> 16." },
    { MEMBER(crop, PUDLE_INT, "0"), .max = 16384, .unit = "pixels",
      .doc = "Train on squares of this side from random places; 0 takes whole pictures, which must then be of one size." },
    { MEMBER(windows, PUDLE_INT, "1"), .min = 1, .max = 1e9, .unit = "samples",
      .doc = "Squares of side crop that training takes from each picture an epoch, from places of their own: an epoch has windows * pictures samples." },
    { MEMBER(flip, PUDLE_BOOL, "false"),
      .doc = "Mirror training pictures left to right and top to bottom, each with probability 1/2." },
    { MEMBER(noise, PUDLE_REAL, "0"), .flags = PUDLE_OPEN_MAX, .max = INFINITY, .unit = "grey levels of 255",
      .doc = "Standard deviation of normal noise added to the input, on the scale 0..255; the target stays clean." },
    { MEMBER(poisson, PUDLE_REAL, "0"), .max = POISSON_MOST, .unit = "photons",
      .doc = "Photons of the brightest value: the input is Poisson(poisson * clean) / poisson; 0 is no photon noise." },
    { MEMBER(test_crop, PUDLE_ENUM, "none"), .choices = "none|centre",
      .doc = "Test on whole pictures, which must then be of one size, or on their centres, of side crop." },
    { MEMBER(memory, PUDLE_INT, "2048"), .max = 1e9, .unit = "MiB",
      .doc = "Memory for decoded pictures; those that find no place are decoded anew for every sample, but for samples of one picture that follow each other." },
    { .name = NULL },
};

typedef struct split {
    picture_list list;
    picture *picture;   /* of each path; pixels NULL: not kept */
    const picture *odd; /* the first whose size is not that of picture[0]; NULL: none */
} split;

typedef struct source {
    const params *o;
    split split[2]; /* PUDLE_SPLIT_TRAIN, PUDLE_SPLIT_TEST */
} source;

static pudle_status check(const pudle_host *host, const void *params_)
{
    const params *o = params_;
    if (o->noise > 0 && o->poisson > 0)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "noise = %g and poisson = %g contradict each other: give one",
                          o->noise, o->poisson);
    if (o->test_crop == TEST_CROP_CENTRE && o->crop == 0)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "test_crop = \"centre\" needs the side of the square: set crop");
    if (o->windows > 1 && o->crop == 0)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "windows = %lld would be as many times the whole picture: set crop, for squares from random places",
                          (long long)o->windows);
    return PUDLE_OK;
}

/* ----------------------------------------------------------------- pictures */

static bool is_cropped(const params *o, int32_t which)
{
    return o->crop > 0 && (which == PUDLE_SPLIT_TRAIN || o->test_crop == TEST_CROP_CENTRE);
}

/* Pictures that no window fits into: the first few by name. */
enum { NAMED = 5 };
typedef struct small_pictures { int64_t count, side; char names[1024]; } small_pictures;

static void note_if_small(const params *o, const char *path, const picture *p, small_pictures *small)
{
    const int64_t side = p->width < p->height ? p->width : p->height;
    const size_t used = strlen(small->names);
    if (side >= o->crop)
        return;
    if (small->count == 0 || side < small->side)
        small->side = side;
    if (small->count++ < NAMED)
        snprintf(small->names + used, sizeof small->names - used, "%s%.150s (%lld x %lld)", used ? ", " : "", path, (long long)p->width, (long long)p->height);
}

static pudle_status check_sides(const pudle_host *host, const params *o, int64_t count, const small_pictures *small)
{
    char more[48] = "";
    const int64_t named = small->count < NAMED ? small->count : NAMED;
    if (small->count == 0)
        return PUDLE_OK;
    if (small->count > named)
        snprintf(more, sizeof more, " and %lld more", (long long)(small->count - named));
    return host->fail(host->ctx, PUDLE_ERR_CONFIG, "%lld of %lld pictures have too few pixels for crop = %lld: %s%s; set crop to %lld, or take %s away", (long long)small->count,
                      (long long)count, (long long)o->crop, small->names, more, (long long)small->side, small->count == 1 ? "the file" : "these files");
}

/* Decodes every file, so that a damaged one is found now; keeps the pixels while *room bytes last. */
static pudle_status load_pictures(const pudle_host *host, const params *o, int32_t which, split *to, int64_t *room)
{
    int64_t left_out = 0;
    small_pictures small = { 0 };
    pudle_status s = PUDLE_OK;
    for (int64_t i = 0; i < to->list.count && !s; i++) {
        picture *p = &to->picture[i];
        s = picture_read(host, to->list.path[i], o->colour, p);
        if (s)
            break;
        if (is_cropped(o, which))
            note_if_small(o, to->list.path[i], p, &small);
        const int64_t bytes = picture_values(p) * (p->bits / 8);
        if (bytes <= *room) {
            *room -= bytes;
        } else {
            picture_free(host, p);
            left_out++;
        }
        if (!to->odd && (p->width != to->picture[0].width || p->height != to->picture[0].height))
            to->odd = p;
    }
    if (!s)
        s = check_sides(host, o, to->list.count, &small);
    if (!s && left_out)
        host->log(host->ctx, PUDLE_LOG_INFO, "%lld of %lld %s pictures do not fit into memory = %lld MiB and are decoded "
                  "anew for every sample", (long long)left_out, (long long)to->list.count,
                  which == PUDLE_SPLIT_TEST ? "test" : "training", (long long)o->memory);
    return s;
}

static pudle_status load_split(const pudle_host *host, const params *o, int32_t which, split *to, int64_t *room)
{
    const char *path = which == PUDLE_SPLIT_TRAIN ? o->path : o->test_path;
    if (!path)
        return PUDLE_OK;
    const pudle_status s = picture_list_make(host, path, &to->list);
    if (s)
        return s;
    const size_t bytes = (size_t)to->list.count * sizeof *to->picture;
    if (!(to->picture = host->alloc(host->ctx, bytes)))
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "no memory for %lld pictures", (long long)to->list.count);
    memset(to->picture, 0, bytes);
    return load_pictures(host, o, which, to, room);
}

static void free_split(const pudle_host *host, split *s)
{
    for (int64_t i = 0; s->picture && i < s->list.count; i++)
        picture_free(host, &s->picture[i]);
    host->free(host->ctx, s->picture);
    picture_list_free(host, &s->list);
}

static void destroy(const pudle_host *host, void *self)
{
    source *d = self;
    if (!d)
        return;
    free_split(host, &d->split[0]);
    free_split(host, &d->split[1]);
    host->free(host->ctx, d);
}

/* Whole pictures are samples only if all are of one size. */
static pudle_status check_sizes(const pudle_host *host, const source *d, int32_t which)
{
    const split *s = &d->split[which];
    const picture *a = s->picture, *b = s->odd;
    if (!b || is_cropped(d->o, which))
        return PUDLE_OK;
    return host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s: %lld x %lld pixels, and %s has %lld x %lld: whole pictures must be "
                      "of one size; set %s", s->list.path[0], (long long)a->width, (long long)a->height, s->list.path[b - a],
                      (long long)b->width, (long long)b->height,
                      which == PUDLE_SPLIT_TEST ? "test_crop = \"centre\" with crop, for the side of a square in the middle"
                                                : "crop, for squares from random places");
}

static pudle_status create(const pudle_host *host, const void *params_, void **self)
{
    source *d = host->alloc(host->ctx, sizeof *d);
    if (!d)
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "no memory for a data source");
    *d = (source){ .o = params_ };
    int64_t room = d->o->memory * 1048576;
    pudle_status s = PUDLE_OK;
    for (int32_t which = 0; which < 2 && !s; which++)
        s = load_split(host, d->o, which, &d->split[which], &room);
    if (!s)
        s = check_sizes(host, d, PUDLE_SPLIT_TRAIN);
    if (s) {
        destroy(host, d);
        return s;
    }
    *self = d;
    return PUDLE_OK;
}

/* ------------------------------------------------------------------ samples */

static bool is_noisy(const params *o)
{
    return o->noise > 0 || o->poisson > 0;
}

/* Samples that one picture makes. */
static int64_t samples_of_picture(const params *o, int32_t which)
{
    return which == PUDLE_SPLIT_TRAIN ? o->windows : 1;
}

static const split *split_of(const source *d, int32_t which)
{
    const split *s = which == PUDLE_SPLIT_TRAIN || which == PUDLE_SPLIT_TEST ? &d->split[which] : NULL;
    return s && s->picture ? s : NULL;
}

static pudle_status describe(const pudle_host *host, const void *self, int32_t which, pudle_data_info *info)
{
    const source *d = self;
    const split *s = split_of(d, which);
    if (!s)
        return host->fail(host->ctx, PUDLE_ERR_NOTFOUND, "there are no test pictures: give test_path");
    const pudle_status status = check_sizes(host, d, which);
    if (status)
        return status;
    const bool cropped = is_cropped(d->o, which);
    info->rank = 3;
    info->samples = s->list.count * samples_of_picture(d->o, which);
    info->shape[0] = d->o->colour ? 3 : 1;
    info->shape[1] = cropped ? d->o->crop : s->picture->height;
    info->shape[2] = cropped ? d->o->crop : s->picture->width;
    memcpy(info->target_shape, info->shape, sizeof info->shape);
    info->has_target = is_noisy(d->o);
    return PUDLE_OK;
}

/* Which part of a picture a sample shows, and whether mirrored. */
typedef struct window {
    int64_t top, left, height, width;
    bool left_right, top_bottom;
} window;

static window place_window(const params *o, const pudle_data_request *request, int64_t sample, const picture *p)
{
    window w = { .height = p->height, .width = p->width };
    const bool train = request->split == PUDLE_SPLIT_TRAIN;
    if (is_cropped(o, request->split)) {
        pudle_random r = pudle_random_at(request->seed, RANDOM_CROP, (uint32_t)request->epoch, (uint64_t)sample);
        const int64_t down = p->height - o->crop, right = p->width - o->crop;
        w.height = w.width = o->crop;
        w.top = train ? (int64_t)pudle_random_below(&r, (uint64_t)down + 1) : down / 2;
        w.left = train ? (int64_t)pudle_random_below(&r, (uint64_t)right + 1) : right / 2;
    }
    if (train && o->flip) {
        pudle_random r = pudle_random_at(request->seed, RANDOM_FLIP, (uint32_t)request->epoch, (uint64_t)sample);
        const uint32_t coins = pudle_random_u32(&r);
        w.left_right = coins & 1;
        w.top_bottom = coins & 2;
    }
    return w;
}

static void copy_window(const picture *p, const window *w, double *to) // (channels, w.height, w.width)
{
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t i = 0; i < w->height; i++) {
            const int64_t y = w->top + (w->top_bottom ? w->height - 1 - i : i);
            const int64_t row = (c * p->height + y) * p->width + w->left;
            for (int64_t j = 0; j < w->width; j++)
                *to++ = picture_value(p, row + (w->left_right ? w->width - 1 - j : j));
        }
}

static void add_noise(const params *o, const pudle_data_request *request, int64_t sample, int64_t n, double *x)
{
    const bool train = request->split == PUDLE_SPLIT_TRAIN;
    pudle_random r = pudle_random_at(request->seed, train ? RANDOM_NOISE : RANDOM_TEST_NOISE,
                                     train ? (uint32_t)request->epoch : 0, (uint64_t)sample);
    const double std = o->noise / 255;
    if (o->noise > 0)
        for (int64_t i = 0; i < n; i++)
            x[i] += std * pudle_random_normal(&r);
    if (o->poisson > 0)
        for (int64_t i = 0; i < n; i++)
            x[i] = poisson_draw(&r, o->poisson * x[i]) / o->poisson;
}

/* Sample `row` of the request; `values` has room for one. */
static void store_sample(const params *o, const pudle_data_request *request, int64_t row, int64_t n, const picture *p,
                         double *values)
{
    const int64_t sample = request->index[row];
    const window w = place_window(o, request, sample, p);
    copy_window(p, &w, values);
    if (is_noisy(o) && request->y)
        samples_store(request->y, row, n, values);
    add_noise(o, request, sample, n, values);
    samples_store(request->x, row, n, values);
}

/* A picture that is not kept, and was decoded anew: the next sample may be of the same. */
typedef struct decoded { int64_t number; picture is; } decoded;

/* The picture of this number: the one that is kept, or *last, decoded anew unless it is that one. */
static pudle_status fetch(const pudle_host *host, const source *d, const split *s, int64_t number, decoded *last,
                          const picture **out)
{
    const picture *known = &s->picture[number];
    *out = known->pixels ? known : &last->is;
    if (known->pixels || (last->is.pixels && last->number == number))
        return PUDLE_OK;
    picture_free(host, &last->is);
    const pudle_status status = picture_read(host, s->list.path[number], d->o->colour, &last->is);
    last->number = number;
    if (!status && (last->is.width != known->width || last->is.height != known->height || last->is.bits != known->bits))
        return host->fail(host->ctx, PUDLE_ERR_IO, "%s: the file has changed since the run began", s->list.path[number]);
    return status;
}

/* The arrays of the request must have the shape that describe tells, which may not be the same for both splits. */
static pudle_status check_shape(const pudle_host *host, const pudle_data_info *info, const pudle_data_request *request,
                                const pudle_view *to)
{
    bool same = to->rank == info->rank + 1 && to->shape[0] == request->count;
    for (int32_t i = 0; i < info->rank && same; i++)
        same = to->shape[i + 1] == info->shape[i];
    if (same)
        return PUDLE_OK;
    return host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s pictures are %lld x %lld x %lld (channels, height, width), not the "
                      "%lld x %lld x %lld that is asked for: where training has squares, set test_crop = \"centre\"",
                      request->split == PUDLE_SPLIT_TEST ? "test" : "training", (long long)info->shape[0],
                      (long long)info->shape[1], (long long)info->shape[2], (long long)to->shape[1],
                      (long long)to->shape[2], (long long)to->shape[3]);
}

static pudle_status read_samples(const pudle_host *host, const void *self, const pudle_data_request *request)
{
    const source *d = self;
    const split *s = split_of(d, request->split);
    pudle_data_info info = { .size = sizeof info };
    const int64_t each = samples_of_picture(d->o, request->split);
    pudle_status status = samples_check(host, request, s ? s->list.count * each : 0);
    if (status || !s || request->count == 0)
        return status;
    status = describe(host, self, request->split, &info);
    if (!status)
        status = check_shape(host, &info, request, request->x);
    if (!status && info.has_target && request->y)
        status = check_shape(host, &info, request, request->y);
    if (status)
        return status;
    const int64_t n = info.shape[0] * info.shape[1] * info.shape[2];
    double *values = host->alloc(host->ctx, (size_t)n * sizeof *values);
    if (!values)
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "no memory for a sample of %lld values", (long long)n);
    decoded last = { .number = -1 };
    for (int64_t i = 0; i < request->count && !status; i++) {
        const picture *p;
        status = fetch(host, d, s, request->index[i] / each, &last, &p);
        if (!status)
            store_sample(d->o, request, i, n, p, values);
    }
    picture_free(host, &last.is);
    host->free(host->ctx, values);
    return status;
}

static const pudle_data_ops ops = { .size = sizeof(pudle_data_ops), .describe = describe, .read = read_samples };

/* Not PUDLE_DATA_EPOCH_FREE: windows, flips and noise are drawn anew every epoch. */
static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_DATA,
    .name = "images",
    .version = "1.0.0",
    .summary = "Pictures from PNG and JPEG files, whole or random squares of them, clean or with noise",
    .math = "x = y + (noise/255) N(0, 1), or Poisson(peak y)/peak; y = a window of the picture, in [0, 1]",
    .license = "MIT",
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .check = check,
    .create = create,
    .destroy = destroy,
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
