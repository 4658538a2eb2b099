/* core/tensor/digest.c - SHA-256 of memory and of files, as 64 lower-case hexadecimal digits. */
#include "files.h"

#include <stdio.h>

void pd_sha256_finish(struct sha256_ctx *sha, char hex[65])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(sha, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[64] = '\0';
}

void pd_sha256(const void *data, size_t bytes, char hex[65])
{
    struct sha256_ctx sha;
    sha256_init(&sha);
    sha256_update(&sha, bytes, data);
    pd_sha256_finish(&sha, hex);
}

pudle_status pd_sha256_file(pd_context *ctx, const char *path, char hex[65])
{
    pd_bytes bytes;
    const pudle_status status = pd_bytes_map(ctx, path, &bytes);
    if (status)
        return status;
    pd_sha256(bytes.data, bytes.size, hex);
    pd_bytes_release(&bytes);
    return PUDLE_OK;
}
