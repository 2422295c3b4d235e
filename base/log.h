/* SPDX-License-Identifier: Apache-2.0
 *
 * One line per change of state on stderr: "time level event key=value ...".
 * error wakes someone, warn is looked at in the morning, info is the
 * operator's story, debug is for us. The pure floors never log. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_OFF = -1, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Lines above `level` are dropped, all with LOG_OFF; LOG_INFO at the start. */
void log_set_level(enum log_level level);

/* "error", "warn", "info" or "debug"; anything else is HF_ERROR_INVALID. */
int log_parse_level(const char *name, enum log_level *level);

/* `event` is a dotted name, "lease.expired"; `format` gives "key=value" pairs
 * parted by blanks, quoted by the caller where they can hold blanks. Control
 * characters are replaced, so input cannot forge a line. */
void log_line(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

#endif
