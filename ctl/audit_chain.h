/* SPDX-License-Identifier: Apache-2.0
 *
 * The chain of exported audit records, line by line: what AuditRecord in
 * audit_service.proto promises of a line, and that each begins where the last
 * one ended. Pure. */
#ifndef CTL_AUDIT_CHAIN_H
#define CTL_AUDIT_CHAIN_H

#include "tls/digest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit_chain {
    uint64_t count; /* Lines that are right so far. */
    uint64_t first_number;
    uint64_t last_number;
    char first_previous[DIGEST_TEXT_BYTES];
    char last_digest[DIGEST_TEXT_BYTES];
    char problem[200];
};

/* `previous`: digest that the first line must follow; NULL: any, but 64 zeros
 * for record 1. */
void audit_chain_init(struct audit_chain *chain, const char *previous);

/* The next line without its end, of any bytes. False: `problem` says what is
 * wrong with it. */
bool audit_chain_add(struct audit_chain *chain, const char *line, size_t len);

/* 64 small hexadecimal digits. */
bool audit_is_digest(const char *text, size_t len);

#endif
