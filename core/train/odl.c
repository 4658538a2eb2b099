/* Atoms go in blocks: what D leaves of B for a block is one matrix product by the backend, with the atoms as they are before the block; within it each atom's change is
 * taken from what the next ones see. So the result is that of one atom after the other, and nearly all of the work is products. */
#include "train/odl.h"
#include <math.h>
#include <stdlib.h>

enum { BLOCK = 32, PROBES = 3 };

static const pd_parameter *dictionary(const pd_problem *pb)
{
    return &pb->net.dictionary;
}

/* ------------------------------------------------------------------- what the loss must be */

/* Hessian times u at one sample of zeros, of which one entry may be missing: u itself, for least squares. */
static pudle_status probe(pd_problem *pb, bool gap, bool *same)
{
    const int64_t m = pb->net.map.features;
    const size_t bytes = (size_t)m * pudle_dtype_size(pb->dtype);
    const pudle_view host = pd_matrix(pd_alloc((size_t)m, pudle_dtype_size(pb->dtype)), pb->dtype, 1, m);
    void *memory[PROBES] = { NULL }; /* prediction, target, u */
    pudle_status s = host.data ? PUDLE_OK : pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for a sample of %lld entries", (long long)m);
    for (int k = 0; k < PROBES && !s; k++) {
        for (int64_t i = 0; i < m; i++)
            pd_put(host.data, pb->dtype, i, k == 2 ? (double)(i % 7) - 2.5 : k == 1 && gap && i == 0 ? (double)NAN : 0);
        s = pb->be->alloc(pb->exec, bytes, &memory[k]);
        if (!s)
            s = pb->be->upload(pb->exec, memory[k], host.data, bytes);
    }
    const pudle_view pred = pd_matrix(memory[0], pb->dtype, 1, m), target = pd_matrix(memory[1], pb->dtype, 1, m), u = pd_matrix(memory[2], pb->dtype, 1, m);
    const pudle_view shaped_pred = pd_map_data_view(&pb->net.map, &pred), shaped_target = pd_map_data_view(&pb->net.map, &target), shaped_u = pd_map_data_view(&pb->net.map, &u);
    const pudle_cview cp = pudle_const(&shaped_pred), ct = pudle_const(&shaped_target), cu = pudle_const(&shaped_u), back = pudle_const(&host);
    if (!s)
        s = pb->be->loss_hvp(pb->exec, &pb->net.loss, &cp, &ct, &cu, &shaped_u);
    if (!s)
        s = pb->be->download(pb->exec, host.data, memory[2], bytes);
    for (int64_t i = 0; i < m && !s; i++)
        *same = *same && pudle_entry(&back, i) == (double)(i % 7) - 2.5;
    for (int k = 0; k < PROBES; k++)
        if (memory[k])
            pb->be->free(pb->exec, memory[k]);
    free(host.data);
    return s;
}

pudle_status pd_odl_possible(pd_problem *pb)
{
    bool same = true;
    pudle_status s = pb->loss.desc->caps & PUDLE_LOSS_QUADRATIC ? probe(pb, false, &same) : (same = false, PUDLE_OK);
    if (!s && same)
        s = probe(pb, true, &same);
    return s || same ? s : pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "train.optimizer = \"odl\" is for least squares over all entries, and the loss '%s' is another; write  optimizer = \"adam\";",
                                   pb->loss.desc->name);
}

pudle_status pd_odl_init(pd_problem *pb)
{
    pd_parameter *d = &pb->net.dictionary;
    const int64_t p = pb->net.map.atoms;
    pudle_status s = pd_network_take(&pb->net, &d->state[0], d->value.shape[0], p);
    if (!s)
        s = pd_network_take(&pb->net, &d->state[1], p, p);
    for (int i = 0; i < 2 && !s; i++)
        s = pb->be->fill(pb->exec, 0.0, &d->state[i]);
    return s;
}

/* ------------------------------------------------------------------------------------ room */

static double get(const pudle_view *v, int64_t i)
{
    return pd_get(v->data, v->dtype, i);
}

static void put(const pudle_view *v, int64_t i, double value)
{
    pd_put(v->data, v->dtype, i, value);
}

/* Room in host memory; and with the backend, where atoms are rows. */
typedef struct room {
    pudle_view d, a, b, rows, left; /* D and B (m, p) and A (p, p) as they are; D', (p, m); what D leaves of B' for a block, (BLOCK, m) */
    pudle_view device_rows, device_left;
} room;

