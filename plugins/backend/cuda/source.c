/* The text is put together from: a prelude (types, functions of a body's vocabulary), the options as a struct, the author's body
 * as a template over `real`, and the kernels around it. */
#include "source.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------- text */

typedef struct text {
    char *at;
    size_t length, room;
    bool lost;
} text;

static PUDLE_PRINTF(2, 3) void put(text *t, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (need < 0)
        t->lost = true;
    while (!t->lost && t->length + (size_t)need + 1 > t->room) {
        const size_t room = t->room ? 2 * t->room : 8192;
        char *more = realloc(t->at, room);
        t->lost = !more;
        if (more) {
            t->at = more;
            t->room = room;
        }
    }
    if (!t->lost)
        t->length += (size_t)vsnprintf(t->at + t->length, t->room - t->length, format, again);
    va_end(again);
}

/* ---------------------------------------------------------------- prelude */

/* The vocabulary of kernels, which those of kernels.cu share. The build makes lines of text out of grid.h. */
static const char *const prelude[] = {
#include "grid_text.h"
};

/* What kernels of filters share (tiles.h). */
static const char *const tiles[] = {
#include "tiles_text.h"
};

/* name, float function, double function; the same vocabulary as pudle/elementwise.h. */
static const char *const unary[][3] = {
    { "abs", "fabsf", "fabs" },       { "sqrt", "sqrtf", "sqrt" },    { "cbrt", "cbrtf", "cbrt" }, { "exp", "expf", "exp" },
    { "expm1", "expm1f", "expm1" },   { "log", "logf", "log" },       { "log1p", "log1pf", "log1p" }, { "cos", "cosf", "cos" },
    { "acos", "acosf", "acos" },      { "tanh", "tanhf", "tanh" },    { "floor", "floorf", "floor" },
};
static const char *const binary[][3] = { { "pow", "powf", "pow" }, { "copysign", "copysignf", "copysign" } };

/* What has no name in the mathematical library, for TYPE. Whole numbers may stand beside a real, as in C: so a function of
 * two arguments also takes an int on either side. */
static const char own[] =
    "PUDLE_DEVICE TYPE pudle_sign(TYPE x) { return x > 0 ? (TYPE)1 : x < 0 ? (TYPE)-1 : x; }\n"
    "PUDLE_DEVICE TYPE pudle_max(TYPE a, TYPE b) { return a > b || a != a ? a : b; }\n"
    "PUDLE_DEVICE TYPE pudle_min(TYPE a, TYPE b) { return a < b || a != a ? a : b; }\n"
    "PUDLE_DEVICE TYPE pudle_sigmoid(TYPE x) { return x < 0 ? pudle_exp(x) / (1 + pudle_exp(x)) : 1 / (1 + pudle_exp(-x)); }\n"
    "PUDLE_DEVICE TYPE pudle_softplus(TYPE x) { return pudle_max(x, (TYPE)0) + pudle_log1p(pudle_exp(-pudle_abs(x))); }\n";

static void put_mixed(text *t, const char *name, const char *type)
{
    put(t, "PUDLE_DEVICE %s pudle_%s(int a, %s b) { return pudle_%s((%s)a, b); }\n", type, name, type, name, type);
    put(t, "PUDLE_DEVICE %s pudle_%s(%s a, int b) { return pudle_%s(a, (%s)b); }\n", type, name, type, name, type);
}

static void put_functions(text *t, const char *type, int column)
{
    for (size_t i = 0; i < sizeof unary / sizeof *unary; i++)
        put(t, "PUDLE_DEVICE %s pudle_%s(%s x) { return %s(x); }\n", type, unary[i][0], type, unary[i][column]);
    for (size_t i = 0; i < sizeof binary / sizeof *binary; i++) {
        put(t, "PUDLE_DEVICE %s pudle_%s(%s a, %s b) { return %s(a, b); }\n", type, binary[i][0], type, type, binary[i][column]);
        put_mixed(t, binary[i][0], type);
    }
    put(t, "#define TYPE %s\n%s#undef TYPE\n", type, own);
    put_mixed(t, "max", type);
    put_mixed(t, "min", type);
}

/* ---------------------------------------------------------------- options */

static const pudle_option *row(const pudle_desc *desc, int i)
{
    return (const pudle_option *)(const void *)((const char *)desc->options + (size_t)i * desc->option_size);
}

/* How an option stands in the params struct: NULL for what a body cannot use (text and lists). */
static const char *member_type(const pudle_option *o, unsigned *size)
{
    switch (o->type) {
    case PUDLE_BOOL: return *size = (unsigned)sizeof(bool), "bool";
    case PUDLE_INT: return *size = (unsigned)sizeof(int64_t), "int64_t";
    case PUDLE_REAL: return *size = (unsigned)sizeof(double), "double";
    case PUDLE_ENUM: return *size = (unsigned)sizeof(int32_t), "int32_t";
    default: return NULL;
    }
}

/* The option with the lowest offset at or above `from`, among those a body can use; -1: none. */
static int next_member(const pudle_desc *desc, unsigned from)
{
    int best = -1;
    unsigned size;
    for (int i = 0; desc->options && row(desc, i)->name; i++)
        if (member_type(row(desc, i), &size) && row(desc, i)->offset >= from && (best < 0 || row(desc, i)->offset < row(desc, best)->offset))
            best = i;
    return best;
}

/* The params struct with every byte in its place, so that the host's instance is passed as it is. Members are named as the
 * options are. */
