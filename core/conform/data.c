/* A source of data is a pure function of options and request; what it describes is what it reads. */
#include "conform/parts.h"

enum { DRAWS = 6, FEW = 5 };

typedef struct data_case {
    const pudle_data_ops *ops;
    int32_t split;
    pudle_data_info info;
    int64_t entries, target_entries; /* of one sample */
} data_case;

static int64_t product(int32_t rank, const int64_t *shape)
{
    int64_t n = 1;
    for (int32_t i = 0; i < rank; i++)
        n *= shape[i];
    return n;
}

static pudle_status describe(pd_trial *t, const data_case *c, int32_t split, pudle_data_info *info)
{
    memset(info, 0, sizeof *info);
    info->size = sizeof *info;
    pd_test_host_forget(&t->host);
    const pudle_status s = PD_IN(t, "describe", c->ops->describe(&t->host.table, t->self, split, info));
    PD_OUT(t);
    return s;
}

static bool sane(pd_trial *t, const pudle_data_info *info)
{
    if (info->samples < 1)
        return pd_fails(t, "describe says there are %lld samples; a split without any is PUDLE_ERR_NOTFOUND", (long long)info->samples);
    if (info->rank < 1 || info->rank >= PUDLE_MAX_RANK)
        return pd_fails(t, "describe says a sample has rank %d; 1 to %d are possible", (int)info->rank, PUDLE_MAX_RANK - 1);
    for (int32_t i = 0; i < info->rank; i++)
        if (info->shape[i] < 1 || info->target_shape[i] < 1)
            return pd_fails(t, "describe gives extent %lld on axis %d, and %lld in target_shape; both are set and at least 1",
                            (long long)info->shape[i], (int)i, (long long)info->target_shape[i]);
    if (info->has_target != 0 && info->has_target != 1)
        return pd_fails(t, "describe sets has_target to %d", (int)info->has_target);
    return true;
}

static bool open_case(pd_trial *t, data_case *c, int draw, int32_t split)
{
    char shape[64];
    *c = (data_case){ .ops = t->desc->ops, .split = split };
    pd_trial_clear(t);
    if (!pd_instance_draw(t, draw))
        return false;
    const pudle_status s = describe(t, c, split, &c->info);
    if (s)
        return pd_fails(t, "describe returned %s for the %s split: %s", pd_status_text(s), split ? "test" : "train", t->host.said);
    if (!sane(t, &c->info))
        return false;
    c->entries = product(c->info.rank, c->info.shape);
    c->target_entries = product(c->info.rank, c->info.target_shape);
    pd_shape_text(shape, sizeof shape, c->info.rank, c->info.shape);
    pd_drawn(t, "%lld samples %s", (long long)c->info.samples, shape);
    return true;
}

typedef struct batch {
    pudle_data_request request;
    int64_t index[16];
    pudle_view x, y;
} batch;

static bool batch_new(pd_trial *t, const data_case *c, int32_t dtype, const int64_t *index, int64_t count, int guard,
                      unsigned char pattern, batch *b)
{
    int64_t shape[PUDLE_MAX_RANK] = { count }, target[PUDLE_MAX_RANK] = { count };
    memcpy(shape + 1, c->info.shape, (size_t)c->info.rank * sizeof *shape);
    memcpy(target + 1, c->info.target_shape, (size_t)c->info.rank * sizeof *shape);
    memcpy(b->index, index, (size_t)count * sizeof *index);
    b->x = pd_view_new(t, dtype, c->info.rank + 1, shape, guard, "x", NULL);
    b->y = pd_view_new(t, dtype, c->info.rank + 1, target, guard, "y", NULL);
    if (!b->x.data || !b->y.data)
        return false;
    memset(b->x.data, pattern, pd_view_bytes(&b->x));
    memset(b->y.data, pattern, pd_view_bytes(&b->y));
    b->request = (pudle_data_request){ .size = sizeof(pudle_data_request),
                                       .split = c->split,
                                       .seed = 7,
                                       .epoch = 3,
                                       .index = b->index,
                                       .count = count,
                                       .x = &b->x,
                                       .y = c->info.has_target ? &b->y : NULL };
    return true;
}

static pudle_status read_status(pd_trial *t, const data_case *c, const batch *b)
{
    const pudle_status s = PD_IN(t, "read", c->ops->read(&t->host.table, t->self, &b->request));
    PD_OUT(t);
    return s;
}

