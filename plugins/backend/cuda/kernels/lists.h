/* Layers of dense codes with few entries other than 0, in one launch a layer: a block has a row and a segment of PUDLE_BLOCK atoms. It adds up those rows of G that
 * the row's lists name, and lists what comes out for the next layer. Rows that are not sparse, eight by eight, are left to the first one's blocks, which read
 * all of G once for them: so it costs a few times a product, not as many times as there are rows (reckoned, not measured). Which way a row goes is a matter of the
 * codes alone. Here is what both ways through the layers share (lists_kernels.h); prox.h comes before. */

/* A code's inputs v where something comes of them: where the prox or a derivative is other than 0. Those of a row and segment stand side by side from `start`
   on, and have a bit each of PUDLE_BLOCK. Who comes first takes what is next, so places differ from run to run, and nothing else does. */
struct pudle_tape { void *kept; unsigned *used, *bits, *start; };
/* What a block knows of a tape's row and segment, read by a warp of it, t = 0 .. 31; of no tape, that nothing was kept. */
struct pudle_memory { pudle_marks kept; unsigned start; };
PUDLE_DEVICE void pudle_look_up(const pudle_tape &tape, long long cell, int t, pudle_memory *memory)
{
    if (t < 0 || t > PUDLE_BLOCK / 32)
        return;
    const unsigned *from = t < PUDLE_BLOCK / 32 ? tape.bits + cell * (PUDLE_BLOCK / 32) + t : tape.start + cell;
    const unsigned word = tape.bits ? *from : 0;
    if (t < PUDLE_BLOCK / 32)
        pudle_mark(&memory->kept, t, word);
    else
        memory->start = word;
}
template <typename real> PUDLE_DEVICE real pudle_recall(const pudle_tape &tape, const pudle_memory &memory, int t)
{
    return pudle_marked(memory.kept, t) ? ((const real *)tape.kept)[(long long)memory.start + pudle_before(memory.kept, t)] : 0;
}
template <typename real> PUDLE_DEVICE bool pudle_prox_keeps(const pudle_options *o, const real tau, const real v, const real *levels, real *p)
{
    real dv, dt[PUDLE_LEVELS + 1];
    pudle_prox_entry<real>(o, tau, v, levels, p, &dv, dt);
    bool nothing = *p == 0 && dv == 0;
    for (int k = 0; k < PUDLE_LEVELS; k++)
        nothing = nothing && dt[k] == 0;
    return !nothing;
}
/* A thread's entry of row and segment `cell`, which begin at `first`, to its place in the list if it is other than 0; `marks` has those that are. */
template <typename real> PUDLE_DEVICE void pudle_list_put(const pudle_list &list, const pudle_marks &marks, int t, long long cell, unsigned first, int atom,
                                                          const real value)
{
    if (value != 0) {
        const unsigned place = first + pudle_before(marks, t);
        list.index[place] = (unsigned short)atom;
        ((real *)list.value)[place] = value;
    }
    if (t == 0)
        list.count[cell] = pudle_all(marks);
}

#define PUDLE_TOGETHER 8
/* What a block shares to make sums; sum[r] is that of its r-th row, and entry t of it only thread t's. */
template <typename real> struct pudle_list_room {
    real sum[PUDLE_TOGETHER][PUDLE_BLOCK], stage[PUDLE_BLOCK][PUDLE_TOGETHER], value[PUDLE_BLOCK];
    unsigned index[PUDLE_BLOCK];
    int count[PUDLE_BLOCK], start[PUDLE_BLOCK], part[PUDLE_BLOCK / 32];
};
/* Places in codes are below 2^32, and in G, as there are no more than PUDLE_BLOCK - 1 segments: by_lists sees to that. */
#define PUDLE_LIST_SHARED(real) \
    PUDLE_SHARED pudle_list_room<real> room; \
    const unsigned segments = (unsigned)(atoms + PUDLE_BLOCK - 1) / PUDLE_BLOCK, row = (unsigned)b / segments; \
    const int first = (int)((unsigned)b % segments) * PUDLE_BLOCK;
/* Rows [row, row + own) are the block's: own = 1, or all that go together, which are three at least, or none; and room.start[s]: entries of the row before
   segment s. */
#define PUDLE_LIST_ROWS \
    const unsigned lead = row / PUDLE_TOGETHER * PUDLE_TOGETHER, behind = (unsigned)PUDLE_GRID - lead * segments; \
    const int counts = (int)(behind < PUDLE_TOGETHER * segments ? behind : PUDLE_TOGETHER * segments); \
    int total = 0; \
    PUDLE_THREADS(t, width) { \
        int some = 0; \
        const int here = t < (int)segments ? in.count[row * segments + t] : 0; \
        PUDLE_UNROLL_BY(1) for (int e = t; e < counts; e += width) \
            some += in.count[lead * segments + e]; \
        room.count[t] = here; \
        PUDLE_ADD_UP(room.part, t, some) \
    } \
    PUDLE_SYNC; \
    PUDLE_THREADS(t, width) if (t <= (int)segments && width) { \
        int before = 0; \
        PUDLE_UNROLL_BY(4) for (int s = 0; s < (int)segments; s++) \
            before += s < t ? room.count[s] : 0; \
        room.start[t] = before; \
    } \
    for (int k = 0; k < PUDLE_BLOCK / 32; k++) \
        total += room.part[k]; \
    if (total > 2 * atoms) \
        own = row == lead ? counts / (int)segments : 0;
