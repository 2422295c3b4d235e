/* SPDX-License-Identifier: Apache-2.0
 *
 * A region in a box: turn, leases, judgement, failover and orders against
 * modelled agents, in virtual time. Rule 1 is judged by what runs there. */
#include "base/check.h"
#include "base/memory.h"
#include "base/random.h"
#include "node/failover.h"
#include "node/orders.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ZONES         3
#define HOSTS_IN_ZONE 3
#define HOSTS         (ZONES * HOSTS_IN_ZONE)
#define VMS           24
#define STEP_MS       10
#define COMMIT_MS     20
#define ELECTION_MS   700
#define RENEW_MS      1000

/* A VM as a modelled host runs it. */
struct running {
    uint64_t uid;
    uint64_t epoch;
    uint64_t up_at_ms; /* When its start is complete. */
};

struct agent {
    struct order_sink orders; /* Where the leader's book sends. */
    struct region *region;
    char name[8];
    char boot_id[24];
    uint32_t zone;
    bool powered;
    bool cut;     /* From the leader; both ways. */
    bool session; /* Hello was welcomed by the current leader. */
    bool rebooted;
    bool confirmed; /* ... and a renewal followed. */
    uint64_t deadline_ms;
    uint64_t next_renew_ms;
    struct running vms[VMS];
    uint32_t vm_count;
    struct order_book book; /* The leader's, of this session. */
    struct host_id host;
    uint64_t generation;
};

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

struct region {
    struct turn_log log;
    struct event_sink sink;
    struct state *state;
    const struct state *applied;
    struct leases leases;
    struct judge judge;
    struct failover failover;
    struct turn_controller *controllers[2];
    struct turn turn;
    struct bytes entry; /* In flight. */
    bool in_flight;
    uint64_t commit_at_ms;
    uint64_t now_ms;
    uint64_t lead_at_ms; /* Election under way until then; 0: none. */
    uint64_t leaderships;
    struct agent agents[HOSTS];
    struct random random;
    uint64_t first_start_ms; /* Of any VM since `watch_from`. */
    uint32_t most_copies;
    uint32_t events;
    uint32_t refused_hellos;
};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

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

static void agent_kill_all(struct agent *agent)
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
static void lose_leader(struct region *region)
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

static void lead(struct region *region)
{
    region->lead_at_ms = 0;
    leases_reset(&region->leases, region->state, region->now_ms);
    judge_reset(&region->judge);
    failover_lead(&region->failover, region->state);
    turn_lead(&region->turn, true);
}

