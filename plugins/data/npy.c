/* Samples from NumPy files. The first axis counts samples, the rest is the shape of one sample: (n, m) or
 * (n, channels, height, width), unless the option shape gives another one of as many values. Targets, where given, stand in files of the
 * same shape. Each of the four roles may take a range of rows of its file, and those without a file of their own read that of the
 * role they follow. Every value is looked at once, when the files are opened; afterwards rows are read as they are asked for. */
#include "samples.h"
#include <string.h>

typedef struct params {
    const char *path, *target, *test_path, *test_target, *labels, *test_labels;
    pudle_int_list rows, target_rows, test_rows, test_target_rows, shape;
    bool missing;
} params;

#define ROWS(member, text) \
    { .name = #member, .type = PUDLE_INT_LIST, .offset = offsetof(params, member), .dflt = "[]", .min = 0, .max = 1e15, .doc = text }

static const pudle_option options[] = {
    { .name = "path", .type = PUDLE_PATH, .flags = PUDLE_REQUIRED, .offset = offsetof(params, path),
      .doc = "Training samples, the first axis counts them: a .npy file, or an array in an .npz as \"file.npz:name\"." },
    { .name = "target", .type = PUDLE_PATH, .offset = offsetof(params, target),
      .doc = "What the training samples shall be reconstructed to; without it, themselves." },
    { .name = "test_path", .type = PUDLE_PATH, .offset = offsetof(params, test_path), .doc = "Test samples." },
    { .name = "test_target", .type = PUDLE_PATH, .offset = offsetof(params, test_target),
      .doc = "Targets of the test samples." },
    ROWS(rows, "Rows to train on, [first, end], end itself is left out; an empty list takes all."),
    ROWS(target_rows, "The same for the targets; without a file target they are rows of path."),
    ROWS(test_rows, "The same for the test samples; without a file test_path they are rows of path."),
    ROWS(test_target_rows, "The same for their targets; without a file test_target they are rows of the test samples' file."),
    { .name = "labels", .type = PUDLE_PATH, .offset = offsetof(params, labels),
      .doc = "Classes of the training samples, whole numbers from 0 on, as many as path has rows; reports tell classes apart." },
    { .name = "test_labels", .type = PUDLE_PATH, .offset = offsetof(params, test_labels),
      .doc = "The same for the test samples, as many as their file has rows; without a file test_path they are those of labels." },
    { .name = "shape", .type = PUDLE_INT_LIST, .offset = offsetof(params, shape), .dflt = "[]", .min = 1, .max = 1e15,
      .doc = "Shape of a sample, where it shall not be the file's: [1, 3000] makes signals of one channel out of rows of 3000." },
    { .name = "missing", .type = PUDLE_BOOL, .offset = offsetof(params, missing), .dflt = "false",
      .doc = "NaN marks a value that is missing, for losses that pass over it; otherwise a NaN is an error." },
    { .name = NULL },
};

typedef struct split {
    pudle_array_file *x, *y, *labels; /* NULL: not given */
    int64_t first, first_y;  /* row of sample 0 */
    int64_t samples;
    int64_t values;          /* in one sample */
} split;

typedef struct source {
    const params *o;
    const pudle_host_arrays *arrays;
    split split[2]; /* PUDLE_SPLIT_TRAIN, PUDLE_SPLIT_TEST */
} source;

/* The file of each role: its own, or, where only rows are given, that of the role it follows. */
static const char *target_of(const params *o) { return o->target || !o->target_rows.count ? o->target : o->path; }
static const char *test_of(const params *o) { return o->test_path || !o->test_rows.count ? o->test_path : o->path; }
static const char *test_target_of(const params *o)
{
    return o->test_target || !o->test_target_rows.count ? o->test_target : test_of(o);
}

static pudle_status check(const pudle_host *host, const void *params_)
{
    const params *o = params_;
    const pudle_int_list *const ranges[] = { &o->rows, &o->target_rows, &o->test_rows, &o->test_target_rows };
    static const char *const names[] = { "rows", "target_rows", "test_rows", "test_target_rows" };
    for (int i = 0; i < 4; i++)
        if (ranges[i]->count && (ranges[i]->count != 2 || ranges[i]->item[0] >= ranges[i]->item[1]))
            return host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s takes two numbers, the first row and the one behind the last: [0, 17] is 17 rows",
                              names[i]);
    if (o->shape.count >= PUDLE_MAX_RANK)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "shape has %lld axes; 1 to %d are possible", (long long)o->shape.count, PUDLE_MAX_RANK - 1);
    const bool target = target_of(o) != NULL, test = test_of(o) != NULL;
    if (o->test_labels && !test)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "test_labels is given without test_path or test_rows");
    if ((o->test_target || o->test_target_rows.count) && !test)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "test_target is given without test_path");
    if (test && target != (test_target_of(o) != NULL))
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s is given without %s: both splits need targets, or neither",
                          target ? "target" : "test_target", target ? "test_target" : "target");
    return PUDLE_OK;
}

