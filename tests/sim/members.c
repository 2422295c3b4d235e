/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/members.h"

#include "base/check.h"
#include "base/container.h"
#include "base/error.h"
#include "base/memory.h"
#include "node/api_check.h"
#include "node/members_audit.h"
#include "tests/sim/check_members.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As PEER_SILENT_MS_MIN of node/peers.c. */
#define SILENT_US (1000 * SIM_MS)
/* How often a node calls on the others. */
#define VISIT_US (1000 * SIM_MS)

/* --- The file ------------------------------------------------------------- */

struct sim_members_file {
    Holdfast__V1__NodeConfig config;
    Holdfast__V1__NodeMember members[SIM_ZONES_MAX];
    Holdfast__V1__NodeMember *pointers[SIM_ZONES_MAX];
    char names[SIM_ZONES_MAX][16];
    char zones[SIM_ZONES_MAX][SIM_NAME_ROOM];
    char addresses[SIM_ZONES_MAX][32];
};

void sim_members_name(uint32_t index, char name[16])
{
    (void)snprintf(name, 16, "n%" PRIu32, index + 1);
}

void sim_members_address(uint32_t index, char address[32])
{
    (void)snprintf(address, 32, "10.0.0.%" PRIu32 ":7000", index + 1);
}

struct sim_members_file *sim_members_file_create(struct sim_world *world)
{
    struct sim_members_file *file = memory_alloc(sizeof(*file));

    holdfast__v1__node_config__init(&file->config);
    for (uint32_t i = 0; i < world->zone_count; i++) {
        Holdfast__V1__NodeMember *member = &file->members[i];

        holdfast__v1__node_member__init(member);
        sim_members_name(i, file->names[i]);
        sim_members_address(i, file->addresses[i]);
        (void)snprintf(file->zones[i], SIM_NAME_ROOM, "%s",
                       sim_zone_name(world, i));
        member->name = file->names[i];
        member->id = i + 1;
        member->zone = file->zones[i];
        member->address = file->addresses[i];
        file->pointers[i] = member;
    }
    file->config.nodes = file->pointers;
    file->config.n_nodes = world->zone_count;
    return file;
}

void sim_members_file_destroy(struct sim_members_file *file)
{
    free(file);
}

size_t sim_members_first(const struct sim_members_file *file,
                         struct replica_member members[SIM_ZONES_MAX])
{
    for (size_t i = 0; i < file->config.n_nodes; i++) {
        members[i] = (struct replica_member){file->members[i].id,
                                             file->addresses[i], REPLICA_VOTER};
    }
    return file->config.n_nodes;
}

/* --- Who they are --------------------------------------------------------- */

/* As the process ends in reality: nothing more comes from it. */
static void send_off(struct sim_node *node, enum node_end end, const char *who)
{
    static const char *const words[] = {
        [NODE_REMOVED] = "it was removed",
        [NODE_LEFT_BEHIND] = "it is of an older generation",
        [NODE_LOST_DATA] = "it has lost its data",
    };

    sim_trace(node->world, "n%" PRIu32 " hears from %s that %s",
              node->index + 1, who, words[end]);
    sim_check_sent_off(node, end);
    node->sent_off = true;
    node->failing = true;
}

void sim_members_changed(struct sim_node *node)
{
    roster_fill(&node->roster, node->engine.replica,
                &node->world->file->config);
    if (replica_has_removed(node->engine.replica, (uint64_t)node->index + 1) &&
        !node->sent_off) {
        send_off(node, NODE_REMOVED, "its log");
    }
}

void sim_members_claim(const struct sim_node *node, struct roster_claim *claim)
{
    *claim =
        (struct roster_claim){.id = (uint64_t)node->index + 1,
                              .generation = roster_generation(
                                  &node->roster, (uint64_t)node->index + 1),
                              .empty = !node->roster.from_region};
}

/* The word that it is no member any more, on its way back. */
struct farewell {
    struct sim_event event;
    struct sim_node *node;
    uint32_t from;
    enum node_end end;
    uint64_t life;
};

