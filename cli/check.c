#include "cli.h"
#include "train/memory.h"
#include "train/trial.h"
#include <stdlib.h>

int cli_check(pd_context *ctx, const cli_args *args)
{
    pd_settings *settings = NULL;
    char *directory = NULL;
    pd_problem problem;
    pudle_status s = cli_settings(ctx, args, &settings, &directory);
    if (!s)
        s = pd_problem_open(ctx, settings, NULL, &problem);
    if (!s) {
        char memory[256];
        s = pd_memory_plan(&problem);
        if (!s)
            pd_memory_describe(&problem, memory, sizeof memory);
        if (!s)
            s = pd_problem_initialise(&problem);
        if (!s)
            s = pd_try_first_batch(&problem);
        pd_problem_close(&problem);
        if (!s)
            printf("%s: ok\nworkspaces: %s\n", args->positional[0], memory);
    }
    free(directory);
    pd_settings_destroy(settings);
    return s ? cli_setup_failed(ctx, s) : CLI_DONE;
}
