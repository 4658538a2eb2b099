/* Samples made of pictures: the folder that is read, settings that are refused, windows, flips and noise, and that a sample depends on
 * its seed, epoch and index alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>

#include "pictures.h"

static void write_flat(const char *name, int width, int height, uint8_t value)
{
    uint8_t *v = malloc((size_t)(width * height));
    assert_non_null(v);
    memset(v, value, (size_t)(width * height));
    write_png8(name, width, height, 1, v);
    free(v);
}

static void drop(samples *s)
{
    free(s->x.data);
    free(s->y.data);
}

/* ---------------------------------------------------------- folders of files */

static void test_folder(void **state)
{
    opened s;
    (void)state;
    empty_folder();
    expect_error(SETTINGS("path", folder), PUDLE_ERR_NOTFOUND, "no PNG or JPEG picture in this folder (0 other files)");
    spill("b.png", "this is text", 12);
    spill("notes.txt", "", 0);
    spill(".DS_Store", "\0\0\0\1Bud1", 8);
    assert_int_equal(mkdir(in_folder("a-folder.png"), 0777), 0);
    assert_int_equal(mkfifo(in_folder("pipe.png"), 0600), 0);
    expect_error(SETTINGS("path", folder), PUDLE_ERR_NOTFOUND, "(4 other files; folders in it are not looked into)");
    write_flat("c", 3, 2, 30); /* the bytes count, not the name */
    write_flat("Z.png", 3, 2, 10);
    write_flat("a.jpg", 3, 2, 20);
    write_flat("100.png", 3, 2, 1);
    write_flat("20.png", 3, 2, 2);
    open_good(SETTINGS("path", folder), &s);
    assert_int_equal(log_lines, 1);
    assert_non_null(strstr(logged, "5 pictures; skipped 4 files that are neither PNG nor JPEG, for instance .DS_Store; and "
                            "1 folder with what is in it, for instance a-folder.png"));
    samples v = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ 1, 1 });
    static const double expected[] = { 1, 2, 10, 20, 30 };
    assert_int_equal(v.x.shape[0], 5);
    for (int i = 0; i < 5; i++)
        assert_true(get(&v.x, 6 * i) == expected[i] / 255);
    drop(&v);
    close_source(&s);
    spill("broken.png", "\x89PNG\r\n\x1a\n\0\0\0\rIH", 14);
    expect_error(SETTINGS("path", folder), PUDLE_ERR_IO, "broken.png: damaged PNG: the file is cut short");
    expect_error(SETTINGS("path", in_folder("b.png")), PUDLE_ERR_IO, "b.png: its first bytes are neither PNG's nor JPEG's");
    expect_error(SETTINGS("path", in_folder("pipe.png")), PUDLE_ERR_IO, "not a file");
    expect_error(SETTINGS("path", in_folder("nothing")), PUDLE_ERR_NOTFOUND, "nothing: cannot be opened: No such file");
    empty_folder();
}

