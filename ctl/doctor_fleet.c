/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of zones, hosts and VMs, as the leader told of them. */
#include "ctl/doctor.h"
#include "ctl/view.h"
#include "proto/text_field.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Names in one sentence. */
#define NAMED_MAX 3

/* "h1, h2, h3 and 4 more", name by name. */
struct names {
    char text[256];
    size_t count;
};

static void add_name(struct names *names, const char *name)
{
    size_t used = strlen(names->text);

    if (names->count++ < NAMED_MAX) {
        (void)snprintf(names->text + used, sizeof(names->text) - used, "%s%s",
                       used > 0 ? ", " : "", name);
    }
}

static const char *finish(struct names *names)
{
    size_t used = strlen(names->text);

    if (names->count > NAMED_MAX) {
        (void)snprintf(names->text + used, sizeof(names->text) - used,
                       " and %zu more", names->count - NAMED_MAX);
    }
    return names->text;
}

static void subject_zone(char subject[80], const char *zone)
{
    (void)snprintf(subject, 80, "zone %s", zone);
}

/* --- zones -----------------------------------------------------------------
 */

static void judge_zone(const Holdfast__V1__Zone *zone, struct diagnosis *out)
{
    char subject[80];

    subject_zone(subject, zone->name);
    if (zone->state == HOLDFAST__V1__ZONE_STATE__ZONE_STATE_LOST) {
        diagnosis_add(out, "zones", SEVERITY(CRITICAL), subject,
                      "is lost: its VMs are placed in other zones");
        diagnosis_cure(out, "bring back its node and hosts; it is used again "
                            "zone_hold_ms after that");
    } else if (zone->state == HOLDFAST__V1__ZONE_STATE__ZONE_STATE_HELD) {
        diagnosis_add(out, "zones", SEVERITY(NOTE), subject,
                      "is back, and watched before it is used again");
        diagnosis_cure(out, "nothing: wait for zone_hold_ms");
    } else if (zone->cordoned) {
        diagnosis_add(out, "zones", SEVERITY(NOTE), subject,
                      "is cordoned: nothing new is placed there, also not when "
                      "another zone is lost");
        diagnosis_cure(out, "`holdfast zone uncordon %s`", zone->name);
    } else if (zone->host_up_count == 0) {
        diagnosis_add(out, "zones", SEVERITY(WARNING), subject,
                      "has no host that is up (of %" PRIu32 ")",
                      zone->host_count);
        diagnosis_cure(out, "start holdfast-agent on hosts there");
    }
}

void doctor_zones(const struct doctor_facts *facts, struct diagnosis *out)
{
    size_t before = out->message.n_findings;

    if (facts->zones == NULL) {
        return;
    }
    for (size_t i = 0; i < facts->zones->n_zones; i++) {
        judge_zone(facts->zones->zones[i], out);
    }
    if (facts->zones->n_zones < 2) {
        diagnosis_add(out, "zones", SEVERITY(WARNING), "",
                      "there %s: no VM can be restarted elsewhere",
                      facts->zones->n_zones == 0 ? "is no zone"
                                                 : "is one zone only");
        diagnosis_cure(out, "`holdfast zone create` each failure domain");
    }
    if (out->message.n_findings == before) {
        diagnosis_add(out, "zones", SEVERITY(OK), "",
                      "all %zu zones are up, with hosts in each",
                      facts->zones->n_zones);
    }
}

/* --- hosts -----------------------------------------------------------------
 */

static bool is_up(const Holdfast__V1__Host *host)
{
    return host->state == HOLDFAST__V1__HOST_STATE__HOST_STATE_UP;
}

static uint32_t unknown_vms(const Holdfast__V1__Host *host)
{
    return host->lease == NULL ? 0 : (uint32_t)host->lease->n_unknown_vm_uids;
}