static void put_options(text *t, const pudle_desc *desc)
{
    unsigned at = 0, size = 0;
    put(t, "struct __attribute__((packed, aligned(8))) pudle_options {\n");
    for (int i = next_member(desc, 0); i >= 0; i = next_member(desc, at)) {
        const pudle_option *o = row(desc, i);
        const char *type = member_type(o, &size);
        if (o->offset > at)
            put(t, "    char pad%u[%u];\n", at, o->offset - at);
        put(t, "    %s %s;\n", type, o->name);
        at = o->offset + size;
    }
    if (desc->params_size > at)
        put(t, "    char pad%u[%u];\n", at, desc->params_size - at);
    put(t, "};\n");
}

/* ---------------------------------------------------------------- kernels */

static const char prox_types[] =
    "struct pudle_levels { const void *theta[8]; long long step[8]; };\n"
    "struct pudle_code { long long atoms, inner, count; };\n"
    "struct pudle_list { int *index; void *value; int *count; };\n";

/* The operator for one entry of an atom: with all its derivatives, and with the one for the input. */
static const char prox_at[] =
    "template <typename real> PUDLE_DEVICE void pudle_prox_all(const pudle_options *o, const real tau, const pudle_levels &levels, long long atom, const real v,\n"
    "                                                          real *p, real *dv, real *dt)\n"
    "{\n"
    "    real t[LEVELS + 1];\n"
    "    for (int k = 0; k < LEVELS; k++)\n"
    "        t[k] = ((const real *)levels.theta[k])[atom * levels.step[k]];\n"
    "    pudle_prox_entry<real>(o, tau, v, t, p, dv, dt);\n"
    "}\n"
    "template <typename real> PUDLE_DEVICE void pudle_prox_at(const pudle_options *o, const real tau, const pudle_levels &levels, long long atom, const real v,\n"
    "                                                         real *p, real *dv)\n"
    "{\n"
    "    real dt[LEVELS + 1];\n"
    "    pudle_prox_all(o, tau, levels, atom, v, p, dv, dt);\n"
    "}\n";

/* Sums for levels: each thread takes every chunks-th entry of one atom, so the order of additions is a matter of the shape alone.
 * Neighbouring threads read neighbouring entries: along the atoms of a dense code, along the positions of a map. */
static const char prox_kernels[] =
    "PUDLE_KERNEL pudle_prox_apply_SUFFIX(PUDLE_OPTIONS o, TYPE tau, pudle_levels levels, const TYPE *v, TYPE *p, pudle_code c)\n"
    "{\n"
    "    PUDLE_ENTRIES(i, c.count) {\n"
    "        TYPE x, dv;\n"
    "        const long long atom = i / c.inner % c.atoms;\n"
    "        pudle_prox_at<TYPE>(&o, tau, levels, atom, v[i], &x, &dv);\n"
    "        p[i] = x;\n"
    "    }\n"
    "}\n"
    "PUDLE_CALLABLE(pudle_prox_apply_SUFFIX)\n"
    "PUDLE_KERNEL pudle_prox_vjp_SUFFIX(PUDLE_OPTIONS o, TYPE tau, pudle_levels levels, const TYPE *v, const TYPE *g, TYPE *gv, pudle_code c)\n"
    "{\n"
    "    PUDLE_ENTRIES(i, c.count) {\n"
    "        TYPE x, dv;\n"
    "        const long long atom = i / c.inner % c.atoms;\n"
    "        pudle_prox_at<TYPE>(&o, tau, levels, atom, v[i], &x, &dv);\n"
    "        gv[i] = dv * g[i];\n"
    "    }\n"
    "}\n"
    "PUDLE_CALLABLE(pudle_prox_vjp_SUFFIX)\n"
    "PUDLE_KERNEL pudle_prox_levels_SUFFIX(PUDLE_OPTIONS o, TYPE given, pudle_levels levels, const TYPE *v, const TYPE *g, double *partial,\n"
    "                                      pudle_code c, long long chunks, const double *steps, int kept)\n"
    "{\n"
    "    const TYPE tau = steps ? (TYPE)*steps : given;\n"
    "    const long long each = c.count / c.atoms, all = c.atoms * chunks;\n"
    "    PUDLE_ENTRIES(q, all) {\n"
    "        TYPE t[LEVELS + 1], dt[LEVELS + 1], x, dv;\n"
    "        double sum[LEVELS + 1];\n"
    "        const long long atom = c.inner > 1 ? q / chunks : q % c.atoms, chunk = c.inner > 1 ? q % chunks : q / c.atoms;\n"
    "        for (int k = 0; k < LEVELS; k++) {\n"
    "            t[k] = ((const TYPE *)levels.theta[k])[atom * levels.step[k]];\n"
    "            sum[k] = 0;\n"
    "        }\n"
    "        for (long long e = chunk; e < each; e += chunks) {\n"
    "            const long long i = (e / c.inner * c.atoms + atom) * c.inner + e % c.inner;\n"
    "            if (kept && g[i] == 0)\n"
    "                continue;\n"
    "            pudle_prox_entry<TYPE>(&o, tau, v[i], t, &x, &dv, dt);\n"
    "            for (int k = 0; k < LEVELS; k++)\n"
    "                sum[k] += (double)dt[k] * (double)g[i];\n"
    "        }\n"
    "        for (int k = 0; k < LEVELS; k++)\n"
    "            partial[(k * c.atoms + atom) * chunks + chunk] = sum[k];\n"
    "    }\n"
    "}\n"
    "PUDLE_CALLABLE(pudle_prox_levels_SUFFIX)\n";

