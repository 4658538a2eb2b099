/* What tests of data sources share: a source opened with some settings, and samples read from it. */
#ifndef TEST_DATA_SOURCE_H
#define TEST_DATA_SOURCE_H

#include "fake_host.h"

typedef struct opened {
    const pudle_desc *desc;
    const pudle_data_ops *ops;
    void *params, *self;
} opened;

static inline pudle_status open_source(const char *name, const char *const *settings, opened *s)
{
    *s = (opened){ .desc = fake_load("data", name) };
    s->ops = s->desc->ops;
    s->params = fake_params(s->desc, settings);
    fake.error[0] = '\0';
    const pudle_status status = fake_create(s->desc, s->params, &s->self);
    assert_int_equal(status == PUDLE_OK, s->self != NULL);
    if (status)
        assert_true(fake.error[0] != '\0');
    return status;
}

static inline void close_source(opened *s)
{
    s->desc->destroy(&fake_host, s->self);
    s->desc->destroy(&fake_host, NULL);
    free(s->params);
    assert_int_equal(fake.live, 0);
}

static inline pudle_data_info describe(const opened *s, int32_t split)
{
    pudle_data_info info = { .size = sizeof info };
    assert_int_equal(s->ops->describe(&fake_host, s->self, split, &info), PUDLE_OK);
    assert_int_equal(info.size, sizeof info);
    return info;
}

static inline pudle_status read_to(const opened *s, int32_t split, int64_t count, const int64_t *index, const pudle_view *x,
                            const pudle_view *y)
{
    const pudle_data_request request = {
        .size = sizeof request, .split = split, .index = index, .count = count, .x = x, .y = y,
        .seed = pudle_random_u32(fake_random()), .epoch = pudle_random_u32(fake_random()), /* neither may matter */
    };
    return s->ops->read(&fake_host, s->self, &request);
}

/* Samples of flat sources: (count, m). */
static inline pudle_view read_flat(const opened *s, int32_t split, int32_t dtype, int64_t count, const int64_t *index)
{
    const pudle_data_info info = describe(s, split);
    pudle_view x = fake_view(dtype, 2, (const int64_t[]){ count, info.shape[0] });
    assert_int_equal(info.rank, 1);
    assert_false(info.has_target);
    assert_int_equal(read_to(s, split, count, index, &x, NULL), PUDLE_OK);
    return x;
}

static inline int64_t *range(int64_t first, int64_t count)
{
    int64_t *index = calloc((size_t)count, sizeof *index);
    assert_non_null(index);
    for (int64_t i = 0; i < count; i++)
        index[i] = first + i;
    return index;
}

static inline pudle_view read_range(const opened *s, int32_t split, int64_t first, int64_t count)
{
    int64_t *index = range(first, count);
    pudle_view x = read_flat(s, split, PUDLE_F64, count, index);
    free(index);
    return x;
}

static inline pudle_status labels_of(const opened *s, int32_t split, int64_t count, const int64_t *index, int64_t *labels)
{
    assert_null(s->desc->get_ext("no such thing"));
    const pudle_data_labels *ext = s->desc->get_ext(PUDLE_DATA_LABELS);
    const pudle_data_request request = { .size = sizeof request, .split = split, .index = index, .count = count };
    assert_non_null(ext);
    assert_int_equal(ext->size, sizeof *ext);
    return ext->labels(&fake_host, s->self, &request, labels);
}

static inline void expect_error(const char *name, const char *const *settings, pudle_status status, const char *part)
{
    opened s;
    assert_int_equal(open_source(name, settings, &s), status);
    if (!strstr(fake.error, part))
        fail_msg("'%s' is not in: %s", part, fake.error);
    free(s.params);
    assert_int_equal(fake.live, 0);
}

static inline void near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%g is not %g to %g", value, expected, tolerance);
}

/* Which epoch it is does not matter to these sources. */
static inline void expect_epoch_free(const char *name, bool has_path)
{
    assert_int_equal(fake_load("data", name)->caps, PUDLE_DATA_EPOCH_FREE);
    if (has_path)
        assert_int_equal(fake_option(fake_load("data", name), "path")->flags, PUDLE_REQUIRED);
}

#endif
