/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api_errors.h"

#include "base/check.h"

#include <string.h>

#include <stddef.h>

static const struct api_error_entry entries[API_ERROR_COUNT] = {
    [API_INVALID_FIELD] = {RPC_INVALID_ARGUMENT, "INVALID_FIELD",
                           "A field breaks its rule; the message names it.",
                           "Correct the request."},
    [API_REQUEST_ID_REUSED] = {RPC_INVALID_ARGUMENT, "REQUEST_ID_REUSED",
                               "The request id was used for another request.",
                               "Use a new id for a new request."},
    [API_UNSAFE_SETTINGS] = {RPC_INVALID_ARGUMENT, "UNSAFE_SETTINGS",
                             "These settings could let two copies of a VM run.",
                             "Keep to the formula in the message."},
    [API_SETTINGS_UNSETTLED] = {RPC_FAILED_PRECONDITION, "SETTINGS_UNSETTLED",
                                "Leases under the former settings may still "
                                "run.",
                                "Wait for one lease_wait_ms, then retry."},
    [API_VM_NOT_FOUND] = {RPC_NOT_FOUND, "VM_NOT_FOUND",
                          "There is no VM of that name.",
                          "List the VMs; it may be deleted."},
    [API_ZONE_NOT_FOUND] = {RPC_NOT_FOUND, "ZONE_NOT_FOUND",
                            "There is no zone of that name.",
                            "List the zones, or create it."},
    [API_CLASS_NOT_FOUND] = {RPC_NOT_FOUND, "CLASS_NOT_FOUND",
                             "There is no class of that name.",
                             "List the classes, or create it."},
    [API_HOST_NOT_FOUND] = {RPC_NOT_FOUND, "HOST_NOT_FOUND",
                            "There is no host of that name.",
                            "List the hosts; its agent may never have "
                            "registered."},
    [API_NODE_NOT_FOUND] = {RPC_NOT_FOUND, "NODE_NOT_FOUND",
                            "There is no node of that name.",
                            "List the nodes."},
    [API_NAME_TAKEN] = {RPC_ALREADY_EXISTS, "NAME_TAKEN",
                        "An object of that kind has this name already.",
                        "Choose another name, or use what exists."},
    [API_REVISION_CONFLICT] = {RPC_ABORTED, "REVISION_CONFLICT",
                               "The object changed since expect_revision.",
                               "Read it again, decide again, then retry."},
    [API_CLASS_IN_USE] = {RPC_FAILED_PRECONDITION, "CLASS_IN_USE",
                          "VMs, groups or reservations are of this class.",
                          "Delete them first; to change its size, stop its "
                          "VMs."},
    [API_VM_DELETING] = {RPC_FAILED_PRECONDITION, "VM_DELETING",
                         "A delete of the VM was accepted; it is final.",
                         "Wait until it is gone, then create it anew."},
    [API_VM_NOT_RUNNING] = {RPC_FAILED_PRECONDITION, "VM_NOT_RUNNING",
                            "The VM has no host, so it cannot be moved.",
                            "Start it first."},
    [API_VM_MOVING] = {RPC_FAILED_PRECONDITION, "VM_MOVING",
                       "A move of the VM is under way.",
                       "Wait until it is done."},
    [API_TARGET_REFUSED] = {RPC_FAILED_PRECONDITION, "TARGET_REFUSED",
                            "The VM's rules or the target's state forbid it.",
                            "Choose another target; the message says why."},
    [API_POOL_UNKNOWN] = {RPC_FAILED_PRECONDITION, "POOL_UNKNOWN",
                          "No host ever reported this storage pool.",
                          "Mount it on hosts and name it in their "
                          "configuration."},
    [API_HOST_ALIVE] = {RPC_FAILED_PRECONDITION, "HOST_ALIVE",
                        "The host's agent still renews its lease.",
                        "Stop the agent or cut the host's power first."},
    [API_TRANSFER_REFUSED] = {RPC_FAILED_PRECONDITION, "TRANSFER_REFUSED",
                              "Leadership could not be handed over.",
                              "Look at `holdfast cluster nodes`; the target "
                              "may be behind or unreachable."},
    [API_TABLE_FULL] = {RPC_RESOURCE_EXHAUSTED, "TABLE_FULL",
                        "The region holds as many of these as it can.",
                        "Delete some; docs/api.md lists the limits."},
    [API_LANE_FULL] = {RPC_RESOURCE_EXHAUSTED, "LANE_FULL",
                       "Too many requests wait.",
                       "Retry after the time that the trailer says."},
    [API_NO_LEADER] = {RPC_UNAVAILABLE, "NO_LEADER",
                       "No leader is known, or it has no quorum; nothing was "
                       "changed.",
                       "Retry, also at another node."},
    [API_OUTCOME_UNKNOWN] = {RPC_UNAVAILABLE, "OUTCOME_UNKNOWN",
                             "Leadership was lost on the way; the change may "
                             "or may not take effect.",
                             "Retry with the same request_id."},
    [API_DRAINING] = {RPC_UNAVAILABLE, "DRAINING", "The node is shutting down.",
                      "Use another node."},
    [API_HOST_NAME_TAKEN] = {RPC_ALREADY_EXISTS, "HOST_NAME_TAKEN",
                             "Another machine holds this host name.",
                             "Give the host another name, or declare the "
                             "former one dead."},
    [API_HOST_STILL_LEASED] = {RPC_ALREADY_EXISTS, "HOST_STILL_LEASED",
                               "A machine with this host name and host id, but "
                               "of another boot, holds a lease that has not "
                               "ended.",
                               "After a boot, nothing: the agent is let in "
                               "when the former lease is over. If another live "
                               "machine uses the name, this one is a clone: "
                               "give it another name and an empty state_dir."},
    [API_HOST_ZONE_CHANGED] = {RPC_FAILED_PRECONDITION, "HOST_ZONE_CHANGED",
                               "The host has VMs and says another zone.",
                               "Correct its configuration, or move its VMs "
                               "away first."},
    [API_OTHER_REGION] = {RPC_FAILED_PRECONDITION, "OTHER_REGION",
                          "The host holds VMs of another region, whose "
                          "numbers may be those of other VMs here.",
                          "Point the agent back at its region; or stop those "
                          "VMs, or reboot the host, and it joins this one."},
    [API_SESSION_REPLACED] = {RPC_ABORTED, "SESSION_REPLACED",
                              "The host opened a newer session.",
                              "Nothing; the newer one counts."},
    [API_HELLO_EXPECTED] = {RPC_INVALID_ARGUMENT, "HELLO_EXPECTED",
                            "A session begins with one Hello.",
                            "Correct the agent."},
    [API_AUDIT_GONE] = {RPC_OUT_OF_RANGE, "AUDIT_GONE",
                        "The audit record behind that number is not kept.",
                        "Export from the first one; what is missing between "
                        "was not exported in time."},
    [API_JOIN_TOKEN_NOT_FOUND] = {RPC_NOT_FOUND, "JOIN_TOKEN_NOT_FOUND",
                                  "There is no token to join for this host.",
                                  "List the tokens to join."},
    [API_JOIN_REFUSED] = {RPC_UNAUTHENTICATED, "JOIN_REFUSED",
                          "The token lets nobody in, or not this host: it is "
                          "unknown, expired, used, or another host's.",
                          "Make another one: holdfast host token create."},
    [API_JOIN_OFF] = {RPC_FAILED_PRECONDITION, "JOIN_OFF",
                      "The leader cannot sign certificates of agents.",
                      "Set tls.agent_ca_key on all nodes, or issue the "
                      "certificate by holdfast cert issue."},
    [API_WATCH_COMPACTED] = {RPC_OUT_OF_RANGE, "WATCH_COMPACTED",
                             "Events after that revision are no longer kept.",
                             "List again and watch from the list's revision."},
    [API_UNAUTHENTICATED] =
        {RPC_UNAUTHENTICATED, "UNAUTHENTICATED",
         "The call came without a certificate and without a "
         "token.",
         "Use a client certificate of the region "
         "(`holdfast cert issue`) or a token (`holdfast "
         "token create`)."},
    [API_NOT_ALLOWED] = {RPC_PERMISSION_DENIED, "NOT_ALLOWED",
                         "The caller's certificate is not one for this call.",
                         "Call with a certificate for it: agents speak for "
                         "their own host, nodes for themselves, clients for "
                         "people."},
    [API_GROUP_NOT_FOUND] = {RPC_NOT_FOUND, "GROUP_NOT_FOUND",
                             "There is no group of that name.",
                             "List the groups, or create it."},
    [API_RESERVATION_NOT_FOUND] = {RPC_NOT_FOUND, "RESERVATION_NOT_FOUND",
                                   "There is no reservation of that name.",
                                   "List the reservations, or create it."},
    [API_RULES_CONFLICT] = {RPC_FAILED_PRECONDITION, "RULES_CONFLICT",
                            "Two rules can never be kept at once; the message "
                            "names both.",
                            "Change one of them."},
    [API_GROUP_DELETING] = {RPC_FAILED_PRECONDITION, "GROUP_DELETING",
                            "A delete of the group was accepted; it is final.",
                            "Wait until it is gone, then create it anew."},
    [API_GROUP_HAS_JOINED] = {RPC_FAILED_PRECONDITION, "GROUP_HAS_JOINED",
                              "VMs that were made by hand are in the group.",
                              "Delete them first, or say with_joined to delete "
                              "them too."},
    [API_HEADROOM] = {RPC_FAILED_PRECONDITION, "HEADROOM",
                      "Afterwards the loss of a zone could not be survived, "
                      "and the settings say `headroom: enforce`.",
                      "Add hosts or free capacity; the message says which zone "
                      "and how much is missing. A drain may `accept_risk`."},
    [API_HEADROOM_UNKNOWN] = {RPC_UNAVAILABLE, "HEADROOM_UNKNOWN",
                              "The leader is still working out whether the "
                              "loss of each zone is survived; nothing was "
                              "changed.",
                              "Retry."},
    [API_QUORUM_NEEDED] = {RPC_FAILED_PRECONDITION, "QUORUM_NEEDED",
                           "Without the zone's nodes those that answer are no "
                           "majority: switching the zone off would stop the "
                           "region.",
                           "Bring the other zones' nodes back first, or "
                           "`accept_risk`."},
    [API_PLAN_NOT_FOUND] = {RPC_NOT_FOUND, "PLAN_NOT_FOUND",
                            "The plan is too old, or of another leader.",
                            "Make it again."},
    [API_PLAN_STALE] = {RPC_ABORTED, "PLAN_STALE",
                        "What the plan rests on has changed since.",
                        "Make it again, and look at it again."},
    [API_PLAN_NOT_APPLICABLE] =
        {RPC_FAILED_PRECONDITION, "PLAN_NOT_APPLICABLE",
         "A plan of a loss, or of what is not there, is "
         "nothing to apply.",
         "Nothing; it shows what would happen."},
    [API_PLANS_BUSY] = {RPC_RESOURCE_EXHAUSTED, "PLANS_BUSY",
                        "Too many plans wait to be worked out.",
                        "Retry after the time that the trailer says."},
    [API_ROLE_NEEDED] = {RPC_PERMISSION_DENIED, "ROLE_NEEDED",
                         "The caller has no role that may do this; the message "
                         "says which roles may.",
                         "Ask an administrator for a grant."},
    [API_OUT_OF_SCOPE] = {RPC_PERMISSION_DENIED, "OUT_OF_SCOPE",
                          "The caller's role is for other zones or labels than "
                          "what would be changed.",
                          "Ask an administrator for a grant that covers it."},
    [API_TOKEN_UNKNOWN] = {RPC_UNAUTHENTICATED, "TOKEN_UNKNOWN",
                           "The bearer token is none of this region's, was "
                           "deleted, or has not the form of one.",
                           "Use another token, or a certificate."},
    [API_TOKEN_EXPIRED] = {RPC_UNAUTHENTICATED, "TOKEN_EXPIRED",
                           "The bearer token's end has come.",
                           "Use another token, or let an administrator give "
                           "this one another end (`holdfast token update`)."},
    [API_GRANT_NOT_FOUND] = {RPC_NOT_FOUND, "GRANT_NOT_FOUND",
                             "There is no grant with this name.",
                             "List the grants."},
    [API_FIRST_GRANT] = {RPC_FAILED_PRECONDITION, "FIRST_GRANT",
                         "The first grant must make the caller's certificate "
                         "an administrator's, or everybody would be locked "
                         "out.",
                         "Grant yourself admin first."},
    [API_LAST_ADMIN] = {RPC_FAILED_PRECONDITION, "LAST_ADMIN",
                        "The grant is the last administrator's that never "
                        "ends.",
                        "Make another administrator first."},
    [API_FIELD_FIXED] = {RPC_FAILED_PRECONDITION, "FIELD_FIXED",
                         "The object of a manifest exists with another value "
                         "in a field that cannot be changed.",
                         "Delete it and apply again, or give the new one "
                         "another name."},
    [API_MANIFEST_TOO_LARGE] = {RPC_RESOURCE_EXHAUSTED, "MANIFEST_TOO_LARGE",
                                "What the manifest changes does not fit one "
                                "decision; nothing was changed.",
                                "Split the file and apply its parts one after "
                                "the other."},
    [API_NODE_ID_USED] = {RPC_ALREADY_EXISTS, "NODE_ID_USED",
                          "The id is a member's, or was one's: a node that "
                          "comes back under it could break promises.",
                          "Take a higher id; the message says which is free."},
    [API_NODE_BEHIND] = {RPC_FAILED_PRECONDITION, "NODE_BEHIND",
                         "The standby has not caught up with the leader's "
                         "log.",
                         "Wait; `holdfast node list` shows its lag."},
    [API_NODE_SILENT] = {RPC_FAILED_PRECONDITION, "NODE_SILENT",
                         "The standby does not answer.",
                         "Start it, or correct its address: remove it and add "
                         "it under a new id."},
    [API_NODE_LEADS] = {RPC_FAILED_PRECONDITION, "NODE_LEADS",
                        "The node leads the region.",
                        "Hand over first: `holdfast cluster transfer`."},
    [API_QUORUM_AT_RISK] =
        {RPC_FAILED_PRECONDITION, "QUORUM_AT_RISK",
         "The voters that answer would be no majority after the change: "
         "nothing could be decided any more.",
         "Bring a silent voter back, or remove the one that is dead first."},
    [API_TOO_FEW_VOTERS] =
        {RPC_FAILED_PRECONDITION, "TOO_FEW_VOTERS",
         "Fewer than three voters would be left, which survive no loss.",
         "Add and promote another node first (`holdfast node replace` does), "
         "or say that fewer are meant (`--allow-fewer-voters`)."},
    [API_MEMBERS_CHANGING] = {RPC_ABORTED, "MEMBERS_CHANGING",
                              "Another change of members is not over yet, or "
                              "leadership is being handed over.",
                              "Ask again in a moment."},
    [API_OVER_LIMIT] = {RPC_RESOURCE_EXHAUSTED, "OVER_LIMIT",
                        "The caller asks more of this node than it gives one: "
                        "calls a second, open streams, or bytes under way.",
                        "Retry after the time that the trailer says, and less "
                        "often; `caller_limits` in the node's configuration."},
    [API_PAGE_EXPIRED] =
        {RPC_ABORTED, "PAGE_EXPIRED",
         "The list that the page belongs to is no longer "
         "kept: it rested for a minute, too many others began, "
         "or another node answers.",
         "List again from the first page."},
    [API_OPERATION_NOT_FOUND] =
        {RPC_NOT_FOUND, "OPERATION_NOT_FOUND",
         "The region does not tell of this operation: it never was, or its "
         "object had a newer one since.",
         "Look at the object, or list the operations."},
    [API_OPERATION_NOT_CANCELLABLE] =
        {RPC_FAILED_PRECONDITION, "OPERATION_NOT_CANCELLABLE",
         "The operation is over, or is of a kind that only goes forward.",
         "Ask for what you want instead; the message says how."},
    [API_WAITS_BUSY] = {RPC_RESOURCE_EXHAUSTED, "WAITS_BUSY",
                        "Too many calls wait for operations.",
                        "Retry after the time that the trailer says, or ask "
                        "with GetOperation."},
};

const char *api_error_reason(const char *reason)
{
    for (int i = 0; i < API_ERROR_COUNT; i++) {
        if (entries[i].reason != NULL &&
            strcmp(entries[i].reason, reason) == 0) {
            return entries[i].reason;
        }
    }
    return "";
}

const struct api_error_entry *api_error_entry(enum api_error error)
{
    CHECK(error < API_ERROR_COUNT && entries[error].reason != NULL);
    return &entries[error];
}
