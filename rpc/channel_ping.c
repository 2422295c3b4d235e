/* SPDX-License-Identifier: Apache-2.0
 *
 * How long a server takes to answer a ping: what a call waits for at least. */
#include "rpc/channel_internal.h"

#include <stdlib.h>
#include <string.h>

void rpc_channel_measure(struct rpc_channel *channel)
{
    struct rpc_connection *connection = channel->connection;
    struct channel_ping *ping = &channel->measured;
    uint8_t mark[sizeof(ping->sent_ns)];

    if (channel->state != CHANNEL_READY || connection == NULL ||
        connection->closing || ping->sent_ns != 0) {
        return;
    }
    ping->sent_ns = uv_hrtime();
    memcpy(mark, &ping->sent_ns, sizeof(mark));
    nghttp2_submit_ping(connection->session, NGHTTP2_FLAG_NONE, mark);
    rpc_connection_mark(connection);
}

void channel_ping_take(struct rpc_channel *channel, const nghttp2_frame *frame)
{
    struct channel_ping *ping = &channel->measured;
    uint64_t took_us;

    if (frame->hd.type != NGHTTP2_PING ||
        (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0 || ping->sent_ns == 0 ||
        memcmp(frame->ping.opaque_data, &ping->sent_ns,
               sizeof(ping->sent_ns)) != 0) {
        return; /* Or it answers the keep-alive's. */
    }
    took_us = (uv_hrtime() - ping->sent_ns) / 1000;
    ping->took_us[ping->count++ % RPC_ROUND_TRIPS] =
        took_us < UINT32_MAX ? (uint32_t)took_us : UINT32_MAX;
    ping->sent_ns = 0;
}

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

struct rpc_round_trip rpc_channel_round_trip(const struct rpc_channel *channel)
{
    const struct channel_ping *ping = &channel->measured;
    uint32_t sorted[RPC_ROUND_TRIPS];
    unsigned count =
        ping->count < RPC_ROUND_TRIPS ? ping->count : RPC_ROUND_TRIPS;

    if (count == 0 || channel->state != CHANNEL_READY) {
        return (struct rpc_round_trip){.count = 0};
    }
    memcpy(sorted, ping->took_us, sizeof(sorted));
    qsort(sorted, count, sizeof(sorted[0]), compare);
    return (struct rpc_round_trip){.count = count,
                                   .min_us = sorted[0],
                                   .median_us = sorted[count / 2],
                                   .max_us = sorted[count - 1]};
}
