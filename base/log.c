/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_MAX 2048

static enum log_level threshold = LOG_INFO;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_set_level(enum log_level level)
{
    threshold = level;
}

int log_parse_level(const char *name, enum log_level *level)
{
    for (int i = 0; i < 4; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return 0;
        }
    }
    return HF_ERROR_INVALID;
}

static size_t print_head(char *line, enum log_level level, const char *event)
{
    struct timespec now;
    struct tm utc;
    char stamp[32];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    return (size_t)snprintf(line, LINE_BYTES_MAX / 2, "%s.%03ldZ %s %s ", stamp,
                            now.tv_nsec / 1000000, level_names[level], event);
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
    char line[LINE_BYTES_MAX];
    size_t len;
    va_list args;
    int written;

    if (level > threshold) {
        return;
    }
    len = print_head(line, level, event);
    va_start(args, format);
    written = vsnprintf(line + len, sizeof(line) - len - 1, format, args);
    va_end(args);
    if (written > 0) {
        size_t room = sizeof(line) - len - 2;

        len += (size_t)written < room ? (size_t)written : room;
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) {
            line[i] = '?';
        }
    }
    line[len++] = '\n';
    /* One write a line, so that lines of several processes do not mix. A full
     * pipe must not stop a control plane: what cannot be written is lost. */
    if (write(STDERR_FILENO, line, len) < 0) {
        return;
    }
}
