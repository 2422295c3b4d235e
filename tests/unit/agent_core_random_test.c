/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent's core against a careless leader over a network that loses,
 * repeats, delays and reorders, also what belongs to closed sessions. The judge
 * looks at what the core does: no deadline later than rule 1 allows, no epoch
 * older than one started before, no VM twice, nothing said to be gone that
 * lives. A failure prints its seed. */
#include "agent/core.h"
#include "base/container.h"
#include "base/error.h"
#include "base/random.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS         UINT64_C(1000000)
#define STEP_MS    10
#define LEASE_MS   4400
#define RENEW_MS   1000
#define VMS        6
#define RENEWS_MAX 1024
#define MAIL_MAX   512
#define CHAOS_MS   60000
#define CALM_MS    20000
#define SEEDS      200

enum mail_kind { MAIL_WELCOME, MAIL_ACK, MAIL_ORDER };

/* On its way to the agent. */
struct mail {
    enum mail_kind kind;
    uint64_t session;
    uint64_t due_ms;
    uint64_t seq;
    struct core_order order;
};

struct model_vm {
    uint64_t leader_epoch; /* The newest that the leader gave out. */
    uint64_t alive;        /* Epoch that the driver runs; 0: none. */
    uint64_t newest;       /* Ever started. */
    uint64_t gone;         /* The newest that was said to be gone. */
    uint64_t event_ms;     /* When the driver tells the next thing. */
    bool running;
    bool killed;
    bool stopped;
};

struct world {
    struct core core;
    struct random random;
    uint64_t seed;
    uint64_t now_ms;
    uint64_t session; /* 0: none. */
    uint64_t last_session;
    uint64_t generation;
    uint64_t reading_ms[RENEWS_MAX]; /* By seq. */
    uint64_t seq_session[RENEWS_MAX];
    uint64_t seq;
    uint32_t gone_uids[RENEWS_MAX]; /* By seq: what it said is gone. */
    const struct mail *mail_in;     /* Being handed in. */
    uint64_t allowed_ms;            /* No deadline may be later. */
    struct mail mail[MAIL_MAX];
    size_t mail_count;
    struct model_vm vms[VMS + 1]; /* By uid. */
    bool calm;
    uint64_t start_count;
    uint64_t lease_count;
};

static const struct core_terms terms = {LEASE_MS, RENEW_MS};

/* As assert_true, but says how to see it again. */
static void judge(const struct world *world, bool is_so, const char *rule)
{
    if (!is_so) {
        fail_msg("seed %" PRIu64 " at %" PRIu64 " ms: %s", world->seed,
                 world->now_ms, rule);
    }
}

static bool chance(struct world *world, uint64_t percent)
{
    return !world->calm && random_below(&world->random, 100) < percent;
}

static struct world *world_of(struct core *core)
{
    return container_of(core, struct world, core);
}

static struct mail *post(struct world *world, enum mail_kind kind)
{
    static struct mail dropped;
    struct mail *mail = &dropped;

    if (world->mail_count < MAIL_MAX && !chance(world, 10)) {
        mail = &world->mail[world->mail_count++];
    }
    *mail = (struct mail){.kind = kind, .session = world->session};
    mail->due_ms = world->now_ms + 10 +
                   random_below(&world->random, world->calm ? 20 : 1500);
    return mail;
}

static void see_reports(struct world *world, const struct core_report *reports,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct model_vm *vm = &world->vms[reports[i].uid];

        if (reports[i].state == CORE_GONE) {
            judge(world, vm->alive == 0 || vm->alive > reports[i].epoch,
                  "what is said to be gone is gone");
            judge(world, reports[i].epoch >= vm->gone, "gone epochs rise");
            vm->gone = reports[i].epoch;
        } else {
            judge(world, vm->alive == reports[i].epoch,
                  "what is said to live lives");
        }
    }
}

static void on_hello(struct core *core, const struct core_report *reports,
                     size_t count)
{
    see_reports(world_of(core), reports, count);
}