/* Layers of the unrolled encoder in Gram form (unroll.c). Steps are read on the device, for they change while a recording lasts. */
static const char layer_kernels[] =
    "PUDLE_KERNEL pudle_prox_layer_SUFFIX(PUDLE_OPTIONS o, const double *step, pudle_levels levels, const TYPE *q, const TYPE *c, TYPE *z, TYPE *v,\n"
    "                                     pudle_code code)\n"
    "{\n"
    "    const TYPE tau = (TYPE)*step;\n"
    "    PUDLE_ENTRIES(i, code.count) {\n"
    "        TYPE x, dv;\n"
    "        const TYPE in = q ? z[i] + tau * (c[i] - q[i]) : tau * c[i];\n"
    "        pudle_prox_at<TYPE>(&o, tau, levels, i / code.inner % code.atoms, in, &x, &dv);\n"
    "        z[i] = x;\n"
    "        if (v)\n"
    "            v[i] = in;\n"
    "    }\n"
    "}\n"
    "PUDLE_CALLABLE(pudle_prox_layer_SUFFIX)\n"
    "PUDLE_KERNEL pudle_prox_back_SUFFIX(PUDLE_OPTIONS o, const double *step, pudle_levels levels, pudle_levels before, const TYPE *v, const TYPE *past,\n"
    "                                    const TYPE *q, int scaled, TYPE *u, TYPE *up, TYPE *us, TYPE *zs, TYPE *w, pudle_code code)\n"
    "{\n"
    "    const TYPE tau = (TYPE)*step;\n"
    "    PUDLE_ENTRIES(i, code.count) {\n"
    "        TYPE x = 0, dv, unused;\n"
    "        const TYPE g = !q ? u[i] : scaled ? u[i] - q[i] : u[i] - (TYPE)step[1] * q[i];\n"
    "        const long long atom = i / code.inner % code.atoms;\n"
    "        if (past)\n"
    "            pudle_prox_at<TYPE>(&o, (TYPE)step[-1], before, atom, past[i], &x, &unused);\n"
    "        zs[i] = x;\n"
    "        pudle_prox_at<TYPE>(&o, tau, levels, atom, v[i], &x, &dv);\n"
    "        if (up)\n"
    "            up[i] = g;\n"
    "        u[i] = dv * g;\n"
    "        us[i] = tau * (dv * g);\n"
    "        if (w)\n"
    "            w[i] += tau * (dv * g);\n"
    "    }\n"
    "}\n"
    "PUDLE_CALLABLE(pudle_prox_back_SUFFIX)\n";

static const char tape_of_lists[] =
    "/* A code's inputs v where something comes of them: where the prox or a derivative is other than 0. Those of a row and segment stand side by side from `start`\n"
    "   on, and have a bit each of PUDLE_BLOCK. Who comes first takes what is next, so places differ from run to run, and nothing else does. */\n"
    "struct pudle_tape { void *kept; unsigned *used, *bits, *start; };\n"
    "template <typename real> PUDLE_DEVICE bool pudle_recall(const pudle_tape &tape, long long cell, int t, real *v)\n"
    "{\n"
    "    const unsigned *word = tape.bits + cell * (PUDLE_BLOCK / 32);\n"
    "    const bool kept = word[t / 32] >> t % 32 & 1;\n"
    "    *v = kept ? ((const real *)tape.kept)[(long long)tape.start[cell] + pudle_before(word, t)] : 0;\n"
    "    return kept;\n"
    "}\n";
static const char prox_keeps[] =
    "template <typename real> PUDLE_DEVICE bool pudle_prox_keeps(const pudle_options *o, const real tau, const pudle_levels &levels, long long atom, const real v,\n"
    "                                                            real *p)\n"
    "{\n"
    "    real dv, dt[LEVELS + 1];\n"
    "    pudle_prox_all(o, tau, levels, atom, v, p, &dv, dt);\n"
    "    bool nothing = *p == 0 && dv == 0;\n"
    "    for (int k = 0; k < LEVELS; k++)\n"
    "        nothing = nothing && dt[k] == 0;\n"
    "    return !nothing;\n"
    "}\n";
/* The same for codes with few entries other than 0, in one launch a layer: a block has a row and a segment of PUDLE_BLOCK atoms. It adds up those rows of G that
 * the row's lists name, and lists what comes out for the next layer. Rows that are not sparse, eight by eight, are left to the first one's blocks, which read
 * all of G once for them: so it costs a few times a product, not as many times as there are rows (reckoned, not measured). Which way a row goes is a matter of the
 * codes alone. */
