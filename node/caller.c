/* SPDX-License-Identifier: Apache-2.0 */
#include "node/caller.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/log.h"
#include "node/api_access.h"
#include "node/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

_Static_assert(SECRET_SHA256 == SECRET_HASH_BYTES, "of tls/ and of state/");
_Static_assert(TLS_NAME_MAX < SUBJECT_BYTES, "a grant can name everybody");

#define TOKEN_TEXT "token:"

/* A token as another node found it. */
static bool read_hash(const char *text, struct caller *caller)
{
    static const char digits[] = "0123456789abcdef";

    if (strlen(text) != (size_t)2 * SECRET_SHA256 ||
        strspn(text, digits) != (size_t)2 * SECRET_SHA256) {
        return false;
    }
    for (size_t i = 0; i < SECRET_SHA256; i++) {
        caller->secret_hash[i] =
            (uint8_t)((strchr(digits, text[2 * i]) - digits) << 4 |
                      (strchr(digits, text[2 * i + 1]) - digits));
    }
    caller->role = TLS_ROLE_CLIENT;
    caller->by_token = true;
    return true;
}

static bool read_text(const char *text, struct caller *caller)
{
    if (strncmp(text, TOKEN_TEXT, strlen(TOKEN_TEXT)) == 0) {
        return read_hash(text + strlen(TOKEN_TEXT), caller);
    }
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
    int len;

    if (!caller->by_token) {
        snprintf(text, CALLER_TEXT_BYTES, "%s:%s", tls_role_name(caller->role),
                 caller->name);
        return;
    }
    len = snprintf(text, CALLER_TEXT_BYTES, "%s", TOKEN_TEXT);
    for (size_t i = 0; i < SECRET_SHA256; i++) {
        len += snprintf(text + len, CALLER_TEXT_BYTES - (size_t)len, "%02x",
                        caller->secret_hash[i]);
    }
}

/* RFC 6750: the scheme's name in any case. */
static void find_token(const struct rpc_call *call, struct caller *caller)
{
    static const char scheme[] = "bearer ";
    const char *value = rpc_call_metadata(call, CALLER_TOKEN_KEY);

    if (value == NULL) {
        return;
    }
    caller->role = TLS_ROLE_CLIENT;
    caller->by_token = true;
    caller->name[0] = '\0';
    caller->token_is_none =
        strncasecmp(value, scheme, strlen(scheme)) != 0 ||
        !secret_hash(value + strlen(scheme), caller->secret_hash);
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
        find_token(call, caller);
        return passed_on == NULL || read_text(passed_on, caller);
    }
    caller->role = identity->role;
    snprintf(caller->name, sizeof(caller->name), "%s", identity->name);
    if (identity->role == TLS_ROLE_NONE || identity->role == TLS_ROLE_CLIENT) {
        find_token(call, caller);
    }
    if (identity->role != TLS_ROLE_NODE) {
        return !marked;
    }
    return !marked || (passed_on != NULL && read_text(passed_on, caller));
}

uint64_t caller_certificate_end(const struct rpc_call *call)
{
    const struct tls_identity *identity = rpc_call_identity(call);
    const char *passed_on = rpc_call_metadata(call, NODE_CALLER_END_KEY);

    if (identity != NULL && identity->role == TLS_ROLE_NODE &&
        passed_on != NULL) {
        return strtoull(passed_on, NULL, 10);
    }
    return identity == NULL ? 0 : identity->not_after_s;
}

/* Of a caller that was found. */
static void subject_of(const struct rpc_call *call, const struct caller *caller,
                       struct access_subject *subject)
{
    memset(subject, 0, sizeof(*subject));
    if (caller->by_token) {
        subject->source = SUBJECT_BY_TOKEN;
        memcpy(subject->secret_hash, caller->secret_hash, SECRET_HASH_BYTES);
    } else if (rpc_call_identity(call) != NULL) {
        subject->source = SUBJECT_BY_CERTIFICATE;
        memcpy(subject->name, caller->name, sizeof(caller->name));
    }
}

