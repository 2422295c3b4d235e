/* SPDX-License-Identifier: Apache-2.0 */
#include "support/failover_region.h"

#include "base/check.h"
#include "base/memory.h"
#include "node/api_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A Hello or renewal on its way through a turn. */
struct message {
    struct turn_request request;
    struct agent *agent;
    bool is_hello;
    uint64_t sent_ms;
    uint64_t received_ms;
    enum hello_verdict verdict;
    bool rebooted;
    struct host_id host;
    struct vm_report reports[VMS];
    uint32_t report_count;
    uint64_t generation;
    uint64_t leadership; /* Of region.leaderships when it was submitted. */
};

static bool log_ready(struct turn_log *log)
{
    (void)log;
    return true;
}

static int log_submit(struct turn_log *log, const void *data, size_t len)
{
    struct region *region = container_of(log, struct region, log);

    bytes_clear(&region->entry);
    bytes_append(&region->entry, data, len);
    region->in_flight = true;
    region->commit_at_ms = region->now_ms + COMMIT_MS;
    return 0;
}

static int log_barrier(struct turn_log *log)
{
    return log_submit(log, "", 0);
}

static void on_event(struct event_sink *sink, const struct event *event)
{
    struct region *region = container_of(sink, struct region, sink);

    region->events++;
    failover_note(&region->failover, event);
    for (uint32_t i = 0; i < HOSTS; i++) {
        struct agent *agent = &region->agents[i];
        uint32_t slot = uid_slot(agent->host.uid);

        if (agent->session && event->kind == EVENT_VM &&
            (event->vm->host == slot || event->vm->last_host == slot)) {
            order_book_note(&agent->book, event->vm->uid);
        } else if (agent->session && event->kind == EVENT_HOST &&
                   event->host->uid == agent->host.uid) {
            order_book_note_all(&agent->book);
        }
    }
}

void agent_kill_all(struct agent *agent)
{
    agent->vm_count = 0;
}

/* The agent refuses what is older than it has seen, and starts nothing
 * without a live lease. */
static void agent_order(struct order_sink *sink, const struct order *order)
{
    struct agent *agent = container_of(sink, struct agent, orders);
    uint64_t now_ms = agent->region->now_ms;

    if (!agent->powered || agent->cut) {
        return;
    }
    for (uint32_t i = 0; i < agent->vm_count; i++) {
        if (agent->vms[i].uid == order->vm.uid) {
            if (order->action != ORDER_START) {
                agent->vms[i] = agent->vms[--agent->vm_count];
            }
            return;
        }
    }
    if (order->action == ORDER_START && now_ms < agent->deadline_ms) {
        CHECK(agent->vm_count < VMS);
        agent->vms[agent->vm_count++] =
            (struct running){order->vm.uid, order->epoch, now_ms + 200};
        if (agent->region->first_start_ms == 0) {
            agent->region->first_start_ms = now_ms;
        }
    }
}

static void message_plan(struct turn_request *request, struct turn_plan *plan)
{
    struct message *message = container_of(request, struct message, request);
    struct agent *agent = message->agent;

    if (message->is_hello) {
        char zone[8];
        struct hello hello = {
            .host = text_of(agent->name),
            .host_id = text_of(agent->name),
            .boot_id = text_of(agent->boot_id),
            .capacity = {16000, 16384, 0, 0},
            .driver_mask = 1 << DRIVER_EXEC,
            .labels = {"", 0},
            .fault_domain = {"", 0},
            .agent_version = {"", 0},
            .reports = message->reports,
            .report_count = message->report_count,
        };

        snprintf(zone, sizeof(zone), "z%u", agent->zone);
        hello.zone = text_of(zone);
        message->verdict = plan_hello(plan, &hello, &agent->region->leases,
                                      &message->host, &message->rebooted);
        return;
    }
    for (uint32_t i = 0; i < message->report_count; i++) {
        plan_report(plan, agent->host, message->generation,
                    &message->reports[i]);
    }
    if (!agent->confirmed) {
        plan_missing(plan, agent->host, message->generation, message->reports,
                     message->report_count, agent->rebooted);
    }
}

static void run_orders(struct region *region, struct agent *agent)
{
    const struct host *host = state_host(region->state, agent->host);

    if (agent->session && agent->confirmed && host != NULL &&
        host->state == HOST_UP && host->generation == agent->generation) {
        order_book_run(&agent->book, region->state, host, region->now_ms,
                       &agent->orders);
    }
}

static void welcome(struct region *region, struct message *message)
{
    struct agent *agent = message->agent;
    const struct host *host = state_host(region->state, message->host);

    agent->host = message->host;
    agent->generation = host->generation;
    agent->session = true;
    agent->confirmed = false;
    agent->rebooted = message->rebooted;
    agent->next_renew_ms = region->now_ms; /* At once after a Welcome. */
    order_book_close(&agent->book);
    order_book_init(&agent->book);
}

