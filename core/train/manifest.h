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

#endif
