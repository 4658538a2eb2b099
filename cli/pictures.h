/* cli/pictures.h - pictures that a command is given, one file, a folder or an array, and where its results go. */
#ifndef PD_CLI_PICTURES_H
#define PD_CLI_PICTURES_H

#include "cli.h"
#include "tensor/arrays.h"
#include "../plugins/data/picture_list.h"

typedef enum cli_picture_kind { CLI_PICTURE, CLI_FOLDER, CLI_ARRAY } cli_picture_kind;

typedef struct cli_pictures {
    cli_picture_kind kind;
    const char *path;
    int64_t count;
    picture_list list; /* a picture or a folder */
    pd_array array;    /* (n, channels, height, width), (channels, height, width) or (height, width) */
} cli_pictures;

/** One of them, in [0, 1] as it is stored. */
typedef struct cli_picture {
    pd_array values; /* (channels, height, width) */
    int bits;        /* to write it with */
    char *name;      /* of the file without its folder, or the number in the array */
    char *what;      /* for messages: the path, and the number in an array of several */
} cli_picture;

/** Find the pictures at a path; an array is read, with elements of dtype. @errors NOTFOUND, IO, CONFIG, NOMEM */
pudle_status cli_pictures_open(pd_context *ctx, const char *path, int32_t dtype, cli_pictures *out);
void cli_pictures_close(pd_context *ctx, cli_pictures *pictures);

/** Read picture i for a model of so many channels. One: a file gives one channel if it is grey or `grey` is set, else three,
 *  each to go through the model on its own. Three: a grey file gives three equal channels. Array rows are taken as they are.
 *  @errors IO, UNSUPPORTED, NOMEM; CONFIG where channels do not fit */
pudle_status cli_pictures_read(pd_context *ctx, const cli_pictures *pictures, int64_t i, int64_t channels, bool grey, int32_t dtype,
                               cli_picture *out);
void cli_picture_free(cli_picture *picture);

/** Values clamped to [0, 1], NaN as black, to .png of 8 or 16 bits. values: (1 or 3, height, width). */
pudle_status cli_picture_write(pd_context *ctx, const char *path, const pudle_cview *values, int bits);
/** The same for several pictures of one shape side by side, with a white line between them. */
pudle_status cli_pictures_write_row(pd_context *ctx, const char *path, int count, const pudle_cview *values, int bits);

/** Where the result of picture i goes: output itself, or output/NAME.png; the caller frees it. NULL without memory. */
char *cli_pictures_target(const cli_pictures *pictures, int64_t i, const char *output);
/** See that the output suits the input and overwrites none of it; make the folder. @errors CONFIG, IO */
pudle_status cli_pictures_check_output(pd_context *ctx, const cli_pictures *pictures, const char *output);

#endif
