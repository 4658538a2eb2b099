/* A context, random numbers, and a folder that each test finds empty; for tests of array files. Include after cmocka.h. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tensor/arrays.h"

static pd_context *ctx;
static char folder[64];
static pudle_random dice;

static const char *in_folder(const char *name)
{
    static char path[32][512]; /* a path stays good for 31 more calls */
    static int turn;
    turn = (turn + 1) % 32;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void put_file(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static unsigned char *get_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    unsigned char *data = malloc(*size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *size, f), *size);
    fclose(f);
    return data;
}

/* The call failed with this status and a message that has both texts in it. */
static void assert_failed(pudle_status status, pudle_status wanted, const char *file, const char *text)
{
    if (status != wanted || !strstr(pd_error(ctx), file) || !strstr(pd_error(ctx), text))
        fail_msg("status %d (wanted %d), message \"%s\" (wanted \"%s\" and \"%s\")", (int)status, (int)wanted, pd_error(ctx),
                 file, text);
    pd_error_clear(ctx);
}

static void assert_worked(pudle_status status)
{
    if (status != PUDLE_OK)
        fail_msg("status %d: %s", (int)status, pd_error(ctx));
}

static void empty_folder(void)
{
    DIR *d = opendir(folder);
    if (!d)
        return;
    for (struct dirent *e = readdir(d); e; e = readdir(d))
        if (e->d_name[0] != '.')
            unlink(in_folder(e->d_name));
    closedir(d);
}

static int setup(void **state)
{
    const char *said = getenv("PUDLE_TEST_SEED");
    struct timespec now;
    (void)state;
    clock_gettime(CLOCK_REALTIME, &now);
    const uint64_t seed = said ? strtoull(said, NULL, 10) : (uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec;
    printf("# PUDLE_TEST_SEED=%llu\n", (unsigned long long)seed);
    dice = pudle_random_at(seed, 1, 0, 0);
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/pudle-arrays-XXXXXX", tmp ? tmp : "/tmp");
    ctx = pd_context_create();
    pd_log_level(ctx, PUDLE_LOG_WARNING + 1);
    return ctx && mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    empty_folder();
    rmdir(folder);
    pd_context_destroy(ctx);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    empty_folder();
    pd_error_clear(ctx);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, clean)

static void fill_random(void *data, int32_t dtype, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (dtype == PUDLE_F64)
            ((double *)data)[i] = pudle_random_normal(&dice);
        else
            ((float *)data)[i] = (float)pudle_random_normal(&dice);
}

#endif
