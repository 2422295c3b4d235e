/* SPDX-License-Identifier: Apache-2.0 */
#include "node/plan_action.h"

#include "base/check.h"
#include "base/memory.h"
#include "node/api_check.h"
#include "node/api_size.h"
#include "node/class_zones.h"
#include "node/group_fields.h"
#include "node/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/class_service.pb-c.h>
#include <holdfast/v1/group_service.pb-c.h>
#include <holdfast/v1/host_service.pb-c.h>
#include <holdfast/v1/zone_service.pb-c.h>

#define ACTION(name) HOLDFAST__V1__PLAN_ACTION__ACTION_##name

/* --- Through the API's own functions ------------------------------------- */

/* What it answers is of no use here; what it refuses is. */
static void call(void (*mutate)(const ProtobufCMessage *request,
                                struct turn_plan *plan,
                                struct api_reply *reply),
                 const ProtobufCMessage *request, struct turn_plan *plan,
                 struct api_reply *reply)
{
    struct api_reply inner;

    api_reply_init(&inner);
    mutate(request, plan, &inner);
    reply->code = inner.code;
    reply->reason = inner.reason;
    memcpy(reply->message, inner.message, sizeof(reply->message));
    api_reply_close(&inner);
}

static bool is_risk(const struct api_reply *reply)
{
    return reply->code != RPC_OK &&
           (reply->reason == api_error_entry(API_HEADROOM)->reason ||
            reply->reason == api_error_entry(API_QUORUM_NEEDED)->reason);
}

static void forget(struct api_reply *reply)
{
    reply->code = RPC_OK;
    reply->reason = NULL;
    reply->message[0] = '\0';
}

/* A drain that is refused for its risk is planned all the same; the plan says
 * what the refusal says. `reason` NULL: no risk is accepted. */
struct drain_call {
    void (*drain)(const struct drain_call *call, bool accept_risk,
                  const char *reason, struct turn_plan *plan,
                  struct api_reply *reply);
    const char *name;
};

static void drain_host(const struct drain_call *call_, bool accept_risk,
                       const char *reason, struct turn_plan *plan,
                       struct api_reply *reply)
{
    Holdfast__V1__DrainHostRequest request =
        HOLDFAST__V1__DRAIN_HOST_REQUEST__INIT;
    char name[NAME_BYTES];
    char words[256];

    snprintf(name, sizeof(name), "%s", call_->name);
    snprintf(words, sizeof(words), "%s", reason);
    request.name = name;
    request.accept_risk = accept_risk;
    request.reason = words;
    call(api_drain_host, &request.base, plan, reply);
}

static void drain_zone(const struct drain_call *call_, bool accept_risk,
                       const char *reason, struct turn_plan *plan,
                       struct api_reply *reply)
{
    Holdfast__V1__DrainZoneRequest request =
        HOLDFAST__V1__DRAIN_ZONE_REQUEST__INIT;
    char name[NAME_BYTES];
    char words[256];

    snprintf(name, sizeof(name), "%s", call_->name);
    snprintf(words, sizeof(words), "%s", reason);
    request.name = name;
    request.accept_risk = accept_risk;
    request.reason = words;
    call(api_drain_zone, &request.base, plan, reply);
}

static bool drain_for_plan(const struct drain_call *drain,
                           struct turn_plan *plan, struct plan *result,
                           struct api_reply *reply)
{
    drain->drain(drain, false, "", plan, reply);
    if (is_risk(reply)) {
        plan_warn(result, "%s", reply->message);
        result->risky = true;
        forget(reply);
        drain->drain(drain, true, "planned", plan, reply);
    }
    return reply->code == RPC_OK;
}

static void scale_group(const Holdfast__V1__PlanScaleGroup *scale,
                        struct turn_plan *plan, struct api_reply *reply)
{
    Holdfast__V1__ScaleGroupRequest request =
        HOLDFAST__V1__SCALE_GROUP_REQUEST__INIT;

    request.name = scale->name;
    request.count = scale->count;
    call(api_scale_group, &request.base, plan, reply);
}