static void test_settings(void **state)
{
    opened s;
    (void)state;
    empty_folder();
    write_map("a.png", 12, 9);
    expect_error(SETTINGS("path", folder, "noise", "25", "poisson", "10"), PUDLE_ERR_CONFIG, "contradict each other");
    expect_error(SETTINGS("path", folder, "test_crop", "centre"), PUDLE_ERR_CONFIG, "set crop");
    expect_error(SETTINGS("path", folder, "windows", "2"), PUDLE_ERR_CONFIG, "set crop");
    expect_error(SETTINGS("path", folder, "crop", "10"), PUDLE_ERR_CONFIG,
                 "1 of 1 pictures have too few pixels for crop = 10: ");
    expect_part("a.png (12 x 9); set crop to 9, or take the file away");
    for (int i = 0; i < 7; i++) {
        char name[] = "b0.png";
        name[1] += (char)i;
        write_map(name, 5 + i, 20);
    }
    expect_error(SETTINGS("path", folder, "crop", "10"), PUDLE_ERR_CONFIG, "6 of 8 pictures have too few pixels for crop = 10: ");
    expect_part("b0.png (5 x 20), ");
    expect_part("b3.png (8 x 20) and 1 more; set crop to 5, or take these files away");
    empty_folder();
    write_map("a.png", 12, 9);
    open_good(SETTINGS("path", folder), &s);
    assert_int_equal(s.desc->caps, 0);
    pudle_data_info info = { .size = sizeof info };
    assert_int_equal(s.ops->describe(&host, s.self, PUDLE_SPLIT_TEST, &info), PUDLE_ERR_NOTFOUND);
    expect_part("give test_path");
    pudle_view x = fake_view(PUDLE_F64, 4, (const int64_t[]){ 1, 1, 9, 12 });
    int64_t index = 1;
    pudle_data_request request = { .size = sizeof request, .index = &index, .count = 1, .x = &x };
    assert_int_equal(s.ops->read(&host, s.self, &request), PUDLE_ERR_ARG);
    index = -1;
    assert_int_equal(s.ops->read(&host, s.self, &request), PUDLE_ERR_ARG);
    index = 0;
    request.split = PUDLE_SPLIT_TEST;
    assert_int_equal(s.ops->read(&host, s.self, &request), PUDLE_ERR_ARG);
    request.split = 7;
    assert_int_equal(s.ops->read(&host, s.self, &request), PUDLE_ERR_ARG);
    request.split = PUDLE_SPLIT_TRAIN;
    assert_int_equal(s.ops->read(&host, s.self, &request), PUDLE_OK);
    x.shape[3] = 8; /* not what describe says */
    assert_int_equal(s.ops->read(&host, s.self, &request), PUDLE_ERR_CONFIG);
    expect_part("test_crop");
    free(x.data);
    close_source(&s);
}

/* Pictures of two sizes: squares of them are samples, they themselves are not. */
static void test_sizes(void **state)
{
    opened s;
    (void)state;
    empty_folder();
    write_map("a.png", 12, 9);
    write_map("b.png", 9, 12);
    expect_error(SETTINGS("path", folder), PUDLE_ERR_CONFIG,
                 "b.png has 9 x 12: whole pictures must be of one size; set crop");
    open_good(SETTINGS("path", folder, "test_path", folder, "crop", "5"), &s);
    pudle_data_info info = describe(&s, PUDLE_SPLIT_TRAIN);
    assert_true(info.samples == 2 && info.shape[0] == 1 && info.shape[1] == 5 && info.shape[2] == 5);
    assert_int_equal(s.ops->describe(&host, s.self, PUDLE_SPLIT_TEST, &info), PUDLE_ERR_CONFIG);
    expect_part("set test_crop = \"centre\"");
    close_source(&s);
    open_good(SETTINGS("path", folder, "test_path", folder, "crop", "5", "test_crop", "centre", "flip", "true"), &s);
    samples v = read_all(&s, PUDLE_SPLIT_TEST, (when){ 3, 4 });
    for (int i = 0; i < 25; i++) {
        assert_true(get(&v.x, i) == (16 * (2 + i / 5) + 3 + i % 5) / 255.0);
        assert_true(get(&v.x, 25 + i) == (16 * (3 + i / 5) + 2 + i % 5) / 255.0);
    }
    drop(&v);
    close_source(&s);
    open_good(SETTINGS("path", folder, "test_path", in_folder("b.png"), "crop", "5"), &s);
    info = describe(&s, PUDLE_SPLIT_TEST);
    assert_true(info.samples == 1 && info.shape[1] == 12 && info.shape[2] == 9);
    close_source(&s);
}

/* ------------------------------------------------------------ windows, flips */

