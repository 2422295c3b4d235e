/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent's eye on the guard: starts holdfast-guard, takes over one that
 * runs already, kills and replaces one that does not move. No VM is started
 * while no guard is live. */
#ifndef AGENT_GUARD_WATCH_H
#define AGENT_GUARD_WATCH_H

#include "agent/run_dir.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct guard_watch;
typedef void (*guard_watch_close_cb)(struct guard_watch *watch);

struct guard_options {
    const char *guard_path; /* All lent. */
    const char *cgroup;     /* NULL: none. */
    const char *watchdog;   /* A device; NULL: none. */
};

struct guard_watch {
    const struct run_dir *run;
    struct guard_options options;
    uv_timer_t timer;
    uv_process_t process;
    bool process_open; /* A guard that we started and that was not reaped. */
    bool closing;
    uint32_t handles; /* Open handles, to know when the close is done. */
    uint64_t started_ms;
    uint64_t looked_ms;    /* At the guard, last. */
    uint32_t silent_looks; /* In a row, in which it was silent. */
    uint32_t start_count;
    guard_watch_close_cb close_cb;
};

/* Begins to watch; a guard is live some milliseconds later. */
int guard_watch_init(struct guard_watch *watch, uv_loop_t *loop,
                     const struct run_dir *run,
                     const struct guard_options *options);

/* Whether a guard moved within the last GUARD_SILENT_MS. */
bool guard_watch_live(const struct guard_watch *watch);

/* Notes a look at the guard; true when it has been silent for so many in a row
 * that it is stuck. A machine that stood still held the guard up as well: looks
 * that come late count for nothing, for to replace a guard is to be without one
 * for a moment. */
bool guard_watch_doubts(struct guard_watch *watch, bool live, uint64_t now_ms);

/* Stops watching; the guard goes on. */
void guard_watch_close(struct guard_watch *watch, guard_watch_close_cb cb);

#endif
