/* Loops of groups.h for one type. Included twice, with REAL float and double and NAME(x) giving each function its suffix. Norms
 * are double. Positions run innermost, so that memory is read in order. */

/* u of one entry, and whether it moves with v. */
static inline REAL NAME(group_entry)(const group_rule *r, REAL v, REAL s, bool *moves)
{
    const bool off = (r->within || r->positive) && (r->positive ? v : pudle_abs(v)) <= s;
    *moves = !off;
    return off ? 0 : v - pudle_copysign(s, v);
}

static inline REAL NAME(group_within)(const group_rule *r, int64_t atom)
{
    return r->within ? ((const REAL *)r->within->data)[atom * pudle_level_step(r->within)] : 0;
}

static inline void NAME(groups_apply)(const group_rule *r, const pudle_cview *v, const pudle_view *p)
{
    const pudle_code_shape c = pudle_code_shape_of(v);
    for (int64_t b = 0; b < c.batch; b++)
        for (int64_t first = 0, g = 0, n; first < c.atoms; first += n, g++) {
            n = group_size(r->o, g);
            const double level = group_level(r, first, n);
            for (int64_t at = 0; at < c.inner; at += GROUP_BLOCK) {
                const int64_t width = c.inner - at < GROUP_BLOCK ? c.inner - at : GROUP_BLOCK;
                double factor[GROUP_BLOCK];
                bool moves;
                for (int64_t i = 0; i < width; i++)
                    factor[i] = 0;
                for (int64_t a = first; a < first + n; a++) {
                    const REAL *in = (const REAL *)v->data + (b * c.atoms + a) * c.inner + at, s = NAME(group_within)(r, a);
                    for (int64_t i = 0; i < width; i++) {
                        const double u = (double)NAME(group_entry)(r, in[i], s, &moves);
                        factor[i] += u * u;
                    }
                }
                for (int64_t i = 0; i < width; i++)
                    factor[i] = group_factor(sqrt(factor[i]), level);
                for (int64_t a = first; a < first + n; a++) {
                    const REAL *in = (const REAL *)v->data + (b * c.atoms + a) * c.inner + at, s = NAME(group_within)(r, a);
                    REAL *out = (REAL *)p->data + (b * c.atoms + a) * c.inner + at;
                    for (int64_t i = 0; i < width; i++) {
                        const REAL u = NAME(group_entry)(r, in[i], s, &moves);
                        out[i] = factor[i] == 0 ? 0 : (REAL)((double)u * factor[i]);
                    }
                }
            }
        }
}

/* gv = moves * ((1 - y) g + along u) with along = y (u . g) / ||u||^2. Sums before stores: gv may be g. */
static inline void NAME(groups_vjp)(const group_rule *r, const pudle_cview *v, const pudle_cview *g, const pudle_view *gv, const pudle_view *gwithin,
                                    const pudle_view *gacross)
{
    const pudle_code_shape c = pudle_code_shape_of(v);
    for (int64_t b = 0; b < c.batch; b++)
        for (int64_t first = 0, k = 0, n; first < c.atoms; first += n, k++) {
            n = group_size(r->o, k);
            const double level = group_level(r, first, n), weight = group_weight(r->o, n);
            double across = 0;
            for (int64_t at = 0; at < c.inner; at += GROUP_BLOCK) {
                const int64_t width = c.inner - at < GROUP_BLOCK ? c.inner - at : GROUP_BLOCK;
                double factor[GROUP_BLOCK], along[GROUP_BLOCK];
                bool moves;
                for (int64_t i = 0; i < width; i++)
                    factor[i] = along[i] = 0;
                for (int64_t a = first; a < first + n; a++) {
                    const int64_t offset = (b * c.atoms + a) * c.inner + at;
                    const REAL *in = (const REAL *)v->data + offset, *up = (const REAL *)g->data + offset, s = NAME(group_within)(r, a);
                    for (int64_t i = 0; i < width; i++) {
                        const double u = (double)NAME(group_entry)(r, in[i], s, &moves);
                        factor[i] += u * u;
                        along[i] += u * (double)up[i];
                    }
                }
                for (int64_t i = 0; i < width; i++) {
                    const double norm = sqrt(factor[i]);
                    factor[i] = group_factor(norm, level);
                    if (norm <= level) {
                        along[i] = 0;
                        continue;
                    }
                    along[i] /= norm;
                    across -= weight * along[i];
                    along[i] *= level / norm / norm;
                }
                for (int64_t a = first; a < first + n; a++) {
                    const int64_t offset = (b * c.atoms + a) * c.inner + at;
                    const REAL *in = (const REAL *)v->data + offset, *up = (const REAL *)g->data + offset, s = NAME(group_within)(r, a);
                    REAL *out = (REAL *)gv->data + offset;
                    double within = 0;
                    for (int64_t i = 0; i < width; i++) {
                        const REAL u = NAME(group_entry)(r, in[i], s, &moves);
                        const double through = moves ? factor[i] * (double)up[i] + along[i] * (double)u : 0;
                        within -= (double)pudle_copysign((REAL)1, u) * through;
                        out[i] = (REAL)through;
                    }
                    if (gwithin)
                        ((double *)gwithin->data)[a * pudle_level_step(r->within)] += within;
                }
            }
            if (gacross)
                tied_gradient(gacross, across, first, n);
        }
}