/* Reads the place and the mirroring off the values 16 y + x. */
static void test_windows(void **state)
{
    enum { W = 11, H = 8, CROP = 5, EPOCHS = 4000 };
    int place[H - CROP + 1][W - CROP + 1] = { { 0 } }, mirrored[2][2] = { { 0 } };
    opened s;
    (void)state;
    empty_folder();
    write_map("a.png", W, H);
    open_good(SETTINGS("path", folder, "crop", "5", "flip", "true"), &s);
    const uint64_t seed = pudle_random_u32(fake_random());
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        samples v = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ seed, epoch });
        int at[CROP * CROP];
        for (int i = 0; i < CROP * CROP; i++)
            at[i] = (int)lround(255 * get(&v.x, i));
        const int dx = at[1] - at[0], dy = (at[CROP] - at[0]) / 16;
        assert_true(abs(dx) == 1 && abs(dy) == 1);
        for (int i = 0; i < CROP * CROP; i++)
            assert_int_equal(at[i], at[0] + dx * (i % CROP) + 16 * dy * (i / CROP));
        const int left = at[0] % 16 - (dx < 0 ? CROP - 1 : 0), top = at[0] / 16 - (dy < 0 ? CROP - 1 : 0);
        assert_true(left >= 0 && left <= W - CROP && top >= 0 && top <= H - CROP);
        place[top][left]++;
        mirrored[dx < 0][dy < 0]++;
        drop(&v);
    }
    for (int i = 0; i < 4; i++) { /* 4000/4, standard deviation 27; below 4000/28 = 143, 12 */
        assert_in_range(mirrored[i / 2][i % 2], 1000 - 165, 1000 + 165);
        for (int j = 0; j < W - CROP + 1; j++)
            assert_in_range(place[i][j], 143 - 72, 143 + 72);
    }
    close_source(&s);
}

static bool same_bytes(const samples *a, const samples *b)
{
    return same_bits(&a->x, &b->x) && same_bits(&a->y, &b->y);
}

/* Several windows of a picture are what single windows of as many copies of it would be; decoded anew or not. */
static void test_many_windows(void **state)
{
    enum { WINDOWS = 4 };
    opened s;
    (void)state;
    const when at = { pudle_random_u32(fake_random()), pudle_random_u32(fake_random()) };
    empty_folder();
    for (int i = 0; i < WINDOWS; i++) {
        const char name[] = { 'a', (char)('0' + i), '\0' }, other[] = { 'b', (char)('0' + i), '\0' };
        write_map(name, 12, 9);
        write_map(other, 10, 13);
    }
    open_good(SETTINGS("path", folder, "crop", "5", "flip", "true", "noise", "3"), &s);
    samples copies = read_all(&s, PUDLE_SPLIT_TRAIN, at);
    close_source(&s);
    empty_folder();
    write_map("a", 12, 9);
    write_map("b", 10, 13);
    for (int kept = 0; kept < 2; kept++) {
        static const int64_t some[] = { 5, 0, 1, 7, 6, 0 };
        open_good(SETTINGS("path", folder, "test_path", folder, "crop", "5", "flip", "true", "noise", "3", "windows", "4", "test_crop", "centre", "memory", kept ? "1" : "0"), &s);
        assert_int_equal(describe(&s, PUDLE_SPLIT_TRAIN).samples, 2 * WINDOWS);
        assert_int_equal(describe(&s, PUDLE_SPLIT_TEST).samples, 2);
        samples all = read_all(&s, PUDLE_SPLIT_TRAIN, at), part = read_at(&s, PUDLE_SPLIT_TRAIN, PUDLE_F64, at, 6, some);
        assert_true(same_bytes(&all, &copies));
        for (int64_t i = 0; i < 6; i++)
            assert_memory_equal((double *)part.x.data + 25 * i, (double *)all.x.data + 25 * some[i], 25 * sizeof(double));
        pudle_view x = fake_view(PUDLE_F64, 4, (const int64_t[]){ 1, 1, 5, 5 });
        const int64_t index = 2 * WINDOWS;
        const pudle_data_request request = { .size = sizeof request, .index = &index, .count = 1, .x = &x };
        assert_int_equal(s.ops->read(&host, s.self, &request), PUDLE_ERR_ARG);
        free(x.data);
        drop(&all);
        drop(&part);
        close_source(&s);
    }
    drop(&copies);
}

/* Where windows lie is part of what a seed means, and stays: two random numbers below the room there is, down and right. */
static void test_places_stay(void **state)
{
    opened s;
    (void)state;
    empty_folder();
    write_map("a", 12, 9);
    write_map("b", 12, 9);
    open_good(SETTINGS("path", folder, "crop", "5", "windows", "3"), &s);
    for (uint64_t epoch = 0; epoch < 50; epoch++) {
        samples v = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ 7, epoch });
        for (uint64_t i = 0; i < 6; i++) {
            pudle_random r = pudle_random_at(7, 0x696d6701, (uint32_t)epoch, i);
            const int top = (int)pudle_random_below(&r, 5), left = (int)pudle_random_below(&r, 8);
            assert_true(get(&v.x, 25 * (int64_t)i) == (16 * top + left) / 255.0);
        }
        drop(&v);
    }
    close_source(&s);
}

