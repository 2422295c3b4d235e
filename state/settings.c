/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings that could let two copies of a VM run are refused here and cannot
 * be applied (rule 10). Defaults and ranges: resources.proto. */
#include "base/planted.h"
#include "state/state.h"

#include <stddef.h>

void settings_init(struct settings *settings)
{
    *settings = (struct settings){
        .lease_wait_ms = 5000,
        .lease_run_ms = 4400,
        .renew_ms = 1000,
        .kill_budget_ms = 250,
        .margin_ms = 250,
        .clock_error_permille = 10,
        .zone_loss_permille = 900,
        .storm_permille = 500,
        .zone_hold_ms = 60000,
        .start_parallel = 4,
    };
}

/* DESIGN.md section 6: the host runs for L by its own clock, which may be slow
 * by e while the leader's is fast by e; then it needs K to kill and M for the
 * guard. All of that must be over when the leader has waited T. */
bool settings_lease_is_safe(const struct settings *s)
{
    uint64_t run_ms =
        ((uint64_t)s->lease_run_ms * (1000 + 2 * s->clock_error_permille) +
         999) /
        1000;

    return run_ms + s->kill_budget_ms + s->margin_ms <= s->lease_wait_ms;
}

const char *settings_check(const struct settings *s)
{
    if (PLANTED(SETTINGS_FREE)) {
        return NULL;
    }
    if (s->lease_wait_ms < 1000 || s->lease_wait_ms > 600000) {
        return "lease_wait_ms: must be 1000 to 600000";
    }
    if (s->clock_error_permille < 1 || s->clock_error_permille > 100) {
        return "clock_error_permille: must be 1 to 100";
    }
    if (s->kill_budget_ms < 100 || s->kill_budget_ms > 60000) {
        return "kill_budget_ms: must be 100 to 60000, for killing VMs with "
               "much memory took up to 32 ms when measured";
    }
    if (s->margin_ms < 250 || s->margin_ms > 60000) {
        return "margin_ms: must be 250 to 60000, for the guard acts 200 ms "
               "after the deadline";
    }
    if (s->renew_ms < 100 || s->renew_ms > s->lease_run_ms / 3) {
        return "renew_ms: must be at least 100 and at most a third of "
               "lease_run_ms, so that two lost renewals do no harm";
    }
    if (!settings_lease_is_safe(s)) {
        return "lease_wait_ms: must be at least lease_run_ms * (1 + 2 * "
               "clock_error_permille / 1000) + kill_budget_ms + margin_ms, or "
               "two copies of a VM could run";
    }
    if (s->zone_loss_permille < 1 || s->zone_loss_permille > 1000) {
        return "zone_loss_permille: must be 1 to 1000";
    }
    if (s->storm_permille < 1 || s->storm_permille > 1000) {
        return "storm_permille: must be 1 to 1000";
    }
    if (s->zone_hold_ms > 86400000) {
        return "zone_hold_ms: must be at most 86400000, a day";
    }
    if (s->start_parallel < 1 || s->start_parallel > 1000) {
        return "start_parallel: must be 1 to 1000";
    }
    return NULL;
}
