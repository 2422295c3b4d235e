/* SPDX-License-Identifier: Apache-2.0 */
#include "node/turn.h"

#include "base/check.h"
#include "base/error.h"
#include "node/limits.h"
#include "raft/limits.h"

_Static_assert(TURN_BYTES_SOFT_MAX + TURN_REQUEST_BYTES_MAX <=
                   RAFT_ENTRY_BYTES_MAX,
               "what a turn decides must fit one entry");

static const uint32_t lane_max[LANE_COUNT] = {
    [LANE_FAILOVER] = LANE_FAILOVER_MAX,
    [LANE_MUTATION] = LANE_MUTATION_MAX,
    [LANE_READ] = LANE_READ_MAX,
};

void turn_init(struct turn *turn, struct turn_log *log,
               const struct state **applied,
               struct turn_controller **controllers, size_t controller_count)
{
    *turn = (struct turn){
        .log = log,
        .applied = applied,
        .controllers = controllers,
        .controller_count = controller_count,
        .placer = placer_create(),
        .placer_revision = UINT64_MAX,
    };
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        list_init(&turn->lanes[lane]);
    }
    list_init(&turn->in_flight);
}

void turn_close(struct turn *turn)
{
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        CHECK(list_empty(&turn->lanes[lane]));
    }
    CHECK(list_empty(&turn->in_flight));
    placer_destroy(turn->placer);
}

int turn_submit(struct turn *turn, enum turn_lane lane,
                struct turn_request *request)
{
    if (!turn->leading) {
        return HF_ERROR_NOT_LEADER;
    }
    if (turn->queued[lane] >= lane_max[lane]) {
        return HF_ERROR_BUSY;
    }
    list_init(&request->link);
    list_append(&turn->lanes[lane], &request->link);
    turn->queued[lane]++;
    return 0;
}

void turn_cancel(struct turn *turn, struct turn_request *request)
{
    struct list *at;

    CHECK(request->plan == NULL);
    list_foreach (at, &turn->lanes[LANE_READ]) {
        if (at == &request->link) {
            turn->queued[LANE_READ]--;
            break;
        }
    }
    list_remove(&request->link);
}

void turn_want(struct turn *turn)
{
    turn->wanted = true;
}

static void plan_lane(struct turn *turn, enum turn_lane lane,
                      struct turn_plan *plan)
{
    uint32_t taken = 0;

    while (!list_empty(&turn->lanes[lane]) && taken < TURN_REQUESTS_MAX &&
           plan->entry.len < TURN_BYTES_SOFT_MAX) {
        struct list *link = list_first(&turn->lanes[lane]);
        struct turn_request *request =
            list_entry(link, struct turn_request, link);

        list_remove(link);
        list_append(&turn->in_flight, link);
        turn->queued[lane]--;
        turn->planned[lane]++;
        taken++;
        if (request->plan != NULL) {
            request->plan(request, plan);
        }
    }
}

static void fail_all(struct list *requests)
{
    struct list failed;

    /* A request's `done` may submit others, so the list is taken first. */
    list_init(&failed);
    list_splice(&failed, requests);
    while (!list_empty(&failed)) {
        struct list *link = list_first(&failed);
        struct turn_request *request =
            list_entry(link, struct turn_request, link);

        list_remove(link);
        request->done(request, HF_ERROR_NOT_LEADER);
    }
}

/* Only turns change the state of a leader. The revision is compared all the
 * same: a placer that knows another state would decide what apply aborts for.
 * While a turn that decided something is in flight the placer is ahead. */
bool turn_is_prepared(const struct turn *turn)
{
    return turn->placer_revision == state_revision(*turn->applied) &&
           placer_is_ready(turn->placer);
}

bool turn_prepare(struct turn *turn)
{
    const struct state *state = *turn->applied;

    if (!turn->leading) {
        return true;
    }
    if (turn->placer_revision != state_revision(state)) {
        if (turn->flying) {
            return true;
        }
        placer_rebuild_begin(turn->placer, state);
        turn->placer_revision = state_revision(state);
    }
    return placer_work(turn->placer, state, PLACER_SLICE_HOSTS);
}