static pudle_status room_open(pd_problem *pb, room *r)
{
    const int64_t m = dictionary(pb)->value.shape[0], p = pb->net.map.atoms;
    const size_t width = pudle_dtype_size(pb->dtype);
    struct { pudle_view *view; int64_t rows, cols; } const host[] = { { &r->d, m, p }, { &r->a, p, p }, { &r->b, m, p }, { &r->rows, p, m }, { &r->left, BLOCK, m } };
    *r = (room){ .d.data = NULL };
    for (size_t i = 0; i < sizeof host / sizeof *host; i++) {
        *host[i].view = pd_matrix(pd_alloc((size_t)(host[i].rows * host[i].cols), width), pb->dtype, host[i].rows, host[i].cols);
        if (!host[i].view->data)
            return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory to update %lld atoms of %lld entries", (long long)p, (long long)m);
    }
    const pudle_status s = pd_network_take(&pb->net, &r->device_rows, p, m);
    return s ? s : pd_network_take(&pb->net, &r->device_left, BLOCK, m);
}

static void room_close(pd_problem *pb, room *r)
{
    pudle_view *const host[] = { &r->d, &r->a, &r->b, &r->rows, &r->left }, *const device[] = { &r->device_rows, &r->device_left };
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]->data);
    for (size_t i = 0; i < sizeof device / sizeof *device; i++)
        if (device[i]->data)
            pb->be->free(pb->exec, device[i]->data);
}

/* ---------------------------------------------------------------------------- the update */

static pudle_status fetch(pd_problem *pb, const pudle_view *from, const pudle_view *to)
{
    const pudle_cview c = pudle_const(from);
    return pb->be->download(pb->exec, to->data, from->data, (size_t)pudle_count(&c) * pudle_dtype_size(pb->dtype));
}

static pudle_status send(pd_problem *pb, const pudle_view *from, const pudle_view *to)
{
    const pudle_cview c = pudle_const(from);
    return pb->be->upload(pb->exec, to->data, from->data, (size_t)pudle_count(&c) * pudle_dtype_size(pb->dtype));
}

static pudle_status fetch_all(pd_problem *pb, const room *r)
{
    const pd_parameter *d = dictionary(pb);
    pudle_status s = fetch(pb, &d->value, &r->d);
    if (!s)
        s = fetch(pb, &d->state[0], &r->b);
    return s ? s : fetch(pb, &d->state[1], &r->a);
}

/* What the dictionary that it all begins with counts for, with the first batch that has codes. */
static pudle_status begin(pd_problem *pb, const room *r)
{
    const pd_parameter *d = dictionary(pb);
    const int64_t p = pb->net.map.atoms;
    const pudle_cview value = pudle_const(&d->value), known = pudle_const(&d->state[1]);
    int64_t nonzero = 0, nonfinite = 0;
    double trace = 0;
    pudle_status s = pb->be->census(pb->exec, &known, &nonzero, &nonfinite);
    if (s || nonzero)
        return s;
    s = fetch(pb, &pb->net.code_gram, &r->a);
    for (int64_t j = 0; j < p && !s; j++)
        trace += get(&r->a, j * p + j);
    if (s || !(trace > 0))
        return s;
    const double weight = pb->settings->train.prior * trace / (double)p;
    for (int64_t i = 0; i < p * p; i++)
        put(&r->a, i, i % (p + 1) ? 0 : weight);
    s = send(pb, &r->a, &d->state[1]);
    return s ? s : pb->be->axpby(pb->exec, weight, &value, 0.0, &d->state[0]);
}

static pudle_status add_batch(pd_problem *pb, int64_t update)
{
    const pd_parameter *d = dictionary(pb);
    const double kept = pow(1 - 1 / ((double)update + pb->settings->train.prior), pb->settings->train.forget);
    const pudle_cview value = pudle_const(&d->value), gram = pudle_const(&pb->net.code_gram), g = pudle_const(&d->grad);
    pudle_status s = pb->be->axpby(pb->exec, 1.0, &gram, kept, &d->state[1]);
    if (!s)
        s = pb->be->gemm(pb->exec, false, false, 1.0, &value, &gram, kept, &d->state[0]);
    return s ? s : pb->be->axpby(pb->exec, -1.0, &g, 1.0, &d->state[0]);
}

/* left = B' - A D' for atoms [first, first + count); A is symmetric. */
static pudle_status find_left(pd_problem *pb, const room *r, int64_t first, int64_t count)
{
    const int64_t m = r->d.shape[0], p = r->d.shape[1];
    const pudle_view left = pd_rows(&r->left, 0, count), device = pd_rows(&r->device_left, 0, count), a = pd_rows(&dictionary(pb)->state[1], first, count);
    const pudle_cview ca = pudle_const(&a), d = pudle_const(&r->device_rows);
    for (int64_t k = 0; k < count; k++)
        for (int64_t i = 0; i < m; i++)
            put(&left, k * m + i, get(&r->b, i * p + first + k));
    pudle_status s = send(pb, &left, &device);
    if (!s)
        s = pb->be->gemm(pb->exec, false, false, -1.0, &ca, &d, 1.0, &device);
    return s ? s : fetch(pb, &device, &left);
}

