/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/format.h"

#include "base/container.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define SECOND_MS UINT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)

struct format format_cpu(uint32_t cpu_milli)
{
    struct format out;
    unsigned milli = cpu_milli % 1000;

    if (milli == 0) {
        (void)snprintf(out.text, FORMAT_MAX, "%" PRIu32, cpu_milli / 1000);
    } else if (milli % 100 == 0) {
        (void)snprintf(out.text, FORMAT_MAX, "%" PRIu32 ".%u", cpu_milli / 1000,
                       milli / 100);
    } else {
        (void)snprintf(out.text, FORMAT_MAX, "%" PRIu32 ".%03u",
                       cpu_milli / 1000, milli);
    }
    return out;
}

struct format format_mib(uint64_t mib)
{
    static const char *const units[] = {"MiB", "GiB", "TiB", "PiB"};
    struct format out;
    uint64_t scale = 1;
    size_t unit = 0;
    uint64_t tenths;

    while (unit + 1 < ARRAY_LEN(units) && mib / scale >= 1024) {
        scale *= 1024;
        unit++;
    }
    tenths = mib % scale * 10 / scale;
    if (tenths == 0) {
        (void)snprintf(out.text, FORMAT_MAX, "%" PRIu64 " %s", mib / scale,
                       units[unit]);
    } else {
        (void)snprintf(out.text, FORMAT_MAX, "%" PRIu64 ".%" PRIu64 " %s",
                       mib / scale, tenths, units[unit]);
    }
    return out;
}

struct format format_gib(uint64_t gib)
{
    if (gib == 0) {
        return (struct format){.text = "0"};
    }
    return format_mib(gib * 1024);
}

struct format format_duration(uint64_t duration_ms)
{
    static const struct {
        uint64_t ms;
        char name;
    } units[] = {
        {DAY_MS, 'd'}, {HOUR_MS, 'h'}, {MINUTE_MS, 'm'}, {SECOND_MS, 's'}};
    struct format out;

    if (duration_ms < SECOND_MS) {
        (void)snprintf(out.text, FORMAT_MAX, "%s", "0s");
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        uint64_t whole = duration_ms / units[i].ms;
        uint64_t rest = duration_ms % units[i].ms;

        if (whole == 0) {
            continue;
        }
        if (whole < 10 && i + 1 < ARRAY_LEN(units) &&
            rest / units[i + 1].ms > 0) {
            (void)snprintf(out.text, FORMAT_MAX, "%" PRIu64 "%c%" PRIu64 "%c",
                           whole, units[i].name, rest / units[i + 1].ms,
                           units[i + 1].name);
        } else {
            (void)snprintf(out.text, FORMAT_MAX, "%" PRIu64 "%c", whole,
                           units[i].name);
        }
        break;
    }
    return out;
}

struct format format_seconds(uint64_t duration_ms)
{
    struct format out;
    uint64_t tenths = (duration_ms + 50) / 100;

    if (duration_ms >= 100 * SECOND_MS) {
        return format_duration(duration_ms);
    }
    if (tenths >= 100) {
        (void)snprintf(out.text, FORMAT_MAX, "%" PRIu64 " s",
                       (duration_ms + 500) / 1000);
    } else {
        (void)snprintf(out.text, FORMAT_MAX, "%" PRIu64 ".%" PRIu64 " s",
                       tenths / 10, tenths % 10);
    }
    return out;
}

struct format format_age(uint64_t then_ms, uint64_t now_ms)
{
    if (then_ms == 0) {
        return (struct format){.text = "-"};
    }
    return format_duration(now_ms > then_ms ? now_ms - then_ms : 0);
}

struct format format_time(uint64_t time_ms)
{
    struct format out = {.text = "-"};
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;

