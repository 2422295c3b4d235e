/* SPDX-License-Identifier: Apache-2.0 */
#include "node/group_fields.h"

#include <string.h>

static uint32_t read_pools(const struct state *state, uint64_t mask,
                           struct text pools[CHANGE_POOLS_MAX])
{
    uint32_t count = 0;

    for (uint32_t slot = 0; slot < POOLS_MAX && count < CHANGE_POOLS_MAX;
         slot++) {
        if (mask >> slot & 1) {
            pools[count++] = state_pool_name(state, slot);
        }
    }
    return count;
}

void group_fields_read(const struct state *state, const struct group *group,
                       struct group_fields *fields,
                       struct text pools[CHANGE_POOLS_MAX])
{
    uint32_t pool_count = read_pools(state, group->pool_mask, pools);

    *fields = (struct group_fields){
        .count = group->count,
        .template = state_blob(state, group->template_blob),
        .labels = state_blob(state, group->labels_blob),
        .selector = state_blob(state, group->selector_blob),
        .pools = pools,
        .pool_count = pool_count,
        .disk_zone_mask = group->disk_zone_mask,
        .local_disk = group->local_disk,
        .priority = group->priority,
        .on_partition = (enum on_partition)group->on_partition,
        .driver = (enum driver)group->driver,
        .preemptible = group->preemptible,
        .zone_rule = (enum zone_rule)group->zone_rule,
        .max_skew = group->max_skew,
        .zone_mode = (enum rule_mode)group->zone_mode,
        .zone_mask = group->zone_mask,
        .domain_mode = group->domain_mode,
        .domain_max = group->domain_max,
        .host_mode = group->host_mode,
        .host_max = group->host_max,
        .unprotected = group->unprotected,
        .max_unavailable = group->max_unavailable,
        .generation = group->generation,
        .next_member = group->next_member,
    };
    if (group->class_slot != SLOT_NONE) {
        fields->class.uid = state_class_at(state, group->class_slot)->uid;
    }
}

struct change group_fields_member(const struct state *state,
                                  const struct group *group, const char *name,
                                  struct text pools[CHANGE_POOLS_MAX])
{
    struct change change = {.kind = CHANGE_VM_CREATE};
    struct group_fields fields;

    group_fields_read(state, group, &fields, pools);
    change.vm_create = (struct change_vm_create){
        .name = {name, (uint32_t)strlen(name)},
        .class = fields.class,
        .priority = fields.priority,
        .on_partition = fields.on_partition,
        .desired = DESIRED_RUNNING,
        .driver = fields.driver,
        .pools = fields.pools,
        .pool_count = fields.pool_count,
        .template = fields.template,
        .labels = fields.labels,
        .preemptible = fields.preemptible,
        .local_disk = fields.local_disk,
        .disk_zone_mask = fields.disk_zone_mask,
        .group = {group->uid},
        .selector = fields.selector,
        .template_generation = fields.generation,
    };
    return change;
}
