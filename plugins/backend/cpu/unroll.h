/* plugins/backend/cpu/unroll.h - the cpu backend's unroll; see unroll.c for how, pudle/unroll.h for what. */
#ifndef BACKEND_CPU_UNROLL_H
#define BACKEND_CPU_UNROLL_H

#include <pudle/unroll.h>

/* What the backend's option `unroll` says. */
enum unroll_way { UNROLL_AUTO, UNROLL_TILES, UNROLL_ROWS, UNROLL_NONE };
/* The most atoms for tiles (unroll_tiles.c). */
enum { UNROLL_FEW_ATOMS = 512 };

extern const pudle_unroll_ops cpu_unroll_ops;       /* whatever the dictionary is: unroll_select.c */
extern const pudle_unroll_ops cpu_unroll_dense_ops;

#endif