static bool read_batch(pd_trial *t, const data_case *c, const batch *b)
{
    pd_test_host_forget(&t->host);
    const pudle_status s = read_status(t, c, b);
    if (!s)
        return true;
    t->refused = s == PUDLE_ERR_CONFIG && pd_test_host_heard(&t->host); /* options that make samples out of range */
    return pd_fails(t, "read of %lld samples, the last number %lld of %lld, returned %s: %s", (long long)b->request.count,
                    (long long)b->index[b->request.count - 1], (long long)c->info.samples, pd_status_text(s),
                    t->host.said[0] ? t->host.said : pd_error(t->ctx));
}

static bool same(const data_case *c, const batch *a, const batch *b)
{
    return !memcmp(a->x.data, b->x.data, pd_view_bytes(&a->x)) &&
           (!c->info.has_target || !memcmp(a->y.data, b->y.data, pd_view_bytes(&a->y)));
}

static void draw_index(pd_trial *t, const data_case *c, int64_t *index, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        index[i] = pd_below(t, c->info.samples);
}

/* ------------------------------------------------------------------ describe */

/* The first, the last and some others are there, and have the size that was described: all of it is written. */
static bool described(pd_trial *t)
{
    data_case c;
    for (int draw = 0; draw < DRAWS; draw++) {
        pudle_data_info again;
        batch a, b;
        int64_t index[FEW];
        if (!open_case(t, &c, draw, PUDLE_SPLIT_TRAIN))
            return false;
        if (describe(t, &c, PUDLE_SPLIT_TRAIN, &again) || memcmp(&again, &c.info, sizeof again))
            return pd_fails(t, "describe says something else when it is asked again");
        draw_index(t, &c, index, FEW);
        index[0] = 0;
        index[1] = c.info.samples - 1;
        if (!batch_new(t, &c, PUDLE_F64, index, FEW, PD_PLAIN, 0xff, &a) ||
            !batch_new(t, &c, PUDLE_F64, index, FEW, PD_PLAIN, 0x11, &b) || !read_batch(t, &c, &a) || !read_batch(t, &c, &b))
            return false;
        if (!same(&c, &a, &b))
            return pd_fails(t, "read does not write every entry of the samples that describe promises");
        pd_test_host_forget(&t->host);
        const pudle_status s = describe(t, &c, PUDLE_SPLIT_TEST, &again);
        if (s && s != PUDLE_ERR_NOTFOUND)
            return pd_fails(t, "describe of the test split returned %s; where there is none it returns PUDLE_ERR_NOTFOUND",
                            pd_status_text(s));
        if (s && !pd_test_host_heard(&t->host))
            return pd_fails(t, "describe finds no test split and says nothing through host->fail");
        if (!s && !sane(t, &again))
            return false;
    }
    return true;
}

/* --------------------------------------------------------------------- order */

/* A request again after others, its samples in another order, and each alone. */
static bool order(pd_trial *t)
{
    static const int32_t precisions[] = { PUDLE_F64, PUDLE_F32 };
    data_case c;
    for (int draw = 0; draw < DRAWS; draw++) {
        const int32_t dtype = precisions[draw % 2];
        int64_t index[FEW], back[FEW], others[FEW];
        batch a, b, r, o;
        if (!open_case(t, &c, draw, PUDLE_SPLIT_TRAIN))
            return false;
        draw_index(t, &c, index, FEW);
        draw_index(t, &c, others, FEW);
        for (int i = 0; i < FEW; i++)
            back[i] = index[FEW - 1 - i];
        if (!batch_new(t, &c, dtype, index, FEW, PD_PLAIN, 0xff, &a) || !batch_new(t, &c, dtype, index, FEW, PD_PLAIN, 0xff, &b) ||
            !batch_new(t, &c, dtype, back, FEW, PD_PLAIN, 0xff, &r) || !batch_new(t, &c, dtype, others, FEW, PD_PLAIN, 0xff, &o))
            return false;
        o.request.epoch = 9;
        o.request.seed = 1;
        if (!read_batch(t, &c, &a) || !read_batch(t, &c, &o) || !read_batch(t, &c, &b) || !read_batch(t, &c, &r))
            return false;
        if (!same(&c, &a, &b))
            return pd_fails(t, "the same request gives other samples after another request");
        const size_t bytes = (size_t)c.entries * pudle_dtype_size(dtype);
        for (int i = 0; i < FEW; i++) {
            batch one;
            if (memcmp((char *)a.x.data + (size_t)i * bytes, (char *)r.x.data + (size_t)(FEW - 1 - i) * bytes, bytes))
                return pd_fails(t, "sample %lld is another one when it is asked for in another order", (long long)index[i]);
            if (!batch_new(t, &c, dtype, &index[i], 1, PD_PLAIN, 0xff, &one) || !read_batch(t, &c, &one))
                return false;
            if (memcmp((char *)a.x.data + (size_t)i * bytes, one.x.data, bytes))
                return pd_fails(t, "sample %lld is another one when it is asked for alone", (long long)index[i]);
        }
    }
    return true;
}