static void make_plan(struct turn *turn, struct turn_plan *plan, bool ready)
{
    struct batch_head head;

    state_begin(plan->scratch, plan->time_ms);
    head = (struct batch_head){
        .base_revision = state_revision(*turn->applied),
        .base_hash = state_hash(*turn->applied),
        .time_ms = state_time_ms(plan->scratch),
    };
    plan->time_ms = head.time_ms;
    batch_begin(&plan->entry, &head);
    if (!ready) {
        plan_lane(turn, LANE_READ, plan);
        return;
    }
    turn_work_begin(plan, TURN_WORK_MAX);
    for (size_t i = 0; i < turn->controller_count; i++) {
        turn->controllers[i]->plan(turn->controllers[i], plan);
    }
    /* Requests have their own: what they make is placed although there are more
     * that wait than one turn looks at. */
    turn_work_begin(plan, TURN_WORK_MAX);
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        plan_lane(turn, (enum turn_lane)lane, plan);
    }
    turn->placer_revision = state_revision(plan->scratch);
}

struct placer *turn_placer(struct turn *turn)
{
    return turn->leading && !turn->flying && turn_is_prepared(turn)
               ? turn->placer
               : NULL;
}

static bool is_due(const struct turn *turn, bool ready)
{
    if (!ready) {
        return turn->queued[LANE_READ] > 0;
    }
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        if (turn->queued[lane] > 0) {
            return true;
        }
    }
    return turn->wanted;
}

void turn_run(struct turn *turn, uint64_t time_ms, uint64_t now_ms)
{
    struct turn_plan plan = {
        .placer = turn->placer,
        .time_ms = time_ms,
        .now_ms = now_ms,
        .settings_since_ms = turn->settings_since_ms,
        .leases = turn->leases,
        .plans = turn->plans,
        .voters = &turn->voters,
        .sink = {turn_plan_event},
    };
    bool ready = turn_prepare(turn);
    int rv;

    if (!turn->leading || turn->flying) {
        return;
    }
    /* While the log takes no entry (leadership is handed over, the disk is
     * behind), nothing is decided that would then have to be taken back; nor
     * is anything before the placer is prepared. Reads go on. */
    ready = ready && turn->log->ready(turn->log);
    if (!is_due(turn, ready)) {
        return;
    }
    turn->wanted = turn->wanted && !ready;
    turn->flying = true;
    turn->turns++;
    plan.scratch = state_clone(*turn->applied);
    bytes_init(&plan.entry);
    make_plan(turn, &plan, ready);
    if (plan.change_count > 0) {
        rv = turn->log->submit(turn->log, plan.entry.data, plan.entry.len);
        turn->entries++;
        turn->entry_bytes += plan.entry.len;
    } else {
        rv = turn->log->barrier(turn->log);
    }
    bytes_close(&plan.entry);
    state_destroy(plan.scratch);
    if (rv != 0) {
        turn_finished(turn, rv);
    }
}

void turn_finished(struct turn *turn, int status)
{
    struct list finished;

    CHECK(turn->flying);
    turn->flying = false;
    if (status != 0) {
        turn->placer_revision = UINT64_MAX;
        turn->failures++;
        fail_all(&turn->in_flight);
        return;
    }
    list_init(&finished);
    list_splice(&finished, &turn->in_flight);
    while (!list_empty(&finished)) {
        struct list *link = list_first(&finished);
        struct turn_request *request =
            list_entry(link, struct turn_request, link);

        list_remove(link);
        request->done(request, 0);
    }
}

void turn_lead(struct turn *turn, bool leading)
{
    turn->leading = leading;
    turn->wanted = leading;
    turn->placer_revision = UINT64_MAX;
    if (leading) {
        return;
    }
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        turn->queued[lane] = 0;
        fail_all(&turn->lanes[lane]);
    }
}
