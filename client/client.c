/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"

#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"
#include "client/status.h"
#include "holdfast/v1/access_service.pb-c.h"
#include "holdfast/v1/class_service.pb-c.h"
#include "holdfast/v1/cluster_service.pb-c.h"
#include "holdfast/v1/group_service.pb-c.h"
#include "holdfast/v1/host_service.pb-c.h"
#include "holdfast/v1/manifest_service.pb-c.h"
#include "holdfast/v1/plan_service.pb-c.h"
#include "holdfast/v1/reservation_service.pb-c.h"
#include "holdfast/v1/vm_service.pb-c.h"
#include "holdfast/v1/watch_service.pb-c.h"
#include "holdfast/v1/zone_service.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* What a message of CONNECTION_MESSAGE_MAX may take unpacked. An honest one
 * takes a few times its size; one of empty sub-messages 50 times. */
#define UNPACK_MAX ((size_t)128 * 1024 * 1024)

const ProtobufCMethodDescriptor *hf_method_find(const char *method)
{
    static const ProtobufCServiceDescriptor *const services[] = {
        &holdfast__v1__cluster_service__descriptor,
        &holdfast__v1__zone_service__descriptor,
        &holdfast__v1__class_service__descriptor,
        &holdfast__v1__host_service__descriptor,
        &holdfast__v1__vm_service__descriptor,
        &holdfast__v1__group_service__descriptor,
        &holdfast__v1__reservation_service__descriptor,
        &holdfast__v1__plan_service__descriptor,
        &holdfast__v1__access_service__descriptor,
        &holdfast__v1__manifest_service__descriptor,
        &holdfast__v1__watch_service__descriptor,
    };
    const char *slash = strchr(method, '/');

    if (slash == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        const char *name = services[i]->short_name;
        size_t len = (size_t)(slash - method);

        if (strlen(name) == len && memcmp(name, method, len) == 0) {
            return protobuf_c_service_descriptor_get_method_by_name(services[i],
                                                                    slash + 1);
        }
    }
    return NULL;
}

void method_path(const char *method, char *path, size_t size)
{
    int len = snprintf(path, size, "/holdfast.v1.%s", method);

    CHECK(len > 0 && (size_t)len < size);
}

/* An allocator that gives out so much and no more. */
struct capped {
    ProtobufCAllocator allocator;
    size_t left;
};

static void *capped_alloc(void *data, size_t size)
{
    struct capped *capped = data;

    if (size > capped->left) {
        return NULL;
    }
    capped->left -= size;
    return malloc(size == 0 ? 1 : size);
}

static void capped_free(void *data, void *memory)
{
    (void)data;
    free(memory);
}

ProtobufCMessage *client_unpack(const ProtobufCMessageDescriptor *descriptor,
                                const uint8_t *data, size_t len)
{
    struct capped capped = {
        .allocator = {.alloc = capped_alloc, .free = capped_free},
        .left = UNPACK_MAX};

    capped.allocator.allocator_data = &capped;
    return protobuf_c_message_unpack(descriptor, &capped.allocator, len, data);
}

void hf_message_free(ProtobufCMessage *message)
{
    if (message != NULL) {
        protobuf_c_message_free_unpacked(message, NULL);
    }
}

uint64_t backoff_ms(unsigned round, struct random *random)
{
    uint64_t base = BACKOFF_FIRST_MS;

    CHECK(round >= 1);
    while (--round > 0 && base < BACKOFF_MAX_MS) {
        base *= 2;
    }
    base = base < BACKOFF_MAX_MS ? base : BACKOFF_MAX_MS;
    return base * 8 / 10 + random_below(random, base * 4 / 10 + 1);
}

static enum hf_code add_endpoint(struct hf_client *client, const char *text,
                                 size_t len, struct hf_status *status)
{
    char host[SOCKET_HOST_MAX + 1];
    uint16_t port;
    struct endpoint *endpoint;

    if (client->endpoint_count == HF_ENDPOINTS_MAX) {
        return status_set(status, HF_STATUS_INVALID_ARGUMENT,
                          "more than %d endpoints", HF_ENDPOINTS_MAX);
    }
    endpoint = &client->endpoints[client->endpoint_count];
    (void)snprintf(endpoint->address, sizeof(endpoint->address), "%.*s",
                   (int)(len < SOCKET_ENDPOINT_MAX ? len : SOCKET_ENDPOINT_MAX),
                   text);
    if (len > SOCKET_ENDPOINT_MAX ||
        !socket_parse_endpoint(endpoint->address, host, &port)) {
        return status_set(status, HF_STATUS_INVALID_ARGUMENT,
                          "`%s` is not HOST:PORT", endpoint->address);
    }
    client->endpoint_count++;
    return HF_STATUS_OK;
}

