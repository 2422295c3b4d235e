/* SPDX-License-Identifier: Apache-2.0
 *
 * Each check of `holdfast doctor` on both sides of each of its bounds: a region
 * that is well, with one thing planted. */
#include "base/container.h"
#include "ctl/doctor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NODES 3
#define HOSTS 3
#define DAY_S 86400
#define NOW_S 1800000000

/* A region in memory that nothing frees. */
struct region {
    struct doctor_facts facts;
    Holdfast__V1__GetStatusResponse status[NODES];
    Holdfast__V1__DiskWrites disks[NODES];
    Holdfast__V1__ListNodesResponse lists[NODES];
    Holdfast__V1__Node nodes[NODES][NODES];
    Holdfast__V1__Node *node_pointers[NODES][NODES];
    Holdfast__V1__RoundTrip ways[NODES][NODES];
    uint32_t states[8];
    Holdfast__V1__Settings settings;
    Holdfast__V1__GetSettingsResponse settings_answer;
    Holdfast__V1__Zone zones[NODES];
    Holdfast__V1__Zone *zone_pointers[NODES];
    Holdfast__V1__ZoneHeadroom headroom[NODES];
    Holdfast__V1__ListZonesResponse zones_answer;
    Holdfast__V1__Host hosts[HOSTS];
    Holdfast__V1__Host *host_pointers[HOSTS];
    Holdfast__V1__HostLease leases[HOSTS];
    Holdfast__V1__ListHostsResponse hosts_answer;
    Holdfast__V1__Vm vm;
    Holdfast__V1__Vm *vm_pointer;
    Holdfast__V1__VmStatus vm_status;
    Holdfast__V1__ListVmsResponse pending;
    Holdfast__V1__Grant grants[3];
    Holdfast__V1__Grant *grant_pointers[3];
    Holdfast__V1__ListGrantsResponse grants_answer;
    Holdfast__V1__Reservation reservation;
    Holdfast__V1__Reservation *reservation_pointer;
    Holdfast__V1__ListReservationsResponse reservations;
};

static char node_names[NODES][3] = {"n1", "n2", "n3"};
static char zone_names[NODES][3] = {"z1", "z2", "z3"};
static char host_names[HOSTS][3] = {"h1", "h2", "h3"};
static char region_name[] = "prod";
static char region_id[] = "0123456789abcdef0123456789abcdef";
static char other_id[] = "ffffffffffffffffffffffffffffffff";
static char version[] = "1.0";
static char other_version[] = "1.1";
static char empty[] = "";

static void make_status(struct region *region, int i)
{
    Holdfast__V1__GetStatusResponse *status = &region->status[i];

    holdfast__v1__get_status_response__init(status);
    holdfast__v1__disk_writes__init(&region->disks[i]);
    status->region = region_name;
    status->region_id = region_id;
    status->leader = node_names[0];
    status->quorum = true;
    status->term = 3;
    status->applied_index = 10;
    status->state_hash = 77;
    status->version = version;
    status->state_format = 2;
    status->disk = &region->disks[i];
    status->vm_state_counts = region->states;
    status->n_vm_state_counts = ARRAY_LEN(region->states);
}

static void make_view(struct region *region, int i)
{
    holdfast__v1__list_nodes_response__init(&region->lists[i]);
    for (int j = 0; j < NODES; j++) {
        Holdfast__V1__Node *node = &region->nodes[i][j];

        holdfast__v1__node__init(node);
        holdfast__v1__round_trip__init(&region->ways[i][j]);
        node->name = node_names[j];
        node->zone = zone_names[j];
        node->address = empty;
        node->role = j == 0 ? HOLDFAST__V1__ROLE__ROLE_LEADER
                            : HOLDFAST__V1__ROLE__ROLE_FOLLOWER;
        node->round_trip = i == j ? NULL : &region->ways[i][j];
        region->node_pointers[i][j] = node;
    }
    region->lists[i].nodes = region->node_pointers[i];
    region->lists[i].n_nodes = NODES;
}

