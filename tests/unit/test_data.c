/* The data sources: statistics, purity and truth of the synthetic one; IDX files, good, damaged and cut; NumPy files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "fake_host.h"

/* -------------------------------------------------------------- any source */

typedef struct opened {
    const pudle_desc *desc;
    const pudle_data_ops *ops;
    void *params, *self;
} opened;

static pudle_status open_source(const char *name, const char *const *settings, opened *s)
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

static void close_source(opened *s)
{
    s->desc->destroy(&fake_host, s->self);
    s->desc->destroy(&fake_host, NULL);
    free(s->params);
    assert_int_equal(fake.live, 0);
}

static pudle_data_info describe(const opened *s, int32_t split)
{
    pudle_data_info info = { .size = sizeof info };
    assert_int_equal(s->ops->describe(&fake_host, s->self, split, &info), PUDLE_OK);
    assert_int_equal(info.size, sizeof info);
    return info;
}

static pudle_status read_to(const opened *s, int32_t split, int64_t count, const int64_t *index, const pudle_view *x,
                            const pudle_view *y)
{
    const pudle_data_request request = {
        .size = sizeof request, .split = split, .index = index, .count = count, .x = x, .y = y,
        .seed = pudle_random_u32(fake_random()), .epoch = pudle_random_u32(fake_random()), /* neither may matter */
    };
    return s->ops->read(&fake_host, s->self, &request);
}

/* Samples of flat sources: (count, m). */
static pudle_view read_flat(const opened *s, int32_t split, int32_t dtype, int64_t count, const int64_t *index)
{
    const pudle_data_info info = describe(s, split);
    pudle_view x = fake_view(dtype, 2, (const int64_t[]){ count, info.shape[0] });
    assert_int_equal(info.rank, 1);
    assert_false(info.has_target);
    assert_int_equal(read_to(s, split, count, index, &x, NULL), PUDLE_OK);
    return x;
}

static int64_t *range(int64_t first, int64_t count)
{
    int64_t *index = calloc((size_t)count, sizeof *index);
    assert_non_null(index);
    for (int64_t i = 0; i < count; i++)
        index[i] = first + i;
    return index;
}

static pudle_view read_range(const opened *s, int32_t split, int64_t first, int64_t count)
{
    int64_t *index = range(first, count);
    pudle_view x = read_flat(s, split, PUDLE_F64, count, index);
    free(index);
    return x;
}

static void expect_error(const char *name, const char *const *settings, pudle_status status, const char *part)
{
    opened s;
    assert_int_equal(open_source(name, settings, &s), status);
    if (!strstr(fake.error, part))
        fail_msg("'%s' is not in: %s", part, fake.error);
    free(s.params);
    assert_int_equal(fake.live, 0);
}

/* --------------------------------------------------------------- synthetic */

typedef struct drawn {
    int64_t n, m, p;
    pudle_view x, d, z; /* (n, m), (m, p), (n, p) */
} drawn;

static const pudle_data_truth *truth_of(const opened *s)
{
    assert_null(s->desc->get_ext("no such thing"));
    const pudle_data_truth *truth = s->desc->get_ext(PUDLE_DATA_TRUTH);
    assert_non_null(truth);
    return truth;
}

static drawn draw(const opened *s, int32_t split, int64_t n)
{
    const pudle_data_truth *truth = truth_of(s);
    drawn d = { .n = n, .m = describe(s, split).shape[0], .p = truth->atoms(s->self) };
    int64_t *index = range(0, n);
    d.x = read_flat(s, split, PUDLE_F64, n, index);
    d.d = fake_view(PUDLE_F64, 2, (const int64_t[]){ d.m, d.p });
    d.z = fake_view(PUDLE_F64, 2, (const int64_t[]){ n, d.p });
    assert_int_equal(truth->dictionary(s->self, &d.d), PUDLE_OK);
    const pudle_data_request request = { .size = sizeof request, .split = split, .index = index, .count = n, .x = &d.z };
    assert_int_equal(truth->codes(&fake_host, s->self, &request), PUDLE_OK);
    free(index);
    return d;
}

static void drawn_free(drawn *d)
{
    free(d->x.data);
    free(d->d.data);
    free(d->z.data);
}

/* D z of sample i, entry j. */
static double clean(const drawn *d, int64_t i, int64_t j)
{
    double sum = 0;
    for (int64_t k = 0; k < d->p; k++)
        if (get(&d->z, i * d->p + k) != 0)
            sum += get(&d->d, j * d->p + k) * get(&d->z, i * d->p + k);
    return sum;
}

static void near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%g is not %g to %g", value, expected, tolerance);
}

