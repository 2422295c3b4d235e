/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the state, for the files of this folder alone: the tables, and the
 * one way to write a record so that the hash follows. */
#ifndef STATE_INTERNAL_H
#define STATE_INTERNAL_H

#include "state/blobs.h"
#include "state/index.h"
#include "state/state.h"
#include "state/table.h"

enum table_kind {
    TABLE_ZONE,
    TABLE_CLASS,
    TABLE_HOST,
    TABLE_VM,
    TABLE_POOL,
    TABLE_REPLY,
    TABLE_COUNT
};

/* How every record of a named table begins. A hole has revision 0, keeps its
 * uid (to give the next user of the slot another one) and links the free
 * slots through create_time_ms, which holds the next one plus 1. */
struct record_head {
    uint64_t uid;
    uint64_t revision;
    uint64_t create_time_ms;
};

/* A storage pool's name gets a bit for ever. */
struct pool {
    uint64_t uid;
    char name[NAME_BYTES];
};

/* A remembered request; the table is a ring. */
struct reply {
    uint64_t id_hash;
    uint64_t fingerprint;
    uint32_t blob; /* Length of the id (1 byte), id, response. */
    uint32_t used;
};

/* What is neither in a table nor derived. Hashed and saved as it is. */
struct state_head {
    uint64_t revision;
    uint64_t time_ms;
    uint64_t replies_written;         /* Ring position: modulo REPLIES_MAX. */
    uint32_t free_first[TABLE_COUNT]; /* Holes; SLOT_NONE at the end. */
    uint32_t pending_first;
    uint32_t pending_last;
    uint32_t slots[TABLE_COUNT]; /* Slots in use, filled in when hashed. */
    uint32_t blob_free_first;    /* Likewise. */
    uint32_t padding;
    struct settings settings;
};

struct state {
    struct table tables[TABLE_COUNT];
    struct index names[TABLE_VM + 1]; /* Of zones, classes, hosts, VMs. */
    struct index reply_ids;
    struct blobs blobs;
    uint64_t records_hash; /* Sum over all records of all tables. */
    struct state_counts counts;
    struct state_head head;
    struct region_id region; /* Not in the head: its layout is for ever. */
};

static const uint32_t table_record_bytes[TABLE_COUNT] = {
    [TABLE_ZONE] = sizeof(struct zone), [TABLE_CLASS] = sizeof(struct class),
    [TABLE_HOST] = sizeof(struct host), [TABLE_VM] = sizeof(struct vm),
    [TABLE_POOL] = sizeof(struct pool), [TABLE_REPLY] = sizeof(struct reply),
};

/* What one record adds to the hash. */
uint64_t record_hash(enum table_kind kind, uint32_t slot, const void *record);

/* Opens a record for writing; the caller closes it before any other record of
 * the same table is opened. */
void *record_edit(struct state *state, enum table_kind kind, uint32_t slot);
void record_edited(struct state *state, enum table_kind kind, uint32_t slot);

/* A record of a named table with a new uid, its name and creation time set,
 * entered in the index of names. */
uint32_t record_create(struct state *state, enum table_kind kind,
                       struct text name);

/* Makes the record a hole. */
void record_delete(struct state *state, enum table_kind kind, uint32_t slot);

/* Finds a name; SLOT_NONE when there is none. */
uint32_t record_named(const struct state *state, enum table_kind kind,
                      struct text name);

/* The slot of a uid that must exist. */
uint32_t slot_of_zone(const struct state *state, struct zone_id id);
uint32_t slot_of_class(const struct state *state, struct class_id id);
uint32_t slot_of_host(const struct state *state, struct host_id id);
uint32_t slot_of_vm(const struct state *state, struct vm_id id);

/* Raises the revision and stamps the record with it. */
uint64_t next_revision(struct state *state);

/* Tells the sink, if any, about a record as it is now. */
void emit(struct state *state, struct event_sink *sink, enum table_kind kind,
          uint32_t slot, bool deleted);

/* Slot of the pool with this name, made if need be. */
uint32_t pool_slot(struct state *state, struct text name);

/* Whether a host can fit the resources into what is free. */
bool host_fits(const struct host *host, const struct resources *wanted);

/* Adds to, or with sign -1 takes from. */
void resources_add(struct resources *sum, const struct resources *part,
                   int sign);
void resource_sum_add(struct resource_sum *sum, const struct resources *part,
                      int sign);

/* One file a noun. */
void apply_zone(struct state *state, const struct change *change,
                struct event_sink *sink);
void apply_class(struct state *state, const struct change *change,
                 struct event_sink *sink);
void apply_host(struct state *state, const struct change *change,
                struct event_sink *sink);
void apply_vm(struct state *state, const struct change *change,
              struct event_sink *sink);
void apply_reply(struct state *state, const struct change_reply *reply);

/* Takes a VM off its host, as CHANGE_VM_RELEASE describes; also for fences. */
void vm_release(struct state *state, uint32_t slot,
                const struct change_vm_release *release,
                struct event_sink *sink);

/* Moves a VM to another state and keeps the counts. The record is open. */
void vm_set_state(struct state *state, struct vm *vm, enum vm_state next);

#endif
