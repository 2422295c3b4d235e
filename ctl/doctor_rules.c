/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of what was decided for the region: settings, leases, roles. */
#include "base/container.h"
#include "ctl/doctor.h"
#include "ctl/format.h"
#include "proto/text_field.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STORM_OFF_PERMILLE 1000
#define ZONE_HOLD_LEAST_MS 10000
#define RENEWALS_LEAST     3

/* Time enough to give a token another end, or to put another in its place. */
#define DAY_MS         UINT64_C(86400000)
#define END_WARNING_MS (14 * DAY_MS)

static const Holdfast__V1__Settings *settings_of(
    const struct doctor_facts *facts)
{
    return facts->settings == NULL ? NULL : facts->settings->settings;
}

void doctor_storm(const struct doctor_facts *facts, struct diagnosis *out)
{
    const struct doctor_node *best = doctor_best(facts);
    bool storm = false;

    for (size_t i = 0; i < facts->node_count; i++) {
        storm = storm || (facts->nodes[i].status != NULL &&
                          facts->nodes[i].status->storm);
    }
    if (storm) {
        diagnosis_add(out, "storm", SEVERITY(CRITICAL), "",
                      "too many hosts vanished at once: nothing is restarted "
                      "until they return");
        diagnosis_cure(out, "find out what took them away. Those that are "
                            "certainly off: `holdfast host declare-dead`; "
                            "docs/operations.md, \"When a zone fails\"");
    } else if (best != NULL && best->status->quorum) {
        diagnosis_add(out, "storm", SEVERITY(OK), "",
                      "automatic restarts are not paused");
    }
}

/* --- leases ----------------------------------------------------------------
 */

/* L(1+2e) + K + M: when a host's VMs have ended at the latest. */
static uint64_t lease_end_ms(const Holdfast__V1__Settings *settings)
{
    return (settings->lease_run_ms *
                (1000 + 2 * (uint64_t)settings->clock_error_permille) +
            999) /
               1000 +
           settings->kill_budget_ms + settings->margin_ms;
}

void doctor_leases(const struct doctor_facts *facts, struct diagnosis *out)
{
    const Holdfast__V1__Settings *settings = settings_of(facts);
    uint64_t renewals;
    uint64_t end_ms;

    if (settings == NULL || settings->renew_ms == 0) {
        return;
    }
    end_ms = lease_end_ms(settings);
    renewals = settings->lease_run_ms / settings->renew_ms;
    if (end_ms > settings->lease_wait_ms) {
        diagnosis_add(out, "leases", SEVERITY(CRITICAL), "",
                      "a host's VMs may run until %" PRIu64 " ms after a "
                      "renewal (L(1+2e)+K+M), but others start them after "
                      "%" PRIu32 " ms (T): two copies could run",
                      end_ms, settings->lease_wait_ms);
        diagnosis_cure(out, "`holdfast cluster settings set` with a longer "
                            "lease_wait_ms or a shorter lease_run_ms");
    } else if (renewals < RENEWALS_LEAST) {
        diagnosis_add(out, "leases", SEVERITY(WARNING), "",
                      "a lease of %" PRIu32 " ms is renewed every %" PRIu32
                      " ms: %" PRIu64 " lost renewals end it",
                      settings->lease_run_ms, settings->renew_ms, renewals);
        diagnosis_cure(out, "lower renew_ms, or lengthen lease_run_ms together "
                            "with lease_wait_ms");
    } else {
        diagnosis_add(out, "leases", SEVERITY(OK), "",
                      "L(1+2e)+K+M is %" PRIu64 " ms of T %" PRIu32
                      " ms (%" PRIu64 " ms to spare); a lease outlives "
                      "%" PRIu64 " lost renewals",
                      end_ms, settings->lease_wait_ms,
                      settings->lease_wait_ms - end_ms, renewals - 1);
    }
}

/* --- settings --------------------------------------------------------------
 */

