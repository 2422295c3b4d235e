/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/accel.h"

#include <string.h>

const char *accel_name(enum accel accel)
{
    return accel == ACCEL_KVM ? "kvm" : "tcg";
}

static bool line_has_word(const char *line, size_t len, const char *word)
{
    size_t word_len = strlen(word);

    for (size_t i = 0; i + word_len <= len; i++) {
        if (memcmp(line + i, word, word_len) == 0 &&
            (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t') &&
            (i + word_len == len || line[i + word_len] == ' ')) {
            return true;
        }
    }
    return false;
}

bool accel_cpuinfo_has_virtualisation(const char *text, size_t len)
{
    static const char key[] = "flags";
    size_t at = 0;

    while (at < len) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line_len = end == NULL ? len - at : (size_t)(end - text) - at;

        if (line_len > strlen(key) &&
            memcmp(text + at, key, strlen(key)) == 0 &&
            (line_has_word(text + at, line_len, "vmx") ||
             line_has_word(text + at, line_len, "svm"))) {
            return true;
        }
        at += line_len + 1;
    }
    return false;
}
