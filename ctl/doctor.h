/* SPDX-License-Identifier: Apache-2.0
 *
 * `holdfast doctor`: facts are gathered first (doctor_gather.c), then judged by
 * pure functions, one a check. A check that finds nothing wrong says so, with
 * the figures it went by. */
#ifndef CTL_DOCTOR_H
#define CTL_DOCTOR_H

#include "ctl/diagnosis.h"
#include "holdfast/v1/access_service.pb-c.h"
#include "holdfast/v1/cluster_service.pb-c.h"
#include "holdfast/v1/host_service.pb-c.h"
#include "holdfast/v1/reservation_service.pb-c.h"
#include "holdfast/v1/vm_service.pb-c.h"
#include "holdfast/v1/zone_service.pb-c.h"

#include <stdint.h>

/* Questions to each node: enough for a median, and for a clock's rate. */
#define DOCTOR_SAMPLES   5
#define DOCTOR_PAUSE_MS  250
#define DOCTOR_NODES_MAX 32
#define DOCTOR_TEXT_MAX  256

/* One question to a node. */
struct doctor_sample {
    uint64_t sent_us;     /* By our clock_boot_ns(). */
    uint64_t received_us; /* Likewise. */
    uint64_t wall_ms;     /* Ours, half way. */
    uint64_t its_wall_ms;
    uint64_t its_uptime_ms;
};

struct doctor_node {
    char name[64];                           /* Empty: not known. */
    char zone[64];                           /* Likewise. */
    char address[DOCTOR_TEXT_MAX];           /* Where it was asked. */
    char error[DOCTOR_TEXT_MAX];             /* Why it did not answer. */
    Holdfast__V1__GetStatusResponse *status; /* The first; NULL: none came. */
    Holdfast__V1__ListNodesResponse *nodes;  /* As it sees them; or NULL. */
    struct doctor_sample samples[DOCTOR_SAMPLES];
    size_t sample_count;
    uint64_t certificate_end_s; /* As it showed it; 0: none. */
};

/* VMs on what is being drained. */
struct doctor_drain {
    char subject[80]; /* "host h1". */
    uint32_t left;
    uint32_t moving;  /* Under way, or about to be: moves have budgets. */
    uint32_t staying; /* Can never leave. */
    char why[600];    /* Of one that could: why it does not. Empty: unknown. */
};
#define DOCTOR_DRAINS_MAX 16

enum doctor_grants { GRANTS_UNKNOWN, GRANTS_KNOWN, GRANTS_HIDDEN };

/* What is owned is freed by doctor_facts_close(). */
struct doctor_facts {
    const char *version; /* Ours. */
    uint64_t now_ms;     /* Our wall clock. */
    bool tls;
    uint64_t certificate_end_s; /* Ours; 0: none. */
    struct doctor_node nodes[DOCTOR_NODES_MAX];
    size_t node_count;
    /* From the leader; NULL: `region_error` says why. */
    Holdfast__V1__GetSettingsResponse *settings;
    Holdfast__V1__ListZonesResponse *zones;
    Holdfast__V1__ListHostsResponse *hosts;
    Holdfast__V1__ListVmsResponse *pending;
    Holdfast__V1__ListReservationsResponse *reservations;
    char region_error[DOCTOR_TEXT_MAX];
    enum doctor_grants grants_known;
    Holdfast__V1__ListGrantsResponse *grants; /* GRANTS_KNOWN. */
    struct doctor_drain drains[DOCTOR_DRAINS_MAX];
    size_t drain_count;
};

void doctor_facts_close(struct doctor_facts *facts);

/* Asks the region; what cannot be had is said in the facts. */
void doctor_gather(struct invocation *invocation, struct doctor_facts *facts);

/* All pages of a list as one message, for hf_message_free(); NULL: the facts
 * have the reason. */
ProtobufCMessage *doctor_fetch(struct invocation *invocation,
                               struct doctor_facts *facts, const char *method);

/* All checks in their order. */
void doctor_judge(const struct doctor_facts *facts,
                  struct diagnosis *diagnosis);

/* The first node that answered and knows a leader, else any that answered;
 * NULL: none did. */
const struct doctor_node *doctor_best(const struct doctor_facts *facts);

size_t doctor_answered(const struct doctor_facts *facts);

/* Nodes of the region, whether they answered or not. */
size_t doctor_members(const struct doctor_facts *facts);

/* --- The checks ----------------------------------------------------------
 * One finding or more each. Bounds are in the files, with their reasons. */

/* doctor_nodes.c */
void doctor_quorum(const struct doctor_facts *facts, struct diagnosis *out);
void doctor_nodes(const struct doctor_facts *facts, struct diagnosis *out);
void doctor_sync(const struct doctor_facts *facts, struct diagnosis *out);
void doctor_versions(const struct doctor_facts *facts, struct diagnosis *out);

/* doctor_figures.c: what is measured. */
void doctor_clocks(const struct doctor_facts *facts, struct diagnosis *out);
void doctor_round_trips(const struct doctor_facts *facts,
                        struct diagnosis *out);
void doctor_disks(const struct doctor_facts *facts, struct diagnosis *out);
void doctor_certificates(const struct doctor_facts *facts,
                         struct diagnosis *out);

/* doctor_fleet.c */
void doctor_zones(const struct doctor_facts *facts, struct diagnosis *out);
void doctor_hosts(const struct doctor_facts *facts, struct diagnosis *out);
void doctor_renewals(const struct doctor_facts *facts, struct diagnosis *out);
void doctor_headroom(const struct doctor_facts *facts, struct diagnosis *out);
void doctor_pending(const struct doctor_facts *facts, struct diagnosis *out);
void doctor_drains(const struct doctor_facts *facts, struct diagnosis *out);

/* doctor_rules.c: what was decided for the region. */
void doctor_storm(const struct doctor_facts *facts, struct diagnosis *out);
void doctor_leases(const struct doctor_facts *facts, struct diagnosis *out);
void doctor_settings(const struct doctor_facts *facts, struct diagnosis *out);
void doctor_access(const struct doctor_facts *facts, struct diagnosis *out);
void doctor_tokens(const struct doctor_facts *facts, struct diagnosis *out);

#endif