static void test_synthetic_statistics(void **state)
{
    (void)state;
    opened s;
    assert_int_equal(open_source("synthetic", NULL, &s), PUDLE_OK);
    assert_int_equal(describe(&s, PUDLE_SPLIT_TRAIN).samples, 10000);
    drawn d = draw(&s, PUDLE_SPLIT_TRAIN, 10000);
    double used[100] = { 0 }, negative = 0, size = 0, first = 0, second = 0, entries = 0;
    for (int64_t k = 0; k < d.p; k++) {
        double norm = 0;
        for (int64_t j = 0; j < d.m; j++) {
            const double e = get(&d.d, j * d.p + k);
            norm += e * e;
            entries += e;
        }
        near(norm, 1, 1e-12);
    }
    near(entries / sqrt((double)d.p), 0, 6); /* the sum of 5000 entries of variance 1/50 */
    for (int64_t i = 0; i < d.n; i++) {
        int64_t nonzero = 0, minus = 0;
        for (int64_t k = 0; k < d.p; k++) {
            const double z = get(&d.z, i * d.p + k), a = fabs(z);
            if (z == 0)
                continue;
            assert_true(a >= 1 && a < 2);
            nonzero++;
            minus += z < 0;
            used[k]++;
            first += a;
            second += a * a;
        }
        assert_int_equal(nonzero, 5);
        assert_true(minus == 0 || minus == 5); /* one sign a sample */
        negative += minus == 5;
        size += (double)nonzero;
    }
    near(negative, 5000, 6 * 50);
    near(first / size, 1.5, 6 * sqrt(1.0 / 12 / size));
    near(second / size, 7.0 / 3, 0.03);
    for (int64_t k = 0; k < d.p; k++)
        near(used[k], 500, 6 * sqrt(500 * 0.95));
    for (int64_t i = 0; i < 200; i++)
        for (int64_t j = 0; j < d.m; j++)
            near(get(&d.x, i * d.m + j), clean(&d, i, j), 1e-13);
    drawn_free(&d);
    close_source(&s);
}

static void test_synthetic_choices(void **state)
{
    (void)state;
    static const char *const signs[] = { "per_entry", "positive" };
    for (int c = 0; c < 2; c++) {
        opened s;
        const char *const *settings = SETTINGS("amplitude", "gaussian", "mean", "4", "std", "0.5", "sign", signs[c],
                                               "samples", "3000");
        assert_int_equal(open_source("synthetic", settings, &s), PUDLE_OK);
        drawn d = draw(&s, PUDLE_SPLIT_TRAIN, 3000);
        double n = 0, minus = 0, first = 0, second = 0, mixed = 0;
        for (int64_t i = 0; i < d.n; i++) {
            int64_t m = 0;
            for (int64_t k = 0; k < d.p; k++) {
                const double z = get(&d.z, i * d.p + k);
                if (z == 0)
                    continue;
                n++;
                m += z < 0;
                first += fabs(z);
                second += (fabs(z) - 4) * (fabs(z) - 4);
            }
            minus += (double)m;
            mixed += m > 0 && m < 5;
        }
        near(first / n, 4, 6 * 0.5 / sqrt(n));
        near(sqrt(second / n), 0.5, 6 * 0.5 / sqrt(2 * n));
        near(minus / n, c ? 0 : 0.5, 6 * 0.5 / sqrt(n));
        near(mixed / 3000, c ? 0 : 30.0 / 32, 0.03);
        drawn_free(&d);
        close_source(&s);
    }
}

/* A sample depends on (seed, split, index) alone. */
static void test_synthetic_purity(void **state)
{
    (void)state;
    static const char *const variants[][3] = {
        { "noise_std", "0.1", "0" }, { "snr_db", "20", "0" }, { "snr_db", "20", "7" },
    };
    for (int c = 0; c < 3; c++) {
        opened a, b, other;
        const char *const *settings = SETTINGS(variants[c][0], variants[c][1], "blocks", variants[c][2], "samples", "500",
                                               "test_samples", "500", "seed", "9");
        assert_int_equal(open_source("synthetic", settings, &a), PUDLE_OK);
        assert_int_equal(open_source("synthetic", settings, &b), PUDLE_OK);
        assert_int_equal(open_source("synthetic", SETTINGS("samples", "500", "seed", "10"), &other), PUDLE_OK);
        pudle_view all = read_range(&a, PUDLE_SPLIT_TRAIN, 0, 500), test = read_range(&a, PUDLE_SPLIT_TEST, 0, 500);
        pudle_view seed10 = read_range(&other, PUDLE_SPLIT_TRAIN, 0, 500);
        for (int round = 0; round < 20; round++) {
            int64_t index[40];
            for (int i = 0; i < 40; i++)
                index[i] = (int64_t)pudle_random_below(fake_random(), 500); /* any order, with repeats */
            pudle_view some = read_flat(round & 1 ? &a : &b, PUDLE_SPLIT_TRAIN, PUDLE_F64, 40, index);
            pudle_view rounded = read_flat(&b, PUDLE_SPLIT_TRAIN, PUDLE_F32, 40, index);
            for (int i = 0; i < 40; i++)
                for (int j = 0; j < 50; j++) {
                    assert_true(get(&some, i * 50 + j) == get(&all, index[i] * 50 + j));
                    assert_true((float)get(&rounded, i * 50 + j) == (float)get(&some, i * 50 + j));
                    assert_true(get(&some, i * 50 + j) != get(&test, index[i] * 50 + j));
                    assert_true(get(&some, i * 50 + j) != get(&seed10, index[i] * 50 + j));
                }
            free(some.data);
            free(rounded.data);
        }
        free(all.data);
        free(test.data);
        free(seed10.data);
        other.desc->destroy(&fake_host, other.self);
        free(other.params);
        b.desc->destroy(&fake_host, b.self);
        free(b.params);
        close_source(&a);
    }
}

static void test_synthetic_orthogonal(void **state)
{
    (void)state;
    opened s;
    const char *const *settings = SETTINGS("orthogonal", "true", "features", "60", "atoms", "60");
    assert_int_equal(open_source("synthetic", settings, &s), PUDLE_OK);
    drawn d = draw(&s, PUDLE_SPLIT_TRAIN, 50);
    for (int64_t a = 0; a < 60; a++)
        for (int64_t b = 0; b < 60; b++) {
            double columns = 0, rows = 0;
            for (int64_t j = 0; j < 60; j++) {
                columns += get(&d.d, j * 60 + a) * get(&d.d, j * 60 + b);
                rows += get(&d.d, a * 60 + j) * get(&d.d, b * 60 + j);
            }
            near(columns, a == b, 1e-14 * 60);
            near(rows, a == b, 1e-13 * 60);
        }
    for (int64_t i = 0; i < d.n; i++) /* D'x is the code */
        for (int64_t k = 0; k < 60; k++) {
            double sum = 0;
            for (int64_t j = 0; j < 60; j++)
                sum += get(&d.d, j * 60 + k) * get(&d.x, i * 60 + j);
            near(sum, get(&d.z, i * 60 + k), 1e-12);
        }
    drawn_free(&d);
    close_source(&s);
}

