/* Option tables: reading a row whatever the plugin's headers were, and checking a whole table at load time. */
#include "plugin/parts.h"
#include "config/parts.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { ROW_LIMIT = 256, PARAMS_LIMIT = 1 << 20 };

/* The part that every row has: rows written by a later version are longer, none is shorter. */
static const unsigned smallest_row = PD_UP_TO(pudle_option, doc);

bool pd_option_at(const pudle_desc *desc, int i, pudle_option *out)
{
    const char *table = (const char *)desc->options;
    if (!table || i < 0 || i >= ROW_LIMIT)
        return false;
    const size_t stride = desc->option_size, bytes = stride < sizeof *out ? stride : sizeof *out;
    for (int k = 0; k < i; k++) { /* rows behind the end are not the table's */
        const char *name;
        memcpy(&name, table + (size_t)k * stride, sizeof name);
        if (!name)
            return false;
    }
    pudle_option row;
    memset(&row, 0, sizeof row);
    memcpy(&row, table + (size_t)i * stride, bytes);
    if (!row.name)
        return false;
    *out = row;
    return true;
}

bool pd_option_find(const pudle_desc *desc, const char *name, pudle_option *out)
{
    for (int i = 0; pd_option_at(desc, i, out); i++)
        if (!strcmp(out->name, name))
            return true;
    return false;
}

/* Bytes and alignment of what an option fills; 0: a type that is not known. */
static size_t type_size(int32_t type, size_t *align)
{
#define OF(T) { sizeof(T), _Alignof(T) }
    static const struct {
        size_t size, align;
    } types[] = {
        [PUDLE_BOOL] = OF(bool),
        [PUDLE_INT] = OF(int64_t),
        [PUDLE_REAL] = OF(double),
        [PUDLE_STRING] = OF(const char *),
        [PUDLE_PATH] = OF(const char *),
        [PUDLE_ENUM] = OF(int32_t),
        [PUDLE_REAL_LIST] = OF(pudle_real_list),
        [PUDLE_INT_LIST] = OF(pudle_int_list),
        [PUDLE_TEXT] = OF(const char *),
    };
#undef OF
    if (type < PUDLE_BOOL || type > PUDLE_TEXT)
        return 0;
    *align = types[type].align;
    return types[type].size;
}

/* "prox 'name': option 'name': " and what is wrong with it. */
static pudle_status bad(const pudle_desc *d, const pudle_option *row, pd_reason *why, const char *format, ...)
    PUDLE_PRINTF(4, 5);
static pudle_status bad(const pudle_desc *d, const pudle_option *row, pd_reason *why, const char *format, ...)
{
    va_list list;
    const int used =
        snprintf(why->text, sizeof why->text, "%s '%s': option '%.80s': ", pd_kind_name(d->kind), d->name, row->name);
    va_start(list, format);
    vsnprintf(why->text + used, sizeof why->text - (size_t)used, format, list);
    va_end(list);
    return PUDLE_ERR_ABI;
}

/* The group of a config names its plugin and holds the core's options beside the plugin's. */
static bool reserved(const pudle_desc *d, const char *name)
{
    if (!strcmp(name, "name"))
        return true;
    for (int section = 0; section < PD_SECTIONS; section++)
        for (const pudle_option *row = pd_section_kind(section) == d->kind ? pd_core_table(section) : NULL; row && row->name;
             row++)
            if (!strcmp(row->name, name))
                return true;
    return false;
}

static pudle_status check_flags(const pudle_desc *d, const pudle_option *row, pd_reason *why)
{
    const uint32_t known =
        PUDLE_REQUIRED | PUDLE_OPEN_MIN | PUDLE_OPEN_MAX | PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_DEPRECATED;
    if (row->flags & ~known)
        return bad(d, row, why, "has flags 0x%x that ABI 1.0 does not know: remove them", (unsigned)(row->flags & ~known));
    if (row->flags & PUDLE_THRESHOLD && (d->kind != PUDLE_KIND_PROX || row->type != PUDLE_REAL))
        return bad(d, row, why,
                   "PUDLE_THRESHOLD is for options of a prox with type PUDLE_REAL: remove it or change the type");
    if (row->flags & PUDLE_PER_STEP && !(row->flags & PUDLE_THRESHOLD))
        return bad(d, row, why, "PUDLE_PER_STEP is for thresholds: add PUDLE_THRESHOLD or remove it");
    return PUDLE_OK;
}

