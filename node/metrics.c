/* SPDX-License-Identifier: Apache-2.0 */
#include "node/metrics.h"

#include "base/check.h"
#include "base/container.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct metrics_writer {
    struct bytes *out;
    const struct metrics_family *family;
    bool labelled; /* In the sample's braces. */
};

static void put(struct metrics_writer *writer, const char *text)
{
    bytes_append(writer->out, text, strlen(text));
}

static void begin_sample(struct metrics_writer *writer)
{
    put(writer, writer->family->name);
    writer->labelled = false;
}

/* A backslash, a quote and the end of a line are escaped, all else is as it
 * is: the format's rule. */
static void label(struct metrics_writer *writer, const char *name,
                  const char *value)
{
    put(writer, writer->labelled ? "," : "{");
    writer->labelled = true;
    put(writer, name);
    put(writer, "=\"");
    for (const char *at = value; *at != '\0'; at++) {
        if (*at == '\n') {
            put(writer, "\\n");
            continue;
        }
        if (*at == '\\' || *at == '"') {
            put(writer, "\\");
        }
        bytes_append(writer->out, at, 1);
    }
    put(writer, "\"");
}

/* value / 10^decimals, exactly. */
static void end_sample(struct metrics_writer *writer, uint64_t value)
{
    uint64_t unit = 1;
    char text[48];

    for (unsigned i = 0; i < writer->family->decimals; i++) {
        unit *= 10;
    }
    if (unit == 1) {
        snprintf(text, sizeof(text), " %" PRIu64 "\n", value);
    } else {
        snprintf(text, sizeof(text), " %" PRIu64 ".%0*" PRIu64 "\n",
                 value / unit, (int)writer->family->decimals, value % unit);
    }
    put(writer, writer->labelled ? "}" : "");
    put(writer, text);
}

/* A sample with one label. */
static void sample(struct metrics_writer *writer, const char *name,
                   const char *label_value, uint64_t value)
{
    begin_sample(writer);
    label(writer, name, label_value);
    end_sample(writer, value);
}

/* --- Metrics with labels ------------------------------------------------- */

static void write_build(struct metrics_writer *writer,
                        const struct metrics *metrics)
{
    sample(writer, "version", metrics->version, 1);
}

static void write_node(struct metrics_writer *writer,
                       const struct metrics *metrics)
{
    begin_sample(writer);
    label(writer, "region", metrics->region);
    label(writer, "region_id", metrics->region_id);
    label(writer, "node", metrics->node);
    label(writer, "zone", metrics->zone);
    end_sample(writer, 1);
}

static void write_role(struct metrics_writer *writer,
                       const struct metrics *metrics)
{
    sample(writer, "role", "follower", metrics->role == REPLICA_FOLLOWER);
    sample(writer, "role", "candidate", metrics->role == REPLICA_CANDIDATE);
    sample(writer, "role", "leader", metrics->role == REPLICA_LEADER);
}

static void write_connected(struct metrics_writer *writer,
                            const struct metrics *metrics)
{
    for (size_t i = 0; i < metrics->peer_count; i++) {
        sample(writer, "peer", metrics->peers[i].name,
               metrics->peers[i].connected);
    }
}

static void write_lag(struct metrics_writer *writer,
                      const struct metrics *metrics)
{
    for (size_t i = 0; i < metrics->peer_count; i++) {
        if (metrics->peers[i].lag_known) {
            sample(writer, "peer", metrics->peers[i].name,
                   metrics->peers[i].lag_entries);
        }
    }
}

static void write_lanes(struct metrics_writer *writer, const uint64_t *values)
{
    sample(writer, "lane", "failover", values[LANE_FAILOVER]);
    sample(writer, "lane", "mutation", values[LANE_MUTATION]);
    sample(writer, "lane", "read", values[LANE_READ]);
}

static void write_planned(struct metrics_writer *writer,
                          const struct metrics *metrics)
{
    write_lanes(writer, metrics->planned);
}

static void write_queued(struct metrics_writer *writer,
                         const struct metrics *metrics)
{
    write_lanes(writer, metrics->queued);
}

static void write_changes(struct metrics_writer *writer,
                          const struct metrics *metrics)
{
    for (size_t kind = 0; kind < ACTIVITY_KINDS; kind++) {
        const char *name = activity_kind_name(kind);

        if (name != NULL) {
            sample(writer, "change", name, metrics->activity.changes[kind]);
        }
    }
}

static void write_hosts(struct metrics_writer *writer,
                        const struct metrics *metrics)
{
    sample(writer, "state", "up", metrics->counts.hosts_up);
    sample(writer, "state", "lost",
           metrics->counts.hosts - metrics->counts.hosts_up);
}

static void write_vms(struct metrics_writer *writer,
                      const struct metrics *metrics)
{
    static const char *const names[VM_STATE_COUNT] = {
        [VM_PENDING] = "pending",   [VM_ASSIGNED] = "assigned",
        [VM_STARTING] = "starting", [VM_RUNNING] = "running",
        [VM_STOPPING] = "stopping", [VM_STOPPED] = "stopped",
        [VM_LOST] = "lost"};

    for (size_t state = 0; state < VM_STATE_COUNT; state++) {
        if (names[state] != NULL) {
            sample(writer, "state", names[state],
                   metrics->counts.vms_by_state[state]);
        }
    }
}