static void make_node(struct region *region, int i)
{
    struct doctor_node *node = &region->facts.nodes[i];

    make_status(region, i);
    make_view(region, i);
    (void)snprintf(node->name, sizeof(node->name), "%s", node_names[i]);
    (void)snprintf(node->zone, sizeof(node->zone), "%s", zone_names[i]);
    (void)snprintf(node->address, sizeof(node->address), "10.0.0.%d:7400", i);
    node->status = &region->status[i];
    node->nodes = &region->lists[i];
    node->certificate_end_s = NOW_S + 300 * DAY_S;
    node->sample_count = 2;
    for (unsigned s = 0; s < 2; s++) { /* A second apart. */
        node->samples[s] = (struct doctor_sample){
            .sent_us = 5000000 + s * 1000000,
            .received_us = 5000400 + s * 1000000,
            .wall_ms = 1000 * (uint64_t)NOW_S + s * 1000,
            .its_wall_ms = 1000 * (uint64_t)NOW_S + s * 1000,
            .its_uptime_ms = 60000 + s * 1000,
        };
    }
}

static void make_settings(struct region *region)
{
    Holdfast__V1__Settings *settings = &region->settings;

    holdfast__v1__settings__init(settings);
    holdfast__v1__get_settings_response__init(&region->settings_answer);
    settings->lease_wait_ms = 5000;
    settings->lease_run_ms = 4400;
    settings->renew_ms = 1000;
    settings->kill_budget_ms = 250;
    settings->margin_ms = 250;
    settings->clock_error_permille = 10;
    settings->zone_loss_permille = 900;
    settings->storm_permille = 500;
    settings->zone_hold_ms = 60000;
    settings->start_parallel = 4;
    settings->rebalance_start_permille = 50;
    settings->rebalance_stop_permille = 15;
    settings->zone_moves = 10;
    settings->host_moves = 2;
    region->settings_answer.settings = settings;
    region->facts.settings = &region->settings_answer;
}

static void make_zone(struct region *region, int i)
{
    Holdfast__V1__Zone *zone = &region->zones[i];
    Holdfast__V1__Host *host = &region->hosts[i];

    holdfast__v1__zone__init(zone);
    holdfast__v1__zone_headroom__init(&region->headroom[i]);
    zone->name = zone_names[i];
    zone->state = HOLDFAST__V1__ZONE_STATE__ZONE_STATE_UP;
    zone->host_count = 1;
    zone->host_up_count = 1;
    zone->headroom = &region->headroom[i];
    region->zone_pointers[i] = zone;
    holdfast__v1__host__init(host);
    holdfast__v1__host_lease__init(&region->leases[i]);
    host->name = host_names[i];
    host->zone = zone_names[i];
    host->agent_version = version;
    host->state = HOLDFAST__V1__HOST_STATE__HOST_STATE_UP;
    host->lease = &region->leases[i];
    host->lease->remaining_ms = 4500;
    region->host_pointers[i] = host;
}

static void make_rest(struct region *region)
{
    holdfast__v1__vm__init(&region->vm);
    holdfast__v1__vm_status__init(&region->vm_status);
    holdfast__v1__list_vms_response__init(&region->pending);
    region->vm.name = node_names[0];
    region->vm.status = &region->vm_status;
    region->vm_pointer = &region->vm;
    region->pending.vms = &region->vm_pointer;
    region->facts.pending = &region->pending;
    holdfast__v1__reservation__init(&region->reservation);
    holdfast__v1__list_reservations_response__init(&region->reservations);
    region->reservation_pointer = &region->reservation;
    region->reservations.reservations = &region->reservation_pointer;
    region->facts.reservations = &region->reservations;
    holdfast__v1__list_grants_response__init(&region->grants_answer);
    for (size_t i = 0; i < ARRAY_LEN(region->grants); i++) {
        holdfast__v1__grant__init(&region->grants[i]);
        region->grants[i].role = HOLDFAST__V1__ACCESS_ROLE__ACCESS_ROLE_ADMIN;
        region->grant_pointers[i] = &region->grants[i];
    }
    region->grants_answer.grants = region->grant_pointers;
    region->grants_answer.n_grants = 2;
    region->facts.grants = &region->grants_answer;
    region->facts.grants_known = GRANTS_KNOWN;
}

