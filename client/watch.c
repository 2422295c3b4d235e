/* SPDX-License-Identifier: Apache-2.0
 *
 * A watch that outlives its nodes: each broken stream begins again elsewhere
 * behind the last revision that was received whole. */
#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "client/client.h"
#include "client/request.h"
#include "client/status.h"
#include "holdfast/v1/watch_service.pb-c.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hf_watch {
    struct hf_client *client;
    Holdfast__V1__WatchRequest *request;
    struct connection *connection; /* NULL: none; the stream is open. */
    struct attempts_course course;
    uint64_t retry_at_ms;     /* Not before. */
    uint64_t silent_until_ms; /* Broken when nothing came by then. */
    enum hf_code over;        /* Not OK: the watch has ended. */
    char reason[HF_MESSAGE_MAX];
};

struct hf_watch *hf_client_watch(struct hf_client *client,
                                 const ProtobufCMessage *request)
{
    struct hf_watch *watch = memory_alloc(sizeof(*watch));

    CHECK(request->descriptor == &holdfast__v1__watch_request__descriptor);
    watch->client = client;
    watch->request = request_watch_copy(request);
    watch->course = attempts_begin(&client->contact.attempts);
    return watch;
}

void hf_watch_close(struct hf_watch *watch)
{
    if (watch != NULL) {
        connection_close(watch->connection);
        holdfast__v1__watch_request__free_unpacked(watch->request, NULL);
        free(watch);
    }
}

static uint64_t silent_until(const struct hf_watch *watch)
{
    return clock_boot_ms() + attempts_silence_ms(watch->request->heartbeat_ms);
}

static void end(struct hf_watch *watch, enum hf_code code, const char *reason)
{
    watch->over = code;
    (void)snprintf(watch->reason, sizeof(watch->reason), "%s", reason);
}

/* To the next endpoint, after a pause at the end of each round. */
static void failed(struct hf_watch *watch, const char *reason)
{
    struct contact *contact = &watch->client->contact;
    uint64_t wait_ms;

    contact_note_error(contact, watch->course.endpoint, reason);
    connection_close(watch->connection);
    watch->connection = NULL;
    if (!attempts_resume(&contact->attempts, &watch->course, &wait_ms)) {
        end(watch, HF_STATUS_UNAVAILABLE, reason);
    }
    watch->retry_at_ms = clock_boot_ms() + wait_ms;
}

static void begin(struct hf_watch *watch, uint64_t deadline_ms)
{
    struct contact *contact = &watch->client->contact;
    uint64_t limit_ms = clock_boot_ms() + CONNECT_TIMEOUT_MS;
    char error[HF_MESSAGE_MAX];
    struct bytes packed;
    char path[REQUEST_PATH_BYTES];
    size_t size;

    limit_ms = limit_ms < deadline_ms ? limit_ms : deadline_ms;
    watch->connection =
        connection_open(contact_endpoint(contact, watch->course.endpoint),
                        contact->tls, limit_ms, error);
    if (watch->connection == NULL) {
        failed(watch, error);
        return;
    }
    connection_authorize(watch->connection, contact->authorization);
    request_path("WatchService/Watch", path);
    bytes_init(&packed);
    size = protobuf_c_message_get_packed_size(&watch->request->base);
    packed.len = protobuf_c_message_pack(&watch->request->base,
                                         bytes_reserve(&packed, size + 1));
    connection_call(watch->connection, path, &packed, 0, 0);
    bytes_close(&packed);
    watch->silent_until_ms = silent_until(watch);
}

static ProtobufCMessage *take(struct hf_watch *watch)
{
    size_t len;
    const uint8_t *data = connection_take_message(watch->connection, &len);
    ProtobufCMessage *message =
        request_unpack(&holdfast__v1__watch_response__descriptor, data, len);
    const Holdfast__V1__WatchResponse *response = (const void *)message;

    if (message == NULL) {
        end(watch, HF_STATUS_INTERNAL, "the answer is no WatchResponse");
        return NULL;
    }
    if (response->revision > watch->request->after_revision) {
        watch->request->after_revision = response->revision;
    }
    watch->course.failures = 0;
    watch->silent_until_ms = silent_until(watch);
    return message;
}

static void stream_ended(struct hf_watch *watch)
{
    struct hf_status status = {.code = HF_STATUS_OK};

    connection_status(watch->connection, &status);
    if (status.code == HF_STATUS_UNAVAILABLE) {
        failed(watch, status.message);
    } else if (status.code == HF_STATUS_OK) {
        failed(watch, "the node ended the watch");
    } else {
        end(watch, status.code, status.message);
    }
}

/* One step towards the next response. */
static ProtobufCMessage *step(struct hf_watch *watch, uint64_t deadline_ms)
{
    uint64_t limit_ms = deadline_ms;

    if (watch->connection == NULL) {
        begin(watch, deadline_ms);
        return NULL;
    }
    if (watch->silent_until_ms < limit_ms) {
        limit_ms = watch->silent_until_ms;
    }
    switch (connection_wait(watch->connection, limit_ms)) {
    case CONNECTION_MESSAGE:
        return take(watch);
    case CONNECTION_ENDED:
        stream_ended(watch);
        break;
    case CONNECTION_TIMEOUT:
        if (clock_boot_ms() >= watch->silent_until_ms) {
            failed(watch, "the node has gone silent");
        }
        break;
    default: {
        char reason[HF_MESSAGE_MAX];

        (void)snprintf(reason, sizeof(reason), "%s",
                       connection_error(watch->connection));
        failed(watch, reason);
        break;
    }
    }
    return NULL;
}

static void sleep_until(uint64_t until_ms)
{
    uint64_t now_ms = clock_boot_ms();

    if (until_ms > now_ms) {
        (void)poll(NULL, 0, (int)(until_ms - now_ms));
    }
}

enum hf_code hf_watch_next(struct hf_watch *watch, uint32_t timeout_ms,
                           ProtobufCMessage **response,
                           struct hf_status *status)
{
    uint64_t deadline_ms = clock_boot_ms() + timeout_ms;

    *response = NULL;
    memset(status, 0, sizeof(*status));
    while (watch->over == HF_STATUS_OK) {
        bool may_try =
            watch->connection != NULL || watch->retry_at_ms < deadline_ms;

        if (watch->connection == NULL) {
            sleep_until(may_try ? watch->retry_at_ms : deadline_ms);
        }
        if (may_try) {
            *response = step(watch, deadline_ms);
        }
        if (*response != NULL) {
            return HF_STATUS_OK;
        }
        if (watch->over == HF_STATUS_OK && clock_boot_ms() >= deadline_ms) {
            return status_set(status, HF_STATUS_DEADLINE_EXCEEDED,
                              "nothing came in that time");
        }
    }
    return status_set(status, watch->over, "%s", watch->reason);
}
