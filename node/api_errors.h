/* SPDX-License-Identifier: Apache-2.0
 *
 * Every way in which the API says no: one registry, from which the table of
 * docs/api.md is generated (`holdfastd --error-table`). The reason goes to the
 * client in the trailer "holdfast-reason". */
#ifndef NODE_API_ERRORS_H
#define NODE_API_ERRORS_H

#include "rpc/status.h"

enum api_error {
    API_INVALID_FIELD,
    API_REQUEST_ID_REUSED,
    API_UNSAFE_SETTINGS,
    API_SETTINGS_UNSETTLED,
    API_VM_NOT_FOUND,
    API_ZONE_NOT_FOUND,
    API_CLASS_NOT_FOUND,
    API_HOST_NOT_FOUND,
    API_NODE_NOT_FOUND,
    API_NAME_TAKEN,
    API_REVISION_CONFLICT,
    API_CLASS_IN_USE,
    API_VM_DELETING,
    API_VM_NOT_RUNNING,
    API_VM_MOVING,
    API_TARGET_REFUSED,
    API_POOL_UNKNOWN,
    API_HOST_ALIVE,
    API_TRANSFER_REFUSED,
    API_TABLE_FULL,
    API_LANE_FULL,
    API_NO_LEADER,
    API_OUTCOME_UNKNOWN,
    API_DRAINING,
    API_HOST_NAME_TAKEN,
    API_HOST_STILL_LEASED,
    API_HOST_ZONE_CHANGED,
    API_OTHER_REGION,
    API_SESSION_REPLACED,
    API_HELLO_EXPECTED,
    API_WATCH_COMPACTED,
    API_AUDIT_GONE,
    API_JOIN_TOKEN_NOT_FOUND,
    API_JOIN_REFUSED,
    API_JOIN_OFF,
    API_UNAUTHENTICATED,
    API_NOT_ALLOWED,
    API_GROUP_NOT_FOUND,
    API_RESERVATION_NOT_FOUND,
    API_RULES_CONFLICT,
    API_GROUP_DELETING,
    API_GROUP_HAS_JOINED,
    API_HEADROOM,
    API_HEADROOM_UNKNOWN,
    API_QUORUM_NEEDED,
    API_PLAN_NOT_FOUND,
    API_PLAN_STALE,
    API_PLAN_NOT_APPLICABLE,
    API_PLANS_BUSY,
    API_ROLE_NEEDED,
    API_OUT_OF_SCOPE,
    API_TOKEN_UNKNOWN,
    API_TOKEN_EXPIRED,
    API_GRANT_NOT_FOUND,
    API_FIRST_GRANT,
    API_LAST_ADMIN,
    API_FIELD_FIXED,
    API_MANIFEST_TOO_LARGE,
    API_NODE_ID_USED,
    API_NODE_BEHIND,
    API_NODE_SILENT,
    API_NODE_LEADS,
    API_QUORUM_AT_RISK,
    API_TOO_FEW_VOTERS,
    API_MEMBERS_CHANGING,
    API_OVER_LIMIT,
    API_PAGE_EXPIRED,
    API_OPERATION_NOT_FOUND,
    API_OPERATION_NOT_CANCELLABLE,
    API_WAITS_BUSY,
    API_ERROR_COUNT
};

struct api_error_entry {
    enum rpc_code code;
    const char *reason;  /* Stable, for programs. */
    const char *meaning; /* One sentence. */
    const char *cure;    /* What the caller should do. */
};

const struct api_error_entry *api_error_entry(enum api_error error);

/* The reason as a lasting text; one that is not known here is "". */
const char *api_error_reason(const char *reason);

#endif
