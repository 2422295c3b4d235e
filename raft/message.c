/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/message.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "raft/limits.h"
#include "raft/snapshot_manifest.h"

#include "holdfast/v1/peer.pb-c.h"

#include <stdlib.h>
#include <string.h>

static void pack(struct bytes *out, Holdfast__V1__PeerMessage *peer)
{
    size_t size = holdfast__v1__peer_message__get_packed_size(peer);
    uint8_t *to = bytes_reserve(out, size);
    out->len += holdfast__v1__peer_message__pack(peer, to);
    /* Whichever it was, it ends with our caller. */
    peer->append_entries = NULL;
}

static ProtobufCBinaryData lend(const uint8_t *data, size_t len)
{
    /* protobuf-c has no const; packing only reads. */
    ProtobufCBinaryData lent = {.len = len};
    memcpy(&lent.data, &data, sizeof lent.data);
    return lent;
}

static void encode_append(const struct message *message,
                          Holdfast__V1__PeerMessage *peer, struct bytes *out)
{
    size_t count = message->append.count;
    Holdfast__V1__AppendEntries append = HOLDFAST__V1__APPEND_ENTRIES__INIT;
    Holdfast__V1__LogEntry *entries =
        memory_alloc_array(count, sizeof *entries);
    Holdfast__V1__LogEntry **pointers =
        memory_alloc_array(count, sizeof(Holdfast__V1__LogEntry *));
    for (size_t i = 0; i < count; i++) {
        const struct entry *entry = &message->append.entries[i];
        holdfast__v1__log_entry__init(&entries[i]);
        entries[i].term = entry->term;
        entries[i].type = (Holdfast__V1__LogEntry__Type)entry->type;
        entries[i].data = lend(entry->data, entry->len);
        entries[i].chain = entry->chain;
        pointers[i] = &entries[i];
    }
    append.term = message->term;
    append.previous_index = message->append.previous_index;
    append.previous_term = message->append.previous_term;
    append.commit_index = message->append.commit_index;
    append.n_entries = count;
    append.entries = pointers;
    peer->message_case = HOLDFAST__V1__PEER_MESSAGE__MESSAGE_APPEND_ENTRIES;
    peer->append_entries = &append;
    pack(out, peer);
    free(pointers);
    free(entries);
}

static void encode_vote(const struct message *message,
                        Holdfast__V1__PeerMessage *peer, struct bytes *out)
{
    Holdfast__V1__RequestVote vote = HOLDFAST__V1__REQUEST_VOTE__INIT;
    vote.term = message->term;
    vote.last_index = message->vote.last_index;
    vote.last_term = message->vote.last_term;
    vote.pre_vote = message->vote.pre_vote;
    vote.disrupt_leader = message->vote.disrupt_leader;
    peer->message_case = HOLDFAST__V1__PEER_MESSAGE__MESSAGE_REQUEST_VOTE;
    peer->request_vote = &vote;
    pack(out, peer);
}

static void encode_vote_result(const struct message *message,
                               Holdfast__V1__PeerMessage *peer,
                               struct bytes *out)
{
    Holdfast__V1__RequestVoteResult result =
        HOLDFAST__V1__REQUEST_VOTE_RESULT__INIT;
    result.term = message->term;
    result.granted = message->vote_result.granted;
    result.pre_vote = message->vote_result.pre_vote;
    peer->message_case =
        HOLDFAST__V1__PEER_MESSAGE__MESSAGE_REQUEST_VOTE_RESULT;
    peer->request_vote_result = &result;
    pack(out, peer);
}

static void encode_append_result(const struct message *message,
                                 Holdfast__V1__PeerMessage *peer,
                                 struct bytes *out)
{
    Holdfast__V1__AppendEntriesResult result =
        HOLDFAST__V1__APPEND_ENTRIES_RESULT__INIT;
    result.term = message->term;
    result.request_term = message->append_result.request_term;
    result.rejected_index = message->append_result.rejected_index;
    result.last_index = message->append_result.last_index;
    peer->message_case =
        HOLDFAST__V1__PEER_MESSAGE__MESSAGE_APPEND_ENTRIES_RESULT;
    peer->append_entries_result = &result;
    pack(out, peer);
}

static void encode_chunk(const struct message *message,
                         Holdfast__V1__PeerMessage *peer, struct bytes *out)
{
    Holdfast__V1__SnapshotChunk chunk = HOLDFAST__V1__SNAPSHOT_CHUNK__INIT;
    chunk.term = message->term;
    chunk.manifest = lend(message->chunk.manifest, message->chunk.manifest_len);
    chunk.offset = message->chunk.offset;
    chunk.data = lend(message->chunk.data, message->chunk.len);
    peer->message_case = HOLDFAST__V1__PEER_MESSAGE__MESSAGE_SNAPSHOT_CHUNK;
    peer->snapshot_chunk = &chunk;
    pack(out, peer);
}

