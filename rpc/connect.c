/* SPDX-License-Identifier: Apache-2.0
 *
 * How a channel's connection comes to be: its address is read or looked up, and
 * what that gives is tried in order until one answers. */
#include "rpc/channel_internal.h"

#include "base/check.h"
#include "base/memory.h"
#include "rpc/address.h"

#include <stdio.h>
#include <string.h>

static void on_connect(uv_connect_t *connect, int status)
{
    struct rpc_channel *channel =
        container_of(connect, struct rpc_channel, connect);
    struct rpc_connection *connection = channel->connection;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, RPC_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, RPC_HEADER_BYTES_MAX},
    };

    if (status != 0 || connection == NULL || connection->closing) {
        if (connection != NULL) {
            rpc_connection_close(connection, uv_strerror(status));
        }
        return;
    }
    CHECK(nghttp2_session_client_new2(&connection->session, channel->callbacks,
                                      channel, channel->options) == 0);
    CHECK(nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE,
                                  settings, ARRAY_LEN(settings)) == 0);
    CHECK(nghttp2_session_set_local_window_size(connection->session,
                                                NGHTTP2_FLAG_NONE, 0,
                                                RPC_CONNECTION_WINDOW) == 0);
    if (channel->tls != NULL) {
        connection->tls = tls_session_connect(
            channel->tls, channel->address,
            channel->pinned ? channel->expect : NULL, channel->expect_cn);
    }
    rpc_connection_start(connection, RPC_USER_TIMEOUT_MS);
}

/* A connection to the next address, or with none one that is closed at once, so
 * that its calls hear of it from a later turn. */
static void begin(struct rpc_channel *channel, const char *why_none)
{
    int rv;

    channel->connection = memory_alloc(sizeof(*channel->connection));
    rpc_connection_init(channel->connection, channel->loop, &channel->flusher,
                        &channel_connection_ops);
    if (channel->target_next == channel->target_count) {
        rpc_connection_close(channel->connection, why_none);
        return;
    }
    rv = uv_tcp_connect(
        &channel->connect, &channel->connection->tcp,
        (struct sockaddr *)&channel->targets[channel->target_next++],
        on_connect);
    if (rv != 0) {
        rpc_connection_close(channel->connection, uv_strerror(rv));
    }
}

bool channel_connect_next(struct rpc_channel *channel)
{
    if (channel->target_next == channel->target_count) {
        return false;
    }
    begin(channel, "");
    return true;
}

static void keep_targets(struct rpc_channel *channel,
                         const struct addrinfo *found)
{
    channel->target_next = 0;
    channel->target_count = 0;
    for (; found != NULL && channel->target_count < RPC_TARGETS_MAX;
         found = found->ai_next) {
        struct sockaddr_storage *target =
            &channel->targets[channel->target_count++];

        CHECK(found->ai_addrlen <= sizeof(*target));
        memcpy(target, found->ai_addr, found->ai_addrlen);
    }
}

static void on_looked_up(uv_getaddrinfo_t *lookup, int status,
                         struct addrinfo *found)
{
    struct rpc_channel *channel =
        container_of(lookup, struct rpc_channel, lookup);
    char why[160];

    channel->looking_up = false;
    if (!channel->destroying && channel->state == CHANNEL_CONNECTING) {
        keep_targets(channel, status == 0 ? found : NULL);
        (void)snprintf(why, sizeof(why), "the name is not found: %s",
                       status == 0 ? "no address" : uv_strerror(status));
        begin(channel, why);
    }
    uv_freeaddrinfo(found);
    channel_free_if_done(channel);
}

/* A lookup that took too long may still be under way: its answer will do. */
static int look_up(struct rpc_channel *channel)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV};
    char host[RPC_ENDPOINT_HOST_MAX + 1];
    char service[8];
    uint16_t port;
    int rv = UV_EINVAL;

    if (channel->looking_up) {
        return 0;
    }
    if (rpc_endpoint_parse(channel->address, host, &port)) {
        (void)snprintf(service, sizeof(service), "%u", (unsigned)port);
        rv = uv_getaddrinfo(channel->loop, &channel->lookup, on_looked_up, host,
                            service, &hints);
    }
    channel->looking_up = rv == 0;
    return rv;
}

void channel_connect(struct rpc_channel *channel)
{
    channel->state = CHANNEL_CONNECTING;
    channel->until_ms = channel_now(channel) + RPC_CONNECT_MS;
    channel->target_next = 0;
    channel->target_count = 0;
    if (rpc_address_parse(channel->address, &channel->targets[0]) == 0) {
        channel->target_count = 1;
    } else if (channel->guest && look_up(channel) == 0) {
        return;
    }
    begin(channel, "not an address");
}
