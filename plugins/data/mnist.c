/* Handwritten digits in the IDX format of MNIST, and anything of the same shape (Fashion-MNIST, KMNIST): a folder with
 *   train-images-idx3-ubyte  train-labels-idx1-ubyte  t10k-images-idx3-ubyte  t10k-labels-idx1-ubyte,
 * each raw or gzipped, told apart by the first bytes; names may end in .gz and have a dot for the middle dash (images.idx3).
 * A sample is a flat vector of 28 x 28 = 784 pixels in [0, 1].
 * Format: LeCun, Cortes, Burges, http://yann.lecun.com/exdb/mnist */
#include "samples.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum { SIDE = 28, PIXELS = SIDE * SIDE, CLASSES = 10, PATH_BYTES = 4096 };
enum { DEFLATE_MOST = 1032 /* bytes that one compressed byte can become */ };

typedef struct params {
    const char *path;
    pudle_int_list classes;
    int64_t limit;
} params;

static const pudle_option options[] = {
    { .name = "path", .type = PUDLE_PATH, .flags = PUDLE_REQUIRED, .offset = offsetof(params, path),
      .doc = "Folder with the IDX files." },
    { .name = "classes", .type = PUDLE_INT_LIST, .offset = offsetof(params, classes), .dflt = "[]", .min = 0,
      .max = CLASSES - 1, .doc = "Labels to keep; an empty list keeps all." },
    { .name = "limit", .type = PUDLE_INT, .flags = PUDLE_OPEN_MAX, .offset = offsetof(params, limit), .dflt = "0", .min = 0,
      .max = INFINITY,
      .doc = "Keep the first so many samples of each split, counted after the choice of classes; 0 keeps all." },
    { .name = NULL },
};

typedef struct split {
    uint8_t *pixels; /* (samples, 784); NULL: the split's files do not exist */
    uint8_t *labels; /* (samples) */
    int64_t samples;
} split;

typedef struct source {
    const char *folder;
    split split[2]; /* PUDLE_SPLIT_TRAIN, PUDLE_SPLIT_TEST */
} source;

static const char *const prefix[2] = { "train", "t10k" };

/* ---------------------------------------------------------------- IDX files */

typedef struct idx {
    const char *path;
    gzFile file;    /* zlib reads raw files too */
    int64_t limit;  /* no more bytes than this can be in the file */
    int64_t offset; /* bytes read so far, as if the file were raw */
} idx;

static pudle_status idx_read(const pudle_host *host, idx *f, uint8_t *to, int64_t bytes, const char *what)
{
    for (int64_t done = 0; done < bytes;) {
        const unsigned part = bytes - done < 1 << 24 ? (unsigned)(bytes - done) : 1u << 24;
        const int got = gzread(f->file, to + done, part);
        if (got < 0) {
            int code;
            const char *text = gzerror(f->file, &code);
            return host->fail(host->ctx, PUDLE_ERR_IO, "%s: damaged at byte %lld, inside the %s: %s", f->path,
                              (long long)(f->offset + done), what, code == Z_ERRNO ? strerror(errno) : text);
        }
        if (got == 0)
            return host->fail(host->ctx, PUDLE_ERR_IO, "%s: ends at byte %lld, inside the %s: the file is cut short",
                              f->path, (long long)(f->offset + done), what);
        done += got;
    }
    f->offset += bytes;
    return PUDLE_OK;
}

static uint32_t big_endian(const uint8_t b[4])
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Header: 0, 0, type (8: unsigned bytes), number of dimensions; then each dimension, big-endian. */
static pudle_status idx_header(const pudle_host *host, idx *f, int rank, int64_t *count)
{
    uint8_t head[16];
    const uint32_t magic = 0x0800u | (uint32_t)rank;
    const pudle_status s = idx_read(host, f, head, 4 + 4 * rank, "header");
    if (s)
        return s;
    if (big_endian(head) != magic)
        return host->fail(host->ctx, PUDLE_ERR_IO, "%s: byte 0: the magic number is 0x%08x, not 0x%08x (bytes, %d axes)",
                          f->path, (unsigned)big_endian(head), (unsigned)magic, rank);
    for (int i = 1; i < rank; i++)
        if (big_endian(head + 4 + 4 * i) != SIDE)
            return host->fail(host->ctx, PUDLE_ERR_IO, "%s: byte %d: dimension %d is %u, images must be %d x %d", f->path,
                              4 + 4 * i, i, (unsigned)big_endian(head + 4 + 4 * i), SIDE, SIDE);
    const int64_t n = big_endian(head + 4), bytes = n * (rank == 3 ? PIXELS : 1);
    if (n == 0)
        return host->fail(host->ctx, PUDLE_ERR_IO, "%s: byte 4: the file says that it has 0 samples", f->path);
    if (bytes > f->limit)
        return host->fail(host->ctx, PUDLE_ERR_IO, "%s: byte 4: too short for the %lld samples that it says it has", f->path,
                          (long long)n);
    *count = n;
    return PUDLE_OK;
}