static void encode_chunk_result(const struct message *message,
                                Holdfast__V1__PeerMessage *peer,
                                struct bytes *out)
{
    Holdfast__V1__SnapshotChunkResult result =
        HOLDFAST__V1__SNAPSHOT_CHUNK_RESULT__INIT;
    result.term = message->term;
    result.index = message->chunk_result.index;
    result.index_term = message->chunk_result.index_term;
    result.received_bytes = message->chunk_result.received_bytes;
    peer->message_case =
        HOLDFAST__V1__PEER_MESSAGE__MESSAGE_SNAPSHOT_CHUNK_RESULT;
    peer->snapshot_chunk_result = &result;
    pack(out, peer);
}

static void encode_timeout_now(const struct message *message,
                               Holdfast__V1__PeerMessage *peer,
                               struct bytes *out)
{
    Holdfast__V1__TimeoutNow now = HOLDFAST__V1__TIMEOUT_NOW__INIT;
    now.term = message->term;
    now.last_index = message->timeout_now.last_index;
    now.last_term = message->timeout_now.last_term;
    peer->message_case = HOLDFAST__V1__PEER_MESSAGE__MESSAGE_TIMEOUT_NOW;
    peer->timeout_now = &now;
    pack(out, peer);
}

static void encode_probe(const struct message *message,
                         Holdfast__V1__PeerMessage *peer, struct bytes *out)
{
    Holdfast__V1__Probe probe = HOLDFAST__V1__PROBE__INIT;
    probe.term = message->term;
    probe.number = message->probe.number;
    peer->message_case = HOLDFAST__V1__PEER_MESSAGE__MESSAGE_PROBE;
    peer->probe = &probe;
    pack(out, peer);
}

static void encode_probe_result(const struct message *message,
                                Holdfast__V1__PeerMessage *peer,
                                struct bytes *out)
{
    Holdfast__V1__ProbeResult result = HOLDFAST__V1__PROBE_RESULT__INIT;
    result.term = message->term;
    result.number = message->probe.number;
    peer->message_case = HOLDFAST__V1__PEER_MESSAGE__MESSAGE_PROBE_RESULT;
    peer->probe_result = &result;
    pack(out, peer);
}

void message_encode(const struct message *message, struct bytes *out)
{
    Holdfast__V1__PeerMessage peer = HOLDFAST__V1__PEER_MESSAGE__INIT;
    switch (message->type) {
    case MESSAGE_REQUEST_VOTE:
        encode_vote(message, &peer, out);
        return;
    case MESSAGE_REQUEST_VOTE_RESULT:
        encode_vote_result(message, &peer, out);
        return;
    case MESSAGE_APPEND:
        encode_append(message, &peer, out);
        return;
    case MESSAGE_APPEND_RESULT:
        encode_append_result(message, &peer, out);
        return;
    case MESSAGE_SNAPSHOT_CHUNK:
        encode_chunk(message, &peer, out);
        return;
    case MESSAGE_SNAPSHOT_CHUNK_RESULT:
        encode_chunk_result(message, &peer, out);
        return;
    case MESSAGE_TIMEOUT_NOW:
        encode_timeout_now(message, &peer, out);
        return;
    case MESSAGE_PROBE:
        encode_probe(message, &peer, out);
        return;
    case MESSAGE_PROBE_RESULT:
        encode_probe_result(message, &peer, out);
        return;
    }
    CHECK_UNREACHABLE("a message type");
}

static void *arena_take(void *owner, size_t size)
{
    return arena_alloc(owner, size);
}

static void arena_give(void *owner, void *memory)
{
    (void)owner;
    (void)memory;
}

static bool position(uint64_t index, uint64_t term)
{
    return index < RAFT_NUMBER_MAX && term < RAFT_NUMBER_MAX &&
           (index == 0) == (term == 0);
}