static void test_synthetic_blocks(void **state)
{
    (void)state;
    opened s;
    assert_int_equal(open_source("synthetic", SETTINGS("blocks", "20", "samples", "2000"), &s), PUDLE_OK);
    drawn d = draw(&s, PUDLE_SPLIT_TRAIN, 2000);
    int seen[20] = { 0 };
    for (int64_t i = 0; i < d.n; i++) {
        int64_t block = -1;
        for (int64_t k = 0; k < d.p; k++)
            if (get(&d.z, i * d.p + k) != 0) {
                assert_true(block < 0 || block == k / 5);
                block = k / 5;
            } else {
                assert_true(block != k / 5);
            }
        seen[block]++;
    }
    for (int b = 0; b < 20; b++)
        near(seen[b], 100, 6 * 10);
    drawn_free(&d);
    close_source(&s);
    expect_error("synthetic", SETTINGS("blocks", "21"), PUDLE_ERR_CONFIG, "blocks = 21");
}

/* The same numbers, whatever their shape. */
static void test_synthetic_shape(void **state)
{
    (void)state;
    opened s;
    int64_t *index = range(0, 7);
    assert_int_equal(open_source("synthetic", SETTINGS("features", "60"), &s), PUDLE_OK);
    pudle_view flat = read_flat(&s, PUDLE_SPLIT_TRAIN, PUDLE_F64, 7, index);
    close_source(&s);
    assert_int_equal(open_source("synthetic", SETTINGS("features", "60", "shape", "[3, 4, 5]"), &s), PUDLE_OK);
    const pudle_data_info info = describe(&s, PUDLE_SPLIT_TRAIN);
    assert_int_equal(info.rank, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(info.shape[i], 3 + i);
        assert_int_equal(info.target_shape[i], 3 + i);
    }
    pudle_view shaped = fake_view(PUDLE_F64, 4, (const int64_t[]){ 7, 3, 4, 5 });
    assert_int_equal(read_to(&s, PUDLE_SPLIT_TRAIN, 7, index, &shaped, NULL), PUDLE_OK);
    assert_memory_equal(shaped.data, flat.data, 7 * 60 * sizeof(double));
    close_source(&s);
    free(index);
    free(flat.data);
    free(shaped.data);
    expect_error("synthetic", SETTINGS("features", "61", "shape", "[3, 4, 5]"), PUDLE_ERR_CONFIG, "shape has 60 entries, features = 61");
}

static void test_synthetic_noise(void **state)
{
    (void)state;
    opened s;
    assert_int_equal(open_source("synthetic", SETTINGS("noise_std", "0.12", "samples", "2000"), &s), PUDLE_OK);
    drawn d = draw(&s, PUDLE_SPLIT_TRAIN, 2000);
    const double n = (double)(d.n * d.m);
    double first = 0, second = 0, along = 0, power = 0;
    for (int64_t i = 0; i < d.n; i++)
        for (int64_t j = 0; j < d.m; j++) {
            const double c = clean(&d, i, j), e = get(&d.x, i * d.m + j) - c;
            first += e;
            second += e * e;
            along += e * c;
            power += c * c;
        }
    near(first / n, 0, 6 * 0.12 / sqrt(n));
    near(sqrt(second / n), 0.12, 6 * 0.12 / sqrt(2 * n));
    near(along / sqrt(power), 0, 6 * 0.12); /* uncorrelated with the signal */
    drawn_free(&d);
    close_source(&s);

    assert_int_equal(open_source("synthetic", SETTINGS("snr_db", "13", "features", "400", "samples", "300"), &s), PUDLE_OK);
    d = draw(&s, PUDLE_SPLIT_TRAIN, 300);
    double mean = 0;
    for (int64_t i = 0; i < d.n; i++) {
        double signal = 0, noise = 0;
        for (int64_t j = 0; j < d.m; j++) {
            const double c = clean(&d, i, j), e = get(&d.x, i * d.m + j) - c;
            signal += c * c;
            noise += e * e;
        }
        const double ratio = noise / signal * pow(10, 1.3); /* 1 on average, for every sample */
        near(ratio, 1, 6 * sqrt(2.0 / 400));
        mean += ratio / (double)d.n;
    }
    near(mean, 1, 6 * sqrt(2.0 / 400 / 300));
    drawn_free(&d);
    close_source(&s);
}

