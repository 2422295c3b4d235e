/* SPDX-License-Identifier: Apache-2.0
 *
 * Hosts that stand in for holdfast-agents: each keeps a real session with the
 * leader, renews its lease, and answers every start order with "running" at
 * once. So VMs are placed and started as in a real region, without guests. */
#ifndef BENCH_HOSTS_H
#define BENCH_HOSTS_H

#include "base/map.h"
#include "rpc/channel.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include <holdfast/v1/agent_service.pb-c.h>

struct hosts;

struct host_vm {
    uint64_t uid;
    uint64_t epoch;
};

struct bench_host {
    struct rpc_stream stream;
    struct hosts *hosts;
    uint32_t number;
    uint64_t generation; /* 0: not welcomed yet. */
    uint64_t seq;
    uint64_t renew_ms;
    uint64_t renew_next_ms; /* Loop time. */
    struct map vms;         /* By uid: struct host_vm. */
    bool open;
};

struct hosts {
    uv_loop_t *loop;
    uv_timer_t tick;
    struct rpc_channel **channels;
    uint32_t channel_count;
    struct bench_host *hosts;
    uint32_t count;
    uint32_t welcomed;
    uint64_t starts; /* Orders that were obeyed. */
    bool failed;     /* A session broke. */
};

/* Opens `count` sessions with the node at `address`, spread over the zones z1
 * to z3, and waits until all are welcomed; false after 20 s. Each host
 * has room for 500 VMs of 1 thousandth of a CPU and 1 MiB. */
bool hosts_start(struct hosts *hosts, uv_loop_t *loop, const char *address,
                 uint32_t count);
void hosts_stop(struct hosts *hosts);

#endif
