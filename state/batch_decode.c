/* SPDX-License-Identifier: Apache-2.0
 *
 * Log entries back to changes, through the generated code. What this version
 * does not know stops it: guessing would make replicas differ. */
#include "base/check.h"
#include "base/error.h"
#include "state/batch.h"

#include <string.h>

#include <holdfast/v1/log.pb-c.h>

typedef Holdfast__V1__Batch pb_batch;
typedef Holdfast__V1__Change pb_change;

static void *allocate(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

/* The arena frees everything at once. */
static void release(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static struct text text_of_bytes(const ProtobufCBinaryData *bytes)
{
    return (struct text){bytes->data == NULL ? "" : (const char *)bytes->data,
                         (uint32_t)bytes->len};
}

/* NULL when the arena is full. */
static const struct text *texts_of(struct arena *arena, char **strings,
                                   size_t count)
{
    struct text *texts =
        arena_alloc(arena, (count == 0 ? 1 : count) * sizeof(*texts));

    for (size_t i = 0; texts != NULL && i < count; i++) {
        texts[i] = text_of(strings[i]);
    }
    return texts;
}

/* What is in a message inside is checked for
 * unknown fields here, for the change's own message does not see them. */
static int read_named(Holdfast__V1__NamedAmount **in, size_t count,
                      struct arena *arena, const struct named_amount **out,
                      uint32_t *out_count)
{
    struct named_amount *named =
        arena_alloc(arena, (count == 0 ? 1 : count) * sizeof(*named));

    if (named == NULL) {
        return HF_ERROR_TOO_LARGE;
    }
    for (size_t i = 0; i < count; i++) {
        if (in[i]->base.n_unknown_fields > 0) {
            return HF_ERROR_UNSUPPORTED;
        }
        named[i] = (struct named_amount){text_of(in[i]->name), in[i]->amount};
    }
    *out = named;
    *out_count = (uint32_t)count;
    return 0;
}

static int read_class_create(const Holdfast__V1__ChangeClassCreate *in,
                             struct arena *arena,
                             struct change_class_create *out)
{
    *out = (struct change_class_create){
        .name = text_of(in->name),
        .resources = {in->cpu_milli, in->memory_mib, in->disk_gib,
                      in->gpu_count},
        .zone_mask = in->zone_mask,
        .custom = in->custom,
    };
    return read_named(in->named, in->n_named, arena, &out->named,
                      &out->named_count);
}

static int read_class_update(const Holdfast__V1__ChangeClassUpdate *in,
                             struct arena *arena,
                             struct change_class_update *out)
{
    *out = (struct change_class_update){
        .class = {in->vm_class},
        .mask = in->mask,
        .zone_mask = in->zone_mask,
        .resources = {in->cpu_milli, in->memory_mib, in->disk_gib,
                      in->gpu_count},
    };
    return read_named(in->named, in->n_named, arena, &out->named,
                      &out->named_count);
}

static int read_host_register(const Holdfast__V1__ChangeHostRegister *in,
                              struct arena *arena,
                              struct change_host_register *out)
{
    *out = (struct change_host_register){
        .name = text_of(in->name),
        .zone = {in->zone},
        .fault_domain = text_of(in->fault_domain),
        .host_id = text_of(in->host_id),
        .boot_id = text_of(in->boot_id),
        .capacity = {in->cpu_milli, in->memory_mib, in->disk_gib,
                     in->gpu_count},
        .pools = texts_of(arena, in->pools, in->n_pools),
        .pool_count = (uint32_t)in->n_pools,
        .driver_mask = in->driver_mask,
        .labels = text_of_bytes(&in->labels),
        .agent_version = text_of(in->agent_version),
    };
    if (out->pools == NULL) {
        return HF_ERROR_TOO_LARGE;
    }
    return read_named(in->named, in->n_named, arena, &out->named,
                      &out->named_count);
}

static int read_vm_create(const Holdfast__V1__ChangeVmCreate *in,
                          struct arena *arena, struct change_vm_create *out)
{
    *out = (struct change_vm_create){
        .name = text_of(in->name),
        .class = {in->vm_class},
        .zone = {in->zone},
        .priority = in->priority,
        .on_partition = (enum on_partition)in->on_partition,
        .desired = (enum desired_state)in->desired,
        .driver = (enum driver)in->driver,
        .pools = texts_of(arena, in->pools, in->n_pools),
        .pool_count = (uint32_t)in->n_pools,
        .template = text_of_bytes(&in->vm_template),
        .labels = text_of_bytes(&in->labels),
        .preemptible = in->preemptible,
        .local_disk = in->local_disk,
        .disk_zone_mask = in->disk_zone_mask,
        .group = {in->group},
        .selector = text_of_bytes(&in->host_selector),
        .template_generation = in->template_generation,
    };
    return out->pools == NULL ? HF_ERROR_TOO_LARGE : 0;
}

static int read_group_fields(const Holdfast__V1__GroupFields *in,
                             struct arena *arena, struct group_fields *out)
{
    if (in == NULL) {
        return HF_ERROR_CORRUPT;
    }
    if (in->base.n_unknown_fields > 0) {
        return HF_ERROR_UNSUPPORTED;
    }
    *out = (struct group_fields){
        .count = in->count,
        .class = {in->vm_class},
        .template = text_of_bytes(&in->vm_template),
        .labels = text_of_bytes(&in->labels),
        .selector = text_of_bytes(&in->host_selector),
        .pools = texts_of(arena, in->pools, in->n_pools),
        .pool_count = (uint32_t)in->n_pools,
        .disk_zone_mask = in->disk_zone_mask,
        .local_disk = in->local_disk,
        .priority = in->priority,
        .on_partition = (enum on_partition)in->on_partition,
        .driver = (enum driver)in->driver,
        .preemptible = in->preemptible,
        .zone_rule = (enum zone_rule)in->zone_rule,
        .max_skew = in->max_skew,
        .zone_mode = (enum rule_mode)in->zone_mode,
        .zone_mask = in->zone_mask,
        .domain_mode = in->domain_mode,
        .domain_max = in->domain_max,
        .host_mode = in->host_mode,
        .host_max = in->host_max,
        .unprotected = in->unprotected,
        .max_unavailable = in->max_unavailable,
        .generation = in->generation,
        .next_member = in->next_member,
    };
    return out->pools == NULL ? HF_ERROR_TOO_LARGE : 0;
}

static void read_policy(const Holdfast__V1__ChangePolicy *in,
                        struct policy *out)
{
    *out = (struct policy){
        .headroom = in->headroom,
        .preempt_max = in->preempt_max,
        .rebalance = in->rebalance,
        .rebalance_start_permille = in->rebalance_start_permille,
        .rebalance_stop_permille = in->rebalance_stop_permille,
        .zone_moves = in->zone_moves,
        .host_moves = in->host_moves,
        .vm_cool_down_ms = in->vm_cool_down_ms,
        .rebalance_window_start_minute = in->rebalance_window_start_minute,
        .rebalance_window_end_minute = in->rebalance_window_end_minute,
    };
}

static void read_settings(const Holdfast__V1__ChangeSettings *in,
                          struct settings *out)
{
    *out = (struct settings){
        .lease_wait_ms = in->lease_wait_ms,
        .lease_run_ms = in->lease_run_ms,
        .renew_ms = in->renew_ms,
        .kill_budget_ms = in->kill_budget_ms,
        .margin_ms = in->margin_ms,
        .clock_error_permille = in->clock_error_permille,
        .zone_loss_permille = in->zone_loss_permille,
        .storm_permille = in->storm_permille,
        .zone_hold_ms = in->zone_hold_ms,
        .start_parallel = in->start_parallel,
    };
}

static int read_vm_change(const pb_change *in, struct arena *arena,
                          struct change *out)
{
    switch (out->kind) {
    case CHANGE_VM_CREATE:
        return read_vm_create(in->vm_create, arena, &out->vm_create);
    case CHANGE_VM_UPDATE:
        out->vm_update = (struct change_vm_update){
            .vm = {in->vm_update->vm},
            .mask = in->vm_update->mask,
            .priority = in->vm_update->priority,
            .on_partition = (enum on_partition)in->vm_update->on_partition,
            .labels = text_of_bytes(&in->vm_update->labels),
            .preemptible = in->vm_update->preemptible,
        };
        return 0;
    case CHANGE_VM_DESIRE:
        out->vm_desire = (struct change_vm_desire){
            {in->vm_desire->vm},
            (enum desired_state)in->vm_desire->desired,
            in->vm_desire->deleting};
        return 0;
    case CHANGE_VM_MOVE:
        out->vm_move = (struct change_vm_move){
            .vm = {in->vm_move->vm},
            .zone = {in->vm_move->zone},
            .host = {in->vm_move->host},
            .cancel = in->vm_move->cancel,
            .cause = (enum move_cause)in->vm_move->cause,
        };
        return 0;
    case CHANGE_VM_ASSIGN:
        out->vm_assign = (struct change_vm_assign){
            {in->vm_assign->vm}, {in->vm_assign->host}, in->vm_assign->epoch};
        return 0;
    case CHANGE_VM_PENDING:
        out->vm_pending = (struct change_vm_pending){
            {in->vm_pending->vm}, (enum pending_reason)in->vm_pending->reason};
        return 0;
    case CHANGE_VM_REPORT:
        out->vm_report =
            (struct change_vm_report){{in->vm_report->vm},
                                      in->vm_report->epoch,
                                      (enum vm_state)in->vm_report->state};
        return 0;
    case CHANGE_VM_RELEASE:
        out->vm_release =
            (struct change_vm_release){{in->vm_release->vm},
                                       in->vm_release->epoch,
                                       text_of(in->vm_release->reason),
                                       in->vm_release->failed,
                                       in->vm_release->not_before_ms,
                                       in->vm_release->forget};
        return 0;
    case CHANGE_VM_CLAIM:
        out->vm_claim = (struct change_vm_claim){
            {in->vm_claim->vm},
            {in->vm_claim->host},
            (enum move_cause)in->vm_claim->cause,
            in->vm_claim->order,
        };
        return 0;
    case CHANGE_VM_PREEMPT:
        out->vm_preempt = (struct change_vm_preempt){
            {in->vm_preempt->vm}, {in->vm_preempt->beneficiary}};
        return 0;
    default:
        CHECK(out->kind == CHANGE_VM_DELETE);
        out->vm_delete = (struct change_vm_delete){{in->vm_delete->vm}};
        return 0;
    }
}

static int read_group_change(const pb_change *in, struct arena *arena,
                             struct change *out)
{
    switch (out->kind) {
    case CHANGE_GROUP_CREATE:
        out->group_create.name = text_of(in->group_create->name);
        return read_group_fields(in->group_create->fields, arena,
                                 &out->group_create.fields);
    case CHANGE_GROUP_UPDATE:
        out->group_update.group.uid = in->group_update->group;
        out->group_update.deleting = in->group_update->deleting;
        return read_group_fields(in->group_update->fields, arena,
                                 &out->group_update.fields);
    default:
        out->group_delete.group.uid = in->group_delete->group;
        return 0;
    }
}

/* Groups, reservations, drains, policy. */
static int read_fleet_change(const pb_change *in, struct arena *arena,
                             struct change *out)
{
    switch (out->kind) {
    case CHANGE_CLASS_UPDATE:
        return read_class_update(in->class_update, arena, &out->class_update);
    case CHANGE_HOST_DRAIN:
        out->host_drain = (struct change_host_drain){
            {in->host_drain->host},
            in->host_drain->draining,
            in->host_drain->deadline_ms,
            (uint16_t)in->host_drain->number,
            (enum drain_end)in->host_drain->end,
            in->host_drain->at_risk,
        };
        return 0;
    case CHANGE_ZONE_DRAIN:
        out->zone_drain = (struct change_zone_drain){
            {in->zone_drain->zone},
            in->zone_drain->draining,
            in->zone_drain->deadline_ms,
            (uint16_t)in->zone_drain->number,
            (enum drain_end)in->zone_drain->end,
            in->zone_drain->at_risk,
        };
        return 0;
    case CHANGE_GROUP_CREATE:
    case CHANGE_GROUP_UPDATE:
    case CHANGE_GROUP_DELETE:
        return read_group_change(in, arena, out);
    case CHANGE_RESERVATION_SET:
        out->reservation_set = (struct change_reservation_set){
            text_of(in->reservation_set->name),
            {in->reservation_set->zone},
            {in->reservation_set->vm_class},
            in->reservation_set->count,
        };
        return 0;
    case CHANGE_RESERVATION_DELETE:
        out->reservation_delete.name = text_of(in->reservation_delete->name);
        return 0;
    case CHANGE_POLICY:
        read_policy(in->policy, &out->policy.policy);
        return 0;
    default:
        return read_vm_change(in, arena, out);
    }
}

static void read_grant_set(const Holdfast__V1__ChangeGrantSet *in,
                           struct change_grant_set *out)
{
    *out = (struct change_grant_set){
        .name = text_of(in->name),
        .kind = (enum subject_kind)in->subject_kind,
        .subject = text_of(in->subject),
        .role = (enum access_role)in->role,
        .zone_mask = in->zone_mask,
        .selector = text_of_bytes(&in->selector),
        .secret_hash = text_of_bytes(&in->secret_hash),
        .expire_ms = in->expire_ms,
    };
}

static void read_apply_change(const pb_change *in, struct change *out)
{
    switch (out->kind) {
    case CHANGE_APPLY_ADD:
        out->apply_add = (struct change_apply_add){
            (enum apply_kind)in->apply_add->kind,
            text_of_bytes(&in->apply_add->words),
            text_of_bytes(&in->apply_add->parts), in->apply_add->part_count,
            in->apply_add->left_out};
        break;
    case CHANGE_APPLY_CANCEL:
        out->apply_cancel.number = in->apply_cancel->number;
        break;
    case CHANGE_APPLY_END:
        out->apply_end = (struct change_apply_end){
            in->apply_end->number, (enum apply_end)in->apply_end->end,
            in->apply_end->failed_count, in->apply_end->cancelled_count};
        break;
    default:
        CHECK(out->kind == CHANGE_APPLY_DROP);
        out->apply_drop.number = in->apply_drop->number;
        break;
    }
}

/* Grants, tokens to join, and what is audited. */
static int read_access_change(const pb_change *in, struct arena *arena,
                              struct change *out)
{
    switch (out->kind) {
    case CHANGE_GRANT_SET:
        read_grant_set(in->grant_set, &out->grant_set);
        return 0;
    case CHANGE_GRANT_DELETE:
        out->grant_delete.name = text_of(in->grant_delete->name);
        return 0;
    case CHANGE_AUDIT:
        out->audit = (struct change_audit){text_of_bytes(&in->audit->content),
                                           text_of_bytes(&in->audit->digest)};
        return 0;
    case CHANGE_AUDIT_KEEP:
        out->audit_keep.records_max = in->audit_keep->records_max;
        return 0;
    case CHANGE_JOIN_SET:
        out->join_set =
            (struct change_join_set){text_of(in->join_set->name),
                                     {in->join_set->zone},
                                     text_of_bytes(&in->join_set->secret_hash),
                                     in->join_set->expire_ms,
                                     text_of_bytes(&in->join_set->key_digest)};
        return 0;
    case CHANGE_JOIN_DELETE:
        out->join_delete.name = text_of(in->join_delete->name);
        return 0;
    case CHANGE_APPLY_ADD:
    case CHANGE_APPLY_CANCEL:
    case CHANGE_APPLY_END:
    case CHANGE_APPLY_DROP:
        read_apply_change(in, out);
        return 0;
    default:
        return read_fleet_change(in, arena, out);
    }
}

static int read_change(const pb_change *in, struct arena *arena,
                       struct change *out)
{
    switch (out->kind) {
    case CHANGE_ZONE_CREATE:
        out->zone_create.name = text_of(in->zone_create->name);
        return 0;
    case CHANGE_ZONE_CORDON:
        out->zone_cordon = (struct change_zone_cordon){
            {in->zone_cordon->zone}, in->zone_cordon->cordoned};
        return 0;
    case CHANGE_ZONE_STATE:
        out->zone_state = (struct change_zone_state){
            {in->zone_state->zone}, (enum zone_state)in->zone_state->state};
        return 0;
    case CHANGE_CLASS_CREATE:
        return read_class_create(in->class_create, arena, &out->class_create);
    case CHANGE_CLASS_DELETE:
        out->class_delete.class.uid = in->class_delete->vm_class;
        return 0;
    case CHANGE_HOST_REGISTER:
        return read_host_register(in->host_register, arena,
                                  &out->host_register);
    case CHANGE_HOST_CORDON:
        out->host_cordon = (struct change_host_cordon){
            {in->host_cordon->host}, in->host_cordon->cordoned};
        return 0;
    case CHANGE_HOST_FENCE:
        out->host_fence = (struct change_host_fence){
            {in->host_fence->host}, (enum fence_proof)in->host_fence->proof};
        return 0;
    case CHANGE_SETTINGS:
        read_settings(in->settings, &out->settings.settings);
        return 0;
    case CHANGE_REPLY:
        out->reply = (struct change_reply){text_of(in->reply->request_id),
                                           in->reply->fingerprint,
                                           text_of_bytes(&in->reply->response)};
        return 0;
    case CHANGE_REGION:
        out->region.id = (struct region_id){in->region->high, in->region->low};
        return region_id_is_set(out->region.id) ? 0 : HF_ERROR_CORRUPT;
    default:
        return read_access_change(in, arena, out);
    }
}

/* The oneof's member is a message whatever its kind. */
static const ProtobufCMessage *inner_message(const pb_change *change)
{
    return &change->zone_create->base;
}

static int read_all(const pb_batch *in, struct arena *arena,
                    struct batch *batch)
{
    for (size_t i = 0; i < in->n_changes; i++) {
        const pb_change *change = in->changes[i];
        int rv;

        if (change->base.n_unknown_fields > 0 ||
            change->change_case == HOLDFAST__V1__CHANGE__CHANGE__NOT_SET ||
            inner_message(change)->n_unknown_fields > 0) {
            return HF_ERROR_UNSUPPORTED;
        }
        /* The case's number is the field's, and so the kind's. */
        batch->changes[i].kind = (enum change_kind)change->change_case;
        rv = read_change(change, arena, &batch->changes[i]);
        if (rv != 0) {
            return rv;
        }
    }
    batch->count = in->n_changes;
    return 0;
}

int batch_decode(const void *data, size_t len, struct arena *arena,
                 struct batch *batch)
{
    ProtobufCAllocator allocator = {allocate, release, arena};
    pb_batch *in = holdfast__v1__batch__unpack(&allocator, len, data);

    *batch = (struct batch){0};
    if (in == NULL) {
        return HF_ERROR_CORRUPT;
    }
    if (in->format != BATCH_FORMAT || in->base.n_unknown_fields > 0) {
        return HF_ERROR_UNSUPPORTED;
    }
    batch->head = (struct batch_head){
        .base_revision = in->base_revision,
        .base_hash = in->base_hash,
        .time_ms = in->time_ms,
    };
    if (in->n_changes == 0) {
        return 0;
    }
    batch->changes =
        arena_alloc(arena, in->n_changes * sizeof(*batch->changes));
    if (batch->changes == NULL) {
        return HF_ERROR_TOO_LARGE;
    }
    memset(batch->changes, 0, in->n_changes * sizeof(*batch->changes));
    return read_all(in, arena, batch);
}
