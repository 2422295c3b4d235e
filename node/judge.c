/* SPDX-License-Identifier: Apache-2.0 */
#include "node/judge.h"

#include "base/check.h"
#include "node/limits.h"

#include <string.h>

/* A look walks all hosts: about a millisecond for 100,000, too much for every
 * turn of a busy leader. Below the period in which the owner asks whether one
 * is due, so that no due one is missed. */
#define LOOK_PERIOD_MS 15

/* What the leases say of one zone. */
struct zone_view {
    uint32_t hosts; /* Known hosts but for retired ones. */
    uint32_t up;    /* UP in the state, lease live or not. */
    uint32_t late;  /* UP in the state, renewals missing. */
    uint32_t ended; /* UP in the state, lease ended; these are late too. */
};

/* In one turn. */
struct fenced {
    uint32_t hosts;
    uint32_t vms; /* That were on them. */
};

/* Lost, and not to be used when it comes back: it will not. It says nothing of
 * its zone, which would else be lost, with a host that lives, as soon as its
 * node is restarted. */
static bool is_retired(const struct host *host)
{
    return host->state != HOST_UP && (host->cordoned || host->draining);
}

static void look(const struct judge *judge, const struct state *state,
                 uint64_t now_ms, struct zone_view *views)
{
    const struct settings *settings = state_settings(state);

    memset(views, 0, ZONES_MAX * sizeof(*views));
    for (uint32_t slot = 0; slot < state_host_slots(state); slot++) {
        const struct host *host = state_host_at(state, slot);
        const struct lease *lease = leases_get(judge->leases, slot);

        if (host == NULL || is_retired(host)) {
            continue;
        }
        views[host->zone].hosts++;
        if (host->state == HOST_UP) {
            views[host->zone].up++;
            views[host->zone].late +=
                lease != NULL && lease_is_late(lease, settings, now_ms);
            views[host->zone].ended +=
                lease != NULL && lease_ended(lease, now_ms);
        }
    }
}

/* "Is it me?": many hosts of two or more zones at once are rather a fault of
 * ours, or of the network between, than of each of them. Late ones count: when
 * the first lease ends, the others that fell silent with it are known. */
static bool is_storm(const struct zone_view *views,
                     const struct settings *settings)
{
    uint64_t up = 0;
    uint64_t late = 0;
    uint32_t zones = 0;

    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        up += views[i].up;
        late += views[i].late;
        zones += views[i].late > 0;
    }
    return zones >= 2 && late * 1000 > up * settings->storm_permille;
}

static bool reachable(const struct judge *judge, uint32_t zone)
{
    return judge->zones_reachable >> zone & 1;
}

/* Its voter is silent and nearly all of its hosts are lost or ended. */
static bool zone_is_lost(const struct judge *judge, uint32_t zone,
                         const struct zone_view *view,
                         const struct settings *settings)
{
    uint64_t gone = view->hosts - view->up + view->ended;

    return view->hosts > 0 && !reachable(judge, zone) &&
           gone * 1000 >= (uint64_t)view->hosts * settings->zone_loss_permille;
}

/* An ended lease whose neighbours are late too is more likely the first sign
 * of a lost zone than a lost host. Waiting for the rest makes it one event and
 * one plan; otherwise its VMs would be restarted in the dying zone. All leases
 * of a lost zone end within one renewal period, so the last one sets the pace
 * and nothing is lost by waiting; a bound keeps flapping neighbours from
 * holding it up. */
static bool waits_for_zone(struct judge *judge, uint32_t zone,
                           const struct zone_view *view,
                           const struct settings *settings, uint64_t now_ms)
{
    if (view->late == view->ended) {
        return false;
    }
    if (judge->waiting_since_ms[zone] == 0) {
        judge->waiting_since_ms[zone] = now_ms;
    }
    return now_ms - judge->waiting_since_ms[zone] <
           (uint64_t)settings->renew_ms + settings->renew_ms / 2;
}

static void set_zone(struct turn_plan *plan, uint32_t zone,
                     enum zone_state state)
{
    struct change change = {.kind = CHANGE_ZONE_STATE};

    change.zone_state = (struct change_zone_state){
        {state_zone_at(plan->scratch, zone)->uid}, state};
    turn_change(plan, &change);
}

static void judge_zone(struct judge *judge, struct turn_plan *plan,
                       uint32_t zone, const struct zone_view *view)
{
    const struct zone *record = state_zone_at(plan->scratch, zone);
    const struct settings *settings = state_settings(plan->scratch);

    if (record->state != ZONE_LOST) {
        if (zone_is_lost(judge, zone, view, settings)) {
            set_zone(plan, zone, ZONE_LOST);
        } else if (record->state == ZONE_HELD &&
                   plan->time_ms >=
                       record->state_time_ms + settings->zone_hold_ms) {
            set_zone(plan, zone, ZONE_UP);
        }
    } else if (view->up > view->ended &&
               !zone_is_lost(judge, zone, view, settings)) {
        /* By the rule by which it was lost: its hosts may be back while its
         * node is not. */
        set_zone(plan, zone, ZONE_HELD);
    }
}

