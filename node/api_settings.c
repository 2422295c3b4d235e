/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings: those of leases and judgement, those of placement (struct
 * policy), and how much is audited. For clients they are one message; an update
 * of several kinds happens as a whole or not at all. */
#include "base/container.h"
#include "node/api_check.h"
#include "node/view.h"

#include <inttypes.h>
#include <string.h>

#include <holdfast/v1/cluster_service.pb-c.h>

#define OBJECT_ARENA_BYTES (256u << 10)

void api_get_settings(const ProtobufCMessage *message,
                      const struct api_view *view, struct api_reply *reply)
{
    Holdfast__V1__GetSettingsResponse response =
        HOLDFAST__V1__GET_SETTINGS_RESPONSE__INIT;

    (void)message;
    response.settings = view_settings(view->arena, view->state);
    response.age_ms = view->age_ms;
    response.revision = state_revision(view->state);
    api_respond(reply, &response.base);
}

enum settings_kind { KIND_SETTINGS, KIND_POLICY, KIND_AUDIT, KIND_COUNT };

/* All kinds, and which of them something was said about. */
struct all_settings {
    struct settings settings;
    struct policy policy;
    uint32_t audit_records_max;
    bool names[KIND_COUNT];
};

/* The field with this name, or NULL; and of which kind it is. */
static uint32_t *settings_field(struct all_settings *all, const char *name,
                                enum settings_kind *kind)
{
    struct settings *s = &all->settings;
    struct policy *p = &all->policy;
    const struct {
        const char *name;
        uint32_t *value;
        enum settings_kind kind;
    } fields[] = {
        {"lease_wait_ms", &s->lease_wait_ms, KIND_SETTINGS},
        {"lease_run_ms", &s->lease_run_ms, KIND_SETTINGS},
        {"renew_ms", &s->renew_ms, KIND_SETTINGS},
        {"kill_budget_ms", &s->kill_budget_ms, KIND_SETTINGS},
        {"margin_ms", &s->margin_ms, KIND_SETTINGS},
        {"clock_error_permille", &s->clock_error_permille, KIND_SETTINGS},
        {"zone_loss_permille", &s->zone_loss_permille, KIND_SETTINGS},
        {"storm_permille", &s->storm_permille, KIND_SETTINGS},
        {"zone_hold_ms", &s->zone_hold_ms, KIND_SETTINGS},
        {"start_parallel", &s->start_parallel, KIND_SETTINGS},
        {"headroom", &p->headroom, KIND_POLICY},
        {"preempt_max", &p->preempt_max, KIND_POLICY},
        {"rebalance", &p->rebalance, KIND_POLICY},
        {"rebalance_start_permille", &p->rebalance_start_permille, KIND_POLICY},
        {"rebalance_stop_permille", &p->rebalance_stop_permille, KIND_POLICY},
        {"zone_moves", &p->zone_moves, KIND_POLICY},
        {"host_moves", &p->host_moves, KIND_POLICY},
        {"vm_cool_down_ms", &p->vm_cool_down_ms, KIND_POLICY},
        {"rebalance_window_start_minute", &p->rebalance_window_start_minute,
         KIND_POLICY},
        {"rebalance_window_end_minute", &p->rebalance_window_end_minute,
         KIND_POLICY},
        {"audit_records_max", &all->audit_records_max, KIND_AUDIT},
    };

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (strcmp(fields[i].name, name) == 0) {
            *kind = fields[i].kind;
            return fields[i].value;
        }
    }
    return NULL;
}

/* Unspecified, and not written where 0 means something, is the default. */
static void read_policy(const Holdfast__V1__Settings *message,
                        struct policy *policy)
{
    policy_init(policy);
    if (message->headroom != 0) {
        policy->headroom = (uint32_t)message->headroom;
    }
    if (message->rebalance != 0) {
        policy->rebalance = (uint32_t)message->rebalance;
    }
    if (message->_preempt_max_case ==
        HOLDFAST__V1__SETTINGS___PREEMPT_MAX_PREEMPT_MAX) {
        policy->preempt_max = message->preempt_max;
    }
    if (message->_vm_cool_down_ms_case ==
        HOLDFAST__V1__SETTINGS___VM_COOL_DOWN_MS_VM_COOL_DOWN_MS) {
        policy->vm_cool_down_ms = message->vm_cool_down_ms;
    }
    policy->rebalance_start_permille = message->rebalance_start_permille;
    policy->rebalance_stop_permille = message->rebalance_stop_permille;
    policy->zone_moves = message->zone_moves;
    policy->host_moves = message->host_moves;
    policy->rebalance_window_start_minute =
        message->rebalance_window_start_minute;
    policy->rebalance_window_end_minute = message->rebalance_window_end_minute;
}

static void read_settings(const Holdfast__V1__Settings *message,
                          struct all_settings *given)
{
    given->settings = (struct settings){
        .lease_wait_ms = message->lease_wait_ms,
        .lease_run_ms = message->lease_run_ms,
        .renew_ms = message->renew_ms,
        .kill_budget_ms = message->kill_budget_ms,
        .margin_ms = message->margin_ms,
        .clock_error_permille = message->clock_error_permille,
        .zone_loss_permille = message->zone_loss_permille,
        .storm_permille = message->storm_permille,
        .zone_hold_ms = message->zone_hold_ms,
        .start_parallel = message->start_parallel,
    };
    read_policy(message, &given->policy);
    given->audit_records_max = message->audit_records_max;
}