/* The sample shapes of two files must agree. */
static pudle_status same_shape(const pudle_host *host, const pudle_host_arrays *arrays, const pudle_array_file *a,
                               const char *path_a, const pudle_array_file *b, const char *path_b)
{
    if (arrays->rank(a) != arrays->rank(b))
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s has rank %d, %s has rank %d: they must agree", path_a,
                          (int)arrays->rank(a), path_b, (int)arrays->rank(b));
    for (int32_t i = 1; i < arrays->rank(a); i++)
        if (arrays->extent(a, i) != arrays->extent(b, i))
            return host->fail(host->ctx, PUDLE_ERR_CONFIG, "axis %d of %s has %lld entries, of %s %lld: they must agree",
                              (int)i, path_a, (long long)arrays->extent(a, i), path_b, (long long)arrays->extent(b, i));
    return PUDLE_OK;
}

static int64_t values_in_row(const pudle_host_arrays *arrays, const pudle_array_file *file)
{
    int64_t n = 1;
    for (int32_t i = 1; i < arrays->rank(file); i++)
        n *= arrays->extent(file, i);
    return n;
}

/* Every value must be finite: one NaN would spoil the dictionary without a trace of where it came from. */
static pudle_status check_values(const pudle_host *host, const pudle_host_arrays *arrays, const pudle_array_file *file,
                                 const char *path, bool missing)
{
    const int64_t n = values_in_row(arrays, file);
    double *row = host->alloc(host->ctx, (size_t)n * sizeof *row);
    if (!row)
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "%s: no memory for a row of %lld values", path, (long long)n);
    pudle_status s = PUDLE_OK;
    for (int64_t r = 0; r < arrays->extent(file, 0) && !s; r++) {
        s = arrays->read_row(host->ctx, file, r, PUDLE_F64, row);
        for (int64_t i = 0; i < n && !s; i++)
            if (!isfinite(row[i]) && !(missing && isnan(row[i])))
                s = host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s: row %lld holds %s (its value %lld): remove or repair it%s", path, (long long)r,
                               isnan(row[i]) ? "NaN" : "an infinite value", (long long)i,
                               isnan(row[i]) ? ", or write  missing = true;  here, and  missing = \"skip\";  in the group loss" : "");
    }
    host->free(host->ctx, row);
    return s;
}

