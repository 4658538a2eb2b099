/* unroll_tiles.c once more, in vectors of 512 bits, for processors that have them: half of the loads and multiply-adds. */
#include "unroll.h"
#include "unroll_gram.h"
#include "unroll_parts.h"
#include "unroll_tiles.h"
#include "wide.h"

#ifdef WIDE_POSSIBLE
#include <immintrin.h>
#include <unistd.h>
#undef UNROLL_CLONES
#define UNROLL_CLONES
#define TILES_VECTOR 64
#define TILES_OPS cpu_unroll_tiles_wide_ops
#include "wide_begin.h"
#include "unroll_tiles.c"
#include "wide_end.h"
#endif
