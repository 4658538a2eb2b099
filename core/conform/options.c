/* Options drawn from the table: defaults, ends of ranges, and what lies between. */
#include "conform/parts.h"
#include "config/parts.h"

enum { PAIRS = 64, SETS = 256, PAIR_ROOM = 128, ATTEMPTS = 40 };
#define END_CHANCE 0.1 /* that a number is an end of its range */

/* The pairs of one draw, and what --set adds behind them. */
typedef struct pd_pairs {
    char text[PAIRS][PAIR_ROOM];
    const char *at[PAIRS + SETS];
    int drawn, count;
} pairs;

static bool is_set(const pd_trial *t, const char *name)
{
    const size_t length = strlen(name);
    for (int i = 0; i < t->how->sets; i++)
        if (!strncmp(t->how->set[i], name, length) && t->how->set[i][length] == '=')
            return true;
    return false;
}

static bool drawable(int32_t type)
{
    return type == PUDLE_BOOL || type == PUDLE_INT || type == PUDLE_REAL || type == PUDLE_ENUM;
}

static bool has_range(const pudle_option *row)
{
    return row->min != 0 || row->max != 0;
}

/* A number of the row's range, of the size of its default. */
static double draw_real(pd_trial *t, const pudle_option *row)
{
    const double dflt = row->dflt ? strtod(row->dflt, NULL) : 0, size = dflt != 0 ? fabs(dflt) : 1;
    const double low = has_range(row) ? row->min : -INFINITY, high = has_range(row) ? row->max : INFINITY;
    const double dice = pd_uniform(t);
    if (dice < END_CHANCE && isfinite(low) && !(row->flags & PUDLE_OPEN_MIN))
        return low;
    if (dice > 1 - END_CHANCE && isfinite(high) && !(row->flags & PUDLE_OPEN_MAX))
        return high;
    double x;
    if (isfinite(low) && isfinite(high) && high - low <= 100 * size)
        x = low + (high - low) * (0.001 + 0.998 * pd_uniform(t));
    else if (isfinite(low))
        x = low + (dflt > low ? dflt - low : size) * exp(pd_normal(t));
    else if (isfinite(high))
        x = high - (dflt < high ? high - dflt : size) * exp(pd_normal(t));
    else
        x = dflt + size * pd_normal(t);
    return x > high ? high - (high - low) * 0.01 : x;
}

static int64_t draw_int(pd_trial *t, const pudle_option *row)
{
    const int64_t dflt = row->dflt ? strtoll(row->dflt, NULL, 10) : 0;
    const int64_t low = has_range(row) && row->min > -1e15
                            ? (int64_t)ceil(row->min) + (row->flags & PUDLE_OPEN_MIN && row->min == ceil(row->min))
                            : dflt - 4;
    int64_t high = low > 2 * dflt + 3 ? low + 3 : 2 * dflt + 3;
    if (has_range(row) && row->max < (double)high)
        high = (int64_t)floor(row->max) - (row->flags & PUDLE_OPEN_MAX && row->max == floor(row->max));
    return high > low ? low + pd_below(t, high - low + 1) : low;
}

static void draw_pair(pd_trial *t, const pudle_option *row, char *text)
{
    const char *begin = "";
    int length = 0;
    switch (row->type) {
    case PUDLE_BOOL: snprintf(text, PAIR_ROOM, "%s=%s", row->name, pd_below(t, 2) ? "true" : "false"); break;
    case PUDLE_INT: snprintf(text, PAIR_ROOM, "%s=%lld", row->name, (long long)draw_int(t, row)); break;
    case PUDLE_REAL: snprintf(text, PAIR_ROOM, "%s=%.17g", row->name, draw_real(t, row)); break;
    default:
        pd_choice(row->choices, (int)pd_below(t, pd_choice(row->choices, -1, NULL, NULL)), &begin, &length);
        snprintf(text, PAIR_ROOM, "%s=%.*s", row->name, length, begin);
    }
}

/* share: of the options that are drawn; the others keep their defaults. @errors false: skipped */
static bool draw_pairs(pd_trial *t, double share, pairs *p)
{
    pudle_option row;
    p->count = 0;
    for (int i = 0; pd_option_at(t->desc, i, &row) && p->count < PAIRS; i++) {
        const bool required = (row.flags & PUDLE_REQUIRED) != 0;
        if (is_set(t, row.name) || row.flags & PUDLE_DEPRECATED)
            continue;
        if (required && !drawable(row.type))
            return pd_skips(t, "the option '%s' is required and cannot be drawn: give --set %s=...", row.name, row.name);
        if (!drawable(row.type) || (!required && pd_uniform(t) >= share))
            continue;
        draw_pair(t, &row, p->text[p->count]);
        p->at[p->count] = p->text[p->count];
        p->count++;
    }
    p->drawn = p->count;
    for (int i = 0; i < t->how->sets && i < SETS; i++)
        p->at[p->count++] = t->how->set[i];
    return true;
}

