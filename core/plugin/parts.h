/* core/plugin/parts.h - what the files of core/plugin share. Nothing outside this folder includes it.
 *
 * The way of a plugin: path.c says where to look, registry.c looks there, elf.c examines the file before any of its code can
 * run, load.c loads it and shakes hands, check.c and options.c examine what it describes, instance.c makes instances. */
#ifndef PD_PLUGIN_PARTS_H
#define PD_PLUGIN_PARTS_H

#include "plugin/registry.h"

/** Why a file is refused: what, which value, which limit, and the remedy. */
typedef struct pd_reason { char text[1024]; } pd_reason;
/** Write the reason and return the status. */
pudle_status pd_refuse(pd_reason *reason, pudle_status status, const char *format, ...) PUDLE_PRINTF(3, 4);

typedef struct pd_directory {
    char *path;
    int source;
    bool relative; /* kept to be named in messages, never searched */
} pd_directory;

/** A file that was loaded and found good. */
typedef struct pd_file {
    struct pd_file *next;
    char *real;         /* canonical path: two links to one file are one file */
    char *path;         /* as it was found, absolute */
    pd_plugin *plugin;  /* count of them */
    int count;
    bool shadows_told;
} pd_file;

typedef struct pd_registry {
    pd_directory *dir; /* in search order */
    int dirs;
    bool defaults;     /* the environment's and the installed directories are in */
    pd_file *files;
} pd_registry;

/** Size of a struct up to and including `member`: what ABI 1.0 demands, whatever is appended later. */
#define PD_UP_TO(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

enum { PD_LIST_LIMIT = 64 };

/* path.c */
pudle_status pd_registry_get(pd_context *ctx, pd_registry **out); /* made on first use; directories complete */
const char *pd_path_source(int source);
bool pd_directory_skipped(const pd_registry *r, int i); /* relative, or named earlier */

/* elf.c */
/** Is this a whole shared object of this machine that defines pudle_plugin? Runs none of its code. */
pudle_status pd_elf_check(const char *path, pd_reason *why);

/* load.c */
pudle_status pd_file_load(pd_context *ctx, const char *path, const char *real, pd_reason *why, pd_file **out);
void pd_file_free(pd_file *file);

/* check.c, options.c */
pudle_status pd_desc_check(const pudle_desc *desc, pd_reason *why);
pudle_status pd_options_check(const pudle_desc *desc, pd_reason *why);

/* registry.c */
/** Load a file, or find it loaded; its descriptors must bear the file's name. */
pudle_status pd_file_open(pd_context *ctx, const char *path, pd_reason *why, pd_file **out);
const pd_plugin *pd_file_plugin(const pd_file *file, int32_t kind, const char *name); /* NULL: not in it */

#endif
