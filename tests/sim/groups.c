/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/groups.h"

#include "base/container.h"
#include "tests/sim/node.h"
#include "tests/sim/operator.h"
#include "tests/sim/wish.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <holdfast/v1/group_service.pb-c.h>

#define COUNT_MAX 6

static void group_name(const struct sim_client *client, uint32_t at,
                       char name[SIM_GROUP_NAME])
{
    (void)snprintf(name, SIM_GROUP_NAME, "g%u-%u-%u",
                   sim_client_index(client) % 10, at % 10,
                   sim_client_groups_of(client)->all[at].generation % 100000);
}

bool sim_groups_some(const struct sim_client *client, char name[SIM_GROUP_NAME])
{
    const struct sim_groups *groups = sim_client_groups_of(client);

    for (uint32_t i = 0; i < SIM_GROUPS_EACH; i++) {
        if (groups->all[i].belief == GROUP_PRESENT) {
            group_name(client, i, name);
            return true;
        }
    }
    return false;
}

/* --- What it is told ------------------------------------------------------ */

/* The name is not used again: what is unknown may happen at any time, and what
 * is deleted goes with its last member. */
static void forget(struct sim_group *group)
{
    *group = (struct sim_group){.generation = group->generation + 1};
}

static uint64_t uid_in(const ProtobufCMessage *response)
{
    const Holdfast__V1__CreateGroupResponse *created =
        (const Holdfast__V1__CreateGroupResponse *)(const void *)response;

    return created->group->uid;
}

static void told_of_create(struct sim_client *client, struct sim_group *group,
                           const struct sim_told *told)
{
    if (!told->known) {
        forget(group);
    } else if (told->response != NULL) {
        group->belief = GROUP_PRESENT;
        group->uid = uid_in(told->response);
        group->count = sim_client_groups(client)->count;
        group->count_known = true;
    } else if (strcmp(told->reason, "NAME_TAKEN") == 0) {
        sim_violation(sim_client_world(client), "once",
                      "create of a group that was never there: %s",
                      told->reason);
    }
}

static void told(struct sim_client *client, const struct sim_told *told)
{
    struct sim_groups *groups = sim_client_groups(client);
    struct sim_group *group = &groups->all[groups->at];

    if (groups->creates) {
        told_of_create(client, group, told);
    } else if (told->known && told->response == NULL &&
               strcmp(told->reason, "GROUP_NOT_FOUND") == 0) {
        sim_violation(sim_client_world(client), "nothing-lost",
                      "group %" PRIx64 " was acknowledged and is not there",
                      group->uid);
    } else if (groups->deletes) {
        if (!told->known) {
            forget(group);
        } else if (told->response != NULL) {
            group->belief = GROUP_DELETED;
        }
    } else if (groups->scales && !told->known) {
        group->count_known = false;
    } else if (groups->scales && told->response != NULL) {
        group->count = groups->count;
    }
}

static void ask(struct sim_client *client, const char *method,
                const ProtobufCMessage *message)
{
    struct sim_groups *groups = sim_client_groups(client);

    groups->creates = strcmp(method, "CreateGroup") == 0;
    groups->scales = strcmp(method, "ScaleGroup") == 0;
    groups->deletes = strcmp(method, "DeleteGroup") == 0;
    sim_client_ask_told(client, method, message, told);
}

/* --- What it asks ----------------------------------------------------------
 */

/* Rules for zones, domains and hosts, lent to a message. */
struct rules {
    char zone_names[SIM_ZONES_MAX][8];
    char *zones[SIM_ZONES_MAX];
};

static void choose_zone_rule(struct sim_world *world,
                             Holdfast__V1__Group *group)
{
    group->zone_rule = (Holdfast__V1__ZoneRule)sim_between(world, 1, 4);
    group->zone_mode = (Holdfast__V1__RuleMode)sim_between(world, 1, 2);
    group->max_skew =
        group->zone_rule == HOLDFAST__V1__ZONE_RULE__ZONE_RULE_SPREAD
            ? (uint32_t)sim_below(world, 3)
            : 0;
}

static void choose_domains(struct sim_world *world, Holdfast__V1__Group *group)
{
    group->domain_mode = (Holdfast__V1__RuleMode)sim_below(world, 3);
    group->domain_max =
        group->domain_mode == HOLDFAST__V1__RULE_MODE__RULE_MODE_STRICT
            ? (uint32_t)sim_between(world, 1, 3)
            : 0;
}

