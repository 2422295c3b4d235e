/* SPDX-License-Identifier: Apache-2.0
 *
 * One call over several attempts. The rules:
 * 1. one deadline for everything; the node is told what is left of it;
 * 2. UNAVAILABLE, no connection, no answer in the attempt's time: the next
 *    endpoint; every other status is the answer;
 * 3. a pause before each new round over the endpoints, and wherever the node
 *    asks for one (grpc-retry-pushback-ms; a negative one forbids the retry);
 * 4. at most ROUNDS_MAX rounds, and only while the retry budget lasts;
 * 5. every mutation carries a request id, so an attempt whose outcome is not
 *    known can be repeated. */
#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "client/client.h"
#include "client/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define ROUNDS_MAX 5

/* With other endpoints left, an attempt gets half of the time that is left,
 * but at least this: a node that hangs must not take all of it. */
#define ATTEMPT_LEAST_MS 1000

struct attempt {
    struct hf_client *client;
    const ProtobufCMethodDescriptor *method;
    char path[128];
    struct bytes request;
    uint64_t deadline_ms; /* Of the whole call. */
    struct hf_status *status;
    ProtobufCMessage *response;
    bool has_pushback;
    int64_t pushback_ms;
    unsigned sent; /* How often. */
};

static void drop_connection(struct hf_client *client)
{
    connection_close(client->connection);
    client->connection = NULL;
}

/* The connection to the current endpoint; NULL: the status says why. */
static struct connection *connect_current(struct attempt *attempt)
{
    struct hf_client *client = attempt->client;
    struct endpoint *endpoint = &client->endpoints[client->current];
    uint64_t limit_ms = clock_boot_ms() + CONNECT_TIMEOUT_MS;

    if (client->connection != NULL &&
        (client->connected != client->current ||
         !connection_is_idle(client->connection))) {
        drop_connection(client);
    }
    if (client->connection == NULL) {
        if (limit_ms > attempt->deadline_ms) {
            limit_ms = attempt->deadline_ms;
        }
        client->connection = connection_open(
            endpoint->address, client->tls, limit_ms, attempt->status->message);
        client->connected = client->current;
        if (client->connection != NULL) {
            connection_authorize(client->connection, client->authorization);
        }
    }
    if (client->connection == NULL) {
        attempt->status->code = HF_STATUS_UNAVAILABLE;
    }
    return client->connection;
}

static uint64_t attempt_deadline_ms(const struct attempt *attempt)
{
    uint64_t now_ms = clock_boot_ms();
    uint64_t left =
        attempt->deadline_ms > now_ms ? attempt->deadline_ms - now_ms : 0;
    uint64_t share = left / 2 > ATTEMPT_LEAST_MS ? left / 2 : ATTEMPT_LEAST_MS;

    if (attempt->client->endpoint_count > 1 && share < left) {
        left = share;
    }
    return now_ms + left;
}

static enum hf_code unpack(struct attempt *attempt)
{
    size_t len;
    const uint8_t *data =
        connection_take_message(attempt->client->connection, &len);

    hf_message_free(attempt->response);
    attempt->response = client_unpack(attempt->method->output, data, len);
    if (attempt->response == NULL) {
        return status_set(attempt->status, HF_STATUS_INTERNAL,
                          "the answer is no %s",
                          attempt->method->output->short_name);
    }
    return HF_STATUS_OK;
}

static enum hf_code ended(struct attempt *attempt)
{
    struct connection *connection = attempt->client->connection;

    connection_status(connection, attempt->status);
    attempt->has_pushback =
        connection_pushback(connection, &attempt->pushback_ms);
    if (attempt->status->code == HF_STATUS_OK && attempt->response == NULL) {
        return status_set(attempt->status, HF_STATUS_INTERNAL,
                          "the answer holds no message");
    }
    return attempt->status->code;
}

/* Sends once and waits for the answer. What can be tried elsewhere comes back
 * as UNAVAILABLE. */
static enum hf_code try_once(struct attempt *attempt)
{
    struct hf_client *client = attempt->client;
    struct connection *connection = connect_current(attempt);
    uint64_t limit_ms;
    uint64_t now_ms;

    attempt->has_pushback = false;
    attempt->status->attempts++;
    if (connection == NULL) {
        return HF_STATUS_UNAVAILABLE;
    }
    limit_ms = attempt_deadline_ms(attempt);
    now_ms = clock_boot_ms();
    attempt->status->was_sent = true;
    attempt->sent++;
    /* The node gets the whole time: its own DEADLINE_EXCEEDED is final. */
    connection_call(
        connection, attempt->path, &attempt->request,
        attempt->deadline_ms > now_ms ? attempt->deadline_ms - now_ms : 1,
        attempt->sent - 1);
    for (;;) {
        switch (connection_wait(connection, limit_ms)) {
        case CONNECTION_MESSAGE:
            if (unpack(attempt) != HF_STATUS_OK) {
                drop_connection(client);
                return HF_STATUS_INTERNAL;
            }
            break;
        case CONNECTION_ENDED:
            return ended(attempt);
        case CONNECTION_TIMEOUT:
            drop_connection(client);
            return status_set(attempt->status, HF_STATUS_UNAVAILABLE,
                              "no answer in time");
        default:
            (void)status_set(attempt->status, HF_STATUS_UNAVAILABLE, "%s",
                             connection_error(connection));
            drop_connection(client);
            return HF_STATUS_UNAVAILABLE;
        }
    }
}