/* Terms rise from one entry to the next, up to the leader's own. */
static int decode_append(struct message *message, struct arena *arena,
                         const Holdfast__V1__AppendEntries *append)
{
    uint64_t term = append->previous_term;
    message->type = MESSAGE_APPEND;
    message->term = append->term;
    if (!position(append->previous_index, append->previous_term) ||
        append->previous_term > append->term ||
        append->commit_index >= RAFT_NUMBER_MAX ||
        append->n_entries > RAFT_APPEND_ENTRIES_MAX) {
        return HF_ERROR_INVALID;
    }
    message->append.previous_index = append->previous_index;
    message->append.previous_term = append->previous_term;
    message->append.commit_index = append->commit_index;
    message->append.count = append->n_entries;
    message->append.entries =
        arena_alloc(arena, append->n_entries * sizeof(struct entry) + 1);
    if (message->append.entries == NULL) {
        return HF_ERROR_TOO_LARGE;
    }
    for (size_t i = 0; i < append->n_entries; i++) {
        const Holdfast__V1__LogEntry *from = append->entries[i];
        if (from->term < term || from->term == 0 || from->term > append->term ||
            from->data.len > RAFT_ENTRY_BYTES_MAX ||
            from->type < HOLDFAST__V1__LOG_ENTRY__TYPE__TYPE_COMMAND ||
            from->type > HOLDFAST__V1__LOG_ENTRY__TYPE__TYPE_MEMBERS ||
            (from->type == HOLDFAST__V1__LOG_ENTRY__TYPE__TYPE_MEMBERS &&
             !members_check(from->data.data, from->data.len))) {
            return HF_ERROR_INVALID;
        }
        term = from->term;
        message->append.entries[i] = (struct entry){
            .term = from->term,
            .chain = from->chain,
            .type = (enum entry_type)from->type,
            .len = (uint32_t)from->data.len,
            .data = from->data.data,
        };
    }
    return 0;
}

static int decode_vote(struct message *message,
                       const Holdfast__V1__RequestVote *vote)
{
    message->type = MESSAGE_REQUEST_VOTE;
    message->term = vote->term;
    message->vote.last_index = vote->last_index;
    message->vote.last_term = vote->last_term;
    message->vote.pre_vote = vote->pre_vote != 0;
    message->vote.disrupt_leader = vote->disrupt_leader != 0;
    return position(vote->last_index, vote->last_term) &&
                   vote->last_term <= vote->term
               ? 0
               : HF_ERROR_INVALID;
}

static int decode_append_result(struct message *message,
                                const Holdfast__V1__AppendEntriesResult *from)
{
    message->type = MESSAGE_APPEND_RESULT;
    message->term = from->term;
    message->append_result.request_term = from->request_term;
    message->append_result.rejected_index = from->rejected_index;
    message->append_result.last_index = from->last_index;
    return from->request_term <= from->term &&
                   from->rejected_index < RAFT_NUMBER_MAX &&
                   from->last_index < RAFT_NUMBER_MAX
               ? 0
               : HF_ERROR_INVALID;
}

static int decode_chunk(struct message *message,
                        const Holdfast__V1__SnapshotChunk *chunk)
{
    message->type = MESSAGE_SNAPSHOT_CHUNK;
    message->term = chunk->term;
    message->chunk.manifest = chunk->manifest.data;
    message->chunk.manifest_len = chunk->manifest.len;
    message->chunk.offset = chunk->offset;
    message->chunk.data = chunk->data.data;
    message->chunk.len = chunk->data.len;
    return chunk->data.len > 0 && chunk->data.len <= RAFT_CHUNK_BYTES &&
                   chunk->offset <= RAFT_SNAPSHOT_BYTES_MAX &&
                   chunk->manifest.len <=
                       MANIFEST_HEAD_BYTES + MANIFEST_MEMBERS_BYTES_MAX
               ? 0
               : HF_ERROR_INVALID;
}

static int decode_chunk_result(struct message *message,
                               const Holdfast__V1__SnapshotChunkResult *from)
{
    message->type = MESSAGE_SNAPSHOT_CHUNK_RESULT;
    message->term = from->term;
    message->chunk_result.index = from->index;
    message->chunk_result.index_term = from->index_term;
    message->chunk_result.received_bytes = from->received_bytes;
    return position(from->index, from->index_term) &&
                   from->received_bytes <= RAFT_SNAPSHOT_BYTES_MAX
               ? 0
               : HF_ERROR_INVALID;
}

static int decode_timeout_now(struct message *message,
                              const Holdfast__V1__TimeoutNow *now)
{
    message->type = MESSAGE_TIMEOUT_NOW;
    message->term = now->term;
    message->timeout_now.last_index = now->last_index;
    message->timeout_now.last_term = now->last_term;
    return position(now->last_index, now->last_term) &&
                   now->last_term <= now->term
               ? 0
               : HF_ERROR_INVALID;
}