static void choose_hosts(struct sim_world *world, Holdfast__V1__Group *group)
{
    group->host_mode = (Holdfast__V1__RuleMode)sim_below(world, 3);
    group->host_max =
        group->host_mode == HOLDFAST__V1__RULE_MODE__RULE_MODE_STRICT
            ? (uint32_t)sim_between(world, 1, 3)
            : 0;
}

static void choose_zones(struct sim_world *world, Holdfast__V1__Group *group,
                         struct rules *rules)
{
    uint32_t without = (uint32_t)sim_below(world, 2 * world->zone_count);

    group->zones = rules->zones;
    for (uint32_t i = 0; without < world->zone_count && i < world->zone_count;
         i++) {
        if (i != without) {
            char *name = rules->zone_names[group->n_zones];

            (void)snprintf(name, sizeof(rules->zone_names[0]), "%s",
                           sim_zone_name(world, i));
            rules->zones[group->n_zones++] = name;
        }
    }
}

static void choose_protected(struct sim_world *world,
                             Holdfast__V1__Group *group)
{
    if (sim_chance(world, 500)) {
        group->_protected_case = HOLDFAST__V1__GROUP___PROTECTED_PROTECTED;
        group->protected_ = sim_chance(world, 300);
    }
}

static void create(struct sim_client *client, char *name, char *id)
{
    struct sim_world *world = sim_client_world(client);
    Holdfast__V1__CreateGroupRequest request =
        HOLDFAST__V1__CREATE_GROUP_REQUEST__INIT;
    Holdfast__V1__Group group = HOLDFAST__V1__GROUP__INIT;
    Holdfast__V1__GroupTemplate template = HOLDFAST__V1__GROUP_TEMPLATE__INIT;
    struct rules rules;
    struct sim_wish wish;

    sim_wish_init(&wish, world);
    sim_wish_of_group(&wish, &template);
    group.name = name;
    choose_zone_rule(world, &group);
    choose_domains(world, &group);
    choose_hosts(world, &group);
    choose_zones(world, &group, &rules);
    choose_protected(world, &group);
    if (sim_chance(world, 900)) {
        group.template_ = &template;
        group.count = (uint32_t)sim_below(world, COUNT_MAX + 1);
        group.max_unavailable = (uint32_t)sim_below(world, 3);
    }
    sim_client_groups(client)->count = group.count;
    request.group = &group;
    request.request_id = id;
    request.dry_run = sim_chance(world, 50);
    if (request.dry_run) {
        sim_client_ask(client, "CreateGroup", &request.base);
    } else {
        ask(client, "CreateGroup", &request.base);
    }
}

static void scale(struct sim_client *client, char *name, char *id)
{
    struct sim_world *world = sim_client_world(client);
    Holdfast__V1__ScaleGroupRequest request =
        HOLDFAST__V1__SCALE_GROUP_REQUEST__INIT;

    request.name = name;
    request.request_id = id;
    request.count = (uint32_t)sim_below(world, COUNT_MAX + 1);
    sim_client_groups(client)->count = request.count;
    request.dry_run = sim_chance(world, 50);
    if (request.dry_run) {
        sim_client_ask(client, "ScaleGroup", &request.base);
    } else {
        ask(client, "ScaleGroup", &request.base);
    }
}

static void delete (struct sim_client *client, char *name, char *id)
{
    Holdfast__V1__DeleteGroupRequest request =
        HOLDFAST__V1__DELETE_GROUP_REQUEST__INIT;

    /* Its own VMs that joined are to stay; then this is refused. */
    request.name = name;
    request.request_id = id;
    ask(client, "DeleteGroup", &request.base);
}

/* Sets of fields that are changed together. */
static const char *const update_masks[][3] = {
    {"template", "max_unavailable", NULL},
    {"zone_rule", "max_skew", "zone_mode"},
    {"domain_mode", "domain_max", NULL},
    {"host_mode", "host_max", NULL},
    {"zones", NULL, NULL},
    {"protected", NULL, NULL},
};

