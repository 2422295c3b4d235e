/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes to protobuf bytes, written straight from struct change: field
 * numbers are those of proto/holdfast/v1/log.proto. The decoder goes through
 * the generated code, so a slip here cannot pass the round-trip tests. */
#include "base/check.h"
#include "base/container.h"
#include "state/batch.h"

#include <string.h>

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LEN = 2 };

static void put_varint(struct bytes *out, uint64_t value)
{
    while (value >= 0x80) {
        bytes_append_u8(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    bytes_append_u8(out, (uint8_t)value);
}

static void put_tag(struct bytes *out, uint32_t field, enum wire_type type)
{
    put_varint(out, field << 3 | type);
}

static void put_number(struct bytes *out, uint32_t field, uint64_t value)
{
    if (value != 0) {
        put_tag(out, field, WIRE_VARINT);
        put_varint(out, value);
    }
}

static void put_fixed64(struct bytes *out, uint32_t field, uint64_t value)
{
    if (value != 0) {
        put_tag(out, field, WIRE_FIXED64);
        bytes_append_u64(out, value);
    }
}

static void put_text(struct bytes *out, uint32_t field, struct text text)
{
    if (text.len > 0) {
        put_tag(out, field, WIRE_LEN);
        put_varint(out, text.len);
        bytes_append(out, text.data, text.len);
    }
}

/* Opens a message field; the answer goes to put_message_end. */
static size_t put_message(struct bytes *out, uint32_t field)
{
    put_tag(out, field, WIRE_LEN);
    return out->len;
}

static void put_message_end(struct bytes *out, size_t start)
{
    size_t len = out->len - start;
    struct bytes head;

    bytes_init(&head);
    put_varint(&head, len);
    bytes_reserve(out, head.len);
    memmove(out->data + start + head.len, out->data + start, len);
    memcpy(out->data + start, head.data, head.len);
    out->len += head.len;
    bytes_close(&head);
}

static void put_resources(struct bytes *out, uint32_t first_field,
                          const struct resources *resources)
{
    put_number(out, first_field, resources->cpu_milli);
    put_number(out, first_field + 1, resources->memory_mib);
    put_number(out, first_field + 2, resources->disk_gib);
}

static void put_texts(struct bytes *out, uint32_t field,
                      const struct text *texts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        put_tag(out, field, WIRE_LEN);
        put_varint(out, texts[i].len);
        bytes_append(out, texts[i].data, texts[i].len);
    }
}

static void put_named(struct bytes *out, uint32_t field,
                      const struct named_amount *named, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        size_t start = put_message(out, field);

        put_text(out, 1, named[i].name);
        put_number(out, 2, named[i].amount);
        put_message_end(out, start);
    }
}

static void put_class_create(struct bytes *out,
                             const struct change_class_create *change)
{
    put_text(out, 1, change->name);
    put_resources(out, 2, &change->resources);
    put_fixed64(out, 5, change->zone_mask);
    put_number(out, 6, change->resources.gpu_count);
    put_named(out, 7, change->named, change->named_count);
    put_number(out, 8, change->custom);
}

static void put_class_update(struct bytes *out,
                             const struct change_class_update *change)
{
    put_number(out, 1, change->class.uid);
    put_number(out, 2, change->mask);
    put_fixed64(out, 3, change->zone_mask);
    put_resources(out, 4, &change->resources);
    put_number(out, 7, change->resources.gpu_count);
    put_named(out, 8, change->named, change->named_count);
}

static void put_host_register(struct bytes *out,
                              const struct change_host_register *change)
{
    put_text(out, 1, change->name);
    put_number(out, 2, change->zone.uid);
    put_text(out, 3, change->fault_domain);
    put_text(out, 4, change->host_id);
    put_text(out, 5, change->boot_id);
    put_resources(out, 6, &change->capacity);
    put_texts(out, 9, change->pools, change->pool_count);
    put_number(out, 10, change->driver_mask);
    put_text(out, 11, change->labels);
    put_text(out, 12, change->agent_version);
    put_number(out, 13, change->capacity.gpu_count);
    put_named(out, 14, change->named, change->named_count);
}

