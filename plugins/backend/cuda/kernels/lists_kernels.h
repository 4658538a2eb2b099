/* Layers by lists (lists.h), for REAL. What an entry needs beside the sum is asked for before the sum is made, and is there when it is. */

PUDLE_KERNEL_BY(3) K(prox_list_layer)(PUDLE_OPTIONS o, const double *step, pudle_levels levels, const REAL *gram, const REAL *c, pudle_list in,
                                pudle_list out, REAL *z, pudle_tape tape, int atoms)
{
    PUDLE_BLOCKS(b) {
        PUDLE_LIST_SHARED(REAL)
        PUDLE_SHARED pudle_marks some, keep;
        PUDLE_SHARED unsigned place;
        PUDLE_OWN(REAL, mine, 2); /* z and c; then v in place of c */
        PUDLE_OWN(REAL, theta, PUDLE_LEVELS + 1);
        const double size = *step;
        int own = 1;
        PUDLE_THREADS(t, width) if (first + t < atoms && width) {
            const unsigned i = row * atoms + first + t;
            mine[PUDLE_ME(t)][0] = in.count ? z[i] : 0;
            mine[PUDLE_ME(t)][1] = c[i];
            pudle_bring_levels(levels, first + t, theta[PUDLE_ME(t)]);
        }
        if (in.count) {
            PUDLE_LIST_ROWS
            PUDLE_SYNC;
            PUDLE_LIST_SUMS(REAL, true)
        }
        const REAL tau = (REAL)size;
        for (int r = 0; r < own; r++) {
            const long long cell = b + r * segments;
            PUDLE_THREADS(t, width) {
                REAL x = 0, v = 0;
                bool kept = false;
                if (first + t < atoms && width) {
                    const unsigned i = (row + r) * atoms + first + t;
                    const REAL old = r ? z[i] : mine[PUDLE_ME(t)][0], toward = r ? c[i] : mine[PUDLE_ME(t)][1];
                    v = in.count ? old + tau * (toward - room.sum[r][t]) : tau * toward;
                    kept = pudle_prox_keeps<REAL>(&o, tau, v, theta[PUDLE_ME(t)], &x);
                    z[i] = x;
                }
                mine[PUDLE_ME(t)][0] = x;
                mine[PUDLE_ME(t)][1] = v;
                PUDLE_MARK(some, t, x != 0)
                PUDLE_MARK(keep, t, kept)
            }
            PUDLE_SYNC;
            PUDLE_THREADS(t, width) {
                unsigned taken = 0;
                if (tape.bits && t < 1 && width) /* which takes a while */
                    taken = PUDLE_TAKE(tape.used, (unsigned)pudle_all(keep));
                pudle_list_put<REAL>(out, some, t, cell, (row + r) * atoms + first, first + t, mine[PUDLE_ME(t)][0]);
                if (tape.bits && t < PUDLE_BLOCK / 32)
                    tape.bits[cell * (PUDLE_BLOCK / 32) + t] = keep.word[t];
                if (tape.bits && t < 1)
                    tape.start[cell] = place = taken;
            }
            PUDLE_SYNC;
            PUDLE_THREADS(t, width) if (tape.bits && pudle_marked(keep, t) && width)
                ((REAL *)tape.kept)[(long long)place + pudle_before(keep, t)] = mine[PUDLE_ME(t)][1];
            PUDLE_SYNC;
        }
    }
}
PUDLE_CALLABLE(K(prox_list_layer))

PUDLE_KERNEL_BY(3) K(prox_list_back)(PUDLE_OPTIONS o, const double *step, pudle_levels levels, pudle_levels before, const REAL *gram, pudle_tape tape,
                               pudle_tape past, REAL *v, pudle_list in, pudle_list out, REAL *u, REAL *up, REAL *us, REAL *zs, REAL *w,
                               unsigned *u_bits, unsigned *z_bits, long long column, long long stride, int atoms)
{
    PUDLE_BLOCKS(b) {
        PUDLE_LIST_SHARED(REAL)
        PUDLE_SHARED pudle_memory now, then; /* of this layer, and of the one before */
        PUDLE_SHARED pudle_marks u_some, z_some;
        PUDLE_OWN(REAL, mine, 4); /* u, w, inputs of both layers; then the new u */
        PUDLE_OWN(REAL, theta, 2 * (PUDLE_LEVELS + 1));
        const double size = *step, size_next = step[in.count ? 1 : 0], size_before = step[past.bits ? -1 : 0];
        int own = 1;
        PUDLE_THREADS(t, width) if (first + t < atoms && width) {
            pudle_bring_levels(levels, first + t, theta[PUDLE_ME(t)]);
            if (past.bits)
                pudle_bring_levels(before, first + t, theta[PUDLE_ME(t)] + PUDLE_LEVELS + 1);
        }
        PUDLE_LIST_LOOK_UP(0)
        if (in.count) {
            PUDLE_LIST_ROWS
        }
        PUDLE_SYNC;
        PUDLE_LIST_RECALL(REAL, 0)
        if (in.count) {
            PUDLE_LIST_SUMS(REAL, pudle_marked(now.kept, t))
        }
        const REAL tau = (REAL)size, tau_next = (REAL)size_next, tau_before = (REAL)size_before;
        for (int r = 0; r < own; r++) {
            const long long cell = b + r * segments;
            if (r) {
                PUDLE_LIST_LOOK_UP(r)
                PUDLE_SYNC;
                PUDLE_LIST_RECALL(REAL, r)
            }
            PUDLE_THREADS(t, width) {
                REAL x = 0, g = mine[PUDLE_ME(t)][0], masked = 0, dv = 0, unused, dt[PUDLE_LEVELS + 1];
                if (first + t < atoms && width) {
                    const unsigned i = (row + r) * atoms + first + t;
                    const bool kept = pudle_marked(now.kept, t);
                    if (kept)
                        pudle_prox_entry<REAL>(&o, tau, mine[PUDLE_ME(t)][2], theta[PUDLE_ME(t)], &unused, &dv, dt);
                    if (pudle_marked(then.kept, t))
                        pudle_prox_entry<REAL>(&o, tau_before, mine[PUDLE_ME(t)][3], theta[PUDLE_ME(t)] + PUDLE_LEVELS + 1, &x, &unused, dt);
                    if (in.count && kept)
                        g -= tau_next * room.sum[r][t];
                    masked = dv != 0 ? dv * g : 0;
                    if (up) { /* what has not been kept adds nothing */
                        up[i] = kept ? g : 0;
                        v[i] = mine[PUDLE_ME(t)][2];
                    }
                    zs[i] = x;
                    u[i] = masked;
                    us[i] = tau * masked;
                    w[i] = mine[PUDLE_ME(t)][1] + tau * masked;
                }
                mine[PUDLE_ME(t)][0] = masked;
                PUDLE_MARK(u_some, t, masked != 0)
                PUDLE_MARK(z_some, t, x != 0)
            }
            PUDLE_SYNC;
            PUDLE_THREADS(t, width) {
                pudle_list_put<REAL>(out, u_some, t, cell, (row + r) * atoms + first, first + t, mine[PUDLE_ME(t)][0]);
                if (t < width / 32 && first + 32 * t < atoms) {
                    u_bits[(first / 32 + t) * stride + column + row + r] = u_some.word[t];
                    z_bits[(first / 32 + t) * stride + column + row + r] = z_some.word[t];
                }
            }
            PUDLE_SYNC;
        }
    }
}
PUDLE_CALLABLE(K(prox_list_back))