static void update(struct sim_client *client, char *name, char *id)
{
    struct sim_world *world = sim_client_world(client);
    Holdfast__V1__UpdateGroupRequest request =
        HOLDFAST__V1__UPDATE_GROUP_REQUEST__INIT;
    Holdfast__V1__Group group = HOLDFAST__V1__GROUP__INIT;
    Holdfast__V1__GroupTemplate template = HOLDFAST__V1__GROUP_TEMPLATE__INIT;
    size_t set =
        sim_chance(world, 400) ? 0 : sim_below(world, ARRAY_LEN(update_masks));
    char *mask[3];
    struct rules rules;
    struct sim_wish wish;

    sim_wish_init(&wish, world);
    sim_wish_of_group(&wish, &template);
    group.name = name;
    group.template_ = &template;
    group.max_unavailable = (uint32_t)sim_below(world, 3);
    choose_zone_rule(world, &group);
    choose_domains(world, &group);
    choose_hosts(world, &group);
    choose_zones(world, &group, &rules);
    choose_protected(world, &group);
    request.group = &group;
    request.request_id = id;
    request.update_mask = mask;
    while (request.n_update_mask < 3 &&
           update_masks[set][request.n_update_mask] != NULL) {
        mask[request.n_update_mask] =
            (char *)(uintptr_t)update_masks[set][request.n_update_mask];
        request.n_update_mask++;
    }
    ask(client, "UpdateGroup", &request.base);
}

static void look(struct sim_client *client, char *name)
{
    Holdfast__V1__GetGroupRequest get = HOLDFAST__V1__GET_GROUP_REQUEST__INIT;
    Holdfast__V1__ListGroupsRequest list =
        HOLDFAST__V1__LIST_GROUPS_REQUEST__INIT;

    get.name = name;
    if (sim_chance(sim_client_world(client), 500)) {
        ask(client, "GetGroup", &get.base);
    } else {
        sim_client_ask(client, "ListGroups", &list.base);
    }
}

void sim_groups_act(struct sim_client *client)
{
    struct sim_world *world = sim_client_world(client);
    struct sim_groups *groups = sim_client_groups(client);
    uint32_t at = (uint32_t)sim_below(world, SIM_GROUPS_EACH);
    uint64_t dice = sim_below(world, 100);
    char name[SIM_GROUP_NAME];
    char id[40];

    groups->at = at;
    if (groups->all[at].belief == GROUP_DELETED) {
        forget(&groups->all[at]);
    }
    group_name(client, at, name);
    sim_client_request_id(client, id);
    if (groups->all[at].belief == GROUP_ABSENT) {
        create(client, name, id);
    } else if (dice < 45) {
        scale(client, name, id);
    } else if (dice < 75) {
        update(client, name, id);
    } else if (dice < 85) {
        look(client, name);
    } else {
        delete (client, name, id);
    }
}

void sim_groups_scaled(struct sim_client *client, const char *name,
                       uint32_t count, bool known)
{
    struct sim_groups *groups = sim_client_groups(client);
    char own[SIM_GROUP_NAME];

    for (uint32_t i = 0; i < SIM_GROUPS_EACH; i++) {
        group_name(client, i, own);
        if (strcmp(own, name) == 0) {
            groups->all[i].count = count;
            groups->all[i].count_known = known;
        }
    }
}

/* --- The end ---------------------------------------------------------------
 */

static void check_group(const struct sim_client *client, uint32_t at)
{
    struct sim_world *world = sim_client_world(client);
    const struct sim_group *group = &sim_client_groups_of(client)->all[at];
    const struct state *state = sim_world_leader(world)->engine.state;
    char name[SIM_GROUP_NAME];
    const struct group *there;

    group_name(client, at, name);
    there =
        state_group_named(state, (struct text){name, (uint32_t)strlen(name)});
    if (group->belief == GROUP_PRESENT &&
        (there == NULL || there->uid != group->uid || there->deleting ||
         (group->count_known && there->count != group->count))) {
        sim_violation(world, "nothing-lost",
                      "the acknowledged group %s (count %" PRIu32
                      ") is not there, or has count %" PRIu32,
                      name, group->count, there == NULL ? 0 : there->count);
    } else if (group->belief != GROUP_PRESENT && there != NULL) {
        sim_violation(world, "once",
                      "group %s is there, which was deleted or never made",
                      name);
    }
}

void sim_groups_check(const struct sim_client *client)
{
    for (uint32_t i = 0; i < SIM_GROUPS_EACH; i++) {
        check_group(client, i);
    }
}