static void update_class(const Holdfast__V1__PlanUpdateClass *update,
                         struct turn_plan *plan, struct api_reply *reply)
{
    Holdfast__V1__UpdateClassRequest request =
        HOLDFAST__V1__UPDATE_CLASS_REQUEST__INIT;

    request.vm_class = update->vm_class;
    request.update_mask = update->update_mask;
    request.n_update_mask = update->n_update_mask;
    call(api_update_class, &request.base, plan, reply);
}

static void update_group(const Holdfast__V1__PlanUpdateGroup *update,
                         struct turn_plan *plan, struct api_reply *reply)
{
    Holdfast__V1__UpdateGroupRequest request =
        HOLDFAST__V1__UPDATE_GROUP_REQUEST__INIT;

    request.group = update->group;
    request.update_mask = update->update_mask;
    request.n_update_mask = update->n_update_mask;
    call(api_update_group, &request.base, plan, reply);
}

/* --- Losses -------------------------------------------------------------- */

static void lose_host(struct plan_action *action, uint32_t slot)
{
    action->fences = memory_realloc_array(
        action->fences, action->fence_count + 1, sizeof(*action->fences));
    action->fences[action->fence_count++] = slot;
}

static bool lose_hosts(struct plan_action *action,
                       const Holdfast__V1__PlanHostLoss *loss,
                       const struct turn_plan *plan, struct api_reply *reply)
{
    if (loss->n_hosts == 0 || loss->n_hosts > PLAN_NAMES_MAX) {
        api_fail(reply, API_INVALID_FIELD,
                 "action.host_loss.hosts: must name 1 to %d hosts",
                 PLAN_NAMES_MAX);
        return false;
    }
    for (size_t i = 0; i < loss->n_hosts; i++) {
        const struct host *host =
            api_find_host(reply, plan->scratch, loss->hosts[i]);

        if (host == NULL) {
            return false;
        }
        lose_host(action, uid_slot(host->uid));
    }
    return true;
}

static void lose_zone_hosts(struct plan_action *action,
                            const struct state *state, uint64_t zones)
{
    uint32_t count = 0;

    action->fences =
        memory_alloc_array(state_host_slots(state), sizeof(*action->fences));
    for (uint32_t slot = 0; slot < state_host_slots(state); slot++) {
        const struct host *host = state_host_at(state, slot);

        if (host != NULL && host->state == HOST_UP &&
            (zones >> host->zone & 1) != 0) {
            action->fences[count++] = slot;
        }
    }
    action->fence_count = count;
}

static bool lose_zones(struct plan_action *action,
                       const Holdfast__V1__PlanZoneLoss *loss,
                       struct turn_plan *plan, struct plan *result,
                       struct api_reply *reply)
{
    struct change change = {.kind = CHANGE_ZONE_STATE};
    uint64_t zones = 0;

    if (loss->n_zones == 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "action.zone_loss.zones: must name at least one zone");
        return false;
    }
    for (size_t i = 0; i < loss->n_zones; i++) {
        const struct zone *zone = api_find_zone(
            reply, plan->scratch, "action.zone_loss.zones", loss->zones[i]);

        if (zone == NULL) {
            return false;
        }
        zones |= UINT64_C(1) << uid_slot(zone->uid);
        change.zone_state.zone.uid = zone->uid;
        change.zone_state.state = ZONE_LOST;
        if (zone->state != ZONE_LOST) {
            turn_change(plan, &change);
        }
    }
    action->undecided = turn_needs_zones(plan->voters, zones);
    if (action->undecided) {
        plan_warn(result,
                  "without the nodes of %s those that answer now are no "
                  "majority: nothing would be placed until they are back",
                  loss->n_zones == 1 ? "the zone" : "these zones together");
    }
    lose_zone_hosts(action, plan->scratch, zones);
    return true;
}

