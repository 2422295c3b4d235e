/* SPDX-License-Identifier: Apache-2.0
 *
 * One call over several attempts, as client/attempts.h rules. One deadline
 * holds for all of them, and the node is told what is left of it; every
 * mutation carries a request id, so an attempt whose outcome is not known can
 * be repeated. */
#include "base/clock.h"
#include "client/client.h"
#include "client/request.h"
#include "client/status.h"

#include <time.h>

struct attempt {
    struct hf_client *client;
    const ProtobufCMethodDescriptor *method;
    char path[REQUEST_PATH_BYTES];
    struct bytes request;
    uint64_t deadline_ms; /* Of the whole call. */
    struct hf_status *status;
    ProtobufCMessage *response;
    struct attempts_course course;
    struct attempts_failure failure; /* The last one. */
    unsigned sent;                   /* How often. */
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
    size_t endpoint = attempt->course.endpoint;
    uint64_t limit_ms = clock_boot_ms() + CONNECT_TIMEOUT_MS;

    if (client->connection != NULL &&
        (client->connected != endpoint ||
         !connection_is_idle(client->connection))) {
        drop_connection(client);
    }
    if (client->connection == NULL) {
        if (limit_ms > attempt->deadline_ms) {
            limit_ms = attempt->deadline_ms;
        }
        client->connection = connection_open(
            contact_endpoint(&client->contact, endpoint), client->contact.tls,
            limit_ms, attempt->status->message);
        client->connected = endpoint;
        if (client->connection != NULL) {
            client->node_certificate_end_s =
                connection_certificate_end(client->connection);
            connection_authorize(client->connection,
                                 client->contact.authorization);
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

    return now_ms + attempts_share_ms(&attempt->client->contact.attempts, left);
}

static enum hf_code unpack(struct attempt *attempt)
{
    size_t len;
    const uint8_t *data =
        connection_take_message(attempt->client->connection, &len);

    hf_message_free(attempt->response);
    attempt->response = request_unpack(attempt->method->output, data, len);
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
    attempt->failure.has_pushback =
        connection_pushback(connection, &attempt->failure.pushback_ms);
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

    attempt->failure = (struct attempts_failure){.calls_open = 1};
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
static bool again(struct attempt *attempt)
{
    uint64_t now_ms = clock_boot_ms();
    uint64_t wait_ms;

    attempt->failure.left_ms =
        attempt->deadline_ms > now_ms ? attempt->deadline_ms - now_ms : 0;
    if (!attempts_again(&attempt->client->contact.attempts, &attempt->course,
                        &attempt->failure, &wait_ms)) {
        return false;
    }
    pause_ms(wait_ms);
    return true;
}

static void run(struct attempt *attempt)
{
    struct contact *contact = &attempt->client->contact;
    bool retry = true;

    for (size_t i = 0; i < contact->attempts.endpoint_count; i++) {
        contact_note_error(contact, i, "");
    }
    attempt->course = attempts_begin(&contact->attempts);
    while (retry) {
        enum hf_code code = try_once(attempt);

        retry = false;
        if (code != HF_STATUS_UNAVAILABLE) {
            attempts_answered(&contact->attempts);
            continue;
        }
        contact_note_error(contact, attempt->course.endpoint,
                           attempt->status->message);
        hf_message_free(attempt->response);
        attempt->response = NULL;
        retry = again(attempt);
    }
}

enum hf_code hf_client_call(struct hf_client *client, const char *method,
                            const ProtobufCMessage *request,
                            ProtobufCMessage **response,
                            struct hf_status *status)
{
    uint32_t timeout_ms = client->contact.timeout_ms;
    struct attempt attempt = {.client = client,
                              .method = hf_method_find(method),
                              .deadline_ms = clock_boot_ms() + timeout_ms,
                              .status = status};

    *response = NULL;
    bytes_init(&attempt.request);
    if (request_pack(method, request, &attempt.request, status) ==
        HF_STATUS_OK) {
        request_path(method, attempt.path);
        run(&attempt);
        if (clock_boot_ms() >= attempt.deadline_ms) {
            status_at_deadline(status, timeout_ms);
        }
    }
    bytes_close(&attempt.request);
    if (status->code == HF_STATUS_OK) {
        *response = attempt.response;
    } else {
        hf_message_free(attempt.response);
    }
    return status->code;
}
