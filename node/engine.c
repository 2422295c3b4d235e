/* SPDX-License-Identifier: Apache-2.0 */
#include "node/engine.h"

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/planted.h"
#include "node/limits.h"
#include "placement/headroom.h"
#include "state/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* How often the leader looks whether leases have ended: small beside them, and
 * rare beside the loop's turns. */
#define JUDGE_PERIOD_MS 20

/* A wall clock this far behind is told. */
#define SKEW_TOLD_MS 5000

static struct engine *engine_of(struct replica_owner *owner)
{
    return container_of(owner, struct engine, owner);
}

/* --- The applied state --------------------------------------------------- */

/* The agents' sessions of the hosts that it was on and is on. */
static void note_vm(struct engine *engine, const struct vm *vm)
{
    sessions_note_vm(&engine->sessions, vm->host, vm->uid);
    if (vm->last_host != vm->host) {
        sessions_note_vm(&engine->sessions, vm->last_host, vm->uid);
    }
}

static void on_event(struct event_sink *sink, const struct event *event)
{
    struct engine *engine = container_of(sink, struct engine, sink);

    if (PLANTED(EVENT_DIFFERS) && !engine_leads(engine) &&
        event->revision % 64 == 0) {
        struct event other = *event;

        other.time_ms++;
        watch_ring_add(&engine->ring, engine->state, &other);
        return;
    }
    watch_ring_add(&engine->ring, engine->state, event);
    if (!engine_leads(engine)) {
        return;
    }
    failover_note(&engine->failover, event);
    move_control_note(&engine->moves, event);
    group_control_note(&engine->groups, event);
    plan_book_note(&engine->plans, event);
    if (event->kind == EVENT_VM) {
        note_vm(engine, event->vm);
    } else if (event->kind == EVENT_HOST) {
        sessions_note_host(&engine->sessions, uid_slot(event->host->uid));
    } else if (event->kind == EVENT_SETTINGS) {
        engine->turn.settings_since_ms = engine->now.boot_ms;
    }
}

static bool has_region(const struct engine *engine)
{
    return region_id_is_set(state_region(engine->state));
}

static void log_region(const struct engine *engine)
{
    char id[REGION_TEXT_BYTES];

    region_text(state_region(engine->state), id);
    log_info("region.id", "region=%s region_id=%s", engine->sessions.region,
             id);
}

/* This copy ends here. */
static void stop_applying(struct engine *engine, uint64_t index, int error)
{
    const char *reason = "an entry of the log does not fit this copy";

    if (error == HF_ERROR_UNSUPPORTED) {
        reason = "an entry of the log is of a newer version";
        log_error("state.too_old",
                  "index=%" PRIu64 " reason=\"a newer version wrote this "
                  "entry\" cure=\"install that version on this node and start "
                  "it; its data is sound\"",
                  index);
    } else {
        log_error("state.diverged",
                  "index=%" PRIu64 " error=%s cure=\"this copy must not go "
                  "on: remove the node and join under a new id\"",
                  index, hf_error_name(error));
    }
    engine->ops->failed(engine, REPLICA_FAILED_DIVERGED, reason);
}

static void apply(struct replica_owner *owner, uint64_t index, uint64_t term,
                  const uint8_t *data, size_t len)
{
    struct engine *engine = engine_of(owner);
    bool had_region = has_region(engine);
    struct batch batch;
    int rv;

    (void)term;
    arena_clear(&engine->arena);
    rv = batch_decode(data, len, &engine->arena, &batch);
    if (PLANTED(CHANGE_SKIPPED) && rv == 0 && engine_leads(engine) &&
        index % 64 == 0) {
        batch.count--;
    }
    if (rv == 0) {
        rv = state_apply_batch(engine->state, &batch, &engine->sink);
    }
    if (PLANTED(STATE_LOST) && index % 256 == 0) {
        state_destroy(engine->state);
        engine->state = state_create();
        engine->applied = engine->state;
    }
    if (PLANTED(GIVES_UP) && index % 256 == 0) {
        rv = HF_ERROR_CORRUPT;
    }
    if (rv != 0) {
        stop_applying(engine, index, rv);
        return;
    }
    activity_note(&engine->activity, &batch, engine->state);
    if (!had_region && has_region(engine)) {
        log_region(engine);
    }
}

