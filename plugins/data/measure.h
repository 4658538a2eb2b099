/* A measurement matrix from a file, for sources that make signals. */
#ifndef MEASURE_H
#define MEASURE_H

#include <math.h>
#include <pudle/plugin.h>

typedef struct measure { double *matrix; int64_t rows, columns; } measure; /* (rows, columns) */

static inline void measure_free(const pudle_host *host, measure *a)
{
    host->free(host->ctx, a->matrix);
    *a = (measure){ NULL, 0, 0 };
}

static inline pudle_status measure_fill(const pudle_host *host, const pudle_host_arrays *arrays, const pudle_array_file *file, const char *path, measure *a)
{
    for (int64_t i = 0; i < a->rows; i++) {
        const pudle_status s = arrays->read_row(host->ctx, file, i, PUDLE_F64, a->matrix + i * a->columns);
        if (s)
            return s;
        for (int64_t k = 0; k < a->columns; k++)
            if (!isfinite(a->matrix[i * a->columns + k]))
                return host->fail(host->ctx, PUDLE_ERR_CONFIG, "measurement: %s: row %lld, column %lld, counted from 0, is not finite (%g)", path, (long long)i,
                                  (long long)k, a->matrix[i * a->columns + k]);
    }
    return PUDLE_OK;
}

/** A from a .npy file, a row for every entry of a sample, a column for every one of a signal. */
static inline pudle_status measure_read(const pudle_host *host, const char *path, int64_t features, measure *a)
{
    const pudle_host_arrays *arrays = host->get_ext(host->ctx, PUDLE_HOST_ARRAYS);
    pudle_array_file *file = NULL;
    if (!arrays)
        return host->fail(host->ctx, PUDLE_ERR_UNSUPPORTED, "measurement: this host reads no arrays");
    pudle_status s = arrays->open(host->ctx, path, &file);
    if (s)
        return s;
    const int32_t rank = arrays->rank(file);
    *a = (measure){ NULL, rank == 2 ? arrays->extent(file, 0) : 0, rank == 2 ? arrays->extent(file, 1) : 0 };
    if (a->rows < 1 || a->columns != features)
        s = host->fail(host->ctx, PUDLE_ERR_CONFIG, "measurement: %s is no matrix with a column for each of the %lld entries of a signal (features), and a row at least: it has "
                       "%d axes, %lld x %lld", path, (long long)features, (int)rank, (long long)a->rows, (long long)a->columns);
    if (!s && !(a->matrix = host->alloc(host->ctx, (size_t)a->rows * (size_t)a->columns * sizeof *a->matrix)))
        s = host->fail(host->ctx, PUDLE_ERR_NOMEM, "no memory for the measurement %s", path);
    if (!s)
        s = measure_fill(host, arrays, file, path, a);
    arrays->close(file);
    return s;
}

#endif
