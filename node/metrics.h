/* SPDX-License-Identifier: Apache-2.0
 *
 * What a node tells of itself to Prometheus: one registry of metrics, from
 * which the text (format 0.0.4) and the table of docs/operations.md are made
 * (`holdfastd --metrics-table`). Pure: the figures come in. No metric has a
 * name of a VM or a host as a label: there may be a million. */
#ifndef NODE_METRICS_H
#define NODE_METRICS_H

#include "base/bytes.h"
#include "node/activity.h"
#include "node/turn.h"
#include "raft/replica.h"
#include "state/state.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum metrics_type { METRICS_GAUGE, METRICS_COUNTER };

/* Another node, as this one sees it. */
struct metrics_peer {
    const char *name;
    bool connected;
    bool lag_known; /* The leader knows. */
    uint64_t lag_entries;
};

/* Answers with one code, of one method. */
struct metrics_calls {
    const char *method; /* "" for HTTP. */
    const char *code;
    uint64_t count;
};

/* What the leader proved of a zone. */
struct metrics_zone {
    const char *name;
    uint64_t unplaceable;
};

/* All strings and arrays are lent. Flags are 0 or 1. */
struct metrics {
    const char *version;
    const char *region;
    const char *region_id;
    const char *node;
    const char *zone;
    uint64_t uptime_ms;
    uint64_t resident_bytes;
    uint64_t cpu_us;
    uint64_t ready;

    enum replica_state role;
    uint64_t leader_known;
    uint64_t leads; /* Proved. */
    uint64_t term;
    uint64_t first_index;
    uint64_t last_index;
    uint64_t synced_index;
    uint64_t commit_index;
    uint64_t applied_index;
    uint64_t snapshot_index;
    uint64_t behind;
    uint64_t log_bytes;
    uint64_t disk_us;
    uint64_t messages_bad;
    const struct metrics_peer *peers;
    size_t peer_count;

    uint64_t turns;
    uint64_t entries;
    uint64_t entry_bytes;
    uint64_t planned[LANE_COUNT];
    uint64_t queued[LANE_COUNT];
    struct activity activity;

    struct state_counts counts;
    uint64_t zones;
    struct state_memory memory;
    uint64_t revision;
    uint64_t storm;
    /* Those of which it is worked out; where this node leads. */
    const struct metrics_zone *zone_losses;
    size_t zone_loss_count;
    /* Of hosts that are up; where this node leads. */
    uint64_t leases_live;
    uint64_t leases_late;
    uint64_t leases_ended;
    uint64_t sessions;
    uint64_t watches;
    uint64_t watch_events;

    uint64_t connections;
    uint64_t connections_accepted;
    uint64_t connections_refused;
    uint64_t calls_open;
    uint64_t callers;
    uint64_t limited_rate;
    uint64_t limited_streams;
    uint64_t limited_bytes;
    uint64_t limited_callers;
    const struct metrics_calls *calls;
    size_t call_count;
    uint64_t http_connections;
    uint64_t http_connections_accepted;
    const struct metrics_calls *http;
    size_t http_count;
};

struct metrics_writer;

struct metrics_family {
    const char *name;
    const char *labels; /* Their names, for people. */
    const char *help;
    /* Either writes its samples, or is a uint64_t of struct metrics, of which
     * 10^decimals make one of the metric's unit. */
    void (*write)(struct metrics_writer *writer, const struct metrics *metrics);
    size_t offset;
    unsigned decimals;
    enum metrics_type type;
};

/* Appends all of them. */
void metrics_write(const struct metrics *metrics, struct bytes *out);

/* The registry; numbers below the count. */
size_t metrics_family_count(void);
const struct metrics_family *metrics_family(size_t number);
const char *metrics_type_name(enum metrics_type type);

#endif