static void fence(struct turn_plan *plan, const struct host *host,
                  struct lease *lease)
{
    struct change change = {.kind = CHANGE_HOST_FENCE};

    CHECK(lease->host_uid == host->uid);
    lease->fencing = true;
    change.host_fence =
        (struct change_host_fence){{host->uid}, FENCE_LEASE_ENDED};
    turn_change(plan, &change);
}

/* Whether this turn has fenced enough, before this host. */
static bool is_enough(const struct turn_plan *plan, const struct fenced *fenced,
                      const struct host *host)
{
    return fenced->hosts == FENCE_HOSTS_MAX ||
           (fenced->hosts > 0 &&
            fenced->vms + host->vm_count > FENCE_VMS_MAX) ||
           plan->entry.len > TURN_BYTES_SOFT_MAX;
}

static void judge_hosts(struct judge *judge, struct turn_plan *plan,
                        const struct zone_view *views)
{
    struct fenced fenced = {0};

    for (uint32_t slot = 0; slot < state_host_slots(plan->scratch); slot++) {
        const struct host *host = state_host_at(plan->scratch, slot);
        struct lease *lease = leases_get(judge->leases, slot);
        const struct zone *zone;

        if (host == NULL || host->state != HOST_UP || lease == NULL ||
            !lease_ended(lease, plan->now_ms)) {
            continue;
        }
        if (is_enough(plan, &fenced, host)) {
            judge->more = true;
            judge->next_look_ms = plan->now_ms;
            break;
        }
        zone = state_zone_at(plan->scratch, host->zone);
        if (zone->state != ZONE_LOST &&
            waits_for_zone(judge, host->zone, &views[host->zone],
                           state_settings(plan->scratch), plan->now_ms)) {
            continue;
        }
        fenced.hosts++;
        fenced.vms += host->vm_count;
        fence(plan, host, lease);
    }
}

static void plan_judgement(struct turn_controller *controller,
                           struct turn_plan *plan)
{
    struct judge *judge = container_of(controller, struct judge, controller);
    struct zone_view views[ZONES_MAX];
    bool storm;

    if (plan->now_ms < judge->next_look_ms) {
        return;
    }
    judge->next_look_ms = plan->now_ms + LOOK_PERIOD_MS;
    look(judge, plan->scratch, plan->now_ms, views);
    storm = is_storm(views, state_settings(plan->scratch));
    if (storm && !judge->storm) {
        judge->storm_since_ms = plan->now_ms;
    }
    judge->storm = storm;
    judge->more = false;
    for (uint32_t zone = 0; zone < state_zone_slots(plan->scratch); zone++) {
        if (views[zone].ended == 0) {
            judge->waiting_since_ms[zone] = 0;
        }
        if (!storm) {
            judge_zone(judge, plan, zone, &views[zone]);
        }
    }
    if (!storm) {
        judge_hosts(judge, plan, views);
    }
}

void judge_init(struct judge *judge, struct leases *leases)
{
    *judge = (struct judge){
        .controller = {plan_judgement},
        .leases = leases,
        .zones_reachable = UINT64_MAX,
    };
}

void judge_reset(struct judge *judge)
{
    judge_init(judge, judge->leases);
}

/* A walk over all hosts, for a lost zone that has some again without its node:
 * that does not last. */
static uint32_t retired_hosts(const struct state *state, uint32_t zone)
{
    uint32_t count = 0;

    for (uint32_t slot = 0; slot < state_host_slots(state); slot++) {
        const struct host *host = state_host_at(state, slot);

        count += host != NULL && host->zone == zone && is_retired(host);
    }
    return count;
}

static bool zone_is_due(const struct judge *judge, const struct state *state,
                        uint32_t slot, uint64_t time_ms)
{
    const struct zone *zone = state_zone_at(state, slot);
    const struct settings *settings = state_settings(state);
    struct zone_view view = {.hosts = zone->host_count,
                             .up = zone->host_up_count};

    if (zone->state == ZONE_HELD) {
        return time_ms >= zone->state_time_ms + settings->zone_hold_ms;
    }
    if (zone->state != ZONE_LOST || view.up == 0) {
        return false;
    }
    if (!reachable(judge, slot)) {
        view.hosts -= retired_hosts(state, slot);
    }
    return !zone_is_lost(judge, slot, &view, settings);
}

bool judge_is_due(const struct judge *judge, const struct state *state,
                  uint64_t now_ms, uint64_t time_ms)
{
    if (leases_have_ended(judge->leases, state, now_ms)) {
        return true;
    }
    for (uint32_t zone = 0; zone < state_zone_slots(state); zone++) {
        if (zone_is_due(judge, state, zone, time_ms)) {
            return true;
        }
    }
    return false;
}
