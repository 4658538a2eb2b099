/* metrics.csv: rows appended while the run goes on, synchronised with the checkpoints. */
#include "train/rundir.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char HEADER[] = "update,epoch,loss,data_loss,code_loss,nonzeros,learning_rate,beta,step,gradient_norm,dictionary_error";

/* Copy the whole rows before `update`; a torn last line is dropped with the rest. The seconds of the last row up to the update
 * itself, which a finished run has: its closing row. */
static double keep_rows(FILE *from, FILE *to, int64_t update)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    double seconds = 0;
    for (int row = 0; (length = getline(&line, &size, from)) > 0; row++) {
        if (row == 0 || line[length - 1] != '\n')
            continue;
        const int64_t number = strtoll(line, NULL, 10);
        const char *last = strrchr(line, ',');
        if (number < update)
            fputs(line, to);
        if (number <= update && last)
            seconds = strtod(last + 1, NULL);
    }
    free(line);
    return isfinite(seconds) && seconds > 0 ? seconds : 0;
}

pudle_status pd_metrics_open(pd_rundir *dir, int64_t update, double *seconds)
{
    char *path = pd_rundir_file(dir, "metrics.csv");
    pd_atomic *file = NULL;
    double before = 0;
    pudle_status s = path ? pd_atomic_open(dir->ctx, path, &file) : pd_fail(dir->ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (s)
        goto cleanup;
    fprintf(pd_atomic_stream(file), "%s%s", HEADER, dir->implicit ? ",fixed_point,ill_conditioned" : "");
    for (int i = 0; i < dir->levels; i++)
        fprintf(pd_atomic_stream(file), ",%s", dir->level[i]);
    fputs(",seconds\n", pd_atomic_stream(file));
    FILE *old = update > 0 ? fopen(path, "re") : NULL;
    if (old) {
        before = keep_rows(old, pd_atomic_stream(file), update);
        fclose(old);
    }
    s = pd_atomic_commit(dir->ctx, file);
    if (s)
        goto cleanup;
    dir->metrics = fopen(path, "ae");
    if (!dir->metrics)
        s = pd_fail(dir->ctx, PUDLE_ERR_IO, "%s: %s", path, strerror(errno));
    else
        *seconds = before;
cleanup:
    free(path);
    return s;
}

static void cell(FILE *to, double value)
{
    if (isnan(value))
        fputs(",", to);
    else
        fprintf(to, ",%.9g", value);
}

pudle_status pd_metrics_row(pd_rundir *dir, const pd_metrics *row)
{
    FILE *to = dir->metrics;
    fprintf(to, "%" PRId64 ",%" PRId64, row->update, row->epoch);
    const double values[] = { row->loss, row->data_loss, row->code_loss, row->nonzeros, row->rate, row->beta, row->step, row->gradient_norm,
                              row->error };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        cell(to, values[i]);
    if (dir->implicit) {
        cell(to, row->fixed_point);
        cell(to, isnan(row->fixed_point) ? NAN : (double)row->ill_conditioned); /* both come with a gradient */
    }
    for (int i = 0; i < dir->levels; i++)
        cell(to, row->level[i]);
    fprintf(to, ",%.3f\n", row->seconds);
    return ferror(to) ? pd_fail(dir->ctx, PUDLE_ERR_IO, "%s/metrics.csv: %s", dir->path, strerror(errno)) : PUDLE_OK;
}

pudle_status pd_metrics_sync(pd_rundir *dir)
{
    if (fflush(dir->metrics) || fsync(fileno(dir->metrics)))
        return pd_fail(dir->ctx, PUDLE_ERR_IO, "%s/metrics.csv: %s", dir->path, strerror(errno));
    return PUDLE_OK;
}
