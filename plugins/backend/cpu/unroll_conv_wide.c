/* unroll_conv.c once more, in vectors of 512 bits, for processors that have them: half of the loads and multiply-adds. */
#include "unroll_conv.h"
#include "unroll_conv_pairs.h"
#include "unroll_parts.h"
#include "wide.h"

#ifdef WIDE_POSSIBLE
#include <immintrin.h>
#include <stdlib.h>
#define CONV_VECTOR 64
#define CONV_OPS cpu_unroll_conv_wide_ops
#include "wide_begin.h"
#include "unroll_conv.c"
#include "wide_end.h"
#endif
