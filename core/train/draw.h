/* core/train/draw.h - what the initialisations share: unit vectors, drawing without replacement. Internal to core/train. */
#ifndef PD_DRAW_H
#define PD_DRAW_H

#include <stdint.h>
#include <pudle/random.h>

/** v <- v / ||v||. Returns the norm: 0 (v is then left alone), or not finite (v is then of no use). */
double pd_unit_vector(double *v, int64_t m);

/** Atom number `index` of N(0, 1) entries with unit norm. */
void pd_random_atom(uint64_t seed, int64_t index, int64_t m, double *v);

/** One step of a shuffle: item[at] becomes a uniform choice among item[at .. n-1]. */
void pd_draw_next(pudle_random *random, int64_t *item, int64_t n, int64_t at);

/** atoms (p, m) -> d (m, p). */
void pd_atoms_to_columns(const double *atoms, int64_t m, int64_t p, double *d);

#endif
