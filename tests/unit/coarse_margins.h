/* Of test_coarse.c: the margins of coarse evaluations, for REAL float and double. */

static void NAME(make_atoms)(pudle_unroll *u, int kind)
{
    for (int64_t j = 0; j < u->spec.atoms; j++) {
        REAL *row = (REAL *)u->atoms + j * u->ldm;
        double sum = 0;
        for (int64_t k = 0; k < u->spec.features; k++) {
            const bool spike = kind == WITH_SPIKES && k == j % u->spec.features;
            row[k] = kind == WITH_ZEROS && j % 3 == 0 ? 0 : (REAL)draw(spike ? 20 : kind == TINY ? 1e-12 : 0.1);
            sum += (double)row[k] * (double)row[k];
        }
        u->norms[j] = sqrt(sum);
        u->longest = fmax(u->longest, u->norms[j]);
    }
}

static void NAME(to_bytes_again)(pudle_unroll *u)
{
    for (int64_t panel = 0; panel < u->ld / BYTES_PANEL; panel++)
        NAME(to_panel)(u, panel);
    u->coarse_off = largest_of(u->off, u->spec.atoms);
}

static double NAME(correlation)(const pudle_unroll *u, const REAL *residual, int64_t j)
{
    double sum = 0;
    for (int64_t k = 0; k < u->spec.features; k++)
        sum -= (double)((const REAL *)u->atoms)[j * u->ldm + k] * (double)residual[k];
    return sum;
}

/* Is every correlation of the last evaluation, and its difference to the one before, within what the row says? An exact one of this test is
 * off by its rounding, of which no margin speaks. */
static void NAME(check)(const pudle_unroll *u, const sample *r)
{
    const reference *b = &r->ref[0], *a = &r->ref[1];
    for (int64_t j = 0; j < u->spec.atoms; j++) {
        const double cb = (double)((const REAL *)b->corr)[j], ca = (double)((const REAL *)a->corr)[j];
        const double rounding = b->margin > 0 ? 0 : NAME(epsilon) * fabs(cb);
        const double off = fabs(cb - NAME(correlation)(u, b->residual, j));
        const double change = fabs(cb - ca - NAME(correlation)(u, b->residual, j) + NAME(correlation)(u, a->residual, j));
        if (!(off <= b->margin + rounding) || !(change <= r->change + rounding))
            fail_msg("p %lld m %lld atom %lld: off by %.4g where %.4g is said, the difference by %.4g where %.4g is", (long long)u->spec.atoms,
                     (long long)u->spec.features, (long long)j, off, b->margin, change, r->change);
    }
}

static void NAME(evaluate_row)(pudle_unroll *u, sample *r, int32_t *products)
{
    if (r->coarse) {
        bytes_product(1, u->ld / BYTES_PANEL, u->ldm / BYTES_GROUP, r->bytes, u->ldm, u->bytes.at, products, u->ld);
        NAME(refer_coarse)(u, r, products);
        return;
    }
    REAL *corr = r->value;
    memset(corr, 0, (size_t)u->ld * sizeof(REAL));
    for (int64_t j = 0; j < u->spec.atoms; j++)
        corr[j] = (REAL)NAME(correlation)(u, r->residual, j);
    NAME(refer)(u, r, corr, r->residual);
}

/* The next residual: anywhere at first, then on along the line through the last two or back, and `aside`; or where it was. */
static void NAME(move)(const pudle_unroll *u, sample *r, double along, double aside)
{
    const REAL *b = r->ref[0].residual, *a = r->ref[1].residual;
    REAL *to = r->residual;
    for (int64_t k = 0; k < u->spec.features; k++)
        to[k] = (REAL)(r->refs < 2 ? draw(1) : (double)b[k] + along * (double)(b[k] - a[k]) + draw(aside));
    r->at_hand = true;
}

/* A dozen evaluations on the way, most of them coarse. */
static void NAME(walk)(pudle_unroll *u, sample *r, int kind, int32_t *products)
{
    const bool sharp = between(0, 1); /* the first two are exact, and the third is as good as it can be */
    for (int turn = 0; turn < 12; turn++) {
        const bool exact = turn == 0 || turn == 9 || (turn == 1 && sharp);
        const double along = turn == 7 ? 0 : draw(1), aside = turn == 7 ? 0 : pow(10, -(double)between(0, 5)), features = (double)u->spec.features;
        NAME(move)(u, r, along, aside);
        r->coarse = false;
        if (!exact)
            NAME(hand_in)(u, r);
        assert_int_equal(r->coarse, !exact);
        NAME(evaluate_row)(u, r, products);
        if (!exact || turn == 9)
            NAME(check)(u, r);
        if (turn == 2 && sharp && kind == USUAL && features > 60)
            assert_true(r->change <= u->longest * sqrt(features) * (0.025 * 1.3 * aside + 2000 * NAME(epsilon) * (1 + fabs(along))));
    }
}