static void farewell_free(struct sim_event *event)
{
    free(container_of(event, struct farewell, event));
}

static bool farewell_run(struct sim_event *event)
{
    struct farewell *farewell = container_of(event, struct farewell, event);
    struct sim_node *node = farewell->node;
    char who[16];

    if (!sim_node_runs(node) || node->life != farewell->life ||
        sim_nodes_are_cut(node->world, farewell->from, node->index)) {
        return true;
    }
    if (sim_node_awake_us(node) > node->world->now_us) {
        sim_world_add(node->world, event, sim_node_waking_us(node));
        return false;
    }
    sim_members_name(farewell->from, who);
    send_off(node, farewell->end, who);
    sim_node_kill(node);
    return true;
}

bool sim_members_hear(struct sim_node *node, uint32_t from,
                      const struct roster_claim *claim)
{
    struct sim_world *world = node->world;
    struct farewell *farewell;
    enum node_end end;

    if (!roster_ends(&node->roster, node->engine.replica,
                     (uint64_t)node->index + 1, claim, &end)) {
        return true;
    }
    farewell = memory_alloc(sizeof(*farewell));
    *farewell =
        (struct farewell){.event = {.run = farewell_run, .free = farewell_free},
                          .node = world->nodes[from],
                          .from = node->index,
                          .end = end,
                          .life = world->nodes[from]->life};
    sim_world_add(world, &farewell->event,
                  world->now_us + sim_nodes_latency(world, node->index, from));
    return false;
}

/* --- Streams are opened --------------------------------------------------- */

/* A node opens its stream to each member that it knows, also when it has
 * nothing to say; whoever was removed while its stream stood hears of it soon.
 * Both are this: it calls on them now and then. */
struct visit {
    struct sim_event event;
    struct sim_node *node;
    uint64_t life;
};

static void visit_free(struct sim_event *event)
{
    free(container_of(event, struct visit, event));
}

static void visit(struct sim_node *node, uint32_t to)
{
    struct sim_world *world = node->world;
    struct roster_claim claim;

    if (to != node->index && to < world->node_count &&
        sim_node_runs(world->nodes[to]) &&
        sim_node_awake_us(world->nodes[to]) == world->now_us &&
        !sim_nodes_are_cut(world, node->index, to)) {
        sim_members_claim(node, &claim);
        (void)sim_members_hear(world->nodes[to], node->index, &claim);
    }
}

static bool visit_run(struct sim_event *event)
{
    struct visit *at = container_of(event, struct visit, event);
    struct sim_node *node = at->node;
    const struct members *members = &node->roster.members;

    if (node->life != at->life || !sim_node_runs(node)) {
        return true;
    }
    if (sim_node_awake_us(node) == node->world->now_us) {
        for (size_t i = 0; i < members->count; i++) {
            visit(node, (uint32_t)members->items[i].id - 1);
        }
    }
    sim_world_add(node->world, event, node->world->now_us + VISIT_US);
    return false;
}

static void begin_visits(struct sim_node *node)
{
    struct visit *visit = memory_alloc(sizeof(*visit));

    *visit = (struct visit){.event = {.run = visit_run, .free = visit_free},
                            .node = node,
                            .life = node->life};
    sim_world_add(node->world, &visit->event, node->world->now_us + VISIT_US);
}

void sim_members_begin(struct sim_node *node)
{
    roster_fill(&node->roster, NULL, &node->world->file->config);
    if (node->world->rebuilds) {
        begin_visits(node);
    }
}

/* --- Whether they answer -------------------------------------------------- */

static bool answers(const struct sim_node *node, uint64_t id)
{
    uint64_t now_us = node->world->now_us;

    return id == (uint64_t)node->index + 1 ||
           (id <= node->world->node_count &&
            now_us - node->heard_us[id - 1] <= SILENT_US);
}

static void listen(const struct sim_node *node, struct membership *now)
{
    for (size_t i = 0; i < now->members->count; i++) {
        now->seen[i].answers = answers(node, now->members->items[i].id);
    }
}

