/* A build with sanitizers runs the same tests some ten times slower, beside one without: where a test repeats itself with other random numbers, a third of the rounds. */
#ifndef TESTS_SANITIZED_H
#define TESTS_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static inline int rounds_of(int wanted)
{
    return SANITIZED ? (wanted + 2) / 3 : wanted;
}

#endif