/* A clone that a storage thread writes out. */
struct state_content {
    struct snapshot_content content;
    struct snapshot_writer writer;
    struct state *clone;
};

static bool content_next(struct snapshot_content *content, struct bytes *out,
                         size_t budget)
{
    struct state_content *held =
        container_of(content, struct state_content, content);

    return snapshot_writer_next(&held->writer, out, budget);
}

static void content_destroy(struct snapshot_content *content)
{
    struct state_content *held =
        container_of(content, struct state_content, content);

    state_destroy(held->clone);
    free(held);
}

static struct snapshot_content *snapshot_take(struct replica_owner *owner)
{
    struct state_content *held = memory_alloc(sizeof(*held));

    held->content = (struct snapshot_content){content_next, content_destroy};
    held->clone = state_clone(engine_of(owner)->state);
    snapshot_writer_init(&held->writer, held->clone);
    return &held->content;
}

static int snapshot_restore(struct replica_owner *owner,
                            struct snapshot_source *source)
{
    struct engine *engine = engine_of(owner);
    struct snapshot_reader *reader = snapshot_reader_create();
    struct state *restored;
    const uint8_t *data;
    size_t len;
    int rv;

    do {
        rv = snapshot_source_next(source, &data, &len);
        if (rv == 0 && len > 0) {
            rv = snapshot_reader_feed(reader, data, len);
        }
    } while (rv == 0 && len > 0);
    if (rv != 0) {
        snapshot_reader_abandon(reader);
        return rv;
    }
    restored = snapshot_reader_finish(reader);
    if (restored == NULL) {
        return HF_ERROR_CORRUPT;
    }
    state_destroy(engine->state);
    engine->state = restored;
    engine->applied = restored;
    watch_ring_restart(&engine->ring, state_revision(restored));
    log_info("state.restored", "index=%" PRIu64 " revision=%" PRIu64,
             snapshot_source_index(source), state_revision(restored));
    if (has_region(engine)) {
        log_region(engine);
    }
    return 0;
}

/* --- Leadership ---------------------------------------------------------- */

static void on_leadership(struct replica_owner *owner,
                          const struct replica_leadership *leadership)
{
    struct engine *engine = engine_of(owner);

    engine->leadership = *leadership;
    if (engine_leads(engine) && leadership->state != REPLICA_LEADER) {
        turn_lead(&engine->turn, false);
        /* A storm that it saw, woken from a long halt, is not the region's. */
        if (!PLANTED(STORM_STAYS)) {
            judge_reset(&engine->judge);
        }
        failover_drop(&engine->failover);
        move_control_drop(&engine->moves);
        plan_book_drop(&engine->plans);
        sessions_drop(&engine->sessions);
    }
    engine->ops->leadership(engine);
}

/* Stamps stay ahead then; only people are misled, but they should know. */
static void warn_of_wall_clock(const struct engine *engine)
{
    uint64_t state_ms = state_time_ms(engine->state);
    uint64_t wall_ms = engine->now.wall_ms;

    if (state_ms > wall_ms && state_ms - wall_ms >= SKEW_TOLD_MS) {
        log_warn("clock.behind",
                 "this node's wall clock is %" PRIu64
                 " ms behind the stamps of an earlier leader; check the time "
                 "synchronisation of all nodes",
                 state_ms - wall_ms);
    }
}

static void on_proved(struct replica_owner *owner, uint64_t term,
                      uint64_t index)
{
    struct engine *engine = engine_of(owner);
    uint64_t now_ms = engine->now.boot_ms;

    log_info("leader.proved", "term=%" PRIu64 " index=%" PRIu64, term, index);
    leases_reset(&engine->leases, engine->state, now_ms);
    judge_reset(&engine->judge);
    failover_lead(&engine->failover, engine->state);
    move_control_lead(&engine->moves, engine->state);
    group_control_lead(&engine->groups, engine->state);
    engine->turn.settings_since_ms = now_ms;
    leader_time_begin(&engine->time, state_time_ms(engine->state), now_ms);
    warn_of_wall_clock(engine);
    turn_lead(&engine->turn, true);
}

static void on_members(struct replica_owner *owner)
{
    struct engine *engine = engine_of(owner);

    if (engine->ops->members != NULL) {
        engine->ops->members(engine);
    }
}

static void on_failed(struct replica_owner *owner, enum replica_failure failure,
                      const char *reason)
{
    struct engine *engine = engine_of(owner);

    engine->ops->failed(engine, failure, reason);
}

