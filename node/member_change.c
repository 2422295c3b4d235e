/* SPDX-License-Identifier: Apache-2.0 */
#include "node/member_change.h"

#include "base/check.h"
#include "base/container.h"
#include "base/error.h"
#include "node/api_check.h"
#include "rpc/address.h"

#include <string.h>

#include <holdfast/v1/cluster_service.pb-c.h>

const struct member_change_method member_change_methods[MEMBER_CHANGE_KINDS] = {
    [MEMBER_ADD] = {"/holdfast.v1.ClusterService/AddNode",
                    &holdfast__v1__add_node_request__descriptor,
                    &holdfast__v1__add_node_response__descriptor},
    [MEMBER_PROMOTE] = {"/holdfast.v1.ClusterService/PromoteNode",
                        &holdfast__v1__promote_node_request__descriptor,
                        &holdfast__v1__promote_node_response__descriptor},
    [MEMBER_REMOVE] = {"/holdfast.v1.ClusterService/RemoveNode",
                       &holdfast__v1__remove_node_request__descriptor,
                       &holdfast__v1__remove_node_response__descriptor},
};

void member_change_look(struct membership *now, const struct members *members,
                        const struct replica *replica, uint64_t self)
{
    struct replica_status status;

    memset(now, 0, sizeof(*now));
    now->members = members;
    now->self = self;
    replica_status(replica, &status);
    for (size_t i = 0; i < members->count; i++) {
        for (size_t j = 0; j < status.peer_count; j++) {
            if (status.peers[j].id == members->items[i].id) {
                now->seen[i].snapshot = status.peers[j].snapshot;
                now->seen[i].lag_entries = status.peers[j].lag_entries;
            }
        }
    }
}

/* The three responses are laid out the same. */
static void respond(const struct member_change *change, uint64_t revision,
                    struct api_reply *reply)
{
    struct member member = change->change.member;
    char note[sizeof(change->change.note)];
    Holdfast__V1__AddNodeResponse added = HOLDFAST__V1__ADD_NODE_RESPONSE__INIT;
    Holdfast__V1__PromoteNodeResponse promoted =
        HOLDFAST__V1__PROMOTE_NODE_RESPONSE__INIT;
    Holdfast__V1__RemoveNodeResponse removed =
        HOLDFAST__V1__REMOVE_NODE_RESPONSE__INIT;
    Holdfast__V1__Node view;

    memcpy(note, change->change.note, sizeof(note));
    holdfast__v1__node__init(&view);
    view.name = member.name;
    view.id = member.id;
    view.zone = member.zone;
    view.address = member.address;
    view.role = HOLDFAST__V1__ROLE__ROLE_FOLLOWER;
    view.membership = member.role == REPLICA_VOTER
                          ? HOLDFAST__V1__MEMBERSHIP__MEMBERSHIP_VOTER
                          : HOLDFAST__V1__MEMBERSHIP__MEMBERSHIP_STANDBY;
    added.node = promoted.node = removed.node = &view;
    added.note = promoted.note = removed.note = note;
    added.revision = promoted.revision = removed.revision = revision;
    api_respond(reply, change->kind == MEMBER_ADD       ? &added.base
                       : change->kind == MEMBER_PROMOTE ? &promoted.base
                                                        : &removed.base);
}

void member_change_answer(const struct member_change *change,
                          enum replica_outcome outcome, uint64_t revision,
                          struct api_reply *reply)
{
    if (outcome == REPLICA_COMMITTED) {
        respond(change, revision, reply);
    } else {
        api_fail_plainly(reply, outcome == REPLICA_REFUSED
                                    ? API_NO_LEADER
                                    : API_OUTCOME_UNKNOWN);
    }
}

static bool check_wanted(const Holdfast__V1__AddNodeRequest *request,
                         struct member *wanted, struct api_reply *reply)
{
    struct sockaddr_storage where;

    if (!api_check_name(reply, "name", request->name) ||
        (request->zone[0] != '\0' &&
         !api_check_name(reply, "zone", request->zone)) ||
        !api_check_range(reply, "id", request->id, 1,
                         RAFT_NUMBER_MAX * 2 - 1)) {
        return false;
    }
    if (strlen(request->address) >= sizeof(wanted->address) ||
        rpc_address_parse(request->address, &where) != 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "address: '%.80s' is not IPv4:port or [IPv6]:port",
                 request->address);
        return false;
    }
    *wanted = (struct member){.id = request->id};
    memcpy(wanted->name, request->name, strlen(request->name));
    memcpy(wanted->zone, request->zone, strlen(request->zone));
    memcpy(wanted->address, request->address, strlen(request->address));
    return true;
}

static enum membership_verdict judge(struct member_change *change,
                                     const ProtobufCMessage *message,
                                     const struct membership *now,
                                     bool *dry_run, struct api_reply *reply)
{
    if (change->kind == MEMBER_ADD) {
        const Holdfast__V1__AddNodeRequest *request = (const void *)message;
        struct member wanted;

        *dry_run = request->dry_run;
        return check_wanted(request, &wanted, reply)
                   ? membership_add(now, &wanted, &change->change, reply)
                   : MEMBERSHIP_REFUSED;
    }
    if (change->kind == MEMBER_PROMOTE) {
        const Holdfast__V1__PromoteNodeRequest *request = (const void *)message;

        *dry_run = request->dry_run;
        return membership_promote(now, request->name, &change->change, reply);
    }
    const Holdfast__V1__RemoveNodeRequest *request = (const void *)message;

    *dry_run = request->dry_run;
    return membership_remove(now, request->name, request->allow_fewer_voters,
                             &change->change, reply);
}

static void decided(struct replica_reconfigure *reconfigure,
                    enum replica_outcome outcome, uint64_t index)
{
    struct member_change *change =
        container_of(reconfigure, struct member_change, reconfigure);

    change->done(change, outcome, index);
}

static enum member_change_begun propose(struct member_change *change,
                                        struct replica *replica,
                                        struct api_reply *reply)
{
    int rv = replica_reconfigure(replica, &change->change.next,
                                 &change->reconfigure, decided);

    CHECK(rv != HF_ERROR_INVALID); /* membership.h makes none such. */
    if (rv == 0) {
        return MEMBER_CHANGE_PROPOSED;
    }
    api_fail_plainly(reply, rv == HF_ERROR_BUSY ? API_MEMBERS_CHANGING
                                                : API_NO_LEADER);
    return MEMBER_CHANGE_REFUSED;
}

enum member_change_begun member_change_begin(struct member_change *change,
                                             const ProtobufCMessage *message,
                                             const struct membership *now,
                                             struct replica *replica,
                                             uint64_t revision,
                                             struct api_reply *reply)
{
    bool dry_run = false;

    if (!replica_members_committed(replica)) {
        api_fail_plainly(reply, API_MEMBERS_CHANGING);
        return MEMBER_CHANGE_REFUSED;
    }
    switch (judge(change, message, now, &dry_run, reply)) {
    case MEMBERSHIP_REFUSED:
        return MEMBER_CHANGE_REFUSED;
    case MEMBERSHIP_CHANGES:
        if (!dry_run) {
            return propose(change, replica, reply);
        }
        break;
    case MEMBERSHIP_ALREADY:
        break;
    }
    respond(change, revision, reply);
    return MEMBER_CHANGE_ANSWERED;
}