static void on_renew(struct core *core, uint64_t seq, uint64_t generation,
                     const struct core_report *reports, size_t count)
{
    struct world *world = world_of(core);

    judge(world, seq == world->seq + 1 && seq < RENEWS_MAX, "numbers rise");
    judge(world, generation == world->generation, "generation as welcomed");
    world->seq = seq;
    world->reading_ms[seq] = world->now_ms;
    world->seq_session[seq] = core->session;
    for (size_t i = 0; i < count; i++) {
        world->gone_uids[seq] |= (uint32_t)(reports[i].state == CORE_GONE)
                                 << reports[i].uid;
    }
    see_reports(world, reports, count);
    if (!chance(world, 15)) {
        post(world, MAIL_ACK)->seq = seq;
        if (chance(world, 10)) {
            post(world, MAIL_ACK)->seq = seq;
        }
    }
}

static void on_report(struct core *core, const struct core_report *report)
{
    see_reports(world_of(core), report, 1);
}

static void on_hang_up(struct core *core, const char *reason)
{
    (void)reason;
    world_of(core)->session = 0;
}

static void on_lease(struct core *core, uint64_t deadline_ns)
{
    struct world *world = world_of(core);

    judge(world, deadline_ns <= world->allowed_ms * MS,
          "the deadline is at most reading + L of an acknowledged renewal");
    world->lease_count++;
}

static int on_start(struct core *core, struct core_order *order,
                    char reason[CORE_REASON_MAX + 1])
{
    struct world *world = world_of(core);
    struct model_vm *vm = &world->vms[order->uid];

    (void)reason;
    judge(world, world->now_ms < world->allowed_ms, "starts need a lease");
    judge(world, vm->alive == 0, "one copy");
    judge(world, order->epoch > vm->newest && order->epoch > vm->gone,
          "an epoch starts once, and none after a newer one");
    judge(world, order->generation == world->generation, "generation");
    judge(world, world->mail_in->session == world->session,
          "no order of a closed session is obeyed");
    vm->newest = order->epoch;
    world->start_count++;
    if (chance(world, 10)) {
        return HF_ERROR_NOT_FOUND;
    }
    vm->alive = order->epoch;
    vm->running = false;
    vm->killed = false;
    vm->stopped = false;
    vm->event_ms = world->now_ms + 50 + random_below(&world->random, 300);
    return 0;
}

static void on_stop(struct core *core, uint64_t uid, uint32_t grace_ms)
{
    struct world *world = world_of(core);

    (void)grace_ms;
    judge(world, world->vms[uid].alive != 0, "only what lives is stopped");
    world->vms[uid].stopped = true;
    world->vms[uid].event_ms =
        world->now_ms + random_below(&world->random, 400);
}

static void on_kill(struct core *core, uint64_t uid, const char *reason)
{
    struct world *world = world_of(core);

    (void)reason;
    judge(world, world->vms[uid].alive != 0, "only what lives is killed");
    world->vms[uid].killed = true;
    world->vms[uid].event_ms =
        world->now_ms + random_below(&world->random, 100);
}

static void on_forget(struct core *core, uint64_t uid)
{
    struct world *world = world_of(core);

    judge(world, world->vms[uid].alive == 0, "only what is gone is forgotten");
    judge(world, world->gone_uids[world->mail_in->seq] >> uid & 1,
          "an end is repeated until a renewal that said it is acknowledged");
}

