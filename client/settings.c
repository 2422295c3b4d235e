/* SPDX-License-Identifier: Apache-2.0 */
#include "client/settings.h"

#include "base/check.h"
#include "client/status.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static enum hf_code add_endpoint(struct settings *settings, const char *text,
                                 size_t len, struct hf_status *status)
{
    char host[RPC_ENDPOINT_HOST_MAX + 1];
    uint16_t port;
    struct endpoint *endpoint;

    if (settings->policy.endpoint_count == HF_ENDPOINTS_MAX) {
        return status_set(status, HF_STATUS_INVALID_ARGUMENT,
                          "more than %d endpoints", HF_ENDPOINTS_MAX);
    }
    endpoint = &settings->endpoints[settings->policy.endpoint_count];
    (void)snprintf(endpoint->address, sizeof(endpoint->address), "%.*s",
                   (int)(len < RPC_ENDPOINT_MAX ? len : RPC_ENDPOINT_MAX),
                   text);
    if (len > RPC_ENDPOINT_MAX ||
        !rpc_endpoint_parse(endpoint->address, host, &port)) {
        return status_set(status, HF_STATUS_INVALID_ARGUMENT,
                          "`%s` is not HOST:PORT", endpoint->address);
    }
    settings->policy.endpoint_count++;
    return HF_STATUS_OK;
}

enum hf_code settings_init(struct settings *settings, const char *endpoints,
                           struct hf_status *status)
{
    enum hf_code code = HF_STATUS_OK;
    uint64_t seed;

    memset(status, 0, sizeof(*status));
    memset(settings, 0, sizeof(*settings));
    CHECK(getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed));
    policy_init(&settings->policy, seed);
    settings->timeout_ms = SETTINGS_TIMEOUT_MS;
    while (code == HF_STATUS_OK && endpoints[0] != '\0') {
        size_t len = strcspn(endpoints, ",");

        code = add_endpoint(settings, endpoints, len, status);
        endpoints += len + (endpoints[len] == ',');
    }
    if (code == HF_STATUS_OK && settings->policy.endpoint_count == 0) {
        code = status_set(status, HF_STATUS_INVALID_ARGUMENT,
                          "no endpoint was given");
    }
    return code;
}

void settings_close(struct settings *settings)
{
    tls_destroy(settings->tls);
}

enum hf_code settings_use_tls(struct settings *settings,
                              const struct hf_tls *files,
                              struct hf_status *status)
{
    const struct tls_files own = {.certificate = files->certificate,
                                  .key = files->key,
                                  .node_ca = files->ca};
    char error[HF_MESSAGE_MAX];

    memset(status, 0, sizeof(*status));
    if (settings->tls != NULL) {
        return status_set(status, HF_STATUS_FAILED_PRECONDITION,
                          "TLS is set once, before the first call");
    }
    settings->tls = tls_create(&own, error, sizeof(error));
    return settings->tls != NULL
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

enum hf_code settings_use_token(struct settings *settings, const char *token,
                                struct hf_status *status)
{
    uint8_t hash[SECRET_SHA256];

    memset(status, 0, sizeof(*status));
    if (!secret_hash(token, hash)) {
        return status_set(status, HF_STATUS_INVALID_ARGUMENT,
                          "the token has not the form of one: hf_ and 64 "
                          "hexadecimal digits");
    }
    for (size_t i = 0; i < settings->policy.endpoint_count; i++) {
        if (settings->tls == NULL &&
            !is_this_machine(settings->endpoints[i].address)) {
            return status_set(status, HF_STATUS_FAILED_PRECONDITION,
                              "a token goes to %s over TLS only",
                              settings->endpoints[i].address);
        }
    }
    (void)snprintf(settings->authorization, sizeof(settings->authorization),
                   "Bearer %s", token);
    return HF_STATUS_OK;
}

void settings_set_timeout(struct settings *settings, uint32_t timeout_ms)
{
    CHECK(timeout_ms > 0);
    settings->timeout_ms = timeout_ms;
}

const char *settings_endpoint(const struct settings *settings, size_t index)
{
    CHECK(index < settings->policy.endpoint_count);
    return settings->endpoints[index].address;
}

const char *settings_endpoint_error(const struct settings *settings,
                                    size_t index)
{
    CHECK(index < settings->policy.endpoint_count);
    return settings->endpoints[index].error;
}

void settings_note_error(struct settings *settings, size_t index,
                         const char *error)
{
    CHECK(index < settings->policy.endpoint_count);
    (void)snprintf(settings->endpoints[index].error,
                   sizeof(settings->endpoints[index].error), "%s", error);
}
