/* Sparse codes through a known dictionary:   x = D z + noise,   or counts and events with the natural parameter eta = D z + offset:
 * Poisson of mean e^eta, Bernoulli or binomial of probability 1 / (1 + e^-eta).
 *
 * D (m, p): independent normal entries of variance 1/m, all of them or some in every column, which is scaled to unit norm; or the Q of such a square matrix.
 * z (p): a support of `sparsity` atoms, drawn without replacement or taken from disjoint blocks; magnitudes uniform or
 * normal; signs, by default, one for the whole sample.
 * noise: of a given standard deviation, or in a given ratio to each sample's power, variance ||D z||^2 / (m 10^(snr_db/10)).
 * With filters D z is the sum over atoms d_k of d_k * z_k, each d_k laid wherever its map z_k (places) is not zero: filters.h. The support is then taken from
 * all places of all atoms, and the entries of an atom, m above, are those of a filter.
 * With a measurement matrix A (k, m), A D z takes the place of D z in all of these, and k that of m; D is as without.
 *
 * Every number is a pure function of (seed, split, sample): any samples may be read in any order, and neither the run's
 * seed nor the epoch matters. All is computed in double and rounded once. */
#include "filters.h"
#include "measure.h"
#include "poisson.h"
#include "samples.h"
#include <string.h>

/* Uses of random numbers; the split takes the place of the epoch. */
enum { RANDOM_ATOM = 1, RANDOM_SUPPORT, RANDOM_MAGNITUDE, RANDOM_SIGN, RANDOM_NOISE, RANDOM_COUNT, RANDOM_PLACES };
enum { AMPLITUDE_UNIFORM, AMPLITUDE_GAUSSIAN };             /* in the order of the options' choices */
enum { FAMILY_GAUSSIAN, FAMILY_POISSON, FAMILY_BERNOULLI, FAMILY_BINOMIAL };
enum { SIGN_PER_SAMPLE, SIGN_PER_ENTRY, SIGN_POSITIVE };

typedef struct params {
    int64_t samples, test_samples, features, atoms, sparsity, atom_sparsity, blocks, seed, trials;
    int32_t amplitude, sign, family;
    double amplitude_low, amplitude_high, mean, std, noise_std, offset;
    pudle_real_list snr_db;
    pudle_int_list shape, filters, stride;
    const char *measurement;
    bool orthogonal;
} params;