/* The sums over k of value_k G[index_k][first + t] of the block's rows. */
#define PUDLE_LIST_SUMS(real, NEEDED) \
    if (own == 1) { \
        PUDLE_LIST_SUM(real, NEEDED) \
    } else if (own) { \
        PUDLE_LIST_SUM_ALL(real) \
    }
/* Of one row, for the threads that need it; the entries come to shared memory a block's width at a time, with the places of their rows of G. */
#define PUDLE_LIST_SUM(real, NEEDED) \
    PUDLE_THREADS(t, width) if (width) room.sum[0][t] = 0; \
    for (int from = 0; from < room.start[segments]; from += PUDLE_BLOCK) { \
        const int n = room.start[segments] - from < PUDLE_BLOCK ? room.start[segments] - from : PUDLE_BLOCK; \
        PUDLE_THREADS(t, width) { \
            unsigned index = 0; \
            real value = 0; \
            if (t < n && width) { \
                int s = 0; \
                PUDLE_UNROLL_BY(4) for (int k = 1; k < (int)segments; k++) \
                    s += room.start[k] <= from + t; \
                const unsigned place = row * atoms + s * PUDLE_BLOCK + from + t - room.start[s]; \
                index = in.index[place] * (unsigned)atoms; \
                value = ((const real *)in.value)[place]; \
            } \
            room.index[t] = index; \
            room.value[t] = value; \
        } \
        PUDLE_SYNC; \
        PUDLE_THREADS(t, width) if (first + t < atoms && width && (NEEDED)) { \
            const unsigned atom = first + t; \
            real sum = room.sum[0][t]; \
            PUDLE_UNROLL_BY(1) for (int k = 0; k < n; k += 16) /* so many are on their way at a time; behind the last there is 0 times something */ \
                PUDLE_UNROLL for (int h = 0; h < 16; h++) \
                    sum += room.value[k + h] * gram[room.index[k + h] + atom]; \
            room.sum[0][t] = sum; \
        } \
        PUDLE_SYNC; \
    }
/* Of all of the eight, by all rows of G: a segment of their codes at a time lies in `stage`, with its zeros. */
#define PUDLE_LIST_SUM_ALL(real) \
    PUDLE_THREADS(t, width) for (int r = 0; r < PUDLE_TOGETHER && width; r++) room.sum[r][t] = 0; \
    for (int s = 0; s < (int)segments; s++) { \
        PUDLE_THREADS(t, width) for (int r = 0; r < PUDLE_TOGETHER && width; r++) room.stage[t][r] = 0; \
        PUDLE_SYNC; \
        PUDLE_THREADS(t, width) { \
            int many[PUDLE_TOGETHER]; \
            for (int r = 0; r < PUDLE_TOGETHER && width; r++) \
                many[r] = r < own ? in.count[(row + r) * segments + s] : 0; \
            for (int r = 0; r < PUDLE_TOGETHER; r++) if (t < many[r]) { \
                const unsigned place = (row + r) * atoms + s * PUDLE_BLOCK + t; \
                room.stage[in.index[place] - s * PUDLE_BLOCK][r] = ((const real *)in.value)[place]; \
            } \
        } \
        PUDLE_SYNC; \
        PUDLE_THREADS(t, width) if (first + t < atoms && width) { \
            const int n = atoms - s * PUDLE_BLOCK < PUDLE_BLOCK ? atoms - s * PUDLE_BLOCK : PUDLE_BLOCK; \
            const real *column = gram + (unsigned)s * PUDLE_BLOCK * atoms + first + t; \
            real sum[PUDLE_TOGETHER]; \
            for (int r = 0; r < PUDLE_TOGETHER; r++) \
                sum[r] = room.sum[r][t]; \
            PUDLE_UNROLL_BY(1) for (int k = 0; k < n; k += 8) { /* so many are on their way at a time */ \
                real g[8]; \
                for (int h = 0; h < 8; h++) \
                    g[h] = k + h < n ? column[(unsigned)(k + h) * atoms] : 0; \
                for (int h = 0; h < 8; h++) \
                    for (int r = 0; r < PUDLE_TOGETHER; r++) \
                        sum[r] += room.stage[k + h][r] * g[h]; \
            } \
            for (int r = 0; r < PUDLE_TOGETHER; r++) \
                room.sum[r][t] = sum[r]; \
        } \
        PUDLE_SYNC; \
    }
/* What tapes have of the block's r-th row comes to shared memory, by the last warps, for the first ones wait for counts; and, behind a barrier, to each thread with u and w. */
#define PUDLE_LIST_LOOK_UP(r) \
    PUDLE_THREADS(t, width) { \
        pudle_look_up(tape, b + (r) * segments, t - (width - 64), &now); \
        pudle_look_up(past, b + (r) * segments, t - (width - 32), &then); \
    }
#define PUDLE_LIST_RECALL(real, r) \
    PUDLE_THREADS(t, width) if (first + t < atoms && width) { \
        const unsigned i = (row + (r)) * atoms + first + t; \
        mine[PUDLE_ME(t)][0] = u[i]; \
        mine[PUDLE_ME(t)][1] = w[i]; \
        mine[PUDLE_ME(t)][2] = pudle_recall<real>(tape, now, t); \
        mine[PUDLE_ME(t)][3] = pudle_recall<real>(past, then, t); \
    }
