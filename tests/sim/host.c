/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/host.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "state/state.h"
#include "tests/sim/check.h"
#include "tests/sim/node.h"
#include "tests/sim/terrain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS UINT64_C(1000)

static uint64_t now_ns(const struct sim_host *host)
{
    return sim_clock_local(&host->clock, host->world->now_us) * NS;
}

uint64_t sim_host_awake_us(const struct sim_host *host)
{
    return host->paused_until_us > host->world->now_us ? host->paused_until_us
                                                       : host->world->now_us;
}

uint64_t sim_agent_awake_us(const struct sim_host *host)
{
    uint64_t us = sim_host_awake_us(host);

    return host->agent_paused_until_us > us ? host->agent_paused_until_us : us;
}

bool sim_host_reaches(const struct sim_host *host, uint32_t node, bool towards)
{
    const struct sim_world *world = host->world;

    uint32_t zone = world->nodes[node]->zone;

    return host->powered && !host->cut && !host->cut_node[zone] &&
           !(towards ? world->cut[host->zone][zone]
                     : world->cut[zone][host->zone]);
}

/* --- What the agent's core asks --------------------------------------------
 */

static struct sim_host *host_of(struct core *core)
{
    return container_of(core, struct sim_host, core);
}

static void on_hello(struct core *core, const struct core_report *reports,
                     size_t count)
{
    sim_stream_hello(host_of(core)->stream, reports, count);
}

static void on_renew(struct core *core, uint64_t seq, uint64_t generation,
                     const struct core_report *reports, size_t count)
{
    sim_stream_renew(host_of(core)->stream, seq, generation, reports, count);
}

static void on_report(struct core *core, const struct core_report *report)
{
    sim_stream_report(host_of(core)->stream, report);
}

static void drop_orders(struct sim_host *host);
static void connect_later(struct sim_host *host, enum retry_end end);

static void on_hang_up(struct core *core, const char *reason)
{
    struct sim_host *host = host_of(core);

    sim_trace(host->world, "%s: gives its session up: %s", host->name, reason);
    sim_stream_close(host->stream);
    host->stream = NULL;
    drop_orders(host);
    connect_later(host, RETRY_BROKEN);
}

static void on_lease(struct core *core, uint64_t deadline_ns)
{
    host_of(core)->deadline_ns = deadline_ns;
}

static int on_start(struct core *core, struct core_order *order,
                    char reason[CORE_REASON_MAX + 1])
{
    struct sim_host *host = host_of(core);
    struct sim_guest *guest = sim_guest_room(host, order->uid);

    if (now_ns(host) >= host->deadline_ns) {
        (void)snprintf(reason, CORE_REASON_MAX + 1, "no live lease or guard");
        return HF_ERROR_CLOSED;
    }
    if (sim_guest_lives(guest)) {
        (void)snprintf(reason, CORE_REASON_MAX + 1,
                       "something holds its lock here");
        return HF_ERROR_EXISTS;
    }
    sim_guest_begin(host, guest, order);
    return 0;
}

static void on_stop(struct core *core, uint64_t uid, uint32_t grace_ms)
{
    struct sim_host *host = host_of(core);
    struct sim_guest *guest = sim_guest_of(host, uid);
    uint64_t us;

    if (guest == NULL || !sim_guest_lives(guest)) {
        return;
    }
    us = guest->hangs ? grace_ms * SIM_MS
                      : sim_below(host->world, 1 + grace_ms * SIM_MS / 2);
    sim_guest_end_at(host, guest, host->world->now_us + us, "stopped");
}

static void on_kill(struct core *core, uint64_t uid, const char *reason)
{
    struct sim_host *host = host_of(core);
    struct sim_guest *guest = sim_guest_of(host, uid);

    if (guest != NULL && sim_guest_lives(guest)) {
        sim_guest_end_at(
            host, guest,
            host->world->now_us + sim_below(host->world, 50 * SIM_MS), reason);
    }
}

