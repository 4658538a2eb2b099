/* core/conform/conform.h - does a plugin keep the promises of its kind? A suite of tests that finds out, one process a test, so
 * that a crash or an endless loop is a finding and not the end. Every test draws its own options, shapes and numbers from a seed
 * that the report names, so that any failure can be seen again. */
#ifndef PD_CONFORM_H
#define PD_CONFORM_H

#include "plugin/registry.h"

typedef struct pd_conform_how {
    const char *only;       /* this test alone; NULL: all */
    uint64_t seed;
    bool in_process;        /* no process of their own: for a debugger. A crash is then a crash */
    const char *backend;    /* run the kernels of prox and loss through this backend as well; NULL: none */
    const char *const *set; /* "key=value" for the plugin's options, which are then not drawn */
    int sets;
    double timeout;         /* seconds a test may take */
} pd_conform_how;

typedef struct pd_conform_counts { int passed, failed, skipped; } pd_conform_counts;

/** Is there a test of that name, for any kind? */
bool pd_conform_known(const char *test);
/** The tests of a kind by number: name and what it says of the plugin; false past the last. */
bool pd_conform_test(int32_t kind, int i, const char **name, const char **claim);

/** Check every descriptor of a file, given as pd_plugin_load_file gives them, and print TAP. `subject`: the plugin as the user
 *  named it, for the line that repeats a failed test. @errors NOMEM, INTERNAL when the suite itself cannot run; a failed test is
 *  no error but counted */
pudle_status pd_conform(pd_context *ctx, const pd_plugin *plugin, int count, const char *subject, const pd_conform_how *how, FILE *to,
                        pd_conform_counts *counts);

#endif
