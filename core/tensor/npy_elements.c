/* core/tensor/npy_elements.c - elements of a .npy file as float or double. Elements may lie at any address and in either
 * byte order, so each is copied out before it is looked at. Integers go to float directly, rounded once. */
#include "files.h"

#include <math.h>
#include <string.h>

static uint8_t swap_8(uint8_t v)
{
    return v;
}

static uint16_t swap_16(uint16_t v)
{
    return (uint16_t)(v << 8 | v >> 8);
}

static uint32_t swap_32(uint32_t v)
{
    return (uint32_t)swap_16((uint16_t)v) << 16 | swap_16((uint16_t)(v >> 16));
}

static uint64_t swap_64(uint64_t v)
{
    return (uint64_t)swap_32((uint32_t)v) << 32 | swap_32((uint32_t)(v >> 32));
}

/* IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits; every value is a float. */
static float half_to_float(uint16_t bits)
{
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float v;
    if (exponent == 31)
        v = fraction ? NAN : INFINITY;
    else if (exponent == 0)
        v = ldexpf((float)fraction, -24);
    else
        v = ldexpf((float)(fraction + 1024), exponent - 25);
    return bits & 0x8000 ? -v : v;
}

typedef void (*run_fn)(const unsigned char *from, int64_t step, int64_t count, bool swapped, int32_t dtype, void *out);

/* Convert `count` elements that lie `step` bytes apart. RAW is the value's bits, `bits` and `value` its bits and value. */
#define RUN(NAME, BITS, TYPE, DECODE)                                                                                  \
    static void run_##NAME(const unsigned char *from, int64_t step, int64_t count, bool swapped, int32_t dtype, void *out) \
    {                                                                                                                  \
        for (int64_t i = 0; i < count; i++, from += step) {                                                            \
            uint##BITS##_t bits;                                                                                       \
            TYPE value;                                                                                                \
            memcpy(&bits, from, sizeof bits);                                                                          \
            if (swapped)                                                                                               \
                bits = swap_##BITS(bits);                                                                              \
            DECODE;                                                                                                    \
            if (dtype == PUDLE_F64)                                                                                    \
                ((double *)out)[i] = (double)value;                                                                    \
            else                                                                                                       \
                ((float *)out)[i] = (float)value;                                                                      \
        }                                                                                                              \
    }
#define SAME_BITS memcpy(&value, &bits, sizeof value)

RUN(bool, 8, uint8_t, value = bits != 0)
RUN(i1, 8, int8_t, SAME_BITS)
RUN(i2, 16, int16_t, SAME_BITS)
RUN(i4, 32, int32_t, SAME_BITS)
RUN(i8, 64, int64_t, SAME_BITS)
RUN(u1, 8, uint8_t, value = bits)
RUN(u2, 16, uint16_t, value = bits)
RUN(u4, 32, uint32_t, value = bits)
RUN(u8, 64, uint64_t, value = bits)
RUN(f2, 16, float, value = half_to_float(bits))
RUN(f4, 32, float, SAME_BITS)
RUN(f8, 64, double, SAME_BITS)

static const struct { char kind; uint32_t item; run_fn run; } types[] = {
    { 'f', 4, run_f4 }, { 'f', 8, run_f8 }, { 'f', 2, run_f2 }, { 'b', 1, run_bool },
    { 'i', 1, run_i1 }, { 'i', 2, run_i2 }, { 'i', 4, run_i4 }, { 'i', 8, run_i8 },
    { 'u', 1, run_u1 }, { 'u', 2, run_u2 }, { 'u', 4, run_u4 }, { 'u', 8, run_u8 },
};

static run_fn find_run(char kind, uint32_t item)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].kind == kind && types[i].item == item)
            return types[i].run;
    return NULL;
}

bool pd_npy_known(char kind, uint32_t item)
{
    return find_run(kind, item) != NULL;
}

void pd_npy_convert(const pd_npy *npy, int64_t row, int32_t dtype, void *out)
{
    const int32_t from = row < 0 || npy->rank == 0 ? 0 : 1; /* first axis that is walked */
    const int64_t origin = from ? row * npy->stride[0] : 0;
    const run_fn run = find_run(npy->kind, npy->item);
    const size_t size = pudle_dtype_size(dtype);
    const unsigned char *data = npy->data + (size_t)origin * npy->item;
    int64_t count = 1, index[PUDLE_MAX_RANK] = { 0 };
    for (int32_t i = from; i < npy->rank; i++)
        count *= npy->shape[i];
    if (count == 0)
        return;
    if (!npy->fortran || npy->rank - from < 1) { /* in one piece */
        if (npy->kind == 'f' && npy->item == size && !npy->swapped)
            memcpy(out, data, (size_t)count * size);
        else
            run(data, npy->item, count, npy->swapped, dtype, out);
        return;
    }
    const int32_t last = npy->rank - 1;
    const int64_t length = npy->shape[last];
    char *to = out;
    for (int64_t done = 0; done < count; done += length, to += (size_t)length * size) {
        int64_t at = 0;
        for (int32_t i = from; i < last; i++)
            at += index[i] * npy->stride[i];
        run(data + (size_t)at * npy->item, npy->stride[last] * (int64_t)npy->item, length, npy->swapped, dtype, to);
        for (int32_t i = last - 1; i >= from && ++index[i] == npy->shape[i]; i--)
            index[i] = 0;
    }
}
