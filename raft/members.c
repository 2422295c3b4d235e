/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/members.h"

#include "base/check.h"
#include "base/planted.h"
#include "raft/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENCODING_FORMAT 1

void members_init(struct members *members)
{
    memset(members, 0, sizeof *members);
    members->generation = 1;
}

struct member *members_find(struct members *members, uint64_t id)
{
    for (size_t i = 0; i < members->count; i++) {
        if (members->items[i].id == id) {
            return &members->items[i];
        }
    }
    return NULL;
}

const struct member *members_get(const struct members *members, uint64_t id)
{
    for (size_t i = 0; i < members->count; i++) {
        if (members->items[i].id == id) {
            return &members->items[i];
        }
    }
    return NULL;
}

size_t members_voters(const struct members *members)
{
    size_t voters = 0;
    for (size_t i = 0; i < members->count; i++) {
        voters += members->items[i].role == REPLICA_VOTER ? 1 : 0;
    }
    return voters;
}

bool members_has_removed(const struct members *members, uint64_t id)
{
    return id <= members->id_max && members_get(members, id) == NULL;
}

static uint64_t highest(const struct members *members)
{
    uint64_t id = 0;
    for (size_t i = 0; i < members->count; i++) {
        id = members->items[i].id > id ? members->items[i].id : id;
    }
    return id;
}

/* What cannot be cut short without being another: bounded by the types. */
struct text {
    char data[RAFT_ADDRESS_BYTES_MAX + 1];
    size_t len;
};

static void put(struct text *text, const char *key, const char *value)
{
    if (value[0] == '\0') {
        return;
    }
    int len = snprintf(text->data + text->len, sizeof text->data - text->len,
                       "%s%s", key, value);
    CHECK(len > 0 && (size_t)len < sizeof text->data - text->len);
    text->len += (size_t)len;
}

static void put_number(struct text *text, const char *key, uint64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    put(text, key, digits);
}

void members_encode(const struct members *members, struct bytes *out)
{
    size_t start = out->len;
    CHECK(members->count > 0 && members->count <= RAFT_MEMBERS_MAX);
    CHECK(members->id_max >= highest(members) && members->generation > 0);
    bytes_append_u8(out, ENCODING_FORMAT);
    bytes_append_u64(out, members->count);
    for (size_t i = 0; i < members->count; i++) {
        const struct member *member = &members->items[i];
        struct text text = {.len = 0};
        put_number(&text, "node/", member->id);
        put(&text, " name=", member->name);
        put(&text, " zone=", member->zone);
        put(&text, " at=", member->address);
        if (i == 0 && members->generation > 1) {
            put_number(&text, " gen=", members->generation);
        }
        if (i == 0 && members->id_max > highest(members)) {
            put_number(&text, " last=", members->id_max);
        }
        bytes_append_u64(out, member->id);
        bytes_append(out, text.data, text.len + 1);
        bytes_append_u8(out, (uint8_t)member->role);
    }
    while ((out->len - start) % sizeof(uint64_t) != 0) {
        bytes_append_u8(out, 0);
    }
    CHECK(members_check(out->data + start, out->len - start));
}

static void take(char *to, size_t size, const char *from, size_t len)
{
    if (len < size) {
        memcpy(to, from, len);
        to[len] = '\0';
    }
}

/* One "key=value". */
static void read_word(struct members *members, struct member *member,
                      const char *word, size_t len)
{
    const char *equals = memchr(word, '=', len);
    if (equals == NULL) {
        return;
    }
    size_t key = (size_t)(equals - word);
    const char *value = equals + 1;
    size_t value_len = len - key - 1;
    if (key == 4 && memcmp(word, "name", key) == 0) {
        take(member->name, sizeof member->name, value, value_len);
    } else if (key == 4 && memcmp(word, "zone", key) == 0) {
        take(member->zone, sizeof member->zone, value, value_len);
    } else if (key == 2 && memcmp(word, "at", key) == 0) {
        take(member->address, sizeof member->address, value, value_len);
    } else if (key == 3 && memcmp(word, "gen", key) == 0) {
        uint64_t number = strtoull(value, NULL, 10);
        if (number > 0 && number <= UINT32_MAX) {
            members->generation = (uint32_t)number;
        }
    } else if (key == 4 && memcmp(word, "last", key) == 0) {
        uint64_t number = strtoull(value, NULL, 10);
        if (number > members->id_max && number < RAFT_NUMBER_MAX * 2) {
            members->id_max = number;
        }
    }
}

static void read_text(struct members *members, struct member *member,
                      const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        read_word(members, member, text, len);
        text += len;
        text += strspn(text, " ");
    }
}

void members_decode(struct members *members, const uint8_t *data, size_t len)
{
    struct bytes_reader reader;
    members_init(members);
    CHECK(members_check(data, len));
    bytes_reader_init(&reader, data, len);
    bytes_read_u8(&reader);
    size_t count = (size_t)bytes_read_u64(&reader);
    for (size_t i = 0; i < count; i++) {
        struct member *member = &members->items[members->count++];
        member->id = bytes_read_u64(&reader);
        const char *text = (const char *)reader.data;
        bytes_read(&reader, strlen(text) + 1);
        member->role = bytes_read_u8(&reader) == REPLICA_VOTER
                           ? REPLICA_VOTER
                           : REPLICA_STANDBY;
        if (member->id > members->id_max) {
            members->id_max = member->id;
        }
        read_text(members, member, text);
    }
    CHECK(!reader.failed);
}

bool members_may_follow(const struct members *now, const struct members *next)
{
    size_t changes = 0;
    if (next->count == 0 || members_voters(next) == 0 ||
        next->generation != now->generation || next->id_max < now->id_max) {
        return false;
    }
    for (size_t i = 0; i < now->count; i++) {
        const struct member *was = &now->items[i];
        const struct member *is = members_get(next, was->id);
        changes += is == NULL || is->role != was->role ? 1 : 0;
    }
    for (size_t i = 0; i < next->count; i++) {
        const struct member *is = &next->items[i];
        if (members_get(now, is->id) == NULL) {
            changes++;
            if ((is->id <= now->id_max && !PLANTED(ID_AGAIN)) ||
                is->role != REPLICA_STANDBY) {
                return false; /* Used before, or not caught up. */
            }
        }
    }
    /* libraft keeps what it knows of each by its place. */
    for (size_t i = 0; now->count == next->count && i < now->count; i++) {
        if (now->items[i].id != next->items[i].id) {
            return false;
        }
    }
    return changes <= 1;
}