static void on_forget(struct core *core, uint64_t uid)
{
    struct sim_guest *guest = sim_guest_of(host_of(core), uid);

    if (guest != NULL) {
        CHECK(!sim_guest_lives(guest));
        *guest = (struct sim_guest){0};
    }
}

static const struct core_actions core_actions = {
    .hello = on_hello,
    .renew = on_renew,
    .report = on_report,
    .hang_up = on_hang_up,
    .lease = on_lease,
    .start = on_start,
    .stop = on_stop,
    .kill = on_kill,
    .forget = on_forget,
};

/* --- The agent's loop ------------------------------------------------------
 */

enum agent_event_kind { AGENT_POKE, AGENT_CONNECT, AGENT_VM, AGENT_START };

struct agent_event {
    struct sim_event event;
    struct sim_host *host;
    uint64_t life;
    enum agent_event_kind kind;
    uint64_t uid;
    enum core_vm_event vm_event;
    bool failed;
    char reason[48];
};

static void agent_event_free(struct sim_event *event)
{
    free(container_of(event, struct agent_event, event));
}

static bool agent_event_run(struct sim_event *event);

static struct agent_event *agent_event_new(struct sim_host *host,
                                           enum agent_event_kind kind)
{
    struct agent_event *next = memory_alloc(sizeof(*next));

    *next = (struct agent_event){
        .event = {.run = agent_event_run, .free = agent_event_free},
        .host = host,
        .life = host->agent_life,
        .kind = kind};
    return next;
}

void sim_agent_hears(struct sim_host *host, uint64_t uid,
                     enum core_vm_event event, const char *reason, bool failed)
{
    struct agent_event *next;

    if (!host->agent_up) {
        return;
    }
    next = agent_event_new(host, AGENT_VM);
    next->uid = uid;
    next->vm_event = event;
    next->failed = failed;
    (void)snprintf(next->reason, sizeof(next->reason), "%s", reason);
    sim_world_add(host->world, &next->event,
                  host->world->now_us + 1 + sim_below(host->world, SIM_MS));
}

static void tick(struct sim_host *host)
{
    uint64_t due_ns = core_tick(&host->core, now_ns(host));
    uint64_t at_us;

    if (due_ns == UINT64_MAX) {
        return;
    }
    at_us = sim_clock_world(&host->clock, (due_ns + NS - 1) / NS);
    at_us = at_us <= host->world->now_us ? host->world->now_us + 1 : at_us;
    if (host->poke_us == 0 || at_us < host->poke_us) {
        host->poke_us = at_us;
        sim_world_add(host->world, &agent_event_new(host, AGENT_POKE)->event,
                      at_us);
    }
}

static void connect_now(struct sim_host *host)
{
    CHECK(host->stream == NULL);
    retry_begun(&host->retry);
    host->stream =
        sim_stream_open(host, host->world->fronts[host->retry.current]);
}

static void connect_later(struct sim_host *host, enum retry_end end)
{
    uint64_t pause_ms = retry_ended(&host->retry, end);

    sim_world_add(host->world, &agent_event_new(host, AGENT_CONNECT)->event,
                  host->world->now_us + pause_ms * SIM_MS + 1);
}

static bool agent_event_run(struct sim_event *event)
{
    struct agent_event *at = container_of(event, struct agent_event, event);
    struct sim_host *host = at->host;
    struct agent_event *again;

    if (at->kind == AGENT_START) {
        if (at->life == host->agent_life) {
            sim_agent_start(host);
        }
        return true;
    }
    if (!host->agent_up || at->life != host->agent_life) {
        return true;
    }
    if (sim_agent_awake_us(host) > host->world->now_us) {
        again = agent_event_new(host, at->kind);
        again->uid = at->uid;
        again->vm_event = at->vm_event;
        again->failed = at->failed;
        memcpy(again->reason, at->reason, sizeof(again->reason));
        sim_world_add(host->world, &again->event, sim_agent_awake_us(host));
        return true;
    }
    switch (at->kind) {
    case AGENT_CONNECT:
        connect_now(host);
        return true;
    case AGENT_VM:
        core_vm_event(&host->core, now_ns(host), at->uid, at->vm_event,
                      at->reason, at->failed);
        break;
    default:
        host->poke_us = 0;
        break;
    }
    tick(host);
    return true;
}