/* Counts and events: mean and variance belong to the natural parameter D z + offset, entry by entry and over all. */
static void test_synthetic_families(void **state)
{
    (void)state;
    static const char *const families[] = { "poisson", "bernoulli", "binomial" };
    for (int c = 0; c < 3; c++) {
        opened s;
        const double trials = c == 2 ? 7 : 1, offset = c ? -0.5 : 1.5;
        const char *const *settings = SETTINGS("family", families[c], "offset", c ? "-0.5" : "1.5", "trials", c == 2 ? "7" : "1", "sign", "per_entry",
                                               "samples", "4000", "test_samples", "3");
        assert_int_equal(open_source("synthetic", settings, &s), PUDLE_OK);
        drawn d = draw(&s, PUDLE_SPLIT_TRAIN, 4000);
        double difference = 0, spread = 0, along = 0, chi2 = 0;
        for (int64_t i = 0; i < d.n; i++)
            for (int64_t j = 0; j < d.m; j++) {
                const double x = get(&d.x, i * d.m + j), eta = clean(&d, i, j) + offset, p = 1 / (1 + exp(-eta));
                const double mean = c ? trials * p : exp(eta), variance = c ? mean * (1 - p) : mean;
                assert_true(x >= 0 && x == floor(x) && (!c || x <= trials));
                difference += x - mean;
                spread += variance;
                along += (x - mean) * (eta - offset);
                chi2 += (x - mean) * (x - mean) / variance;
            }
        const double n = (double)(d.n * d.m);
        near(difference, 0, 6 * sqrt(spread));
        near(along, 0, 6 * sqrt(spread * 2)); /* the counts follow their own mean */
        near(chi2 / n, 1, 0.05);
        pudle_view again = read_range(&s, PUDLE_SPLIT_TRAIN, 17, 1); /* and a sample is the same whoever asks with it */
        for (int64_t j = 0; j < d.m; j++)
            assert_true(get(&again, j) == get(&d.x, 17 * d.m + j));
        free(again.data);
        drawn_free(&d);
        close_source(&s);
    }
}

static void test_synthetic_errors(void **state)
{
    (void)state;
    expect_error("synthetic", SETTINGS("family", "poisson", "noise_std", "0.1"), PUDLE_ERR_CONFIG, "remove noise_std");
    expect_error("synthetic", SETTINGS("family", "bernoulli", "snr_db", "3"), PUDLE_ERR_CONFIG, "remove snr_db");
    expect_error("synthetic", SETTINGS("offset", "1"), PUDLE_ERR_CONFIG, "another family");
    expect_error("synthetic", SETTINGS("family", "poisson", "trials", "2"), PUDLE_ERR_CONFIG, "binomial");
    opened wild;
    assert_int_equal(open_source("synthetic", SETTINGS("family", "poisson", "offset", "30"), &wild), PUDLE_OK);
    pudle_view none = fake_view(PUDLE_F64, 2, (const int64_t[]){ 1, 50 });
    assert_int_equal(read_to(&wild, PUDLE_SPLIT_TRAIN, 1, (const int64_t[]){ 5 }, &none, NULL), PUDLE_ERR_CONFIG);
    assert_non_null(strstr(fake.error, "sample 5"));
    free(none.data);
    close_source(&wild);
    expect_error("synthetic", SETTINGS("noise_std", "0.1", "snr_db", "0"), PUDLE_ERR_CONFIG, "contradict");
    expect_error("synthetic", SETTINGS("snr_db", "[1, 2]"), PUDLE_ERR_CONFIG, "one number");
    expect_error("synthetic", SETTINGS("sparsity", "101"), PUDLE_ERR_CONFIG, "atoms = 100");
    expect_error("synthetic", SETTINGS("orthogonal", "true"), PUDLE_ERR_CONFIG, "atoms = features");
    expect_error("synthetic", SETTINGS("amplitude_low", "3"), PUDLE_ERR_CONFIG, "amplitude_high");
    for (fake.until_empty = 0; fake.until_empty < 2;) {
        const long given = fake.until_empty;
        expect_error("synthetic", NULL, PUDLE_ERR_NOMEM, "memory");
        fake.until_empty = given + 1;
    }
    fake.until_empty = -1;

    opened s;
    assert_int_equal(open_source("synthetic", SETTINGS("samples", "7"), &s), PUDLE_OK);
    pudle_data_info info = { .size = sizeof info };
    assert_int_equal(s.ops->describe(&fake_host, s.self, PUDLE_SPLIT_TEST, &info), PUDLE_ERR_NOTFOUND);
    assert_int_equal(s.ops->describe(&fake_host, s.self, 5, &info), PUDLE_ERR_NOTFOUND);
    assert_int_equal(info.samples, 0);
    pudle_view x = fake_view(PUDLE_F64, 2, (const int64_t[]){ 2, 50 });
    assert_int_equal(read_to(&s, PUDLE_SPLIT_TRAIN, 2, (const int64_t[]){ 6, 7 }, &x, NULL), PUDLE_ERR_ARG);
    assert_non_null(strstr(fake.error, "no sample 7"));
    assert_int_equal(read_to(&s, PUDLE_SPLIT_TRAIN, 1, (const int64_t[]){ -1 }, &x, NULL), PUDLE_ERR_ARG);
    assert_int_equal(read_to(&s, PUDLE_SPLIT_TEST, 1, (const int64_t[]){ 0 }, &x, NULL), PUDLE_ERR_ARG);
    assert_int_equal(read_to(&s, PUDLE_SPLIT_TRAIN, 0, NULL, &x, NULL), PUDLE_OK);
    fake.until_empty = 0;
    assert_int_equal(read_to(&s, PUDLE_SPLIT_TRAIN, 1, (const int64_t[]){ 0 }, &x, NULL), PUDLE_ERR_NOMEM);
    fake.until_empty = -1;
    free(x.data);
    close_source(&s);
}

/* --------------------------------------------------------------------- IDX */

enum { IMAGES = 12, PIXELS = 784 };
static char folder[256];