/* Whether the host is let in; it has a lease then, heard of or not. */
static bool is_welcome(struct region *region, const struct message *message)
{
    if (message->verdict == HELLO_STILL_LEASED) {
        region->refused_hellos++;
        return false;
    }
    leases_registered(&region->leases, state_host(region->state, message->host),
                      message->received_ms,
                      state_settings(region->state)->lease_wait_ms);
    return true;
}

static void message_done(struct turn_request *request, int status)
{
    struct message *message = container_of(request, struct message, request);
    struct agent *agent = message->agent;
    struct region *region = agent->region;
    const struct settings *settings = state_settings(region->state);

    if (status == 0 && message->is_hello && !is_welcome(region, message)) {
        free(message); /* It asks again in a while. */
        return;
    }
    if (status != 0 || agent->cut || !agent->powered ||
        message->leadership != region->leaderships) {
        agent->session = status == 0 && agent->session;
        free(message);
        return;
    }
    if (message->is_hello) {
        welcome(region, message);
    } else if (!leases_renewed(&region->leases,
                               state_host(region->state, agent->host),
                               message->generation, message->received_ms,
                               settings->lease_wait_ms)) {
        agent->session = false; /* Says Hello again. */
        free(message);
        return;
    } else {
        agent->confirmed = true;
    }
    order_book_reports(&agent->book, message->reports, message->report_count,
                       true);
    agent->deadline_ms = message->sent_ms + settings->lease_run_ms;
    run_orders(region, agent);
    free(message);
}

static void agent_send(struct agent *agent)
{
    struct region *region = agent->region;
    struct message *message = memory_alloc(sizeof(*message));

    message->request.plan = message_plan;
    message->request.done = message_done;
    message->agent = agent;
    message->is_hello = !agent->session;
    message->sent_ms = region->now_ms;
    message->received_ms = region->now_ms;
    message->generation = agent->generation;
    message->leadership = region->leaderships;
    for (uint32_t i = 0; i < agent->vm_count; i++) {
        message->reports[message->report_count++] = (struct vm_report){
            .vm = {agent->vms[i].uid},
            .epoch = agent->vms[i].epoch,
            .state = region->now_ms >= agent->vms[i].up_at_ms ? REPORT_RUNNING
                                                              : REPORT_STARTING,
        };
    }
    if (turn_submit(&region->turn, LANE_FAILOVER, &message->request) != 0) {
        free(message);
    }
}

static void agent_step(struct agent *agent)
{
    struct region *region = agent->region;

    if (!agent->powered) {
        return;
    }
    if (region->now_ms >= agent->deadline_ms) {
        agent_kill_all(agent);
    }
    for (uint32_t i = 0; i < agent->vm_count; i++) {
        if (agent->vms[i].up_at_ms == region->now_ms) {
            agent->next_renew_ms = region->now_ms; /* Reports at once. */
        }
    }
    if (region->now_ms >= agent->next_renew_ms) {
        agent->next_renew_ms = region->now_ms + RENEW_MS;
        if (!agent->cut) {
            agent_send(agent);
        }
    }
}

static void check_one_copy(struct region *region)
{
    for (uint32_t slot = 0; slot < state_vm_slots(region->state); slot++) {
        const struct vm *vm = state_vm_at(region->state, slot);
        uint32_t copies = 0;

        for (uint32_t h = 0; vm != NULL && h < HOSTS; h++) {
            struct agent *agent = &region->agents[h];

            for (uint32_t i = 0; agent->powered && i < agent->vm_count; i++) {
                copies += agent->vms[i].uid == vm->uid;
            }
        }
        if (copies > region->most_copies) {
            region->most_copies = copies;
        }
    }
}

static void commit(struct region *region)
{
    struct batch batch;
    struct arena arena;

    region->in_flight = false;
    if (region->entry.len > 0) {
        arena_init(&arena, BATCH_ARENA_BYTES);
        assert_int_equal(
            batch_decode(region->entry.data, region->entry.len, &arena, &batch),
            0);
        assert_int_equal(
            state_apply_batch(region->state, &batch, &region->sink), 0);
        arena_close(&arena);
    }
    turn_finished(&region->turn, 0);
    for (uint32_t i = 0; i < HOSTS; i++) {
        run_orders(region, &region->agents[i]);
    }
}

/* The leader is gone: what was in flight is unknown, here lost. */
void region_lose_leader(struct region *region)
{
    region->leaderships++;
    if (region->in_flight) {
        region->in_flight = false;
        turn_finished(&region->turn, -1);
    }
    turn_lead(&region->turn, false);
    for (uint32_t i = 0; i < HOSTS; i++) {
        region->agents[i].session = false;
    }
    region->lead_at_ms = region->now_ms + ELECTION_MS;
}

void region_lead(struct region *region)
{
    region->lead_at_ms = 0;
    leases_reset(&region->leases, region->state, region->now_ms);
    judge_reset(&region->judge);
    failover_lead(&region->failover, region->state);
    turn_lead(&region->turn, true);
}

