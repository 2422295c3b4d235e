/* SPDX-License-Identifier: Apache-2.0 */
#include "client/contact.h"

#include "base/check.h"
#include "client/status.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static enum hf_code add_endpoint(struct contact *contact, const char *text,
                                 size_t len, struct hf_status *status)
{
    char host[RPC_ENDPOINT_HOST_MAX + 1];
    uint16_t port;
    struct endpoint *endpoint;

    if (contact->attempts.endpoint_count == HF_ENDPOINTS_MAX) {
        return status_set(status, HF_STATUS_INVALID_ARGUMENT,
                          "more than %d endpoints", HF_ENDPOINTS_MAX);
    }
    endpoint = &contact->endpoints[contact->attempts.endpoint_count];
    (void)snprintf(endpoint->address, sizeof(endpoint->address), "%.*s",
                   (int)(len < RPC_ENDPOINT_MAX ? len : RPC_ENDPOINT_MAX),
                   text);
    if (len > RPC_ENDPOINT_MAX ||
        !rpc_endpoint_parse(endpoint->address, host, &port)) {
        return status_set(status, HF_STATUS_INVALID_ARGUMENT,
                          "`%s` is not HOST:PORT", endpoint->address);
    }
    contact->attempts.endpoint_count++;
    return HF_STATUS_OK;
}

enum hf_code contact_init(struct contact *contact, const char *endpoints,
                          struct hf_status *status)
{
    enum hf_code code = HF_STATUS_OK;
    uint64_t seed;

    memset(status, 0, sizeof(*status));
    memset(contact, 0, sizeof(*contact));
    CHECK(getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed));
    attempts_init(&contact->attempts, seed);
    contact->timeout_ms = CONTACT_TIMEOUT_MS;
    while (code == HF_STATUS_OK && endpoints[0] != '\0') {
        size_t len = strcspn(endpoints, ",");

        code = add_endpoint(contact, endpoints, len, status);
        endpoints += len + (endpoints[len] == ',');
    }
    if (code == HF_STATUS_OK && contact->attempts.endpoint_count == 0) {
        code = status_set(status, HF_STATUS_INVALID_ARGUMENT,
                          "no endpoint was given");
    }
    return code;
}

void contact_close(struct contact *contact)
{
    tls_destroy(contact->tls);
}

enum hf_code contact_use_tls(struct contact *contact,
                             const struct hf_tls *files,
                             struct hf_status *status)
{
    const struct tls_files own = {.certificate = files->certificate,
                                  .key = files->key,
                                  .node_ca = files->ca};
    char error[HF_MESSAGE_MAX];

    memset(status, 0, sizeof(*status));
    if (contact->tls != NULL) {
        return status_set(status, HF_STATUS_FAILED_PRECONDITION,
                          "TLS is set once, before the first call");
    }
    contact->tls = tls_create(&own, error, sizeof(error));
    return contact->tls != NULL
               ? HF_STATUS_OK
               : status_set(status, HF_STATUS_INVALID_ARGUMENT, "%s", error);
}

/* By what it is called: a name may lead anywhere. */
static bool is_this_machine(const char *address)
{
    char host[RPC_ENDPOINT_HOST_MAX + 1];
    uint16_t port;

    CHECK(rpc_endpoint_parse(address, host, &port));
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

enum hf_code contact_use_token(struct contact *contact, const char *token,
                               struct hf_status *status)
{
    uint8_t hash[SECRET_SHA256];

    memset(status, 0, sizeof(*status));
    if (!secret_hash(token, hash)) {
        return status_set(status, HF_STATUS_INVALID_ARGUMENT,
                          "the token has not the form of one: hf_ and 64 "
                          "hexadecimal digits");
    }
    for (size_t i = 0; i < contact->attempts.endpoint_count; i++) {
        if (contact->tls == NULL &&
            !is_this_machine(contact->endpoints[i].address)) {
            return status_set(status, HF_STATUS_FAILED_PRECONDITION,
                              "a token goes to %s over TLS only",
                              contact->endpoints[i].address);
        }
    }
    (void)snprintf(contact->authorization, sizeof(contact->authorization),
                   "Bearer %s", token);
    return HF_STATUS_OK;
}

void contact_set_timeout(struct contact *contact, uint32_t timeout_ms)
{
    CHECK(timeout_ms > 0);
    contact->timeout_ms = timeout_ms;
}

const char *contact_endpoint(const struct contact *contact, size_t index)
{
    CHECK(index < contact->attempts.endpoint_count);
    return contact->endpoints[index].address;
}

const char *contact_endpoint_error(const struct contact *contact, size_t index)
{
    CHECK(index < contact->attempts.endpoint_count);
    return contact->endpoints[index].error;
}

void contact_note_error(struct contact *contact, size_t index,
                        const char *error)
{
    CHECK(index < contact->attempts.endpoint_count);
    (void)snprintf(contact->endpoints[index].error,
                   sizeof(contact->endpoints[index].error), "%s", error);
}
