/* The text is put together from: how kernels are written (grid.h), functions of a body's vocabulary, the options as a struct, the author's body
 * as a template over `real`, and the kernels around it. All but what depends on the plugin are files of kernels/, of which the build makes texts.h. Line directives let a
 * compiler's message name these files, or the operator. */
#include "source.h"
#include "texts.h"

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

/* A file of kernels/. */
static void put_lines(text *t, const char *const *lines)
{
    while (*lines)
        put(t, "%s", *lines++);
}

/* One that is written for REAL, once for each precision. K(name) is the name of a kernel, F(name) a function of the mathematical library. */
static void put_both(text *t, const char *const *lines)
{
    static const char *const precisions[][3] = { { "float", "f32", "name##f" }, { "double", "f64", "name" } };
    for (int i = 0; i < 2; i++) {
        put(t, "#define REAL %s\n#define K(name) pudle_##name##_%s\n#define F(name) %s\n", precisions[i][0], precisions[i][1], precisions[i][2]);
        put_lines(t, lines);
        put(t, "#undef REAL\n#undef K\n#undef F\n");
    }
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
    put(t, "#line 1 \"options of %s\"\n", desc->name);
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

/* A body as a function. */
static void put_entry(text *t, const pudle_desc *desc, const char *what, const char *head, const char *body)
{
    put(t, "#line 1 \"%s %s\"\n", what, desc->name);
    put(t, "template <typename real> PUDLE_DEVICE void %s %s }\n", head, body);
}

static void put_prox(text *t, const pudle_desc *desc, const pudle_source *source, int part)
{
    put_entry(t, desc, "prox", "pudle_prox_entry(const pudle_options *o, const real tau, const real v, const real *t, real *p, real *dv, real *dt) "
              "{ (void)o, (void)tau, (void)t, (void)dt;", source->body);
    put(t, "#define PUDLE_LEVELS %d\n", source->levels);
    put_lines(t, text_prox);
    if (part == CUDA_TEXT_FILTERS) {
        put_lines(t, text_tiles);
        put_both(t, text_filters_kernels);
        return;
    }
    put_both(t, text_prox_kernels);
    put_lines(t, text_lists);
    put_both(t, text_lists_kernels);
}

static void put_loss(text *t, const pudle_desc *desc, const pudle_source *source)
{
    const pudle_source *code = cuda_code_source_of(desc);
    put_entry(t, desc, "loss", "pudle_loss_entry(const pudle_options *o, const real eta, const real x, real *f, real *df, real *ddf, real *mean, "
              "bool *ok) { (void)o, (void)eta, (void)x, (void)ok;", source->body);
    put_both(t, text_loss_kernels);
    if (!code)
        return;
    put_entry(t, desc, "penalty of", "pudle_code_entry(const pudle_options *o, const real z, real *f, real *df) { (void)o, (void)z, (void)f, (void)df;",
              code->body);
    put_both(t, text_penalty_kernels);
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
    put_lines(&t, text_grid);
    put_both(&t, text_functions);
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
