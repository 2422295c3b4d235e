/* SPDX-License-Identifier: Apache-2.0 */
#include "node/members_audit.h"

#include "base/check.h"
#include "base/container.h"
#include "node/api_check.h"
#include "node/audit.h"
#include "node/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/cluster_service.pb-c.h>

#define SERVICE "ClusterService/"

/* Values of the argument "step". */
#define BEGUN    "begun"
#define DONE     "done"
#define NOT_DONE "not done"

typedef Holdfast__V1__AuditRecord audit_record;

const struct api_method members_audit_methods[MEMBERSHIP_STEPS] = {
    [MEMBERSHIP_ADD] = {.path = "/holdfast.v1.ClusterService/AddNode",
                        .input = &holdfast__v1__add_node_request__descriptor,
                        .output = &holdfast__v1__add_node_response__descriptor,
                        .permission = PERMISSION_ADMINISTER},
    [MEMBERSHIP_PROMOTE] =
        {.path = "/holdfast.v1.ClusterService/PromoteNode",
         .input = &holdfast__v1__promote_node_request__descriptor,
         .output = &holdfast__v1__promote_node_response__descriptor,
         .permission = PERMISSION_ADMINISTER},
    [MEMBERSHIP_REMOVE] = {.path = "/holdfast.v1.ClusterService/RemoveNode",
                           .input =
                               &holdfast__v1__remove_node_request__descriptor,
                           .output =
                               &holdfast__v1__remove_node_response__descriptor,
                           .permission = PERMISSION_ADMINISTER},
};

/* --- The beginning -------------------------------------------------------- */

static void add_text(struct audit_fields *fields, const char *name,
                     const char *value)
{
    if (value[0] != '\0') {
        audit_fields_add(fields, name, value, strlen(value));
    }
}

static void add_number(struct audit_fields *fields, const char *name,
                       uint64_t value)
{
    char digits[24];

    (void)snprintf(digits, sizeof(digits), "%" PRIu64, value);
    add_text(fields, name, value == 0 ? "" : digits);
}

/* All that the request says stands in its record, so that another leader can
 * tell a repeat of it: read_request(). */
struct parts {
    const char *request_id;
    const char *reason;
    uint64_t expect_revision;
    bool fewer;
};

static struct parts parts_of(enum membership_step step,
                             const ProtobufCMessage *request)
{
    const Holdfast__V1__AddNodeRequest *add = (const void *)request;
    const Holdfast__V1__PromoteNodeRequest *promote = (const void *)request;
    const Holdfast__V1__RemoveNodeRequest *removal = (const void *)request;

    switch (step) {
    case MEMBERSHIP_ADD:
        return (struct parts){add->request_id, add->reason,
                              add->expect_revision, false};
    case MEMBERSHIP_PROMOTE:
        return (struct parts){promote->request_id, promote->reason,
                              promote->expect_revision, false};
    default:
        return (struct parts){removal->request_id, removal->reason,
                              removal->expect_revision,
                              removal->allow_fewer_voters};
    }
}

static char *lend(const char *text)
{
    return (char *)(uintptr_t)text;
}

void members_audit_begin(enum membership_step step,
                         const ProtobufCMessage *request,
                         const struct member *member, struct turn_plan *plan,
                         const struct api_reply *reply)
{
    const struct parts parts = parts_of(step, request);
    audit_record record = HOLDFAST__V1__AUDIT_RECORD__INIT;
    char caller[ACCESS_SUBJECT_TEXT_BYTES];
    struct audit_fields fields;
    struct access access;
    struct arena arena;

    CHECK(!members_audit_is_open(plan->scratch));
    access_decide(plan->scratch, reply->caller, PERMISSION_ADMINISTER,
                  reply->wall_ms, &access);
    audit_caller(&access, caller);
    arena_init(&arena, AUDIT_ARENA_BYTES);
    audit_fields_init(&fields, &arena);
    add_text(&fields, "step", BEGUN);
    add_number(&fields, "id", member->id);
    add_text(&fields, "zone", member->zone);
    add_text(&fields, "address", member->address);
    add_text(&fields, "membership",
             member->role == REPLICA_VOTER ? "voter" : "standby");
    add_text(&fields, "allow_fewer_voters", parts.fewer ? "true" : "");
    add_number(&fields, "expect_revision", parts.expect_revision);
    record.caller = caller;
    record.method = lend(audit_method_name(members_audit_methods[step].path));
    record.object_kind = lend("node");
    record.object_name = lend(member->name);
    record.request_id = lend(parts.request_id);
    record.reason = lend(parts.reason);
    audit_record_argue(&arena, &record, &fields);
    audit_record_write(&arena, plan, &record);
    arena_close(&arena);
}

/* --- What is open --------------------------------------------------------- */

static const char *argument(const audit_record *record, const char *name)
{
    for (size_t i = 0; i < record->n_arguments; i++) {
        if (strcmp(record->arguments[i]->name, name) == 0) {
            return record->arguments[i]->value;
        }
    }
    return "";
}

/* MEMBERSHIP_STEPS: it is of no change of members. */
static enum membership_step step_of(const audit_record *record)
{
    int step = 0;

