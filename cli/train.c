#include "cli.h"
#include "train/train.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* runs/NAME for configs/NAME.cfg */
static char *default_directory(const char *config)
{
    const char *slash = strrchr(config, '/'), *base = slash ? slash + 1 : config, *dot = strrchr(base, '.');
    return pd_format("runs/%.*s", dot ? (int)(dot - base) : (int)strlen(base), base);
}

static void print_report(const pd_train_report *r, const char *directory)
{
    if (r->nothing_to_do)
        printf("%s: all %" PRId64 " updates were done before; raise train.epochs or train.updates to go on\n", directory, r->updates);
    else
        printf("%" PRId64 " updates in %.1f s: mean loss of the first epoch %.6g, of the last %.6g\n", r->updates, r->seconds, r->first_loss,
               r->last_loss);
    if (!isnan(r->test_loss))
        printf("mean loss of the test samples: %.6g\n", r->test_loss);
    if (!isnan(r->last_error))
        printf("dictionary error, relative to the truth: %.4f -> %.4f (%.4f after the best order%s)\n", r->first_error, r->last_error,
               r->assigned_error, r->filters ? ", signs and lags" : " and signs");
    if (r->dead >= 0)
        printf("atoms that were dead at the last look: %" PRId64 " of %" PRId64 "\n", r->dead, r->atoms);
    for (int i = 0; i < r->levels; i++) {
        char text[256];
        pd_learned_text(&r->level[i], text, sizeof text);
        printf("%s\n", text);
    }
    if (!r->nothing_to_do) {
        printf("memory: the network %.1f MiB, the process at most %.1f MiB", r->network_bytes / 1048576, r->peak_bytes / 1048576);
        if (r->device_bytes > 0)
            printf(", the device at most %.1f MiB", r->device_bytes / 1048576);
        printf("\n");
    }
    printf("run: %s\npicture of the atoms: %s/dictionary.png\ncurves: %s/metrics.csv\n", directory, directory, directory);
}

static pudle_status check_arguments(pd_context *ctx, const cli_args *args)
{
    struct stat info;
    const char *path = args->positional[0];
    if (args->resume && args->force)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--resume continues a run and --force begins it anew: give one of them");
    if (stat(path, &info) || !S_ISDIR(info.st_mode))
        return PUDLE_OK;
    char *config = pd_format("%s/config.cfg", path);
    pudle_status s = config ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s && stat(config, &info))
        s = pd_fail(ctx, PUDLE_ERR_NOTFOUND, "%s: holds no config.cfg: it is no run, or one that was stopped before it could begin; give the "
                    "config again, with `pudle train CONFIG --out %s --resume`", path, path);
    free(config);
    return s;
}

int cli_train(pd_context *ctx, const cli_args *args)
{
    pd_settings *settings = NULL;
    char *directory = NULL;
    pudle_status s = check_arguments(ctx, args);
    if (!s)
        s = cli_settings(ctx, args, &settings, &directory);
    if (s)
        return cli_setup_failed(ctx, s);
    if (directory && !args->out && !args->resume && !args->force) {
        s = pd_fail(ctx, PUDLE_ERR_CONFIG, "%s is a run: --resume continues it, --force begins it anew, --out takes its config to another folder", directory);
    } else if (args->out || !directory) {
        free(directory);
        directory = args->out ? pd_strdup(args->out) : default_directory(args->positional[0]);
        s = directory ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    }
    pd_train_report report;
    cli_stop_on_signals();
    const pd_train_options options = { directory, args->resume, args->force, args->quiet, &cli_stop };
    int code;
    if (!s)
        s = pd_train(ctx, settings, &options, &report);
    if (s) {
        code = cli_run_failed(ctx, s);
    } else if (report.interrupted) {
        fprintf(stderr, "interrupted after %" PRId64 " updates; go on with: pudle train %s --resume\n", report.updates, directory);
        code = CLI_FAILED;
    } else {
        print_report(&report, directory);
        code = CLI_DONE;
    }
    free(directory);
    pd_settings_destroy(settings);
    return code;
}
