/* core/train/fingerprint.h - is a file that a config names still the one it was? */
#ifndef PD_FINGERPRINT_H
#define PD_FINGERPRINT_H

#include "context.h"

/** A digest of a file, or of a folder's files, names included: of all bytes up to 64 MiB, of size and 64 pieces of 1 MiB beyond; of a
 *  folder's files, sizes and beginnings. "a.npz:name" stands for a.npz. False: there is no such file, or it cannot be read. */
bool pd_fingerprint(const char *path, char hex[65]);

#endif