static const char list_parts[] =
    "#define PUDLE_TOGETHER 8\n"
    "#define PUDLE_LIST_SHARED(TYPE) \\\n"
    "    PUDLE_SHARED TYPE sum[PUDLE_TOGETHER][PUDLE_BLOCK]; \\\n"
    "    PUDLE_SHARED TYPE stage[PUDLE_BLOCK][PUDLE_TOGETHER]; \\\n"
    "    PUDLE_SHARED TYPE value[PUDLE_BLOCK]; \\\n"
    "    PUDLE_SHARED int index[PUDLE_BLOCK]; \\\n"
    "    PUDLE_SHARED int start[PUDLE_BLOCK]; \\\n"
    "    PUDLE_SHARED int entries[PUDLE_BLOCK]; \\\n"
    "    PUDLE_SHARED unsigned word[PUDLE_BLOCK / 32]; \\\n"
    "    const long long segments = (atoms + PUDLE_BLOCK - 1) / PUDLE_BLOCK, row = b / segments, first = b % segments * PUDLE_BLOCK; \\\n"
    "    const long long lead = row / PUDLE_TOGETHER * PUDLE_TOGETHER, behind = PUDLE_GRID / segments - lead; \\\n"
    "    const int members = behind < PUDLE_TOGETHER ? (int)behind : PUDLE_TOGETHER;\n"
    "/* Rows [row, row + own) are the block's: own = 1, or all of the eight, or none; and start[s]: entries of the row before segment s. Counts come to shared\n"
    "   memory side by side: one after the other each would be waited for. */\n"
    "#define PUDLE_LIST_ROWS \\\n"
    "    PUDLE_THREADS(t, width) { \\\n"
    "        int some = 0; \\\n"
    "        for (long long e = t; e < members * segments; e += width) \\\n"
    "            some += in.count[lead * segments + e]; \\\n"
    "        entries[t] = some; \\\n"
    "        index[t] = t < segments ? in.count[row * segments + t] : 0; \\\n"
    "    } \\\n"
    "    PUDLE_SYNC; \\\n"
    "    PUDLE_THREADS(t, width) { \\\n"
    "        int before = 0; \\\n"
    "        for (int s = 0; t <= segments && s < t && width; s++) \\\n"
    "            before += index[s]; \\\n"
    "        start[t] = before; \\\n"
    "    } \\\n"
    "    for (int k = 0; k < PUDLE_WIDTH && k < members * segments; k++) \\\n"
    "        total += entries[k]; \\\n"
    "    PUDLE_SYNC; \\\n"
    "    if (total > 2 * atoms) \\\n"
    "        own = row == lead ? members : 0;\n";
static const char list_sums[] =
    "/* sum[0][t] <- sum over k of value_k G[index_k][first + t], for the threads that need it; the entries come to shared memory a block's width at a time. */\n"
    "#define PUDLE_LIST_SUM(TYPE, NEEDED) \\\n"
    "    for (int from = 0; from < start[segments]; from += PUDLE_BLOCK) { \\\n"
    "        PUDLE_THREADS(t, width) { \\\n"
    "            const bool here = from + t < start[segments] && width; \\\n"
    "            int s = 0; \\\n"
    "            while (here && start[s + 1] <= from + t) \\\n"
    "                s++; \\\n"
    "            const long long place = row * atoms + s * PUDLE_BLOCK + from + t - start[s]; \\\n"
    "            index[t] = here ? in.index[place] : 0; \\\n"
    "            value[t] = here ? ((const TYPE *)in.value)[place] : 0; \\\n"
    "        } \\\n"
    "        PUDLE_SYNC; \\\n"
    "        PUDLE_THREADS(t, width) if (first + t < atoms && width && (NEEDED)) { \\\n"
    "            const int n = start[segments] - from < PUDLE_BLOCK ? start[segments] - from : PUDLE_BLOCK; \\\n"
    "            const TYPE *column = gram + first + t; \\\n"
    "            TYPE more = sum[0][t]; \\\n"
    "            for (int k = 0; k < n; k += 8) /* so many are on their way at a time; behind the last there is 0 times something */ \\\n"
    "                for (int h = 0; h < 8; h++) \\\n"
    "                    more += value[k + h] * column[index[k + h] * atoms]; \\\n"
    "            sum[0][t] = more; \\\n"
    "        } \\\n"
    "        PUDLE_SYNC; \\\n"
    "    }\n"
    "/* The same for all of the eight, by all rows of G: a segment of their codes at a time lies in `stage`, with its zeros. */\n"
    "#define PUDLE_LIST_SUM_ALL(TYPE) \\\n"
    "    for (long long s = 0; s < segments; s++) { \\\n"
    "        PUDLE_THREADS(t, width) for (int r = 0; r < PUDLE_TOGETHER && width; r++) stage[t][r] = 0; \\\n"
    "        PUDLE_SYNC; \\\n"
    "        PUDLE_THREADS(t, width) { \\\n"
    "            int many[PUDLE_TOGETHER]; \\\n"
    "            for (int r = 0; r < PUDLE_TOGETHER && width; r++) \\\n"
    "                many[r] = r < members ? in.count[(lead + r) * segments + s] : 0; \\\n"
    "            for (int r = 0; r < PUDLE_TOGETHER; r++) if (t < many[r]) { \\\n"
    "                const long long place = (lead + r) * atoms + s * PUDLE_BLOCK + t; \\\n"
    "                stage[in.index[place] - s * PUDLE_BLOCK][r] = ((const TYPE *)in.value)[place]; \\\n"
    "            } \\\n"
    "        } \\\n"
    "        PUDLE_SYNC; \\\n"
    "        PUDLE_THREADS(t, width) if (first + t < atoms && width) { \\\n"
    "            const int n = atoms - s * PUDLE_BLOCK < PUDLE_BLOCK ? (int)(atoms - s * PUDLE_BLOCK) : PUDLE_BLOCK; \\\n"
    "            const TYPE *column = gram + s * PUDLE_BLOCK * atoms + first + t; \\\n"
    "            TYPE more[PUDLE_TOGETHER]; \\\n"
    "            for (int r = 0; r < PUDLE_TOGETHER; r++) \\\n"
    "                more[r] = sum[r][t]; \\\n"
    "            for (int k = 0; k < n; k += 8) { /* so many are on their way at a time */ \\\n"
    "                TYPE g[8]; \\\n"
    "                for (int h = 0; h < 8; h++) \\\n"
    "                    g[h] = k + h < n ? column[(k + h) * atoms] : 0; \\\n"
    "                for (int h = 0; h < 8; h++) \\\n"
    "                    for (int r = 0; r < PUDLE_TOGETHER; r++) \\\n"
    "                        more[r] += stage[k + h][r] * g[h]; \\\n"
    "            } \\\n"
    "            for (int r = 0; r < PUDLE_TOGETHER; r++) \\\n"
    "                sum[r][t] = more[r]; \\\n"
    "        } \\\n"
    "        PUDLE_SYNC; \\\n"
    "    }\n"
    "/* The entries of `value` other than 0, which `word` has marked, to the list of row row + r, segment b % segments. */\n"
    "#define PUDLE_LIST(TYPE, list) \\\n"
    "    PUDLE_THREADS(t, width) { \\\n"
    "        const long long from = (row + r) * atoms + first; \\\n"
    "        const int before = pudle_before(word, t); \\\n"
    "        if (value[t] != 0) { \\\n"
    "            (list).index[from + before] = (int)(first + t); \\\n"
    "            ((TYPE *)(list).value)[from + before] = value[t]; \\\n"
    "        } \\\n"
    "        if (t == width - 1) \\\n"
    "            (list).count[b + r * segments] = before + (value[t] != 0); \\\n"
    "    }\n";
