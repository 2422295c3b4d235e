/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/guest.h"

#include "base/check.h"
#include "base/memory.h"
#include "tests/sim/check.h"
#include "tests/sim/fleet.h"
#include "tests/sim/host.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS UINT64_C(1000)

/* The kill budget and the margin of the settings, which the model uses up. */
static const Holdfast__V1__Settings *settings_of(const struct sim_host *host)
{
    const struct sim_fleet *fleet = host->world->options.fleet;

    return fleet == NULL ? NULL : fleet->manifest->settings;
}

static uint64_t kill_budget_us(const struct sim_host *host)
{
    const Holdfast__V1__Settings *settings = settings_of(host);
    bool is_default = settings == NULL || settings->kill_budget_ms == 0;

    return (is_default ? 250 : settings->kill_budget_ms) * SIM_MS;
}

static uint64_t margin_us(const struct sim_host *host)
{
    const Holdfast__V1__Settings *settings = settings_of(host);
    bool is_default = settings == NULL || settings->margin_ms == 0;

    return (is_default ? 250 : settings->margin_ms) * SIM_MS;
}

struct sim_guest *sim_guest_of(struct sim_host *host, uint64_t uid)
{
    for (uint32_t i = 0; i < host->guest_count; i++) {
        if (host->guests[i].uid == uid) {
            return &host->guests[i];
        }
    }
    return NULL;
}

bool sim_guest_lives(const struct sim_guest *guest)
{
    return guest->uid != 0 && guest->state != SIM_GUEST_ENDED;
}

enum guest_event_kind { GUEST_UP, GUEST_ENDS, GUEST_DEADLINE };

struct guest_event {
    struct sim_event event;
    struct sim_host *host;
    enum guest_event_kind kind;
    uint64_t uid;
    uint64_t number;
    bool failed;
    char reason[48];
};

static void guest_event_free(struct sim_event *event)
{
    free(container_of(event, struct guest_event, event));
}

static void end_guest(struct sim_host *host, struct sim_guest *guest,
                      const char *reason, bool failed)
{
    char words[sizeof(guest->reason)];

    (void)snprintf(words, sizeof(words), "%s", reason);
    sim_trace(host->world, "%s: vm %" PRIx64 " epoch %" PRIu64 " is gone: %s",
              host->name, guest->uid, guest->epoch, words);
    sim_check_guest_ends(host, guest);
    guest->state = SIM_GUEST_ENDED;
    guest->failed = failed;
    memcpy(guest->reason, words, sizeof(words));
    sim_agent_hears(host, guest->uid, CORE_VM_GONE, words, failed);
}

static void guest_add(struct sim_host *host, const struct sim_guest *guest,
                      enum guest_event_kind kind, uint64_t at_us,
                      const char *reason);

/* The shim acts within the kill budget; the guard, for a stopped shim, within
 * the margin more. */
static void guest_deadline(struct sim_host *host, struct sim_guest *guest)
{
    uint64_t end_us =
        sim_clock_world(&host->clock, (host->deadline_ns + NS - 1) / NS);
    uint64_t kill_us;

    if (guest->keep || guest->foreign) {
        return;
    }
    if (host->world->now_us < end_us) {
        guest_add(host, guest, GUEST_DEADLINE, end_us, "");
        return;
    }
    /* After a machine's pause real VMs go on for 28 to 50 ms until they are
     * killed; only fencing at the storage closes that (docs/security.md).
     * The model takes it as nothing, to see everything else. */
    kill_us = host->resumed_us == host->world->now_us ? 0
              : host->shims_stopped
                  ? sim_between(host->world, kill_budget_us(host),
                                kill_budget_us(host) + margin_us(host))
                  : sim_below(host->world, kill_budget_us(host));
    host->world->figures.kills++;
    guest_add(host, guest, GUEST_ENDS, host->world->now_us + kill_us,
              "the lease is over");
}