    while (step < MEMBERSHIP_STEPS &&
           strcmp(audit_method_name(members_audit_methods[step].path),
                  record->method) != 0) {
        step++;
    }
    return (enum membership_step)step;
}

/* The newest record of a change of members, if it began one; NULL: none is
 * open. Only those that hold the service's name are unpacked: at a change of
 * leader that is one pass over the records, some 300 bytes each. */
static const audit_record *find_open(const struct state *state,
                                     struct arena *arena)
{
    for (uint64_t number = state_audit_last(state);
         number > 0 && number >= state_audit_first(state); number--) {
        const struct audit *audit = state_audit(state, number);
        struct text content = state_blob(state, audit->blob);
        const audit_record *record;

        if (memmem(content.data, content.len, SERVICE, strlen(SERVICE)) ==
            NULL) {
            continue;
        }
        arena_clear(arena);
        record = audit_read(arena, state, number);
        if (step_of(record) != (enum membership_step)MEMBERSHIP_STEPS) {
            return strcmp(argument(record, "step"), BEGUN) == 0 ? record : NULL;
        }
    }
    return NULL;
}

bool members_audit_is_open(const struct state *state)
{
    struct arena arena;
    bool open;

    arena_init(&arena, AUDIT_ARENA_BYTES);
    open = find_open(state, &arena) != NULL;
    arena_close(&arena);
    return open;
}

/* --- The end -------------------------------------------------------------- */

static struct member member_of(const audit_record *begun)
{
    struct member member = {
        .id = strtoull(argument(begun, "id"), NULL, 10),
        .role = strcmp(argument(begun, "membership"), "voter") == 0
                    ? REPLICA_VOTER
                    : REPLICA_STANDBY,
    };

    (void)snprintf(member.name, sizeof(member.name), "%s", begun->object_name);
    (void)snprintf(member.zone, sizeof(member.zone), "%s",
                   argument(begun, "zone"));
    (void)snprintf(member.address, sizeof(member.address), "%s",
                   argument(begun, "address"));
    return member;
}

/* No id is ever used again, so it says whom it was about. */
static bool was_done(enum membership_step step, const struct member *member,
                     const struct members *members)
{
    const struct member *is = members_get(members, member->id);

    switch (step) {
    case MEMBERSHIP_ADD:
        return is != NULL;
    case MEMBERSHIP_PROMOTE:
        return is != NULL && is->role == REPLICA_VOTER;
    default:
        return is == NULL;
    }
}

/* The members before it: one of them was otherwise. */
static void undo(enum membership_step step, const struct member *member,
                 struct members *members)
{
    struct member *is = members_find(members, member->id);

    if (step == MEMBERSHIP_REMOVE) {
        CHECK(is == NULL && members->count <= RAFT_MEMBERS_MAX);
        if (members->count < RAFT_MEMBERS_MAX) {
            members->items[members->count++] = *member;
        }
    } else if (step == MEMBERSHIP_PROMOTE) {
        is->role = REPLICA_STANDBY;
    } else {
        *is = members->items[--members->count];
    }
}

static int by_id(const void *a, const void *b)
{
    const struct member *left = a;
    const struct member *right = b;

    return left->id < right->id ? -1 : left->id > right->id;
}

/* "voters" and "standbys", with their names; and each by itself, for a long
 * list is cut: "members.n4" is "voter". */
static void list_members(const struct members *members,
                         struct audit_fields *fields)
{
    static const struct {
        const char *name;
        enum replica_role role;
    } lists[] = {{"voters", REPLICA_VOTER}, {"standbys", REPLICA_STANDBY}};
    struct members sorted = *members;

    qsort(sorted.items, sorted.count, sizeof(sorted.items[0]), by_id);
    for (size_t list = 0; list < ARRAY_LEN(lists); list++) {
        char names[RAFT_MEMBERS_MAX * (RAFT_REGION_BYTES_MAX + 1) + 1] = "";
        size_t len = 0;

        for (size_t i = 0; i < sorted.count; i++) {
            if (sorted.items[i].role == lists[list].role) {
                len +=
                    (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
                                     len == 0 ? "" : ",", sorted.items[i].name);
                CHECK(len < sizeof(names));
            }
        }
        add_text(fields, lists[list].name, names);
    }
    for (size_t i = 0; i < sorted.count; i++) {
        char path[RAFT_REGION_BYTES_MAX + 16];

        (void)snprintf(path, sizeof(path), "members.%s", sorted.items[i].name);
        add_text(fields, path,
                 sorted.items[i].role == REPLICA_VOTER ? "voter" : "standby");
    }
}

static void write_end(const audit_record *begun, enum membership_step step,
                      const struct member *member,
                      const struct members *members, bool done,
                      struct turn_plan *plan)
{
    audit_record record = HOLDFAST__V1__AUDIT_RECORD__INIT;
    struct audit_fields before;
    struct audit_fields after;
    struct members former = *members;
    struct arena arena;