static const char list_layer_kernel[] =
    "PUDLE_KERNEL pudle_prox_list_layer_SUFFIX(PUDLE_OPTIONS o, const double *step, pudle_levels levels, const TYPE *gram, const TYPE *c, pudle_list in,\n"
    "                                          pudle_list out, TYPE *z, pudle_tape tape, long long atoms)\n"
    "{\n"
    "    const TYPE tau = (TYPE)*step;\n"
    "    PUDLE_BLOCKS(b) {\n"
    "        PUDLE_LIST_SHARED(TYPE)\n"
    "        PUDLE_SHARED unsigned keep[PUDLE_BLOCK / 32];\n"
    "        PUDLE_SHARED unsigned place;\n"
    "        PUDLE_OWN(TYPE, input, 1);\n"
    "        int own = 1;\n"
    "        long long total = 0;\n"
    "        PUDLE_THREADS(t, width) for (int r = 0; r < PUDLE_TOGETHER && width; r++) sum[r][t] = 0;\n"
    "        if (in.count) {\n"
    "            PUDLE_LIST_ROWS\n"
    "            if (total <= 2 * atoms) {\n"
    "                PUDLE_LIST_SUM(TYPE, true)\n"
    "            } else if (own) {\n"
    "                PUDLE_LIST_SUM_ALL(TYPE)\n"
    "            }\n"
    "        }\n"
    "        for (int r = 0; r < own; r++) {\n"
    "            PUDLE_THREADS(t, width) {\n"
    "                const long long i = (row + r) * atoms + first + t;\n"
    "                TYPE x = 0;\n"
    "                bool kept = false;\n"
    "                if (first + t < atoms && width) {\n"
    "                    const TYPE at = in.count ? z[i] + tau * (c[i] - sum[r][t]) : tau * c[i];\n"
    "                    kept = pudle_prox_keeps<TYPE>(&o, tau, levels, first + t, at, &x);\n"
    "                    z[i] = x;\n"
    "                    input[PUDLE_ME(t)][0] = at;\n"
    "                }\n"
    "                value[t] = x;\n"
    "                PUDLE_MARK(word, t, x != 0)\n"
    "                PUDLE_MARK(keep, t, kept)\n"
    "            }\n"
    "            PUDLE_SYNC;\n"
    "            PUDLE_LIST(TYPE, out)\n"
    "            if (tape.bits) {\n"
    "                const long long cell = b + r * segments;\n"
    "                PUDLE_THREADS(t, width) {\n"
    "                    unsigned many = 0;\n"
    "                    for (int k = 0; k < PUDLE_BLOCK / 32; k++)\n"
    "                        many += PUDLE_COUNT(keep[k]);\n"
    "                    if (t < 1 && width)\n"
    "                        tape.start[cell] = place = PUDLE_TAKE(tape.used, many);\n"
    "                    if (t < PUDLE_BLOCK / 32)\n"
    "                        tape.bits[cell * (PUDLE_BLOCK / 32) + t] = keep[t];\n"
    "                }\n"
    "                PUDLE_SYNC;\n"
    "                PUDLE_THREADS(t, width) if (width && (keep[t / 32] >> t % 32 & 1))\n"
    "                    ((TYPE *)tape.kept)[(long long)place + pudle_before(keep, t)] = input[PUDLE_ME(t)][0];\n"
    "            }\n"
    "            PUDLE_SYNC;\n"
    "        }\n"
    "    }\n"
    "}\n"
    "PUDLE_CALLABLE(pudle_prox_list_layer_SUFFIX)\n";
