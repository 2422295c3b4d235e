/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/tar.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BLOCK_BYTES 512

/* Readers take the archive in records of so many blocks. */
#define RECORD_BYTES (20 * BLOCK_BYTES)

/* Numbers are octal digits, ended by a NUL. */
struct header {
    char name[TAR_NAME_MAX];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char time[12];
    char checksum[8];
    char type;
    char link[100];
    char magic[6];
    char version[2];
    char owner[32];
    char group[32];
    char device_major[8];
    char device_minor[8];
    char prefix[155];
    char padding[12];
};
_Static_assert(sizeof(struct header) == BLOCK_BYTES, "ustar");

static void pad(struct bytes *tar, size_t to)
{
    size_t more = (to - tar->len % to) % to;

    memset(bytes_reserve(tar, more), 0, more);
    tar->len += more;
}

/* The sum of the header's bytes, its own field counted as blanks. */
static void sign(struct header *header)
{
    uint8_t bytes[sizeof(*header)];
    unsigned sum = 0;

    memset(header->checksum, ' ', sizeof(header->checksum));
    memcpy(bytes, header, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        sum += bytes[i];
    }
    (void)snprintf(header->checksum, sizeof(header->checksum) - 1, "%06o", sum);
}

bool tar_add(struct bytes *tar, const char *name, const void *data, size_t len,
             uint64_t time_s)
{
    struct header header = {.type = '0', .magic = "ustar", .version = "00"};
    size_t name_len = strlen(name);

    if (name_len == 0 || name_len > sizeof(header.name) || len > TAR_FILE_MAX ||
        time_s > TAR_FILE_MAX) {
        return false;
    }
    memcpy(header.name, name, name_len);
    memcpy(header.mode, "0000600", sizeof("0000600"));
    memcpy(header.uid, "0000000", sizeof("0000000"));
    memcpy(header.gid, "0000000", sizeof("0000000"));
    (void)snprintf(header.size, sizeof(header.size), "%011" PRIo64,
                   (uint64_t)len);
    (void)snprintf(header.time, sizeof(header.time), "%011" PRIo64, time_s);
    sign(&header);
    bytes_append(tar, &header, sizeof(header));
    bytes_append(tar, data, len);
    pad(tar, BLOCK_BYTES);
    return true;
}

void tar_end(struct bytes *tar)
{
    memset(bytes_reserve(tar, 2 * BLOCK_BYTES), 0, 2 * BLOCK_BYTES);
    tar->len += 2 * BLOCK_BYTES;
    pad(tar, RECORD_BYTES);
}