/* An order that came early. */
struct kept_order {
    struct list link;
    struct core_order order;
};

static void drop_orders(struct sim_host *host)
{
    struct list *at;
    struct list *next;

    list_foreach_safe (at, next, &host->orders) {
        free(list_entry(at, struct kept_order, link));
    }
    list_init(&host->orders);
}

static void obey_kept(struct sim_host *host)
{
    struct list *link;

    while (core_takes_orders(&host->core) &&
           (link = list_first(&host->orders)) != NULL) {
        struct kept_order *kept = list_entry(link, struct kept_order, link);

        list_remove(&kept->link);
        core_order(&host->core, host->session, now_ns(host), &kept->order);
        free(kept);
    }
}

static void take_end(struct sim_host *host, const struct sim_reply *reply)
{
    core_session_closed(&host->core, host->session);
    sim_stream_close(host->stream);
    host->stream = NULL;
    drop_orders(host);
    connect_later(host, reply->conflict  ? RETRY_CONFLICT
                        : reply->by_node ? RETRY_BY_NODE
                                         : RETRY_BROKEN);
}

void sim_agent_reply(struct sim_host *host, struct sim_stream *stream,
                     const struct sim_reply *reply)
{
    struct kept_order *kept;

    CHECK(host->stream == stream);
    switch (reply->kind) {
    case SIM_CONNECTED:
        host->session = core_session_opened(&host->core, now_ns(host));
        break;
    case SIM_WELCOME:
        core_welcome(&host->core, host->session, now_ns(host),
                     reply->generation, &reply->terms);
        break;
    case SIM_ACK:
        core_renew_ack(&host->core, host->session, now_ns(host), reply->seq,
                       &reply->terms);
        retry_renewed(&host->retry);
        break;
    case SIM_ORDER:
        kept = memory_alloc(sizeof(*kept));
        list_init(&kept->link);
        kept->order = reply->order;
        list_append(&host->orders, &kept->link);
        break;
    case SIM_END:
        take_end(host, reply);
        return;
    }
    obey_kept(host);
    tick(host);
}

/* --- Life ------------------------------------------------------------------
 */

static void scan(struct sim_host *host)
{
    for (uint32_t i = 0; i < host->guest_count; i++) {
        const struct sim_guest *guest = &host->guests[i];
        struct core_found found = {
            .uid = guest->uid,
            .epoch = guest->epoch,
            .keep = guest->keep,
            .stop_grace_ms = 2000,
            .running = guest->state == SIM_GUEST_RUNNING,
        };

        if (guest->uid == 0) {
            continue;
        }
        if (guest->foreign) {
            CHECK(core_quarantine(&host->core, guest->uid,
                                  CORE_EPOCH_UNKNOWN) == 0);
        } else if (sim_guest_lives(guest)) {
            CHECK(core_adopt(&host->core, &found) == 0);
        } else {
            CHECK(core_adopt_gone(&host->core, guest->uid, guest->epoch,
                                  guest->reason, guest->failed) == 0);
        }
    }
}

void sim_agent_start(struct sim_host *host)
{
    if (host->agent_up || !host->powered) {
        return;
    }
    sim_trace(host->world, "%s: agent starts", host->name);
    host->agent_life++;
    host->agent_up = true;
    host->agent_paused_until_us = 0;
    host->poke_us = 0;
    core_init(&host->core, &core_actions, host->deadline_ns);
    retry_init(&host->retry, &host->random);
    host->retry.nodes = host->world->zone_count;
    host->retry.current = host->zone;
    scan(host);
    connect_now(host);
    tick(host);
}

void sim_agent_kill(struct sim_host *host)
{
    if (!host->agent_up) {
        return;
    }
    sim_trace(host->world, "%s: agent ends", host->name);
    host->agent_up = false;
    host->agent_life++;
    if (host->stream != NULL) {
        sim_stream_close(host->stream);
        host->stream = NULL;
    }
    drop_orders(host);
    core_close(&host->core);
}