static int decode(struct message *message, struct arena *arena,
                  const Holdfast__V1__PeerMessage *peer)
{
    switch (peer->message_case) {
    case HOLDFAST__V1__PEER_MESSAGE__MESSAGE_REQUEST_VOTE:
        return decode_vote(message, peer->request_vote);
    case HOLDFAST__V1__PEER_MESSAGE__MESSAGE_REQUEST_VOTE_RESULT:
        message->type = MESSAGE_REQUEST_VOTE_RESULT;
        message->term = peer->request_vote_result->term;
        message->vote_result.granted = peer->request_vote_result->granted != 0;
        message->vote_result.pre_vote =
            peer->request_vote_result->pre_vote != 0;
        return 0;
    case HOLDFAST__V1__PEER_MESSAGE__MESSAGE_APPEND_ENTRIES:
        return decode_append(message, arena, peer->append_entries);
    case HOLDFAST__V1__PEER_MESSAGE__MESSAGE_APPEND_ENTRIES_RESULT:
        return decode_append_result(message, peer->append_entries_result);
    case HOLDFAST__V1__PEER_MESSAGE__MESSAGE_SNAPSHOT_CHUNK:
        return decode_chunk(message, peer->snapshot_chunk);
    case HOLDFAST__V1__PEER_MESSAGE__MESSAGE_SNAPSHOT_CHUNK_RESULT:
        return decode_chunk_result(message, peer->snapshot_chunk_result);
    case HOLDFAST__V1__PEER_MESSAGE__MESSAGE_TIMEOUT_NOW:
        return decode_timeout_now(message, peer->timeout_now);
    case HOLDFAST__V1__PEER_MESSAGE__MESSAGE_PROBE:
        message->type = MESSAGE_PROBE;
        message->term = peer->probe->term;
        message->probe.number = peer->probe->number;
        return 0;
    case HOLDFAST__V1__PEER_MESSAGE__MESSAGE_PROBE_RESULT:
        message->type = MESSAGE_PROBE_RESULT;
        message->term = peer->probe_result->term;
        message->probe.number = peer->probe_result->number;
        return 0;
    case HOLDFAST__V1__PEER_MESSAGE__MESSAGE_HELLO:
    case HOLDFAST__V1__PEER_MESSAGE__MESSAGE__NOT_SET:
    case _HOLDFAST__V1__PEER_MESSAGE__MESSAGE__CASE_IS_INT_SIZE:
    default:
        return HF_ERROR_INVALID;
    }
}

int message_decode(struct message *message, struct arena *arena,
                   const uint8_t *data, size_t len)
{
    ProtobufCAllocator allocator = {
        .alloc = arena_take, .free = arena_give, .allocator_data = arena};
    if (len > RAFT_MESSAGE_BYTES_MAX) {
        return HF_ERROR_TOO_LARGE;
    }
    memset(message, 0, sizeof *message);
    const Holdfast__V1__PeerMessage *peer =
        holdfast__v1__peer_message__unpack(&allocator, len, data);
    if (peer == NULL) {
        return HF_ERROR_INVALID;
    }
    int rv = decode(message, arena, peer);
    if (rv == 0 && (message->term == 0 || message->term >= RAFT_NUMBER_MAX)) {
        rv = HF_ERROR_INVALID;
    }
    return rv;
}

/* One byte 1, the count as u64, then each: id u64, address with a NUL, role
 * u8; zeros up to a multiple of 8. */
bool members_check(const uint8_t *data, size_t len)
{
    struct bytes_reader reader;
    uint64_t ids[RAFT_MEMBERS_MAX];
    const char *addresses[RAFT_MEMBERS_MAX];
    size_t voters = 0;
    bytes_reader_init(&reader, data, len);
    uint8_t format = bytes_read_u8(&reader);
    uint64_t count = bytes_read_u64(&reader);
    if (reader.failed || format != 1 || count == 0 ||
        count > RAFT_MEMBERS_MAX || len > MANIFEST_MEMBERS_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        ids[i] = bytes_read_u64(&reader);
        const uint8_t *end =
            reader.failed ? NULL : memchr(reader.data, 0, reader.len);
        if (end == NULL || ids[i] == 0 || ids[i] >= RAFT_NUMBER_MAX * 2) {
            return false;
        }
        size_t text = (size_t)(end - reader.data);
        addresses[i] = (const char *)reader.data;
        if (text == 0 || text > RAFT_ADDRESS_BYTES_MAX) {
            return false;
        }
        bytes_read(&reader, text + 1);
        uint8_t role = bytes_read_u8(&reader);
        for (size_t j = 0; j < i; j++) {
            if (ids[j] == ids[i] || strcmp(addresses[j], addresses[i]) == 0) {
                return false;
            }
        }
        voters += role == 1 ? 1 : 0;
        if (reader.failed || role > 2) {
            return false;
        }
    }
    while (reader.len > 0) {
        if (bytes_read_u8(&reader) != 0) {
            return false;
        }
    }
    return voters > 0;
}