static const struct core_actions actions = {
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

static void deliver(struct world *world, struct mail *mail)
{
    uint64_t now_ns = world->now_ms * MS;

    world->mail_in = mail;
    switch (mail->kind) {
    case MAIL_WELCOME:
        core_welcome(&world->core, mail->session, now_ns, world->generation,
                     &terms);
        break;
    case MAIL_ACK:
        /* What rule 1 allows: an acknowledgement of this session. */
        if (mail->session == world->session && mail->seq < RENEWS_MAX &&
            world->seq_session[mail->seq] == mail->session) {
            uint64_t end_ms = world->reading_ms[mail->seq] + LEASE_MS;

            world->allowed_ms =
                end_ms > world->allowed_ms ? end_ms : world->allowed_ms;
        }
        core_renew_ack(&world->core, mail->session, now_ns, mail->seq, &terms);
        break;
    case MAIL_ORDER:
        core_order(&world->core, mail->session, now_ns, &mail->order);
        break;
    }
}

static void deliver_due(struct world *world)
{
    for (size_t i = 0; i < world->mail_count; i++) {
        struct mail mail = world->mail[i];

        if (mail.due_ms > world->now_ms) {
            continue;
        }
        world->mail[i] = world->mail[--world->mail_count];
        i--;
        deliver(world, &mail);
    }
}

static void connect_or_break(struct world *world)
{
    uint64_t now_ns = world->now_ms * MS;

    if (world->session == 0 && random_below(&world->random, 20) == 0) {
        world->generation = 1 + random_below(&world->random, 3);
        world->session = ++world->last_session;
        judge(world,
              core_session_opened(&world->core, now_ns) == world->session,
              "sessions are counted");
        post(world, MAIL_WELCOME);
    } else if (world->session != 0 && chance(world, 1)) {
        core_session_closed(&world->core, world->session);
        world->session = 0;
    }
}

/* Good orders and bad ones. */
static void give_orders(struct world *world)
{
    uint64_t uid = 1 + random_below(&world->random, VMS);
    struct model_vm *vm = &world->vms[uid];
    struct mail *mail;
    uint64_t back;

    if (world->session == 0 || random_below(&world->random, 20) != 0) {
        return;
    }
    vm->leader_epoch += random_below(&world->random, 2) || !vm->leader_epoch;
    back = chance(world, 30) ? random_below(&world->random, 4) : 0;
    mail = post(world, MAIL_ORDER);
    mail->order = (struct core_order){
        .action = world->calm ? CORE_ORDER_START
                              : (enum core_order_action)(
                                    1 + random_below(&world->random, 3)),
        .uid = uid,
        .epoch = vm->leader_epoch > back ? vm->leader_epoch - back : 0,
        .generation = world->generation + chance(world, 5),
        .stop_grace_ms = 2000};
    if (chance(world, 5)) {
        post(world, MAIL_ACK)->seq = random_below(&world->random, RENEWS_MAX);
    }
}

static void run_driver(struct world *world)
{
    uint64_t now_ns = world->now_ms * MS;

    for (uint64_t uid = 1; uid <= VMS; uid++) {
        struct model_vm *vm = &world->vms[uid];

        if (vm->alive == 0 || world->now_ms < vm->event_ms) {
            continue;
        }
        if (vm->killed || vm->stopped || (vm->running && chance(world, 1))) {
            vm->alive = 0;
            core_vm_event(&world->core, now_ns, uid, CORE_VM_GONE, "ended",
                          !vm->killed && !vm->stopped);
        } else if (!vm->running) {
            vm->running = true;
            core_vm_event(&world->core, now_ns, uid, CORE_VM_RUNNING, "",
                          false);
        }
    }
}

static void see_the_end_of_the_lease(struct world *world)
{
    for (uint64_t uid = 1; uid <= VMS; uid++) {
        judge(world,
              world->vms[uid].alive == 0 || world->vms[uid].killed ||
                  world->now_ms < world->allowed_ms,
              "no VM is left alone after the lease");
    }
}

static void run_until(struct world *world, uint64_t until_ms)
{
    for (; world->now_ms < until_ms; world->now_ms += STEP_MS) {
        connect_or_break(world);
        give_orders(world);
        deliver_due(world);
        run_driver(world);
        core_tick(&world->core, world->now_ms * MS);
        see_the_end_of_the_lease(world);
    }
}

static void run_seed(uint64_t seed, uint64_t *start_count,
                     uint64_t *lease_count)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    world->seed = seed;
    world->now_ms = 1000;
    random_init(&world->random, seed);
    core_init(&world->core, &actions, 0);
    run_until(world, CHAOS_MS);
    world->calm = true;
    run_until(world, CHAOS_MS + CALM_MS);
    judge(world, core_takes_orders(&world->core), "it comes back");
    judge(world, core_lease_live(&world->core, world->now_ms * MS),
          "it has a lease again");
    *start_count += world->start_count;
    *lease_count += world->lease_count;
    core_close(&world->core);
    free(world);
}

static void the_rules_hold_over_random_histories(void **unused)
{
    uint64_t start_count = 0;
    uint64_t lease_count = 0;

    (void)unused;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run_seed(seed, &start_count, &lease_count);
    }
    /* The histories are about something. */
    assert_true(start_count > 10 * SEEDS);
    assert_true(lease_count > 10 * SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rules_hold_over_random_histories),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