/* Flips of whole pictures, colour: all channels alike. */
static void test_flip_whole(void **state)
{
    opened s;
    bool seen[4] = { false };
    (void)state;
    empty_folder();
    const png_kind k = { PNG_COLOR_TYPE_RGB, 16, 0, 0 };
    write_png("a.png", &k, WIDTH, HEIGHT);
    open_good(SETTINGS("path", folder, "colour", "true", "flip", "true"), &s);
    for (uint64_t epoch = 0; epoch < 100; epoch++) {
        samples v = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ 9, epoch });
        int matches = 0;
        for (int how = 0; how < 4; how++) {
            bool same = true;
            for (int i = 0; i < 3 * WIDTH * HEIGHT; i++) {
                const int x = i % WIDTH, y = i / WIDTH % HEIGHT, c = i / WIDTH / HEIGHT;
                const unsigned e = stored(&k, how & 1 ? WIDTH - 1 - x : x, how & 2 ? HEIGHT - 1 - y : y, c);
                same = same && get(&v.x, i) == e / 65535.0;
            }
            matches += same;
            seen[how] = seen[how] || same;
        }
        assert_int_equal(matches, 1);
        drop(&v);
    }
    assert_true(seen[0] && seen[1] && seen[2] && seen[3]);
    close_source(&s);
}

/* --------------------------------------------------------------------- noise */

static void test_gaussian_noise(void **state)
{
    enum { SIDE = 200, PIXELS = SIDE * SIDE, EPOCHS = 100, N = PIXELS * EPOCHS };
    opened s;
    double m1 = 0, m2 = 0, m4 = 0, neighbours = 0, before = 0;
    const uint64_t seed = pudle_random_u32(fake_random());
    (void)state;
    empty_folder();
    write_flat("a.png", SIDE, SIDE, 250); /* values beyond 1 must not be cut off */
    open_good(SETTINGS("path", folder, "noise", "25"), &s);
    assert_true(describe(&s, PUDLE_SPLIT_TRAIN).has_target);
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        samples v = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ seed, epoch });
        for (int i = 0; i < PIXELS; i++) {
            const double e = (get(&v.x, i) - get(&v.y, i)) * 255 / 25;
            assert_true(get(&v.y, i) == 250 / 255.0);
            m1 += e / N;
            m2 += e * e / N;
            m4 += e * e * e * e / N;
            neighbours += e * before / N;
            before = e;
        }
        drop(&v);
    }
    const double unit = 1 / sqrt(N); /* six standard deviations of each estimate */
    assert_true(fabs(m1) < 6 * unit);
    assert_true(fabs(m2 - 1) < 6 * sqrt(2) * unit);
    assert_true(fabs(m4 - 3) < 6 * sqrt(96) * unit);
    assert_true(fabs(neighbours) < 6 * unit);
    close_source(&s);
}

/* Chi-square of photon counts against the Poisson law, for means on both sides of the sampler's seam. */
static void check_poisson(double peak, int value)
{
    enum { SIDE = 200, N = SIDE * SIDE };
    static double count[4096];
    opened s;
    char text[32];
    empty_folder();
    write_flat("a.png", SIDE, SIDE, (uint8_t)value);
    snprintf(text, sizeof text, "%.17g", peak);
    open_good(SETTINGS("path", folder, "poisson", text), &s);
    samples v = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ pudle_random_u32(fake_random()), 0 });
    const double mean = peak * value / 255;
    double sum = 0, squares = 0;
    memset(count, 0, sizeof count);
    for (int i = 0; i < N; i++) {
        const double k = get(&v.x, i) * peak, whole = floor(k + 0.5);
        assert_true(get(&v.y, i) == value / 255.0);
        assert_true(fabs(k - whole) < 1e-9 * (1 + k) && whole >= 0 && whole < 4096);
        count[(int)whole]++;
        sum += whole;
        squares += (whole - mean) * (whole - mean);
    }
    drop(&v);
    close_source(&s);
    if (value == 0) {
        assert_true(count[0] == N);
        return;
    }
    double chi2 = 0, cells = 0, expected = 0, got = 0; /* neighbours are joined until at least 20 are expected */
    for (int k = 0; k < 4096; k++) {
        expected += N * exp(k * log(mean) - mean - lgamma(k + 1.0));
        got += count[k];
        if (expected >= 20) {
            chi2 += (got - expected) * (got - expected) / expected;
            cells++;
            expected = got = 0;
        }
    }
    const double df = cells - 1;
    if (chi2 > df + 6 * sqrt(2 * df) + 20)
        fail_msg("mean %g: chi-square %g with %g degrees of freedom", mean, chi2, df);
    assert_true(fabs(sum / N - mean) < 6 * sqrt(mean / N));
    assert_true(fabs(squares / N - mean) < 6 * sqrt((mean + 2 * mean * mean) / N));
}