/* The whole file into *data (count entries of one byte, or of 784); the caller frees it, also after an error. */
static pudle_status idx_load(const pudle_host *host, const char *path, int rank, uint8_t **data, int64_t *count)
{
    struct stat st;
    idx f = { .path = path };
    const bool there = !stat(path, &st);
    if (there && !S_ISREG(st.st_mode)) /* a pipe would wait for ever */
        return host->fail(host->ctx, PUDLE_ERR_IO, "%s: cannot be opened: it is not a file", path);
    if (!there || !(f.file = gzopen(path, "rb")))
        return host->fail(host->ctx, PUDLE_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    f.limit = gzdirect(f.file) || st.st_size > INT64_MAX / DEFLATE_MOST ? st.st_size : st.st_size * DEFLATE_MOST;

    int64_t n = 0;
    pudle_status s = idx_header(host, &f, rank, &n);
    const int64_t bytes = n * (rank == 3 ? PIXELS : 1);
    if (!s && !(*data = host->alloc(host->ctx, (size_t)bytes)))
        s = host->fail(host->ctx, PUDLE_ERR_NOMEM, "%s: no memory for its %lld bytes", path, (long long)bytes);
    if (!s)
        s = idx_read(host, &f, *data, bytes, rank == 3 ? "pixels" : "labels");
    uint8_t more;
    if (!s && gzread(f.file, &more, 1) != 0) /* more bytes, or a wrong checksum at the end */
        s = host->fail(host->ctx, PUDLE_ERR_IO, "%s: byte %lld: the file does not end where its header says, or is damaged",
                       path, (long long)f.offset);
    const int closed = gzclose(f.file);
    if (!s && closed != Z_OK)
        s = host->fail(host->ctx, PUDLE_ERR_IO, "%s: ends before its gzip checksum: the file is cut short", path);
    if (!s)
        *count = n;
    return s;
}

/* The first of the usual names that exists, into path. */
static bool find_file(const char *folder, const char *split_prefix, const char *what, const char *format,
                      char path[PATH_BYTES])
{
    static const char *const pattern[] = { "%s/%s-%s-%s-ubyte", "%s/%s-%s-%s-ubyte.gz", "%s/%s-%s.%s-ubyte",
                                           "%s/%s-%s.%s-ubyte.gz" };
    for (int i = 0; i < 4; i++) {
        struct stat st;
        const int length = snprintf(path, PATH_BYTES, pattern[i], folder, split_prefix, what, format);
        if (length > 0 && length < PATH_BYTES && stat(path, &st) == 0)
            return true;
    }
    return false;
}

/* ------------------------------------------------------------------- splits */

static bool wanted(const params *o, uint8_t label)
{
    for (int64_t i = 0; i < o->classes.count; i++)
        if (o->classes.item[i] == label)
            return true;
    return o->classes.count == 0;
}

/* Move the chosen images and their labels to the front. */
static int64_t choose(const params *o, uint8_t *pixels, uint8_t *labels, int64_t n)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n && (o->limit == 0 || kept < o->limit); i++) {
        if (!wanted(o, labels[i]))
            continue;
        if (kept < i)
            memcpy(pixels + kept * PIXELS, pixels + i * PIXELS, PIXELS);
        labels[kept] = labels[i];
        kept++;
    }
    return kept;
}

static pudle_status load_split(const pudle_host *host, const params *o, const char *split_prefix, split *out)
{
    char images[PATH_BYTES], labels_path[PATH_BYTES];
    if (!find_file(o->path, split_prefix, "images", "idx3", images) ||
        !find_file(o->path, split_prefix, "labels", "idx1", labels_path))
        return PUDLE_OK; /* describe will say so, should the split be asked for */
    int64_t n = 0, n_labels = 0;
    pudle_status s = idx_load(host, images, 3, &out->pixels, &n);
    if (!s)
        s = idx_load(host, labels_path, 1, &out->labels, &n_labels);
    if (!s && n != n_labels)
        s = host->fail(host->ctx, PUDLE_ERR_IO, "%s: %lld labels, but %s has %lld images", labels_path, (long long)n_labels,
                       images, (long long)n);
    for (int64_t i = 0; i < n && !s; i++)
        if (out->labels[i] >= CLASSES)
            s = host->fail(host->ctx, PUDLE_ERR_IO, "%s: byte %lld: label %d is not in 0..%d", labels_path,
                           (long long)(8 + i), out->labels[i], CLASSES - 1);
    if (!s)
        out->samples = choose(o, out->pixels, out->labels, n);
    if (!s && out->samples == 0)
        s = host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s: none of the chosen classes occurs", labels_path);
    return s;
}