void caller_subject(const struct rpc_call *call, struct access_subject *subject)
{
    struct caller caller;

    if (caller_find(call, &caller)) {
        subject_of(call, &caller, subject);
    } else {
        /* Not admitted: nobody's name. */
        memset(subject, 0, sizeof(*subject));
        subject->source = SUBJECT_BY_CERTIFICATE;
    }
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

static void log_refusal(struct node *node, struct rpc_call *call,
                        const struct caller *caller, const char *reason)
{
    uint64_t now_ms = clock_boot_ms();

    if (node->refused_told_ms == 0 ||
        now_ms - node->refused_told_ms >= REFUSED_TOLD_MS) {
        node->refused_told_ms = now_ms;
        log_warn("call.refused",
                 "peer=%s role=%s name=\"%s\" method=%s reason=%s",
                 rpc_call_peer(call),
                 caller->by_token ? "token" : tls_role_name(caller->role),
                 caller->name, rpc_call_path(call), reason);
    }
}

void caller_log_refusal(struct node *node, struct rpc_call *call,
                        const char *reason)
{
    struct caller caller;

    (void)caller_find(call, &caller);
    log_refusal(node, call, &caller, reason);
}

static void refuse(struct node *node, struct rpc_call *call,
                   enum api_error error, const struct caller *caller)
{
    const struct api_error_entry *entry = api_error_entry(error);

    log_refusal(node, call, caller, entry->reason);
    rpc_call_trailer(call, "holdfast-reason", entry->reason);
    rpc_call_finish(call, entry->code, "%s %s", entry->meaning, entry->cure);
}

bool caller_allow(struct node *node, struct rpc_call *call,
                  const struct access_subject *subject)
{
    const char *path = rpc_call_path(call);
    struct api_reply reply;
    struct access access;
    bool allowed;

    api_reply_init(&reply);
    reply.caller = subject;
    reply.wall_ms = clock_wall_ms();
    allowed = api_allow(node->engine.state, path, access_permission_of(path),
                        &reply, &access);
    if (!allowed) {
        caller_log_refusal(node, call, reply.reason);
        rpc_call_trailer(call, "holdfast-reason", reply.reason);
        rpc_call_finish(call, reply.code, "%s", reply.message);
    }
    api_reply_close(&reply);
    return allowed;
}

uint64_t caller_next_end(const struct node *node,
                         const struct access_subject *subject)
{
    struct access access;

    access_decide(node->engine.state, subject, PERMISSION_ASK, clock_wall_ms(),
                  &access);
    return access.next_end_ms;
}

bool caller_admit(struct node *node, struct rpc_call *call)
{
    unsigned roles = roles_for(rpc_call_path(call));
    struct caller caller;
    bool found = caller_find(call, &caller);

    if (rpc_call_identity(call) == NULL) {
        /* Loopback without TLS: docs/security.md. */
        if (found && !caller.token_is_none) {
            return true;
        }
        refuse(node, call, found ? API_TOKEN_UNKNOWN : API_NOT_ALLOWED,
               &caller);
        return false;
    }
    if (!found) {
        refuse(node, call, API_NOT_ALLOWED, &caller);
        return false;
    }
    if (caller.token_is_none) {
        refuse(node, call, API_TOKEN_UNKNOWN, &caller);
        return false;
    }
    if ((roles >> caller.role & 1) != 0) {
        return true;
    }
    refuse(node, call,
           caller.role == TLS_ROLE_NONE ? API_UNAUTHENTICATED : API_NOT_ALLOWED,
           &caller);
    return false;
}

/* By its own word; a client that retries by itself, as gRPC's service
 * configuration lets it, says it in the standard's words. */
bool caller_repeats(const struct rpc_call *call)
{
    static const char *const keys[] = {"holdfast-previous-attempts",
                                       RPC_PREVIOUS_ATTEMPTS};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *value = rpc_call_metadata(call, keys[i]);

        if (value != NULL && strcmp(value, "0") != 0) {
            return true;
        }
    }
    return false;
}

static bool token_is_known(const struct node *node,
                           const struct access_subject *subject)
{
    struct access access;

    access_decide(node->engine.state, subject, PERMISSION_ASK, clock_wall_ms(),
                  &access);
    return access.verdict == ACCESS_ALLOWED;
}

#define ACCOUNT_BYTES (CALLER_TEXT_BYTES + 64)

/* Who is counted together. Those who show nothing that is known here are told
 * apart by their addresses: a guessed token makes nobody new. */
static void account_name(struct node *node, struct rpc_call *call,
                         const struct caller *caller, char name[ACCOUNT_BYTES])
{
    const char *peer = rpc_call_peer(call);
    const char *port = strrchr(peer, ':');
    struct access_subject subject;

    subject_of(call, caller, &subject);
    if (caller->by_token ? token_is_known(node, &subject)
                         : caller->role != TLS_ROLE_NONE) {
        if (caller->by_token) {
            rpc_call_vouch(call);
        }
        caller_text(caller, name);
        return;
    }
    snprintf(name, ACCOUNT_BYTES, "nobody@%.*s",
             port == NULL ? 0 : (int)(port - peer), peer);
}

static void refuse_for_limit(struct node *node, struct rpc_call *call,
                             const struct caller *caller,
                             enum limiter_verdict verdict, uint64_t retry_ms)
{
    const struct api_error_entry *entry = api_error_entry(API_OVER_LIMIT);
    char limit[64];
    char retry[24];

    limiter_explain(&node->limiter, verdict, limit, sizeof(limit));
    snprintf(retry, sizeof(retry), "%" PRIu64, retry_ms);
    log_refusal(node, call, caller, entry->reason);
    rpc_call_trailer(call, "holdfast-reason", entry->reason);
    rpc_call_trailer(call, "grpc-retry-pushback-ms", retry);
    rpc_call_finish(call, entry->code,
                    "this node gives one caller at most %s; retry in %" PRIu64
                    " ms",
                    limit, retry_ms);
}

bool caller_limit(struct node *node, struct rpc_call *call)
{
    const struct rpc_method *method = rpc_call_method(call);
    char name[ACCOUNT_BYTES];
    struct caller caller;
    enum limiter_verdict verdict;
    struct rpc_account *account;
    uint64_t retry_ms;

    CHECK(caller_find(call, &caller));
    if ((roles_for(method->path) >> TLS_ROLE_CLIENT & 1) == 0 ||
        caller.role == TLS_ROLE_NODE || caller.role == TLS_ROLE_AGENT) {
        return true;
    }
    account_name(node, call, &caller, name);
    verdict = limiter_admit(&node->limiter, name,
                            method->client_streams || method->server_streams,
                            clock_boot_ms(), &account, &retry_ms);
    if (verdict != LIMITER_ADMITTED) {
        refuse_for_limit(node, call, &caller, verdict, retry_ms);
        return false;
    }
    rpc_call_charge(call, account);
    return true;
}