static void pause_ms(uint64_t duration_ms)
{
    struct timespec left = {.tv_sec = (time_t)(duration_ms / 1000),
                            .tv_nsec = (long)(duration_ms % 1000) * 1000000};

    while (nanosleep(&left, &left) != 0) {
    }
}

/* After a failure: whether to try again, having waited as the rules say. */
static bool again(struct attempt *attempt, unsigned failures)
{
    struct hf_client *client = attempt->client;
    unsigned endpoints = (unsigned)client->endpoint_count;
    uint64_t now_ms = clock_boot_ms();
    uint64_t wait_ms = 0;

    client->budget -=
        client->budget < BUDGET_FAILURE ? client->budget : BUDGET_FAILURE;
    client->current = (client->current + 1) % client->endpoint_count;
    if (failures >= endpoints * ROUNDS_MAX || client->budget == 0) {
        return false;
    }
    if (attempt->has_pushback) {
        if (attempt->pushback_ms < 0) {
            return false;
        }
        wait_ms = (uint64_t)attempt->pushback_ms;
    } else if (failures % endpoints == 0) {
        wait_ms = backoff_ms(failures / endpoints, &client->random);
    }
    if (now_ms + wait_ms >= attempt->deadline_ms) {
        return false;
    }
    pause_ms(wait_ms);
    return true;
}

static void run(struct attempt *attempt)
{
    struct hf_client *client = attempt->client;
    unsigned failures = 0;
    bool retry = true;

    for (size_t i = 0; i < client->endpoint_count; i++) {
        client->endpoints[i].error[0] = '\0';
    }
    while (retry) {
        struct endpoint *endpoint = &client->endpoints[client->current];
        enum hf_code code = try_once(attempt);

        retry = false;
        if (code != HF_STATUS_UNAVAILABLE) {
            client->budget += client->budget < BUDGET_MAX ? BUDGET_SUCCESS : 0;
            continue;
        }
        (void)snprintf(endpoint->error, sizeof(endpoint->error), "%s",
                       attempt->status->message);
        hf_message_free(attempt->response);
        attempt->response = NULL;
        retry = again(attempt, ++failures);
    }
}

/* UNAVAILABLE at the deadline is DEADLINE_EXCEEDED, with the last reason. */
static void judge_deadline(struct attempt *attempt, uint32_t timeout_ms)
{
    struct hf_status *status = attempt->status;
    char reason[HF_MESSAGE_MAX];

    if (status->code == HF_STATUS_UNAVAILABLE &&
        clock_boot_ms() >= attempt->deadline_ms) {
        memcpy(reason, status->message, sizeof(reason));
        (void)status_set(status, HF_STATUS_DEADLINE_EXCEEDED,
                         "not done within %" PRIu32 " ms: %s", timeout_ms,
                         reason);
    }
}

static void make_request_id(char id[HF_REQUEST_ID_MAX + 1])
{
    uint64_t words[2];

    CHECK(getrandom(words, sizeof(words), 0) == (ssize_t)sizeof(words));
    (void)snprintf(id, HF_REQUEST_ID_MAX + 1, "%016" PRIx64 "%016" PRIx64,
                   words[0], words[1]);
}

/* The request with an id where it has none, packed. */
static void pack_request(const ProtobufCMessage *request, struct bytes *out,
                         struct hf_status *status)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(request->descriptor,
                                                        "request_id");
    size_t size = request->descriptor->sizeof_message;
    ProtobufCMessage *copy = memory_copy(request, size);

    if (field != NULL) {
        char **id = (char **)(void *)((char *)copy + field->offset);

        if (*id == NULL || (*id)[0] == '\0') {
            make_request_id(status->request_id);
            *id = status->request_id;
        } else {
            (void)snprintf(status->request_id, sizeof(status->request_id), "%s",
                           *id);
        }
    }
    size = protobuf_c_message_get_packed_size(copy);
    out->len = protobuf_c_message_pack(copy, bytes_reserve(out, size + 1));
    free(copy);
}

enum hf_code hf_client_call(struct hf_client *client, const char *method,
                            const ProtobufCMessage *request,
                            ProtobufCMessage **response,
                            struct hf_status *status)
{
    struct attempt attempt = {.client = client,
                              .method = hf_method_find(method),
                              .deadline_ms =
                                  clock_boot_ms() + client->timeout_ms,
                              .status = status};

    *response = NULL;
    memset(status, 0, sizeof(*status));
    if (attempt.method == NULL ||
        attempt.method->input != request->descriptor) {
        return status_set(status, HF_STATUS_INVALID_ARGUMENT,
                          "%s is no method that takes a %s", method,
                          request->descriptor->short_name);
    }
    method_path(method, attempt.path, sizeof(attempt.path));
    bytes_init(&attempt.request);
    pack_request(request, &attempt.request, status);
    if (attempt.request.len > CONNECTION_MESSAGE_MAX) {
        (void)status_set(status, HF_STATUS_INVALID_ARGUMENT,
                         "the request is too large");
    } else {
        run(&attempt);
        judge_deadline(&attempt, client->timeout_ms);
    }
    bytes_close(&attempt.request);
    if (status->code == HF_STATUS_OK) {
        *response = attempt.response;
    } else {
        hf_message_free(attempt.response);
    }
    return status->code;
}
