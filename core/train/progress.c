#include "train/progress.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const double LOG_PAUSE = 10.0; /* seconds */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void pd_progress_begin(pd_progress_line *line, pd_context *ctx, bool quiet, int64_t first_update)
{
    const double time = now();
    *line = (pd_progress_line){ .ctx = ctx, .quiet = quiet, .terminal = isatty(STDERR_FILENO) != 0, .started = time, .shown = -1e9,
                                .logged = time, .first = first_update };
}

static void duration(char *text, size_t size, double seconds)
{
    if (seconds < 100)
        snprintf(text, size, "%.0f s", seconds);
    else if (seconds < 6000)
        snprintf(text, size, "%.0f min %02.0f s", floor(seconds / 60), fmod(seconds, 60));
    else
        snprintf(text, size, "%.1f h", seconds / 3600);
}

void pd_progress_show(pd_progress_line *line, int64_t update, int64_t total, int64_t epoch, double loss, double error)
{
    const double time = now(), pause = line->terminal ? 0.2 : LOG_PAUSE;
    const bool show = !line->quiet && (time - line->shown >= pause || update >= total), log = time - line->logged >= LOG_PAUSE;
    if (!show && !log)
        return;
    char left[32] = "?", recovered[64] = "", text[256];
    if (update > line->first)
        duration(left, sizeof left, (time - line->started) / (double)(update - line->first) * (double)(total - update));
    if (!isnan(error))
        snprintf(recovered, sizeof recovered, "  dictionary error %.4f", error);
    snprintf(text, sizeof text, "update %" PRId64 "/%" PRId64 "  epoch %" PRId64 "  loss %.6g%s  %s left", update, total, epoch, loss,
             recovered, left);
    if (log) {
        pd_log_note(line->ctx, "%s", text);
        line->logged = time;
    }
    if (show) {
        fprintf(stderr, "%s%s%s", line->terminal ? "\r" : "", text, line->terminal ? "\033[K" : "\n");
        line->open = line->terminal;
        line->shown = time;
    }
}

void pd_progress_end(pd_progress_line *line)
{
    if (line->open)
        fputc('\n', stderr);
    line->open = false;
}
