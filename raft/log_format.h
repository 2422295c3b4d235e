/* SPDX-License-Identifier: Apache-2.0
 *
 * Between log_store.c and log_load.c: the bytes on disk. */
#ifndef RAFT_LOG_FORMAT_H
#define RAFT_LOG_FORMAT_H

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "raft/log_store.h"

#define LOG_DIRECTORY            "log"
#define LOG_PATH_BYTES           40
#define LOG_SEGMENT_MAGIC        0x31474553464848u /* "HHFSEG1" */
#define LOG_SEGMENT_HEADER_BYTES 32
#define LOG_MAGIC                0x43524648u /* "HFRC" */
#define LOG_HEADER_BYTES         48

static inline size_t log_padded(uint32_t len)
{
    return ((size_t)len + 7) & ~(size_t)7;
}

/* Over everything of the record but chain and checksum. */
static inline uint64_t log_chain(uint64_t before, const uint8_t *record,
                                 uint32_t len)
{
    uint64_t hash = hash_bytes(record, 32, before);

    hash = hash_bytes(record + 40, 4, hash);
    return hash_bytes(record + LOG_HEADER_BYTES, len, hash);
}

static inline uint32_t log_checksum(const uint8_t *record, uint32_t len)
{
    return crc32c(crc32c(0, record, 44), record + LOG_HEADER_BYTES,
                  log_padded(len));
}

void log_segment_path(char *path, uint64_t number);
int log_segment_create(struct files *files, uint64_t number, uint64_t size,
                       uint64_t chain);
struct log_segment *log_store_add_segment(struct log_store *store,
                                          uint64_t number);

#endif