static bool guest_event_run(struct sim_event *event)
{
    struct guest_event *at = container_of(event, struct guest_event, event);
    struct sim_host *host = at->host;
    struct sim_guest *guest = sim_guest_of(host, at->uid);

    if (!host->powered || guest == NULL || guest->number != at->number ||
        !sim_guest_lives(guest)) {
        return true;
    }
    if (sim_host_awake_us(host) > host->world->now_us) {
        guest_add(host, guest, at->kind,
                  host->paused_until_us + (at->kind == GUEST_UP ? 10 : 0),
                  at->reason);
        return true;
    }
    switch (at->kind) {
    case GUEST_UP:
        guest->state = SIM_GUEST_RUNNING;
        if (host->world->lost_us != 0) {
            host->world->figures.running_us =
                host->world->now_us - host->world->lost_us;
        }
        sim_trace(host->world, "%s: vm %" PRIx64 " epoch %" PRIu64 " runs",
                  host->name, guest->uid, guest->epoch);
        sim_agent_hears(host, guest->uid, CORE_VM_RUNNING, "", false);
        break;
    case GUEST_ENDS:
        end_guest(host, guest, at->reason, at->failed);
        break;
    case GUEST_DEADLINE:
        guest_deadline(host, guest);
        break;
    }
    return true;
}

static void guest_add(struct sim_host *host, const struct sim_guest *guest,
                      enum guest_event_kind kind, uint64_t at_us,
                      const char *reason)
{
    struct guest_event *next = memory_alloc(sizeof(*next));

    *next = (struct guest_event){
        .event = {.run = guest_event_run, .free = guest_event_free},
        .host = host,
        .kind = kind,
        .uid = guest->uid,
        .number = guest->number,
        .failed = strcmp(reason, "its process ended") == 0};
    (void)snprintf(next->reason, sizeof(next->reason), "%s", reason);
    sim_world_add(host->world, &next->event, at_us);
}

struct sim_guest *sim_guest_room(struct sim_host *host, uint64_t uid)
{
    struct sim_guest *guest = sim_guest_of(host, uid);

    guest = guest != NULL ? guest : sim_guest_of(host, 0);
    CHECK(guest != NULL);
    return guest;
}

void sim_guest_begin(struct sim_host *host, struct sim_guest *guest,
                     const struct core_order *order)
{
    struct sim_world *world = host->world;

    *guest = (struct sim_guest){
        .uid = order->uid,
        .epoch = order->epoch,
        .keep = order->keep,
        .state = SIM_GUEST_STARTING,
        .number = ++host->guest_numbers,
    };
    world->figures.starts++;
    sim_trace(world, "%s: vm %" PRIx64 " epoch %" PRIu64 " starts", host->name,
              guest->uid, guest->epoch);
    sim_check_guest_starts(host, guest);
    if (sim_chance(world, host->start_fails_permille)) {
        guest_add(host, guest, GUEST_ENDS,
                  world->now_us + sim_below(world, 300 * SIM_MS),
                  "its process ended");
    } else {
        guest_add(host, guest, GUEST_UP,
                  world->now_us + sim_between(world, 50 * SIM_MS, 600 * SIM_MS),
                  "");
    }
    guest_deadline(host, guest);
}

void sim_guest_end_at(struct sim_host *host, const struct sim_guest *guest,
                      uint64_t at_us, const char *reason)
{
    guest_add(host, guest, GUEST_ENDS, at_us, reason);
}

void sim_guests_follow_clock(struct sim_host *host)
{
    for (uint32_t i = 0; i < host->guest_count; i++) {
        struct sim_guest *guest = &host->guests[i];

        if (sim_guest_lives(guest)) {
            guest_add(host, guest, GUEST_DEADLINE, host->world->now_us, "");
        }
    }
}

void sim_guests_lose_power(struct sim_host *host)
{
    for (uint32_t i = 0; i < host->guest_count; i++) {
        if (sim_guest_lives(&host->guests[i])) {
            sim_check_guest_ends(host, &host->guests[i]);
        }
        host->guests[i] = (struct sim_guest){0};
    }
}

static struct sim_guest *some_running(struct sim_host *host)
{
    uint32_t from = (uint32_t)sim_below(host->world, host->guest_count);

    for (uint32_t i = 0; i < host->guest_count; i++) {
        struct sim_guest *guest = &host->guests[(from + i) % host->guest_count];

        if (guest->uid != 0 && guest->state == SIM_GUEST_RUNNING &&
            !guest->foreign) {
            return guest;
        }
    }
    return NULL;
}

void sim_guests_lose_one(struct sim_host *host)
{
    struct sim_guest *guest = some_running(host);

    if (guest != NULL) {
        guest_add(host, guest, GUEST_ENDS, host->world->now_us,
                  "its process ended");
    }
}

void sim_guests_hang_one(struct sim_host *host)
{
    struct sim_guest *guest = some_running(host);

    if (guest != NULL) {
        guest->hangs = true;
    }
}
