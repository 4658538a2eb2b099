/* The name a user most likely meant: optimal string alignment distance (Damerau 1964, Levenshtein 1966). */
#include "config/parts.h"

#include <ctype.h>
#include <string.h>

enum { LONGEST = 64 };

static int fold(char c)
{
    return c == '-' ? '_' : tolower((unsigned char)c);
}

static int min3(int a, int b, int c)
{
    const int m = a < b ? a : b;
    return m < c ? m : c;
}

int pd_edit_distance(const char *a, const char *b)
{
    const int n = (int)strnlen(a, LONGEST), m = (int)strnlen(b, LONGEST);
    int rows[3][LONGEST + 1] = { { 0 } }; /* distances of the last three prefixes of a */
    int *before = rows[0], *last = rows[1], *now = rows[2];
    for (int j = 0; j <= m; j++)
        last[j] = j;
    for (int i = 1; i <= n; i++) {
        now[0] = i;
        for (int j = 1; j <= m; j++) {
            const int differ = fold(a[i - 1]) != fold(b[j - 1]);
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + differ);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]) &&
                before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
        int *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[m];
}

const char *pd_name_here(const char *word)
{
    static const char *const names[][2] = {
        { "lr", "learning_rate" }, { "eta", "learning_rate" }, { "step_size", "step" }, { "batch_size", "batch" }, { "n_atoms", "atoms" },
        { "n_components", "atoms" }, { "num_atoms", "atoms" }, { "num_epochs", "epochs" }, { "n_epochs", "epochs" }, { "iterations", "updates" },
        { "max_iter", "updates" }, { "n_iter", "updates" }, { "num_layers", "layers" }, { "n_layers", "layers" }, { "unfoldings", "layers" },
        { "num_iterations", "layers" }, { "random_state", "seed" }, { "kernel_size", "size" }, { "dtype", "precision" }, { "betas", "beta1" },
        { "eps", "epsilon" }, { "optim", "optimizer" }, { "scheduler", "schedule" }, { "lam", "lambda" }, { "threshold_lr", "threshold_rate" },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(word, names[i][0]))
            return names[i][1];
    return word;
}

/* One slip per three letters, at most three. */
static int limit(const char *word)
{
    const size_t length = strlen(word);
    return length >= 6 ? 3 : (int)(length / 3) + 1;
}

void pd_nearest_offer(pd_nearest *nearest, const char *name)
{
    const size_t length = strlen(nearest->word);
    const int distance = length >= 3 && !strncmp(nearest->word, name, length) ? 1 : pd_edit_distance(nearest->word, name); /* or its beginning */
    const int shorter = (int)strlen(name) < (int)strlen(nearest->word) ? (int)strlen(name) : (int)strlen(nearest->word);
    if (distance > limit(nearest->word) || distance >= shorter) /* nothing of the word would be left */
        return;
    if (!nearest->best || distance < nearest->distance) {
        nearest->best = name;
        nearest->distance = distance;
    }
}

const char *pd_nearest_best(const pd_nearest *nearest)
{
    return nearest->best;
}
