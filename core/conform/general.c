/* Tests of every kind: the descriptor, the options, making and destroying instances. */
#include "conform/parts.h"
#include "config/settings.h"

#include <ctype.h>
#include <time.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

static bool descriptor(pd_trial *t)
{
    static const uint64_t caps[] = {
        [PUDLE_KIND_PROX] = PUDLE_PROX_CONVEX | PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE | PUDLE_PROX_NONNEG | PUDLE_PROX_BATCH_COUPLED |
                            PUDLE_PROX_SURROGATE,
        [PUDLE_KIND_LOSS] = PUDLE_LOSS_CONVEX | PUDLE_LOSS_QUADRATIC | PUDLE_LOSS_SEPARABLE,
        [PUDLE_KIND_DATA] = PUDLE_DATA_EPOCH_FREE,
        [PUDLE_KIND_BACKEND] = 0,
    };
    const pudle_desc *d = t->desc;
    const uint64_t unknown = d->caps & ~caps[d->kind];
    if (unknown)
        return pd_fails(t, ".caps has bits 0x%llx that mean nothing for a %s", (unsigned long long)unknown, pd_kind_name(d->kind));
    if (strchr(d->summary, '\n') || (d->math && strchr(d->math, '\n')))
        return pd_fails(t, ".summary and .math are one line each");
    if (!d->license || !*d->license)
        return pd_fails(t, ".license is missing: an SPDX id such as \"MIT\"");
    if (d->destroy && !d->create)
        return pd_fails(t, "there is a destroy and no create: nobody would call it");
    const uint64_t both = PUDLE_PROX_SEPARABLE | PUDLE_PROX_BATCH_COUPLED;
    if (d->kind == PUDLE_KIND_PROX && (d->caps & both) == both)
        return pd_fails(t, "SEPARABLE and BATCH_COUPLED contradict each other");
    return true;
}

/* Of a type that a device has a member for. */
static bool has_option(const pudle_desc *desc, const char *name, size_t length)
{
    pudle_option row;
    for (int i = 0; pd_option_at(desc, i, &row); i++)
        if (strlen(row.name) == length && !strncmp(row.name, name, length))
            return row.type == PUDLE_BOOL || row.type == PUDLE_INT || row.type == PUDLE_REAL || row.type == PUDLE_ENUM;
    return false;
}

/* Behind `word` and blanks; NULL: it is not there. */
static const char *behind(const char *at, const char *word)
{
    at += strspn(at, " \t\n");
    return strncmp(at, word, strlen(word)) ? NULL : at + strlen(word) + strspn(at + strlen(word), " \t\n");
}

bool pd_knows_options(pd_trial *t, const char *body)
{
    if (t->desc->create) /* then devices do not get the body: its instance is not the params */
        return true;
    for (const char *at = strchr(body, 'o'); at; at = strchr(at + 1, 'o')) {
        const bool within = at > body && (isalnum((unsigned char)at[-1]) || at[-1] == '_');
        const char *name = within ? NULL : behind(at + 1, "->");
        const size_t length = name ? strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") : 0;
        if (name && !has_option(t->desc, name, length))
            return pd_fails(t, "the source reads o->%.*s, and no option of a number or a choice is called that; on devices members have the names of options: call "
                            "both the same", (int)length, name);
    }
    return true;
}

static bool defaults(pd_trial *t)
{
    t->strict = true;
    return pd_params_default(t) && pd_instance_adopt(t);
}

/* ------------------------------------------------------------------- options */

/* Is one wrong value refused, with words? */
static bool refused(pd_trial *t, const pudle_option *row, const char *value)
{
    char pair[160];
    void *params = NULL;
    snprintf(pair, sizeof pair, "%s=%s", row->name, value);
    const char *pairs[256];
    int count = 0;
    for (; count < t->how->sets && count < 255; count++)
        pairs[count] = t->how->set[count];
    pairs[count++] = pair;
    pd_error_clear(t->ctx);
    const pudle_status s = pd_params_from_pairs(t->ctx, t->plugin, pairs, count, &params);
    if (!s) {
        pd_params_free(params);
        return pd_fails(t, "%s is accepted", pair);
    }
    return *pd_error(t->ctx) ? true : pd_fails(t, "%s is refused without a reason", pair);
}

static bool ends_refused(pd_trial *t, const pudle_option *row)
{
    char value[64];
    if ((row->min != 0 || row->max != 0) && isfinite(row->min)) {
        snprintf(value, sizeof value, "%.17g", row->flags & PUDLE_OPEN_MIN ? row->min : row->min - 1);
        if (!refused(t, row, value))
            return false;
    }
    if ((row->min != 0 || row->max != 0) && isfinite(row->max) && row->max < 1e15) {
        snprintf(value, sizeof value, "%.17g", row->flags & PUDLE_OPEN_MAX ? row->max : row->max + 1);
        return refused(t, row, value);
    }
    return true;
}

static bool wrong_values_refused(pd_trial *t)
{
    pudle_option row;
    for (int i = 0; pd_option_at(t->desc, i, &row); i++) {
        const bool number = row.type == PUDLE_INT || row.type == PUDLE_REAL;
        if (number && (!refused(t, &row, "many") || !ends_refused(t, &row)))
            return false;
        if ((row.type == PUDLE_BOOL || row.type == PUDLE_ENUM) && !refused(t, &row, "neither_of_them"))
            return false;
    }
    return true;
}

