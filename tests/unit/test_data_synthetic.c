/* The synthetic source: statistics, purity, truth, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "data_source.h"

typedef struct drawn {
    int64_t n, m, p;
    pudle_view x, d, z; /* (n, m), (m, p), (n, p) */
} drawn;

/* Entries of D z. */
static int64_t signal_entries(const opened *s, const pudle_data_truth *truth, int64_t of_sample)
{
    assert_true(PUDLE_HAS(truth, pudle_data_truth, measured));
    return truth->measured(s->self) ? truth->measured(s->self) : of_sample;
}

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
    d.d = fake_view(PUDLE_F64, 2, (const int64_t[]){ signal_entries(s, truth, d.m), d.p });
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

/* x = A D z, with the D and the z of signals that are not measured. */
static void test_synthetic_measurement(void **state)
{
    (void)state;
    double a[3 * 20];
    for (int i = 0; i < 3 * 20; i++)
        a[i] = pudle_random_normal(fake_random());
    fake.arrays = 2;
    fake.array[0] = (fake_array){ .path = "A.npy", .rank = 2, .shape = { 3, 20 }, .values = a };
    fake.array[1] = (fake_array){ .path = "flat.npy", .rank = 1, .shape = { 60 }, .values = a };
    opened s;
    assert_int_equal(open_source("synthetic", SETTINGS("features", "20", "samples", "50"), &s), PUDLE_OK);
    drawn plain = draw(&s, PUDLE_SPLIT_TRAIN, 50);
    close_source(&s);
    assert_int_equal(open_source("synthetic", SETTINGS("features", "20", "samples", "50", "measurement", "A.npy"), &s), PUDLE_OK);
    drawn d = draw(&s, PUDLE_SPLIT_TRAIN, 50);
    assert_int_equal(d.m, 3);
    assert_memory_equal(d.d.data, plain.d.data, sizeof(double) * 20 * 100);
    assert_memory_equal(d.z.data, plain.z.data, sizeof(double) * 50 * 100);
    for (int64_t i = 0; i < 50; i++)
        for (int64_t k = 0; k < 3; k++) {
            double sum = 0;
            for (int64_t j = 0; j < 20; j++)
                sum += a[k * 20 + j] * get(&plain.x, i * 20 + j);
            near(get(&d.x, i * 3 + k), sum, 1e-12);
        }
    drawn_free(&d);
    drawn_free(&plain);
    close_source(&s);
    expect_error("synthetic", SETTINGS("features", "21", "measurement", "A.npy"), PUDLE_ERR_CONFIG, "a column for each of the 21 entries");
    expect_error("synthetic", SETTINGS("features", "60", "measurement", "flat.npy"), PUDLE_ERR_CONFIG, "it has 1 axes");
    expect_error("synthetic", SETTINGS("features", "20", "measurement", "B.npy"), PUDLE_ERR_NOTFOUND, "B.npy");
    expect_error("synthetic", SETTINGS("features", "20", "shape", "[4, 5]", "measurement", "A.npy"), PUDLE_ERR_CONFIG, "one of the two");
    a[25] = NAN;
    expect_error("synthetic", SETTINGS("features", "20", "measurement", "A.npy"), PUDLE_ERR_CONFIG, "row 1, column 5");
    fake.no_arrays = true;
    expect_error("synthetic", SETTINGS("features", "20", "measurement", "A.npy"), PUDLE_ERR_UNSUPPORTED, "reads no arrays");
    fake.no_arrays = false;
    fake.arrays = 0;
}