void sim_members_listen(const struct sim_node *node, struct membership *now)
{
    now->members = &node->roster.members;
    now->self = (uint64_t)node->index + 1;
    listen(node, now);
}

void sim_members_look(const struct sim_node *node, struct members *members,
                      struct membership *now)
{
    const struct replica *replica = node->engine.replica;

    roster_region(members, replica, &node->world->file->config);
    member_change_look(now, members, replica, (uint64_t)node->index + 1);
    listen(node, now);
}

/* --- Changes that are asked for ------------------------------------------- */

const struct api_method *sim_members_method(const char *name)
{
    for (int i = 0; i < MEMBERSHIP_STEPS; i++) {
        const struct api_method *method = &members_audit_methods[i];

        if (strcmp(strrchr(method->path, '/') + 1, name) == 0) {
            return method;
        }
    }
    return NULL;
}

static void respond(struct sim_member_call *call)
{
    const struct membership_change *change = &call->change.change;

    members_audit_respond(call->change.step, &change->member, change->note,
                          state_revision(call->node->engine.state),
                          call->reply);
}

static void decided(struct replica_reconfigure *reconfigure,
                    enum replica_outcome outcome, uint64_t index)
{
    struct sim_member_change *change =
        container_of(reconfigure, struct sim_member_change, reconfigure);
    struct sim_member_call *call =
        container_of(change, struct sim_member_call, change);

    sim_trace(call->node->world,
              "n%" PRIu32 ": members changed at %" PRIu64 ", outcome %d",
              call->node->index + 1, index, (int)outcome);
    list_remove(&call->link);
    if (outcome == REPLICA_COMMITTED) {
        respond(call);
    } else {
        api_fail_plainly(call->reply, outcome == REPLICA_REFUSED
                                          ? API_NO_LEADER
                                          : API_OUTCOME_UNKNOWN);
    }
    call->answered(call);
}

/* What node/node_members.c does between its two turns. */
static bool propose(struct sim_member_call *call)
{
    int rv = replica_reconfigure(call->node->engine.replica,
                                 &call->change.change.next,
                                 &call->change.reconfigure, decided);

    CHECK(rv != HF_ERROR_INVALID);
    if (rv != 0) {
        api_fail_plainly(call->reply, rv == HF_ERROR_BUSY ? API_MEMBERS_CHANGING
                                                          : API_NO_LEADER);
    }
    return rv == 0;
}

static bool is_dry_run(const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
                                                        "dry_run");
    protobuf_c_boolean dry;

    memcpy(&dry, (const char *)message + field->offset, sizeof(dry));
    return dry != 0;
}

/* Whether it is under way. */
static bool begin(struct sim_member_call *call, const ProtobufCMessage *message)
{
    struct members members;
    struct membership now;

    if (!replica_members_committed(call->node->engine.replica)) {
        api_fail_plainly(call->reply, API_MEMBERS_CHANGING);
        return false;
    }
    sim_members_look(call->node, &members, &now);
    switch (member_change_judge(call->change.step, message, &now,
                                &call->change.change, call->reply)) {
    case MEMBERSHIP_REFUSED:
        return false;
    case MEMBERSHIP_CHANGES:
        if (!is_dry_run(message)) {
            return propose(call);
        }
        break;
    case MEMBERSHIP_ALREADY:
        break;
    }
    respond(call);
    return false;
}

void sim_members_ask(struct sim_node *node, struct sim_member_call *call,
                     const struct api_method *method,
                     const ProtobufCMessage *message)
{
    call->node = node;
    call->change.step = (enum membership_step)(method - members_audit_methods);
    list_init(&call->link);
    list_append(&node->member_calls, &call->link);
    if (begin(call, message)) {
        sim_check_change(node, &call->change);
        return;
    }
    list_remove(&call->link);
    call->answered(call);
}

void sim_members_lose(struct sim_node *node)
{
    struct list *link;

    while ((link = list_first(&node->member_calls)) != NULL) {
        struct sim_member_call *call =
            list_entry(link, struct sim_member_call, link);

        list_remove(link);
        call->lost(call);
    }
}