static bool epoch_free(pd_trial *t)
{
    data_case c;
    if (!(t->desc->caps & PUDLE_DATA_EPOCH_FREE))
        return pd_skips(t, "it does not declare PUDLE_DATA_EPOCH_FREE");
    for (int draw = 0; draw < DRAWS; draw++) {
        int64_t index[FEW];
        batch a, b;
        if (!open_case(t, &c, draw, PUDLE_SPLIT_TRAIN))
            return false;
        draw_index(t, &c, index, FEW);
        if (!batch_new(t, &c, PUDLE_F64, index, FEW, PD_PLAIN, 0xff, &a) || !batch_new(t, &c, PUDLE_F64, index, FEW, PD_PLAIN, 0xff, &b))
            return false;
        b.request.epoch = 1000 + (uint64_t)draw;
        if (!read_batch(t, &c, &a) || !read_batch(t, &c, &b))
            return false;
        if (!same(&c, &a, &b))
            return pd_fails(t, "epoch %llu has other samples than epoch %llu", (unsigned long long)b.request.epoch,
                            (unsigned long long)a.request.epoch);
    }
    return true;
}

/* --------------------------------------------------------------------- range */

static bool out_of_range(pd_trial *t)
{
    data_case c;
    for (int draw = 0; draw < DRAWS; draw++) {
        if (!open_case(t, &c, draw, PUDLE_SPLIT_TRAIN))
            return false;
        const int64_t wrong[] = { -1, c.info.samples, INT64_MAX, INT64_MIN };
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            const int64_t index[2] = { 0, wrong[i] };
            batch b;
            if (!batch_new(t, &c, PUDLE_F32, index, 2, PD_PLAIN, 0xff, &b))
                return false;
            pd_test_host_forget(&t->host);
            const pudle_status s = read_status(t, &c, &b);
            if (s != PUDLE_ERR_ARG)
                return pd_fails(t, "sample %lld of %lld is asked for, and read returns %s, not PUDLE_ERR_ARG",
                                (long long)wrong[i], (long long)c.info.samples, pd_status_text(s));
            if (!pd_test_host_heard(&t->host))
                return pd_fails(t, "sample %lld of %lld is asked for, and read says nothing through host->fail",
                                (long long)wrong[i], (long long)c.info.samples);
        }
    }
    return true;
}

static bool precision(pd_trial *t)
{
    data_case c;
    for (int draw = 0; draw < DRAWS; draw++) {
        int64_t index[FEW];
        batch a, b;
        if (!open_case(t, &c, draw, PUDLE_SPLIT_TRAIN))
            return false;
        draw_index(t, &c, index, FEW);
        if (!batch_new(t, &c, PUDLE_F64, index, FEW, PD_PLAIN, 0xff, &a) ||
            !batch_new(t, &c, PUDLE_F32, index, FEW, PD_PLAIN, 0xff, &b) || !read_batch(t, &c, &a) || !read_batch(t, &c, &b))
            return false;
        const pudle_cview x = pudle_const(&a.x), y = pudle_const(&b.x);
        for (int64_t i = 0; i < pudle_count(&x); i++) {
            const double exact = pudle_entry(&x, i), single = pudle_entry(&y, i);
            if (!(fabs(exact - single) <= 4 * (double)FLT_EPSILON * (fabs(exact) + 1e-3)) && !(isnan(exact) && isnan(single)) &&
                exact != single)
                return pd_fails(t, "entry %lld of sample %lld is %.9g in f32 and %.9g in f64", (long long)(i % c.entries),
                                (long long)index[i / c.entries], single, exact);
        }
    }
    return true;
}