static pudle_status check_place(const pudle_desc *d, const pudle_option *row, pd_reason *why)
{
    size_t align = 1;
    const size_t size = type_size(row->type, &align);
    if (!size)
        return bad(d, row, why, "has type %d, which ABI 1.0 does not know: use one of PUDLE_BOOL ... PUDLE_TEXT",
                   (int)row->type);
    if (row->offset > d->params_size || size > d->params_size - row->offset)
        return bad(d, row, why,
                   "its %zu bytes at offset %u lie outside the params struct of %u bytes: set .offset = offsetof(params, "
                   "member) and .params_size = sizeof(params)",
                   size, (unsigned)row->offset, (unsigned)d->params_size);
    if (row->offset % align)
        return bad(d, row, why,
                   "offset %u is not a multiple of %zu, so the member has another type than the option: see pudle/base.h "
                   "for the C type of each",
                   (unsigned)row->offset, align);
    return PUDLE_OK;
}

static pudle_status check_values(const pudle_desc *d, const pudle_option *row, pd_reason *why)
{
    if (isnan(row->min) || isnan(row->max) || row->min > row->max)
        return bad(d, row, why, "its range from %g to %g is empty: set .min <= .max, or both to 0 for no range", row->min,
                   row->max);
    if (row->type != PUDLE_ENUM)
        return PUDLE_OK;
    if (!row->choices || !*row->choices)
        return bad(d, row, why, "an enum without choices: set .choices = \"first|second\"");
    const int count = pd_choice(row->choices, -1, NULL, NULL);
    for (int i = 0; i < count; i++) {
        const char *begin;
        int length = 0;
        pd_choice(row->choices, i, &begin, &length);
        if (length == 0)
            return bad(d, row, why, "choice %d of \"%.80s\" is empty: separate names by one |", i + 1, row->choices);
    }
    return PUDLE_OK;
}

/* No name and no byte of params may belong to two rows. */
static pudle_status check_others(const pudle_desc *d, int i, const pudle_option *row, pd_reason *why)
{
    size_t align;
    const size_t end = row->offset + type_size(row->type, &align);
    pudle_option other;
    for (int k = 0; k < i && pd_option_at(d, k, &other); k++) {
        if (!strcmp(other.name, row->name))
            return bad(d, row, why, "stands in the table twice: remove one");
        if (row->offset < other.offset + type_size(other.type, &align) && other.offset < end)
            return bad(d, row, why, "shares memory with option '%.80s' (offsets %u and %u): give each its own member",
                       other.name, (unsigned)row->offset, (unsigned)other.offset);
    }
    return PUDLE_OK;
}

static pudle_status check_row(const pudle_desc *d, int i, const pudle_option *row, pd_reason *why)
{
    if (!pd_name_valid(row->name))
        return bad(d, row, why, "the name is not allowed: a letter, then letters, digits and _, all lower case, at most %d",
                   PD_NAME_LIMIT);
    if (reserved(d, row->name))
        return bad(d, row, why, "the core has an option of that name in the same group: choose another");
    if (!row->doc || !*row->doc)
        return bad(d, row, why, ".doc is missing: say in one sentence what it does");
    pudle_status s = check_flags(d, row, why);
    if (!s)
        s = check_place(d, row, why);
    if (!s)
        s = check_values(d, row, why);
    return s ? s : check_others(d, i, row, why);
}

/* Defaults are read by the code that will read them from configs. */
static pudle_status check_default(const pudle_desc *d, const pudle_option *row, pd_reason *why)
{
    pudle_status s = PUDLE_OK;
    pd_why text;
    pd_arena *arena = pd_arena_create();
    void *params = arena ? pd_arena_alloc(arena, 1, d->params_size) : NULL;
    if (!params)
        s = pd_refuse(why, PUDLE_ERR_NOMEM, "out of memory");
    else if (!pd_option_default(arena, row, params, d->params_size, &text))
        s = bad(d, row, why, "%s", text.text);
    pd_arena_destroy(arena);
    return s;
}

pudle_status pd_options_check(const pudle_desc *d, pd_reason *why)
{
    if (!d->options)
        return PUDLE_OK;
    if (d->option_size < smallest_row || d->option_size % _Alignof(pudle_option))
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "%s '%s': option_size is %u, ABI 1.0 has at least %u: set .option_size = sizeof(pudle_option)",
                         pd_kind_name(d->kind), d->name, (unsigned)d->option_size, smallest_row);
    if (d->params_size > PARAMS_LIMIT)
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "%s '%s': params_size is %u, more than the %d bytes allowed: set .params_size = sizeof(params)",
                         pd_kind_name(d->kind), d->name, (unsigned)d->params_size, PARAMS_LIMIT);
    pudle_option row;
    for (int i = 0; pd_option_at(d, i, &row); i++) {
        pudle_status s = i + 1 == ROW_LIMIT
                             ? bad(d, &row, why, "is row %d of the table: does it end with { NULL }?", ROW_LIMIT)
                             : PUDLE_OK;
        if (!s)
            s = check_row(d, i, &row, why);
        if (!s)
            s = check_default(d, &row, why);
        if (s)
            return s;
    }
    return PUDLE_OK;
}