/* As resources.proto says. */
static const struct {
    const char *name;
    uint32_t value;
} defaults[] = {
    {"lease_wait_ms", 5000},
    {"lease_run_ms", 4400},
    {"renew_ms", 1000},
    {"kill_budget_ms", 250},
    {"margin_ms", 250},
    {"clock_error_permille", 10},
    {"zone_loss_permille", 900},
    {"storm_permille", 500},
    {"zone_hold_ms", 60000},
    {"start_parallel", 4},
    {"preempt_max", 4},
    {"rebalance_start_permille", 50},
    {"rebalance_stop_permille", 15},
    {"zone_moves", 10},
    {"host_moves", 2},
    {"vm_cool_down_ms", 600000},
};

/* "zone_hold_ms 1000 (default 60000), ..."; how many. */
static size_t list_unusual(const Holdfast__V1__Settings *settings, char *text,
                           size_t size)
{
    size_t count = 0;
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(defaults) && used < size; i++) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(
                settings->base.descriptor, defaults[i].name);
        const uint32_t *value;

        if (field == NULL ||
            text_field_count(&settings->base, field, true) == 0) {
            continue;
        }
        value = text_field_at(&settings->base, field, 0);
        if (*value != defaults[i].value) {
            used += (size_t)snprintf(
                text + used, size - used, "%s%s %" PRIu32 " (%" PRIu32 ")",
                count > 0 ? ", " : "", field->name, *value, defaults[i].value);
            count++;
        }
    }
    return count;
}

void doctor_settings(const struct doctor_facts *facts, struct diagnosis *out)
{
    const Holdfast__V1__Settings *settings = settings_of(facts);
    size_t before = out->message.n_findings;
    char text[1024];
    size_t unusual;

    if (settings == NULL) {
        return;
    }
    if (settings->storm_permille >= STORM_OFF_PERMILLE) {
        diagnosis_add(out, "settings", SEVERITY(WARNING), "storm_permille",
                      "is %" PRIu32 ": nothing pauses when most hosts seem to "
                      "vanish at once",
                      settings->storm_permille);
        diagnosis_cure(out, "500 pauses when more than half of the hosts go");
    }
    if (settings->zone_hold_ms < ZONE_HOLD_LEAST_MS) {
        diagnosis_add(out, "settings", SEVERITY(NOTE), "zone_hold_ms",
                      "is %" PRIu32 ": a zone that comes and goes is used at "
                      "once, and lost again with what was put there",
                      settings->zone_hold_ms);
        diagnosis_cure(out, "60000 watches it for a minute");
    }
    unusual = list_unusual(settings, text, sizeof(text));
    if (out->message.n_findings == before) {
        diagnosis_add(out, "settings", SEVERITY(OK), "", "%s%s",
                      unusual == 0 ? "all as they are by default"
                                   : "not as by default (in brackets): ",
                      text);
    }
}

/* --- access ----------------------------------------------------------------
 */

void doctor_access(const struct doctor_facts *facts, struct diagnosis *out)
{
    size_t admins = 0;

    if (!facts->tls) {
        if (doctor_answered(facts) > 0) {
            diagnosis_add(out, "access", SEVERITY(OK), "",
                          "without TLS: everybody on the nodes' machines may "
                          "do everything");
        }
        return;
    }
    if (facts->grants_known == GRANTS_HIDDEN) {
        diagnosis_add(out, "access", SEVERITY(OK), "",
                      "there are roles; yours does not show them");
        return;
    }
    if (facts->grants_known == GRANTS_UNKNOWN || facts->grants == NULL) {
        return;
    }
    for (size_t i = 0; i < facts->grants->n_grants; i++) {
        const Holdfast__V1__Grant *grant = facts->grants->grants[i];

        admins += grant->role == HOLDFAST__V1__ACCESS_ROLE__ACCESS_ROLE_ADMIN &&
                          grant->expire_time_ms == 0
                      ? 1
                      : 0;
    }
    if (facts->grants->n_grants == 0) {
        diagnosis_add(out, "access", SEVERITY(NOTE), "",
                      "there is no grant: every client's certificate is an "
                      "administrator's");
        diagnosis_cure(out, "`holdfast grant create NAME --client NAME --role "
                            "admin` makes you one and gives all others "
                            "nothing until they have a grant");
    } else if (admins < 2) {
        diagnosis_add(out, "access", SEVERITY(NOTE), "",
                      "there is only one administrator's grant that never "
                      "ends");
        diagnosis_cure(out, "grant `admin` to a second person");
    } else {
        diagnosis_add(out, "access", SEVERITY(OK), "",
                      "%zu grants, %zu of administrators",
                      facts->grants->n_grants, admins);
    }
}

