/* Files written: whole or not at all, whatever they replace; their digests; arrays as pictures. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "scratch.h"

/* --------------------------------------------------------- atomic, digests */

static int files_in_folder(void)
{
    int count = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d))
        count += e->d_name[0] != '.';
    closedir(d);
    return count;
}

static void atomic_writing(void **state)
{
    pd_atomic *file;
    size_t size;
    struct stat info;
    (void)state;
    const char *path = in_folder("state.bin");
    put_file(path, "old", 3);
    chmod(path, 0640);
    assert_worked(pd_atomic_open(ctx, path, &file));
    fputs("new and longer", pd_atomic_stream(file));
    fflush(pd_atomic_stream(file));
    unsigned char *bytes = get_file(path, &size);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "old", 3);
    free(bytes);
    pd_atomic_abandon(file);
    pd_atomic_abandon(NULL);
    bytes = get_file(path, &size);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "old", 3);
    free(bytes);
    assert_int_equal(files_in_folder(), 1);

    assert_worked(pd_atomic_open(ctx, path, &file));
    fputs("new", pd_atomic_stream(file));
    assert_worked(pd_atomic_commit(ctx, file));
    bytes = get_file(path, &size);
    assert_memory_equal(bytes, "new", 3);
    free(bytes);
    assert_int_equal(files_in_folder(), 1);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);

    const mode_t mask = umask(027); /* a fresh file obeys the umask */
    assert_worked(pd_atomic_open(ctx, in_folder("fresh"), &file));
    assert_worked(pd_atomic_commit(ctx, file));
    umask(mask);
    assert_int_equal(stat(in_folder("fresh"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);

    assert_int_equal(symlink("fresh", in_folder("link")), 0); /* a link stays a link */
    assert_worked(pd_atomic_open(ctx, in_folder("link"), &file));
    fputs("through", pd_atomic_stream(file));
    assert_worked(pd_atomic_commit(ctx, file));
    assert_int_equal(lstat(in_folder("link"), &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    bytes = get_file(in_folder("fresh"), &size);
    assert_int_equal(size, 7);
    free(bytes);

    assert_failed(pd_atomic_open(ctx, in_folder("no/such/file"), &file), PUDLE_ERR_IO, "no/such/file", "make the folder");
    assert_failed(pd_atomic_open(ctx, folder, &file), PUDLE_ERR_IO, folder, "a folder");
    assert_failed(pd_atomic_open(ctx, "/dev/null", &file), PUDLE_ERR_IO, "/dev/null", "not a regular file");
}

/* A write error that nobody looked at makes the commit fail and leaves the old file. */
static void failed_write(void **state)
{
    pd_atomic *file;
    size_t size;
    (void)state;
    const char *path = in_folder("state.bin");
    put_file(path, "old", 3);
    assert_worked(pd_atomic_open(ctx, path, &file));
    fputs("new", pd_atomic_stream(file));
    assert_int_equal(close(fileno(pd_atomic_stream(file))), 0); /* the flush will meet a closed file */
    assert_failed(pd_atomic_commit(ctx, file), PUDLE_ERR_IO, "state.bin", "untouched");
    unsigned char *bytes = get_file(path, &size);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "old", 3);
    free(bytes);
    assert_int_equal(files_in_folder(), 1);
}

static void digests(void **state)
{
    char hex[65];
    (void)state;
    pd_sha256("abc", 3, hex); /* FIPS 180-2, example B.1 */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    put_file(in_folder("empty"), "", 0);
    assert_worked(pd_sha256_file(ctx, in_folder("empty"), hex));
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    put_file(in_folder("abc"), "abc", 3);
    assert_worked(pd_sha256_file(ctx, in_folder("abc"), hex));
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_failed(pd_sha256_file(ctx, in_folder("none"), hex), PUDLE_ERR_NOTFOUND, "none", "no such file");
}

/* ---------------------------------------------------------------- pictures */

static void assert_png(const char *path, int64_t width, int64_t height, int colour)
{
    size_t size;
    unsigned char *p = get_file(path, &size);
    assert_true(size > 33);
    assert_memory_equal(p, "\x89PNG\r\n\x1a\n", 8);
    assert_int_equal((int64_t)p[16] << 24 | p[17] << 16 | p[18] << 8 | p[19], width);
    assert_int_equal((int64_t)p[20] << 24 | p[21] << 16 | p[22] << 8 | p[23], height);
    assert_int_equal(p[24], 8);
    assert_int_equal(p[25], colour);
    free(p);
}

static int64_t png_width(const char *path)
{
    size_t size;
    unsigned char *p = get_file(path, &size);
    const int64_t width = (int64_t)p[16] << 24 | p[17] << 16 | p[18] << 8 | p[19];
    free(p);
    return width;
}

static void pictures(void **state)
{
    const uint8_t pixels[18] = { 0, 50, 100, 150, 200, 250 };
    double tiles[64 * 27];
    (void)state;
    assert_worked(pd_png_write(ctx, in_folder("g.png"), 3, 2, 1, pixels));
    assert_png(in_folder("g.png"), 3, 2, 0);
    assert_worked(pd_png_write(ctx, in_folder("c.png"), 3, 2, 3, pixels));
    assert_png(in_folder("c.png"), 3, 2, 2);
    assert_failed(pd_png_write(ctx, in_folder("g.png"), 3, 2, 2, pixels), PUDLE_ERR_ARG, "g.png", "2 channels");
    assert_failed(pd_png_write(ctx, in_folder("g.png"), 0, 2, 1, pixels), PUDLE_ERR_ARG, "g.png", "0 by 2");
    assert_failed(pd_png_write(ctx, in_folder("no/g.png"), 3, 2, 1, pixels), PUDLE_ERR_IO, "no/g.png", "make the folder");

    static uint8_t noise[300 * 300];
    struct rlimit before, small = { .rlim_cur = 8192 };
    uint32_t draw = 1;
    for (int i = 0; i < 300 * 300; i++)
        noise[i] = (uint8_t)((draw = draw * 1664525u + 1013904223u) >> 24);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0); /* as a full disk */
    const pudle_status s = pd_png_write(ctx, in_folder("n.png"), 300, 300, 1, noise);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_failed(s, PUDLE_ERR_IO, "n.png", strerror(EFBIG));

    fill_random(tiles, PUDLE_F64, 64 * 27);
    tiles[3] = NAN;
    tiles[4] = INFINITY;
    const pudle_cview grey = pd_cmatrix(tiles, PUDLE_F64, 10, 12), rgb = pd_cmatrix(tiles, PUDLE_F64, 64, 27);
    /* 5 x 2 tiles of 8 x 6 pixels, lines between and around them */
    assert_worked(pd_mosaic_write(ctx, in_folder("m.png"), &grey, 1, 3, 4, 5, 2));
    assert_png(in_folder("m.png"), 1 + 5 * 9, 1 + 2 * 7, 0);
    assert_worked(pd_mosaic_write(ctx, in_folder("r.png"), &rgb, 3, 3, 3, 0, 0));
    assert_png(in_folder("r.png"), png_width(in_folder("r.png")), png_width(in_folder("r.png")), 2);
    assert_true(png_width(in_folder("r.png")) >= 800 && png_width(in_folder("r.png")) <= 1200);
    for (int64_t count = 1; count <= 64; count++) {
        const pudle_cview some = pd_crows(&rgb, 0, count);
        assert_worked(pd_mosaic_write(ctx, in_folder("s.png"), &some, 3, 3, 3, 0, 0));
        const int64_t width = png_width(in_folder("s.png"));
        assert_true(width >= 800 && width <= 1200);
    }
    assert_failed(pd_mosaic_write(ctx, in_folder("m.png"), &grey, 1, 3, 5, 0, 0), PUDLE_ERR_ARG, "m.png", "(1, 3, 5)");
    assert_failed(pd_mosaic_write(ctx, in_folder("m.png"), &grey, 2, 3, 2, 0, 0), PUDLE_ERR_ARG, "m.png", "2 channels");
    assert_failed(pd_mosaic_write(ctx, in_folder("m.png"), &grey, 1, 3, 4, 0, 4000), PUDLE_ERR_ARG, "m.png", "too large");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(atomic_writing), TEST(failed_write), TEST(digests), TEST(pictures),
    };
    return cmocka_run_group_tests_name("arrays_writing", tests, setup, teardown);
}