static void test_photon_noise(void **state)
{
    (void)state;
    check_poisson(1, 51);
    check_poisson(10, 200);
    check_poisson(10.02, 254);
    check_poisson(10.2, 255);
    check_poisson(50, 255);
    check_poisson(1000, 255);
    check_poisson(30, 0);
}

/* -------------------------------------------------------------------- purity */

static bool same_sample(const pudle_view *a, int64_t i, const pudle_view *b, int64_t j)
{
    const int64_t n = fake_count(a) / a->shape[0];
    return !memcmp((double *)a->data + i * n, (double *)b->data + j * n, (size_t)n * sizeof(double));
}

static void check_purity(const char *noise, const char *poisson, const char *memory)
{
    opened s, again;
    const char *const settings[] = { "path", folder, "test_path", folder, "crop", "6", "flip", "true", "test_crop", "centre",
                                     "noise", noise, "poisson", poisson, "memory", memory, NULL };
    const when at = { pudle_random_u32(fake_random()), pudle_random_u32(fake_random()) };
    open_good(settings, &s);
    open_good(settings, &again);
    assert_int_equal(log_lines, strcmp(memory, "0") == 0 ? 2 : 0);
    samples all = read_all(&s, PUDLE_SPLIT_TRAIN, at), twice = read_all(&again, PUDLE_SPLIT_TRAIN, at);
    assert_true(same_bits(&all.x, &twice.x) && same_bits(&all.y, &twice.y));
    static const int64_t some[] = { 3, 0, 3, 2 };
    samples part = read_at(&s, PUDLE_SPLIT_TRAIN, PUDLE_F64, at, 4, some);
    samples single = read_at(&s, PUDLE_SPLIT_TRAIN, PUDLE_F32, at, 4, some);
    for (int64_t i = 0; i < 4; i++) {
        assert_true(same_sample(&part.x, i, &all.x, some[i]));
        assert_true(same_sample(&part.y, i, &all.y, some[i]));
    }
    for (int64_t i = 0; i < fake_count(&part.x); i++)
        assert_true(get(&single.x, i) == (double)(float)get(&part.x, i));
    samples next = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ at.seed, at.epoch + 1 });
    samples other = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ at.seed + 1, at.epoch });
    assert_false(same_bits(&all.x, &next.x));
    assert_false(same_bits(&all.x, &other.x));
    samples test = read_all(&s, PUDLE_SPLIT_TEST, at);
    samples later = read_all(&s, PUDLE_SPLIT_TEST, (when){ at.seed, at.epoch + 1 });
    samples elsewhere = read_all(&s, PUDLE_SPLIT_TEST, (when){ at.seed + 1, at.epoch });
    assert_true(same_bits(&test.x, &later.x) && same_bits(&test.y, &elsewhere.y));
    assert_int_equal(same_bits(&test.x, &elsewhere.x), !strcmp(noise, "0") && !strcmp(poisson, "0"));
    samples *const held[] = { &all, &twice, &part, &single, &next, &other, &test, &later, &elsewhere };
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        drop(held[i]);
    again.desc->destroy(&host, again.self);
    free(again.params);
    close_source(&s);
}

static void test_purity(void **state)
{
    (void)state;
    empty_folder();
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.png", i);
        write_map(name, 16 - i, 12 + i);
    }
    check_purity("0", "0", "2048");
    check_purity("25", "0", "2048");
    check_purity("0", "40", "2048");
    check_purity("25", "0", "0");
}