    if (time_ms != 0 && gmtime_r(&seconds, &parts) != NULL &&
        strftime(out.text, FORMAT_MAX, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0) {
        return (struct format){.text = "?"};
    }
    return out;
}

/* "2.5" with the rest behind it; the value in thousandths. */
static bool read_milli(const char *text, uint64_t *milli, const char **rest)
{
    uint64_t scale = 100;
    char *end;

    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    *milli = strtoull(text, &end, 10);
    if (errno != 0 || *milli > UINT64_MAX / 1000 / 1000) {
        return false;
    }
    *milli *= 1000;
    if (*end == '.') {
        end++;
        if (*end < '0' || *end > '9') {
            return false;
        }
        for (; *end >= '0' && *end <= '9'; end++) {
            if (scale == 0 && *end != '0') {
                return false;
            }
            *milli += scale * (uint64_t)(*end - '0');
            scale /= 10;
        }
    }
    while (*end == ' ') {
        end++;
    }
    *rest = end;
    return true;
}

bool format_read_cpu(const char *text, uint32_t *cpu_milli)
{
    const char *rest;
    uint64_t milli;

    if (!read_milli(text, &milli, &rest)) {
        return false;
    }
    if (strcmp(rest, "m") == 0) {
        if (milli % 1000 != 0) {
            return false;
        }
        milli /= 1000;
    } else if (rest[0] != '\0') {
        return false;
    }
    *cpu_milli = (uint32_t)milli;
    return milli > 0 && milli <= UINT32_MAX;
}

bool format_read_size(const char *text, uint64_t unit_mib, uint64_t *mib)
{
    static const struct {
        const char *name;
        uint64_t mib;
    } units[] = {{"m", 1},      {"mib", 1},         {"g", 1024},
                 {"gib", 1024}, {"t", 1024 * 1024}, {"tib", 1024 * 1024}};
    const char *rest;
    uint64_t milli;
    uint64_t unit = unit_mib;

    if (!read_milli(text, &milli, &rest)) {
        return false;
    }
    if (rest[0] != '\0') {
        unit = 0;
        for (size_t i = 0; i < ARRAY_LEN(units); i++) {
            if (strcasecmp(rest, units[i].name) == 0) {
                unit = units[i].mib;
            }
        }
    }
    if (unit == 0 || milli > UINT64_MAX / unit || milli * unit % 1000 != 0) {
        return false;
    }
    *mib = milli * unit / 1000;
    return true;
}

/* Above 0, at most `max_ms`. */
static bool read_duration(const char *text, uint64_t max_ms,
                          uint64_t *duration_ms)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"", SECOND_MS},  {"ms", 1},      {"s", SECOND_MS},
                 {"m", MINUTE_MS}, {"h", HOUR_MS}, {"d", DAY_MS}};
    const char *rest;
    uint64_t milli;

    if (!read_milli(text, &milli, &rest) || milli > UINT32_MAX) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strcmp(rest, units[i].name) == 0) {
            *duration_ms = milli * units[i].ms / 1000;
            return *duration_ms > 0 && *duration_ms <= max_ms;
        }
    }
    return false;
}

bool format_read_duration(const char *text, uint64_t *duration_ms)
{
    return read_duration(text, 30 * DAY_MS, duration_ms);
}

/* So many digits and then one of the characters of `end`, with both passed
 * over; `end` NULL: whatever follows. */
static bool read_digits(const char **text, int count, const char *end,
                        int *number)
{
    *number = 0;
    for (int i = 0; i < count; i++) {
        if (**text < '0' || **text > '9') {
            return false;
        }
        *number = 10 * *number + (*(*text)++ - '0');
    }
    return end == NULL || (**text != '\0' && strchr(end, *(*text)++) != NULL);
}

/* "Z" or "+01:00", the end of the text; in seconds. */
static bool read_offset(const char *text, int *offset_s)
{
    int sign = text[0] == '-' ? -1 : 1;
    int hours = 0;
    int minutes = 0;

    if (strcasecmp(text, "z") != 0) {
        if (text[0] != '+' && text[0] != '-') {
            return false;
        }
        text++;
        if (!read_digits(&text, 2, ":", &hours) ||
            !read_digits(&text, 2, NULL, &minutes) || text[0] != '\0' ||
            hours > 23 || minutes > 59) {
            return false;
        }
    }
    *offset_s = sign * (60 * hours + minutes) * 60;
    return true;
}

/* Thousandths behind the point; there may be more digits. */
static bool read_fraction(const char **text, int *milli)
{
    int scale = 100;

    *milli = 0;
    if (**text != '.') {
        return true;
    }
    (*text)++;
    if (**text < '0' || **text > '9') {
        return false;
    }
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        *milli += scale * (**text - '0');
        scale /= 10;
    }
    return true;
}

/* RFC 3339, section 5.6; the years are those after 1970. */
static bool read_time(const char *text, uint64_t *time_ms)
{
    struct tm parts = {.tm_isdst = 0};
    struct tm again;
    time_t seconds;
    int offset_s;
    int milli;

    if (!read_digits(&text, 4, "-", &parts.tm_year) ||
        !read_digits(&text, 2, "-", &parts.tm_mon) ||
        !read_digits(&text, 2, "Tt ", &parts.tm_mday) ||
        !read_digits(&text, 2, ":", &parts.tm_hour) ||
        !read_digits(&text, 2, ":", &parts.tm_min) ||
        !read_digits(&text, 2, NULL, &parts.tm_sec) ||
        !read_fraction(&text, &milli) || !read_offset(text, &offset_s) ||
        parts.tm_year <= 1970) {
        return false;
    }
    parts.tm_year -= 1900;
    parts.tm_mon -= 1;
    again = parts;
    seconds = timegm(&again);
    /* There is no 30th of February. */
    if (again.tm_mon != parts.tm_mon || again.tm_mday != parts.tm_mday ||
        again.tm_hour != parts.tm_hour || again.tm_min != parts.tm_min) {
        return false;
    }
    *time_ms = (uint64_t)(seconds - offset_s) * 1000 + (uint64_t)milli;
    return true;
}

bool format_read_end(const char *text, uint64_t now_ms, uint64_t *end_ms)
{
    uint64_t duration_ms;

    if (strcmp(text, "never") == 0) {
        *end_ms = 0;
        return true;
    }
    if (read_duration(text, 36525 * DAY_MS, &duration_ms)) {
        *end_ms = now_ms + duration_ms;
        return true;
    }
    return read_time(text, end_ms);
}