static void make_region(struct region *region)
{
    memset(region, 0, sizeof(*region));
    region->facts.version = version;
    region->facts.now_ms = 1000 * (uint64_t)NOW_S;
    region->facts.tls = true;
    region->facts.certificate_end_s = NOW_S + 200 * DAY_S;
    region->facts.node_count = NODES;
    for (int i = 0; i < NODES; i++) {
        make_node(region, i);
        make_zone(region, i);
    }
    make_settings(region);
    make_rest(region);
    holdfast__v1__list_zones_response__init(&region->zones_answer);
    region->zones_answer.zones = region->zone_pointers;
    region->zones_answer.n_zones = NODES;
    region->facts.zones = &region->zones_answer;
    holdfast__v1__list_hosts_response__init(&region->hosts_answer);
    region->hosts_answer.hosts = region->host_pointers;
    region->hosts_answer.n_hosts = HOSTS;
    region->facts.hosts = &region->hosts_answer;
}

/* --- What is planted --------------------------------------------------------
 */

static void nothing(struct region *region, int64_t value)
{
    (void)region;
    (void)value;
}

/* So many nodes answer, and the others' leader does not reach the rest. */
static void silent(struct region *region, int64_t value)
{
    for (int i = NODES - (int)value; i < NODES; i++) {
        region->facts.nodes[i].status = NULL;
        region->facts.nodes[i].nodes = NULL;
        region->nodes[0][i].role = HOLDFAST__V1__ROLE__ROLE_UNREACHABLE;
    }
}

static void silent_here_only(struct region *region, int64_t value)
{
    silent(region, value);
    region->nodes[0][2].role = HOLDFAST__V1__ROLE__ROLE_FOLLOWER;
}

static void silent_endpoint(struct region *region, int64_t value)
{
    silent(region, value);
    region->facts.nodes[2].name[0] = '\0';
}

static void no_leader(struct region *region, int64_t value)
{
    for (int i = 0; i < (int)value; i++) {
        region->status[i].leader = empty;
        region->status[i].quorum = false;
    }
}

static void node_count(struct region *region, int64_t value)
{
    region->facts.node_count = (size_t)value;
}

static void one_zone(struct region *region, int64_t value)
{
    for (int i = 0; i < (int)value; i++) {
        (void)snprintf(region->facts.nodes[i].zone, 3, "z1");
    }
}

static void unreached(struct region *region, int64_t value)
{
    region->nodes[1][value].role = HOLDFAST__V1__ROLE__ROLE_UNREACHABLE;
}

static void other_region(struct region *region, int64_t value)
{
    (void)value;
    region->status[2].region_id = other_id;
    region->status[2].state_hash = 78; /* Which is no wonder. */
}

static void lag(struct region *region, int64_t value)
{
    region->nodes[0][1].lag_entries = (uint64_t)value;
}

static void hash(struct region *region, int64_t value)
{
    region->status[1].state_hash = (uint64_t)value;
}

static void hash_elsewhere(struct region *region, int64_t value)
{
    hash(region, value);
    region->status[1].applied_index = 11;
}

static void node_version(struct region *region, int64_t value)
{
    region->status[value].version = other_version;
}

static void agent_version(struct region *region, int64_t value)
{
    region->hosts[value].agent_version = other_version;
}

static void wall(struct region *region, int64_t value)
{
    for (unsigned s = 0; s < 2; s++) {
        region->facts.nodes[1].samples[s].its_wall_ms += (uint64_t)value;
    }
}

static void rate(struct region *region, int64_t value)
{
    region->facts.nodes[1].samples[1].its_uptime_ms += (uint64_t)value;
}