static void tell_options(pd_trial *t, const pairs *p)
{
    size_t used = 0;
    t->options[0] = '\0';
    for (int i = 0; i < p->count && used < sizeof t->options; i++)
        used += (size_t)snprintf(t->options + used, sizeof t->options - used, "%s%s", i ? " " : "", p->at[i]);
}

static pudle_status make(pd_trial *t, const pairs *p, void **params)
{
    t->verdict->calling = "check";
    const pudle_status s = pd_params_from_pairs(t->ctx, t->plugin, p->at, p->count, params);
    t->verdict->calling = NULL;
    return s;
}

/* An option that neither a draw nor --set has given: it may be what the plugin's check misses. */
static const char *not_given(pd_trial *t, pudle_option *row)
{
    for (int i = 0; pd_option_at(t->desc, i, row); i++)
        if (!drawable(row->type) && !is_set(t, row->name))
            return row->name;
    return NULL;
}

/* Defaults that are refused are a finding, but where the plugin wants one of several options it cannot say so in its table. */
bool pd_params_default(pd_trial *t)
{
    pudle_option row;
    if (pd_params_draw(t, 0) || t->verdict->state != PD_FAILED || !not_given(t, &row))
        return t->verdict->state == PD_RUNNING;
    t->verdict->state = PD_RUNNING;
    return pd_skips(t, "the defaults alone are not enough (%.600s): give --set", pd_error(t->ctx));
}

bool pd_params_draw(pd_trial *t, int draw)
{
    pudle_option row;
    pd_instance_drop(t);
    t->verdict->drawn[0] = '\0';
    if (!t->pairs && !(t->pairs = calloc(1, sizeof *t->pairs)))
        return pd_fails(t, "the suite is out of memory");
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (!draw_pairs(t, (draw == 0 && attempt == 0) || attempt == ATTEMPTS - 1 ? 0 : 0.7, t->pairs))
            return false;
        tell_options(t, t->pairs);
        pd_drawn(t, "%s", "");
        if (!make(t, t->pairs, &t->params))
            return true;
        if (t->silent && strstr(pd_error(t->ctx), "without saying why"))
            return pd_fails(t, "check refuses these options and gives no reason through host->fail");
        if (draw == 0 && (t->strict || !not_given(t, &row)))
            break;
        if (attempt < ATTEMPTS - 1)
            pd_error_clear(t->ctx); /* a combination that the plugin's check refuses: draw another */
    }
    if (!t->strict && not_given(t, &row))
        return pd_skips(t, "its check refuses all that can be drawn (%.600s): give --set %s=...", pd_error(t->ctx), row.name);
    return pd_fails(t, "its options are refused: %s", pd_error(t->ctx));
}

static bool same_name(const char *pair, const char *name)
{
    const size_t length = strlen(name);
    return !strncmp(pair, name, length) && pair[length] == '=';
}

/* Replace the pair of a row, or put it in front of what --set says. */
static void redraw(pd_trial *t, const pudle_option *row, pairs *p)
{
    int i = 0;
    while (i < p->drawn && !same_name(p->text[i], row->name))
        i++;
    if (i == PAIRS)
        return;
    draw_pair(t, row, p->text[i]);
    if (i < p->drawn)
        return;
    memmove(&p->at[i + 1], &p->at[i], (size_t)(p->count - i) * sizeof *p->at);
    p->at[i] = p->text[i];
    p->drawn++;
    p->count++;
}

void *pd_levels_draw(pd_trial *t)
{
    pairs *p = malloc(sizeof *p);
    void *params = NULL;
    for (int attempt = 0; p && attempt < 8 && !params; attempt++) {
        pudle_option row;
        *p = *t->pairs;
        for (int i = 0; i < p->drawn; i++)
            p->at[i] = p->text[i];
        for (int i = 0; pd_option_at(t->desc, i, &row); i++)
            if (row.flags & PUDLE_THRESHOLD && !is_set(t, row.name))
                redraw(t, &row, p);
        if (make(t, p, &params)) {
            params = NULL;
            pd_error_clear(t->ctx);
        }
    }
    free(p);
    return params;
}