void region_run_until(struct region *region, uint64_t until_ms)
{
    for (; region->now_ms < until_ms; region->now_ms += STEP_MS) {
        if (region->lead_at_ms != 0 && region->now_ms >= region->lead_at_ms) {
            region_lead(region);
        }
        if (region->in_flight && region->now_ms >= region->commit_at_ms) {
            commit(region);
        }
        for (uint32_t i = 0; i < HOSTS; i++) {
            agent_step(&region->agents[i]);
        }
        failover_work(&region->failover, region->state);
        if (judge_is_due(&region->judge, region->state, region->now_ms,
                         region->now_ms) ||
            failover_is_due(&region->failover, region->state, region->now_ms)) {
            turn_want(&region->turn);
        }
        turn_run(&region->turn, region->now_ms, region->now_ms);
        check_one_copy(region);
    }
}

static void set_up_state(struct region *region)
{
    struct change change = {.kind = CHANGE_ZONE_CREATE};
    char name[8];

    for (uint32_t i = 0; i < ZONES; i++) {
        snprintf(name, sizeof(name), "z%u", i);
        change.zone_create.name = text_of(name);
        state_apply(region->state, &change, NULL);
    }
    change.kind = CHANGE_CLASS_CREATE;
    change.class_create = (struct change_class_create){
        .name = text_of("small"), .resources = {1000, 1024, 0, 0}};
    state_apply(region->state, &change, NULL);
    for (uint32_t i = 0; i < VMS; i++) {
        snprintf(name, sizeof(name), "v%u", i);
        change.kind = CHANGE_VM_CREATE;
        change.vm_create = (struct change_vm_create){
            .name = text_of(name),
            .class = {state_class_at(region->state, 0)->uid},
            .priority = i,
            .on_partition = ON_PARTITION_MOVE,
            .desired = DESIRED_RUNNING,
            .driver = DRIVER_EXEC,
            .template = {"", 0},
            .labels = {"", 0},
        };
        state_apply(region->state, &change, NULL);
    }
}

struct region *region_create(uint64_t seed)
{
    struct region *region = memory_alloc(sizeof(*region));

    region->log = (struct turn_log){log_ready, log_submit, log_barrier};
    region->sink.event = on_event;
    region->state = state_create();
    region->applied = region->state;
    random_init(&region->random, seed);
    bytes_init(&region->entry);
    set_up_state(region);
    leases_init(&region->leases);
    judge_init(&region->judge, &region->leases);
    failover_init(&region->failover, &region->judge);
    region->controllers[0] = &region->judge.controller;
    region->controllers[1] = &region->failover.controller;
    turn_init(&region->turn, &region->log, &region->applied,
              region->controllers, 2);
    for (uint32_t i = 0; i < HOSTS; i++) {
        struct agent *agent = &region->agents[i];

        agent->orders.order = agent_order;
        agent->region = region;
        agent->zone = i / HOSTS_IN_ZONE;
        agent->powered = true;
        agent->next_renew_ms = random_below(&region->random, RENEW_MS);
        snprintf(agent->name, sizeof(agent->name), "h%u", i);
        snprintf(agent->boot_id, sizeof(agent->boot_id), "boot-1");
        order_book_init(&agent->book);
    }
    region_lead(region);
    return region;
}

void region_destroy(struct region *region)
{
    region_lose_leader(region);
    failover_close(&region->failover);
    turn_close(&region->turn);
    for (uint32_t i = 0; i < HOSTS; i++) {
        order_book_close(&region->agents[i].book);
    }
    leases_close(&region->leases);
    bytes_close(&region->entry);
    state_destroy(region->state);
    free(region);
}

uint32_t region_running(const struct region *region)
{
    return state_counts(region->state)->vms_by_state[VM_RUNNING];
}

void agent_boot(struct agent *agent)
{
    static uint32_t boots = 1;

    agent_kill_all(agent);
    agent->session = false;
    agent->deadline_ms = 0;
    snprintf(agent->boot_id, sizeof(agent->boot_id), "boot-%u", ++boots);
}

void region_zone_power(struct region *region, uint32_t zone, bool on)
{
    for (uint32_t i = 0; i < HOSTS; i++) {
        struct agent *agent = &region->agents[i];

        if (agent->zone == zone) {
            agent->powered = on;
            agent_boot(agent);
        }
    }
    if (on) {
        region->judge.zones_reachable |= UINT64_C(1) << zone;
    } else {
        region->judge.zones_reachable &= ~(UINT64_C(1) << zone);
    }
}

const struct host *region_host(const struct region *region, const char *name)
{
    return state_host_named(region->state, text_of(name));
}

static void stale_done(struct turn_request *request, int status)
{
    struct message *message = container_of(request, struct message, request);
    struct region *region = message->agent->region;

    assert_int_equal(status, 0);
    region->refused_hellos += message->verdict != HELLO_WELCOME;
    free(message);
}

void agent_hello_without_vms(struct agent *agent)
{
    struct message *message = memory_alloc(sizeof(*message));

    message->request.plan = message_plan;
    message->request.done = stale_done;
    message->agent = agent;
    message->is_hello = true;
    assert_int_equal(
        turn_submit(&agent->region->turn, LANE_FAILOVER, &message->request), 0);
}