bool plan_action_fence(struct plan_action *action, struct turn_plan *plan,
                       uint32_t max)
{
    struct change change = {.kind = CHANGE_HOST_FENCE};

    while (action->fenced < action->fence_count && max-- > 0) {
        const struct host *host =
            state_host_at(plan->scratch, action->fences[action->fenced++]);

        if (host->state == HOST_UP) {
            change.host_fence =
                (struct change_host_fence){{host->uid}, FENCE_LEASE_ENDED};
            turn_change(plan, &change);
        }
    }
    return action->fenced == action->fence_count;
}

/* --- Hosts that are not there -------------------------------------------- */

static bool check_pools(struct api_reply *reply, const struct state *state,
                        const Holdfast__V1__PlanAddHosts *add,
                        struct text pools[POOLS_MAX])
{
    if (add->n_pools > POOLS_MAX) {
        api_fail(reply, API_INVALID_FIELD,
                 "action.add_hosts.pools: at most %d can be named", POOLS_MAX);
        return false;
    }
    for (size_t i = 0; i < add->n_pools; i++) {
        pools[i] = text_of(add->pools[i]);
        if (state_pool_bit(state, pools[i]) == 0) {
            api_fail(reply, API_POOL_UNKNOWN,
                     "action.add_hosts.pools: no host ever reported the pool "
                     "'%.80s'",
                     add->pools[i]);
            return false;
        }
    }
    return true;
}

static bool check_drivers(struct api_reply *reply,
                          const Holdfast__V1__PlanAddHosts *add, uint32_t *mask)
{
    *mask = 0;
    for (size_t i = 0; i < add->n_drivers; i++) {
        if (!api_check_range(reply, "action.add_hosts.drivers",
                             (uint64_t)add->drivers[i], DRIVER_QEMU,
                             DRIVER_EXEC)) {
            return false;
        }
        *mask |= 1u << add->drivers[i];
    }
    if (*mask == 0) {
        *mask = 1u << DRIVER_QEMU | 1u << DRIVER_EXEC;
    }
    return true;
}

static void register_hosts(struct turn_plan *plan, struct change change,
                           uint32_t count)
{
    char name[NAME_BYTES];
    uint32_t number = 0;

    while (count > 0) {
        int len = snprintf(name, sizeof(name), "new-%u", ++number);

        change.host_register.name = (struct text){name, (uint32_t)len};
        change.host_register.host_id = change.host_register.name;
        change.host_register.boot_id = change.host_register.name;
        if (state_host_named(plan->scratch, change.host_register.name) ==
            NULL) {
            turn_change(plan, &change);
            count--;
        }
    }
}

static bool add_hosts(const Holdfast__V1__PlanAddHosts *add,
                      struct turn_plan *plan, struct api_reply *reply)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    const struct zone *zone =
        api_find_zone(reply, plan->scratch, "action.add_hosts.zone", add->zone);
    struct text pools[POOLS_MAX];
    struct api_amounts amounts;
    struct bytes labels;
    uint32_t drivers;
    bool good;

    bytes_init(&labels);
    good = zone != NULL &&
           api_check_range(reply, "action.add_hosts.count", add->count, 1,
                           PLAN_HOSTS_MAX) &&
           api_check_range(reply, "action.add_hosts.count",
                           add->count + state_counts(plan->scratch)->hosts, 1,
                           HOSTS_MAX) &&
           api_read_resources(reply, plan->scratch, "action.add_hosts.capacity",
                              add->capacity, &amounts) &&
           check_pools(reply, plan->scratch, add, pools) &&
           check_drivers(reply, add, &drivers) &&
           api_check_labels(reply, "action.add_hosts.labels", add->labels,
                            add->n_labels, &labels);
    if (good) {
        change.host_register = (struct change_host_register){
            .zone = {zone->uid},
            .fault_domain = text_of(add->fault_domain),
            .capacity = amounts.resources,
            .pools = pools,
            .pool_count = (uint32_t)add->n_pools,
            .driver_mask = drivers,
            .labels = {(const char *)labels.data, (uint32_t)labels.len},
            .agent_version = text_of(""),
            .named = amounts.named,
            .named_count = amounts.named_count,
        };
        register_hosts(plan, change, add->count);
    }
    bytes_close(&labels);
    return good;
}

