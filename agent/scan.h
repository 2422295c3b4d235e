/* SPDX-License-Identifier: Apache-2.0
 *
 * What an agent that starts finds on its host: VMs that run on under their
 * shims and are adopted with their epochs, VMs that ended meanwhile and are
 * reported, and what it does not know, which it leaves alive and in place
 * (rule 8). */
#ifndef AGENT_SCAN_H
#define AGENT_SCAN_H

#include "agent/run_dir.h"
#include "agent/vm_spec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCAN_ENTRIES_MAX 4096 /* VMs of one renewal. */

enum scan_state {
    SCAN_LIVE = 1, /* Its lock is busy: vm_adopt() it. */
    SCAN_ENDED,    /* Gone; report it, then vm_forget() it. */
    SCAN_UNKNOWN   /* Its lock is busy but its spec cannot be read. Report the
                      uid; leave it alone. Its shim and the guard still end it
                      with the lease. */
};

struct scan_entry {
    enum scan_state state;
    uint64_t uid;
    struct vm_spec spec;                /* LIVE and ENDED. */
    bool failed;                        /* ENDED: by itself. */
    char reason[VM_EXIT_BYTES_MAX + 1]; /* ENDED: from the exit file. */
};

struct scan {
    struct scan_entry *entries; /* By uid. */
    size_t count;
    size_t quarantined_count; /* Moved to RUN/quarantine by this scan. */
};

/* Looks at every directory of vms/. TOO_LARGE: more than SCAN_ENTRIES_MAX;
 * IO. On success the caller closes the scan. */
int scan_run(struct scan *scan, const struct run_dir *run);
void scan_close(struct scan *scan);

/* What the exit file says: the reason without its newline, and whether that is
 * a failure. A missing file is a failure: the shim was killed. */
void scan_read_exit(int dir_fd, char reason[VM_EXIT_BYTES_MAX + 1],
                    bool *failed);

#endif