static void put_vm_create(struct bytes *out,
                          const struct change_vm_create *change)
{
    put_text(out, 1, change->name);
    put_number(out, 2, change->class.uid);
    put_number(out, 3, change->zone.uid);
    put_number(out, 4, change->priority);
    put_number(out, 5, (uint64_t)change->on_partition);
    put_number(out, 6, (uint64_t)change->desired);
    put_number(out, 7, (uint64_t)change->driver);
    put_texts(out, 8, change->pools, change->pool_count);
    put_text(out, 9, change->template);
    put_text(out, 10, change->labels);
    put_number(out, 11, change->preemptible);
    put_number(out, 12, change->group.uid);
    put_text(out, 13, change->selector);
    put_fixed64(out, 14, change->disk_zone_mask);
    put_number(out, 15, change->local_disk);
    put_number(out, 16, change->template_generation);
}

static void put_group_fields(struct bytes *out,
                             const struct group_fields *fields)
{
    size_t start = put_message(out, 2);

    put_number(out, 1, fields->count);
    put_number(out, 2, fields->class.uid);
    put_text(out, 3, fields->template);
    put_text(out, 4, fields->labels);
    put_text(out, 5, fields->selector);
    put_texts(out, 6, fields->pools, fields->pool_count);
    put_fixed64(out, 7, fields->disk_zone_mask);
    put_number(out, 8, fields->local_disk);
    put_number(out, 9, fields->priority);
    put_number(out, 10, (uint64_t)fields->on_partition);
    put_number(out, 11, (uint64_t)fields->driver);
    put_number(out, 12, fields->preemptible);
    put_number(out, 13, (uint64_t)fields->zone_rule);
    put_number(out, 14, fields->max_skew);
    put_number(out, 15, (uint64_t)fields->zone_mode);
    put_fixed64(out, 16, fields->zone_mask);
    put_number(out, 17, fields->domain_mode);
    put_number(out, 18, fields->domain_max);
    put_number(out, 19, fields->host_mode);
    put_number(out, 20, fields->host_max);
    put_number(out, 21, fields->unprotected);
    put_number(out, 22, fields->max_unavailable);
    put_number(out, 23, fields->generation);
    put_number(out, 24, fields->next_member);
    put_message_end(out, start);
}

static void put_policy(struct bytes *out, const struct policy *policy)
{
    put_number(out, 1, policy->headroom);
    put_number(out, 2, policy->preempt_max);
    put_number(out, 3, policy->rebalance);
    put_number(out, 4, policy->rebalance_start_permille);
    put_number(out, 5, policy->rebalance_stop_permille);
    put_number(out, 6, policy->zone_moves);
    put_number(out, 7, policy->host_moves);
    put_number(out, 8, policy->vm_cool_down_ms);
    put_number(out, 9, policy->rebalance_window_start_minute);
    put_number(out, 10, policy->rebalance_window_end_minute);
}

static void put_vm_release(struct bytes *out,
                           const struct change_vm_release *change)
{
    put_number(out, 1, change->vm.uid);
    put_number(out, 2, change->epoch);
    put_text(out, 3, change->reason);
    put_number(out, 4, change->failed);
    put_number(out, 5, change->not_before_ms);
    put_number(out, 6, change->forget);
}

static void put_settings(struct bytes *out, const struct settings *settings)
{
    put_number(out, 1, settings->lease_wait_ms);
    put_number(out, 2, settings->lease_run_ms);
    put_number(out, 3, settings->renew_ms);
    put_number(out, 4, settings->kill_budget_ms);
    put_number(out, 5, settings->margin_ms);
    put_number(out, 6, settings->clock_error_permille);
    put_number(out, 7, settings->zone_loss_permille);
    put_number(out, 8, settings->storm_permille);
    put_number(out, 9, settings->zone_hold_ms);
    put_number(out, 10, settings->start_parallel);
}

static void put_three(struct bytes *out, uint64_t first, uint64_t second,
                      uint64_t third)
{
    put_number(out, 1, first);
    put_number(out, 2, second);
    put_number(out, 3, third);
}