static void write_leases(struct metrics_writer *writer,
                         const struct metrics *metrics)
{
    if (metrics->leads != 0) {
        sample(writer, "state", "live", metrics->leases_live);
        sample(writer, "state", "late", metrics->leases_late);
        sample(writer, "state", "ended", metrics->leases_ended);
    }
}

static void write_zone_losses(struct metrics_writer *writer,
                              const struct metrics *metrics)
{
    for (size_t i = 0; i < metrics->zone_loss_count; i++) {
        sample(writer, "zone", metrics->zone_losses[i].name,
               metrics->zone_losses[i].unplaceable);
    }
}

static void write_memory(struct metrics_writer *writer,
                         const struct metrics *metrics)
{
    sample(writer, "part", "vm_records", metrics->memory.vm_records);
    sample(writer, "part", "vm_index", metrics->memory.vm_index);
    sample(writer, "part", "blobs", metrics->memory.blobs);
    sample(writer, "part", "other", metrics->memory.other);
}

static void write_calls(struct metrics_writer *writer,
                        const struct metrics *metrics)
{
    for (size_t i = 0; i < metrics->call_count; i++) {
        begin_sample(writer);
        label(writer, "method", metrics->calls[i].method);
        label(writer, "code", metrics->calls[i].code);
        end_sample(writer, metrics->calls[i].count);
    }
}

static void write_limited(struct metrics_writer *writer,
                          const struct metrics *metrics)
{
    sample(writer, "limit", "rate", metrics->limited_rate);
    sample(writer, "limit", "streams", metrics->limited_streams);
    sample(writer, "limit", "bytes", metrics->limited_bytes);
    sample(writer, "limit", "callers", metrics->limited_callers);
}

static void write_http(struct metrics_writer *writer,
                       const struct metrics *metrics)
{
    for (size_t i = 0; i < metrics->http_count; i++) {
        sample(writer, "code", metrics->http[i].code, metrics->http[i].count);
    }
}

/* --- The registry -------------------------------------------------------- */

#define AT(field)    .offset = offsetof(struct metrics, field)
#define MILLI(field) AT(field), .decimals = 3
#define MICRO(field) AT(field), .decimals = 6
#define BY(function) .write = function
#define GAUGE        .type = METRICS_GAUGE
#define COUNTER      .type = METRICS_COUNTER