static void way(struct region *region, int64_t value)
{
    region->ways[1][2].median_us = (uint32_t)value;
    region->ways[1][2].max_us = (uint32_t)value;
}

static void disk_mean(struct region *region, int64_t value)
{
    region->disks[2].mean_us = (uint32_t)value;
}

static void disk_max(struct region *region, int64_t value)
{
    region->disks[2].max_us = (uint32_t)value;
}

static void node_end(struct region *region, int64_t value)
{
    region->facts.nodes[1].certificate_end_s = (uint64_t)(NOW_S + value);
}

static void own_end(struct region *region, int64_t value)
{
    region->facts.certificate_end_s = (uint64_t)(NOW_S + value);
}

static void agent_end(struct region *region, int64_t value)
{
    region->leases[1].certificate_end_time_ms =
        1000 * (uint64_t)(NOW_S + value);
}

static void two_agents_end(struct region *region, int64_t value)
{
    agent_end(region, value);
    region->leases[2].certificate_end_time_ms =
        1000 * (uint64_t)(NOW_S + value + 1);
}

static void no_tls(struct region *region, int64_t value)
{
    (void)value;
    region->facts.tls = false;
}

static void grants(struct region *region, int64_t value)
{
    region->grants_answer.n_grants = (size_t)value;
}

/* A third grant is a token that ends in so many ms; 0: never. */
static void token_end(struct region *region, int64_t value)
{
    Holdfast__V1__Grant *token = &region->grants[2];

    region->grants_answer.n_grants = 3;
    token->subject_kind = HOLDFAST__V1__SUBJECT_KIND__SUBJECT_KIND_TOKEN;
    token->expire_time_ms =
        value == 0 ? 0 : (uint64_t)(INT64_C(1000) * NOW_S + value);
}

/* And so does an administrator's grant, a moment later. */
static void both_end(struct region *region, int64_t value)
{
    token_end(region, value);
    region->grants[1].expire_time_ms = region->grants[2].expire_time_ms + 1;
}

static void hidden_grants(struct region *region, int64_t value)
{
    (void)value;
    region->facts.grants = NULL;
    region->facts.grants_known = GRANTS_HIDDEN;
}

static void storm(struct region *region, int64_t value)
{
    region->status[value].storm = true;
}

static void lease_run(struct region *region, int64_t value)
{
    region->settings.lease_run_ms = (uint32_t)value;
}

static void renew(struct region *region, int64_t value)
{
    region->settings.renew_ms = (uint32_t)value;
    region->leases[0].remaining_ms = 5000;
    region->leases[1].remaining_ms = 5000;
    region->leases[2].remaining_ms = 5000;
}

static void remaining(struct region *region, int64_t value)
{
    region->leases[1].remaining_ms = (uint32_t)value;
}

static void zone_state(struct region *region, int64_t value)
{
    region->zones[1].state = (Holdfast__V1__ZoneState)value;
}

static void zone_cordoned(struct region *region, int64_t value)
{
    region->zones[value].cordoned = true;
}

static void zone_hosts(struct region *region, int64_t value)
{
    region->zones[1].host_up_count = (uint32_t)value;
}

static void zone_count(struct region *region, int64_t value)
{
    region->zones_answer.n_zones = (size_t)value;
}

static void host_lost(struct region *region, int64_t value)
{
    region->hosts[value].state = HOLDFAST__V1__HOST_STATE__HOST_STATE_LOST;
}

static void host_cordoned(struct region *region, int64_t value)
{
    region->hosts[value].cordoned = true;
}

static void unknown_vm(struct region *region, int64_t value)
{
    region->leases[value].n_unknown_vm_uids = 1;
}

static void host_count(struct region *region, int64_t value)
{
    region->hosts_answer.n_hosts = (size_t)value;
}

static void unplaceable(struct region *region, int64_t value)
{
    region->headroom[1].unplaceable_count = (uint32_t)value;
}