static void on_wake(struct replica_owner *owner)
{
    struct engine *engine = engine_of(owner);

    engine->wake_asked = true;
    engine->ops->wake(engine);
}

/* --- The turn's log ------------------------------------------------------ */

static int outcome_status(enum replica_outcome outcome)
{
    return outcome == REPLICA_COMMITTED ? 0 : HF_ERROR_NOT_LEADER;
}

static void submit_done(struct replica_submit *request,
                        enum replica_outcome outcome, uint64_t index)
{
    struct engine *engine = container_of(request, struct engine, submit);

    (void)index;
    if (PLANTED(ANSWER_EARLY)) {
        return;
    }
    turn_finished(&engine->turn, outcome_status(outcome));
}

static void barrier_done(struct replica_barrier *request,
                         enum replica_outcome outcome, uint64_t index)
{
    struct engine *engine = container_of(request, struct engine, barrier);

    (void)index;
    turn_finished(&engine->turn, outcome_status(outcome));
}

static bool log_ready(struct turn_log *log)
{
    struct engine *engine = container_of(log, struct engine, log);

    return replica_is_ready(engine->replica);
}

static int log_submit(struct turn_log *log, const void *data, size_t len)
{
    struct engine *engine = container_of(log, struct engine, log);
    int rv = replica_submit(engine->replica, data, len, &engine->submit,
                            submit_done);

    if (PLANTED(ANSWER_EARLY) && rv == 0) {
        turn_finished(&engine->turn, 0);
    }
    return rv;
}

static int log_barrier(struct turn_log *log)
{
    struct engine *engine = container_of(log, struct engine, log);

    if (PLANTED(READ_UNPROVED)) {
        turn_finished(&engine->turn, 0);
        return 0;
    }
    return replica_barrier(engine->replica, &engine->barrier, barrier_done);
}

/* --- In and out ---------------------------------------------------------- */

void engine_init(struct engine *engine, const struct engine_ops *ops,
                 const struct engine_config *config)
{
    *engine = (struct engine){.ops = ops};
    engine->state = state_create();
    engine->applied = engine->state;
    arena_init(&engine->arena, BATCH_ARENA_BYTES);
    engine->sink.event = on_event;
    watch_ring_init(&engine->ring, config->watch_events, 0);
    page_book_init(&engine->pages);
    engine->log = (struct turn_log){log_ready, log_submit, log_barrier};
    leases_init(&engine->leases);
    judge_init(&engine->judge, &engine->leases);
    failover_init(&engine->failover, &engine->judge);
    move_control_init(&engine->moves, &engine->judge,
                      &engine->failover.pending);
    group_control_init(&engine->groups);
    apply_control_init(&engine->applies);
    plan_book_init(&engine->plans);
    region_birth_init(&engine->birth, config->drawn);
    engine->controllers[0] = &engine->birth.controller;
    engine->controllers[1] = &engine->judge.controller;
    engine->controllers[2] = &engine->moves.controller;
    engine->controllers[3] = &engine->failover.controller;
    engine->controllers[4] = &engine->groups.controller;
    engine->controllers[5] = &engine->applies.controller;
    turn_init(&engine->turn, &engine->log, &engine->applied,
              engine->controllers, ARRAY_LEN(engine->controllers));
    engine->turn.leases = &engine->leases;
    engine->turn.plans = &engine->plans;
    sessions_init(&engine->sessions, &engine->turn, &engine->leases,
                  &engine->applied, config->region);
}

int engine_start(struct engine *engine, const struct replica_config *config,
                 const struct replica_environment *environment,
                 const struct engine_time *now)
{
    engine->now = *now;
    engine->owner = (struct replica_owner){
        .apply = apply,
        .leadership = on_leadership,
        .members = on_members,
        .proved = on_proved,
        .snapshot_take = snapshot_take,
        .snapshot_restore = snapshot_restore,
        .failed = on_failed,
        .wake = on_wake,
    };
    engine->replica = replica_create(config, environment, &engine->owner);
    return replica_start(engine->replica, now->boot_ms);
}

void engine_receive(struct engine *engine, uint64_t from, const uint8_t *data,
                    size_t len, const struct engine_time *now)
{
    engine->now = *now;
    replica_receive(engine->replica, from, data, len, now->boot_ms);
}

