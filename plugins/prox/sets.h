/* A code cut into the sets of entries that an operator looks at together: a whole sample or, in convolutional codes, the atoms at
 * one position. For dense codes both are the same. */
#ifndef SETS_H
#define SETS_H

#include <pudle/plugin.h>

enum { OVER_SAMPLE = 0, OVER_POSITION = 1 };

/* The row of an option table; OPERATOR completes its sentence. */
#define OVER_OPTION(PARAMS, WHAT)                                                                                         \
    { .name = "over", .type = PUDLE_ENUM, .offset = offsetof(PARAMS, over), .dflt = "sample", .choices = "sample|position", \
      .doc = WHAT " the whole code of a sample, or the atoms at each position of a convolutional code." }

/* Entry j of set i lies at code_set_start(i) + j * stride, and belongs to atom j / per_atom. */
typedef struct code_sets {
    int64_t count, length, stride;
    int64_t apart, block; /* `apart` sets begin side by side; the next ones `block` entries later */
    int64_t per_atom;
} code_sets;

static inline code_sets code_sets_of(const pudle_cview *v, int32_t over)
{
    const pudle_code_shape s = pudle_code_shape_of(v);
    code_sets c = { s.batch, s.atoms * s.inner, 1, 1, s.atoms * s.inner, s.inner };
    if (over == OVER_POSITION)
        c = (code_sets){ s.batch * s.inner, s.atoms, s.inner, s.inner, s.atoms * s.inner, 1 };
    if (s.atoms == 0 || s.inner == 0)
        c.count = 0;
    return c;
}

static inline int64_t code_set_start(const code_sets *c, int64_t i)
{
    return i / c->apart * c->block + i % c->apart;
}

#endif
