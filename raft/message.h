/* SPDX-License-Identifier: Apache-2.0
 *
 * The raft messages between members, and their wire form
 * (proto/holdfast/v1/peer.proto). What decoding accepts is within limits.h;
 * what a message means in the receiver's state is checked in receive.c. */
#ifndef RAFT_MESSAGE_H
#define RAFT_MESSAGE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "raft/entries.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum message_type {
    MESSAGE_REQUEST_VOTE = 1,
    MESSAGE_REQUEST_VOTE_RESULT,
    MESSAGE_APPEND,
    MESSAGE_APPEND_RESULT,
    MESSAGE_SNAPSHOT_CHUNK,
    MESSAGE_SNAPSHOT_CHUNK_RESULT,
    MESSAGE_TIMEOUT_NOW,
    MESSAGE_PROBE,
    MESSAGE_PROBE_RESULT,
};

struct message {
    enum message_type type;
    uint64_t term;
    union {
        struct {
            uint64_t last_index;
            uint64_t last_term;
            bool pre_vote;
            bool disrupt_leader;
        } vote;
        struct {
            bool granted;
            bool pre_vote;
        } vote_result;
        struct {
            uint64_t previous_index;
            uint64_t previous_term;
            uint64_t commit_index;
            struct entry *entries; /* Lent. */
            size_t count;
        } append;
        struct {
            uint64_t request_term;
            uint64_t rejected_index; /* 0: accepted. */
            uint64_t last_index;
        } append_result;
        struct {
            const uint8_t *manifest; /* Lent. */
            size_t manifest_len;
            uint64_t offset;
            const uint8_t *data; /* Lent. */
            size_t len;
        } chunk;
        struct {
            uint64_t index;
            uint64_t index_term;
            uint64_t received_bytes;
        } chunk_result;
        struct {
            uint64_t last_index;
            uint64_t last_term;
        } timeout_now;
        struct {
            uint64_t number;
        } probe; /* And its result. */
    };
};

/* Appends the PeerMessage to `out`. */
void message_encode(const struct message *message, struct bytes *out);

/* What the message lends is in `arena`, until it is cleared. 0,
 * HF_ERROR_INVALID or HF_ERROR_TOO_LARGE. */
int message_decode(struct message *message, struct arena *arena,
                   const uint8_t *data, size_t len);

/* Whether `data` is a configuration in libraft's encoding, whole, within
 * limits.h, with at least one voter: libraft itself checks no bounds. */
bool members_check(const uint8_t *data, size_t len);

#endif