#define INT(member, dflt, min, max, doc) \
    { #member, PUDLE_INT, 0, offsetof(params, member), dflt, min, max, NULL, NULL, doc }
#define REAL(member, dflt, doc) \
    { #member, PUDLE_REAL, PUDLE_OPEN_MAX, offsetof(params, member), dflt, 0, INFINITY, NULL, NULL, doc }
#define ENUM(member, dflt, choices, doc) \
    { #member, PUDLE_ENUM, 0, offsetof(params, member), dflt, 0, 0, choices, NULL, doc }
#define COUNT 1e15      /* a whole number in double, and in int64_t */
#define EXTENT 16777216 /* features and atoms: their product is a size of memory */

static const pudle_option options[] = {
    INT(samples, "10000", 1, COUNT, "Number of training samples."),
    INT(test_samples, "0", 0, COUNT, "Number of test samples, independent of the training samples."),
    INT(features, "50", 1, EXTENT, "Entries of a signal D z, m; of a sample too, unless it is measured."),
    { .name = "shape", .type = PUDLE_INT_LIST, .offset = offsetof(params, shape), .dflt = "[]", .min = 1, .max = EXTENT,
      .doc = "Shape of a sample, with `features` entries in all: [1, 64, 64] makes pictures of one channel; an empty list makes one row." },
    { .name = "filters", .type = PUDLE_INT_LIST, .offset = offsetof(params, filters), .dflt = "[]", .min = 1, .max = EXTENT,
      .doc = "Size of true filters, [25] with shape = [channels, length], [9, 9] with [channels, height, width]: D z is the sum of filters at the places that the code "
             "names; an empty list makes the dictionary a matrix." },
    { .name = "stride", .type = PUDLE_INT_LIST, .offset = offsetof(params, stride), .dflt = "[1]", .min = 1, .max = EXTENT,
      .doc = "Distance between neighbouring places of a filter; one number, or one for each axis (filters)." },
    INT(atoms, "100", 1, EXTENT, "Columns of the dictionary, or its filters, p."),
    INT(sparsity, "5", 1, EXTENT, "Nonzeros of a code; with filters the events in a sample, at any places of any of them."),
    INT(atom_sparsity, "0", 0, EXTENT, "Nonzeros of an atom, at places drawn for each; 0: all of its entries."),
    ENUM(amplitude, "uniform", "uniform|gaussian", "Distribution of the magnitudes."),
    REAL(amplitude_low, "1.0", "Least magnitude (uniform)."),
    REAL(amplitude_high, "2.0", "Largest magnitude (uniform)."),
    { .name = "mean", .type = PUDLE_REAL, .offset = offsetof(params, mean), .dflt = "5.0",
      .doc = "Mean of the magnitudes (gaussian)." },
    REAL(std, "1.0", "Standard deviation of the magnitudes (gaussian)."),
    ENUM(sign, "per_sample", "per_sample|per_entry|positive",
         "One random sign for the whole sample, one for each entry, or none."),
    ENUM(family, "gaussian", "gaussian|poisson|bernoulli|binomial",
         "What is drawn: numbers around D z, or counts and events whose natural parameter is D z + offset: log of the mean, or log-odds."),
    { .name = "offset", .type = PUDLE_REAL, .offset = offsetof(params, offset), .dflt = "0.0",
      .doc = "Baseline of the natural parameter (families other than gaussian)." },
    INT(trials, "1", 1, 1000000, "Trials behind every count (binomial)."),
    REAL(noise_std, "0.0", "Standard deviation of the noise on every entry; not together with snr_db."),
    { .name = "snr_db", .type = PUDLE_REAL_LIST, .offset = offsetof(params, snr_db), .dflt = "[]", .min = -300, .max = 300,
      .unit = "dB", .doc = "Signal-to-noise ratio of every sample, one number; an empty list adds no noise." },
    { .name = "orthogonal", .type = PUDLE_BOOL, .offset = offsetof(params, orthogonal), .dflt = "false",
      .doc = "Make the dictionary orthogonal; needs atoms = features." },
    { .name = "measurement", .type = PUDLE_PATH, .offset = offsetof(params, measurement),
      .doc = "Samples are measurements A D z, with A from this .npy file, (entries of a sample, features)." },
    INT(blocks, "0", 0, EXTENT, "Take every support from so many fixed disjoint blocks of atoms; 0 draws supports freely."),
    INT(seed, "1", 0, COUNT, "Seed of the data; the run has its own."),
    { .name = NULL },
};

typedef struct source {
    const params *o;
    int64_t taps, code; /* entries of an atom, and of a code */
    filters f;          /* no axes: the dictionary is a matrix */
    double *atoms; /* (p, taps): the dictionary, atom after atom */
    measure a;     /* of signals; no rows: there is none */
} source;

static pudle_status check_shape(const pudle_host *host, const params *o)
{
    double entries = 1; /* exact as long as it can be equal to features */
    if (o->shape.count && o->measurement)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "shape is that of signals, and measurement makes rows of them: give one of the two");
    if (o->shape.count >= PUDLE_MAX_RANK)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "shape has %lld axes; 1 to %d are possible", (long long)o->shape.count, PUDLE_MAX_RANK - 1);
    for (int64_t i = 0; i < o->shape.count; i++)
        entries *= (double)o->shape.item[i];
    if (entries > EXTENT)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "shape has %.0f entries; %d are possible", entries, EXTENT);
    if (o->shape.count && entries != (double)o->features)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "shape has %.0f entries, features = %lld: they must be the same; write  features = %.0f;", entries,
                          (long long)o->features, entries);
    return PUDLE_OK;
}

