/* Packing patches and adding them back. Included twice by conv.c, with REAL float and double. */

/* Row `tap` of the patch matrix: the pixel under kernel entry (channel, ky, kx) at every position of the band. */
static void NAME(pack)(band *b, int64_t tap)
{
    const pudle_conv *c = b->c;
    const int64_t kx = tap % c->kernel[1], ky = tap / c->kernel[1] % c->kernel[0], channel = tap / (c->kernel[0] * c->kernel[1]);
    const int64_t width = c->data[1], step = c->stride[1], across = c->code[1];
    REAL *to = (REAL *)(void *)b->patches + tap * b->columns;
    for (int64_t row = 0; row < b->rows; row++, to += across) {
        const REAL *from = (const REAL *)b->image + (channel * c->data[0] + (b->first + row) * c->stride[0] + ky) * width + kx;
        if (step == 1)
            memcpy(to, from, (size_t)across * sizeof *to);
        else
            for (int64_t x = 0; x < across; x++)
                to[x] = from[x * step];
    }
}

/* Add the rows of Y whose pixels have one (channel, y modulo stride, x modulo stride). */
static void NAME(spread)(band *b, int64_t part)
{
    const pudle_conv *c = b->c;
    const int64_t phase_x = part % c->stride[1], phase_y = part / c->stride[1] % c->stride[0], channel = part / (c->stride[0] * c->stride[1]);
    const int64_t width = c->data[1], step = c->stride[1], across = c->code[1];
    for (int64_t ky = phase_y; ky < c->kernel[0]; ky += c->stride[0])
        for (int64_t kx = phase_x; kx < c->kernel[1]; kx += step) {
            const int64_t tap = (channel * c->kernel[0] + ky) * c->kernel[1] + kx;
            const REAL *from = (const REAL *)(void *)b->patches + tap * b->columns;
            for (int64_t row = 0; row < b->rows; row++, from += across) {
                REAL *to = (REAL *)b->sum + (channel * c->data[0] + (b->first + row) * c->stride[0] + ky) * width + kx;
                for (int64_t x = 0; x < across; x++)
                    to[x * step] += from[x];
            }
        }
}
