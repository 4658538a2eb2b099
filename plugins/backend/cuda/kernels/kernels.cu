/* The kernels that do not depend on a plugin, for nvcc. A C++ compiler takes the same text as host code (grid.h). */
#include "grid.h"
#include "tiles.h"

/* Place of entry i of rows of `cols` entries, `stride` apart; cols 0: no gaps. */
PUDLE_DEVICE long long pudle_at(long long i, long long cols, long long stride)
{
    return cols ? i / cols * stride + i % cols : i;
}

/* Where entry (i, j) of a symmetric matrix is, of which tiles of 32 by 32 entries above the diagonal and on it are kept, row by row of `tiles` (i / 32 <= j / 32). */
PUDLE_DEVICE unsigned pudle_tile_at(unsigned i, unsigned j, unsigned tiles)
{
    const unsigned across = i / 32, along = j / 32;
    return (across * tiles - across * (across + 1) / 2 + along) * 1024 + i % 32 * 32 + j % 32;
}

/* out[row] <- the sum of partial[row, 0 .. cols), or that added to it. A block for each row. */
PUDLE_KERNEL pudle_sum_rows(const double *partial, long long cols, double *out, int add)
{
    PUDLE_BLOCKS(b) {
        PUDLE_SHARED double part[PUDLE_BLOCK];
        PUDLE_THREADS(t, width) {
            double sum = 0;
            for (long long i = t; i < cols; i += width)
                sum += partial[b * cols + i];
            part[t] = sum;
        }
        PUDLE_SYNC;
        PUDLE_TREE(part)
        PUDLE_THREADS(t, width) if (t < 1 && width) out[b] = add ? out[b] + part[0] : part[0];
    }
}
PUDLE_CALLABLE(pudle_sum_rows)

/* used = { numbers taken, and the most that ever were }: none are. */
PUDLE_KERNEL pudle_tape_begin(unsigned *used)
{
    PUDLE_ENTRIES(i, 1) {
        used[1] = used[0] > used[1] ? used[0] : used[1];
        used[i] = 0;
    }
}
PUDLE_CALLABLE(pudle_tape_begin)

#define REAL float
#define K(name) pudle_##name##_f32
#include "arrays_kernels.h"
#include "convolution_kernels.h"
#undef REAL
#undef K
#define REAL double
#define K(name) pudle_##name##_f64
#include "arrays_kernels.h"
#include "convolution_kernels.h"