static bool strides(const params *o)
{
    for (int64_t i = 0; i < o->stride.count; i++)
        if (o->stride.item[i] != 1)
            return true;
    return o->stride.count != 1;
}

/* Atoms, codes and what else is said of them, where atoms are filters. */
static pudle_status check_filters(const pudle_host *host, const params *o)
{
    const char *matrix = o->orthogonal ? "orthogonal" : o->blocks ? "blocks" : o->measurement ? "measurement" : NULL;
    if (matrix)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s is for dictionaries that are matrices, and filters makes others: remove one of the two", matrix);
    const pudle_status s = filters_check(host, &o->shape, &o->filters, &o->stride);
    if (s)
        return s;
    const filters f = filters_of(&o->shape, &o->filters, &o->stride);
    if (o->atom_sparsity > filters_taps(&f))
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "atom_sparsity = %lld exceeds the %lld entries of a filter", (long long)o->atom_sparsity, (long long)filters_taps(&f));
    if (o->sparsity > o->atoms * filters_places(&f))
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "sparsity = %lld exceeds the %lld entries of a code, which has %lld places for each filter", (long long)o->sparsity,
                          (long long)(o->atoms * filters_places(&f)), (long long)filters_places(&f));
    return PUDLE_OK;
}

/* The same where they are columns. */
static pudle_status check_columns(const pudle_host *host, const params *o)
{
    const long long s = o->sparsity, p = o->atoms, b = o->blocks;
    if (strides(o))
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "stride is read only with filters: give their size, or remove it");
    if (s > p)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "sparsity = %lld exceeds atoms = %lld", s, p);
    if (b > 0 && b > p / s)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "blocks = %lld of sparsity = %lld need %lld atoms, there are %lld",
                          b, s, b * s, p);
    if (o->atom_sparsity > o->features)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "atom_sparsity = %lld exceeds features = %lld", (long long)o->atom_sparsity, (long long)o->features);
    if (o->orthogonal && o->atom_sparsity)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "atom_sparsity = %lld: sparse atoms are not made orthogonal; remove one of the two", (long long)o->atom_sparsity);
    if (o->orthogonal && o->atoms != o->features)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "orthogonal needs atoms = features; atoms = %lld, features = %lld", p,
                          (long long)o->features);
    return PUDLE_OK;
}

static pudle_status check(const pudle_host *host, const void *params_)
{
    const params *o = params_;
    if (o->amplitude_low > o->amplitude_high)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "amplitude_low = %g exceeds amplitude_high = %g", o->amplitude_low,
                          o->amplitude_high);
    if (o->snr_db.count > 1)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "snr_db takes one number, not %lld", (long long)o->snr_db.count);
    if (o->snr_db.count == 1 && o->noise_std > 0)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "noise_std = %g and snr_db = %g contradict each other: give one",
                          o->noise_std, o->snr_db.item[0]);
    if (o->family != FAMILY_GAUSSIAN && (o->noise_std > 0 || o->snr_db.count > 0))
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "counts and events scatter by themselves: remove %s, or write family = \"gaussian\"",
                          o->noise_std > 0 ? "noise_std" : "snr_db");
    if (o->family == FAMILY_GAUSSIAN && o->offset != 0)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "offset = %g is read only with counts and events: choose another family", o->offset);
    if (o->family != FAMILY_BINOMIAL && o->trials != 1)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "trials = %lld is read only with family = \"binomial\"", (long long)o->trials);
    const pudle_status s = check_shape(host, o);
    if (s)
        return s;
    return o->filters.count ? check_filters(host, o) : check_columns(host, o);
}

/* --------------------------------------------------------------- dictionary */

static double dot(int64_t n, const double *a, const double *b)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void add_scaled(int64_t n, double scale, const double *x, double *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += scale * x[i];
}

/* Modified Gram-Schmidt, twice: "twice is enough" for orthogonality to rounding. Giraud, Langou, Rozloznik 2005 */
static void remove_earlier(const double *atoms, int64_t k, int64_t m, double *atom)
{
    for (int pass = 0; pass < 2; pass++)
        for (int64_t j = 0; j < k; j++)
            add_scaled(m, -dot(m, atoms + j * m, atom), atoms + j * m, atom);
}

