/* Layers of dense codes with few entries other than 0, in one launch a layer: a block has a row and a segment of PUDLE_BLOCK atoms. It adds up those rows of G that
 * the row's lists name, and lists what comes out for the next layer. Rows that are not sparse, eight by eight, are left to the first one's blocks, which read
 * all of G once for them: so it costs a few times a product, not as many times as there are rows (reckoned, not measured). Which way a row goes is a matter of the
 * codes alone. Here is what both ways through the layers share (lists_kernels.h); prox.h comes before. */

/* A code's inputs v where something comes of them: where the prox or a derivative is other than 0. Those of a row and segment stand side by side from `start`
   on, and have a bit each of PUDLE_BLOCK. Who comes first takes what is next, so places differ from run to run, and nothing else does. */
struct pudle_tape { void *kept; unsigned *used, *bits, *start; };
template <typename real> PUDLE_DEVICE bool pudle_recall(const pudle_tape &tape, long long cell, int t, real *v)
{
    const unsigned *word = tape.bits + cell * (PUDLE_BLOCK / 32);
    const bool kept = word[t / 32] >> t % 32 & 1;
    *v = kept ? ((const real *)tape.kept)[(long long)tape.start[cell] + pudle_before(word, t)] : 0;
    return kept;
}
template <typename real> PUDLE_DEVICE bool pudle_prox_keeps(const pudle_options *o, const real tau, const pudle_levels &levels, long long atom, const real v,
                                                            real *p)
{
    real dv, dt[PUDLE_LEVELS + 1];
    pudle_prox_all(o, tau, levels, atom, v, p, &dv, dt);
    bool nothing = *p == 0 && dv == 0;
    for (int k = 0; k < PUDLE_LEVELS; k++)
        nothing = nothing && dt[k] == 0;
    return !nothing;
}

#define PUDLE_TOGETHER 8
#define PUDLE_LIST_SHARED(real) \
    PUDLE_SHARED real sum[PUDLE_TOGETHER][PUDLE_BLOCK]; \
    PUDLE_SHARED real stage[PUDLE_BLOCK][PUDLE_TOGETHER]; \
    PUDLE_SHARED real value[PUDLE_BLOCK]; \
    PUDLE_SHARED int index[PUDLE_BLOCK]; \
    PUDLE_SHARED int start[PUDLE_BLOCK]; \
    PUDLE_SHARED int entries[PUDLE_BLOCK]; \
    PUDLE_SHARED unsigned word[PUDLE_BLOCK / 32]; \
    const long long segments = (atoms + PUDLE_BLOCK - 1) / PUDLE_BLOCK, row = b / segments, first = b % segments * PUDLE_BLOCK; \
    const long long lead = row / PUDLE_TOGETHER * PUDLE_TOGETHER, behind = PUDLE_GRID / segments - lead; \
    const int members = behind < PUDLE_TOGETHER ? (int)behind : PUDLE_TOGETHER;
/* Rows [row, row + own) are the block's: own = 1, or all of the eight, or none; and start[s]: entries of the row before segment s. Counts come to shared
   memory side by side: one after the other each would be waited for. */
#define PUDLE_LIST_ROWS \
    PUDLE_THREADS(t, width) { \
        int some = 0; \
        for (long long e = t; e < members * segments; e += width) \
            some += in.count[lead * segments + e]; \
        entries[t] = some; \
        index[t] = t < segments ? in.count[row * segments + t] : 0; \
    } \
    PUDLE_SYNC; \
    PUDLE_THREADS(t, width) { \
        int before = 0; \
        for (int s = 0; t <= segments && s < t && width; s++) \
            before += index[s]; \
        start[t] = before; \
    } \
    for (int k = 0; k < PUDLE_WIDTH && k < members * segments; k++) \
        total += entries[k]; \
    PUDLE_SYNC; \
    if (total > 2 * atoms) \
        own = row == lead ? members : 0;