static uint8_t image_bytes[16 + IMAGES * PIXELS] = { 0, 0, 8, 3, 0, 0, 0, IMAGES, 0, 0, 0, 28, 0, 0, 0, 28 };
static uint8_t label_bytes[8 + IMAGES] = { 0, 0, 8, 1, 0, 0, 0, IMAGES };

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/pudle-data-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    for (int i = 0; i < IMAGES * PIXELS; i++)
        image_bytes[16 + i] = (uint8_t)(i * 7 + i / PIXELS);
    for (int i = 0; i < IMAGES; i++)
        label_bytes[8 + i] = (uint8_t)(i % 10);
    return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void put(const char *name, const uint8_t *bytes, size_t size, bool gz)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (gz) {
        gzFile f = gzopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(gzwrite(f, bytes, (unsigned)size), size);
        gzclose(f);
    } else {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(bytes, 1, size, f), size);
        fclose(f);
    }
}

static void drop(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

static const char *const train_names[] = { "train-images-idx3-ubyte", "train-labels-idx1-ubyte" };

static void put_pair(bool gz)
{
    put(train_names[0], image_bytes, sizeof image_bytes, gz);
    put(train_names[1], label_bytes, sizeof label_bytes, gz);
}

static void drop_pair(void)
{
    drop(train_names[0]);
    drop(train_names[1]);
}

static void check_images(const opened *s, int32_t split, int64_t count, const int *which)
{
    assert_int_equal(describe(s, split).samples, count);
    assert_int_equal(describe(s, split).shape[0], PIXELS);
    int64_t index[IMAGES];
    for (int64_t i = 0; i < count; i++)
        index[i] = count - 1 - i;
    for (int32_t dtype = PUDLE_F32; dtype <= PUDLE_F64; dtype++) {
        pudle_view x = read_flat(s, split, dtype, count, index);
        for (int64_t i = 0; i < count; i++)
            for (int j = 0; j < PIXELS; j++) {
                const double e = image_bytes[16 + which[index[i]] * PIXELS + j] / 255.0;
                assert_true(get(&x, i * PIXELS + j) == (dtype == PUDLE_F64 ? e : (double)(float)e));
            }
        free(x.data);
    }
}

static void test_idx_good(void **state)
{
    (void)state;
    static const int all[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 }, ones[] = { 1, 3, 11 };
    opened s;
    pudle_data_info info = { .size = sizeof info };
    for (int gz = 0; gz < 2; gz++) { /* a gzipped file without .gz in its name: told by its bytes */
        put_pair(gz);
        assert_int_equal(open_source("mnist", SETTINGS("path", folder), &s), PUDLE_OK);
        check_images(&s, PUDLE_SPLIT_TRAIN, IMAGES, all);
        assert_int_equal(s.ops->describe(&fake_host, s.self, PUDLE_SPLIT_TEST, &info), PUDLE_ERR_NOTFOUND);
        assert_non_null(strstr(fake.error, "t10k-images-idx3-ubyte"));
        pudle_view x = fake_view(PUDLE_F64, 2, (const int64_t[]){ 1, PIXELS });
        assert_int_equal(read_to(&s, PUDLE_SPLIT_TRAIN, 1, (const int64_t[]){ IMAGES }, &x, NULL), PUDLE_ERR_ARG);
        assert_int_equal(read_to(&s, PUDLE_SPLIT_TEST, 1, (const int64_t[]){ 0 }, &x, NULL), PUDLE_ERR_ARG);
        free(x.data);
        close_source(&s);
        assert_int_equal(open_source("mnist", SETTINGS("path", folder, "classes", "[3, 1]"), &s), PUDLE_OK);
        check_images(&s, PUDLE_SPLIT_TRAIN, 3, ones);
        close_source(&s);
        assert_int_equal(open_source("mnist", SETTINGS("path", folder, "classes", "[1, 3]", "limit", "2"), &s), PUDLE_OK);
        check_images(&s, PUDLE_SPLIT_TRAIN, 2, ones);
        close_source(&s);
        drop_pair();
    }
    for (int dotted = 0; dotted < 2; dotted++) { /* the test split alone */
        const char *images = dotted ? "t10k-images.idx3-ubyte" : "t10k-images-idx3-ubyte.gz";
        const char *labels = dotted ? "t10k-labels.idx1-ubyte.gz" : "t10k-labels-idx1-ubyte";
        put(images, image_bytes, sizeof image_bytes, !dotted);
        put(labels, label_bytes, sizeof label_bytes, dotted);
        assert_int_equal(open_source("mnist", SETTINGS("path", folder), &s), PUDLE_OK);
        check_images(&s, PUDLE_SPLIT_TEST, IMAGES, all);
        assert_int_equal(s.ops->describe(&fake_host, s.self, PUDLE_SPLIT_TRAIN, &info), PUDLE_ERR_NOTFOUND);
        close_source(&s);
        drop(images);
        drop(labels);
    }
    expect_error("mnist", SETTINGS("path", folder), PUDLE_ERR_NOTFOUND, folder);
    put(train_names[0], image_bytes, sizeof image_bytes, false); /* images without labels */
    expect_error("mnist", SETTINGS("path", folder), PUDLE_ERR_NOTFOUND, "train-labels-idx1-ubyte");
    drop_pair();
}

/* One byte changed in a good pair. */
static void expect_damage(uint8_t *bytes, size_t size, const char *name, size_t at, uint8_t value, const char *part)
{
    const uint8_t was = bytes[at];
    put_pair(false);
    bytes[at] = value;
    for (int gz = 0; gz < 2; gz++) {
        put(name, bytes, size, gz);
        expect_error("mnist", SETTINGS("path", folder), PUDLE_ERR_IO, part);
        assert_non_null(strstr(fake.error, name));
    }
    bytes[at] = was;
    drop_pair();
}

static void test_idx_damaged(void **state)
{
    (void)state;
    expect_damage(image_bytes, sizeof image_bytes, train_names[0], 2, 0x0d, "magic");
    expect_damage(image_bytes, sizeof image_bytes, train_names[0], 3, 1, "0x00000803");
    expect_damage(image_bytes, sizeof image_bytes, train_names[0], 11, 27, "byte 8");
    expect_damage(image_bytes, sizeof image_bytes, train_names[0], 12, 1, "byte 12");
    expect_damage(image_bytes, sizeof image_bytes, train_names[0], 4, 0xff, "too short"); /* 4 thousand million images */
    expect_damage(image_bytes, sizeof image_bytes, train_names[0], 7, IMAGES - 1, "does not end");
    expect_damage(image_bytes, sizeof image_bytes, train_names[0], 7, 0, "0 samples");
    expect_damage(label_bytes, sizeof label_bytes, train_names[1], 8 + 5, 10, "byte 13: label 10");
    expect_damage(label_bytes, sizeof label_bytes, train_names[1], 0, 1, "magic");
    put_pair(false);
    label_bytes[7] = IMAGES - 2;
    put(train_names[1], label_bytes, sizeof label_bytes - 2, true);
    label_bytes[7] = IMAGES;
    expect_error("mnist", SETTINGS("path", folder), PUDLE_ERR_IO, "10 labels");
    drop_pair();
    put(train_names[0], image_bytes, sizeof image_bytes, true);
    label_bytes[8 + 9] = 8;
    put(train_names[1], label_bytes, sizeof label_bytes, true);
    label_bytes[8 + 9] = 9;
    expect_error("mnist", SETTINGS("path", folder, "classes", "[9]"), PUDLE_ERR_CONFIG, "classes");
    drop_pair();
    put_pair(true);
    for (long given = 0; given < 3; given++) {
        fake.until_empty = given;
        expect_error("mnist", SETTINGS("path", folder), PUDLE_ERR_NOMEM, "memory");
    }
    fake.until_empty = -1;
    drop_pair();
}

static size_t packed(const char *name, uint8_t *to, size_t room)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    const size_t size = fread(to, 1, room, f);
    fclose(f);
    assert_true(size < room);
    return size;
}

