/* SPDX-License-Identifier: Apache-2.0 */
#include "client/async.h"

#include "base/check.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void on_closed(struct rpc_channel_close *close)
{
    struct carrier *carrier = container_of(close, struct carrier, close);
    struct hf_uv_client *client = carrier->client;

    CHECK(carrier->streams == 0);
    list_remove(&carrier->link);
    free(carrier);
    async_go_on_closing(client);
}

void carrier_close(struct carrier *carrier)
{
    if (!carrier->closing) {
        carrier->closing = true;
        rpc_channel_close(carrier->channel, &carrier->close);
    }
}

static void retire(struct carrier *carrier)
{
    carrier->client->carriers[carrier->endpoint] = NULL;
    carrier->retired = true;
    if (carrier->streams == 0) {
        carrier_close(carrier);
    }
}

static struct carrier *create(struct hf_uv_client *client, size_t endpoint)
{
    struct carrier *carrier = memory_alloc(sizeof(*carrier));

    carrier->client = client;
    carrier->endpoint = endpoint;
    carrier->close.done = on_closed;
    carrier->channel = rpc_channel_create(
        client->loop, contact_endpoint(&client->contact, endpoint),
        random_u64(&client->contact.attempts.random));
    rpc_channel_use_as_guest(carrier->channel);
    if (client->contact.tls != NULL) {
        rpc_channel_use_tls(carrier->channel, client->contact.tls, NULL, NULL);
    }
    list_init(&carrier->link);
    list_append(&client->all_carriers, &carrier->link);
    client->carriers[endpoint] = carrier;
    return carrier;
}

struct carrier *carrier_open(struct hf_uv_client *client, size_t endpoint,
                             struct rpc_stream *stream,
                             const struct rpc_stream_ops *ops,
                             const struct carrier_call *call)
{
    struct carrier *carrier = client->carriers[endpoint];
    const char *metadata[9] = {"user-agent", "holdfast-c-uv/" HF_VERSION};
    size_t count = 2;
    char timeout[32];
    char previous[16];

    if (carrier != NULL && rpc_channel_leaving(carrier->channel)) {
        retire(carrier);
        carrier = NULL;
    }
    if (carrier == NULL) {
        carrier = create(client, endpoint);
    }
    if (client->contact.authorization[0] != '\0') {
        metadata[count++] = "authorization";
        metadata[count++] = client->contact.authorization;
    }
    if (call->timeout_ms > 0) {
        /* At most 8 digits. */
        (void)snprintf(timeout, sizeof(timeout), "%" PRIu64 "m",
                       call->timeout_ms < 99999999 ? call->timeout_ms
                                                   : 99999999);
        metadata[count++] = "grpc-timeout";
        metadata[count++] = timeout;
    }
    if (call->previous > 0) {
        /* So that a refusal holds for all of them. */
        (void)snprintf(previous, sizeof(previous), "%u", call->previous);
        metadata[count++] = "holdfast-previous-attempts";
        metadata[count++] = previous;
    }
    carrier->streams++;
    rpc_stream_open(carrier->channel, stream, ops, call->path, 0, metadata);
    rpc_stream_send_raw(stream, call->message->data, call->message->len);
    rpc_stream_half_close(stream);
    return carrier;
}

void carrier_release(struct carrier *carrier)
{
    CHECK(carrier->streams > 0);
    carrier->streams--;
    if (carrier->retired && carrier->streams == 0) {
        carrier_close(carrier);
    }
}