static const char list_back_kernel[] =
    "PUDLE_KERNEL pudle_prox_list_back_SUFFIX(PUDLE_OPTIONS o, const double *step, pudle_levels levels, pudle_levels before, const TYPE *gram, pudle_tape tape,\n"
    "                                         pudle_tape past, TYPE *v, pudle_list in, pudle_list out, TYPE *u, TYPE *up, TYPE *us, TYPE *zs, TYPE *w,\n"
    "                                         unsigned *u_bits, unsigned *z_bits, long long column, long long stride, long long atoms)\n"
    "{\n"
    "    const TYPE tau = (TYPE)*step;\n"
    "    PUDLE_BLOCKS(b) {\n"
    "        PUDLE_LIST_SHARED(TYPE)\n"
    "        PUDLE_SHARED TYPE slope[PUDLE_BLOCK]; /* where it is 0 the sum is not needed, but for the levels */\n"
    "        PUDLE_SHARED unsigned z_word[PUDLE_BLOCK / 32];\n"
    "        int own = 1;\n"
    "        long long total = 0;\n"
    "        PUDLE_THREADS(t, width) {\n"
    "            TYPE x, at, dv = 0;\n"
    "            if (first + t < atoms && width && pudle_recall(tape, b, t, &at))\n"
    "                pudle_prox_at<TYPE>(&o, tau, levels, first + t, at, &x, &dv);\n"
    "            slope[t] = dv;\n"
    "            for (int r = 0; r < PUDLE_TOGETHER; r++)\n"
    "                sum[r][t] = 0;\n"
    "        }\n"
    "        if (in.count) {\n"
    "            PUDLE_LIST_ROWS\n"
    "            if (total <= 2 * atoms) {\n"
    "                PUDLE_LIST_SUM(TYPE, up || slope[t] != 0)\n"
    "            } else if (own) {\n"
    "                PUDLE_LIST_SUM_ALL(TYPE)\n"
    "            }\n"
    "        }\n"
    "        for (int r = 0; r < own; r++) {\n"
    "            PUDLE_THREADS(t, width) {\n"
    "                const long long i = (row + r) * atoms + first + t;\n"
    "                TYPE masked = 0, x = 0;\n"
    "                if (first + t < atoms && width) {\n"
    "                    TYPE at, unused, dv = slope[t]; /* of the first row: not anew, for it has said whether the sum is there */\n"
    "                    const TYPE g = in.count ? u[i] - (TYPE)step[1] * sum[r][t] : u[i];\n"
    "                    const bool kept = (r || up) && pudle_recall(tape, b + r * segments, t, &at);\n"
    "                    if (r) {\n"
    "                        dv = 0;\n"
    "                        if (kept)\n"
    "                            pudle_prox_at<TYPE>(&o, tau, levels, first + t, at, &unused, &dv);\n"
    "                    }\n"
    "                    masked = dv != 0 ? dv * g : 0;\n"
    "                    if (up) { /* what has not been kept adds nothing */\n"
    "                        up[i] = kept ? g : 0;\n"
    "                        v[i] = at;\n"
    "                    }\n"
    "                    if (past.bits && pudle_recall(past, b + r * segments, t, &at))\n"
    "                        pudle_prox_at<TYPE>(&o, (TYPE)step[-1], before, first + t, at, &x, &dv);\n"
    "                    zs[i] = x;\n"
    "                    u[i] = masked;\n"
    "                    us[i] = tau * masked;\n"
    "                    w[i] += tau * masked;\n"
    "                }\n"
    "                value[t] = masked;\n"
    "                PUDLE_MARK(word, t, masked != 0)\n"
    "                PUDLE_MARK(z_word, t, x != 0)\n"
    "            }\n"
    "            PUDLE_SYNC;\n"
    "            PUDLE_LIST(TYPE, out)\n"
    "            PUDLE_THREADS(t, width) if (t < width / 32 && first + 32 * t < atoms) {\n"
    "                u_bits[(first / 32 + t) * stride + column + row + r] = word[t];\n"
    "                z_bits[(first / 32 + t) * stride + column + row + r] = z_word[t];\n"
    "            }\n"
    "            PUDLE_SYNC;\n"
    "        }\n"
    "    }\n"
    "}\n"
    "PUDLE_CALLABLE(pudle_prox_list_back_SUFFIX)\n";

/* Layers of filters: D' image, with what the layer does to each entry of it. */
static const char filter_layer_kernel[] =
    "struct pudle_layer_SUFFIX {\n"
    "    typedef pudle_code_cell cell;\n"
    "    const pudle_options *o;\n"
    "    const TYPE tau;\n"
    "    const pudle_levels &levels;\n"
    "    const pudle_filters &f;\n"
    "    TYPE *z, *v;\n"
    "    int first;\n"
    "    PUDLE_MEMBER cell begin(int m) const { return pudle_code_at(f, m); }\n"
    "    PUDLE_MEMBER void put(const cell &to, int n, TYPE sum) const\n"
    "    {\n"
    "        const long long i = to.at + (long long)n * f.p * f.q;\n"
    "        const TYPE at = first ? tau * sum : z[i] + tau * sum;\n"
    "        TYPE x, dv;\n"
    "        pudle_prox_at<TYPE>(o, tau, levels, n, at, &x, &dv);\n"
    "        z[i] = x;\n"
    "        if (v)\n"
    "            v[i] = at;\n"
    "    }\n"
    "    PUDLE_MEMBER void again(const cell &, int) const {}\n"
    "};\n"
    "PUDLE_KERNEL pudle_prox_filter_layer_SUFFIX(PUDLE_OPTIONS o, const double *step, pudle_levels levels, pudle_filters f, pudle_tile tile, int count,\n"
    "                                            const TYPE *images, TYPE *z, TYPE *v, int first)\n"
    "{\n"
    "    PUDLE_BLOCKS(b) {\n"
    "        PUDLE_SHARED pudle_four<TYPE> room[PUDLE_ROOM(TYPE) / 4];\n"
    "        pudle_tile_of(room->at, b, tile, count, pudle_analysis<TYPE>(f, images), pudle_layer_SUFFIX{ &o, (TYPE)*step, levels, f, z, v, first });\n"
    "    }\n"
    "}\n"
    "PUDLE_CALLABLE(pudle_prox_filter_layer_SUFFIX)\n";