static bool bounds(pd_trial *t)
{
    static const int32_t precisions[] = { PUDLE_F64, PUDLE_F32 };
    data_case c;
    for (int draw = 0; draw < 2 * DRAWS; draw++) {
        int64_t index[FEW];
        batch b;
        bool after = false;
        if (!open_case(t, &c, draw / 2, PUDLE_SPLIT_TRAIN))
            return false;
        draw_index(t, &c, index, FEW);
        if (!batch_new(t, &c, precisions[draw / 2 % 2], index, 1 + pd_below(t, FEW), draw % 2 ? PD_GUARD_AFTER : PD_GUARD_BEFORE,
                       0xff, &b) ||
            !read_batch(t, &c, &b))
            return false;
        if (!pd_place_intact(t, b.x.data, &after) || !pd_place_intact(t, b.y.data, &after))
            return pd_fails(t, "read wrote %s x or y", after ? "past the end of" : "before the start of");
    }
    return true;
}

/* ------------------------------------------------------------------- threads */

/* What the source says of true filters: their axes, 0: there are none. */
static int32_t said_filters(pd_trial *t, const pudle_data_truth *truth, int64_t shape[3], int64_t stride[2])
{
    for (int i = 0; i < 3; i++)
        shape[i] = 0;
    for (int i = 0; i < 2; i++)
        stride[i] = 0;
    if (!PUDLE_HAS(truth, pudle_data_truth, filters) || !truth->filters)
        return 0;
    const int32_t axes = PD_IN(t, "truth filters", truth->filters(t->self, shape, stride));
    PD_OUT(t);
    return axes;
}

/* Do true filters have places in a sample? */
static bool sane_filters(pd_trial *t, const data_case *c, int32_t axes, const int64_t *shape, const int64_t *stride)
{
    if (axes == 0)
        return true;
    if (axes < 2 || axes > 3)
        return pd_fails(t, "the truth says that filters have %d axes; 2 and 3 are possible, and 0: there are none", (int)axes);
    if (axes != c->info.rank || shape[0] != c->info.shape[0])
        return pd_fails(t, "true filters have %d axes and %lld channels, samples %d and %lld", (int)axes, (long long)shape[0], (int)c->info.rank,
                        (long long)c->info.shape[0]);
    for (int32_t i = 1; i < axes; i++)
        if (shape[i] < 1 || shape[i] > c->info.shape[i] || stride[i - 1] < 1)
            return pd_fails(t, "true filters have %lld entries on axis %d and stride %lld, samples %lld entries", (long long)shape[i], (int)i,
                            (long long)stride[i - 1], (long long)c->info.shape[i]);
    return true;
}

/* The axes of true filters, which have places in a sample; false: they have none, or what is said of them is nonsense. */
static bool filters_of(pd_trial *t, const data_case *c, const pudle_data_truth *truth, int64_t shape[3], int64_t stride[2], int32_t *axes)
{
    *axes = truth ? said_filters(t, truth, shape, stride) : 0;
    return sane_filters(t, c, *axes, shape, stride);
}

/* The case whose samples are the true codes, (p). */
static data_case codes_case(pd_trial *t, const data_case *c, const pudle_data_truth *truth, int32_t axes, const int64_t *shape, const int64_t *stride)
{
    data_case codes = *c;
    int64_t entries = truth ? truth->atoms(t->self) : 1;
    for (int32_t i = 1; i < axes; i++)
        entries *= (c->info.shape[i] - shape[i]) / stride[i - 1] + 1;
    codes.info.rank = 1;
    codes.info.shape[0] = codes.info.target_shape[0] = entries;
    return codes;
}

typedef pudle_status (*read_fn)(const pudle_host *host, const void *self, const pudle_data_request *request);
typedef struct reader { pd_trial *t; const data_case *c; read_fn read; batch *own, *right; int wrong; } reader;

static void *keep_reading(void *arg)
{
    reader *r = arg;
    for (int round = 0; round < 40 && !r->wrong; round++) {
        memset(r->own->x.data, 0xff, pd_view_bytes(&r->own->x));
        r->wrong = r->read(&r->t->host.table, r->t->self, &r->own->request) != PUDLE_OK || !same(r->c, r->own, r->right);
    }
    return NULL;
}