static void judge_hosts(const struct doctor_facts *facts, struct diagnosis *out)
{
    struct names lost = {.count = 0};
    struct names cordoned = {.count = 0};
    struct names strange = {.count = 0};

    for (size_t i = 0; i < facts->hosts->n_hosts; i++) {
        const Holdfast__V1__Host *host = facts->hosts->hosts[i];

        if (!is_up(host)) {
            add_name(&lost, host->name);
        } else if (host->cordoned) {
            add_name(&cordoned, host->name);
        }
        if (unknown_vms(host) > 0) {
            add_name(&strange, host->name);
        }
    }
    if (lost.count > 0) {
        diagnosis_add(out, "hosts", SEVERITY(WARNING), "",
                      "%zu host%s lost: %s", lost.count,
                      lost.count == 1 ? " is" : "s are", finish(&lost));
        diagnosis_cure(out, "see holdfast-agent's log there, and its way to "
                            "the nodes; it comes back by itself");
    }
    if (cordoned.count > 0) {
        diagnosis_add(out, "hosts", SEVERITY(NOTE), "",
                      "%zu host%s cordoned: %s", cordoned.count,
                      cordoned.count == 1 ? " is" : "s are", finish(&cordoned));
        diagnosis_cure(out, "`holdfast host uncordon` those that should be "
                            "used");
    }
    if (strange.count > 0) {
        diagnosis_add(out, "hosts", SEVERITY(NOTE), "",
                      "%zu host%s VMs that Holdfast does not know: %s",
                      strange.count, strange.count == 1 ? " runs" : "s run",
                      finish(&strange));
        diagnosis_cure(out, "they are left alone; `holdfast host show` lists "
                            "them");
    }
}

void doctor_hosts(const struct doctor_facts *facts, struct diagnosis *out)
{
    size_t before = out->message.n_findings;

    if (facts->hosts == NULL) {
        return;
    }
    judge_hosts(facts, out);
    if (facts->hosts->n_hosts == 0) {
        diagnosis_add(out, "hosts", SEVERITY(WARNING), "",
                      "there is no host: no VM can run");
        diagnosis_cure(out, "start holdfast-agent on the hypervisors");
    }
    if (out->message.n_findings == before) {
        diagnosis_add(out, "hosts", SEVERITY(OK), "",
                      "all %zu hosts are up and used", facts->hosts->n_hosts);
    }
}

/* --- renewals --------------------------------------------------------------
 */

/* Since the newest renewal of a host that is up. */
static uint32_t renewal_age_ms(const Holdfast__V1__Host *host,
                               const Holdfast__V1__Settings *settings)
{
    return settings->lease_wait_ms > host->lease->remaining_ms
               ? settings->lease_wait_ms - host->lease->remaining_ms
               : 0;
}

/* Two are missing: as the metric holdfast_leases counts. */
static bool is_late(const Holdfast__V1__Host *host,
                    const Holdfast__V1__Settings *settings)
{
    return renewal_age_ms(host, settings) > 2 * settings->renew_ms;
}

static uint32_t judge_renewals(const struct doctor_facts *facts,
                               const Holdfast__V1__Zone *zone,
                               struct diagnosis *out)
{
    const Holdfast__V1__Settings *settings = facts->settings->settings;
    struct names late = {.count = 0};
    uint32_t oldest_ms = 0;
    bool ending = false;
    char subject[80];

    for (size_t i = 0; i < facts->hosts->n_hosts; i++) {
        const Holdfast__V1__Host *host = facts->hosts->hosts[i];
        uint32_t age_ms;

        if (strcmp(host->zone, zone->name) != 0 || !is_up(host) ||
            host->lease == NULL) {
            continue;
        }
        age_ms = renewal_age_ms(host, settings);
        oldest_ms = age_ms > oldest_ms ? age_ms : oldest_ms;
        ending = ending || host->lease->remaining_ms == 0;
        if (is_late(host, settings)) {
            add_name(&late, host->name);
        }
    }
    if (late.count > 0) {
        subject_zone(subject, zone->name);
        diagnosis_add(out, "renewals",
                      ending ? SEVERITY(CRITICAL) : SEVERITY(WARNING), subject,
                      "%zu host%s two renewals or more, the oldest lease was "
                      "renewed %" PRIu32 " ms ago of %" PRIu32 " ms: %s",
                      late.count, late.count == 1 ? " misses" : "s miss",
                      oldest_ms, settings->lease_wait_ms, finish(&late));
        diagnosis_cure(out, "their VMs are stopped there and started elsewhere "
                            "when it is over: see their agents, their load and "
                            "their way to the nodes");
    }
    return oldest_ms;
}

void doctor_renewals(const struct doctor_facts *facts, struct diagnosis *out)
{
    size_t before = out->message.n_findings;
    uint32_t oldest_ms = 0;

    if (facts->hosts == NULL || facts->zones == NULL ||
        facts->settings == NULL || facts->settings->settings == NULL ||
        facts->hosts->n_hosts == 0) {
        return;
    }
    for (size_t i = 0; i < facts->zones->n_zones; i++) {
        uint32_t age_ms = judge_renewals(facts, facts->zones->zones[i], out);

        oldest_ms = age_ms > oldest_ms ? age_ms : oldest_ms;
    }
    if (out->message.n_findings == before) {
        diagnosis_add(out, "renewals", SEVERITY(OK), "",
                      "the oldest lease was renewed %" PRIu32 " ms ago (every "
                      "%" PRIu32 " ms, over after %" PRIu32 " ms)",
                      oldest_ms, facts->settings->settings->renew_ms,
                      facts->settings->settings->lease_wait_ms);
    }
}