/* --- All of them --------------------------------------------------------- */

static bool remove_hosts(const Holdfast__V1__PlanRemoveHosts *removal,
                         struct turn_plan *plan, struct plan *result,
                         struct api_reply *reply)
{
    if (removal->n_hosts == 0 || removal->n_hosts > PLAN_NAMES_MAX) {
        api_fail(reply, API_INVALID_FIELD,
                 "action.remove_hosts.hosts: must name 1 to %d hosts",
                 PLAN_NAMES_MAX);
        return false;
    }
    for (size_t i = 0; i < removal->n_hosts; i++) {
        struct drain_call drain = {drain_host, removal->hosts[i]};

        if (!drain_for_plan(&drain, plan, result, reply)) {
            return false;
        }
    }
    return true;
}

static struct group_id group_named(const struct turn_plan *plan,
                                   const char *name)
{
    const struct group *group = state_group_named(plan->scratch, text_of(name));

    return (struct group_id){group == NULL ? 0 : group->uid};
}

static bool begin_drain(struct plan_action *action, struct turn_plan *plan,
                        struct plan *result, struct api_reply *reply)
{
    const Holdfast__V1__PlanAction *message = action->message;
    struct drain_call drain = {drain_host, NULL};

    action->drains = true;
    if (message->action_case == ACTION(REMOVE_HOSTS)) {
        return remove_hosts(message->remove_hosts, plan, result, reply);
    }
    if (message->action_case == ACTION(DRAIN_HOST)) {
        drain.name = message->drain_host->name;
    } else {
        drain = (struct drain_call){drain_zone, message->drain_zone->name};
    }
    return drain_for_plan(&drain, plan, result, reply);
}

static bool begin_loss(struct plan_action *action, struct turn_plan *plan,
                       struct plan *result, struct api_reply *reply)
{
    const Holdfast__V1__PlanAction *message = action->message;

    action->loss = true;
    return message->action_case == ACTION(ZONE_LOSS)
               ? lose_zones(action, message->zone_loss, plan, result, reply)
               : lose_hosts(action, message->host_loss, plan, reply);
}

/* As if it were not refused: the members that may be made are. */
static void count_group(struct turn_plan *plan, struct group_id id,
                        uint32_t count)
{
    struct change change = {.kind = CHANGE_GROUP_UPDATE};
    struct text pools[CHANGE_POOLS_MAX];

    change.group_update.group = id;
    group_fields_read(plan->scratch, state_group(plan->scratch, id),
                      &change.group_update.fields, pools);
    change.group_update.fields.count = count;
    turn_change(plan, &change);
}

static bool begin_group(struct plan_action *action, struct turn_plan *plan,
                        struct plan *result, struct api_reply *reply)
{
    const Holdfast__V1__PlanAction *message = action->message;
    const char *name;

    if (message->action_case == ACTION(SCALE_GROUP)) {
        name = message->scale_group->name;
        scale_group(message->scale_group, plan, reply);
        if (is_risk(reply)) {
            plan_warn(result, "%s", reply->message);
            forget(reply);
            action->refused = true;
            count_group(plan, group_named(plan, name),
                        message->scale_group->count);
        }
    } else {
        name = message->update_group->group == NULL
                   ? ""
                   : message->update_group->group->name;
        update_group(message->update_group, plan, reply);
        action->regroup = group_named(plan, name);
    }
    action->group = group_named(plan, name);
    return reply->code == RPC_OK;
}

static void warn_of_outside(const Holdfast__V1__PlanUpdateClass *update,
                            const struct turn_plan *plan, struct plan *result,
                            const struct api_reply *reply)
{
    const struct class *class =
        reply->code != RPC_OK
            ? NULL
            : state_class_named(plan->scratch, text_of(update->vm_class->name));
    char words[512];

    if (class != NULL &&
        class_zones_outside(plan->scratch, class, words, sizeof(words)) > 0) {
        plan_warn(result, "%s", words);
    }
}