/* A file and the rows of it that are samples. */
static pudle_status open_file(const pudle_host *host, const source *d, const char *path, const pudle_int_list *rows,
                              pudle_array_file **file, int64_t *first, int64_t *count)
{
    const pudle_host_arrays *arrays = d->arrays;
    pudle_status s = arrays->open(host->ctx, path, file);
    if (s)
        return s;
    const int32_t rank = arrays->rank(*file);
    if (rank < 2 || rank > PUDLE_MAX_RANK)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s has rank %d; it needs 2 to %d axes, the first one for samples",
                          path, (int)rank, PUDLE_MAX_RANK);
    for (int32_t i = 0; i < rank; i++)
        if (arrays->extent(*file, i) < 1)
            return host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s is empty along axis %d", path, (int)i);
    *first = rows->count ? rows->item[0] : 0;
    *count = (rows->count ? rows->item[1] : arrays->extent(*file, 0)) - *first;
    if (*first + *count > arrays->extent(*file, 0))
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "rows [%lld, %lld] are asked for, and %s has %lld", (long long)*first,
                          (long long)(*first + *count), path, (long long)arrays->extent(*file, 0));
    return check_values(host, arrays, *file, path, d->o->missing);
}

static pudle_status open_split(const pudle_host *host, const source *d, const char *path, const pudle_int_list *rows, const char *target,
                               const pudle_int_list *target_rows, split *out)
{
    int64_t targets = 0, wanted = 1;
    if (!path)
        return PUDLE_OK;
    pudle_status s = open_file(host, d, path, rows, &out->x, &out->first, &out->samples);
    if (!s && target)
        s = open_file(host, d, target, target_rows, &out->y, &out->first_y, &targets);
    if (!s && target)
        s = same_shape(host, d->arrays, out->x, path, out->y, target);
    if (!s && target && targets != out->samples)
        s = host->fail(host->ctx, PUDLE_ERR_CONFIG, "axis 0 of %s has %lld entries, of %s %lld: they must agree", path, (long long)out->samples, target,
                       (long long)targets);
    if (!s)
        out->values = values_in_row(d->arrays, out->x);
    for (int64_t i = 0; i < d->o->shape.count; i++)
        wanted *= wanted > out->values ? 1 : d->o->shape.item[i];
    if (!s && d->o->shape.count && wanted != out->values)
        s = host->fail(host->ctx, PUDLE_ERR_CONFIG, "a row of %s has %lld values, which do not fill the shape that is asked for", path,
                       (long long)out->values);
    return s;
}

/* Classes, one for every row of the samples' file. */
static pudle_status open_labels(const pudle_host *host, const source *d, const char *path, const char *samples, split *out)
{
    const pudle_host_arrays *arrays = d->arrays;
    if (!path || !samples)
        return PUDLE_OK;
    pudle_status s = arrays->open(host->ctx, path, &out->labels);
    if (s)
        return s;
    if (arrays->rank(out->labels) != 1 || arrays->extent(out->labels, 0) != arrays->extent(out->x, 0))
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s: labels are wanted as an array (%lld), one for each row of %s", path,
                          (long long)arrays->extent(out->x, 0), samples);
    for (int64_t i = 0; i < arrays->extent(out->labels, 0) && !s; i++) {
        double label = 0;
        s = arrays->read_row(host->ctx, out->labels, i, PUDLE_F64, &label);
        if (!s && !(label >= 0 && label < 9e15 && label == floor(label)))
            s = host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s: label %lld is %g; classes are whole numbers from 0 on", path, (long long)i, label);
    }
    return s;
}

static void destroy(const pudle_host *host, void *self)
{
    source *d = self;
    if (!d)
        return;
    for (int i = 0; i < 2; i++) {
        d->arrays->close(d->split[i].x);
        d->arrays->close(d->split[i].y);
        d->arrays->close(d->split[i].labels);
    }
    host->free(host->ctx, d);
}

