/* core/train/streams.h - the core's streams of random numbers (pudle/random.h): one a use, so that none shifts another.
 * A number never changes once it has been released: runs would not repeat. Plugins choose their own ids; the core's lie at
 * 0x7064.... ("pd") to stay clear of small ones. */
#ifndef PD_STREAMS_H
#define PD_STREAMS_H

enum {
    PD_STREAM_SHUFFLE = 0x70640001, /* order of the samples; epoch: the epoch */
    PD_STREAM_INIT = 0x70640002,    /* random atoms, noise on the true ones; index: the atom */
    PD_STREAM_POWER = 0x70640003,   /* start of power and subspace iterations; index: the pair, or 0 */
    PD_STREAM_SAMPLES = 0x70640004, /* samples drawn to become atoms, or to estimate moments */
    PD_STREAM_PAIRS = 0x70640005,   /* pairs of the pairwise initialisation; index: the pair */
    PD_STREAM_NOISE = 0x70640006,   /* noise added to clean pictures; index: the picture */
    PD_STREAM_REVIVE = 0x70640007,  /* samples that dead atoms become; epoch: the epoch, index: the atom */
    PD_STREAM_WINDOWS = 0x70640008  /* windows of samples drawn to become filters */
};

#endif