static void unprotected(struct region *region, int64_t value)
{
    region->headroom[1].unprotected_count = (uint32_t)value;
}

static void headroom_unknown(struct region *region, int64_t value)
{
    region->zones[value].headroom = NULL;
}

static void headroom_mode(struct region *region, int64_t value)
{
    region->settings.headroom = (Holdfast__V1__HeadroomMode)value;
}

static void pending(struct region *region, int64_t value)
{
    region->vm_status.pending_reason = (Holdfast__V1__PendingReason)value;
    region->pending.n_vms = 1;
}

static void lost_vms(struct region *region, int64_t value)
{
    region->states[HOLDFAST__V1__VM_STATE__VM_STATE_LOST] = (uint32_t)value;
}

static void missing_slots(struct region *region, int64_t value)
{
    region->reservation.missing_count = (uint32_t)value;
    region->reservations.n_reservations = 1;
}

/* So many of five VMs move. */
static void drain(struct region *region, int64_t value)
{
    region->facts.drains[0] = (struct doctor_drain){
        .subject = "host h1", .left = 5, .moving = (uint32_t)value};
    region->facts.drain_count = 1;
}

static void drained(struct region *region, int64_t value)
{
    drain(region, value);
    region->facts.drains[0].left = 0;
}

static void storm_permille(struct region *region, int64_t value)
{
    region->settings.storm_permille = (uint32_t)value;
}

static void zone_hold(struct region *region, int64_t value)
{
    region->settings.zone_hold_ms = (uint32_t)value;
}

static void unread(struct region *region, int64_t value)
{
    (void)value;
    region->facts.settings = NULL;
    region->facts.zones = NULL;
    region->facts.hosts = NULL;
    region->facts.pending = NULL;
    (void)snprintf(region->facts.region_error,
                   sizeof(region->facts.region_error), "no leader");
}

/* --- The table --------------------------------------------------------------
 */

#define REASON(name) HOLDFAST__V1__PENDING_REASON__PENDING_REASON_##name
#define ZONE(name)   HOLDFAST__V1__ZONE_STATE__ZONE_STATE_##name
#define DAYS(count)  ((int64_t)(count)*DAY_S)