/* A file cut anywhere is refused; one with any byte changed is refused or read, and nothing else happens. */
static void test_idx_fuzz(void **state)
{
    (void)state;
    static uint8_t whole[2][20000], broken[20000];
    opened s;
    for (int gz = 0; gz < 2; gz++) {
        put_pair(gz);
        size_t size[2];
        for (int f = 0; f < 2; f++)
            size[f] = packed(train_names[f], whole[f], sizeof whole[f]);
        for (int f = 0; f < 2; f++) {
            const size_t step = size[f] > 400 ? size[f] / 300 : 1;
            for (size_t cut = 0; cut < size[f]; cut += cut < 40 || cut + 40 > size[f] ? 1 : step) {
                put(train_names[f], whole[f], cut, false);
                expect_error("mnist", SETTINGS("path", folder), PUDLE_ERR_IO, train_names[f]);
            }
            int refused = 0;
            for (int round = 0; round < 400; round++) {
                memcpy(broken, whole[f], size[f]);
                for (uint64_t flips = 1 + pudle_random_below(fake_random(), 3); flips; flips--)
                    broken[pudle_random_below(fake_random(), round % 2 ? 16 : size[f])] ^=
                        (uint8_t)(1 + pudle_random_below(fake_random(), 255));
                put(train_names[f], broken, size[f], false);
                if (open_source("mnist", SETTINGS("path", folder), &s)) {
                    refused++;
                    free(s.params);
                    assert_int_equal(fake.live, 0);
                } else {
                    close_source(&s);
                }
            }
            printf("# %s, %s: %d of 400 damaged files refused\n", train_names[f], gz ? "gzipped" : "raw", refused);
            put(train_names[f], whole[f], size[f], false);
        }
        drop_pair();
    }
}

static void test_mnist_real(void **state)
{
    (void)state;
    char path[4096];
    const char *top = getenv("top_srcdir");
    snprintf(path, sizeof path, "%s/../shared/data/mnist", top ? top : ".");
    if (access(path, R_OK)) {
        printf("# skipped: %s is not there\n", path);
        skip();
    }
    opened s;
    assert_int_equal(open_source("mnist", SETTINGS("path", path), &s), PUDLE_OK);
    assert_int_equal(describe(&s, PUDLE_SPLIT_TRAIN).samples, 60000);
    assert_int_equal(describe(&s, PUDLE_SPLIT_TEST).samples, 10000);
    double sum = 0;
    for (int64_t part = 0; part < 60; part++) {
        pudle_view x = read_range(&s, PUDLE_SPLIT_TRAIN, part * 1000, 1000);
        for (int64_t i = 0; i < 1000 * PIXELS; i++)
            sum += get(&x, i);
        free(x.data);
    }
    near(sum / 60000 / PIXELS, 0.1306604762738429, 1e-9); /* the mean of the training images, 0.1307 */
    close_source(&s);
    assert_int_equal(open_source("mnist", SETTINGS("path", path, "classes", "[0, 1, 2, 3, 4]"), &s), PUDLE_OK);
    assert_int_equal(describe(&s, PUDLE_SPLIT_TRAIN).samples, 30596);
    assert_int_equal(describe(&s, PUDLE_SPLIT_TEST).samples, 5139);
    close_source(&s);
}

/* --------------------------------------------------------------------- npy */

static double values[2][60];

static void add_array(const char *path, int32_t rank, const int64_t *shape, const double *data)
{
    fake_array *a = &fake.array[fake.arrays++];
    *a = (fake_array){ .path = path, .rank = rank, .values = data };
    for (int32_t i = 0; i < rank; i++)
        a->shape[i] = shape[i];
}