/* sum[0][t] <- sum over k of value_k G[index_k][first + t], for the threads that need it; the entries come to shared memory a block's width at a time. */
#define PUDLE_LIST_SUM(real, NEEDED) \
    for (int from = 0; from < start[segments]; from += PUDLE_BLOCK) { \
        PUDLE_THREADS(t, width) { \
            const bool here = from + t < start[segments] && width; \
            int s = 0; \
            while (here && start[s + 1] <= from + t) \
                s++; \
            const long long place = row * atoms + s * PUDLE_BLOCK + from + t - start[s]; \
            index[t] = here ? in.index[place] : 0; \
            value[t] = here ? ((const real *)in.value)[place] : 0; \
        } \
        PUDLE_SYNC; \
        PUDLE_THREADS(t, width) if (first + t < atoms && width && (NEEDED)) { \
            const int n = start[segments] - from < PUDLE_BLOCK ? start[segments] - from : PUDLE_BLOCK; \
            const real *column = gram + first + t; \
            real more = sum[0][t]; \
            for (int k = 0; k < n; k += 8) /* so many are on their way at a time; behind the last there is 0 times something */ \
                for (int h = 0; h < 8; h++) \
                    more += value[k + h] * column[index[k + h] * atoms]; \
            sum[0][t] = more; \
        } \
        PUDLE_SYNC; \
    }
/* The same for all of the eight, by all rows of G: a segment of their codes at a time lies in `stage`, with its zeros. */
#define PUDLE_LIST_SUM_ALL(real) \
    for (long long s = 0; s < segments; s++) { \
        PUDLE_THREADS(t, width) for (int r = 0; r < PUDLE_TOGETHER && width; r++) stage[t][r] = 0; \
        PUDLE_SYNC; \
        PUDLE_THREADS(t, width) { \
            int many[PUDLE_TOGETHER]; \
            for (int r = 0; r < PUDLE_TOGETHER && width; r++) \
                many[r] = r < members ? in.count[(lead + r) * segments + s] : 0; \
            for (int r = 0; r < PUDLE_TOGETHER; r++) if (t < many[r]) { \
                const long long place = (lead + r) * atoms + s * PUDLE_BLOCK + t; \
                stage[in.index[place] - s * PUDLE_BLOCK][r] = ((const real *)in.value)[place]; \
            } \
        } \
        PUDLE_SYNC; \
        PUDLE_THREADS(t, width) if (first + t < atoms && width) { \
            const int n = atoms - s * PUDLE_BLOCK < PUDLE_BLOCK ? (int)(atoms - s * PUDLE_BLOCK) : PUDLE_BLOCK; \
            const real *column = gram + s * PUDLE_BLOCK * atoms + first + t; \
            real more[PUDLE_TOGETHER]; \
            for (int r = 0; r < PUDLE_TOGETHER; r++) \
                more[r] = sum[r][t]; \
            for (int k = 0; k < n; k += 8) { /* so many are on their way at a time */ \
                real g[8]; \
                for (int h = 0; h < 8; h++) \
                    g[h] = k + h < n ? column[(k + h) * atoms] : 0; \
                for (int h = 0; h < 8; h++) \
                    for (int r = 0; r < PUDLE_TOGETHER; r++) \
                        more[r] += stage[k + h][r] * g[h]; \
            } \
            for (int r = 0; r < PUDLE_TOGETHER; r++) \
                sum[r][t] = more[r]; \
        } \
        PUDLE_SYNC; \
    }
/* The entries of `value` other than 0, which `word` has marked, to the list of row row + r, segment b % segments. */
#define PUDLE_LIST(real, list) \
    PUDLE_THREADS(t, width) { \
        const long long from = (row + r) * atoms + first; \
        const int before = pudle_before(word, t); \
        if (value[t] != 0) { \
            (list).index[from + before] = (int)(first + t); \
            ((real *)(list).value)[from + before] = value[t]; \
        } \
        if (t == width - 1) \
            (list).count[b + r * segments] = before + (value[t] != 0); \
    }