/* On along a line through almost nothing: what is left is the rounding of numbers that were large. */
static void NAME(vanish)(pudle_unroll *u, sample *r, int32_t *products)
{
    static const double sizes[] = { 1.7, 1, 1e-9, 1e-10, 1e-11 };
    REAL *const from = fake_alloc(NULL, (size_t)u->spec.features * sizeof(REAL)), *const to = r->residual;
    for (int64_t k = 0; k < u->spec.features; k++)
        from[k] = (REAL)draw(1);
    reset_row(u, r);
    for (int turn = 0; turn < 5; turn++) {
        for (int64_t k = 0; k < u->spec.features; k++)
            to[k] = (REAL)(sizes[turn] * (double)from[k]);
        r->at_hand = true;
        r->coarse = false;
        if (turn > 1)
            NAME(hand_in)(u, r);
        assert_int_equal(r->coarse, turn > 1);
        NAME(evaluate_row)(u, r, products);
        if (turn > 1)
            NAME(check)(u, r);
    }
    fake_free(NULL, from);
}

/* Where no margin is good enough, or there is no number to be near to, there is no coarse evaluation. */
static void NAME(refuse)(pudle_unroll *u, sample *r, double *quiet)
{
    NAME(move)(u, r, 0, 1);
    *quiet = 1e-30;
    NAME(hand_in)(u, r);
    assert_false(r->coarse);
    *quiet = 1e30;
    NAME(hand_in)(u, r);
    assert_true(r->coarse);
    REAL *one = (REAL *)r->residual + between(0, u->spec.features - 1);
    *one = (REAL)NAN;
    NAME(hand_in)(u, r);
    assert_false(r->coarse);
    *one = 0;
    const int64_t atom = between(0, u->spec.atoms - 1);
    const REAL none = (REAL)(between(0, 1) ? NAN : INFINITY);
    ((REAL *)u->atoms)[atom * u->ldm + between(0, u->spec.features - 1)] = none;
    u->longest = u->norms[atom] = (double)none;
    *quiet = INFINITY;
    NAME(to_bytes_again)(u);
    NAME(hand_in)(u, r);
    assert_false(r->coarse);
}

static void NAME(margins)(int64_t atoms, int64_t features, int kind)
{
    pudle_exec exec = { .host = &fake_host, .threads = 1 };
    double quiet = 1e30; /* any margin is good enough */
    pudle_unroll u = { .root = &exec, .coarse = true, .ld = padded(atoms), .ldm = padded(features), .quiet = &quiet,
                       .spec = { .atoms = atoms, .features = features, .layers = 1, .dtype = DTYPE } };
    sample r = { 0 };
    assert_int_equal(take(&u, &u.atoms, u.ld * u.ldm, sizeof(REAL)), PUDLE_OK);
    assert_int_equal(take(&u, &u.norms, atoms, sizeof(double)), PUDLE_OK);
    assert_int_equal(take(&u, &u.off, atoms, sizeof(double)), PUDLE_OK);
    assert_int_equal(row_make(&u, &r, 0), PUDLE_OK);
    reset_row(&u, &r);
    int32_t *products = fake_alloc(NULL, (size_t)u.ld * sizeof *products);
    NAME(make_atoms)(&u, kind);
    assert_int_equal(want(&u, &u.bytes, (size_t)(u.ld * u.ldm)), PUDLE_OK);
    assert_int_equal(want(&u, &u.unit, (size_t)u.ld * sizeof(REAL)), PUDLE_OK);
    NAME(to_bytes_again)(&u);
    NAME(vanish)(&u, &r, products);
    reset_row(&u, &r);
    NAME(walk)(&u, &r, kind, products);
    NAME(refuse)(&u, &r, &quiet);
    row_free(&u, &r);
    void *const all[] = { products, u.atoms, u.norms, u.off, u.bytes.at, u.unit.at };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        fake_free(NULL, all[i]);
    assert_int_equal(fake.live, 0);
}
