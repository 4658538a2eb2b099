/* The arithmetic of unroll_small.c on the rows of a tile. Included twice, with REAL float and double.
 *
 * Rows lie p entries apart, so that operators see one array (rows, p), and p need not be whole vectors: a row is written across its
 * end into the next one, which is written later (the rows go up, and the columns of the end come first), or into the PAD entries
 * behind the tile. Rows of G and of the outer products are ld apart, whole vectors. */

typedef REAL NAME(vector) __attribute__((vector_size(32)));
typedef REAL NAME(loose) __attribute__((vector_size(32), aligned(sizeof(REAL)), may_alias)); /* anywhere */
enum { NAME(LANES) = 32 / sizeof(REAL) };

#define L NAME(LANES)
#define VEC(at) (*(const NAME(vector) *)(const void *)(at))
#define PUT(at) (*(NAME(vector) *)(void *)(at))
#define LOOSE(at) (*(const NAME(loose) *)(const void *)(at))
#define LOOSE_PUT(at) (*(NAME(loose) *)(void *)(at))

/* How many panels the columns are done in: as few as registers allow for, 13 sums; or more, where their strips of G then stay in the
 * nearest cache and are not too narrow. */
static inline int64_t NAME(panels_of)(int64_t p, int64_t vectors)
{
    const int64_t least = (vectors + 12) / 13, near = (p * vectors * 32 + NEAR_BYTES - 1) / NEAR_BYTES;
    return near > least && vectors >= 6 * near ? near : least;
}

/* Columns [c, c + N vectors) of all rows; the sums stay in registers. */
#define PANEL(N)                                                                                       \
    case N:                                                                                            \
        for (int64_t i = 0; i < rows; i++) {                                                           \
            NAME(vector) sum[N];                                                                       \
            const REAL *from = z + i * p;                                                              \
            const uint16_t *index = list + i * stride;                                                 \
            const int64_t found = count[i];                                                            \
            for (int k = 0; k < (N); k++)                                                              \
                sum[k] = START(base + i * ld + c + k * L);                                             \
            for (int64_t e = 0; e < found; e++) {                                                      \
                const REAL *row = strip + index[e] * ((N) * L);                                        \
                for (int k = 0; k < (N); k++)                                                          \
                    sum[k] -= from[index[e]] * VEC(row + k * L);                                       \
            }                                                                                          \
            for (int k = 0; k < (N); k++)                                                              \
                LOOSE_PUT(out + i * p + c + k * L) = LOOSE(from + c + k * L) + step * sum[k];          \
        }                                                                                              \
        break
#define PANELS                                                                          \
    const int64_t vectors = (p + L - 1) / L, panels = NAME(panels_of)(p, vectors);      \
    for (int64_t panel = panels - 1; panel >= 0; panel--) {                             \
        const int64_t first = panel * vectors / panels, c = first * L;                  \
        const REAL *strip = gram + c * p;                                               \
        switch ((panel + 1) * vectors / panels - first) {                               \
            PANEL(1);                                                                   \
            PANEL(2);                                                                   \
            PANEL(3);                                                                   \
            PANEL(4);                                                                   \
            PANEL(5);                                                                   \
            PANEL(6);                                                                   \
            PANEL(7);                                                                   \
            PANEL(8);                                                                   \
            PANEL(9);                                                                   \
            PANEL(10);                                                                  \
            PANEL(11);                                                                  \
            PANEL(12);                                                                  \
            PANEL(13);                                                                  \
        default:                                                                        \
            break;                                                                      \
        }                                                                               \
    }

/* G by strips of the columns that a panel takes, so that one stays in the nearest cache while the rows of a tile go by. */
static void NAME(cut)(REAL *strips, const REAL *gram, int64_t p, int64_t ld)
{
    const int64_t vectors = (p + L - 1) / L, panels = NAME(panels_of)(p, vectors);
    for (int64_t panel = 0; panel < panels; panel++) {
        const int64_t first = panel * vectors / panels * L, width = (panel + 1) * vectors / panels * L - first;
        for (int64_t j = 0; j < p; j++)
            memcpy(strips + first * p + j * width, gram + j * ld + first, (size_t)width * sizeof(REAL));
    }
}

