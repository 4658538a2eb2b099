/* plugins/backend/cuda/source.h - CUDA C++ out of the body that an elementwise plugin keeps (pudle_source).
 *
 * The text also compiles as plain C++ for the host, with loops in place of threads: so every operator's device source can be
 * run and compared with its host kernel on a machine without a GPU. */
#ifndef CUDA_SOURCE_H
#define CUDA_SOURCE_H

#include <pudle/plugin.h>

/** Names of the kernels that a text defines, for SUFFIX f32 and f64:
 *    pudle_prox_apply_SUFFIX(options, tau, levels, v, p, shape)
 *    pudle_prox_vjp_SUFFIX(options, tau, levels, v, g, gv, shape)
 *    pudle_prox_levels_SUFFIX(options, tau, levels, v, g, partial, shape, chunks, step, kept)
 *                                                          partial: f64 (levels, atoms, chunks), whose sums are gtheta; step: f64, tau
 *                                                          itself on the device, or NULL; kept: where g is 0, v is not known, and adds nothing
 *    pudle_prox_layer_SUFFIX(options, step, levels, q, c, z, v, shape)            v <- z + step (c - q), z <- prox(v); q NULL: z was 0, v NULL:
 *                                                          it is not kept
 *    pudle_prox_back_SUFFIX(options, step, levels, before, v, past, q, scaled, u, up, us, zs, w, shape)
 *                                                          up <- u - step[1] q (scaled: u - q), u <- J' up, us <- step u, w += us, zs <- prox(past) with the
 *                                                          levels and step before; q, past, up, w may be NULL
 *    pudle_prox_list_layer_SUFFIX(options, step, levels, gram, c, in, out, z, tape, atoms)
 *                                                          v <- z + step (c - G z), z <- prox(v), where G z is a sum over the entries of z that `in` lists, and
 *                                                          `out` then lists those of the new z; in.count NULL: z was 0, tape.bits NULL: v is not kept
 *    pudle_prox_list_back_SUFFIX(options, step, levels, before, gram, tape, past, v, in, out, u, up, us, zs, w, u_bits, z_bits, column, stride, atoms)
 *                                                          as prox_back, with q = G u and inputs from tapes; with up, v <- those that were kept, and both are 0 elsewhere; in: the entries of u other than 0, in.count NULL: as q NULL; out: those of J' up; and a
 *                                                          bit for each entry of us and zs that is other than 0, words of 32 atoms (words, stride), row i of
 *                                                          this layer in column + i. Both are for dense codes, a block for each row and CUDA_BLOCK atoms
 *    pudle_prox_filter_layer_SUFFIX(options, step, levels, filters, tile, count, images, z, v, first)
 *                                                          v <- z + step D' image, z <- prox(v), for codes of filters with `count` positions in all; first: z was
 *                                                          0, v NULL: it is not kept. A block for each tile (tiles.h)
 *    pudle_prox_filter_back_SUFFIX(options, step, levels, before, filters, tile, count, images, v, past, u, up, us, zs)
 *                                                          as prox_back, with q = -D' image, which is scaled
 *    pudle_loss_grad_SUFFIX(options, eta, x, g, n)
 *    pudle_loss_hvp_SUFFIX(options, eta, x, u, hu, n)
 *    pudle_loss_mean_SUFFIX(options, eta, mean, n)
 *    pudle_loss_value_SUFFIX(options, eta, x, partial, n)                          partial: f64, one sum a block
 *    pudle_code_value_SUFFIX(options, z, partial, n)                               of losses whose penalty on the code has a source
 *    pudle_code_grad_SUFFIX(options, z, g, n)                                      g += the penalty's gradient
 *  `options` is the plugin's params struct, by value on a device and by address on the host. The structs below go by value. */
enum { CUDA_LEVELS = 8 };
typedef struct cuda_levels {
    const void *theta[CUDA_LEVELS]; /* on the device */
    int64_t step[CUDA_LEVELS];      /* 0: one value, 1: one per atom */
} cuda_levels;
/* The entries other than 0 of codes (rows, p), by rows and segments of CUDA_BLOCK atoms, ascending in each: segment s has count[row segments + s] of them,
 * from row p + s CUDA_BLOCK on. */
typedef struct cuda_list { void *index, *value, *count; } cuda_list; /* uint16 (rows, p), the codes' type, int32 */
/* What tiles.h has, which says what the members are. */
typedef struct cuda_tile { int each, row_bits, col_bits; } cuda_tile;
typedef struct cuda_divisor { int d; unsigned by; } cuda_divisor;
typedef struct cuda_filters {
    const void *analysis, *synthesis;
    int filters, pixels; /* k and slots, rounded up */
    int k, c, h, w, r, s, p, q, terms, taps, slots;
    int stride[2], jump[2], group[2], cells[2];
    cuda_divisor of_k, of_across, of_s, of_rs, of_wide, of_cell;
} cuda_filters;
typedef struct cuda_pairs { const void *codes[3], *images[3]; int samples[3]; } cuda_pairs;
/* Inputs of a layer that were kept, by rows and segments as a list: numbers and how many of them are taken, (rows, segments, CUDA_BLOCK / 32), (rows, segments). */
typedef struct cuda_tape { void *kept; uint32_t *used, *bits, *start; } cuda_tape;
typedef struct cuda_code { int64_t atoms, inner, count; } cuda_code; /* entry i belongs to atom i / inner % atoms */

/** Kernels that are compiled together: of a prox those for encoders with filters are by themselves, for they take as long as all others. */
enum { CUDA_TEXT, CUDA_TEXT_FILTERS };

/** The text for a prox or a loss that has a source, from malloc.
 *  @errors UNSUPPORTED if the plugin has none, or makes instances that are not its params; NOMEM; ARG if a body has more levels than a prox can have */
pudle_status cuda_source(const pudle_desc *desc, int part, char **text);

/** The source of a prox or a loss, or NULL: plugins of ABI 1.0 have none. */
const pudle_source *cuda_source_of(const pudle_desc *desc);
/** The source of a loss's penalty on the code, or NULL. */
const pudle_source *cuda_code_source_of(const pudle_desc *desc);

#endif
