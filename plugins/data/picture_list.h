/* The pictures of a folder, or one file, as paths in a fixed order. */
#ifndef PICTURE_LIST_H
#define PICTURE_LIST_H

#include "picture.h"

typedef struct picture_list {
    char **path; /* in the byte order of the names */
    int64_t count, room;
} picture_list;

/** A folder: its files that begin as PNG or JPEG do, whatever their names; other files, and folders that are not hidden, are
 *  skipped with one note to the log. A file: itself. Free with picture_list_free, also after a failure.
 *  @errors NOTFOUND: no such path, or a folder without pictures; IO; NOMEM */
pudle_status picture_list_make(const pudle_host *host, const char *path, picture_list *list);
void picture_list_free(const pudle_host *host, picture_list *list);

#endif
