/* Errors to exit codes; a config or a run directory to settings and a model. */
#include "cli.h"
#include "train/checkpoint.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void print_errors(pd_context *ctx)
{
    fflush(stdout);
    fprintf(stderr, "%s\n", pd_error(ctx));
}

int cli_setup_failed(pd_context *ctx, pudle_status status)
{
    print_errors(ctx);
    return status == PUDLE_ERR_NOMEM || status == PUDLE_ERR_DEVICE || status == PUDLE_ERR_INTERNAL ? CLI_FAILED : CLI_USAGE;
}

int cli_run_failed(pd_context *ctx, pudle_status status)
{
    print_errors(ctx);
    return status == PUDLE_ERR_CONFIG || status == PUDLE_ERR_NOTFOUND || status == PUDLE_ERR_ABI ? CLI_USAGE : CLI_FAILED;
}

pudle_status cli_settings(pd_context *ctx, const cli_args *args, pd_settings **settings, char **run_directory)
{
    return cli_settings_at(ctx, args->positional[0], args, settings, run_directory);
}

pudle_status cli_settings_at(pd_context *ctx, const char *path, const cli_args *args, pd_settings **settings, char **run_directory)
{
    struct stat info;
    *run_directory = NULL;
    if (stat(path, &info) || !S_ISDIR(info.st_mode))
        return pd_settings_load(ctx, path, args->set, args->sets, settings);
    char *config = pd_format("%s/config.cfg", path);
    pudle_status s = config ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s && stat(config, &info))
        s = pd_fail(ctx, PUDLE_ERR_NOTFOUND, "%s: not a run: it holds no config.cfg", path);
    if (!s)
        s = pd_settings_load(ctx, config, args->set, args->sets, settings);
    free(config);
    if (s)
        return s;
    *run_directory = pd_strdup(path);
    return *run_directory ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
}

pudle_status cli_model(pd_context *ctx, const pd_settings *settings, const char *run_directory, const pudle_data_info *given, pd_problem *problem)
{
    pudle_status s = pd_problem_open(ctx, settings, given, problem);
    if (s)
        return s;
    if (!run_directory) {
        s = pd_problem_initialise(problem);
    } else {
        char *path = pd_format("%s/checkpoint.safetensors", run_directory);
        pd_progress at = { 0 };
        s = path ? pd_checkpoint_read(problem, path, true, &at) : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
        free(path);
        if (!s)
            s = pd_problem_refresh(problem, pd_problem_beta(problem, at.update));
    }
    if (s)
        pd_problem_close(problem);
    return s;
}

pudle_status cli_split(pd_context *ctx, const cli_args *args, int *split)
{
    *split = PUDLE_SPLIT_TRAIN;
    if (!args->split || !strcmp(args->split, "train"))
        return PUDLE_OK;
    *split = PUDLE_SPLIT_TEST;
    return !strcmp(args->split, "test") ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_CONFIG, "--split %s: there are 'train' and 'test'", args->split);
}
