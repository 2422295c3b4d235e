/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4): the checksum of log records and
 * snapshot pieces. Uses the processor's instruction where it has one. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of `data` that follows bytes whose checksum is `crc`; start
 * with 0. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

#endif
