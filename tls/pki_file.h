/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and certificates into files: each appears whole or not at all, and a key
 * is never readable by others, not even for a moment. */
#ifndef TLS_PKI_FILE_H
#define TLS_PKI_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct pki_text {
    char *data;
    size_t len;
    bool secret; /* Mode 0600, else 0644. */
};

/* Writes `<dir>/<name><suffix>`, making the directory (mode 0700) if need be.
 * 0 or HF_ERROR_IO; `error` says which file and why. */
int pki_save(const char *dir, const char *name, const char *suffix,
             const struct pki_text *text, char *error, size_t size);

#endif
