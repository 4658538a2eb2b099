/* --vary of a sweep: keys and their values. */
#include "sweep_plan.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Where the first piece ends: at a comma that is neither in quotes nor in brackets, or at the end. */
static size_t piece(const char *text, size_t length)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && (text[i] == '[' || text[i] == '('))
            depth++;
        else if (!quoted && (text[i] == ']' || text[i] == ')'))
            depth--;
        else if (text[i] == ',' && !quoted && depth <= 0)
            return i;
    }
    return length;
}

/* The pieces between commas, without blanks around them; false without memory. Empty pieces are pieces. */
static bool split(const char *text, size_t length, char ***list, int *count)
{
    for (;;) {
        const size_t whole = piece(text, length);
        size_t from = 0, to = whole;
        while (from < to && text[from] == ' ')
            from++;
        while (to > from && text[to - 1] == ' ')
            to--;
        char **more = realloc(*list, ((size_t)*count + 1) * sizeof *more);
        *list = more ? more : *list;
        if (!more || !((*list)[*count] = pd_format("%.*s", (int)(to - from), text + from)))
            return false;
        ++*count;
        if (whole == length)
            return true;
        text += whole + 1;
        length -= whole + 1;
    }
}

static bool has_empty(char *const *list, int count)
{
    for (int i = 0; i < count; i++)
        if (!*list[i])
            return true;
    return false;
}

static pudle_status parse_axis(pd_context *ctx, const char *text, axis *a)
{
    const char *equals = strchr(text, '=');
    if (!equals)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--vary %s: wants a key and its values, as  --vary prox.lambda=0.1,0.2,0.5", text);
    if (!split(text, (size_t)(equals - text), &a->key, &a->keys) || !split(equals + 1, strlen(equals + 1), &a->value, &a->values))
        return sweep_no_memory(ctx);
    if (has_empty(a->key, a->keys) || has_empty(a->value, a->values))
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--vary %s: a key or a value is empty; write  --vary prox.lambda=0.1,0.2,0.5", text);
    return PUDLE_OK;
}

static int times_given(const axis *axes, int count, const char *key)
{
    int times = 0;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < axes[i].keys; k++)
            times += !strcmp(axes[i].key[k], key);
    return times;
}

/* A --set of a key that is varied would do nothing. */
static pudle_status refuse_sets(pd_context *ctx, const cli_args *args, const axis *axes)
{
    for (int i = 0; i < args->sets; i++) {
        char *key = pd_format("%.*s", (int)strcspn(args->set[i], "= "), args->set[i]);
        const bool varied = key && times_given(axes, args->varies, key) > 0;
        pudle_status s = key ? PUDLE_OK : sweep_no_memory(ctx);
        if (varied)
            s = pd_fail(ctx, PUDLE_ERR_CONFIG, "--set %s and --vary %s=... both choose its value: give one of them", args->set[i], key);
        free(key);
        if (s)
            return s;
    }
    return PUDLE_OK;
}

pudle_status sweep_parse_axes(pd_context *ctx, const cli_args *args, axis *axes)
{
    pudle_status s = PUDLE_OK;
    if (!args->varies && !args->seeds)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle sweep: nothing is varied; say what with --vary KEY=V1,V2,... (as --vary prox.lambda=0.1,0.2,0.5), or how often with --seeds N");
    for (int i = 0; i < args->varies; i++) { /* all mistakes at once */
        const pudle_status one = parse_axis(ctx, args->vary[i], &axes[i]);
        s = s ? s : one;
    }
    for (int i = 0; i < args->varies && !s; i++)
        for (int k = 0; k < axes[i].keys && !s; k++)
            if (times_given(axes, args->varies, axes[i].key[k]) > 1)
                s = pd_fail(ctx, PUDLE_ERR_CONFIG, "--vary: the key %s is given twice; give all its values at once", axes[i].key[k]);
    if (!s && args->seeds && times_given(axes, args->varies, SWEEP_SEED))
        s = pd_fail(ctx, PUDLE_ERR_CONFIG, "--seeds %" PRId64 " and --vary %s=... both choose the seeds: give one of them", args->seeds, SWEEP_SEED);
    return s ? s : refuse_sets(ctx, args, axes);
}
