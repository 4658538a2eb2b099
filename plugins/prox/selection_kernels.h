/* Loops of selection.h for one type. Included twice, with REAL float and double, KEY an unsigned integer as wide, and NAME(x)
 * giving each function its suffix. */

static inline REAL NAME(selection_positive)(REAL v)
{
    return v <= 0 ? 0 : v;
}

static inline KEY NAME(selection_key)(const selection *q, REAL v, int64_t j)
{
    REAL worth = pudle_abs(v);
    if (q->rule == BY_VALUE) {
        worth = NAME(selection_positive)(v);
    } else if (q->rule != BY_MAGNITUDE) {
        const REAL t = ((const REAL *)q->level->data)[selection_level(q, j)];
        if (q->rule == BY_PENALTY)
            worth *= t;
        else
            worth = worth <= t ? worth * worth / 2 : t * (worth - t / 2);
    }
    KEY key;
    memcpy(&key, &worth, sizeof key);
    return key & ((KEY)-1 >> 1);
}

/* Taken are the entries with a larger key, and the first `ties` of those with this one. */
typedef struct NAME(selection_cut) { KEY key; int64_t ties; } NAME(selection_cut);

/* v: the first entry of the set. */
static inline NAME(selection_cut) NAME(selection_find)(const selection *q, const REAL *v)
{
    const int64_t n = q->sets.length;
    NAME(selection_cut) cut = { 0, n };
    KEY known = 0; /* bits of cut.key that are settled */
    if (q->most >= n)
        return cut;
    cut.ties = q->most;
    for (int shift = 8 * (int)sizeof(KEY) - 8; shift >= 0; shift -= 8) {
        int64_t count[256] = { 0 };
        int digit = 255;
        for (int64_t j = 0; j < n; j++) {
            const KEY key = NAME(selection_key)(q, v[j * q->sets.stride], j);
            if ((key & known) == cut.key)
                count[key >> shift & 255]++;
        }
        while (digit > 0 && cut.ties > count[digit])
            cut.ties -= count[digit--];
        cut.key |= (KEY)digit << shift;
        known |= (KEY)255 << shift;
        if (cut.ties == count[digit]) /* all that begin like this */
            break;
    }
    return cut;
}

static inline bool NAME(selection_takes)(NAME(selection_cut) *cut, KEY key)
{
    return key > cut->key || (key == cut->key && cut->ties-- > 0);
}

static inline void NAME(selection_keep)(const selection *q, const pudle_cview *v, const pudle_view *p)
{
    for (int64_t i = 0; i < q->sets.count; i++) {
        const int64_t at = code_set_start(&q->sets, i);
        const REAL *in = (const REAL *)v->data + at;
        REAL *out = (REAL *)p->data + at;
        NAME(selection_cut) cut = NAME(selection_find)(q, in);
        for (int64_t j = 0; j < q->sets.length; j++) {
            const REAL x = in[j * q->sets.stride];
            const bool takes = NAME(selection_takes)(&cut, NAME(selection_key)(q, x, j));
            out[j * q->sets.stride] = !takes && x == x ? 0 : q->rule == BY_VALUE ? NAME(selection_positive)(x) : x;
        }
    }
}

static inline void NAME(selection_mask)(bool all, const pudle_cview *p, const pudle_cview *g, const pudle_view *gv)
{
    const REAL *in = (const REAL *)p->data, *up = (const REAL *)g->data;
    REAL *out = (REAL *)gv->data;
    const int64_t n = pudle_count(p);
    PUDLE_EACH_ALONE
    for (int64_t i = 0; i < n; i++)
        out[i] = all || in[i] != 0 ? up[i] : 0;
}

/* Taken entries pass, the others shrink by t. */
static inline void NAME(selection_shrink)(const selection *q, const pudle_cview *v, const pudle_cview *level, const pudle_view *p)
{
    for (int64_t i = 0; i < q->sets.count; i++) {
        const int64_t at = code_set_start(&q->sets, i);
        const REAL *in = (const REAL *)v->data + at;
        REAL *out = (REAL *)p->data + at;
        NAME(selection_cut) cut = NAME(selection_find)(q, in);
        for (int64_t j = 0; j < q->sets.length; j++) {
            const REAL x = in[j * q->sets.stride], t = ((const REAL *)level->data)[selection_level(q, j)];
            const bool takes = NAME(selection_takes)(&cut, NAME(selection_key)(q, x, j)), off = pudle_abs(x) <= t;
            out[j * q->sets.stride] = takes ? (t == t ? x : t) : off ? 0 : x - pudle_copysign(t, x);
        }
    }
}

static inline void NAME(selection_shrink_vjp)(const selection *q, const pudle_cview *v, const pudle_cview *level, const pudle_cview *g,
                                              const pudle_view *gv, const pudle_view *glevel)
{
    for (int64_t i = 0; i < q->sets.count; i++) {
        const int64_t at = code_set_start(&q->sets, i);
        const REAL *in = (const REAL *)v->data + at, *up = (const REAL *)g->data + at;
        REAL *out = (REAL *)gv->data + at;
        NAME(selection_cut) cut = NAME(selection_find)(q, in);
        for (int64_t j = 0; j < q->sets.length; j++) {
            const REAL x = in[j * q->sets.stride], t = ((const REAL *)level->data)[selection_level(q, j)];
            const bool takes = NAME(selection_takes)(&cut, NAME(selection_key)(q, x, j)), off = pudle_abs(x) <= t;
            const REAL through = !takes && off ? 0 : up[j * q->sets.stride];
            if (glevel && !takes)
                ((double *)glevel->data)[selection_level(q, j)] -= x < 0 ? -(double)through : (double)through;
            out[j * q->sets.stride] = through;
        }
    }
}
