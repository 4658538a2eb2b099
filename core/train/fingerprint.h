/* core/train/fingerprint.h - is a file that a config names still the one it was? */
#ifndef PD_FINGERPRINT_H
#define PD_FINGERPRINT_H

#include "config/settings.h"

/** A digest of a file, or of a folder's files, names included: of all bytes up to 64 MiB, of size and 64 pieces of 1 MiB beyond; of a
 *  folder's files, sizes and beginnings. "a.npz:name" stands for a.npz. False: there is no such file, or it cannot be read. */
bool pd_fingerprint(const char *path, char hex[65]);

/** Visit the options of a config that name a file or a folder, as "data.path". @errors NOMEM */
typedef void (*pd_file_visit)(void *user, const char *key, const char *path);
pudle_status pd_named_files(pd_context *ctx, const pd_settings *settings, pd_file_visit visit, void *user);

#endif
