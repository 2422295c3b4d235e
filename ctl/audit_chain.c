/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/audit_chain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DIGITS (DIGEST_TEXT_BYTES - 1)

/* How a line begins, and what stands around its two digests at its end. */
static const char begin[] = "{\"number\":\"";
static const char before_previous[] = ",\"previous\":\"";
static const char before_digest[] = "\",\"digest\":\"";
static const char end[] = "\"}";

void audit_chain_init(struct audit_chain *chain, const char *previous)
{
    *chain = (struct audit_chain){.count = 0};
    if (previous != NULL) {
        (void)snprintf(chain->last_digest, sizeof(chain->last_digest), "%s",
                       previous);
    }
}

bool audit_is_digest(const char *text, size_t len)
{
    bool good = len == DIGITS;

    for (size_t i = 0; good && i < len; i++) {
        good = (text[i] >= '0' && text[i] <= '9') ||
               (text[i] >= 'a' && text[i] <= 'f');
    }
    return good;
}

static bool __attribute__((format(printf, 2, 3)))
wrong(struct audit_chain *chain, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(chain->problem, sizeof(chain->problem), format, arguments);
    va_end(arguments);
    return false;
}

/* Whether `part` stands at the end of the `len` bytes; they are then less. */
static bool take_end(const char *line, size_t *len, const char *part)
{
    size_t part_len = strlen(part);

    if (*len < part_len ||
        memcmp(line + *len - part_len, part, part_len) != 0) {
        return false;
    }
    *len -= part_len;
    return true;
}

static bool take_digest(const char *line, size_t *len,
                        char digest[DIGEST_TEXT_BYTES])
{
    if (*len < DIGITS || !audit_is_digest(line + *len - DIGITS, DIGITS)) {
        return false;
    }
    *len -= DIGITS;
    memcpy(digest, line + *len, DIGITS);
    digest[DIGITS] = '\0';
    return true;
}

/* Decimal, as it is written: no sign, no zero before it. */
static bool read_number(const char *line, size_t len, uint64_t *number)
{
    size_t at = strlen(begin);

    *number = 0;
    if (len < at || memcmp(line, begin, at) != 0) {
        return false;
    }
    while (at < len && line[at] >= '0' && line[at] <= '9' &&
           *number < UINT64_MAX / 100) {
        *number = *number * 10 + (uint64_t)(line[at] - '0');
        at++;
    }
    return at < len && line[at] == '"' && *number > 0 &&
           line[strlen(begin)] != '0';
}

/* It is the one that comes now. */
static bool check_place(struct audit_chain *chain, uint64_t number,
                        const char *previous)
{
    static const char zeros[] = "00000000000000000000000000000000"
                                "00000000000000000000000000000000";
    const char *wanted = chain->last_digest;

    if (chain->count > 0 && number != chain->last_number + 1) {
        return wrong(chain,
                     "record %" PRIu64 " stands behind %" PRIu64
                     ": records are missing or not in order",
                     number, chain->last_number);
    }
    if (wanted[0] == '\0' && number == 1) {
        wanted = zeros;
    }
    if (wanted[0] != '\0' && strcmp(previous, wanted) != 0) {
        return wrong(chain,
                     "record %" PRIu64 " does not follow what is before it: a "
                     "record was changed, removed or put elsewhere",
                     number);
    }
    return true;
}

bool audit_chain_add(struct audit_chain *chain, const char *line, size_t len)
{
    char previous[DIGEST_TEXT_BYTES];
    char digest[DIGEST_TEXT_BYTES];
    char computed[DIGEST_TEXT_BYTES];
    uint8_t sum[DIGEST_BYTES];
    uint64_t number;
    size_t content;

    if (!read_number(line, len, &number) || !take_end(line, &len, end) ||
        !take_digest(line, &len, digest) ||
        !take_end(line, &len, before_digest)) {
        return wrong(chain, "it is no line of an audit export");
    }
    content = len + 1; /* With the quote behind `previous`. */
    if (!take_digest(line, &len, previous) ||
        !take_end(line, &len, before_previous)) {
        return wrong(chain, "it is no line of an audit export");
    }
    digest_sha256(line, content, sum);
    digest_text(sum, computed);
    if (strcmp(computed, digest) != 0) {
        return wrong(chain, "record %" PRIu64 " was changed: its digest is %s",
                     number, computed);
    }
    if (!check_place(chain, number, previous)) {
        return false;
    }
    if (chain->count == 0) {
        chain->first_number = number;
        memcpy(chain->first_previous, previous, sizeof(previous));
    }
    chain->count++;
    chain->last_number = number;
    memcpy(chain->last_digest, digest, sizeof(digest));
    return true;
}
