/* SPDX-License-Identifier: Apache-2.0
 *
 * holdfastd --inspect and --recover: for operators of a region whose quorum is
 * lost for good. What is asked for, what is refused and why, in words. */
#ifndef NODE_RECOVERY_H
#define NODE_RECOVERY_H

#include "raft/recover.h"

#include <holdfast/v1/config.pb-c.h>

/* Another survivor's position, as its --inspect printed it. */
struct recovery_survivor {
    const char *name;
    uint64_t last_term;
    uint64_t last_index;
};

struct recovery_claim {
    const char *dead[RAFT_MEMBERS_MAX]; /* Names. */
    size_t dead_count;
    struct recovery_survivor survivors[RAFT_MEMBERS_MAX];
    size_t survivor_count;
};

/* "n2,n3"; the texts are cut in place and stay lent. False: too many. */
bool recovery_read_dead(struct recovery_claim *claim, char *text);

/* "n4=5/1200": name, term and index of the last entry. False: it is not. */
bool recovery_read_survivor(struct recovery_claim *claim, char *text);

/* Whether the node `self` may go on alone: it is a voter, every other member is
 * claimed dead or a survivor, no survivor's log is newer, and the survivors are
 * no majority, for then nothing is lost. Else why not. Pure. */
bool recovery_is_right(const struct recover_position *position, uint64_t self,
                       const struct recovery_claim *claim, char *why,
                       size_t size);

/* What it does, on stdout and stderr; asks on stdin for what `claim` does not
 * say. Returns the process's exit code. */
int recovery_inspect(const Holdfast__V1__NodeConfig *config);
int recovery_run(const Holdfast__V1__NodeConfig *config,
                 struct recovery_claim *claim);

#endif
