/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/boot_record.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "base/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEADER "holdfast-agent last_boot 1\n"

static bool is_boot_name(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "0123456789abcdef-")] == '\0';
}

/* Absolute, and without what would break or forge a line. */
static bool is_path(const char *text)
{
    if (text[0] != '/') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

int boot_record_encode(const struct boot_record *record,
                       char text[BOOT_RECORD_BYTES_MAX])
{
    int len;
    int end;

    if (!is_boot_name(record->kernel_boot) || !is_boot_name(record->boot_id) ||
        !is_path(record->run_dir)) {
        return HF_ERROR_INVALID;
    }
    len = snprintf(text, BOOT_RECORD_BYTES_MAX,
                   HEADER "kernel_boot=%s\nboot_id=%s\nrun_dir_id=%" PRIu64
                          ":%" PRIu64 "\nrun_dir=%s\n",
                   record->kernel_boot, record->boot_id, record->run_device,
                   record->run_inode, record->run_dir);
    CHECK(len > 0 && len < BOOT_RECORD_BYTES_MAX);
    end = snprintf(text + len, BOOT_RECORD_BYTES_MAX - (size_t)len,
                   "crc32c=%08" PRIx32 "\n", crc32c(0, text, (size_t)len));
    CHECK(end > 0 && len + end < BOOT_RECORD_BYTES_MAX);
    return len + end;
}

/* Copies the value of the line "key=value" at *at, and moves *at behind it. */
static bool take(const char **at, const char *key, char *value, size_t size)
{
    size_t key_len = strlen(key);
    const char *end = strchr(*at, '\n');
    size_t len;

    if (end == NULL || strncmp(*at, key, key_len) != 0) {
        return false;
    }
    *at += key_len;
    len = (size_t)(end - *at);
    if (end < *at || len >= size) {
        return false;
    }
    memcpy(value, *at, len);
    value[len] = '\0';
    *at = end + 1;
    return true;
}

static bool take_number(const char **at, char end, uint64_t *value)
{
    *value = 0;
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        uint64_t digit = (uint64_t)(**at - '0');

        if (*value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        *value = *value * 10 + digit;
    }
    return *(*at)++ == end;
}

int boot_record_decode(struct boot_record *record, const char *text, size_t len)
{
    char again[BOOT_RECORD_BYTES_MAX];
    char number[48];
    const char *part = number;
    const char *at = text + strlen(HEADER);

    memset(record, 0, sizeof(*record));
    if (strncmp(text, HEADER, strlen(HEADER)) != 0 ||
        !take(&at, "kernel_boot=", record->kernel_boot,
              sizeof(record->kernel_boot)) ||
        !take(&at, "boot_id=", record->boot_id, sizeof(record->boot_id)) ||
        !take(&at, "run_dir_id=", number, sizeof(number)) ||
        !take_number(&part, ':', &record->run_device) ||
        !take_number(&part, '\0', &record->run_inode) ||
        !take(&at, "run_dir=", record->run_dir, sizeof(record->run_dir))) {
        return HF_ERROR_INVALID;
    }
    /* The checksum, and whatever else stands there, makes the texts differ. */
    if (boot_record_encode(record, again) != (int)len ||
        memcmp(text, again, len) != 0) {
        return HF_ERROR_INVALID;
    }
    return 0;
}

enum boot_verdict boot_judge(const struct boot_facts *facts)
{
    if (!facts->readable) {
        return BOOT_UNREADABLE;
    }
    if (!facts->recorded) {
        return BOOT_FIRST;
    }
    if (!facts->same_kernel_boot) {
        return BOOT_NEW; /* Neither processes nor locks outlive a kernel. */
    }
    if (facts->same_run_dir) {
        return BOOT_CARRY_ON;
    }
    switch (facts->traces) {
    case BOOT_NOTHING_LIVES:
        return BOOT_MOVE;
    case BOOT_SOMETHING_LIVES:
        return BOOT_VMS_MAY_LIVE;
    case BOOT_UNPROVEN:
        break;
    }
    return BOOT_UNKNOWN;
}