/* A layer: out = z + step (base - G z), where `count` and `list` say for each row which entries of z are other than 0. */
#define START(at) VEC(at)
UNROLL_CLONES static void NAME(descend)(REAL *out, const REAL *z, const uint16_t *count, const uint16_t *list, int64_t stride, const REAL *base,
                                        REAL step, const REAL *gram, int64_t rows, int64_t p, int64_t ld)
{
    PANELS
}
#undef START
/* Its adjoint: out = z - step G z. */
#define START(at) (NAME(vector)){ 0 }
UNROLL_CLONES static void NAME(ascend)(REAL *out, const REAL *z, const uint16_t *count, const uint16_t *list, int64_t stride, REAL step,
                                       const REAL *gram, int64_t rows, int64_t p)
{
    PANELS
}
#undef START
#undef PANEL
#undef PANELS

#define OUTER(N)                                                              \
    for (int64_t i = 0; i < rows; i++) {                                      \
        NAME(vector) a[4][N];                                                 \
        const REAL *from[4];                                                  \
        for (int h = 0; h < 4; h++) {                                         \
            from[h] = z[h] + i * p;                                           \
            for (int k = 0; k < (N); k++)                                     \
                a[h][k] = step[h] * LOOSE(gv[h] + i * p + c + k * L);         \
        }                                                                     \
        for (int64_t e = 0; e < count[i]; e++) {                              \
            const int64_t j = list[i * stride + e];                           \
            REAL *to = outer + j * ld + c;                                    \
            NAME(vector) sum[N];                                              \
            for (int k = 0; k < (N); k++)                                     \
                sum[k] = VEC(to + k * L);                                     \
            for (int h = 0; h < 4; h++)                                       \
                for (int k = 0; k < (N); k++)                                 \
                    sum[k] += from[h][j] * a[h][k];                           \
            for (int k = 0; k < (N); k++)                                     \
                PUT(to + k * L) = sum[k];                                     \
        }                                                                     \
    }

/* outer += sum over four layers and all rows of step z gv', for the entries of z that `list` names. Few columns at a time, so that those of all atoms stay in the cache. */
UNROLL_CLONES static void NAME(gather)(REAL *outer, const REAL *const z[4], const REAL *const gv[4], const REAL step[4], const uint16_t *count, const uint16_t *list, int64_t stride,
                                      int64_t rows, int64_t p, int64_t ld)
{
    int64_t c = 0;
    for (; c + L < p; c += 2 * L) {
        OUTER(2)
    }
    if (c < p) {
        OUTER(1)
    }
}
#undef OUTER

/* sum += sum over four layers of step gv, `count` entries. */
UNROLL_CLONES static void NAME(add_four)(REAL *sum, const REAL *const gv[4], const REAL step[4], int64_t count)
{
    const REAL *a = gv[0], *b = gv[1], *c = gv[2], *d = gv[3];
    for (int64_t k = 0; k < count; k++)
        sum[k] += step[0] * a[k] + step[1] * b[k] + step[2] * c[k] + step[3] * d[k];
}

