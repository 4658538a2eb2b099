/* pudle/random.h - counter-based random numbers, header only: Philox4x32-10.
 *
 * A number is a pure function of (seed, stream, epoch, index) and its place in that sequence, so it is the same on one or
 * eight threads, before and after a resume, in the core and in a plugin.
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. */
#ifndef PUDLE_RANDOM_H
#define PUDLE_RANDOM_H

#include <math.h>
#include <stdint.h>

typedef struct pudle_random {
    uint32_t key[2], counter[4], block[4];
    uint32_t used; /* how many words of block are spent; 4: all */
    double spare;  /* second normal of a Box-Muller pair */
    uint32_t has_spare;
} pudle_random;

/** The ten-round Philox bijection: out = f(key, counter). */
static inline void pudle_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
    uint32_t k0 = key[0], k1 = key[1], c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/** Begin the sequence of (seed, stream, epoch, index). `stream` separates uses (shuffling, noise, supports ...) so that
 *  none shifts another; the stream is folded into the key by one Philox call. Up to 2^34 words a sequence. */
static inline pudle_random pudle_random_at(uint64_t seed, uint32_t stream, uint32_t epoch, uint64_t index)
{
    pudle_random r;
    const uint32_t seed_key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) }, mix[4] = { stream, 0x70756431u, 0, 0 };
    uint32_t folded[4];
    pudle_philox(seed_key, mix, folded);
    r.key[0] = folded[0];
    r.key[1] = folded[1];
    r.counter[0] = 0;
    r.counter[1] = epoch;
    r.counter[2] = (uint32_t)index;
    r.counter[3] = (uint32_t)(index >> 32);
    r.used = 4;
    r.spare = 0;
    r.has_spare = 0;
    for (int i = 0; i < 4; i++)
        r.block[i] = 0;
    return r;
}

static inline uint32_t pudle_random_u32(pudle_random *r)
{
    if (r->used == 4) {
        pudle_philox(r->key, r->counter, r->block);
        r->counter[0]++;
        r->used = 0;
    }
    return r->block[r->used++];
}

/** Uniform on [0, 1), 53 bits. */
static inline double pudle_random_uniform(pudle_random *r)
{
    const uint64_t hi = pudle_random_u32(r), lo = pudle_random_u32(r);
    return (double)((hi << 21) ^ (lo >> 11)) * 0x1p-53;
}

/** Standard normal by Box and Muller. */
static inline double pudle_random_normal(pudle_random *r)
{
    if (r->has_spare) {
        r->has_spare = 0;
        return r->spare;
    }
    const double u = 1.0 - pudle_random_uniform(r), angle = 6.283185307179586476925 * pudle_random_uniform(r);
    const double radius = sqrt(-2.0 * log(u));
    r->spare = radius * sin(angle);
    r->has_spare = 1;
    return radius * cos(angle);
}

/** Uniform integer in [0, n), n >= 1, without bias. */
static inline uint64_t pudle_random_below(pudle_random *r, uint64_t n)
{
    const uint64_t limit = UINT64_MAX - UINT64_MAX % n;
    for (;;) {
        const uint64_t hi = pudle_random_u32(r), v = (hi << 32) | pudle_random_u32(r);
        if (v < limit)
            return v % n;
    }
}

#endif