static const struct row {
    void (*plant)(struct region *region, int64_t value);
    int64_t value;
    const char *id;                  /* The check that sees it. */
    Holdfast__V1__Severity severity; /* The worst of all checks. */
    const char *found;
} rows[] = {
    {nothing, 0, "quorum", SEVERITY(OK), "n1 leads in term 3"},
    {nothing, 0, "nodes", SEVERITY(OK), "all 3 nodes answer"},
    {no_leader, 3, "quorum", SEVERITY(CRITICAL), "no node knows a leader"},
    {no_leader, 1, "quorum", SEVERITY(WARNING), "says that nobody leads"},
    {silent, 3, "quorum", SEVERITY(CRITICAL), "no node answers"},
    {silent, 1, "nodes", SEVERITY(CRITICAL), "one more and the region stops"},
    {silent_here_only, 1, "nodes", SEVERITY(NOTE), "the leader reaches it"},
    {silent_endpoint, 1, "nodes", SEVERITY(WARNING), "a region of 2 nodes"},
    {node_count, 2, "nodes", SEVERITY(WARNING), "a region of 2 nodes stops"},
    {node_count, 1, "nodes", SEVERITY(WARNING), "a region of 1 node stops"},
    {one_zone, 1, "nodes", SEVERITY(OK), "all 3 nodes"},
    {one_zone, 2, "nodes", SEVERITY(WARNING), "2 of 3 nodes are in zone z1"},
    {unreached, 2, "nodes", SEVERITY(WARNING), "does not reach n3"},
    {other_region, 0, "nodes", SEVERITY(CRITICAL), "is of another region"},
    {lag, 999, "sync", SEVERITY(OK), "more than 999 entries behind"},
    {lag, 1000, "sync", SEVERITY(NOTE), "is 1000 entries behind"},
    {lag, 20000, "sync", SEVERITY(WARNING), "is 20000 entries behind"},
    {hash, 77, "sync", SEVERITY(OK), "states agree"},
    {hash, 78, "sync", SEVERITY(CRITICAL), "have different states"},
    {hash_elsewhere, 78, "sync", SEVERITY(OK), "states agree"},
    {node_version, 1, "versions", SEVERITY(NOTE), "is of version 1.1"},
    {agent_version, 1, "versions", SEVERITY(NOTE), "1.1 of host h2"},
    {wall, 1000, "clocks", SEVERITY(OK), "within 1000 ms"},
    {wall, 1001, "clocks", SEVERITY(NOTE), "1.0 s ahead of"},
    {wall, -1001, "clocks", SEVERITY(NOTE), "1.0 s behind"},
    {wall, 60000, "clocks", SEVERITY(NOTE), "60 s ahead of"},
    {wall, 60001, "clocks", SEVERITY(WARNING), "60 s ahead of"},
    {rate, 12, "clocks", SEVERITY(OK), "within 10 permille"},
    {rate, 14, "clocks", SEVERITY(CRITICAL), "at least 11 permille"},
    {rate, -14, "clocks", SEVERITY(CRITICAL), "at least 11 permille"},
    {way, 9999, "round-trips", SEVERITY(OK), "usually 9.9 ms at most"},
    {way, 10000, "round-trips", SEVERITY(NOTE), "10.0 ms usually"},
    {way, 100000, "round-trips", SEVERITY(WARNING), "to n3 and back"},
    {disk_mean, 19999, "disks", SEVERITY(OK), "takes 19.9 ms on average"},
    {disk_mean, 20000, "disks", SEVERITY(NOTE), "takes 20.0 ms on average"},
    {disk_mean, 200000, "disks", SEVERITY(WARNING), "takes 200.0 ms"},
    {disk_max, 499999, "disks", SEVERITY(OK), "took 499.9 ms at most"},
    {disk_max, 500000, "disks", SEVERITY(NOTE), "500.0 ms at most"},
    {node_end, DAYS(30), "certificates", SEVERITY(OK), "the first ends"},
    {node_end, DAYS(30) - 1, "certificates", SEVERITY(WARNING), "in 29 days"},
    {node_end, DAYS(7), "certificates", SEVERITY(WARNING), "in 7 days"},
    {node_end, DAYS(7) - 1, "certificates", SEVERITY(CRITICAL), "in 6 days"},
    {own_end, DAYS(2) - 1, "certificates", SEVERITY(CRITICAL), "in 1 day,"},
    {own_end, -1, "certificates", SEVERITY(CRITICAL), "has ended at"},
    {agent_end, DAYS(30), "certificates", SEVERITY(OK), "the agents'"},
    {agent_end, DAYS(30) - 1, "certificates", SEVERITY(WARNING), "29 days"},
    {agent_end, DAYS(7) - 1, "certificates", SEVERITY(CRITICAL), "6 days"},
    {two_agents_end, DAYS(3), "certificates", SEVERITY(CRITICAL), "3 days"},
    {no_tls, 0, "certificates", SEVERITY(OK), "without TLS"},
    {no_tls, 0, "access", SEVERITY(OK), "without TLS"},
    {grants, 0, "access", SEVERITY(NOTE), "there is no grant"},
    {grants, 1, "access", SEVERITY(NOTE), "only one administrator's"},
    {grants, 2, "access", SEVERITY(OK), "2 grants, 2 of administrators"},
    {both_end, INT64_C(1000) * DAYS(20), "access", SEVERITY(NOTE),
     "only one administrator's"},
    {token_end, 0, "tokens", SEVERITY(NOTE), "1 token never ends"},
    {token_end, INT64_C(1000) * DAYS(14), "tokens", SEVERITY(OK),
     "1 token, none of"},
    {token_end, INT64_C(1000) * DAYS(14) - 1, "tokens", SEVERITY(WARNING),
     "13 days"},
    {token_end, 1, "tokens", SEVERITY(WARNING), "ends in 0 days, at"},
    {token_end, -1, "tokens", SEVERITY(NOTE), "has expired"},
    {both_end, INT64_C(1000) * DAYS(1), "tokens", SEVERITY(WARNING),
     "in 1 day,"},
    {hidden_grants, 0, "access", SEVERITY(OK), "yours does not show them"},
    {storm, 1, "storm", SEVERITY(CRITICAL), "too many hosts vanished"},
    {lease_run, 4411, "leases", SEVERITY(OK), "0 ms to spare"},
    {lease_run, 4412, "leases", SEVERITY(CRITICAL), "two copies could run"},
    {renew, 1466, "leases", SEVERITY(OK), "2 lost renewals"},
    {renew, 1467, "leases", SEVERITY(WARNING), "2 lost renewals end it"},
    {remaining, 3000, "renewals", SEVERITY(OK), "renewed 2000 ms ago"},
    {remaining, 2999, "renewals", SEVERITY(WARNING), "1 host misses two"},
    {remaining, 0, "renewals", SEVERITY(CRITICAL), "renewed 5000 ms ago"},
    {zone_state, ZONE(LOST), "zones", SEVERITY(CRITICAL), "is lost"},
    {zone_state, ZONE(HELD), "zones", SEVERITY(NOTE), "is back"},
    {zone_cordoned, 1, "zones", SEVERITY(NOTE), "is cordoned"},
    {zone_hosts, 0, "zones", SEVERITY(WARNING), "no host that is up (of 1)"},
    {zone_count, 2, "zones", SEVERITY(OK), "all 2 zones are up"},
    {zone_count, 1, "zones", SEVERITY(WARNING), "one zone only"},
    {host_lost, 1, "hosts", SEVERITY(WARNING), "1 host is lost: h2"},
    {host_cordoned, 1, "hosts", SEVERITY(NOTE), "1 host is cordoned: h2"},
    {unknown_vm, 1, "hosts", SEVERITY(NOTE), "1 host runs VMs"},
    {host_count, 0, "hosts", SEVERITY(WARNING), "there is no host"},
    {unplaceable, 1, "headroom", SEVERITY(WARNING), "may not be lost: 1 of"},
    {unprotected, 2, "unprotected", SEVERITY(NOTE), "2 VMs are not placed"},
    {headroom_unknown, 1, "headroom", SEVERITY(NOTE), "worked out for 1 zone"},
    {headroom_mode, HOLDFAST__V1__HEADROOM_MODE__HEADROOM_MODE_OFF, "headroom",
     SEVERITY(NOTE), "is off"},
    {pending, REASON(QUEUED), "pending", SEVERITY(NOTE), "1 VM waits"},
    {pending, REASON(PREEMPTED), "pending", SEVERITY(NOTE), "1 VM waits"},
    {pending, REASON(NO_CAPACITY), "pending", SEVERITY(WARNING), "n1"},
    {lost_vms, 2, "pending", SEVERITY(WARNING), "2 VMs are on hosts"},
    {missing_slots, 0, "pending", SEVERITY(OK), "no VM waits"},
    {missing_slots, 1, "reservations", SEVERITY(WARNING), "no room"},
    {nothing, 0, "drains", SEVERITY(OK), "nothing is being drained"},
    {drain, 1, "drains", SEVERITY(NOTE), "5 VMs left, 1 moving"},
    {drain, 0, "drains", SEVERITY(WARNING), "5 VMs left, 0 moving"},
    {drained, 0, "drains", SEVERITY(NOTE), "is drained"},
    {storm_permille, 999, "settings", SEVERITY(OK), "storm_permille 999 (500)"},
    {storm_permille, 1000, "settings", SEVERITY(WARNING), "nothing pauses"},
    {zone_hold, 10000, "settings", SEVERITY(OK), "zone_hold_ms 10000 (60000)"},
    {zone_hold, 9999, "settings", SEVERITY(NOTE), "comes and goes"},
    {nothing, 0, "settings", SEVERITY(OK), "all as they are by default"},
    {unread, 0, "region", SEVERITY(WARNING), "not all of it could be read"},
};

