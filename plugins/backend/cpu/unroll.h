/* plugins/backend/cpu/unroll.h - the cpu backend's unrolls. What they do: pudle/unroll.h; how: unroll.c (dense), unroll_tiles.c (dense, few
 * atoms), unroll_conv.c; which: unroll_select.c. */
#ifndef BACKEND_CPU_UNROLL_H
#define BACKEND_CPU_UNROLL_H

#include <pudle/unroll.h>

/* What the backend's option `unroll` says. */
enum unroll_way { UNROLL_AUTO, UNROLL_TILES, UNROLL_ROWS, UNROLL_NONE };
/* The most atoms for tiles; where there are many layers, most of them can go without most atoms, and that pays from fewer atoms on. */
enum { UNROLL_FEW_ATOMS = 512, UNROLL_FEW_ATOMS_LONG = 400, UNROLL_LONG = 80 };

static inline bool unroll_few_atoms(int64_t atoms, int64_t layers)
{
    return atoms <= (layers < UNROLL_LONG ? UNROLL_FEW_ATOMS : UNROLL_FEW_ATOMS_LONG);
}

extern const pudle_unroll_ops cpu_unroll_ops;       /* whatever the dictionary is: unroll_select.c */
extern const pudle_unroll_ops cpu_unroll_dense_ops, cpu_unroll_dense_wide_ops; /* the second in vectors of 512 bits, where WIDE_POSSIBLE */

#endif
