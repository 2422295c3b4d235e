/* SPDX-License-Identifier: Apache-2.0
 *
 * When the agent tries the next session, and with which node. Pure.
 *
 * It moves on to the next node at once when one fails, but first asks the same
 * one again if that one ended a session that had been of use: it is alive and
 * knows who leads, and the next one may be the one that died. After a round of
 * all of them it pauses, longer each time and never just as long as others, so
 * that a thousand agents do not come back in step.
 *
 * A conflict is the leader's answer that another session or another machine
 * holds this host's name; no other node would say anything else. The pause is
 * then taken at once and grows much further, up to RETRY_CONFLICT_MS_MAX. A
 * session counts as useful, and all pauses begin anew, only after some
 * acknowledged renewals. So when two machines say the same name and the same
 * boot, whatever the reason, and each session ends the other's, each of them
 * opens no more than about one in RETRY_CONFLICT_MS_MAX / 2: the one that does
 * not get as far as those renewals backs off, until the other is left in peace
 * for most of the time. The region sees a bounded rate of registrations
 * instead of a livelock. (Machines with different boots do not even end each
 * other's sessions: node/reports.h.) */
#ifndef AGENT_RETRY_H
#define AGENT_RETRY_H

#include "base/random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RETRY_MS_MIN          100
#define RETRY_MS_MAX          1000
#define RETRY_CONFLICT_MS_MAX 10000
#define RETRY_USEFUL_RENEWALS 3

enum retry_end {
    RETRY_BROKEN,   /* The connection, or the node; also by ourselves. */
    RETRY_BY_NODE,  /* It answered, and ended the session. */
    RETRY_CONFLICT, /* ... because another one holds the host's name. */
};

struct retry {
    struct random *random; /* Lent. */
    size_t nodes;
    size_t current;       /* Node of the present or next session. */
    size_t failures;      /* Sessions in a row that were of no use. */
    uint64_t pause_ms;    /* About the next one's length. */
    uint64_t conflict_ms; /* Likewise, after a conflict. */
    uint32_t renewals;    /* Acknowledged in this session. */
};

/* `nodes` is set by the owner before the first session. */
void retry_init(struct retry *retry, struct random *random);

/* A session begins. */
void retry_begun(struct retry *retry);

/* A renewal was acknowledged in it. */
void retry_renewed(struct retry *retry);

/* It ended. Chooses the next node and returns how long to wait, in ms. */
uint64_t retry_ended(struct retry *retry, enum retry_end end);

/* Whether all nodes failed in turn since the last useful session. */
bool retry_is_stuck(const struct retry *retry);

/* Whether conflicts have lasted until pauses grow no more, about ten seconds:
 * a host that booted waits less for its former lease, with usual settings. */
bool retry_is_in_conflict(const struct retry *retry);

#endif