static const struct metrics_family families[] = {
    {"holdfast_build_info", "version", "1; the version as a label.", GAUGE,
     BY(write_build)},
    {"holdfast_node_info", "region, region_id, node, zone",
     "1; who this node is.", GAUGE, BY(write_node)},
    {"holdfast_uptime_seconds", "", "Since the start of the process.", GAUGE,
     MILLI(uptime_ms)},
    {"holdfast_resident_memory_bytes", "", "Memory of the process.", GAUGE,
     AT(resident_bytes)},
    {"holdfast_cpu_seconds_total", "", "Processor time of the process.",
     COUNTER, MICRO(cpu_us)},
    {"holdfast_ready", "", "1 when /readyz says so.", GAUGE, AT(ready)},

    {"holdfast_raft_role", "role", "1 for the role that the node has.", GAUGE,
     BY(write_role)},
    {"holdfast_raft_leader_known", "",
     "1 when the node knows a leader; the region has a quorum.", GAUGE,
     AT(leader_known)},
    {"holdfast_raft_leading", "", "1 when the node leads and has proved it.",
     GAUGE, AT(leads)},
    {"holdfast_raft_term", "", "Rises with each election.", GAUGE, AT(term)},
    {"holdfast_raft_first_index", "", "First log entry in memory.", GAUGE,
     AT(first_index)},
    {"holdfast_raft_last_index", "", "Last log entry.", GAUGE, AT(last_index)},
    {"holdfast_raft_synced_index", "", "Last log entry on the disk.", GAUGE,
     AT(synced_index)},
    {"holdfast_raft_commit_index", "",
     "Last log entry known to be committed here.", GAUGE, AT(commit_index)},
    {"holdfast_raft_applied_index", "", "Last log entry in this node's state.",
     GAUGE, AT(applied_index)},
    {"holdfast_raft_snapshot_index", "",
     "Last log entry in the newest snapshot.", GAUGE, AT(snapshot_index)},
    {"holdfast_raft_behind_entries", "",
     "Entries that a leader said are committed and this node lacks.", GAUGE,
     AT(behind)},
    {"holdfast_raft_log_memory_bytes", "", "Log entries in memory.", GAUGE,
     AT(log_bytes)},
    {"holdfast_raft_disk_write_seconds", "",
     "A log write until it is on the disk; moving average.", GAUGE,
     MICRO(disk_us)},
    {"holdfast_raft_messages_bad_total", "",
     "Messages of other nodes that were refused.", COUNTER, AT(messages_bad)},
    {"holdfast_raft_peer_connected", "peer", "1 when the other node answers.",
     GAUGE, BY(write_connected)},
    {"holdfast_raft_peer_lag_entries", "peer",
     "Entries that the other node lacks; the leader tells.", GAUGE,
     BY(write_lag)},

    {"holdfast_turns_total", "", "Turns that this node planned as leader.",
     COUNTER, AT(turns)},
    {"holdfast_turn_entries_total", "",
     "Turns that wrote a log entry; the others only proved leadership.",
     COUNTER, AT(entries)},
    {"holdfast_turn_entry_bytes_total", "", "Bytes of these entries.", COUNTER,
     AT(entry_bytes)},
    {"holdfast_turn_requests_total", "lane", "Requests in these turns.",
     COUNTER, BY(write_planned)},
    {"holdfast_turn_queued_requests", "lane",
     "Requests that wait for the next turn.", GAUGE, BY(write_queued)},
    {"holdfast_changes_applied_total", "change",
     "Changes of the state, those of the log read at the start included; "
     "host_fence is a host given up.",
     COUNTER, BY(write_changes)},
    {"holdfast_vm_failovers_total", "",
     "VMs assigned anew after their host was fenced; counted as above.",
     COUNTER, AT(activity.failovers)},

    {"holdfast_zones", "", "Zones.", GAUGE, AT(zones)},
    {"holdfast_hosts", "state", "Hosts.", GAUGE, BY(write_hosts)},
    {"holdfast_vms", "state", "VMs.", GAUGE, BY(write_vms)},
    {"holdfast_leases", "state",
     "Leases of hosts that are up; the leader tells. Late: two renewals are "
     "missing. Ended: about to be fenced.",
     GAUGE, BY(write_leases)},
    {"holdfast_storm", "",
     "1 while automatic re-assignment is paused; the leader tells.", GAUGE,
     AT(storm)},
    {"holdfast_zone_loss_unplaceable", "zone",
     "VMs that would find no room if the zone were lost now; 0: it may be "
     "lost. The leader tells, unless headroom is off or being worked out.",
     GAUGE, BY(write_zone_losses)},
    {"holdfast_state_revision", "", "Number of the last change.", GAUGE,
     AT(revision)},
    {"holdfast_state_memory_bytes", "part", "Memory of the replicated state.",
     GAUGE, BY(write_memory)},
    {"holdfast_agent_sessions", "",
     "Agents' sessions that this node serves as leader.", GAUGE, AT(sessions)},
    {"holdfast_watches", "", "Open watches.", GAUGE, AT(watches)},
    {"holdfast_watch_events", "", "Events kept for watches to resume from.",
     GAUGE, AT(watch_events)},

    {"holdfast_rpc_connections", "", "Open gRPC connections.", GAUGE,
     AT(connections)},
    {"holdfast_rpc_connections_accepted_total", "",
     "gRPC connections accepted.", COUNTER, AT(connections_accepted)},
    {"holdfast_rpc_connections_refused_total", "", "gRPC connections refused.",
     COUNTER, AT(connections_refused)},
    {"holdfast_rpc_calls", "", "Open calls.", GAUGE, AT(calls_open)},
    {"holdfast_rpc_calls_total", "method, code",
     "Calls that ended, those passed on to the leader included.", COUNTER,
     BY(write_calls)},
    {"holdfast_rpc_callers", "",
     "Callers that are told apart at present; at most 8192.", GAUGE,
     AT(callers)},
    {"holdfast_rpc_calls_limited_total", "limit",
     "Calls refused because their caller asked too much of this node "
     "(OVER_LIMIT), by the limit.",
     COUNTER, BY(write_limited)},
    {"holdfast_http_connections", "", "Open HTTP connections.", GAUGE,
     AT(http_connections)},
    {"holdfast_http_connections_accepted_total", "",
     "HTTP connections accepted.", COUNTER, AT(http_connections_accepted)},
    {"holdfast_http_responses_total", "code", "HTTP answers by status.",
     COUNTER, BY(write_http)},
};

size_t metrics_family_count(void)
{
    return ARRAY_LEN(families);
}

const struct metrics_family *metrics_family(size_t number)
{
    CHECK(number < ARRAY_LEN(families));
    return &families[number];
}

const char *metrics_type_name(enum metrics_type type)
{
    return type == METRICS_GAUGE ? "gauge" : "counter";
}

static void write_family(struct metrics_writer *writer,
                         const struct metrics *metrics)
{
    const struct metrics_family *family = writer->family;
    uint64_t value;

    put(writer, "# HELP ");
    put(writer, family->name);
    put(writer, " ");
    put(writer, family->help);
    put(writer, "\n# TYPE ");
    put(writer, family->name);
    put(writer, " ");
    put(writer, metrics_type_name(family->type));
    put(writer, "\n");
    if (family->write != NULL) {
        family->write(writer, metrics);
        return;
    }
    memcpy(&value, (const uint8_t *)metrics + family->offset, sizeof(value));
    begin_sample(writer);
    end_sample(writer, value);
}

void metrics_write(const struct metrics *metrics, struct bytes *out)
{
    struct metrics_writer writer = {.out = out};

    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        writer.family = &families[i];
        write_family(&writer, metrics);
    }
}
