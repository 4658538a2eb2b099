/* core/train/manifest.h - manifest.json: what made a run, and the sign that the files beside it are a run's. */
#ifndef PD_MANIFEST_H
#define PD_MANIFEST_H

#include "train/rundir.h"

/** Does the folder hold a manifest that pudle wrote? @errors IO, NOMEM: one is there, and it cannot be read */
pudle_status pd_manifest_ours(pd_context *ctx, const char *folder, bool *ours);
/** Write the manifest of a new run. */
pudle_status pd_manifest_write(pd_rundir *dir, const pd_settings *settings);
/** On a resume: warn of every plugin that is not the file it was, of files that the config names and that have changed, and of other arithmetic
 *  (another processor). Where anything differs, the old manifest is kept as
 *  manifest.N.json and a new one written. */
pudle_status pd_manifest_renew(pd_rundir *dir, const pd_settings *settings);

/** Each file that the config of a run names, with its fingerprint when the run was begun; none where there is no manifest. @errors IO, NOMEM */
typedef void (*pd_manifest_visit)(void *user, const char *key, const char *path, const char *fingerprint);
pudle_status pd_manifest_files(pd_context *ctx, const char *folder, pd_manifest_visit visit, void *user);

/** For a command that reads a run: warn of files that belong to the model, as the matrix of measurements or the weights of a loss do, and have changed since.
 *  Those that the user has chosen anew, and those that training only began with, are left out. @errors NOMEM */
pudle_status pd_manifest_check_model(pd_context *ctx, const char *folder, const pd_settings *settings);

#endif
