/* SPDX-License-Identifier: Apache-2.0 */
#include "node/member_change.h"

#include "node/api_check.h"
#include "rpc/address.h"

#include <string.h>

#include <holdfast/v1/cluster_service.pb-c.h>

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

/* The reason goes on record with it. */
enum membership_verdict member_change_judge(enum membership_step step,
                                            const ProtobufCMessage *message,
                                            const struct membership *now,
                                            struct membership_change *change,
                                            struct api_reply *reply)
{
    const Holdfast__V1__AddNodeRequest *add = (const void *)message;
    const Holdfast__V1__PromoteNodeRequest *promote = (const void *)message;
    const Holdfast__V1__RemoveNodeRequest *removal = (const void *)message;
    struct member wanted;

    switch (step) {
    case MEMBERSHIP_ADD:
        return api_check_reason(reply, add->reason) &&
                       check_wanted(add, &wanted, reply)
                   ? membership_add(now, &wanted, change, reply)
                   : MEMBERSHIP_REFUSED;
    case MEMBERSHIP_PROMOTE:
        return api_check_reason(reply, promote->reason)
                   ? membership_promote(now, promote->name, change, reply)
                   : MEMBERSHIP_REFUSED;
    default:
        return api_check_reason(reply, removal->reason)
                   ? membership_remove(now, removal->name,
                                       removal->allow_fewer_voters, change,
                                       reply)
                   : MEMBERSHIP_REFUSED;
    }
}
