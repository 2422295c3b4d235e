/* SPDX-License-Identifier: Apache-2.0
 *
 * Every maximum of the replica, with its reason. They hold for what comes from
 * a peer, from a file and from the owner alike. */
#ifndef RAFT_LIMITS_H
#define RAFT_LIMITS_H

/* Members of a region: three zones with a few nodes each and standbys. libraft
 * keeps them in arrays that it walks for every message. */
#define RAFT_MEMBERS_MAX 32

/* Bytes of what a configuration says of a member (raft/members.h): id, name,
 * zone and address, the generation and the highest id need 258 at most. */
#define RAFT_ADDRESS_BYTES_MAX 259

/* Bytes of a region's name, as in names everywhere else. */
#define RAFT_REGION_BYTES_MAX 63

/* Bytes of one log entry. A peer's message may have 4 MiB (GRPC.md) and holds
 * at least one entry and its own head. */
#define RAFT_ENTRY_BYTES_MAX (3 * 1024 * 1024)

/* Bytes of entries in one message to a peer: more only when a single entry is
 * larger. A message of this size takes 10 ms at 1 Gbit/s, well below a
 * heartbeat. */
#define RAFT_APPEND_BYTES 1048576

/* Entries in one message. */
#define RAFT_APPEND_ENTRIES_MAX 1024

/* Bytes of one encoded message between peers. */
#define RAFT_MESSAGE_BYTES_MAX (4 * 1024 * 1024)

/* What decoding one such message may take. */
#define RAFT_MESSAGE_ARENA_BYTES (16 * 1024 * 1024)

/* Bytes of a snapshot in one message, see RAFT_APPEND_BYTES. */
#define RAFT_CHUNK_BYTES 262144

/* Entries that libraft sends to a peer before the first is acknowledged.
 * Enough to fill a link of 1 Gbit/s and 10 ms with entries of 4 KiB. */
#define RAFT_INFLIGHT_ENTRIES 512

/* Bytes queued for a peer and not yet given to its socket. What comes beyond
 * is dropped, raft sends it again: without a limit a leader grew to 3.7 GB in
 * 60 s of a black hole. */
#define RAFT_UNSENT_BYTES_MAX (8 * 1024 * 1024)

/* A message whose term is this far above the own term is refused: no real
 * region gets there, and a forged term of 2^63 would leave no room for
 * elections. At one election a millisecond it lasts 12 days. */
#define RAFT_TERM_LEAP_MAX (1ULL << 30)

/* Indexes and terms stay below this, so that sums of two cannot overflow. */
#define RAFT_NUMBER_MAX (1ULL << 62)

/* Bytes of a snapshot, packed. */
#define RAFT_SNAPSHOT_BYTES_MAX (1ULL << 40)

/* Requests that wait for a barrier share a round of questions; so many may
 * wait. */
#define RAFT_BARRIERS_MAX 1048576

#endif