/* What the table allows is either accepted or refused with words, by check before anything is made. */
static bool options(pd_trial *t)
{
    if (!wrong_values_refused(t))
        return false;
    for (int draw = 1; draw <= 40; draw++) {
        t->silent = true;
        if (!pd_params_draw(t, draw))
            return false;
        void *self = NULL;
        pd_test_host_forget(&t->host);
        const pudle_status s = pd_instance_make(t, &self);
        if (s && !pd_test_host_heard(&t->host))
            return pd_fails(t, "no instance (%s), and no reason through host->fail", pd_status_text(s));
        if (s && s != PUDLE_ERR_CONFIG && s != PUDLE_ERR_NOTFOUND && s != PUDLE_ERR_IO && s != PUDLE_ERR_UNSUPPORTED)
            return pd_fails(t, "options that the table allows are refused with %s, not PUDLE_ERR_CONFIG: %s", pd_status_text(s),
                            t->host.said);
        if (!s)
            pd_instance_unmake(t, self);
    }
    return true;
}

/* ------------------------------------------------------------------ instances */

static long bytes_in_use(void)
{
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    return (long)mallinfo2().uordblks;
#else
    return 0;
#endif
}

static bool make_and_unmake(pd_trial *t, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        void *self[2];
        for (int k = 0; k < 2; k++)
            if (pd_instance_make(t, &self[k]))
                return pd_fails(t, "instance %d of the same options cannot be made: %s", 2 * i + k + 1, t->host.said);
        if (t->desc->create && t->desc->destroy && self[0] == self[1] && self[0])
            return pd_fails(t, "two instances are one: both are destroyed");
        for (int k = 0; k < 2; k++)
            pd_instance_unmake(t, self[k]);
        if (t->host.live)
            return pd_fails(t, "%ld of %ld blocks taken with host->alloc are not freed when two instances are destroyed", t->host.live,
                            t->host.total);
    }
    return true;
}

/* Memory that did not come from host->alloc. The allocator itself keeps freed blocks and calls them used, but only some: what grows by
 * so much, twice, is lost. Instances that are slow to make are left out. */
static bool nothing_lost(pd_trial *t)
{
    enum { ROUNDS = 128, LEAST = 16 };
    const clock_t begin = clock();
    long bytes[3];
    for (int batch = 0; batch < 3; batch++) {
        for (int round = 0; round < ROUNDS; round++) {
            if (!make_and_unmake(t, 1))
                return false;
            if (clock() - begin > CLOCKS_PER_SEC / 4)
                return true;
        }
        bytes[batch] = bytes_in_use();
    }
    const long first = bytes[1] - bytes[0], second = bytes[2] - bytes[1];
    return first < 2 * ROUNDS * LEAST || second < 2 * ROUNDS * LEAST
               ? true
               : pd_fails(t, "every instance that was made and destroyed leaves about %ld bytes behind", second / (2 * ROUNDS));
}

static bool create(pd_trial *t)
{
    if (t->desc->destroy)
        pd_instance_unmake(t, NULL); /* destroy(NULL) is legal */
    for (int draw = 0; draw < 8; draw++) {
        if (!pd_instance_draw(t, draw))
            return false;
        pd_instance_unmake(t, t->self);
        t->alive = false;
        t->host.total = 0;
        if (!make_and_unmake(t, 4) || (draw < 2 && !nothing_lost(t)))
            return false;
    }
    return true;
}

/* One allocation after the other fails. */
static bool starved(pd_trial *t)
{
    if (!t->desc->create)
        return pd_skips(t, "it has no create");
    for (int draw = 0; draw < 4; draw++) {
        if (!pd_instance_draw(t, draw))
            return false;
        pd_instance_unmake(t, t->self);
        t->alive = false;
        t->host.total = 0;
        void *self = NULL;
        if (pd_instance_make(t, &self))
            return pd_fails(t, "the same instance cannot be made twice: %s", t->host.said);
        pd_instance_unmake(t, self);
        const long wanted = t->host.total;
        for (long n = 0; n < wanted && n < 200; n++) {
            pd_test_host_forget(&t->host);
            t->host.until_empty = n;
            const pudle_status s = pd_instance_make(t, &self);
            t->host.until_empty = -1;
            if (s != PUDLE_ERR_NOMEM)
                return pd_fails(t, "allocation %ld of %ld fails, and create returns %s, not PUDLE_ERR_NOMEM", n + 1, wanted,
                                pd_status_text(s));
            if (!pd_test_host_heard(&t->host))
                return pd_fails(t, "allocation %ld of %ld fails, and create says nothing through host->fail", n + 1, wanted);
            if (t->host.live)
                return pd_fails(t, "allocation %ld of %ld fails, and %ld blocks are never freed", n + 1, wanted, t->host.live);
        }
    }
    return true;
}

const pd_test pd_general_tests[] = {
    { "descriptor", "the descriptor is complete, and its caps are those of its kind", descriptor },
    { "defaults", "the defaults make an instance", defaults },
    { "options", "values outside the table are refused; those inside make an instance or are refused with a reason", options },
    { "create", "create and destroy leave no memory behind", create },
    { "starved", "create without memory returns PUDLE_ERR_NOMEM, says so, and keeps nothing", starved },
    { NULL, NULL, NULL },
};
