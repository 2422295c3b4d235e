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

bool format_read_duration(const char *text, uint64_t *duration_ms)
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
            return *duration_ms > 0 && *duration_ms <= 30 * DAY_MS;
        }
    }
    return false;
}