static void look_around(struct engine *engine, uint64_t time_ms)
{
    uint64_t now_ms = engine->now.boot_ms;

    if (now_ms >= engine->judge_next_ms) {
        engine->judge_next_ms = now_ms + JUDGE_PERIOD_MS;
        engine->judge.zones_reachable = engine->ops->zones_reachable(engine);
        engine->turn.voters = (struct turn_voters){.count = 0};
        engine->ops->voters(engine, &engine->turn.voters);
        if (judge_is_due(&engine->judge, engine->state, now_ms, time_ms)) {
            turn_want(&engine->turn);
        }
    }
    if (failover_is_due(&engine->failover, engine->state, now_ms) ||
        move_control_is_due(&engine->moves, engine->state, now_ms) ||
        group_control_is_due(&engine->groups, now_ms) ||
        apply_control_is_due(&engine->applies, engine->state, now_ms)) {
        turn_want(&engine->turn);
    }
}

static bool work_on_plans(struct engine *engine, const struct placer *placer,
                          uint64_t time_ms)
{
    const struct plan_slice slice = {
        .start =
            {
                .state = engine->state,
                .placer = placer,
                .time_ms = time_ms,
                .voters = &engine->turn.voters,
            },
        .now_ms = engine->now.boot_ms,
        .clock_us = engine->ops->clock_us,
    };

    return plan_book_work(&engine->plans, &slice);
}

/* One slice of what is worked out between turns, the most urgent first; then
 * the loop does what else is due. */
static void work(struct engine *engine, uint64_t time_ms)
{
    struct placer *placer = turn_placer(&engine->turn);
    bool done = true;

    /* What controllers remember is of decisions that may not have come about.
     */
    if (engine->turns_failed != engine->turn.failures) {
        engine->turns_failed = engine->turn.failures;
        failover_turn_failed(&engine->failover);
        move_control_lead(&engine->moves, engine->state);
        group_control_lead(&engine->groups, engine->state);
    }
    if (placer != NULL || evacuator_is_planning(&engine->failover.evacuator)) {
        done = failover_work(&engine->failover, engine->state);
    }
    if (done && placer != NULL) {
        done = headroom_work(placer, engine->state, HEADROOM_SLICE_VMS);
    }
    done &= move_control_work(&engine->moves);
    if (placer != NULL) {
        done &= work_on_plans(engine, placer, time_ms);
    }
    if (!done) {
        engine->ops->wake(engine);
    }
}

void engine_pump(struct engine *engine, const struct engine_time *now)
{
    engine->now = *now;
    page_book_tick(&engine->pages, now->boot_ms);
    if (engine->wake_asked ||
        now->boot_ms >= replica_deadline(engine->replica)) {
        engine->wake_asked = false;
        replica_tick(engine->replica, now->boot_ms);
    }
    if (engine_leads(engine)) {
        uint64_t time_ms =
            leader_time_now(&engine->time, now->wall_ms, now->boot_ms);

        work(engine, time_ms);
        look_around(engine, time_ms);
        turn_run(&engine->turn, time_ms, now->boot_ms);
        if (!engine->turn.flying && !turn_is_prepared(&engine->turn)) {
            engine->ops->wake(engine);
        }
        sessions_pump(&engine->sessions, now->boot_ms);
    }
}

uint64_t engine_deadline(const struct engine *engine)
{
    uint64_t deadline_ms = replica_deadline(engine->replica);

    return engine_leads(engine) && engine->judge_next_ms < deadline_ms
               ? engine->judge_next_ms
               : deadline_ms;
}

void engine_stop(struct engine *engine)
{
    replica_stop(engine->replica);
    if (engine->turn.flying) {
        turn_finished(&engine->turn, HF_ERROR_NOT_LEADER);
    }
    turn_lead(&engine->turn, false);
    plan_book_drop(&engine->plans);
    sessions_drop(&engine->sessions);
}

void engine_close(struct engine *engine)
{
    replica_destroy(engine->replica);
    sessions_close(&engine->sessions);
    plan_book_close(&engine->plans);
    group_control_close(&engine->groups);
    move_control_close(&engine->moves);
    failover_close(&engine->failover);
    turn_close(&engine->turn);
    leases_close(&engine->leases);
    watch_ring_close(&engine->ring);
    page_book_close(&engine->pages);
    arena_close(&engine->arena);
    state_destroy(engine->state);
}
