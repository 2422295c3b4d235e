/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the agent may start with this run directory, and as which boot of
 * the host: compares agent/boot_record.h with what is there. */
#ifndef AGENT_BOOT_CHECK_H
#define AGENT_BOOT_CHECK_H

#include "agent/boot_record.h"

#define BOOT_FOUND_BYTES  512
#define BOOT_REASON_BYTES (3 * PATH_MAX)

struct boot_check {
    int state_dir_fd;
    const char *state_dir; /* For the texts. */
    const struct run_dir *run;
    enum boot_verdict verdict;
    char boot_id[MACHINE_BOOT_BYTES];
    /* When it must not start: what, where, why, and what to do. */
    char reason[BOOT_REASON_BYTES];
};

/* Fills in the last three. On success the record is on the disk and true. The
 * caller holds the lock of state_dir. BUSY: it must not start, `reason` says
 * why; IO. */
int boot_check(struct boot_check *check);

/* Looks for life in the recorded run directory, and says in `found` what was
 * found, or what is missing for a proof. */
enum boot_traces boot_look(const struct boot_record *record,
                           char found[BOOT_FOUND_BYTES]);

#endif
