/* unroll.c once more, in vectors of 512 bits, for processors that have them: half of the loads and multiply-adds. */
#include "cpu.h"
#include "transpose.h"
#include "unroll.h"
#include "unroll_gram.h"
#include "unroll_parts.h"
#include "wide.h"
#include "wide_bytes.h"

#ifdef WIDE_POSSIBLE
#include <float.h>
#include <immintrin.h>
#include <stdlib.h>
#undef UNROLL_CLONES
#define UNROLL_CLONES
#define UNROLL_VECTOR 64
#define UNROLL_OPS cpu_unroll_dense_wide_ops
#include "wide_begin.h"
#include "unroll.c"
#include "wide_end.h"
#endif