/* Ones at `count` of n places, which are 0 before, by Floyd's method: after step j they are a uniform subset of the first j + 1.
 * Bentley, Floyd, CACM 30 (1987) 754 */
static void mark_places(pudle_random *r, int64_t count, int64_t n, double *places)
{
    for (int64_t j = n - count; j < n; j++) {
        const int64_t k = (int64_t)pudle_random_below(r, (uint64_t)j + 1);
        places[places[k] != 0 ? j : k] = 1;
    }
}

static void draw_atom(const params *o, int64_t k, int64_t m, double *atom)
{
    pudle_random value = pudle_random_at((uint64_t)o->seed, RANDOM_ATOM, 0, (uint64_t)k), place = pudle_random_at((uint64_t)o->seed, RANDOM_PLACES, 0, (uint64_t)k);
    memset(atom, 0, (size_t)m * sizeof *atom);
    if (o->atom_sparsity)
        mark_places(&place, o->atom_sparsity, m, atom);
    for (int64_t i = 0; i < m; i++) {
        const double normal = pudle_random_normal(&value);
        atom[i] = o->atom_sparsity && atom[i] == 0 ? 0 : normal;
    }
}

static void draw_dictionary(const params *o, int64_t m, double *atoms)
{
    for (int64_t k = 0; k < o->atoms; k++) {
        double *atom = atoms + k * m;
        draw_atom(o, k, m, atom);
        if (o->orthogonal)
            remove_earlier(atoms, k, m, atom);
        const double norm = sqrt(dot(m, atom, atom));
        for (int64_t i = 0; i < m; i++)
            atom[i] /= norm;
    }
}

static void destroy(const pudle_host *host, void *self)
{
    source *d = self;
    if (!d)
        return;
    measure_free(host, &d->a);
    host->free(host->ctx, d->atoms);
    host->free(host->ctx, d);
}

static pudle_status create(const pudle_host *host, const void *params_, void **self)
{
    const params *o = params_;
    source *d = host->alloc(host->ctx, sizeof *d);
    if (!d)
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "no memory for a source of data");
    *d = (source){ .o = o, .taps = o->features, .code = o->atoms };
    if (o->filters.count) {
        d->f = filters_of(&o->shape, &o->filters, &o->stride);
        d->taps = filters_taps(&d->f);
        d->code = o->atoms * filters_places(&d->f);
    }
    d->atoms = host->alloc(host->ctx, (size_t)o->atoms * (size_t)d->taps * sizeof *d->atoms);
    if (!d->atoms) {
        const long long taps = d->taps;
        host->free(host->ctx, d);
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "no memory for a dictionary of %lld x %lld", taps, (long long)o->atoms);
    }
    draw_dictionary(o, d->taps, d->atoms);
    const pudle_status s = o->measurement ? measure_read(host, o->measurement, o->features, &d->a) : PUDLE_OK;
    if (s)
        destroy(host, d);
    else
        *self = d;
    return s;
}

/* ------------------------------------------------------------------ samples */

/* Entries of a sample. */
static int64_t entries(const source *d)
{
    return d->a.rows ? d->a.rows : d->o->features;
}

typedef struct place { int32_t split; int64_t index; } place;

static pudle_random random_at(const params *o, uint32_t use, place at)
{
    return pudle_random_at((uint64_t)o->seed, use, (uint32_t)at.split, (uint64_t)at.index);
}

/* Marks the support with ones in z, a code, cleared before. */
static void mark_support(const source *d, place at, double *z)
{
    const params *o = d->o;
    pudle_random r = random_at(o, RANDOM_SUPPORT, at);
    if (o->blocks > 0) {
        double *block = z + o->sparsity * (int64_t)pudle_random_below(&r, (uint64_t)o->blocks);
        for (int64_t i = 0; i < o->sparsity; i++)
            block[i] = 1;
        return;
    }
    mark_places(&r, o->sparsity, d->code, z);
}