static void put_vm_change(struct bytes *out, const struct change *change)
{
    switch (change->kind) {
    case CHANGE_VM_CREATE:
        put_vm_create(out, &change->vm_create);
        break;
    case CHANGE_VM_UPDATE:
        put_three(out, change->vm_update.vm.uid, change->vm_update.mask,
                  change->vm_update.priority);
        put_number(out, 4, (uint64_t)change->vm_update.on_partition);
        put_text(out, 5, change->vm_update.labels);
        put_number(out, 6, change->vm_update.preemptible);
        break;
    case CHANGE_VM_DESIRE:
        put_three(out, change->vm_desire.vm.uid,
                  (uint64_t)change->vm_desire.desired,
                  change->vm_desire.deleting);
        break;
    case CHANGE_VM_MOVE:
        put_three(out, change->vm_move.vm.uid, change->vm_move.zone.uid,
                  change->vm_move.host.uid);
        put_number(out, 4, change->vm_move.cancel);
        put_number(out, 5, (uint64_t)change->vm_move.cause);
        break;
    case CHANGE_VM_ASSIGN:
        put_three(out, change->vm_assign.vm.uid, change->vm_assign.host.uid,
                  change->vm_assign.epoch);
        break;
    case CHANGE_VM_PENDING:
        put_three(out, change->vm_pending.vm.uid,
                  (uint64_t)change->vm_pending.reason, 0);
        break;
    case CHANGE_VM_REPORT:
        put_three(out, change->vm_report.vm.uid, change->vm_report.epoch,
                  (uint64_t)change->vm_report.state);
        break;
    case CHANGE_VM_RELEASE:
        put_vm_release(out, &change->vm_release);
        break;
    case CHANGE_VM_CLAIM:
        put_three(out, change->vm_claim.vm.uid, change->vm_claim.host.uid,
                  (uint64_t)change->vm_claim.cause);
        put_number(out, 4, change->vm_claim.order);
        break;
    case CHANGE_VM_PREEMPT:
        put_three(out, change->vm_preempt.vm.uid,
                  change->vm_preempt.beneficiary.uid, 0);
        break;
    default:
        CHECK(change->kind == CHANGE_VM_DELETE);
        put_number(out, 1, change->vm_delete.vm.uid);
        break;
    }
}

/* Groups, reservations, drains, policy. */
static void put_fleet_change(struct bytes *out, const struct change *change)
{
    switch (change->kind) {
    case CHANGE_CLASS_UPDATE:
        put_class_update(out, &change->class_update);
        break;
    case CHANGE_HOST_DRAIN:
        put_three(out, change->host_drain.host.uid, change->host_drain.draining,
                  change->host_drain.deadline_ms);
        put_number(out, 4, change->host_drain.number);
        put_number(out, 5, change->host_drain.end);
        put_number(out, 6, change->host_drain.at_risk);
        break;
    case CHANGE_ZONE_DRAIN:
        put_three(out, change->zone_drain.zone.uid, change->zone_drain.draining,
                  change->zone_drain.deadline_ms);
        put_number(out, 4, change->zone_drain.number);
        put_number(out, 5, change->zone_drain.end);
        put_number(out, 6, change->zone_drain.at_risk);
        break;
    case CHANGE_GROUP_CREATE:
        put_text(out, 1, change->group_create.name);
        put_group_fields(out, &change->group_create.fields);
        break;
    case CHANGE_GROUP_UPDATE:
        put_number(out, 1, change->group_update.group.uid);
        put_group_fields(out, &change->group_update.fields);
        put_number(out, 3, change->group_update.deleting);
        break;
    case CHANGE_GROUP_DELETE:
        put_number(out, 1, change->group_delete.group.uid);
        break;
    case CHANGE_RESERVATION_SET:
        put_text(out, 1, change->reservation_set.name);
        put_number(out, 2, change->reservation_set.zone.uid);
        put_number(out, 3, change->reservation_set.class.uid);
        put_number(out, 4, change->reservation_set.count);
        break;
    case CHANGE_RESERVATION_DELETE:
        put_text(out, 1, change->reservation_delete.name);
        break;
    case CHANGE_POLICY:
        put_policy(out, &change->policy.policy);
        break;
    default:
        put_vm_change(out, change);
        break;
    }
}

static void put_grant_set(struct bytes *out, const struct change_grant_set *set)
{
    put_text(out, 1, set->name);
    put_number(out, 2, (uint64_t)set->kind);
    put_text(out, 3, set->subject);
    put_number(out, 4, (uint64_t)set->role);
    put_fixed64(out, 5, set->zone_mask);
    put_text(out, 6, set->selector);
    put_text(out, 7, set->secret_hash);
    put_number(out, 8, set->expire_ms);
}