/* Those of one kind, the one that ends first, and what to say of how many. */
struct ends {
    const Holdfast__V1__Grant *first;
    size_t count;
};

static void take_end(struct ends *ends, const Holdfast__V1__Grant *grant)
{
    if (ends->first == NULL ||
        grant->expire_time_ms < ends->first->expire_time_ms) {
        ends->first = grant;
    }
    ends->count++;
}

static bool is_token(const Holdfast__V1__Grant *grant)
{
    return grant->subject_kind ==
           HOLDFAST__V1__SUBJECT_KIND__SUBJECT_KIND_TOKEN;
}

/* "token ci", "grant anna and 2 more". */
static void name_ends(const struct ends *ends, char *text, size_t size)
{
    int len =
        snprintf(text, size, "%s %.63s",
                 is_token(ends->first) ? "token" : "grant", ends->first->name);

    if (ends->count > 1) {
        (void)snprintf(text + len, size - (size_t)len, " and %zu more",
                       ends->count - 1);
    }
}

static void tell_soon(const struct ends *soon, uint64_t now_ms,
                      struct diagnosis *out)
{
    uint64_t days = (soon->first->expire_time_ms - now_ms) / DAY_MS;
    char whose[128];

    name_ends(soon, whose, sizeof(whose));
    diagnosis_add(out, "tokens", SEVERITY(WARNING), whose,
                  "ends in %" PRIu64 " day%s, at %s", days,
                  days == 1 ? "" : "s",
                  format_time(soon->first->expire_time_ms).text);
    diagnosis_cure(out, "`holdfast token update NAME --expires 90d` gives it "
                        "another end; `holdfast token list` shows all");
}

static void tell_over(const struct ends *over, struct diagnosis *out)
{
    char whose[128];

    name_ends(over, whose, sizeof(whose));
    diagnosis_add(out, "tokens", SEVERITY(NOTE), whose,
                  "has expired: it allows nothing any more");
    diagnosis_cure(out, "delete it, or give it another end: `holdfast token "
                        "delete`, `holdfast token update`");
}

void doctor_tokens(const struct doctor_facts *facts, struct diagnosis *out)
{
    size_t before = out->message.n_findings;
    struct ends soon = {NULL, 0};
    struct ends over = {NULL, 0};
    size_t endless = 0;
    size_t tokens = 0;

    if (facts->grants == NULL) {
        return;
    }
    for (size_t i = 0; i < facts->grants->n_grants; i++) {
        const Holdfast__V1__Grant *grant = facts->grants->grants[i];
        uint64_t end_ms = grant->expire_time_ms;

        tokens += is_token(grant) ? 1 : 0;
        endless += is_token(grant) && end_ms == 0 ? 1 : 0;
        if (end_ms != 0 && end_ms <= facts->now_ms) {
            take_end(&over, grant);
        } else if (end_ms != 0 && end_ms - facts->now_ms < END_WARNING_MS) {
            take_end(&soon, grant);
        }
    }
    if (soon.count > 0) {
        tell_soon(&soon, facts->now_ms, out);
    }
    if (over.count > 0) {
        tell_over(&over, out);
    }
    if (endless > 0) {
        diagnosis_add(out, "tokens", SEVERITY(NOTE), "",
                      "%zu token%s never end%s", endless,
                      endless == 1 ? "" : "s", endless == 1 ? "s" : "");
        diagnosis_cure(out, "whoever finds the secret of one keeps what it "
                            "allows: `holdfast token update NAME --expires "
                            "90d`");
    }
    if (tokens > 0 && out->message.n_findings == before) {
        diagnosis_add(out, "tokens", SEVERITY(OK), "",
                      "%zu token%s, none of which ends within 14 days", tokens,
                      tokens == 1 ? "" : "s");
    }
}