/* --- headroom --------------------------------------------------------------
 */

static bool is_headroom_off(const struct doctor_facts *facts)
{
    return facts->settings != NULL && facts->settings->settings != NULL &&
           facts->settings->settings->headroom ==
               HOLDFAST__V1__HEADROOM_MODE__HEADROOM_MODE_OFF;
}

/* True when it is known what its loss would do. */
static bool judge_headroom(const Holdfast__V1__Zone *zone,
                           struct diagnosis *out)
{
    const Holdfast__V1__ZoneHeadroom *headroom = zone->headroom;
    char subject[80];

    if (headroom == NULL) {
        return false;
    }
    if (headroom->unplaceable_count > 0) {
        subject_zone(subject, zone->name);
        diagnosis_add(out, "headroom", SEVERITY(WARNING), subject,
                      "may not be lost: %" PRIu32 " of its %" PRIu32
                      " protected VMs would find no room%s%s",
                      headroom->unplaceable_count, headroom->protected_count,
                      headroom->message[0] == '\0' ? "" : ": ",
                      headroom->message);
        diagnosis_cure(out,
                       "`holdfast plan zone-loss %s` shows which; add "
                       "hosts, or stop what may be stopped",
                       zone->name);
    }
    return true;
}

static void judge_unprotected(const struct doctor_facts *facts,
                              struct diagnosis *out)
{
    uint32_t count = 0;

    for (size_t i = 0; i < facts->zones->n_zones; i++) {
        const Holdfast__V1__ZoneHeadroom *headroom =
            facts->zones->zones[i]->headroom;

        count += headroom == NULL ? 0 : headroom->unprotected_count;
    }
    if (count > 0) {
        diagnosis_add(out, "unprotected", SEVERITY(NOTE), "",
                      "%" PRIu32 " VM%s not placed again when %s zone is lost",
                      count, count == 1 ? " is" : "s are",
                      count == 1 ? "its" : "their");
        diagnosis_cure(out, "`holdfast vm list --unprotected` says why");
    } else {
        diagnosis_add(out, "unprotected", SEVERITY(OK), "",
                      "every VM would be placed again");
    }
}

void doctor_headroom(const struct doctor_facts *facts, struct diagnosis *out)
{
    size_t before = out->message.n_findings;
    size_t known = 0;

    if (facts->zones == NULL || facts->zones->n_zones == 0) {
        return;
    }
    if (is_headroom_off(facts)) {
        diagnosis_add(out, "headroom", SEVERITY(NOTE), "",
                      "is off: nobody works out whether a zone may be lost");
        diagnosis_cure(out, "`holdfast cluster settings set headroom=warn`");
        return;
    }
    for (size_t i = 0; i < facts->zones->n_zones; i++) {
        known += judge_headroom(facts->zones->zones[i], out);
    }
    if (known < facts->zones->n_zones) {
        diagnosis_add(out, "headroom", SEVERITY(NOTE), "",
                      "is being worked out for %zu zone%s",
                      facts->zones->n_zones - known,
                      plural(facts->zones->n_zones - known));
        diagnosis_cure(out, "ask again in a moment");
        return;
    }
    if (out->message.n_findings == before) {
        diagnosis_add(out, "headroom", SEVERITY(OK), "",
                      "any one zone may be lost: what is protected fits into "
                      "the others");
    }
    judge_unprotected(facts, out);
}

/* --- pending and reservations ----------------------------------------------
 */

#define REASONS 16

static Holdfast__V1__Severity pending_severity(unsigned reason)
{
    switch (reason) {
    case HOLDFAST__V1__PENDING_REASON__PENDING_REASON_QUEUED:
    case HOLDFAST__V1__PENDING_REASON__PENDING_REASON_HELD_BY_POLICY:
    case HOLDFAST__V1__PENDING_REASON__PENDING_REASON_PREEMPTING:
    case HOLDFAST__V1__PENDING_REASON__PENDING_REASON_PREEMPTED:
        return SEVERITY(NOTE);
    default:
        return SEVERITY(WARNING);
    }
}