/* Whether a finding of that check says so; a bad one has a cure. */
static bool is_found(const struct diagnosis *diagnosis, const struct row *row)
{
    bool found = false;

    for (size_t i = 0; i < diagnosis->message.n_findings; i++) {
        const Holdfast__V1__Finding *finding = diagnosis->message.findings[i];

        assert_true((finding->cure[0] == '\0') ==
                    (finding->severity == SEVERITY(OK)));
        found = found || (strcmp(finding->id, row->id) == 0 &&
                          strstr(finding->found, row->found) != NULL);
    }
    return found;
}

static void each_bound_parts_well_from_wrong(void **unused)
{
    unsigned wrong = 0;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        struct region region;
        struct diagnosis diagnosis;
        struct bytes text;

        make_region(&region);
        row->plant(&region, row->value);
        diagnosis_init(&diagnosis);
        doctor_judge(&region.facts, &diagnosis);
        bytes_init(&text);
        diagnosis_write(&diagnosis, false, &text);
        bytes_append_u8(&text, '\0');
        if (!is_found(&diagnosis, row) ||
            diagnosis.message.severity != row->severity) {
            print_error("row %zu: not %s \"%s\", or not %d at worst:\n%s", i,
                        row->id, row->found, (int)row->severity, text.data);
            wrong++;
        }
        bytes_close(&text);
        diagnosis_close(&diagnosis);
    }
    assert_int_equal(wrong, 0);
}