static void put_apply_change(struct bytes *out, const struct change *change)
{
    switch (change->kind) {
    case CHANGE_APPLY_ADD:
        put_number(out, 1, (uint64_t)change->apply_add.kind);
        put_text(out, 2, change->apply_add.words);
        put_text(out, 3, change->apply_add.parts);
        put_number(out, 4, change->apply_add.part_count);
        put_number(out, 5, change->apply_add.left_out);
        break;
    case CHANGE_APPLY_CANCEL:
        put_number(out, 1, change->apply_cancel.number);
        break;
    case CHANGE_APPLY_END:
        put_number(out, 1, change->apply_end.number);
        put_number(out, 2, (uint64_t)change->apply_end.end);
        put_number(out, 3, change->apply_end.failed_count);
        put_number(out, 4, change->apply_end.cancelled_count);
        break;
    default:
        CHECK(change->kind == CHANGE_APPLY_DROP);
        put_number(out, 1, change->apply_drop.number);
        break;
    }
}

/* Grants, tokens to join, and what is audited. */
static void put_access_change(struct bytes *out, const struct change *change)
{
    switch (change->kind) {
    case CHANGE_GRANT_SET:
        put_grant_set(out, &change->grant_set);
        break;
    case CHANGE_GRANT_DELETE:
        put_text(out, 1, change->grant_delete.name);
        break;
    case CHANGE_AUDIT:
        put_text(out, 1, change->audit.content);
        put_text(out, 2, change->audit.digest);
        break;
    case CHANGE_AUDIT_KEEP:
        put_number(out, 1, change->audit_keep.records_max);
        break;
    case CHANGE_JOIN_SET:
        put_text(out, 1, change->join_set.name);
        put_number(out, 2, change->join_set.zone.uid);
        put_text(out, 3, change->join_set.secret_hash);
        put_number(out, 4, change->join_set.expire_ms);
        put_text(out, 5, change->join_set.key_digest);
        break;
    case CHANGE_JOIN_DELETE:
        put_text(out, 1, change->join_delete.name);
        break;
    case CHANGE_APPLY_ADD:
    case CHANGE_APPLY_CANCEL:
    case CHANGE_APPLY_END:
    case CHANGE_APPLY_DROP:
        put_apply_change(out, change);
        break;
    default:
        put_fleet_change(out, change);
        break;
    }
}

static void put_change(struct bytes *out, const struct change *change)
{
    switch (change->kind) {
    case CHANGE_ZONE_CREATE:
        put_text(out, 1, change->zone_create.name);
        break;
    case CHANGE_ZONE_CORDON:
        put_three(out, change->zone_cordon.zone.uid,
                  change->zone_cordon.cordoned, 0);
        break;
    case CHANGE_ZONE_STATE:
        put_three(out, change->zone_state.zone.uid,
                  (uint64_t)change->zone_state.state, 0);
        break;
    case CHANGE_CLASS_CREATE:
        put_class_create(out, &change->class_create);
        break;
    case CHANGE_CLASS_DELETE:
        put_number(out, 1, change->class_delete.class.uid);
        break;
    case CHANGE_HOST_REGISTER:
        put_host_register(out, &change->host_register);
        break;
    case CHANGE_HOST_CORDON:
        put_three(out, change->host_cordon.host.uid,
                  change->host_cordon.cordoned, 0);
        break;
    case CHANGE_HOST_FENCE:
        put_three(out, change->host_fence.host.uid,
                  (uint64_t)change->host_fence.proof, 0);
        break;
    case CHANGE_SETTINGS:
        put_settings(out, &change->settings.settings);
        break;
    case CHANGE_REPLY:
        put_text(out, 1, change->reply.request_id);
        put_fixed64(out, 2, change->reply.fingerprint);
        put_text(out, 3, change->reply.response);
        break;
    case CHANGE_REGION:
        put_fixed64(out, 1, change->region.id.high);
        put_fixed64(out, 2, change->region.id.low);
        break;
    default:
        put_access_change(out, change);
        break;
    }
}

void batch_begin(struct bytes *out, const struct batch_head *head)
{
    put_number(out, 1, BATCH_FORMAT);
    put_number(out, 2, head->base_revision);
    put_fixed64(out, 3, head->base_hash);
    put_number(out, 4, head->time_ms);
}

void batch_add(struct bytes *out, const struct change *change)
{
    size_t outer = put_message(out, 5);
    size_t inner;

    /* The field numbers of message Change are those of enum change_kind. */
    inner = put_message(out, (uint32_t)change->kind);
    put_change(out, change);
    put_message_end(out, inner);
    put_message_end(out, outer);
}