/* Noise does not move the windows: with and without it the targets are the same. */
static void test_streams(void **state)
{
    opened s;
    (void)state;
    empty_folder();
    write_map("a.png", 16, 12);
    open_good(SETTINGS("path", folder, "crop", "6"), &s);
    samples plain = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ 5, 6 });
    close_source(&s);
    open_good(SETTINGS("path", folder, "crop", "6", "noise", "10"), &s);
    samples noisy = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ 5, 6 });
    close_source(&s);
    assert_true(same_bits(&plain.x, &noisy.y));
    drop(&plain);
    drop(&noisy);
}

static void test_changed_file(void **state)
{
    opened s;
    (void)state;
    empty_folder();
    write_map("a.png", 16, 12);
    open_good(SETTINGS("path", folder, "memory", "0"), &s);
    assert_non_null(strstr(logged, "1 of 1 training pictures do not fit into memory = 0 MiB"));
    write_map("a.png", 16, 13);
    pudle_view x = fake_view(PUDLE_F64, 4, (const int64_t[]){ 1, 1, 12, 16 });
    const int64_t index = 0;
    const pudle_data_request request = { .size = sizeof request, .index = &index, .count = 1, .x = &x };
    assert_int_equal(s.ops->read(&host, s.self, &request), PUDLE_ERR_IO);
    expect_part("a.png: the file has changed");
    free(x.data);
    close_source(&s);
}

/* ----------------------------------------------------------- real photographs */

static bool find_data(const char *name, char path[1024])
{
    const char *top = getenv("top_srcdir");
    struct stat st;
    snprintf(path, 1024, "%s/../shared/data/%s", top ? top : ".", name);
    return stat(path, &st) == 0;
}

static void test_bsd(void **state)
{
    char train[1024], test[1024];
    opened s;
    (void)state;
    if (!find_data("cbsd432", train) || !find_data("bsd68", test)) {
        print_message("# skipped: no ../shared/data/cbsd432 and bsd68 beside the sources\n");
        skip();
    }
    expect_error(SETTINGS("path", test), PUDLE_ERR_CONFIG, "set crop, for squares from random places");
    open_good(SETTINGS("path", train, "test_path", test, "crop", "129", "flip", "true", "noise", "25"), &s);
    pudle_data_info info = { .size = sizeof info };
    assert_int_equal(s.ops->describe(&host, s.self, PUDLE_SPLIT_TEST, &info), PUDLE_ERR_CONFIG);
    info = describe(&s, PUDLE_SPLIT_TRAIN);
    assert_true(info.samples == 432 && info.has_target);
    assert_true(info.shape[0] == 1 && info.shape[1] == 129 && info.shape[2] == 129);
    samples v = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ 1, 0 });
    double mean = 0, noise = 0;
    const int64_t n = fake_count(&v.x);
    for (int64_t i = 0; i < n; i++) {
        const double e = (get(&v.x, i) - get(&v.y, i)) * 255;
        mean += get(&v.y, i) / (double)n;
        noise += e * e / (double)n;
        assert_true(get(&v.y, i) >= 0 && get(&v.y, i) <= 1);
    }
    assert_true(mean > 0.3 && mean < 0.6); /* of photographs */
    assert_true(fabs(noise - 625) < 625 * 6 * sqrt(2.0 / (double)n));
    drop(&v);
    close_source(&s);
    open_good(SETTINGS("path", test, "crop", "321"), &s);
    info = describe(&s, PUDLE_SPLIT_TRAIN);
    assert_true(info.samples == 68 && info.shape[1] == 321);
    close_source(&s);
    expect_error(SETTINGS("path", test, "crop", "322"), PUDLE_ERR_CONFIG, "68 of 68 pictures have too few pixels for crop = 322: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder),       cmocka_unit_test(test_settings),       cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_windows),      cmocka_unit_test(test_many_windows),   cmocka_unit_test(test_places_stay),
        cmocka_unit_test(test_flip_whole),     cmocka_unit_test(test_gaussian_noise),
        cmocka_unit_test(test_photon_noise), cmocka_unit_test(test_purity),         cmocka_unit_test(test_streams),
        cmocka_unit_test(test_changed_file), cmocka_unit_test(test_bsd),
    };
    fake_random();
    return cmocka_run_group_tests_name("images_samples", tests, make_folder, drop_folder);
}