/* Atoms with some entries, at places of their own, of unit norm; codes are those of other atoms. */
static void test_synthetic_sparse_atoms(void **state)
{
    (void)state;
    opened s;
    assert_int_equal(open_source("synthetic", SETTINGS("samples", "20"), &s), PUDLE_OK);
    drawn plain = draw(&s, PUDLE_SPLIT_TRAIN, 20);
    close_source(&s);
    assert_int_equal(open_source("synthetic", SETTINGS("samples", "20", "atom_sparsity", "4"), &s), PUDLE_OK);
    drawn d = draw(&s, PUDLE_SPLIT_TRAIN, 20);
    double used[50] = { 0 };
    for (int64_t k = 0; k < d.p; k++) {
        double norm = 0;
        int nonzero = 0;
        for (int64_t j = 0; j < d.m; j++) {
            const double e = get(&d.d, j * d.p + k);
            nonzero += e != 0;
            used[j] += e != 0;
            norm += e * e;
        }
        assert_int_equal(nonzero, 4);
        near(norm, 1, 1e-12);
    }
    for (int64_t j = 0; j < d.m; j++)
        near(used[j], 8, 6 * sqrt(8));
    assert_memory_equal(d.z.data, plain.z.data, sizeof(double) * 20 * 100);
    drawn_free(&d);
    drawn_free(&plain);
    close_source(&s);
    expect_error("synthetic", SETTINGS("atom_sparsity", "51"), PUDLE_ERR_CONFIG, "exceeds features = 50");
    expect_error("synthetic", SETTINGS("atom_sparsity", "5", "orthogonal", "true", "atoms", "50"), PUDLE_ERR_CONFIG, "not made orthogonal");
}

/* Filters, (p, channels, height, width), at places `down` and `right` apart; a signal has height 1. */
typedef struct laid { int64_t channels, data[2], size[2], stride[2]; const char *shape, *features, *filters, *strides; } laid;

static const laid laid_out[] = {
    { 1, { 1, 60 }, { 1, 9 }, { 1, 1 }, "[1, 60]", "60", "[9]", "[1]" },
    { 2, { 1, 41 }, { 1, 5 }, { 1, 3 }, "[2, 41]", "82", "[5]", "[3]" },
    { 1, { 12, 15 }, { 4, 3 }, { 1, 1 }, "[1, 12, 15]", "180", "[4, 3]", "[1]" },
    { 3, { 11, 14 }, { 3, 5 }, { 2, 4 }, "[3, 11, 14]", "462", "[3, 5]", "[2, 4]" },
    { 2, { 9, 9 }, { 9, 9 }, { 2, 2 }, "[2, 9, 9]", "162", "[9, 9]", "2" },
};

static int64_t places(const laid *l, int axis)
{
    return (l->data[axis] - l->size[axis]) / l->stride[axis] + 1;
}

/* The same sum, entry by entry of the sample: which places of which filters lie over it? */
static double laid_sum(const laid *l, int64_t p, const pudle_view *d, const pudle_view *z, int64_t sample, int64_t c, int64_t y, int64_t x)
{
    const int64_t high = places(l, 0), wide = places(l, 1);
    double sum = 0;
    for (int64_t k = 0; k < p; k++)
        for (int64_t i = 0; i < high; i++)
            for (int64_t j = 0; j < wide; j++) {
                const int64_t ky = y - i * l->stride[0], kx = x - j * l->stride[1];
                if (ky >= 0 && ky < l->size[0] && kx >= 0 && kx < l->size[1])
                    sum += get(d, ((k * l->channels + c) * l->size[0] + ky) * l->size[1] + kx) * get(z, ((sample * p + k) * high + i) * wide + j);
            }
    return sum;
}

