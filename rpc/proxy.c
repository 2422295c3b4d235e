/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/proxy.h"

#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"
#include "rpc/limits.h"
#include "rpc/message.h"

#include <stdlib.h>
#include <string.h>

struct proxy {
    struct rpc_handler handler; /* Towards the client. */
    struct rpc_stream stream;   /* Towards the server. */
    struct list link;           /* In the list that it was put into. */
    struct rpc_call *call;      /* NULL: over. */
    bool stream_open;
};

static void free_if_over(struct proxy *proxy)
{
    if (proxy->call == NULL && !proxy->stream_open) {
        free(proxy);
    }
}

static void on_client_message(struct rpc_handler *handler, const uint8_t *data,
                              size_t len)
{
    struct proxy *proxy = container_of(handler, struct proxy, handler);

    if (!proxy->stream_open) {
        return;
    }
    if (rpc_stream_queued(&proxy->stream) + len > RPC_PROXY_QUEUE_MAX) {
        rpc_call_finish(proxy->call, RPC_RESOURCE_EXHAUSTED,
                        "the leader does not take messages fast enough");
        rpc_stream_cancel(&proxy->stream);
        return;
    }
    rpc_stream_send_raw(&proxy->stream, data, len);
}

static void on_client_half_closed(struct rpc_handler *handler)
{
    struct proxy *proxy = container_of(handler, struct proxy, handler);

    if (proxy->stream_open) {
        rpc_stream_half_close(&proxy->stream);
    }
}

static void on_client_closed(struct rpc_handler *handler)
{
    struct proxy *proxy = container_of(handler, struct proxy, handler);

    proxy->call = NULL;
    list_remove(&proxy->link);
    if (proxy->stream_open) {
        rpc_stream_cancel(&proxy->stream);
    }
    free_if_over(proxy);
}

static const struct rpc_handler_ops handler_ops = {
    .raw = on_client_message,
    .half_closed = on_client_half_closed,
    .closed = on_client_closed,
};

static void on_server_message(struct rpc_stream *stream, const uint8_t *data,
                              size_t len)
{
    struct proxy *proxy = container_of(stream, struct proxy, stream);

    if (proxy->call == NULL) {
        return;
    }
    if (rpc_call_queued(proxy->call) + len > RPC_PROXY_QUEUE_MAX) {
        rpc_call_finish(proxy->call, RPC_RESOURCE_EXHAUSTED,
                        "the client does not take messages fast enough");
        rpc_stream_cancel(stream);
        return;
    }
    rpc_call_send_raw(proxy->call, data, len);
}

/* Trailers of ours that clients read. */
static void pass_trailers(struct rpc_call *call, const struct bytes *headers)
{
    size_t cursor = 0;
    const char *name;
    const char *value;

    while (rpc_headers_next(headers, &cursor, &name, &value)) {
        if (strncmp(name, "holdfast-", 9) == 0 ||
            strcmp(name, "grpc-retry-pushback-ms") == 0 ||
            strcmp(name, "grpc-status-details-bin") == 0) {
            rpc_call_trailer(call, name, value);
        }
    }
}

/* The leader's connection broke: the client is told the same as by a leader
 * that loses its office on the way (node/api_errors.c). */
static void tell_broken(struct rpc_call *call, const struct rpc_result *result)
{
    rpc_call_trailer(call, "holdfast-reason",
                     result->never_seen ? "NO_LEADER" : "OUTCOME_UNKNOWN");
    rpc_call_trailer(call, "grpc-retry-pushback-ms", "200");
}

static void on_server_closed(struct rpc_stream *stream,
                             const struct rpc_result *result)
{
    struct proxy *proxy = container_of(stream, struct proxy, stream);

    proxy->stream_open = false;
    if (proxy->call != NULL) {
        pass_trailers(proxy->call, result->trailers);
        if (result->code == RPC_UNAVAILABLE &&
            rpc_headers_get(result->trailers, "grpc-status") == NULL) {
            tell_broken(proxy->call, result);
        }
        rpc_call_finish(proxy->call, result->code, "%s", result->message);
    }
    free_if_over(proxy);
}

static const struct rpc_stream_ops stream_ops = {
    .message = on_server_message,
    .closed = on_server_closed,
};

/* The credential was for this server, and the mark says what it proved. */
static bool is_credential(const char *key)
{
    return strcmp(key, "authorization") == 0;
}

static bool is_mark(const char *const *marks, const char *key)
{
    for (; marks[0] != NULL; marks += 2) {
        if (strcmp(marks[0], key) == 0) {
            return true;
        }
    }
    return false;
}

struct rpc_handler *rpc_proxy_open(struct rpc_call *call,
                                   struct rpc_channel *channel,
                                   const char *const *marks)
{
    struct proxy *proxy = memory_alloc(sizeof(*proxy));
    const char *metadata[2 * (RPC_HEADERS_MAX + RPC_PROXY_MARKS_MAX) + 4];
    size_t count = 0;
    size_t cursor = 0;
    const char *key;
    const char *value;

    while (marks[count] != NULL) {
        CHECK(count < 2 * RPC_PROXY_MARKS_MAX);
        metadata[count] = marks[count];
        metadata[count + 1] = marks[count + 1];
        count += 2;
    }
    value = rpc_call_metadata(call, RPC_PREVIOUS_ATTEMPTS);
    if (value != NULL) {
        metadata[count++] = RPC_PREVIOUS_ATTEMPTS;
        metadata[count++] = value;
    }
    while (count < 2 * (RPC_HEADERS_MAX - 10) &&
           rpc_call_metadata_next(call, &cursor, &key, &value)) {
        if (!is_mark(marks, key) && !is_credential(key)) {
            metadata[count++] = key;
            metadata[count++] = value;
        }
    }
    metadata[count] = NULL;
    proxy->handler.ops = &handler_ops;
    list_init(&proxy->link);
    proxy->call = call;
    proxy->stream_open = true;
    rpc_stream_open(channel, &proxy->stream, &stream_ops, rpc_call_path(call),
                    rpc_call_deadline_ms(call), metadata);
    return &proxy->handler;
}

void rpc_proxy_join(struct rpc_handler *handler, struct list *list)
{
    struct proxy *proxy = container_of(handler, struct proxy, handler);

    CHECK(proxy->call != NULL);
    list_append(list, &proxy->link);
}

void rpc_proxy_end_all(struct list *list, enum rpc_code code,
                       const char *reason, const char *message)
{
    struct list *item;

    while ((item = list_first(list)) != NULL) {
        struct proxy *proxy = list_entry(item, struct proxy, link);

        list_remove(item);
        rpc_call_trailer(proxy->call, "holdfast-reason", reason);
        rpc_call_finish(proxy->call, code, "%s", message);
        if (proxy->stream_open) {
            rpc_stream_cancel(&proxy->stream);
        }
    }
}