static void run_until(struct region *region, uint64_t until_ms)
{
    for (; region->now_ms < until_ms; region->now_ms += STEP_MS) {
        if (region->lead_at_ms != 0 && region->now_ms >= region->lead_at_ms) {
            lead(region);
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

static struct region *region_create(uint64_t seed)
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
    lead(region);
    return region;
}

static void region_destroy(struct region *region)
{
    lose_leader(region);
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

static uint32_t running(const struct region *region)
{
    return state_counts(region->state)->vms_by_state[VM_RUNNING];
}

/* Whatever ran is gone; it knows nothing of former sessions. */
static void boot(struct agent *agent)
{
    static uint32_t boots = 1;

    agent_kill_all(agent);
    agent->session = false;
    agent->deadline_ms = 0;
    snprintf(agent->boot_id, sizeof(agent->boot_id), "boot-%u", ++boots);
}

static void zone_power(struct region *region, uint32_t zone, bool on)
{
    for (uint32_t i = 0; i < HOSTS; i++) {
        struct agent *agent = &region->agents[i];

        if (agent->zone == zone) {
            agent->powered = on;
            boot(agent);
        }
    }
    if (on) {
        region->judge.zones_reachable |= UINT64_C(1) << zone;
    } else {
        region->judge.zones_reachable &= ~(UINT64_C(1) << zone);
    }
}

static const struct host *host_named(const struct region *region,
                                     const char *name)
{
    return state_host_named(region->state, text_of(name));
}

static void vms_are_spread_over_zones_and_run(void **unused)
{
    struct region *region = region_create(1);

    (void)unused;
    run_until(region, 4000);
    assert_int_equal(running(region), VMS);
    for (uint32_t i = 0; i < ZONES; i++) {
        assert_int_equal(state_zone_at(region->state, i)->vm_count,
                         VMS / ZONES);
    }
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

static void a_lost_zone_is_one_event_and_restarts_within_the_bound(
    void **unused)
{
    struct region *region = region_create(2);

    (void)unused;
    run_until(region, 6000);
    zone_power(region, 0, false);
    region->first_start_ms = 0;
    run_until(region, 6000 + 8000);
    assert_int_equal(state_zone_at(region->state, 0)->state, ZONE_LOST);
    assert_int_equal(running(region), VMS);
    assert_in_range(region->first_start_ms, 6000 + 3500, 6000 + 6000);
    assert_int_equal(state_zone_at(region->state, 0)->vm_count, 0);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

static void losing_the_leader_with_its_zone_keeps_the_bound(void **unused)
{
    struct region *region = region_create(3);

    (void)unused;
    run_until(region, 6000);
    zone_power(region, 1, false);
    lose_leader(region);
    lead(region); /* judge_reset() forgets; the new leader sees it at once. */
    lose_leader(region);
    region->first_start_ms = 0;
    run_until(region, region->now_ms + ELECTION_MS + STEP_MS);
    region->judge.zones_reachable &= ~(UINT64_C(1) << 1);
    run_until(region, 6000 + 8000);
    assert_int_equal(running(region), VMS);
    assert_in_range(region->first_start_ms, 6000 + 5000, 6000 + 8000);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

static void a_lost_host_is_replaced_inside_its_zone(void **unused)
{
    struct region *region = region_create(4);

    (void)unused;
    run_until(region, 6000);
    region->agents[0].powered = false;
    run_until(region, 14000);
    assert_int_equal(host_named(region, "h0")->state, HOST_LOST);
    assert_int_equal(state_zone_at(region->state, 0)->state, ZONE_UP);
    assert_int_equal(state_zone_at(region->state, 0)->vm_count, VMS / ZONES);
    assert_int_equal(running(region), VMS);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

static void a_cut_host_stops_before_its_vms_start_elsewhere(void **unused)
{
    struct region *region = region_create(5);

    (void)unused;
    run_until(region, 6000);
    region->agents[4].cut = true;
    run_until(region, 14000);
    assert_int_equal(region->agents[4].vm_count, 0);
    assert_int_equal(running(region), VMS);
    region->agents[4].cut = false;
    run_until(region, 18000);
    assert_int_equal(host_named(region, "h4")->state, HOST_UP);
    assert_int_equal(running(region), VMS);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

/* Cut both of two zones off: that is us, not them. */
static void a_storm_pauses_and_ends_without_a_move(void **unused)
{
    struct region *region = region_create(6);
    uint64_t revision;

    (void)unused;
    run_until(region, 6000);
    for (uint32_t i = 0; i < 2 * HOSTS_IN_ZONE; i++) {
        region->agents[i].cut = true;
    }
    run_until(region, 12500);
    assert_true(region->judge.storm);
    revision = state_revision(region->state);
    run_until(region, 20000);
    assert_int_equal(state_revision(region->state), revision);
    assert_int_equal(state_counts(region->state)->hosts_up, HOSTS);
    for (uint32_t i = 0; i < 2 * HOSTS_IN_ZONE; i++) {
        region->agents[i].cut = false;
    }
    run_until(region, 26000);
    assert_false(region->judge.storm);
    assert_int_equal(running(region), VMS);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

static void a_returning_zone_is_held_before_it_is_used(void **unused)
{
    struct region *region = region_create(7);

    (void)unused;
    run_until(region, 6000);
    zone_power(region, 2, false);
    run_until(region, 14000);
    zone_power(region, 2, true);
    run_until(region, 20000);
    assert_int_equal(state_zone_at(region->state, 2)->state, ZONE_HELD);
    assert_int_equal(state_zone_at(region->state, 2)->vm_count, 0);
    run_until(region, 14000 + 65000);
    assert_int_equal(state_zone_at(region->state, 2)->state, ZONE_UP);
    assert_int_equal(running(region), VMS);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

/* Only its node stays away. */
static void a_zone_whose_hosts_are_back_is_used_again(void **unused)
{
    struct region *region = region_create(7);

    (void)unused;
    run_until(region, 6000);
    zone_power(region, 2, false);
    run_until(region, 14000);
    assert_int_equal(state_zone_at(region->state, 2)->state, ZONE_LOST);
    zone_power(region, 2, true);
    region->judge.zones_reachable &= ~(UINT64_C(1) << 2);
    run_until(region, 20000);
    assert_int_equal(state_zone_at(region->state, 2)->state, ZONE_HELD);
    run_until(region, 14000 + 65000);
    assert_int_equal(state_zone_at(region->state, 2)->state, ZONE_UP);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

static void an_idle_region_writes_nothing(void **unused)
{
    struct region *region = region_create(8);
    uint64_t entries;

    (void)unused;
    run_until(region, 8000);
    entries = region->turn.entries;
    run_until(region, 20000);
    assert_int_equal(region->turn.entries, entries);
    region_destroy(region);
}

/* Of a session that ended long ago: nobody hears the Welcome. */
static void stale_done(struct turn_request *request, int status)
{
    struct message *message = container_of(request, struct message, request);
    struct region *region = message->agent->region;

    assert_int_equal(status, 0);
    region->refused_hellos += message->verdict != HELLO_WELCOME;
    free(message);
}

static void hello_without_vms(struct agent *agent)
{
    struct message *message = memory_alloc(sizeof(*message));

    message->request.plan = message_plan;
    message->request.done = stale_done;
    message->agent = agent;
    message->is_hello = true;
    assert_int_equal(
        turn_submit(&agent->region->turn, LANE_FAILOVER, &message->request), 0);
}

static struct agent *busy_agent(struct region *region)
{
    struct agent *agent = region->agents;

    while (agent->vm_count == 0) {
        agent++;
        assert_true(agent < region->agents + HOSTS);
    }
    return agent;
}

static void a_hello_that_was_held_up_proves_nothing(void **unused)
{
    struct region *region = region_create(9);
    struct agent *agent;

    (void)unused;
    run_until(region, 4000);
    agent = busy_agent(region);
    hello_without_vms(agent);
    run_until(region, 6000);
    snprintf(agent->boot_id, sizeof(agent->boot_id), "boot-0");
    assert_int_equal(region->refused_hellos, 0);
    hello_without_vms(agent); /* Even from a former boot. */
    run_until(region, region->now_ms + STEP_MS);
    snprintf(agent->boot_id, sizeof(agent->boot_id), "boot-1");
    run_until(region, 12000);
    assert_int_equal(running(region), VMS);
    for (uint32_t slot = 0; slot < VMS; slot++) {
        assert_int_equal(state_vm_at(region->state, slot)->epoch, 1);
    }
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

static void what_a_renewed_session_does_not_list_is_gone(void **unused)
{
    struct region *region = region_create(10);
    struct agent *agent;

    (void)unused;
    run_until(region, 4000);
    agent = busy_agent(region);
    agent_kill_all(agent);
    agent->session = false; /* Its agent was started anew. */
    run_until(region, 8000);
    assert_int_equal(running(region), VMS);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

/* The second host becomes a clone of the first, but with its own boots. */
static void make_clone(struct region *region)
{
    region->agents[1].name[1] = '0';
    boot(&region->agents[1]);
}

static void a_clone_leaves_its_host_alone(void **unused)
{
    struct region *region = region_create(11);
    struct agent *first;
    struct agent *second;
    uint64_t revision;

    (void)unused;
    make_clone(region);
    run_until(region, 6000);
    first = &region->agents[region->agents[1].session];
    second = &region->agents[!region->agents[1].session];
    assert_true(first->session && first->vm_count > 0);
    revision = state_revision(region->state);
    region->refused_hellos = 0;
    run_until(region, 20000);
    assert_true(region->refused_hellos >= 10);
    assert_int_equal(state_revision(region->state), revision);
    assert_false(second->session);
    first->session = false; /* A moment without a connection is no boot. */
    run_until(region, 24000);
    assert_true(first->session && first->vm_count > 0);
    assert_int_equal(state_revision(region->state), revision);
    /* Its lease is over: whoever comes first is the host. */
    first->cut = true;
    run_until(region, 32000);
    assert_int_equal(first->vm_count, 0);
    assert_true(second->session);
    first->cut = false;
    run_until(region, 44000);
    assert_true(second->session);
    assert_int_equal(running(region), VMS);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

/* Random power cuts, cuts of the network and changes of the leader, sometimes
 * with a cloned host. */
static void chaos(uint64_t seed)
{
    struct region *region = region_create(seed);

    if (seed % 2 == 0) {
        make_clone(region);
    }
    run_until(region, 4000);
    for (int i = 0; i < 40; i++) {
        struct agent *agent =
            &region->agents[random_below(&region->random, HOSTS)];

        switch (random_below(&region->random, 4)) {
        case 0:
            agent->cut = !agent->cut;
            break;
        case 1:
            agent->powered = !agent->powered;
            boot(agent);
            break;
        case 2:
            if (region->lead_at_ms == 0) {
                lose_leader(region);
            }
            break;
        default:
            agent->session = false;
            break;
        }
        run_until(region, region->now_ms +
                              random_below(&region->random, 400) * STEP_MS);
        assert_true(region->most_copies <= 1);
    }
    for (uint32_t i = 0; i < HOSTS; i++) {
        region->agents[i].cut = false;
        region->agents[i].powered = true;
    }
    run_until(region, region->now_ms + 100000);
    if (running(region) != VMS) {
        print_message("seed %llu: %u of %d run\n", (unsigned long long)seed,
                      running(region), VMS);
    }
    assert_int_equal(running(region), VMS);
    assert_int_equal(region->most_copies, 1);
    region_destroy(region);
}

static void one_copy_holds_over_random_histories(void **unused)
{
    (void)unused;
    for (uint64_t seed = 100; seed < 130; seed++) {
        chaos(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vms_are_spread_over_zones_and_run),
        cmocka_unit_test(
            a_lost_zone_is_one_event_and_restarts_within_the_bound),
        cmocka_unit_test(losing_the_leader_with_its_zone_keeps_the_bound),
        cmocka_unit_test(a_lost_host_is_replaced_inside_its_zone),
        cmocka_unit_test(a_cut_host_stops_before_its_vms_start_elsewhere),
        cmocka_unit_test(a_storm_pauses_and_ends_without_a_move),
        cmocka_unit_test(a_returning_zone_is_held_before_it_is_used),
        cmocka_unit_test(a_zone_whose_hosts_are_back_is_used_again),
        cmocka_unit_test(an_idle_region_writes_nothing),
        cmocka_unit_test(a_hello_that_was_held_up_proves_nothing),
        cmocka_unit_test(what_a_renewed_session_does_not_list_is_gone),
        cmocka_unit_test(a_clone_leaves_its_host_alone),
        cmocka_unit_test(one_copy_holds_over_random_histories),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