struct hf_client *hf_client_open(const char *endpoints,
                                 struct hf_status *status)
{
    struct hf_client *client = memory_alloc(sizeof(*client));
    enum hf_code code = HF_STATUS_OK;
    uint64_t seed;

    memset(status, 0, sizeof(*status));
    CHECK(getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed));
    random_init(&client->random, seed);
    client->timeout_ms = TIMEOUT_DEFAULT_MS;
    client->budget = BUDGET_MAX;
    while (code == HF_STATUS_OK && endpoints[0] != '\0') {
        size_t len = strcspn(endpoints, ",");

        code = add_endpoint(client, endpoints, len, status);
        endpoints += len + (endpoints[len] == ',');
    }
    if (code == HF_STATUS_OK && client->endpoint_count == 0) {
        code = status_set(status, HF_STATUS_INVALID_ARGUMENT,
                          "no endpoint was given");
    }
    if (code != HF_STATUS_OK) {
        free(client);
        return NULL;
    }
    return client;
}

void hf_client_close(struct hf_client *client)
{
    if (client != NULL) {
        connection_close(client->connection);
        tls_destroy(client->tls);
        free(client);
    }
}

enum hf_code hf_client_use_tls(struct hf_client *client,
                               const struct hf_tls *files,
                               struct hf_status *status)
{
    const struct tls_files own = {.certificate = files->certificate,
                                  .key = files->key,
                                  .node_ca = files->ca};
    char error[HF_MESSAGE_MAX];
    struct tls *tls;

    memset(status, 0, sizeof(*status));
    if (client->tls != NULL || client->connection != NULL) {
        return status_set(status, HF_STATUS_FAILED_PRECONDITION,
                          "TLS is set once, before the first call");
    }
    tls = tls_create(&own, error, sizeof(error));
    if (tls == NULL) {
        return status_set(status, HF_STATUS_INVALID_ARGUMENT, "%s", error);
    }
    client->tls = tls;
    return HF_STATUS_OK;
}

/* By what it is called: a name may lead anywhere. */
static bool is_this_machine(const char *address)
{
    char host[SOCKET_HOST_MAX + 1];
    uint16_t port;

    CHECK(socket_parse_endpoint(address, host, &port));
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

enum hf_code hf_client_use_token(struct hf_client *client, const char *token,
                                 struct hf_status *status)
{
    uint8_t hash[SECRET_SHA256];

    memset(status, 0, sizeof(*status));
    if (!secret_hash(token, hash)) {
        return status_set(status, HF_STATUS_INVALID_ARGUMENT,
                          "the token has not the form of one: hf_ and 64 "
                          "hexadecimal digits");
    }
    for (size_t i = 0; client->tls == NULL && i < client->endpoint_count; i++) {
        if (!is_this_machine(client->endpoints[i].address)) {
            return status_set(status, HF_STATUS_FAILED_PRECONDITION,
                              "a token goes to %s over TLS only",
                              client->endpoints[i].address);
        }
    }
    (void)snprintf(client->authorization, sizeof(client->authorization),
                   "Bearer %s", token);
    return HF_STATUS_OK;
}

void hf_client_set_timeout(struct hf_client *client, uint32_t timeout_ms)
{
    CHECK(timeout_ms > 0);
    client->timeout_ms = timeout_ms;
}

size_t hf_client_endpoint_count(const struct hf_client *client)
{
    return client->endpoint_count;
}

const char *hf_client_endpoint(const struct hf_client *client, size_t index)
{
    CHECK(index < client->endpoint_count);
    return client->endpoints[index].address;
}

const char *hf_client_endpoint_error(const struct hf_client *client,
                                     size_t index)
{
    CHECK(index < client->endpoint_count);
    return client->endpoints[index].error;
}
