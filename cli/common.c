/* Errors to exit codes; a config or a run directory to settings and a model. */
#include "cli.h"
#include "train/manifest.h"
#include "train/checkpoint.h"
#include "train/critical.h"
#include "train/order.h"
#include "train/rundir.h"
#include <errno.h>
#include <math.h>
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
    if (stat(path, &info) && (errno == ENOENT || errno == ENOTDIR))
        return pd_fail(ctx, PUDLE_ERR_NOTFOUND, "%s: %s; give the path of a config file, or of the folder of a run", path, strerror(errno));
    if (stat(path, &info) || !S_ISDIR(info.st_mode))
        return pd_settings_load(ctx, path, args->set, args->sets, settings);
    char *config = pd_format("%s/config.cfg", path);
    pudle_status s = config ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s && stat(config, &info))
        s = pd_fail(ctx, PUDLE_ERR_NOTFOUND, "%s: not a run: it holds no config.cfg", path);
    else if (!s && !S_ISREG(info.st_mode)) /* a pipe would be waited for */
        s = pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: is not a file", config);
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
    char *config = run_directory ? pd_format("%s/config.cfg", run_directory) : NULL;
    if (config && pd_rundir_edited(config))
        pd_log(ctx, PUDLE_LOG_WARNING, "%s: has been edited since the run wrote it, and is taken as it is now", config);
    free(config);
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
        if (!s)
            s = pd_manifest_check_model(ctx, run_directory, settings);
        if (!s)
            s = pd_critical_resolve(problem); /* --set may ask for a multiple, which is then of what was learned */
    }
    if (s)
        pd_problem_close(problem);
    return s;
}

int64_t cli_block(const pd_problem *pb, int64_t samples)
{
    const bool coupled = (pb->prox.desc->caps & PUDLE_PROX_BATCH_COUPLED) != 0;
    const int64_t most = coupled ? pd_batch_size(pb->settings, samples) : 4096;
    return samples < most ? samples : most;
}

void cli_note_untrained(pd_context *ctx, const pd_settings *settings, const char *run_directory, const char *path)
{
    if (!run_directory && settings->dictionary.init != PD_INIT_FILE)
        pd_log(ctx, PUDLE_LOG_INFO, "%s is a config, so its dictionary is the one that training begins with; give the folder of a run for what was learned",
               path);
}

static bool looks_at_targets(const pd_plugin *loss)
{
    return !loss || pd_looks_at_targets(loss->desc);
}

pudle_status cli_check_numbers(pd_context *ctx, const pd_settings *settings, const char *what, const char *part, const pudle_cview *samples)
{
    const int64_t count = pudle_count(samples), size = samples->shape[0] > 0 ? count / samples->shape[0] : 1;
    if (looks_at_targets(settings->section[PD_SECTION_LOSS].plugin) && looks_at_targets(settings->section[PD_SECTION_INNER_LOSS].plugin))
        return PUDLE_OK;
    for (int64_t i = 0; i < count; i++) {
        const double x = pudle_entry(samples, i);
        if (!isfinite(x) && !(isnan(x) && settings->loss.missing == PD_MISSING_SKIP))
            return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: %s %lld holds a number that is not finite%s (%g, its entry %lld): repair it%s", what, part, (long long)(i / size),
                           samples->dtype == PUDLE_F64 ? "" : " in single precision", x, (long long)(i % size),
                           isnan(x) ? ", or, where NaN stands for what is missing, let the loss go around it, with --set loss.missing=skip" : "");
    }
    return PUDLE_OK;
}

pudle_status cli_split(pd_context *ctx, const cli_args *args, int *split)
{
    *split = PUDLE_SPLIT_TRAIN;
    if (args->input && args->split)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--split chooses samples of the config's data, and --input brings others: give one of them");
    if (!args->split || !strcmp(args->split, "train"))
        return PUDLE_OK;
    *split = PUDLE_SPLIT_TEST;
    return !strcmp(args->split, "test") ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_CONFIG, "--split %s: there are 'train' and 'test'", args->split);
}