static void check_laid(const laid *l, bool noise)
{
    enum { P = 4, N = 30, EVENTS = 3 };
    const int64_t m = l->channels * l->data[0] * l->data[1], taps = l->channels * l->size[0] * l->size[1], code = P * places(l, 0) * places(l, 1);
    const int32_t axes = l->data[0] > 1 ? 3 : 2;
    const char *const *settings = SETTINGS("shape", l->shape, "features", l->features, "filters", l->filters, "stride", l->strides, "atoms", "4", "sparsity", "3",
                                           "sign", "per_entry", "noise_std", noise ? "0.3" : "0", "samples", "30", "seed", "5");
    opened s;
    assert_int_equal(open_source("synthetic", settings, &s), PUDLE_OK);
    const pudle_data_truth *truth = truth_of(&s);
    int64_t shape[3], stride[2], *index = range(0, N);
    assert_true(PUDLE_HAS(truth, pudle_data_truth, filters));
    assert_int_equal(truth->filters(s.self, shape, stride), axes);
    assert_int_equal(shape[0], l->channels);
    for (int32_t i = 1; i < axes; i++) {
        assert_int_equal(shape[i], l->size[i + 2 - axes]);
        assert_int_equal(stride[i - 1], l->stride[i + 2 - axes]);
    }
    assert_int_equal(truth->atoms(s.self), P);
    assert_int_equal(describe(&s, PUDLE_SPLIT_TRAIN).rank, axes);
    const pudle_view d = fake_view(PUDLE_F64, axes + 1, (const int64_t[]){ P, shape[0], shape[1], shape[2] });
    const pudle_view single = fake_view(PUDLE_F32, axes + 1, (const int64_t[]){ P, shape[0], shape[1], shape[2] });
    const pudle_view x = fake_view(PUDLE_F64, 2, (const int64_t[]){ N, m }), z = fake_view(PUDLE_F64, 2, (const int64_t[]){ N, code });
    assert_int_equal(truth->dictionary(s.self, &d), PUDLE_OK);
    assert_int_equal(truth->dictionary(s.self, &single), PUDLE_OK);
    for (int64_t k = 0; k < P; k++) {
        double norm = 0;
        for (int64_t i = 0; i < taps; i++) {
            norm += get(&d, k * taps + i) * get(&d, k * taps + i);
            assert_true(get(&single, k * taps + i) == (float)get(&d, k * taps + i));
        }
        near(norm, 1, 1e-12);
    }
    const pudle_data_request request = { .size = sizeof request, .split = PUDLE_SPLIT_TRAIN, .index = index, .count = N, .x = &z };
    assert_int_equal(truth->codes(&fake_host, s.self, &request), PUDLE_OK);
    assert_int_equal(read_to(&s, PUDLE_SPLIT_TRAIN, N, index, &x, NULL), PUDLE_OK);
    double error = 0;
    for (int64_t n = 0; n < N; n++) {
        int events = 0;
        for (int64_t i = 0; i < code; i++) {
            events += get(&z, n * code + i) != 0;
            assert_true(get(&z, n * code + i) == 0 || (fabs(get(&z, n * code + i)) >= 1 && fabs(get(&z, n * code + i)) < 2));
        }
        assert_int_equal(events, EVENTS);
        for (int64_t i = 0; i < m; i++) {
            const int64_t plane = l->data[0] * l->data[1];
            const double e = get(&x, n * m + i) - laid_sum(l, P, &d, &z, n, i / plane, i % plane / l->data[1], i % l->data[1]);
            error += e * e / (double)(N * m);
            assert_true(noise || fabs(e) < 1e-13);
        }
    }
    near(sqrt(error), noise ? 0.3 : 0, noise ? 6 * 0.3 / sqrt(2.0 * (double)(N * m)) : 1e-13);
    const pudle_view one = fake_view(PUDLE_F64, 2, (const int64_t[]){ 1, m }); /* whoever asks with it */
    for (int64_t n = N - 1; n >= 0; n -= 4) {
        assert_int_equal(read_to(&s, PUDLE_SPLIT_TRAIN, 1, &n, &one, NULL), PUDLE_OK);
        assert_memory_equal(one.data, (const double *)x.data + n * m, sizeof(double) * (size_t)m);
    }
    free(one.data);
    free(d.data);
    free(single.data);
    free(x.data);
    free(z.data);
    free(index);
    close_source(&s);
}