static void every_check_of_a_region_that_is_well_says_so(void **unused)
{
    static const char *const ids[] = {
        "quorum",   "nodes",        "sync",     "versions",   "clocks",
        "disks",    "certificates", "access",   "storm",      "leases",
        "renewals", "zones",        "hosts",    "headroom",   "unprotected",
        "pending",  "drains",       "settings", "round-trips"};
    struct region region;
    struct diagnosis diagnosis;
    struct bytes text;

    (void)unused;
    make_region(&region);
    diagnosis_init(&diagnosis);
    doctor_judge(&region.facts, &diagnosis);
    assert_int_equal(diagnosis.message.n_findings, ARRAY_LEN(ids));
    assert_int_equal(diagnosis_count(&diagnosis, SEVERITY(OK)), ARRAY_LEN(ids));
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        const struct row row = {.id = ids[i], .found = ""};

        assert_true(is_found(&diagnosis, &row));
    }
    assert_string_equal(diagnosis.message.region, "prod");
    bytes_init(&text);
    diagnosis_summary(&diagnosis, &text);
    assert_memory_equal(text.data, "19 ok\n", text.len);
    bytes_close(&text);
    diagnosis_close(&diagnosis);
}

static void a_finding_is_told_in_lines_with_its_cure(void **unused)
{
    struct diagnosis diagnosis;
    struct bytes text;

    (void)unused;
    diagnosis_init(&diagnosis);
    diagnosis_add(&diagnosis, "nodes", SEVERITY(CRITICAL), "node n1",
                  "does not answer (10.0.0.1:7400: cannot connect: Connection "
                  "refused)\x1b[2J");
    diagnosis_cure(&diagnosis, "see its log");
    bytes_init(&text);
    diagnosis_write(&diagnosis, true, &text);
    bytes_append_u8(&text, '\0');
    assert_string_equal((const char *)text.data,
                        "\x1b[31mcritical\x1b[0m  nodes: node n1: does not "
                        "answer (10.0.0.1:7400: cannot connect:\n          "
                        "Connection refused)?[2J\n          -> see its log\n");
    bytes_close(&text);
    diagnosis_close(&diagnosis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bound_parts_well_from_wrong),
        cmocka_unit_test(every_check_of_a_region_that_is_well_says_so),
        cmocka_unit_test(a_finding_is_told_in_lines_with_its_cure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