static const char filter_back_kernel[] =
    "struct pudle_back_SUFFIX {\n"
    "    typedef pudle_code_cell cell;\n"
    "    const pudle_options *o;\n"
    "    const TYPE tau, tau_before;\n"
    "    const pudle_levels &levels, &before;\n"
    "    const pudle_filters &f;\n"
    "    const TYPE *v, *past;\n"
    "    TYPE *u, *up, *us, *zs;\n"
    "    PUDLE_MEMBER cell begin(int m) const { return pudle_code_at(f, m); }\n"
    "    PUDLE_MEMBER void put(const cell &to, int n, TYPE sum) const\n"
    "    {\n"
    "        const long long i = to.at + (long long)n * f.p * f.q;\n"
    "        const TYPE g = u[i] + sum;\n"
    "        TYPE x = 0, dv, unused;\n"
    "        if (past)\n"
    "            pudle_prox_at<TYPE>(o, tau_before, before, n, past[i], &x, &unused);\n"
    "        zs[i] = x;\n"
    "        pudle_prox_at<TYPE>(o, tau, levels, n, v[i], &x, &dv);\n"
    "        if (up)\n"
    "            up[i] = g;\n"
    "        u[i] = dv * g;\n"
    "        us[i] = tau * (dv * g);\n"
    "    }\n"
    "    PUDLE_MEMBER void again(const cell &, int) const {}\n"
    "};\n"
    "PUDLE_KERNEL pudle_prox_filter_back_SUFFIX(PUDLE_OPTIONS o, const double *step, pudle_levels levels, pudle_levels before, pudle_filters f, pudle_tile tile,\n"
    "                                           int count, const TYPE *images, const TYPE *v, const TYPE *past, TYPE *u, TYPE *up, TYPE *us, TYPE *zs)\n"
    "{\n"
    "    PUDLE_BLOCKS(b) {\n"
    "        PUDLE_SHARED pudle_four<TYPE> room[PUDLE_ROOM(TYPE) / 4];\n"
    "        pudle_tile_of(room->at, b, tile, count, pudle_analysis<TYPE>(f, images),\n"
    "                      pudle_back_SUFFIX{ &o, (TYPE)*step, past ? (TYPE)step[-1] : (TYPE)0, levels, before, f, v, past, u, up, us, zs });\n"
    "    }\n"
    "}\n"
    "PUDLE_CALLABLE(pudle_prox_filter_back_SUFFIX)\n";

static const char loss_kernels[] =
    "PUDLE_KERNEL pudle_loss_value_SUFFIX(PUDLE_OPTIONS o, const TYPE *eta, const TYPE *x, double *partial, long long n)\n"
    "{\n"
    "    PUDLE_TOTAL(partial, n,\n"
    "        double f, df, ddf, mean;\n"
    "        bool ok;\n"
    "        pudle_loss_entry<double>(&o, (double)eta[i], (double)x[i], &f, &df, &ddf, &mean, &ok);\n"
    "        sum += f;)\n"
    "}\n"
    "PUDLE_CALLABLE(pudle_loss_value_SUFFIX)\n"
    "PUDLE_KERNEL pudle_loss_grad_SUFFIX(PUDLE_OPTIONS o, const TYPE *eta, const TYPE *x, TYPE *g, long long n)\n"
    "{\n"
    "    PUDLE_ENTRIES(i, n) {\n"
    "        TYPE f, df, ddf, mean;\n"
    "        bool ok;\n"
    "        pudle_loss_entry<TYPE>(&o, eta[i], x[i], &f, &df, &ddf, &mean, &ok);\n"
    "        g[i] = df;\n"
    "    }\n"
    "}\n"
    "PUDLE_CALLABLE(pudle_loss_grad_SUFFIX)\n"
    "PUDLE_KERNEL pudle_loss_hvp_SUFFIX(PUDLE_OPTIONS o, const TYPE *eta, const TYPE *x, const TYPE *u, TYPE *hu, long long n)\n"
    "{\n"
    "    PUDLE_ENTRIES(i, n) {\n"
    "        TYPE f, df, ddf, mean;\n"
    "        bool ok;\n"
    "        pudle_loss_entry<TYPE>(&o, eta[i], x[i], &f, &df, &ddf, &mean, &ok);\n"
    "        hu[i] = ddf * u[i];\n"
    "    }\n"
    "}\n"
    "PUDLE_CALLABLE(pudle_loss_hvp_SUFFIX)\n"
    "PUDLE_KERNEL pudle_loss_mean_SUFFIX(PUDLE_OPTIONS o, const TYPE *eta, TYPE *m, long long n)\n"
    "{\n"
    "    PUDLE_ENTRIES(i, n) {\n"
    "        TYPE f, df, ddf, mean;\n"
    "        bool ok;\n"
    "        pudle_loss_entry<TYPE>(&o, eta[i], (TYPE)0, &f, &df, &ddf, &mean, &ok);\n"
    "        m[i] = mean;\n"
    "    }\n"
    "}\n"
    "PUDLE_CALLABLE(pudle_loss_mean_SUFFIX)\n";

static const char code_kernels[] =
    "PUDLE_KERNEL pudle_code_value_SUFFIX(PUDLE_OPTIONS o, const TYPE *z, double *partial, long long n)\n"
    "{\n"
    "    PUDLE_TOTAL(partial, n,\n"
    "        double f, df;\n"
    "        pudle_code_entry<double>(&o, (double)z[i], &f, &df);\n"
    "        sum += f;)\n"
    "}\n"
    "PUDLE_CALLABLE(pudle_code_value_SUFFIX)\n"
    "PUDLE_KERNEL pudle_code_grad_SUFFIX(PUDLE_OPTIONS o, const TYPE *z, TYPE *g, long long n)\n"
    "{\n"
    "    PUDLE_ENTRIES(i, n) {\n"
    "        TYPE f, df;\n"
    "        pudle_code_entry<TYPE>(&o, z[i], &f, &df);\n"
    "        g[i] += df;\n"
    "    }\n"
    "}\n"
    "PUDLE_CALLABLE(pudle_code_grad_SUFFIX)\n";