static bool merge_settings(struct api_reply *reply,
                           const Holdfast__V1__UpdateSettingsRequest *request,
                           struct all_settings *merged)
{
    struct all_settings given;
    enum settings_kind kind = KIND_COUNT;

    if (request->settings == NULL || request->n_update_mask == 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "settings, update_mask: give the values and name at least "
                 "one field");
        return false;
    }
    read_settings(request->settings, &given);
    for (size_t i = 0; i < request->n_update_mask; i++) {
        const char *name = request->update_mask[i];
        uint32_t *to = settings_field(merged, name, &kind);
        const uint32_t *from = settings_field(&given, name, &kind);

        if (to == NULL || from == NULL) {
            api_fail(reply, API_INVALID_FIELD,
                     "update_mask: there is no setting '%.80s'", name);
            return false;
        }
        *to = *from;
        merged->names[kind] = true;
    }
    return true;
}

/* A shorter lease_wait_ms is dangerous while a host may hold a lease that was
 * given for a longer lease_run_ms: a new leader would not wait that long. So
 * the new wait must be safe for the present lease_run_ms as well, and the
 * present settings must have been in force for one present wait: by then every
 * lease given under still older ones, for which the present wait was checked
 * in the same way, has ended. Rule 1 therefore holds across any sequence of
 * changes and elections. */
static bool check_shorter_wait(struct api_reply *reply,
                               const struct turn_plan *plan,
                               const struct settings *now,
                               const struct settings *merged)
{
    struct settings both = *merged;
    uint64_t settled_ms = plan->now_ms - plan->settings_since_ms;

    if (merged->lease_wait_ms >= now->lease_wait_ms) {
        return true;
    }
    both.lease_run_ms = now->lease_run_ms > merged->lease_run_ms
                            ? now->lease_run_ms
                            : merged->lease_run_ms;
    if (settings_check(&both) != NULL) {
        api_fail(reply, API_UNSAFE_SETTINGS,
                 "settings.lease_wait_ms: leases of %u ms are given out "
                 "already, and "
                 "lease_wait_ms %u would not wait for them; lower "
                 "lease_run_ms first, then lease_wait_ms in a second change",
                 now->lease_run_ms, merged->lease_wait_ms);
        return false;
    }
    if (settled_ms < now->lease_wait_ms) {
        api_fail(reply, API_SETTINGS_UNSETTLED,
                 "settings.lease_wait_ms: can be lowered in %" PRIu64
                 " ms; leases under former settings may run until then",
                 now->lease_wait_ms - settled_ms);
        return false;
    }
    return true;
}

static bool check_settings(struct api_reply *reply,
                           const struct turn_plan *plan,
                           const struct all_settings *merged)
{
    const char *fault = settings_check(&merged->settings);

    if (fault != NULL) {
        api_fail(reply,
                 settings_lease_is_safe(&merged->settings)
                     ? API_INVALID_FIELD
                     : API_UNSAFE_SETTINGS,
                 "settings.%s", fault);
        return false;
    }
    fault = policy_check(&merged->policy);
    if (fault != NULL) {
        api_fail(reply, API_INVALID_FIELD, "settings.%s", fault);
        return false;
    }
    return api_check_range(reply, "settings.audit_records_max",
                           merged->audit_records_max, AUDIT_RECORDS_MIN,
                           AUDIT_RECORDS_MAX) &&
           check_shorter_wait(reply, plan, state_settings(plan->scratch),
                              &merged->settings);
}

static void decide(struct turn_plan *plan, const struct all_settings *merged)
{
    struct change change = {.kind = CHANGE_SETTINGS};

    if (merged->names[KIND_SETTINGS]) {
        change.settings.settings = merged->settings;
        turn_change(plan, &change);
    }
    if (merged->names[KIND_POLICY]) {
        change.kind = CHANGE_POLICY;
        change.policy.policy = merged->policy;
        turn_change(plan, &change);
    }
    if (merged->names[KIND_AUDIT] &&
        merged->audit_records_max != state_audit_records_max(plan->scratch)) {
        change.kind = CHANGE_AUDIT_KEEP;
        change.audit_keep.records_max = merged->audit_records_max;
        turn_change(plan, &change);
    }
}

void api_update_settings(const ProtobufCMessage *message,
                         struct turn_plan *plan, struct api_reply *reply)
{
    const Holdfast__V1__UpdateSettingsRequest *request =
        (const Holdfast__V1__UpdateSettingsRequest *)(const void *)message;
    Holdfast__V1__UpdateSettingsResponse response =
        HOLDFAST__V1__UPDATE_SETTINGS_RESPONSE__INIT;
    struct all_settings merged = {.settings = *state_settings(plan->scratch),
                                  .policy = *state_policy(plan->scratch),
                                  .audit_records_max =
                                      state_audit_records_max(plan->scratch)};
    struct arena arena;

    if (!api_check_revision(reply, request->expect_revision,
                            view_settings_revision(plan->scratch),
                            "settings") ||
        !merge_settings(reply, request, &merged) ||
        !check_settings(reply, plan, &merged)) {
        return;
    }
    decide(plan, &merged);
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.settings = view_settings(&arena, plan->scratch);
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}