static double draw_magnitude(const params *o, pudle_random *r)
{
    if (o->amplitude == AMPLITUDE_GAUSSIAN)
        return o->mean + o->std * pudle_random_normal(r);
    return o->amplitude_low + (o->amplitude_high - o->amplitude_low) * pudle_random_uniform(r);
}

static void draw_code(const source *d, place at, double *z)
{
    const params *o = d->o;
    memset(z, 0, (size_t)d->code * sizeof *z);
    mark_support(d, at, z);
    pudle_random magnitude = random_at(o, RANDOM_MAGNITUDE, at), sign = random_at(o, RANDOM_SIGN, at);
    const double whole = o->sign == SIGN_PER_SAMPLE && pudle_random_u32(&sign) & 1 ? -1 : 1;
    for (int64_t k = 0; k < d->code; k++) {
        if (z[k] == 0)
            continue;
        const bool flip = o->sign == SIGN_PER_ENTRY && pudle_random_u32(&sign) & 1;
        z[k] = (flip ? -whole : whole) * draw_magnitude(o, &magnitude);
    }
}

static void add_noise(const params *o, place at, int64_t m, double *x)
{
    double std = o->noise_std;
    if (o->snr_db.count == 1)
        std = sqrt(dot(m, x, x) / ((double)m * pow(10, o->snr_db.item[0] / 10)));
    if (std == 0)
        return;
    pudle_random r = random_at(o, RANDOM_NOISE, at);
    for (int64_t i = 0; i < m; i++)
        x[i] += std * pudle_random_normal(&r);
}

/* eta in x becomes counts. */
static pudle_status draw_counts(const pudle_host *host, const params *o, place at, int64_t m, double *x)
{
    pudle_random r = random_at(o, RANDOM_COUNT, at);
    for (int64_t i = 0; i < m; i++) {
        const double eta = o->offset + x[i], mean = exp(eta), probability = 1 / (1 + exp(-eta));
        if (o->family == FAMILY_POISSON && mean > POISSON_MOST)
            return host->fail(host->ctx, PUDLE_ERR_CONFIG, "sample %lld, entry %lld: a mean count of %g is out of range (its log is %g): lower the "
                              "amplitudes or the offset", (long long)at.index, (long long)i, mean, eta);
        x[i] = o->family == FAMILY_POISSON ? poisson_draw(&r, mean) : 0;
        for (int64_t k = 0; k < o->trials && o->family != FAMILY_POISSON; k++)
            x[i] += pudle_random_uniform(&r) < probability;
    }
    return PUDLE_OK;
}

/* D z */
static void draw_signal(const source *d, const double *z, double *signal)
{
    const int64_t m = d->o->features, places = d->code / d->o->atoms; /* of an atom: 1 of a column */
    memset(signal, 0, (size_t)m * sizeof *signal);
    for (int64_t k = 0; k < d->code; k++) {
        if (z[k] == 0)
            continue;
        if (d->f.axes)
            filters_add(&d->f, d->atoms + k / places * d->taps, k % places, z[k], signal);
        else
            add_scaled(m, z[k], d->atoms + k * m, signal);
    }
}

/* signal: room for one; x is it, or its measurement */
static pudle_status draw_sample(const pudle_host *host, const source *d, place at, const double *z, double *signal, double *x)
{
    const int64_t m = d->o->features;
    draw_signal(d, z, signal);
    for (int64_t i = 0; i < d->a.rows; i++)
        x[i] = dot(m, d->a.matrix + i * m, signal);
    if (d->o->family != FAMILY_GAUSSIAN)
        return draw_counts(host, d->o, at, entries(d), x);
    add_noise(d->o, at, entries(d), x);
    return PUDLE_OK;
}

static int64_t samples_of(const params *o, int32_t split)
{
    return split == PUDLE_SPLIT_TRAIN ? o->samples : split == PUDLE_SPLIT_TEST ? o->test_samples : 0;
}