static void test_npy_good(void **state)
{
    (void)state;
    fake.arrays = 0;
    for (int i = 0; i < 60; i++) {
        values[0][i] = i / 3.0;
        values[1][i] = -i;
    }
    add_array("x", 4, (const int64_t[]){ 5, 1, 3, 4 }, values[0]);
    add_array("y", 4, (const int64_t[]){ 5, 1, 3, 4 }, values[1]);
    add_array("test", 4, (const int64_t[]){ 2, 1, 3, 4 }, values[1]);
    opened s;
    for (int32_t dtype = PUDLE_F32; dtype <= PUDLE_F64; dtype++) {
        assert_int_equal(open_source("npy", SETTINGS("path", "x", "target", "y"), &s), PUDLE_OK);
        pudle_data_info info = describe(&s, PUDLE_SPLIT_TRAIN);
        assert_int_equal(info.rank, 3);
        assert_int_equal(info.samples, 5);
        assert_true(info.has_target);
        assert_true(info.shape[0] == 1 && info.shape[1] == 3 && info.shape[2] == 4 && info.target_shape[2] == 4);
        pudle_view x = fake_view(dtype, 4, (const int64_t[]){ 3, 1, 3, 4 }), y = fake_copy(&x);
        const int64_t index[] = { 4, 0, 2 };
        assert_int_equal(read_to(&s, PUDLE_SPLIT_TRAIN, 3, index, &x, &y), PUDLE_OK);
        assert_int_equal(read_to(&s, PUDLE_SPLIT_TRAIN, 3, index, &x, NULL), PUDLE_OK);
        for (int i = 0; i < 36; i++) {
            const double e = values[0][index[i / 12] * 12 + i % 12];
            assert_true(get(&x, i) == (dtype == PUDLE_F64 ? e : (double)(float)e));
            assert_true(get(&y, i) == values[1][index[i / 12] * 12 + i % 12]);
        }
        assert_int_equal(read_to(&s, PUDLE_SPLIT_TRAIN, 1, (const int64_t[]){ 5 }, &x, NULL), PUDLE_ERR_ARG);
        assert_int_equal(read_to(&s, PUDLE_SPLIT_TEST, 1, (const int64_t[]){ 0 }, &x, NULL), PUDLE_ERR_ARG);
        assert_int_equal(s.ops->describe(&fake_host, s.self, PUDLE_SPLIT_TEST, &info), PUDLE_ERR_NOTFOUND);
        assert_non_null(strstr(fake.error, "test_path"));
        free(x.data);
        free(y.data);
        close_source(&s);
    }
    assert_int_equal(open_source("npy", SETTINGS("path", "x", "test_path", "test"), &s), PUDLE_OK);
    assert_false(describe(&s, PUDLE_SPLIT_TRAIN).has_target);
    assert_int_equal(describe(&s, PUDLE_SPLIT_TEST).samples, 2);
    close_source(&s);
}

/* Ranges of rows of one file for all four roles, another shape, and gaps. */
static void test_npy_rows(void **state)
{
    (void)state;
    static double gaps[60];
    fake.arrays = 0;
    for (int i = 0; i < 60; i++) {
        values[0][i] = i;
        gaps[i] = i % 7 ? i : NAN;
    }
    add_array("x", 2, (const int64_t[]){ 5, 12 }, values[0]);
    add_array("gaps", 2, (const int64_t[]){ 5, 12 }, gaps);
    opened s;
    assert_int_equal(open_source("npy", SETTINGS("path", "x", "rows", "[0, 2]", "target_rows", "[1, 3]", "test_rows", "[2, 3]", "test_target_rows",
                                                 "[4, 5]", "shape", "[1, 3, 4]"), &s), PUDLE_OK);
    for (int32_t split = PUDLE_SPLIT_TRAIN; split <= PUDLE_SPLIT_TEST; split++) {
        const pudle_data_info info = describe(&s, split);
        assert_true(info.rank == 3 && info.shape[0] == 1 && info.shape[1] == 3 && info.shape[2] == 4 && info.target_shape[2] == 4);
        assert_true(info.samples == (split == PUDLE_SPLIT_TRAIN ? 2 : 1) && info.has_target);
        pudle_view x = fake_view(PUDLE_F64, 4, (const int64_t[]){ 1, 1, 3, 4 }), y = fake_copy(&x);
        const int64_t last = info.samples - 1;
        assert_int_equal(read_to(&s, split, 1, &last, &x, &y), PUDLE_OK);
        for (int i = 0; i < 12; i++)
            assert_true(get(&x, i) == (split == PUDLE_SPLIT_TRAIN ? 12 : 24) + i && get(&y, i) == (split == PUDLE_SPLIT_TRAIN ? 24 : 48) + i);
        assert_int_equal(read_to(&s, split, 1, &info.samples, &x, NULL), PUDLE_ERR_ARG);
        free(x.data);
        free(y.data);
    }
    close_source(&s);
    assert_int_equal(open_source("npy", SETTINGS("path", "gaps", "missing", "true"), &s), PUDLE_OK);
    pudle_view x = read_range(&s, PUDLE_SPLIT_TRAIN, 0, 1);
    assert_true(isnan(get(&x, 0)) && get(&x, 1) == 1 && isnan(get(&x, 7)));
    free(x.data);
    close_source(&s);
    expect_error("npy", SETTINGS("path", "gaps"), PUDLE_ERR_CONFIG, "missing = true");
    expect_error("npy", SETTINGS("path", "x", "rows", "[3]"), PUDLE_ERR_CONFIG, "rows takes two numbers");
    expect_error("npy", SETTINGS("path", "x", "test_rows", "[3, 3]"), PUDLE_ERR_CONFIG, "test_rows takes two numbers");
    expect_error("npy", SETTINGS("path", "x", "rows", "[3, 6]"), PUDLE_ERR_CONFIG, "has 5");
    expect_error("npy", SETTINGS("path", "x", "target_rows", "[0, 2]"), PUDLE_ERR_CONFIG, "axis 0");
    expect_error("npy", SETTINGS("path", "x", "shape", "[3, 3]"), PUDLE_ERR_CONFIG, "12 values");
    expect_error("npy", SETTINGS("path", "x", "test_target_rows", "[0, 2]"), PUDLE_ERR_CONFIG, "without test_path");
    expect_error("npy", SETTINGS("path", "x", "test_rows", "[0, 2]", "target_rows", "[0, 5]"), PUDLE_ERR_CONFIG, "without test_target");
}