/* Atom j, whose row of `left` is up to date; returns whether it has changed. */
static bool solve(const room *r, int64_t j, int64_t row, double *change)
{
    const int64_t m = r->d.shape[0], p = r->d.shape[1];
    const double weight = get(&r->a, j * p + j);
    double square = 0;
    if (!(weight > 0))
        return false;
    for (int64_t i = 0; i < m; i++) {
        change[i] = get(&r->rows, j * m + i) + get(&r->left, row * m + i) / weight;
        square += change[i] * change[i];
    }
    if (!(square > 0 && isfinite(square)))
        return false;
    for (int64_t i = 0; i < m; i++) {
        const double before = get(&r->rows, j * m + i);
        put(&r->rows, j * m + i, change[i] / sqrt(square));
        change[i] = get(&r->rows, j * m + i) - before; /* as it is stored */
    }
    return true;
}

static pudle_status solve_block(pd_problem *pb, const room *r, int64_t first, int64_t count, double *change)
{
    const int64_t m = r->d.shape[0], p = r->d.shape[1];
    pudle_status s = find_left(pb, r, first, count);
    for (int64_t j = first; j < first + count && !s; j++) {
        if (!solve(r, j, j - first, change))
            continue;
        for (int64_t k = j + 1; k < first + count; k++) {
            const double weight = get(&r->a, k * p + j);
            for (int64_t i = 0; i < m && weight != 0; i++)
                put(&r->left, (k - first) * m + i, get(&r->left, (k - first) * m + i) - weight * change[i]);
        }
    }
    const pudle_view rows = pd_rows(&r->rows, first, count), device = pd_rows(&r->device_rows, first, count);
    return s ? s : send(pb, &rows, &device);
}

static void transpose(const pudle_view *from, const pudle_view *to)
{
    const int64_t rows = from->shape[0], cols = from->shape[1];
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < cols; k++)
            put(to, k * rows + i, get(from, i * cols + k));
}

pudle_status pd_odl_step(pd_problem *pb, int64_t update)
{
    const pd_parameter *d = dictionary(pb);
    const int64_t p = pb->net.map.atoms;
    double *change = pd_alloc((size_t)d->value.shape[0], sizeof *change);
    room r = { .d.data = NULL };
    pudle_status s = change ? room_open(pb, &r) : pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for an atom");
    if (!s)
        s = begin(pb, &r);
    if (!s)
        s = add_batch(pb, update);
    if (!s)
        s = fetch_all(pb, &r);
    if (!s) {
        transpose(&r.d, &r.rows);
        s = send(pb, &r.rows, &r.device_rows);
    }
    for (int64_t first = 0; first < p && !s; first += BLOCK)
        s = solve_block(pb, &r, first, p - first < BLOCK ? p - first : BLOCK, change);
    if (!s) {
        transpose(&r.rows, &r.d);
        s = send(pb, &r.d, &d->value);
    }
    room_close(pb, &r);
    free(change);
    return s;
}

pudle_status pd_odl_forget(pd_problem *pb, int64_t count, const int64_t *atom)
{
    const pd_parameter *d = dictionary(pb);
    const int64_t m = d->value.shape[0], p = d->value.shape[1];
    room r = { .d.data = NULL };
    pudle_status s = room_open(pb, &r);
    if (!s)
        s = fetch_all(pb, &r);
    for (int64_t i = 0; i < m && !s; i++)
        for (int64_t k = 0; k < p; k++) {
            double left = get(&r.b, i * p + k);
            for (int64_t j = 0; j < count; j++)
                left -= get(&r.d, i * p + atom[j]) * get(&r.a, atom[j] * p + k);
            put(&r.b, i * p + k, left);
        }
    for (int64_t j = 0; j < count && !s; j++) {
        for (int64_t i = 0; i < m; i++)
            put(&r.b, i * p + atom[j], 0);
        for (int64_t k = 0; k < p; k++) {
            put(&r.a, atom[j] * p + k, 0);
            put(&r.a, k * p + atom[j], 0);
        }
    }
    if (!s)
        s = send(pb, &r.b, &d->state[0]);
    if (!s)
        s = send(pb, &r.a, &d->state[1]);
    room_close(pb, &r);
    return s;
}