static void destroy(const pudle_host *host, void *self)
{
    source *d = self;
    if (!d)
        return;
    for (int i = 0; i < 2; i++) {
        host->free(host->ctx, d->split[i].pixels);
        host->free(host->ctx, d->split[i].labels);
    }
    host->free(host->ctx, d);
}

static pudle_status create(const pudle_host *host, const void *params_, void **self)
{
    const params *o = params_;
    source *d = host->alloc(host->ctx, sizeof *d);
    if (!d)
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "no memory for a data source");
    *d = (source){ .folder = o->path };
    pudle_status s = PUDLE_OK;
    for (int i = 0; i < 2 && !s; i++)
        s = load_split(host, o, prefix[i], &d->split[i]);
    if (!s && !d->split[0].pixels && !d->split[1].pixels)
        s = host->fail(host->ctx, PUDLE_ERR_NOTFOUND, "%s: no train-images-idx3-ubyte with train-labels-idx1-ubyte here, "
                       "nor the t10k- pair (raw or .gz)", o->path);
    if (s) {
        destroy(host, d);
        return s;
    }
    *self = d;
    return PUDLE_OK;
}

/* ---------------------------------------------------------------------- ops */

static const split *split_of(const source *d, int32_t which)
{
    return which == PUDLE_SPLIT_TRAIN || which == PUDLE_SPLIT_TEST ? &d->split[which] : NULL;
}

static pudle_status no_split(const pudle_host *host, const source *d, int32_t which)
{
    return host->fail(host->ctx, PUDLE_ERR_NOTFOUND, "%s: no %s-images-idx3-ubyte with %s-labels-idx1-ubyte here (raw or .gz)", d->folder,
                      prefix[which == PUDLE_SPLIT_TEST], prefix[which == PUDLE_SPLIT_TEST]);
}

static pudle_status describe(const pudle_host *host, const void *self, int32_t which, pudle_data_info *info)
{
    const source *d = self;
    const split *s = split_of(d, which);
    if (!s || !s->pixels)
        return no_split(host, d, which);
    info->rank = 1;
    info->samples = s->samples;
    info->shape[0] = info->target_shape[0] = PIXELS;
    info->has_target = false;
    return PUDLE_OK;
}

static pudle_status read_samples(const pudle_host *host, const void *self, const pudle_data_request *request)
{
    const source *d = self;
    const split *s = split_of(d, request->split);
    const pudle_status status = samples_check(host, request, s ? s->samples : 0);
    if (status || !s)
        return status;
    for (int64_t i = 0; i < request->count; i++) {
        const uint8_t *image = s->pixels + request->index[i] * PIXELS;
        double row[PIXELS];
        for (int k = 0; k < PIXELS; k++)
            row[k] = image[k] / 255.0;
        samples_store(request->x, i, PIXELS, row);
    }
    return PUDLE_OK;
}

static pudle_status read_labels(const pudle_host *host, const void *self, const pudle_data_request *request, int64_t *labels)
{
    const source *d = self;
    const split *s = split_of(d, request->split);
    if (!s || !s->pixels)
        return no_split(host, d, request->split);
    const pudle_status status = samples_check(host, request, s->samples);
    for (int64_t i = 0; i < request->count && !status; i++)
        labels[i] = s->labels[request->index[i]];
    return status;
}

static const pudle_data_labels labels = { sizeof(pudle_data_labels), 0, read_labels };

static const void *get_ext(const char *id)
{
    return strcmp(id, PUDLE_DATA_LABELS) == 0 ? &labels : NULL;
}

static const pudle_data_ops ops = { .size = sizeof(pudle_data_ops), .describe = describe, .read = read_samples };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_DATA,
    .name = "mnist",
    .version = "1.0.0",
    .summary = "Images of 28 x 28 pixels in MNIST's IDX files, as vectors in [0, 1]",
    .cite = "LeCun, Bottou, Bengio, Haffner 1998, doi:10.1109/5.726791",
    .license = "MIT",
    .caps = PUDLE_DATA_EPOCH_FREE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .create = create,
    .destroy = destroy,
    .ops = &ops,
    .get_ext = get_ext,
};
PUDLE_PLUGIN(&desc);
