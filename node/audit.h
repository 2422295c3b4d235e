/* SPDX-License-Identifier: Apache-2.0
 *
 * Audit records: what a client's mutation was and what it changed, told from
 * the object before and after, bounded, and chained by SHA-256. The leader that
 * decides makes the record and its digest, and both stand in the entry beside
 * the changes; replicas keep them (struct audit). What a record says and how it
 * looks as a line is for ever: audit_service.proto. Pure. */
#ifndef NODE_AUDIT_H
#define NODE_AUDIT_H

#include "node/access.h"
#include "node/audit_fields.h"
#include "node/turn.h"
#include "tls/digest.h"

#include <holdfast/v1/audit_service.pb-c.h>

struct api_method;
struct api_reply;

/* Memory for one record with the object before and after. A group's view is
 * the largest. */
#define AUDIT_ARENA_BYTES (64u << 20)

/* A mutation that is about to be carried out. */
struct audit_note {
    struct arena arena;
    const struct api_method *method;
    const ProtobufCMessage *request;
    const char *caller; /* Lent. */
    const char *kind;
    const char *name;
    struct audit_fields before;
};

/* Notes the object as it is. `caller` as AuditRecord has it; all is lent until
 * the end. */
void audit_note_begin(struct audit_note *note, const struct api_method *method,
                      const ProtobufCMessage *request, const char *caller,
                      const struct state *state);

/* It was carried out and changed something, with this answer: decides the
 * record. */
void audit_note_write(struct audit_note *note, struct turn_plan *plan,
                      const struct api_reply *reply);
void audit_note_end(struct audit_note *note);

/* As records have the caller: "client:anna", "loopback", "join-token". */
void audit_caller(const struct access *access,
                  char text[ACCESS_SUBJECT_TEXT_BYTES]);

/* Decides a record that is whole but for what the state says itself; one that
 * is too long is cut as all are. */
void audit_record_write(struct arena *arena, struct turn_plan *plan,
                        Holdfast__V1__AuditRecord *record);

/* Puts fields into the record's arguments; lent. Once a record. */
void audit_record_argue(struct arena *arena, Holdfast__V1__AuditRecord *record,
                        const struct audit_fields *fields);

/* Likewise, what is otherwise between the two into its changes. */
void audit_record_change(struct arena *arena, Holdfast__V1__AuditRecord *record,
                         const struct audit_fields *before,
                         const struct audit_fields *after);

/* The record with this number, which is kept; from the arena. */
Holdfast__V1__AuditRecord *audit_read(struct arena *arena,
                                      const struct state *state,
                                      uint64_t number);

/* Of the records that say that they began this operation the newest, or, with
 * `first`, the oldest; NULL when none of the `looks` newest records does. */
Holdfast__V1__AuditRecord *audit_find_operation(struct arena *arena,
                                                const struct state *state,
                                                const char *name, bool first,
                                                uint32_t looks);

/* "VmService/CreateVm", as people write it. */
const char *audit_method_name(const char *path);

#endif