static void test_npy_errors(void **state)
{
    (void)state;
    static double bad[60];
    fake.arrays = 0;
    bad[31] = NAN;
    bad[50] = INFINITY;
    add_array("x", 2, (const int64_t[]){ 5, 12 }, values[0]);
    add_array("short", 2, (const int64_t[]){ 4, 12 }, values[0]);
    add_array("narrow", 2, (const int64_t[]){ 5, 11 }, values[0]);
    add_array("deep", 3, (const int64_t[]){ 5, 3, 4 }, values[0]);
    add_array("line", 1, (const int64_t[]){ 60 }, values[0]);
    add_array("empty", 2, (const int64_t[]){ 0, 12 }, values[0]);
    add_array("bad", 2, (const int64_t[]){ 5, 12 }, bad);
    add_array("seven", 7, (const int64_t[]){ 1, 1, 1, 1, 1, 1, 1 }, values[0]);
    expect_error("npy", SETTINGS("path", "nowhere"), PUDLE_ERR_NOTFOUND, "nowhere");
    expect_error("npy", SETTINGS("path", "line"), PUDLE_ERR_CONFIG, "rank 1");
    expect_error("npy", SETTINGS("path", "seven"), PUDLE_ERR_CONFIG, "rank 7");
    expect_error("npy", SETTINGS("path", "empty"), PUDLE_ERR_CONFIG, "empty");
    expect_error("npy", SETTINGS("path", "bad"), PUDLE_ERR_CONFIG, "row 2 holds NaN");
    expect_error("npy", SETTINGS("path", "x", "target", "bad"), PUDLE_ERR_CONFIG, "bad: row 2");
    bad[31] = 0;
    expect_error("npy", SETTINGS("path", "bad"), PUDLE_ERR_CONFIG, "row 4 holds an infinite value");
    expect_error("npy", SETTINGS("path", "x", "target", "short"), PUDLE_ERR_CONFIG, "axis 0");
    expect_error("npy", SETTINGS("path", "x", "target", "narrow"), PUDLE_ERR_CONFIG, "axis 1");
    expect_error("npy", SETTINGS("path", "x", "target", "deep"), PUDLE_ERR_CONFIG, "rank 3");
    expect_error("npy", SETTINGS("path", "x", "test_path", "narrow"), PUDLE_ERR_CONFIG, "axis 1");
    expect_error("npy", SETTINGS("path", "x", "test_target", "x"), PUDLE_ERR_CONFIG, "without test_path");
    expect_error("npy", SETTINGS("path", "x", "target", "x", "test_path", "x"), PUDLE_ERR_CONFIG, "without test_target");
    expect_error("npy", SETTINGS("path", "x", "test_path", "x", "test_target", "x"), PUDLE_ERR_CONFIG, "without target");
    for (long given = 0; given < 3; given++) {
        fake.until_empty = given;
        expect_error("npy", SETTINGS("path", "x", "target", "x"), PUDLE_ERR_NOMEM, "memory");
    }
    fake.until_empty = -1;
    fake.no_arrays = true;
    expect_error("npy", SETTINGS("path", "x"), PUDLE_ERR_UNSUPPORTED, PUDLE_HOST_ARRAYS);
    fake.no_arrays = false;
}

static void test_descriptors(void **state)
{
    (void)state;
    static const char *const names[] = { "npy", "mnist", "synthetic" };
    for (int i = 0; i < 3; i++)
        assert_int_equal(fake_load("data", names[i])->caps, PUDLE_DATA_EPOCH_FREE);
    assert_int_equal(fake_option(fake_load("data", "npy"), "path")->flags, PUDLE_REQUIRED);
    assert_int_equal(fake_option(fake_load("data", "mnist"), "path")->flags, PUDLE_REQUIRED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_synthetic_statistics),
        cmocka_unit_test(test_synthetic_choices),
        cmocka_unit_test(test_synthetic_purity),
        cmocka_unit_test(test_synthetic_orthogonal),
        cmocka_unit_test(test_synthetic_blocks), cmocka_unit_test(test_synthetic_shape),
        cmocka_unit_test(test_synthetic_noise),
        cmocka_unit_test(test_synthetic_families), cmocka_unit_test(test_synthetic_errors),
        cmocka_unit_test(test_idx_good),
        cmocka_unit_test(test_idx_damaged),
        cmocka_unit_test(test_idx_fuzz),
        cmocka_unit_test(test_mnist_real),
        cmocka_unit_test(test_npy_good),
        cmocka_unit_test(test_npy_rows), cmocka_unit_test(test_npy_errors),
    };
    fake_random();
    return cmocka_run_group_tests_name("data", tests, make_folder, drop_folder);
}