    arena_init(&arena, AUDIT_ARENA_BYTES);
    record.caller = begun->caller;
    record.method = begun->method;
    record.object_kind = begun->object_kind;
    record.object_name = begun->object_name;
    record.request_id = begun->request_id;
    record.reason = begun->reason;
    audit_fields_init(&before, &arena);
    add_text(&before, "step", done ? DONE : NOT_DONE);
    add_number(&before, "id", member->id);
    audit_record_argue(&arena, &record, &before);
    audit_fields_init(&before, &arena);
    audit_fields_init(&after, &arena);
    if (done) {
        undo(step, member, &former);
        list_members(&former, &before);
        list_members(members, &after);
    }
    audit_record_change(&arena, &record, &before, &after);
    audit_record_write(&arena, plan, &record);
    arena_close(&arena);
}

/* As it was asked. */
static ProtobufCMessage *read_request(const audit_record *begun,
                                      enum membership_step step,
                                      const struct member *member,
                                      struct arena *arena)
{
    uint64_t expected = strtoull(argument(begun, "expect_revision"), NULL, 10);
    Holdfast__V1__AddNodeRequest *add = view_alloc(arena, sizeof(*add));
    Holdfast__V1__PromoteNodeRequest *promote =
        view_alloc(arena, sizeof(*promote));
    Holdfast__V1__RemoveNodeRequest *removal =
        view_alloc(arena, sizeof(*removal));

    switch (step) {
    case MEMBERSHIP_ADD:
        holdfast__v1__add_node_request__init(add);
        add->name = begun->object_name;
        add->id = member->id;
        add->zone = lend(argument(begun, "zone"));
        add->address = lend(argument(begun, "address"));
        add->reason = begun->reason;
        add->request_id = begun->request_id;
        add->expect_revision = expected;
        return &add->base;
    case MEMBERSHIP_PROMOTE:
        holdfast__v1__promote_node_request__init(promote);
        promote->name = begun->object_name;
        promote->reason = begun->reason;
        promote->request_id = begun->request_id;
        promote->expect_revision = expected;
        return &promote->base;
    default:
        holdfast__v1__remove_node_request__init(removal);
        removal->name = begun->object_name;
        removal->allow_fewer_voters =
            argument(begun, "allow_fewer_voters")[0] != '\0';
        removal->reason = begun->reason;
        removal->request_id = begun->request_id;
        removal->expect_revision = expected;
        return &removal->base;
    }
}

void members_audit_respond(enum membership_step step,
                           const struct member *member, const char *note,
                           uint64_t revision, struct api_reply *reply)
{
    Holdfast__V1__AddNodeResponse added = HOLDFAST__V1__ADD_NODE_RESPONSE__INIT;
    Holdfast__V1__PromoteNodeResponse promoted =
        HOLDFAST__V1__PROMOTE_NODE_RESPONSE__INIT;
    Holdfast__V1__RemoveNodeResponse removed =
        HOLDFAST__V1__REMOVE_NODE_RESPONSE__INIT;
    Holdfast__V1__Node view = HOLDFAST__V1__NODE__INIT;

    view.name = lend(member->name);
    view.id = member->id;
    view.zone = lend(member->zone);
    view.address = lend(member->address);
    view.role = HOLDFAST__V1__ROLE__ROLE_FOLLOWER;
    view.membership = member->role == REPLICA_VOTER
                          ? HOLDFAST__V1__MEMBERSHIP__MEMBERSHIP_VOTER
                          : HOLDFAST__V1__MEMBERSHIP__MEMBERSHIP_STANDBY;
    added.node = promoted.node = removed.node = &view;
    added.note = promoted.note = removed.note = lend(note);
    added.revision = promoted.revision = removed.revision = revision;
    api_respond(reply, step == MEMBERSHIP_ADD       ? &added.base
                       : step == MEMBERSHIP_PROMOTE ? &promoted.base
                                                    : &removed.base);
}

/* Unless another request took the id meanwhile, which then keeps it. */
static void remember(const audit_record *begun, enum membership_step step,
                     const struct member *member, struct turn_plan *plan,
                     const struct api_reply *reply, struct arena *arena)
{
    struct reply_record known;

    if (begun->request_id[0] != '\0' &&
        !state_reply(plan->scratch, text_of(begun->request_id), &known)) {
        api_remember(&members_audit_methods[step],
                     read_request(begun, step, member, arena), plan, reply);
    }
}

bool members_audit_end(const struct members *members, struct turn_plan *plan,
                       struct api_reply *reply)
{
    const audit_record *begun;
    enum membership_step step;
    struct member member;
    struct arena arena;
    bool done = false;
    char note[512];

    arena_init(&arena, AUDIT_ARENA_BYTES);
    begun = find_open(plan->scratch, &arena);
    if (begun != NULL) {
        step = step_of(begun);
        member = member_of(begun);
        done = was_done(step, &member, members);
        write_end(begun, step, &member, members, done, plan);
        if (done) {
            membership_note(step, &member, members, note);
            reply->remembering = true;
            members_audit_respond(step, &member, note,
                                  state_revision(plan->scratch), reply);
            remember(begun, step, &member, plan, reply, &arena);
        }
    }
    arena_close(&arena);
    return done;
}
