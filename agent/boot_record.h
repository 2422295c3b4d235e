/* SPDX-License-Identifier: Apache-2.0
 *
 * What the agent remembers of its last start, in state_dir: under which boot of
 * the kernel, with which run directory, and as which boot of the host. Locks in
 * the run directory are what proves that no VM runs (agent/run_dir.h); without
 * this record another run_dir, or one that was emptied, would look like a
 * machine that booted, and the region would start its VMs elsewhere while they
 * still run here (rule 1).
 *
 * The record is on the disk before the agent says anything to a node, so VMs
 * are only ever ordered into the run directory that it names. It is replaced
 * only by a start that the judgement below allows. Codec and judgement are
 * pure; agent/boot_check.h does the looking. */
#ifndef AGENT_BOOT_RECORD_H
#define AGENT_BOOT_RECORD_H

#include "agent/machine.h"

#include <limits.h>

#define BOOT_RECORD_FILE      "last_boot"
#define BOOT_RECORD_BYTES_MAX (PATH_MAX + 512)

struct boot_record {
    char kernel_boot[BOOT_ID_BYTES];
    char boot_id[MACHINE_BOOT_BYTES]; /* As Hello said it. */
    uint64_t run_device;              /* Of the run directory. */
    uint64_t run_inode;
    char run_dir[PATH_MAX]; /* Its canonical path. */
};

/* Lines of "key=value", the last one a CRC-32C of those before. Returns the
 * length, or INVALID: the path holds what a line cannot. */
int boot_record_encode(const struct boot_record *record,
                       char text[BOOT_RECORD_BYTES_MAX]);

/* INVALID: it is not exactly what boot_record_encode() makes of some record. */
int boot_record_decode(struct boot_record *record, const char *text,
                       size_t len);

/* What was found in the recorded run directory. */
enum boot_traces {
    BOOT_NOTHING_LIVES,   /* It is whole, and every lock in it is free. */
    BOOT_SOMETHING_LIVES, /* A shim, a VM or the guard. */
    BOOT_UNPROVEN         /* Its locks are gone, with it or from it. */
};

struct boot_facts {
    bool recorded;         /* Else nothing but `readable` counts. */
    bool readable;         /* There is no record, or it can be read. */
    bool same_kernel_boot; /* Else nothing of then lives. */
    /* The run directory is the one of the record, with that one's instance:
     * what lives in it will be adopted. */
    bool same_run_dir;
    enum boot_traces traces;
};

enum boot_verdict {
    BOOT_FIRST,        /* The first start with this state_dir. */
    BOOT_CARRY_ON,     /* The same boot, the same run directory. */
    BOOT_NEW,          /* The machine booted. */
    BOOT_MOVE,         /* Another run directory; nothing lives in the former. */
    BOOT_UNREADABLE,   /* From here on the agent must not start. */
    BOOT_VMS_MAY_LIVE, /* Something does live. */
    BOOT_UNKNOWN       /* Nothing can be proved. */
};

enum boot_verdict boot_judge(const struct boot_facts *facts);

#endif