/* Samples on all threads, and where the source knows them true codes on every second one: training asks for both at once. */
static bool threads(pd_trial *t)
{
    enum { THREADS = 8 };
    const pudle_data_truth *truth = t->desc->get_ext ? t->desc->get_ext(PUDLE_DATA_TRUTH) : NULL;
    data_case c;
    for (int draw = 0; draw < 3; draw++) {
        batch own[THREADS], right[THREADS];
        reader r[THREADS];
        pthread_t thread[THREADS];
        int started = 0;
        int64_t filter[3], stride[2];
        int32_t axes;
        if (!open_case(t, &c, draw, PUDLE_SPLIT_TRAIN) || !filters_of(t, &c, truth, filter, stride, &axes))
            return false;
        const data_case codes = codes_case(t, &c, truth, axes, filter, stride);
        for (int i = 0; i < THREADS; i++) {
            int64_t index[FEW];
            const bool of_codes = truth && i % 2;
            const data_case *own_case = of_codes ? &codes : &c;
            r[i] = (reader){ t, own_case, of_codes ? truth->codes : c.ops->read, &own[i], &right[i], 0 };
            draw_index(t, &c, index, FEW);
            if (!batch_new(t, own_case, PUDLE_F64, index, FEW, PD_PLAIN, 0xff, &own[i]) ||
                !batch_new(t, own_case, PUDLE_F64, index, FEW, PD_PLAIN, 0xff, &right[i]))
                return false;
            if (of_codes)
                own[i].request.y = right[i].request.y = NULL;
            const pudle_status s = PD_IN(t, of_codes ? "truth codes" : "read", r[i].read(&t->host.table, t->self, &right[i].request));
            PD_OUT(t);
            if (s)
                return pd_fails(t, "%s: %s", of_codes ? "the true codes" : "read", pd_status_text(s));
        }
        t->verdict->calling = "read, on several threads";
        for (; started < THREADS; started++)
            if (pthread_create(&thread[started], NULL, keep_reading, &r[started]))
                break;
        for (int i = 0; i < started; i++)
            pthread_join(thread[i], NULL);
        PD_OUT(t);
        for (int i = 0; i < started; i++)
            if (r[i].wrong)
                return pd_fails(t, "%s fails or gives other %s when %d threads read at the same time", r[i].c == &c ? "read" : "the truth",
                                r[i].c == &c ? "samples" : "codes", started);
    }
    return true;
}

/* --------------------------------------------------------------------- truth */

static bool truth(pd_trial *t)
{
    const pudle_data_truth *truth = t->desc->get_ext ? t->desc->get_ext(PUDLE_DATA_TRUTH) : NULL;
    data_case c;
    if (!truth)
        return pd_skips(t, "it does not know what made its data");
    for (int draw = 0; draw < DRAWS; draw++) {
        if (!open_case(t, &c, draw, PUDLE_SPLIT_TRAIN))
            return false;
        const int64_t measured = PUDLE_HAS(truth, pudle_data_truth, measured) && truth->measured ? truth->measured(t->self) : 0;
        int64_t filter[3], stride[2];
        int32_t axes;
        if (!filters_of(t, &c, truth, filter, stride, &axes))
            return false;
        const int64_t p = truth->atoms(t->self), m = axes ? product(axes, filter) : measured ? measured : c.entries;
        const int64_t shape[4] = { axes ? p : m, axes ? filter[0] : p, filter[1], filter[2] };
        if (p < 1)
            return pd_fails(t, "the truth has %lld atoms", (long long)p);
        if (m < 1)
            return pd_fails(t, "the samples are measurements of signals with %lld entries", (long long)m);
        const pudle_view d = pd_view_new(t, PUDLE_F64, axes ? axes + 1 : 2, shape, PD_GUARD_AFTER, "d", NULL);
        if (!d.data)
            return false;
        memset(d.data, 0xff, pd_view_bytes(&d));
        const pudle_status s = PD_IN(t, "truth dictionary", truth->dictionary(t->self, &d));
        PD_OUT(t);
        if (s)
            return pd_fails(t, "the true dictionary: %s", pd_status_text(s));
        for (int64_t i = 0; i < m * p; i++)
            if (!isfinite(((const double *)d.data)[i]))
                return pd_fails(t, "entry %lld of the true dictionary (%lld, %lld) is not finite or was not written",
                                (long long)i, (long long)m, (long long)p);
        int64_t index[FEW];
        batch b;
        draw_index(t, &c, index, FEW);
        const data_case codes = codes_case(t, &c, truth, axes, filter, stride);
        if (!batch_new(t, &codes, PUDLE_F64, index, FEW, PD_GUARD_AFTER, 0xff, &b))
            return false;
        b.request.y = NULL;
        const pudle_status read = PD_IN(t, "truth codes", truth->codes(&t->host.table, t->self, &b.request));
        PD_OUT(t);
        if (read)
            return pd_fails(t, "the true codes: %s", pd_status_text(read));
        for (int64_t i = 0; i < FEW * codes.info.shape[0]; i++)
            if (!isfinite(((const double *)b.x.data)[i]))
                return pd_fails(t, "entry %lld of the true codes is not finite or was not written", (long long)i);
    }
    return true;
}