void sim_agent_pause(struct sim_host *host, uint64_t until_us)
{
    host->agent_paused_until_us = until_us;
}

struct resume {
    struct sim_event event;
    struct sim_host *host;
    bool check; /* Else it goes on now. */
};

static void resume_free(struct sim_event *event)
{
    free(container_of(event, struct resume, event));
}

static bool resume_run(struct sim_event *event)
{
    struct resume *resume = container_of(event, struct resume, event);
    struct sim_host *host = resume->host;

    if (!host->powered || sim_host_awake_us(host) > host->world->now_us) {
        return true;
    }
    if (resume->check) {
        sim_check_host_goes_on(host);
        return true;
    }
    host->resumed_us = host->world->now_us;
    sim_trace(host->world, "%s: goes on", host->name);
    resume->check = true;
    sim_world_add(host->world, event, host->world->now_us + 5);
    return false;
}

void sim_host_pause(struct sim_host *host, uint64_t until_us)
{
    struct resume *resume = memory_alloc(sizeof(*resume));

    *resume = (struct resume){.event = {.run = resume_run, .free = resume_free},
                              .host = host};
    if (until_us > host->paused_until_us) {
        host->paused_until_us = until_us;
    }
    sim_world_add(host->world, &resume->event, host->paused_until_us);
}

void sim_host_power(struct sim_host *host, bool on)
{
    struct sim_world *world = host->world;

    if (on == host->powered) {
        return;
    }
    sim_trace(world, "%s: power %s", host->name, on ? "on" : "off");
    if (on) {
        host->powered = true;
        host->boot++;
        host->clock = (struct sim_clock){
            .world_us = world->now_us, .local_us = 1, .ppm = host->clock.ppm};
        /* It boots, and the agent comes up. */
        sim_world_add(world, &agent_event_new(host, AGENT_START)->event,
                      world->now_us +
                          sim_between(world, SIM_SECOND, 20 * SIM_SECOND));
        return;
    }
    sim_agent_kill(host);
    host->powered = false;
    host->paused_until_us = 0;
    host->shims_stopped = false;
    host->deadline_ns = 0;
    sim_guests_lose_power(host);
}

/* Timers follow the clock. */
void sim_host_set_rate(struct sim_host *host, int32_t ppm)
{
    sim_clock_set_rate(&host->clock, host->world->now_us, ppm);
    sim_guests_follow_clock(host);
    if (host->agent_up) {
        sim_world_add(host->world, &agent_event_new(host, AGENT_POKE)->event,
                      host->world->now_us);
    }
}

struct sim_host *sim_host_create(struct sim_world *world, uint32_t index)
{
    struct sim_host *host = memory_alloc(sizeof(*host));

    host->world = world;
    host->index = index;
    if (world->options.fleet == NULL) {
        sim_terrain_host(host);
    } else {
        sim_fleet_host(host);
    }
    host->guests = memory_alloc_array(host->guest_count, sizeof(*host->guests));
    host->powered = true;
    host->boot = 1;
    host->clock.local_us = sim_between(world, SIM_SECOND, 1000 * SIM_SECOND);
    host->clock.ppm = (int32_t)sim_below(world, 201) - 100;
    random_init(&host->random, random_u64(&world->random));
    list_init(&host->orders);
    /* Rule 8: something that is not ours runs here, under a uid that the
     * region may well give to a VM one day. */
    host->had_foreign = world->options.fleet == NULL && sim_chance(world, 300);
    if (host->had_foreign) {
        host->guests[0] = (struct sim_guest){.uid = (uint64_t)77 << 32 | index,
                                             .epoch = 5,
                                             .foreign = true,
                                             .state = SIM_GUEST_RUNNING};
    }
    return host;
}

void sim_host_destroy(struct sim_host *host)
{
    sim_agent_kill(host);
    bytes_close(&host->labels);
    free(host->guests);
    free(host->pools);
    free(host->named);
    free(host);
}