bool plan_action_begin(struct plan_action *action,
                       const Holdfast__V1__PlanAction *message,
                       struct turn_plan *plan, struct plan *result,
                       struct api_reply *reply)
{
    *action = (struct plan_action){.message = message};
    switch (message == NULL ? HOLDFAST__V1__PLAN_ACTION__ACTION__NOT_SET
                            : message->action_case) {
    case ACTION(ZONE_LOSS):
    case ACTION(HOST_LOSS):
        return begin_loss(action, plan, result, reply);
    case ACTION(DRAIN_HOST):
    case ACTION(DRAIN_ZONE):
    case ACTION(REMOVE_HOSTS):
        return begin_drain(action, plan, result, reply);
    case ACTION(ADD_HOSTS):
        action->imagined = true;
        action->rebalances = true;
        return add_hosts(message->add_hosts, plan, reply);
    case ACTION(SCALE_GROUP):
    case ACTION(UPDATE_GROUP):
        return begin_group(action, plan, result, reply);
    case ACTION(UPDATE_CLASS):
        update_class(message->update_class, plan, reply);
        warn_of_outside(message->update_class, plan, result, reply);
        return reply->code == RPC_OK;
    case ACTION(REBALANCE):
        action->rebalances = true;
        return true;
    default:
        api_fail(reply, API_INVALID_FIELD, "action: one must be given");
        return false;
    }
}

bool plan_action_drains(const struct plan_action *action,
                        const struct state *state, const struct host *host)
{
    const Holdfast__V1__PlanAction *message = action->message;
    const Holdfast__V1__PlanRemoveHosts *removal;

    switch (message->action_case) {
    case ACTION(DRAIN_HOST):
        return strcmp(message->drain_host->name, host->name) == 0;
    case ACTION(DRAIN_ZONE):
        return strcmp(message->drain_zone->name,
                      state_zone_at(state, host->zone)->name) == 0;
    case ACTION(REMOVE_HOSTS):
        removal = message->remove_hosts;
        for (size_t i = 0; i < removal->n_hosts; i++) {
            if (strcmp(removal->hosts[i], host->name) == 0) {
                return true;
            }
        }
        return false;
    default:
        return false;
    }
}

void plan_action_close(struct plan_action *action)
{
    free(action->fences);
}

static void apply_drain(const struct drain_call *drain, struct turn_plan *plan,
                        const char *reason, struct api_reply *reply)
{
    if (reply->code == RPC_OK) {
        drain->drain(drain, reason != NULL, reason == NULL ? "" : reason, plan,
                     reply);
    }
}

static void apply_removal(const Holdfast__V1__PlanRemoveHosts *removal,
                          struct turn_plan *plan, const char *reason,
                          struct api_reply *reply)
{
    for (size_t i = 0; i < removal->n_hosts; i++) {
        struct drain_call drain = {drain_host, removal->hosts[i]};

        apply_drain(&drain, plan, reason, reply);
    }
}

bool plan_action_apply(const Holdfast__V1__PlanAction *message,
                       struct turn_plan *plan, const char *reason,
                       struct api_reply *reply)
{
    struct drain_call drain = {drain_host, NULL};

    switch (message->action_case) {
    case ACTION(DRAIN_HOST):
        drain.name = message->drain_host->name;
        apply_drain(&drain, plan, reason, reply);
        break;
    case ACTION(DRAIN_ZONE):
        drain = (struct drain_call){drain_zone, message->drain_zone->name};
        apply_drain(&drain, plan, reason, reply);
        break;
    case ACTION(REMOVE_HOSTS):
        apply_removal(message->remove_hosts, plan, reason, reply);
        break;
    case ACTION(SCALE_GROUP):
        scale_group(message->scale_group, plan, reply);
        break;
    case ACTION(UPDATE_CLASS):
        update_class(message->update_class, plan, reply);
        break;
    case ACTION(UPDATE_GROUP):
        update_group(message->update_group, plan, reply);
        break;
    case ACTION(REBALANCE):
        break;
    default:
        CHECK_UNREACHABLE("an action that can be applied");
    }
    return reply->code == RPC_OK;
}