static void judge_reason(const struct doctor_facts *facts, unsigned reason,
                         struct diagnosis *out)
{
    struct names names = {.count = 0};
    const char *message = "";
    char text[TEXT_NAME_MAX + 1];

    for (size_t i = 0; i < facts->pending->n_vms; i++) {
        const Holdfast__V1__Vm *vm = facts->pending->vms[i];

        if (vm->status != NULL &&
            (unsigned)vm->status->pending_reason == reason) {
            add_name(&names, vm->name);
            message = message[0] == '\0' ? vm->status->message : message;
        }
    }
    if (names.count == 0) {
        return;
    }
    text_enum_name(&holdfast__v1__pending_reason__descriptor, (int)reason,
                   text);
    diagnosis_add(out, "pending", pending_severity(reason), text,
                  "%zu VM%s for a host: %s%s%s", names.count,
                  names.count == 1 ? " waits" : "s wait", finish(&names),
                  message[0] == '\0' ? "" : ". ", message);
    diagnosis_cure(out, "`holdfast vm explain NAME` says what would help");
}

static void judge_reservations(const struct doctor_facts *facts,
                               struct diagnosis *out)
{
    for (size_t i = 0;
         facts->reservations != NULL && i < facts->reservations->n_reservations;
         i++) {
        const Holdfast__V1__Reservation *it =
            facts->reservations->reservations[i];

        if (it->missing_count > 0) {
            diagnosis_add(out, "reservations", SEVERITY(WARNING), it->name,
                          "%" PRIu32 " of its %" PRIu32 " slots have no room",
                          it->missing_count, it->count);
            diagnosis_cure(out, "add hosts to zone %s, or make it smaller",
                           it->zone);
        }
    }
}

void doctor_pending(const struct doctor_facts *facts, struct diagnosis *out)
{
    const struct doctor_node *best = doctor_best(facts);
    size_t before = out->message.n_findings;
    uint32_t lost = 0;

    if (best == NULL || facts->pending == NULL) {
        return;
    }
    for (unsigned reason = 0; reason < REASONS; reason++) {
        judge_reason(facts, reason, out);
    }
    if (best->status->n_vm_state_counts >
        HOLDFAST__V1__VM_STATE__VM_STATE_LOST) {
        lost = best->status
                   ->vm_state_counts[HOLDFAST__V1__VM_STATE__VM_STATE_LOST];
    }
    if (lost > 0) {
        diagnosis_add(out, "pending", SEVERITY(WARNING), "lost",
                      "%" PRIu32 " VM%s on hosts that are fenced, and not "
                      "proved gone (on_partition: keep)",
                      lost, lost == 1 ? " is" : "s are");
        diagnosis_cure(out, "bring the hosts back, or `holdfast host "
                            "declare-dead` those that are certainly off");
    }
    if (out->message.n_findings == before) {
        diagnosis_add(out, "pending", SEVERITY(OK), "",
                      "no VM waits for a host");
    }
    judge_reservations(facts, out);
}

/* --- drains ----------------------------------------------------------------
 */

void doctor_drains(const struct doctor_facts *facts, struct diagnosis *out)
{
    if (facts->hosts == NULL) {
        return;
    }
    for (size_t i = 0; i < facts->drain_count; i++) {
        const struct doctor_drain *drain = &facts->drains[i];
        bool stuck = drain->left > 0 && drain->moving == 0;

        if (drain->left == 0) {
            diagnosis_add(out, "drains", SEVERITY(NOTE), drain->subject,
                          "is drained: nothing is left on it");
            diagnosis_cure(out, "do what it was drained for, then end the "
                                "drain (`cancel-drain`)");
            continue;
        }
        diagnosis_add(out, "drains", stuck ? SEVERITY(WARNING) : SEVERITY(NOTE),
                      drain->subject,
                      "is being drained: %" PRIu32 " VM%s left, %" PRIu32
                      " moving, %" PRIu32 " can never leave%s%s",
                      drain->left, plural(drain->left), drain->moving,
                      drain->staying, drain->why[0] == '\0' ? "" : ". ",
                      drain->why);
        diagnosis_cure(out, stuck
                                ? "it is stuck: `holdfast vm explain` says why "
                                  "for each; stop or move them by hand, or end "
                                  "the drain"
                                : "nothing: it goes on by itself");
    }
    if (facts->drain_count == 0) {
        diagnosis_add(out, "drains", SEVERITY(OK), "",
                      "nothing is being drained");
    }
}
