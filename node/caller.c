/* SPDX-License-Identifier: Apache-2.0 */
#include "node/caller.h"

#include "base/clock.h"
#include "base/log.h"
#include "node/api_errors.h"
#include "node/node.h"

#include <stdio.h>
#include <string.h>

static bool read_text(const char *text, struct caller *caller)
{
    for (int role = TLS_ROLE_NONE; role <= TLS_ROLE_CLIENT; role++) {
        const char *name = tls_role_name((enum tls_role)role);
        size_t len = strlen(name);

        if (strncmp(text, name, len) == 0 && text[len] == ':') {
            caller->role = (enum tls_role)role;
            snprintf(caller->name, sizeof(caller->name), "%s", text + len + 1);
            return true;
        }
    }
    return false;
}

void caller_text(const struct caller *caller, char text[CALLER_TEXT_BYTES])
{
    snprintf(text, CALLER_TEXT_BYTES, "%s:%s", tls_role_name(caller->role),
             caller->name);
}

bool caller_find(const struct rpc_call *call, struct caller *caller)
{
    const struct tls_identity *identity = rpc_call_identity(call);
    const char *passed_on = rpc_call_metadata(call, NODE_CALLER_KEY);
    bool marked =
        passed_on != NULL || rpc_call_metadata(call, NODE_FORWARD_KEY) != NULL;

    memset(caller, 0, sizeof(*caller));
    if (identity == NULL) {
        caller->role = TLS_ROLE_CLIENT;
        return true;
    }
    caller->role = identity->role;
    snprintf(caller->name, sizeof(caller->name), "%s", identity->name);
    if (identity->role != TLS_ROLE_NODE) {
        return !marked;
    }
    return !marked || (passed_on != NULL && read_text(passed_on, caller));
}

/* What a method is for: the roles that may call it, as a mask. */
static unsigned roles_for(const char *path)
{
    static const struct {
        const char *service;
        unsigned roles;
    } services[] = {
        /* Load balancers and people look whether somebody is there. */
        {"/grpc.health.v1.Health/", 1u << TLS_ROLE_NONE | 1u << TLS_ROLE_NODE |
                                        1u << TLS_ROLE_AGENT |
                                        1u << TLS_ROLE_CLIENT},
        {"/holdfast.v1.PeerService/", 1u << TLS_ROLE_NODE},
        {"/holdfast.v1.AgentService/", 1u << TLS_ROLE_AGENT},
    };

    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        if (strncmp(path, services[i].service, strlen(services[i].service)) ==
            0) {
            return services[i].roles;
        }
    }
    return 1u << TLS_ROLE_CLIENT;
}

/* Not every refusal of a flood is told. */
#define REFUSED_TOLD_MS 1000

static void refuse(struct node *node, struct rpc_call *call,
                   enum api_error error, const struct caller *caller)
{
    const struct api_error_entry *entry = api_error_entry(error);
    uint64_t now_ms = clock_boot_ms();

    if (node->refused_told_ms == 0 ||
        now_ms - node->refused_told_ms >= REFUSED_TOLD_MS) {
        node->refused_told_ms = now_ms;
        log_warn("call.refused",
                 "peer=%s role=%s name=\"%s\" method=%s reason=%s",
                 rpc_call_peer(call), tls_role_name(caller->role), caller->name,
                 rpc_call_path(call), entry->reason);
    }
    rpc_call_trailer(call, "holdfast-reason", entry->reason);
    rpc_call_finish(call, entry->code, "%s %s", entry->meaning, entry->cure);
}

bool caller_admit(struct node *node, struct rpc_call *call)
{
    struct caller caller;

    if (rpc_call_identity(call) == NULL) {
        return true; /* Loopback without TLS: docs/security.md. */
    }
    if (!caller_find(call, &caller)) {
        refuse(node, call, API_NOT_ALLOWED, &caller);
        return false;
    }
    if ((roles_for(rpc_call_path(call)) >> caller.role & 1) != 0) {
        return true;
    }
    refuse(node, call,
           caller.role == TLS_ROLE_NONE ? API_UNAUTHENTICATED : API_NOT_ALLOWED,
           &caller);
    return false;
}