/* -------------------------------------------------------------------- labels */

enum { UNWRITTEN = -77 };

static pudle_status ask_labels(pd_trial *t, const pudle_data_labels *ext, int32_t split, const int64_t *index, int64_t count, int64_t *labels)
{
    const pudle_data_request request = { .size = sizeof request, .split = split, .index = index, .count = count };
    for (int64_t i = 0; i < count; i++)
        labels[i] = UNWRITTEN;
    pd_test_host_forget(&t->host);
    const pudle_status s = PD_IN(t, "labels", ext->labels(&t->host.table, t->self, &request, labels));
    PD_OUT(t);
    return s;
}

/* Every sample has one label, whatever is asked for beside it. */
static bool labels(pd_trial *t)
{
    const pudle_data_labels *ext = t->desc->get_ext ? t->desc->get_ext(PUDLE_DATA_LABELS) : NULL;
    data_case c;
    if (!ext)
        return pd_skips(t, "its samples have no classes");
    if (!PUDLE_HAS(ext, pudle_data_labels, labels) || !ext->labels)
        return pd_fails(t, "%s has no function labels, or a size that leaves it out", PUDLE_DATA_LABELS);
    for (int draw = 0; draw < DRAWS; draw++) {
        int64_t index[FEW], own[FEW], one;
        if (!open_case(t, &c, draw, PUDLE_SPLIT_TRAIN))
            return false;
        draw_index(t, &c, index, FEW);
        pudle_status s = ask_labels(t, ext, PUDLE_SPLIT_TRAIN, index, FEW, own);
        if (s)
            return pd_fails(t, "the labels: %s", pd_status_text(s));
        for (int i = 0; i < FEW; i++) {
            if (own[i] < 0 && own[i] != PUDLE_NO_LABEL)
                return pd_fails(t, own[i] == UNWRITTEN ? "the label of sample %lld is not written" : "the label of sample %lld is %lld: labels are 0 or more, "
                                "or PUDLE_NO_LABEL", (long long)index[i], (long long)own[i]);
            s = ask_labels(t, ext, PUDLE_SPLIT_TRAIN, &index[i], 1, &one);
            if (s || one != own[i])
                return pd_fails(t, "sample %lld has label %lld, and another one when it is asked for alone", (long long)index[i], (long long)own[i]);
        }
        const int64_t wrong = draw % 2 ? -1 : c.info.samples;
        s = ask_labels(t, ext, PUDLE_SPLIT_TRAIN, &wrong, 1, &one);
        if (s != PUDLE_ERR_ARG || !pd_test_host_heard(&t->host))
            return pd_fails(t, "the label of sample %lld of %lld is asked for: PUDLE_ERR_ARG is wanted, with a reason through host->fail", (long long)wrong,
                            (long long)c.info.samples);
    }
    return true;
}

const pd_test pd_data_tests[] = {
    { "describe", "the samples that describe promises can be read, in the shape it says", described },
    { "order", "a sample does not depend on what is or was asked for beside it", order },
    { "epoch", "a source declared free of epochs has the same samples in each", epoch_free },
    { "range", "a sample that does not exist is PUDLE_ERR_ARG, with a reason", out_of_range },
    { "precision", "f32 agrees with f64", precision },
    { "bounds", "nothing outside its arrays is written", bounds },
    { "threads", "many threads may read samples and true codes at the same time", threads },
    { "truth", "the true dictionary and codes are there, in the shape of the data", truth },
    { "labels", "every sample has a label, or PUDLE_NO_LABEL", labels },
    { NULL, NULL, NULL },
};
