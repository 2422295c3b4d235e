/* SPDX-License-Identifier: Apache-2.0
 *
 * Bugs on purpose, for the simulator's own build alone (HF_PLANTED): each rule
 * that it checks must catch one, for a check that catches nothing proves
 * nothing. In every other build PLANTED() is false and leaves no code. */
#ifndef BASE_PLANTED_H
#define BASE_PLANTED_H

enum planted {
    PLANTED_NOTHING,
    PLANTED_LEASE_ENDS_EARLY,  /* The leader waits less than the host runs. */
    PLANTED_EPOCH_AGAIN,       /* A boot does not end an epoch. */
    PLANTED_ANSWER_EARLY,      /* Acknowledged before it is committed. */
    PLANTED_EXPECT_IGNORED,    /* Compare-and-set without the comparison. */
    PLANTED_READ_UNPROVED,     /* Read without asking who leads. */
    PLANTED_REPLY_FORGOTTEN,   /* A repeated request is a new one. */
    PLANTED_REFUSAL_FORGOTTEN, /* A late attempt may undo a refusal. */
    PLANTED_CHANGE_SKIPPED,    /* One replica leaves a change out. */
    PLANTED_USE_KEPT,          /* What leaves a host stays counted. */
    PLANTED_EVENT_DIFFERS,     /* Followers show another event. */
    PLANTED_REFUSAL_WRITES,    /* A refused call changes something. */
    PLANTED_SETTINGS_FREE,     /* Any settings are accepted. */
    PLANTED_UNKNOWN_KILLED,    /* A guest that nobody knows is ended. */
    PLANTED_STATE_LOST,        /* A node forgets its state. */
    PLANTED_TIME_FALLS,        /* The leader's stamp is its wall clock. */
    PLANTED_NO_FAILOVER,       /* Pending VMs are not looked at. */
    PLANTED_STORM_STAYS,       /* Who led goes on to see a storm. */
    PLANTED_NEVER_IDLE,        /* Every turn writes. */
    PLANTED_GIVES_UP,          /* A node ends for nothing. */
    PLANTED_QUORUM_GUESSED,    /* Half of the voters pass for a majority. */
    PLANTED_PROMOTED_BEHIND,   /* A standby may vote before it has the log. */
    PLANTED_ID_AGAIN,          /* A removed node's number is given out. */
    PLANTED_REMOVED_STAYS,     /* Nobody sends a removed node away. */
    PLANTED_RULE_IGNORED,      /* A VM's host selector does not count. */
    PLANTED_CLAIM_KEPT,        /* Room is held for who has gone elsewhere. */
    PLANTED_PREEMPTS_EQUALS,   /* Stops VMs of any priority for another. */
    PLANTED_MEMBER_MISSING,    /* A group has one member less than it wants. */
    PLANTED_DRAIN_RESTS,       /* Nothing leaves what is drained. */
    PLANTED_HEADROOM_FREE,     /* Room for a zone's loss is given away. */
    PLANTED_SWINGS,            /* What was moved is moved back. */
    PLANTED_COUNT
};

#ifdef HF_PLANTED
extern enum planted planted;
#define PLANTED(bug) (planted == PLANTED_##bug)
#else
#define PLANTED(bug) 0
#endif

#endif