static void test_synthetic_filters(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof laid_out / sizeof *laid_out; i++) {
        check_laid(&laid_out[i], false);
        check_laid(&laid_out[i], true);
    }
    opened s; /* every place of every filter has its turn */
    assert_int_equal(open_source("synthetic", SETTINGS("shape", "[1, 12]", "features", "12", "filters", "[5]", "atoms", "3", "sparsity", "2", "samples", "3000"), &s), PUDLE_OK);
    int64_t *index = range(0, 3000);
    const pudle_view z = fake_view(PUDLE_F64, 2, (const int64_t[]){ 3000, 24 });
    const pudle_data_request request = { .size = sizeof request, .split = PUDLE_SPLIT_TRAIN, .index = index, .count = 3000, .x = &z };
    assert_int_equal(truth_of(&s)->codes(&fake_host, s.self, &request), PUDLE_OK);
    for (int64_t i = 0; i < 24; i++) {
        double used = 0;
        for (int64_t n = 0; n < 3000; n++)
            used += get(&z, n * 24 + i) != 0;
        near(used, 250, 6 * sqrt(250));
    }
    free(z.data);
    free(index);
    close_source(&s);
    assert_int_equal(open_source("synthetic", NULL, &s), PUDLE_OK);
    int64_t shape[3], stride[2];
    assert_int_equal(truth_of(&s)->filters(s.self, shape, stride), 0); /* a matrix has none */
    close_source(&s);
}

#define ONE_CHANNEL "shape", "[1, 20]", "features", "20", "atoms", "2"
static void test_synthetic_filter_errors(void **state)
{
    (void)state;
    expect_error("synthetic", SETTINGS("filters", "[5]"), PUDLE_ERR_CONFIG, "write  shape = [channels, length];");
    expect_error("synthetic", SETTINGS("filters", "[5, 5]", ONE_CHANNEL), PUDLE_ERR_CONFIG, "write  shape = [channels, height, width];");
    expect_error("synthetic", SETTINGS("filters", "[5, 5, 5]", ONE_CHANNEL), PUDLE_ERR_CONFIG, "1 (signals) or 2 (pictures)");
    expect_error("synthetic", SETTINGS("filters", "[21]", ONE_CHANNEL), PUDLE_ERR_CONFIG, "21 does not fit into the 20");
    expect_error("synthetic", SETTINGS("filters", "[5]", "stride", "[1, 2]", ONE_CHANNEL), PUDLE_ERR_CONFIG, "stride has 2 numbers");
    expect_error("synthetic", SETTINGS("filters", "[5]", "sparsity", "33", ONE_CHANNEL), PUDLE_ERR_CONFIG, "exceeds the 32 entries of a code, which has 16 places");
    expect_error("synthetic", SETTINGS("filters", "[5]", "atom_sparsity", "6", ONE_CHANNEL), PUDLE_ERR_CONFIG, "exceeds the 5 entries of a filter");
    expect_error("synthetic", SETTINGS("filters", "[5]", "orthogonal", "true", ONE_CHANNEL), PUDLE_ERR_CONFIG, "orthogonal is for dictionaries that are matrices");
    expect_error("synthetic", SETTINGS("filters", "[5]", "blocks", "1", ONE_CHANNEL), PUDLE_ERR_CONFIG, "blocks is for dictionaries that are matrices");
    expect_error("synthetic", SETTINGS("stride", "2"), PUDLE_ERR_CONFIG, "stride is read only with filters");
}
#undef ONE_CHANNEL

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

static void test_descriptor(void **state)
{
    (void)state;
    expect_epoch_free("synthetic", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptor),
        cmocka_unit_test(test_synthetic_statistics),
        cmocka_unit_test(test_synthetic_choices),
        cmocka_unit_test(test_synthetic_purity),
        cmocka_unit_test(test_synthetic_orthogonal),
        cmocka_unit_test(test_synthetic_blocks),
        cmocka_unit_test(test_synthetic_shape),
        cmocka_unit_test(test_synthetic_noise),
        cmocka_unit_test(test_synthetic_families),
        cmocka_unit_test(test_synthetic_measurement),
        cmocka_unit_test(test_synthetic_sparse_atoms),
        cmocka_unit_test(test_synthetic_filters),
        cmocka_unit_test(test_synthetic_filter_errors),
        cmocka_unit_test(test_synthetic_errors),
    };
    fake_random();
    return cmocka_run_group_tests_name("data: synthetic", tests, NULL, NULL);
}
