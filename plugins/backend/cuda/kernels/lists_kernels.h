/* Layers by lists (lists.h), for REAL. */

PUDLE_KERNEL K(prox_list_layer)(PUDLE_OPTIONS o, const double *step, pudle_levels levels, const REAL *gram, const REAL *c, pudle_list in,
                                pudle_list out, REAL *z, pudle_tape tape, long long atoms)
{
    const REAL tau = (REAL)*step;
    PUDLE_BLOCKS(b) {
        PUDLE_LIST_SHARED(REAL)
        PUDLE_SHARED unsigned keep[PUDLE_BLOCK / 32];
        PUDLE_SHARED unsigned place;
        PUDLE_OWN(REAL, input, 1);
        int own = 1;
        long long total = 0;
        PUDLE_THREADS(t, width) for (int r = 0; r < PUDLE_TOGETHER && width; r++) sum[r][t] = 0;
        if (in.count) {
            PUDLE_LIST_ROWS
            if (total <= 2 * atoms) {
                PUDLE_LIST_SUM(REAL, true)
            } else if (own) {
                PUDLE_LIST_SUM_ALL(REAL)
            }
        }
        for (int r = 0; r < own; r++) {
            PUDLE_THREADS(t, width) {
                const long long i = (row + r) * atoms + first + t;
                REAL x = 0;
                bool kept = false;
                if (first + t < atoms && width) {
                    const REAL at = in.count ? z[i] + tau * (c[i] - sum[r][t]) : tau * c[i];
                    kept = pudle_prox_keeps<REAL>(&o, tau, levels, first + t, at, &x);
                    z[i] = x;
                    input[PUDLE_ME(t)][0] = at;
                }
                value[t] = x;
                PUDLE_MARK(word, t, x != 0)
                PUDLE_MARK(keep, t, kept)
            }
            PUDLE_SYNC;
            PUDLE_LIST(REAL, out)
            if (tape.bits) {
                const long long cell = b + r * segments;
                PUDLE_THREADS(t, width) {
                    unsigned many = 0;
                    for (int k = 0; k < PUDLE_BLOCK / 32; k++)
                        many += PUDLE_COUNT(keep[k]);
                    if (t < 1 && width)
                        tape.start[cell] = place = PUDLE_TAKE(tape.used, many);
                    if (t < PUDLE_BLOCK / 32)
                        tape.bits[cell * (PUDLE_BLOCK / 32) + t] = keep[t];
                }
                PUDLE_SYNC;
                PUDLE_THREADS(t, width) if (width && (keep[t / 32] >> t % 32 & 1))
                    ((REAL *)tape.kept)[(long long)place + pudle_before(keep, t)] = input[PUDLE_ME(t)][0];
            }
            PUDLE_SYNC;
        }
    }
}
PUDLE_CALLABLE(K(prox_list_layer))

PUDLE_KERNEL K(prox_list_back)(PUDLE_OPTIONS o, const double *step, pudle_levels levels, pudle_levels before, const REAL *gram, pudle_tape tape,
                               pudle_tape past, REAL *v, pudle_list in, pudle_list out, REAL *u, REAL *up, REAL *us, REAL *zs, REAL *w,
                               unsigned *u_bits, unsigned *z_bits, long long column, long long stride, long long atoms)
{
    const REAL tau = (REAL)*step;
    PUDLE_BLOCKS(b) {
        PUDLE_LIST_SHARED(REAL)
        PUDLE_SHARED REAL slope[PUDLE_BLOCK]; /* where it is 0 the sum is not needed, but for the levels */
        PUDLE_SHARED unsigned z_word[PUDLE_BLOCK / 32];
        int own = 1;
        long long total = 0;
        PUDLE_THREADS(t, width) {
            REAL x, at, dv = 0;
            if (first + t < atoms && width && pudle_recall(tape, b, t, &at))
                pudle_prox_at<REAL>(&o, tau, levels, first + t, at, &x, &dv);
            slope[t] = dv;
            for (int r = 0; r < PUDLE_TOGETHER; r++)
                sum[r][t] = 0;
        }
        if (in.count) {
            PUDLE_LIST_ROWS
            if (total <= 2 * atoms) {
                PUDLE_LIST_SUM(REAL, up || slope[t] != 0)
            } else if (own) {
                PUDLE_LIST_SUM_ALL(REAL)
            }
        }
        for (int r = 0; r < own; r++) {
            PUDLE_THREADS(t, width) {
                const long long i = (row + r) * atoms + first + t;
                REAL masked = 0, x = 0;
                if (first + t < atoms && width) {
                    REAL at = 0, unused, dv = slope[t]; /* of the first row: not anew, for it has said whether the sum is there */
                    const REAL g = in.count ? u[i] - (REAL)step[1] * sum[r][t] : u[i];
                    const bool kept = (r || up) && pudle_recall(tape, b + r * segments, t, &at);
                    if (r) {
                        dv = 0;
                        if (kept)
                            pudle_prox_at<REAL>(&o, tau, levels, first + t, at, &unused, &dv);
                    }
                    masked = dv != 0 ? dv * g : 0;
                    if (up) { /* what has not been kept adds nothing */
                        up[i] = kept ? g : 0;
                        v[i] = at;
                    }
                    if (past.bits && pudle_recall(past, b + r * segments, t, &at))
                        pudle_prox_at<REAL>(&o, (REAL)step[-1], before, first + t, at, &x, &dv);
                    zs[i] = x;
                    u[i] = masked;
                    us[i] = tau * masked;
                    w[i] += tau * masked;
                }
                value[t] = masked;
                PUDLE_MARK(word, t, masked != 0)
                PUDLE_MARK(z_word, t, x != 0)
            }
            PUDLE_SYNC;
            PUDLE_LIST(REAL, out)
            PUDLE_THREADS(t, width) if (t < width / 32 && first + 32 * t < atoms) {
                u_bits[(first / 32 + t) * stride + column + row + r] = word[t];
                z_bits[(first / 32 + t) * stride + column + row + r] = z_word[t];
            }
            PUDLE_SYNC;
        }
    }
}
PUDLE_CALLABLE(K(prox_list_back))