/* A template with TYPE, SUFFIX and LEVELS replaced. */
static void put_kernels(text *t, const char *kernels, const char *type, const char *suffix, int levels)
{
    const struct { const char *word, *value; } words[] = { { "TYPE", type }, { "SUFFIX", suffix } };
    char count[16];
    snprintf(count, sizeof count, "%d", levels);
    while (*kernels) {
        const char *value = NULL;
        size_t length = 0;
        for (size_t i = 0; i < sizeof words / sizeof *words && !value; i++)
            if (!strncmp(kernels, words[i].word, length = strlen(words[i].word)))
                value = words[i].value;
        if (!value && !strncmp(kernels, "LEVELS", length = 6))
            value = count;
        if (value)
            put(t, "%s", value);
        else
            put(t, "%.*s", 1, kernels);
        kernels += value ? length : 1;
    }
}

/* The line directive lets a compiler's message name the operator instead of a line of this text. */
static void put_entry(text *t, const pudle_desc *desc, const char *what, const char *head, const char *body)
{
    put(t, "#line 1 \"%s %s\"\n", what, desc->name);
    put(t, "template <typename real> PUDLE_DEVICE void %s %s }\n", head, body);
    put(t, "#line 1 \"kernels of %s\"\n", desc->name);
}

/* A template's kernels in both precisions. */
static void put_both(text *t, const char *kernels, int levels)
{
    put_kernels(t, kernels, "float", "f32", levels);
    put_kernels(t, kernels, "double", "f64", levels);
}

static void put_lines(text *t, const char *const *lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put(t, "%s", lines[i]);
}

static void put_prox(text *t, const pudle_desc *desc, const pudle_source *source, int part)
{
    put(t, "%s", prox_types);
    put_entry(t, desc, "prox", "pudle_prox_entry(const pudle_options *o, const real tau, const real v, const real *t, real *p, real *dv, real *dt) "
              "{ (void)o, (void)tau, (void)t, (void)dt;", source->body);
    put_kernels(t, prox_at, "", "", source->levels);
    if (part == CUDA_TEXT_FILTERS) {
        put_lines(t, tiles, sizeof tiles / sizeof *tiles);
        put_both(t, filter_layer_kernel, source->levels);
        put_both(t, filter_back_kernel, source->levels);
        return;
    }
    put_both(t, prox_kernels, source->levels);
    put_both(t, layer_kernels, source->levels);
    put(t, "%s", tape_of_lists);
    put_kernels(t, prox_keeps, "", "", source->levels);
    put(t, "%s%s", list_parts, list_sums);
    put_both(t, list_layer_kernel, source->levels);
    put_both(t, list_back_kernel, source->levels);
}

static void put_loss(text *t, const pudle_desc *desc, const pudle_source *source)
{
    const pudle_source *code = cuda_code_source_of(desc);
    put_entry(t, desc, "loss", "pudle_loss_entry(const pudle_options *o, const real eta, const real x, real *f, real *df, real *ddf, real *mean, "
              "bool *ok) { (void)o, (void)eta, (void)x, (void)ok;", source->body);
    put_both(t, loss_kernels, 0);
    if (!code)
        return;
    put_entry(t, desc, "penalty of", "pudle_code_entry(const pudle_options *o, const real z, real *f, real *df) { (void)o, (void)z, (void)f, (void)df;",
              code->body);
    put_both(t, code_kernels, 0);
}

const pudle_source *cuda_source_of(const pudle_desc *desc)
{
    const pudle_prox_ops *prox = desc->ops;
    const pudle_loss_ops *loss = desc->ops;
    if (desc->kind == PUDLE_KIND_PROX)
        return PUDLE_HAS(prox, pudle_prox_ops, source) ? prox->source : NULL;
    return desc->kind == PUDLE_KIND_LOSS && PUDLE_HAS(loss, pudle_loss_ops, source) ? loss->source : NULL;
}

const pudle_source *cuda_code_source_of(const pudle_desc *desc)
{
    const pudle_loss_ops *loss = desc->ops;
    return desc->kind == PUDLE_KIND_LOSS && PUDLE_HAS(loss, pudle_loss_ops, code_source) && loss->code_source && loss->code_source->body
               ? loss->code_source
               : NULL;
}

pudle_status cuda_source(const pudle_desc *desc, int part, char **out)
{
    const pudle_source *source = cuda_source_of(desc);
    text t = { NULL, 0, 0, false };
    if (!source || !source->body || desc->create) /* with create, the instance is not the params that a body reads */
        return PUDLE_ERR_UNSUPPORTED;
    if (source->levels < 0 || source->levels > CUDA_LEVELS)
        return PUDLE_ERR_ARG;
    put_lines(&t, prelude, sizeof prelude / sizeof *prelude);
    put_functions(&t, "float", 1);
    put_functions(&t, "double", 2);
    put_options(&t, desc);
    if (desc->kind == PUDLE_KIND_PROX)
        put_prox(&t, desc, source, part);
    else
        put_loss(&t, desc, source);
    if (t.lost) {
        free(t.at);
        return PUDLE_ERR_NOMEM;
    }
    *out = t.at;
    return PUDLE_OK;
}