/* One tile forward. */
static pudle_status NAME(tile_forward)(const small_work *w, int64_t tile)
{
    pudle_unroll *u = w->u;
    const int64_t p = u->spec.atoms, T = u->spec.layers, first = tile * TILE, rows = w->l->rows - first < TILE ? w->l->rows - first : TILE;
    const int64_t end = w->tape ? T - u->spec.depth : T;
    const REAL *base = (const REAL *)w->l->base.at + first * u->ld;
    const int64_t stride = 8 * u->bytes + 8;
    uint16_t count[TILE], list[TILE * (UNROLL_FEW_ATOMS + 8)];
    slot now = slot_of(u, w->l, tile, end % 2);
    pudle_status s = PUDLE_OK;
    memset(now.z, 0, (size_t)(TILE * p + SMALL_PAD) * sizeof(REAL));
    memset(now.bits, 0, (size_t)(TILE * u->bytes));
    memset(count, 0, TILE * sizeof(uint16_t));
    for (int64_t t = 1; t <= T && !s; t++) {
        const slot next = slot_of(u, w->l, tile, t <= end ? (end - t) % 2 : t - end);
        NAME(descend)(next.v, now.z, count, list, stride, base, (REAL)u->spec.step[t - 1], u->strips.at, rows, p, u->ld);
        s = apply(u, w->exec, t, rows, next);
        NAME(mark)(next.bits, next.z, rows, p, u->bytes);
        list_bits(count, list, stride, next.bits, rows, u->bytes);
        now = next;
    }
    if (!s)
        memcpy((REAL *)w->l->code.at + first * p, now.z, (size_t)(rows * p) * sizeof(REAL));
    return s;
}

/* One tile back, from d loss / d z_T in the lane's `adjoint`. */
static pudle_status NAME(tile_back)(const small_work *w, int64_t tile)
{
    pudle_unroll *u = w->u;
    const int64_t p = u->spec.atoms, T = u->spec.layers, first = tile * TILE, rows = w->l->rows - first < TILE ? w->l->rows - first : TILE;
    const int64_t end = T - u->spec.depth, bytes = u->bytes, size = TILE * p + SMALL_PAD;
    REAL *adjoint = w->l->room.at, *masked[4], step[4];
    const REAL *gv[4], *z[4];
    const int64_t stride = 8 * bytes + 8;
    uint16_t count[TILE], list[TILE * (UNROLL_FEW_ATOMS + 8)];
    pudle_status s = PUDLE_OK;
    for (int h = 0; h < 4; h++)
        masked[h] = adjoint + (h + 1) * size;
    memcpy(adjoint, (const REAL *)w->l->adjoint.at + first * p, (size_t)(rows * p) * sizeof(REAL));
    int held = 0;
    uint8_t any[TILE * UNROLL_FEW_ATOMS / 8], bits[TILE * UNROLL_FEW_ATOMS / 8];
    for (int64_t t = T; t > end && !s; t--) {
        const slot now = slot_of(u, w->l, tile, t - end), before = slot_of(u, w->l, tile, t - 1 - end);
        gv[held] = masked[held];
        z[held] = before.z;
        step[held] = (REAL)u->spec.step[t - 1];
        s = differentiate(u, w->exec, t, rows, now, adjoint, masked[held], w->gtheta);
        if (s)
            return s;
        if (held == 0)
            memcpy(any, before.bits, (size_t)(rows * bytes));
        else
            for (int64_t k = 0; k < rows * bytes; k++)
                any[k] |= before.bits[k];
        if (t > end + 1) {
            NAME(mark)(bits, masked[held], rows, p, bytes);
            list_bits(count, list, stride, bits, rows, bytes);
            NAME(ascend)(adjoint, masked[held], count, list, stride, step[held], u->strips.at, rows, p);
        }
        if (++held < 4 && t > end + 1)
            continue;
        for (; held < 4; held++) {
            gv[held] = gv[0];
            z[held] = z[0];
            step[held] = 0;
        }
        held = 0;
        list_bits(count, list, stride, any, rows, bytes);
        NAME(gather)(w->outer, z, gv, step, count, list, stride, rows, p, u->ld);
        NAME(add_four)((REAL *)w->l->sums.at + first * p, gv, step, rows * p);
    }
    return s;
}

#undef L
#undef VEC
#undef PUT
#undef LOOSE
#undef LOOSE_PUT
