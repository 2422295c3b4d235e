/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers as people read and write them: sizes, ages, durations. Pure. */
#ifndef CTL_FORMAT_H
#define CTL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FORMAT_MAX 32

/* One short text; returned by value so that calls nest. */
struct format {
    char text[FORMAT_MAX];
};

/* 4000 -> "4", 2500 -> "2.5". */
struct format format_cpu(uint32_t cpu_milli);

/* 512 -> "512 MiB", 1536 -> "1.5 GiB". */
struct format format_mib(uint64_t mib);
struct format format_gib(uint64_t gib);

/* The largest unit that fits, and the next while the first is small: "12s",
 * "2m30s", "5h", "3d". */
struct format format_duration(uint64_t duration_ms);

/* An estimate: "0.4 s", "7.2 s", "42 s", "2m30s". */
struct format format_seconds(uint64_t duration_ms);

/* The time since `then_ms`; "-" for 0. The leader's clock may run ahead of
 * ours: then "0s". */
struct format format_age(uint64_t then_ms, uint64_t now_ms);

/* "2026-11-23 11:45:00 UTC"; "-" for 0. */
struct format format_time(uint64_t time_ms);

/* "4", "0.5", "500m" (thousandths) CPUs. False: not of that form, or 0. */
bool format_read_cpu(const char *text, uint32_t *cpu_milli);

/* "512MiB", "8 GiB", "8G", "2T"; a bare number counts in `unit_mib`. The result
 * in MiB; false: not of that form. */
bool format_read_size(const char *text, uint64_t unit_mib, uint64_t *mib);

/* "1500ms", "10s", "2m", "1h"; a bare number counts seconds. Above 0, at most
 * 30 days; false: not of that form. */
bool format_read_duration(const char *text, uint64_t *duration_ms);

/* A moment ahead, ms since 1970: "90d" and the like from `now_ms` on, at most
 * 100 years; "2027-01-31T00:00:00Z" (RFC 3339, also with an offset or parts of
 * a second, which are cut to ms); 0 for "never". Whether it is over is not
 * looked at. False: not of that form. */
bool format_read_end(const char *text, uint64_t now_ms, uint64_t *end_ms);

#endif