/* Codes or samples of a request. */
static pudle_status draw(const pudle_host *host, const source *d, const pudle_data_request *request, bool codes)
{
    const params *o = d->o;
    pudle_status s = samples_check(host, request, samples_of(o, request->split));
    if (s)
        return s;
    double *z = host->alloc(host->ctx, (size_t)(d->code + o->features + d->a.rows) * sizeof *z);
    if (!z)
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "no memory for a sample of %lld entries", (long long)entries(d));
    double *const signal = z + d->code, *const x = d->a.rows ? signal + o->features : signal;
    for (int64_t i = 0; i < request->count && !s; i++) {
        const place at = { request->split, request->index[i] };
        draw_code(d, at, z);
        if (!codes)
            s = draw_sample(host, d, at, z, signal, x);
        samples_store(request->x, i, codes ? d->code : entries(d), codes ? z : x);
    }
    host->free(host->ctx, z);
    return s;
}

static pudle_status read_samples(const pudle_host *host, const void *self, const pudle_data_request *request)
{
    return draw(host, self, request, false);
}

static pudle_status describe(const pudle_host *host, const void *self, int32_t split, pudle_data_info *info)
{
    const source *d = self;
    const params *o = d->o;
    if (samples_of(o, split) == 0)
        return host->fail(host->ctx, PUDLE_ERR_NOTFOUND, "there are no test samples: test_samples = 0");
    info->rank = o->shape.count ? (int32_t)o->shape.count : 1;
    info->samples = samples_of(o, split);
    for (int32_t i = 0; i < info->rank; i++)
        info->shape[i] = info->target_shape[i] = o->shape.count ? o->shape.item[i] : entries(d);
    info->has_target = false;
    return PUDLE_OK;
}

static const pudle_data_ops ops = { .size = sizeof(pudle_data_ops), .describe = describe, .read = read_samples };

/* -------------------------------------------------------------------- truth */

static int64_t truth_atoms(const void *self)
{
    return ((const source *)self)->o->atoms;
}

static void put(const pudle_view *to, int64_t i, double value)
{
    if (to->dtype == PUDLE_F64)
        ((double *)to->data)[i] = value;
    else
        ((float *)to->data)[i] = (float)value;
}

static pudle_status truth_dictionary(const void *self, const pudle_view *to) // (m, p), or (p, taps)
{
    const source *d = self;
    const int64_t m = d->taps, p = d->o->atoms;
    for (int64_t i = 0; i < m; i++)
        for (int64_t k = 0; k < p; k++)
            put(to, d->f.axes ? k * m + i : i * p + k, d->atoms[k * m + i]);
    return PUDLE_OK;
}

static pudle_status truth_codes(const pudle_host *host, const void *self, const pudle_data_request *request)
{
    return draw(host, self, request, true);
}

static int64_t truth_measured(const void *self)
{
    const source *d = self;
    return d->a.rows ? d->o->features : 0;
}

static int32_t truth_filters(const void *self, int64_t shape[3], int64_t stride[2])
{
    const filters *f = &((const source *)self)->f;
    shape[0] = f->channels;
    for (int32_t i = 0; i < f->axes; i++) {
        shape[i + 1] = f->size[i + 2 - f->axes];
        stride[i] = f->stride[i + 2 - f->axes];
    }
    return f->axes ? f->axes + 1 : 0;
}

static const pudle_data_truth truth = { sizeof(pudle_data_truth), 0, truth_atoms, truth_dictionary, truth_codes, truth_measured, truth_filters };

static const void *get_ext(const char *id)
{
    return strcmp(id, PUDLE_DATA_TRUTH) == 0 ? &truth : NULL;
}

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_DATA,
    .name = "synthetic",
    .version = "1.3.0",
    .summary = "Sparse codes through a random known dictionary, a matrix or filters, measured or not, with noise, or as counts and events",
    .math = "x = D z + noise, or counts and events with natural parameter D z + offset; with a measurement A D z in place of D z; with filters "
            "D z = sum_k d_k * z_k",
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
