/* core/plugin/registry.h - find, check and load plugins. The core knows kinds, never names.
 *
 * Search order: directories given by the caller (--plugin-path), $PUDLE_PLUGIN_PATH, plugin_path of the config,
 * $XDG_DATA_HOME/pudle/abi1 (default ~/.local/share), PKGLIBDIR/abi1. Never the working directory: relative entries are
 * refused. In a directory, DIR/KIND/NAME.so and DIR/NAME.so are looked at. */
#ifndef PD_REGISTRY_H
#define PD_REGISTRY_H

#include "context.h"

typedef struct pd_plugin {
    const pudle_desc *desc; /* in the plugin's memory; fields past desc->size must not be read: use pd_desc_* */
    char *path;             /* file it came from, absolute */
    char sha256[65];        /* of that file */
    uint16_t abi_major, abi_minor; /* minor: what it needs */
} pd_plugin;

const char *pd_kind_name(int32_t kind); /* "prox", "loss", "data", "backend"; "?" */
int32_t pd_kind_from_name(const char *name); /* 0 if unknown */

enum { PD_NAME_LIMIT = 63 };
bool pd_name_valid(const char *name); /* of a plugin or an option: [a-z][a-z0-9_]*, at most PD_NAME_LIMIT long */

/** Add search directories. `path` is colon separated. Command-line first: order of calls within a source is kept. */
enum { PD_FROM_COMMAND_LINE, PD_FROM_ENVIRONMENT, PD_FROM_CONFIG, PD_FROM_USER_DIR, PD_FROM_BUILD, PD_FROM_INSTALL, PD_PATH_SOURCES };
pudle_status pd_plugin_path_add(pd_context *ctx, int source, const char *path);

/** The build folder that this program lies in, malloc'ed; NULL: it lies elsewhere. Its plugins are in abi1, templates in templates. */
char *pd_build_folder(void);
/** Is there no directory of plugins at all? What to do then: */
bool pd_plugin_path_empty(pd_context *ctx);
#define PD_NO_PLUGINS "there are no plugins anywhere: `make install` puts them in place, and in a build folder `make` makes them; else set PUDLE_PLUGIN_PATH to the " \
                      "folder abi1 that holds them"

/** The directories of one source, colon separated, malloc'ed; "" when there are none. NULL without memory. */
char *pd_plugin_path_text(pd_context *ctx, int source);

/** Find and load. The same plugin is loaded once. @errors NOTFOUND, listing every path tried with its reason and the nearest
 *  known name; ABI, CONFIG when a file exists but is refused, with the reason. Never unloads. */
pudle_status pd_plugin_find(pd_context *ctx, int32_t kind, const char *name, const pd_plugin **out);
/** Load one file given by its path and check it; every descriptor in it. @errors as above */
pudle_status pd_plugin_load_file(pd_context *ctx, const char *path, const pd_plugin **first, int *count);

/** Every plugin that can be found, for `plugins list` and `doctor`: good ones with desc, refused ones with a reason. */
typedef struct pd_plugin_row { int32_t kind; char *name, *path, *reason; /* NULL: good */ bool shadowed; const pd_plugin *plugin; } pd_plugin_row;
pudle_status pd_plugin_scan(pd_context *ctx, pd_plugin_row **rows, int *count);
void pd_plugin_rows_free(pd_plugin_row *rows, int count);
/** The search directories in order, one line each with where it comes from and whether it exists. */
void pd_plugin_path_describe(pd_context *ctx, FILE *to);

/** Option i of a descriptor, honouring the plugin's own stride; a zero-filled tail where its rows are shorter. False past the end. */
bool pd_option_at(const pudle_desc *desc, int i, pudle_option *out);
/** The row of this name; false: there is none. */
bool pd_option_find(const pudle_desc *desc, const char *name, pudle_option *out);

/** check + create, with host services bound to the plugin; destroy. params must outlive the instance. */
pudle_status pd_instance_create(pd_context *ctx, const pd_plugin *plugin, const void *params, pudle_instance *out);
void pd_instance_destroy(pd_context *ctx, pudle_instance *instance);

void pd_registry_destroy(pd_context *ctx); /* called by pd_context_destroy */

#endif