static pudle_status create(const pudle_host *host, const void *params_, void **self)
{
    const params *o = params_;
    const pudle_host_arrays *arrays = host->get_ext(host->ctx, PUDLE_HOST_ARRAYS);
    if (!arrays)
        return host->fail(host->ctx, PUDLE_ERR_UNSUPPORTED, "the host does not read NumPy files (no %s)", PUDLE_HOST_ARRAYS);
    source *d = host->alloc(host->ctx, sizeof *d);
    if (!d)
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "no memory for a data source");
    *d = (source){ .o = o, .arrays = arrays };
    const char *test = test_of(o);
    pudle_status s = open_split(host, d, o->path, &o->rows, target_of(o), &o->target_rows, &d->split[PUDLE_SPLIT_TRAIN]);
    if (!s)
        s = open_split(host, d, test, &o->test_rows, test_target_of(o), &o->test_target_rows, &d->split[PUDLE_SPLIT_TEST]);
    if (!s && test)
        s = same_shape(host, arrays, d->split[0].x, o->path, d->split[1].x, test);
    if (!s)
        s = open_labels(host, d, o->labels, o->path, &d->split[PUDLE_SPLIT_TRAIN]);
    if (!s)
        s = open_labels(host, d, o->test_labels || o->test_path ? o->test_labels : o->labels, test, &d->split[PUDLE_SPLIT_TEST]);
    if (s) {
        destroy(host, d);
        return s;
    }
    *self = d;
    return PUDLE_OK;
}

static const split *split_of(const source *d, int32_t which)
{
    const split *s = which == PUDLE_SPLIT_TRAIN || which == PUDLE_SPLIT_TEST ? &d->split[which] : NULL;
    return s && s->x ? s : NULL;
}

static pudle_status no_test(const pudle_host *host)
{
    return host->fail(host->ctx, PUDLE_ERR_NOTFOUND, "there are no test samples: give test_path or test_rows");
}

static pudle_status describe(const pudle_host *host, const void *self, int32_t which, pudle_data_info *info)
{
    const source *d = self;
    const split *s = split_of(d, which);
    if (!s)
        return no_test(host);
    const pudle_int_list *shape = &d->o->shape;
    info->rank = shape->count ? (int32_t)shape->count : d->arrays->rank(s->x) - 1;
    info->samples = s->samples;
    for (int32_t i = 0; i < info->rank; i++)
        info->shape[i] = info->target_shape[i] = shape->count ? shape->item[i] : d->arrays->extent(s->x, i + 1);
    info->has_target = s->y != NULL;
    return PUDLE_OK;
}

static pudle_status read_rows(const pudle_host *host, const source *d, const pudle_array_file *file, int64_t first, int64_t values,
                              const pudle_data_request *request, const pudle_view *to)
{
    const size_t bytes = (size_t)values * pudle_dtype_size(to->dtype);
    pudle_status s = PUDLE_OK;
    for (int64_t i = 0; i < request->count && !s; i++)
        s = d->arrays->read_row(host->ctx, file, first + request->index[i], to->dtype, (char *)to->data + (size_t)i * bytes);
    return s;
}

static pudle_status read_samples(const pudle_host *host, const void *self, const pudle_data_request *request)
{
    const source *d = self;
    const split *s = split_of(d, request->split);
    pudle_status status = samples_check(host, request, s ? s->samples : 0);
    if (!status && s)
        status = read_rows(host, d, s->x, s->first, s->values, request, request->x);
    if (!status && s && s->y && request->y)
        status = read_rows(host, d, s->y, s->first_y, s->values, request, request->y);
    return status;
}

static pudle_status read_labels(const pudle_host *host, const void *self, const pudle_data_request *request, int64_t *labels)
{
    const source *d = self;
    const split *s = split_of(d, request->split);
    if (!s)
        return no_test(host);
    pudle_status status = samples_check(host, request, s->samples);
    for (int64_t i = 0; i < request->count && !status; i++) {
        double label = (double)PUDLE_NO_LABEL;
        if (s->labels)
            status = d->arrays->read_row(host->ctx, s->labels, s->first + request->index[i], PUDLE_F64, &label);
        labels[i] = (int64_t)label;
    }
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
    .name = "npy",
    .version = "1.0.0",
    .summary = "Samples from NumPy files, .npy or .npz",
    .license = "MIT",
    .caps = PUDLE_DATA_EPOCH_FREE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .check = check,
    .create = create,
    .destroy = destroy,
    .ops = &ops,
    .get_ext = get_ext,
};
PUDLE_PLUGIN(&desc);
