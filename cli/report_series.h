/* cli/report_series.h - a table of a run, such as metrics.csv, as one thinned series for each column. Internal to report. */
#ifndef PD_REPORT_SERIES_H
#define PD_REPORT_SERIES_H

#include "context.h"
#include "plot_svg.h"

/** Neighbouring rows: what is seen of them where they fall into one column of pixels. */
typedef struct report_bucket { plot_point first, last, least, most; double sum; int64_t count; } report_bucket;

/** Values in the order of their rows, of whatever number, in a fixed room: a bucket stands for `width` of them, and where buckets run out, two become one. Nothing of
 *  the extremes is lost. */
typedef struct report_series {
    report_bucket *bucket;
    int used, room;
    int64_t width;
    double low, high; /* of all values */
    int64_t values;
    plot_point last;
} report_series;

enum { REPORT_POINTS = 4 }; /* of a bucket, at most */

pudle_status report_series_open(pd_context *ctx, int room, report_series *s); /* room: even */
void report_series_close(report_series *s); /* zeroed is legal */
/** x ascends. A value that is not finite is left out. */
void report_series_add(report_series *s, double x, double y);
/** The points to draw; point has room for REPORT_POINTS * used. Returns how many. */
int report_series_points(const report_series *s, plot_point *point);
/** Means over stretches of equally many values, REPORT_STRETCHES at most, each at the middle of its rows. Returns how many. */
enum { REPORT_STRETCHES = 100 };
int report_series_stretches(const report_series *s, plot_point point[REPORT_STRETCHES]);

/** Means over epochs, each at the middle of its updates. */
typedef struct report_means { double sum, first, last; int64_t epoch, rows, epochs; report_series series; } report_means;

typedef struct report_column {
    char name[64]; /* as the table has it */
    report_series series;
} report_column;

/** All columns of a table but update, epoch and seconds. */
typedef struct report_table {
    report_column *column;
    int columns;
    int64_t rows;
    double update, seconds; /* of the last row; seconds NaN: there is no such column */
    report_means loss;      /* of the column of this name */
} report_table;

/** Read a table row by row. A last line without an end is being written, or was cut off, and is left out; no rows at all are no error. room: of each series.
 *  @errors NOTFOUND, IO, and CONFIG with file, line and value where a row is none */
pudle_status report_table_read(pd_context *ctx, const char *path, int room, report_table *table);
void report_table_close(report_table *table); /* zeroed is legal */
/** NULL: there is no such column, or it has no value. */
const report_series *report_table_find(const report_table *table, const char *name);

#endif
