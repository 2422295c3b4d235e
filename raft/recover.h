/* SPDX-License-Identifier: Apache-2.0
 *
 * A region whose quorum is lost for good, begun again from one survivor: its
 * log gets one entry more, which makes it the only member of the next
 * generation. All that it has, committed or not, counts then; what was
 * acknowledged by others alone is lost. So the survivor with the newest log is
 * to be chosen, by people: nobody else can know that the others are dead.
 *
 * For directories that no node uses; synchronous. */
#ifndef RAFT_RECOVER_H
#define RAFT_RECOVER_H

#include "raft/failure.h"
#include "raft/members.h"

struct recover_options {
    struct files *files;
    const char *region;
    const char *directory;
    uint64_t id;
    uint64_t segment_bytes;
};

/* Where a member stands. Logs are compared by term, then index, of the last
 * entry (Raft 5.4.1). */
struct recover_position {
    uint64_t term; /* The newest that it has heard of. */
    uint64_t last_term;
    uint64_t last_index;
    uint64_t snapshot_index; /* 0: none. */
    uint64_t members_index;  /* Of the entry that made `members`. */
    struct members members;  /* The newest configuration in the log. */
};

/* 0, or a negative error after `failure`. Reads as a start does: what a crash
 * left unfinished is put right. */
int recover_inspect(const struct recover_options *options,
                    struct recover_position *position, struct failure *failure);

/* Makes `options->id` the only voter, in a generation one higher. `members`
 * are those of the position, with names filled in. A crash in the middle
 * leaves the former log; then again. */
int recover_write(const struct recover_options *options,
                  const struct members *members, struct failure *failure);

#endif
