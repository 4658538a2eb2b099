/* Dead atoms become what D leaves of samples, or samples themselves. */
#include "train/revive.h"
#include "train/dictionary.h"
#include "train/draw.h"
#include "train/look.h"
#include "train/replace.h"
#include "train/streams.h"
#include "train/windows.h"
#include <stdlib.h>

static const double almost_zero = 1e-12; /* norm of what can become no atom, as for backends */
static const double enough = 0.1;        /* share of its norm that a direction must have beside others, to be one of its own */

/* Their numbers, in order; returns how many. */
static int64_t list_dead(const pd_look *l, int64_t *dead)
{
    const double most = l->pb->settings->train.revive_below * (double)l->samples;
    int64_t count = 0;
    for (int64_t k = 0; k < l->pb->net.map.atoms; k++)
        if ((double)l->uses[k] <= most)
            dead[count++] = k;
    return count;
}

/* ------------------------------------------------------------- whose samples */

static int falling(const void *a, const void *b)
{
    const pd_candidate *x = a, *y = b;
    if (x->energy != y->energy)
        return x->energy > y->energy ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* Each dead atom draws one of the `usable` first samples that those before it have left. */
static void draw(pd_look *l, const int64_t *dead, int64_t count, int64_t usable)
{
    for (int64_t i = 0; i < count; i++) {
        pudle_random random = pudle_random_at((uint64_t)l->pb->settings->train.seed, PD_STREAM_REVIVE, (uint32_t)l->epoch, (uint64_t)dead[i]);
        const int64_t other = i + (int64_t)pudle_random_below(&random, (uint64_t)(usable - i));
        const pd_candidate drawn = l->sample[other];
        l->sample[other] = l->sample[i];
        l->sample[i] = drawn;
    }
}

/* Those for the dead atoms come to the front of the samples: drawn, or the worst explained. Returns how many. */
static int64_t choose(pd_look *l, const int64_t *dead, int64_t count)
{
    int64_t usable = 0;
    for (int64_t i = 0; i < l->samples; i++)
        if (l->sample[i].energy > almost_zero * almost_zero)
            l->sample[usable++] = l->sample[i];
    const int64_t chosen = count < usable ? count : usable;
    if (l->whole)
        draw(l, dead, chosen, usable);
    else
        qsort(l->sample, (size_t)usable, sizeof *l->sample, falling);
    return chosen;
}

/* ----------------------------------------------------------------- directions */

/* Take out of a vector what some unit vectors at right angles have of it. */
static void deflate(double *v, int64_t length, const double *unit, int64_t count)
{
    for (int64_t j = 0; j < count; j++, unit += length) {
        double product = 0;
        for (int64_t k = 0; k < length; k++)
            product += v[k] * unit[k];
        for (int64_t k = 0; k < length; k++)
            v[k] -= product * unit[k];
    }
}

/* The vector behind `count` unit vectors at right angles becomes one more, where they leave enough of it. Returns how many there are then. */
static int64_t add_direction(double *unit, int64_t length, int64_t count)
{
    double *v = unit + count * length;
    if (!(pd_unit_vector(v, length) > almost_zero))
        return count;
    deflate(v, length, unit, count);
    return count + (pd_unit_vector(v, length) > enough);
}

/* ---------------------------------------------------------------------- atoms */

/* What atoms are made with. */
typedef struct maker {
    pd_look look;
    pd_array d;
    int64_t length;   /* entries of an atom */
    int64_t *dead;    /* (atoms) */
    double *made;     /* (chosen, length): unit vectors */
    double *used;     /* (length + 1 or atoms, length): directions of the atoms that a sample uses */
    double *window;   /* filters: what is left of a sample, the energies of its windows, and room to find them */
} maker;

/* Where filters lie, the window with the most of what is left. */
static void cut_best_window(const maker *mk, int64_t sample, double *atom)
{
    const pd_map *map = &mk->look.pb->net.map;
    double *left = mk->window, *energy = left + map->features;
    int64_t best = 0;
    for (int64_t k = 0; k < map->features; k++)
        left[k] = pd_look_left(&mk->look, sample * map->features + k);
    pd_window_energies(&map->conv, left, energy + map->code / map->atoms, energy);
    for (int64_t i = 1; i < map->code / map->atoms; i++)
        best = energy[i] > energy[best] ? i : best;
    pd_window_cut(&map->conv, left, best, atom);
}

/* Take out of a residual what the atoms that its sample uses have of it: a penalty keeps their codes small, and what it costs them is theirs. */
static void deflate_used(const maker *mk, int64_t sample, double *atom)
{
    const pudle_cview d = pudle_const(&mk->d.view);
    const int64_t atoms = mk->look.pb->net.map.atoms;
    int64_t count = 0;
    for (int64_t j = 0; j < atoms; j++) {
        if (pd_look_code(&mk->look, sample * atoms + j) == 0)
            continue;
        for (int64_t k = 0; k < mk->length; k++)
            mk->used[count * mk->length + k] = pudle_entry(&d, k * atoms + j);
        count = add_direction(mk->used, mk->length, count);
    }
    deflate(atom, mk->length, mk->used, count);
}

/* One more, from a sample of the block that was looked at last, where it has something to offer. Returns how many there are then. */
static int64_t make_atom(const maker *mk, int64_t sample, int64_t count)
{
    const pd_look *l = &mk->look;
    double *atom = mk->made + count * mk->length;
    if (l->pb->net.map.matrix)
        for (int64_t k = 0; k < mk->length; k++)
            atom[k] = pd_look_left(l, sample * mk->length + k);
    else
        cut_best_window(mk, sample, atom);
    if (l->whole)
        return count + (pd_unit_vector(atom, mk->length) > almost_zero);
    if (l->pb->net.map.matrix)
        deflate_used(mk, sample, atom);
    return add_direction(mk->made, mk->length, count);
}

static pudle_status make_atoms(maker *mk, int64_t chosen, int64_t *made)
{
    pd_look *l = &mk->look;
    pudle_status s = PUDLE_OK;
    *made = 0;
    for (int64_t first = 0; first < chosen && !s; first += l->block) {
        const int64_t count = chosen - first < l->block ? chosen - first : l->block;
        s = pd_look_at(l, l->sample + first, count);
        for (int64_t i = 0; i < count && !s; i++)
            *made = make_atom(mk, i, *made);
    }
    return s;
}

static pudle_status replace_dead(maker *mk, pd_revival *out)
{
    pd_problem *pb = mk->look.pb;
    const int64_t atoms = pb->net.map.atoms;
    pudle_status s = pd_problem_get_dictionary(pb, &mk->d);
    if (s)
        return s;
    const pudle_cview d = pudle_const(&mk->d.view);
    mk->length = pudle_count(&d) / atoms;
    mk->dead = pd_alloc((size_t)atoms, sizeof *mk->dead);
    mk->used = pd_alloc((size_t)(atoms < mk->length ? atoms : mk->length + 1), (size_t)mk->length * sizeof *mk->used);
    mk->made = pd_alloc((size_t)atoms, (size_t)mk->length * sizeof *mk->made);
    if (!pb->net.map.matrix)
        mk->window = pd_alloc((size_t)(pb->net.map.features + pb->net.map.code / atoms + pd_window_room(&pb->net.map.conv)), sizeof *mk->window);
    if (!mk->dead || !mk->used || !mk->made || (!pb->net.map.matrix && !mk->window))
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for %lld atoms that may be replaced", (long long)atoms);
    out->dead = list_dead(&mk->look, mk->dead);
    s = make_atoms(mk, choose(&mk->look, mk->dead, out->dead), &out->replaced);
    return s || !out->replaced ? s : pd_replace_atoms(pb, out->replaced, mk->dead, mk->made);
}

pudle_status pd_revive(pd_problem *pb, int64_t epoch, int64_t update, const volatile sig_atomic_t *stop, pd_revival *out)
{
    maker mk = { .look = { .pb = pb, .epoch = epoch, .update = update, .whole = pb->settings->train.revive == PD_REVIVE_SAMPLES } };
    *out = (pd_revival){ 0 };
    pudle_status s = pd_problem_refresh(pb, pd_problem_beta(pb, update));
    if (!s)
        s = pd_look_open(&mk.look);
    if (!s)
        s = pd_look_at_all(&mk.look, stop, &out->stopped);
    out->looked = mk.look.samples;
    if (!s && !out->stopped)
        s = replace_dead(&mk, out);
    pd_array_free(&mk.d);
    free(mk.dead);
    free(mk.used);
    free(mk.made);
    free(mk.window);
    pd_look_close(&mk.look);
    return s ? pd_fail(pb->ctx, s, "in a look for dead atoms after %lld updates; train.revive = \"none\" trains without", (long long)update) : s;
}
