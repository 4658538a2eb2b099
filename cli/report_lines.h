/* cli/report_lines.h - text files in the folders of runs and sweeps, which may be anything by now. */
#ifndef PD_REPORT_LINES_H
#define PD_REPORT_LINES_H

#include "context.h"
#include <stdio.h>

/** A file to read, and no pipe, which would be waited for, nor anything else. NULL: errno tells why, and is 0 where it is no file. */
FILE *report_file(const char *path);

/** Told of a line, whose end is taken off, counted from 1. */
typedef pudle_status (*report_visit)(void *user, int64_t number, char *line);
/** Every line of a file, which is closed. @errors IO, NOMEM, and what visit gives */
pudle_status report_lines(pd_context *ctx, const char *path, FILE *file, report_visit visit, void *user);

#endif
