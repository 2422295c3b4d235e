/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the rules can be broken at all: one bug after the other is switched
 * on in this build, and the rule that is there for it must be the one that says
 * so, within some seeds. */
#include "base/planted.h"

#include "base/check.h"
#include "base/container.h"
#include "base/log.h"
#include "base/memory.h"
#include "tests/sim/shrink.h"
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEEDS_MAX 400

enum planted planted;

static const struct {
    enum planted bug;
    const char *name;
    const char *rule;
    uint64_t first; /* Seed; the rare ones begin where it was found last. */
} bugs[] = {
    {PLANTED_LEASE_ENDS_EARLY, "lease-ends-early", "one-copy", 1},
    {PLANTED_EPOCH_AGAIN, "epoch-again", "epochs-rise", 270},
    {PLANTED_ANSWER_EARLY, "answer-early", "nothing-lost", 129},
    {PLANTED_EXPECT_IGNORED, "expect-ignored", "history-is-linearizable", 1},
    {PLANTED_READ_UNPROVED, "read-unproved", "linearizable", 633},
    {PLANTED_REPLY_FORGOTTEN, "reply-forgotten", "once", 1},
    {PLANTED_REFUSAL_FORGOTTEN, "refusal-forgotten", "history-is-linearizable",
     150},
    {PLANTED_CHANGE_SKIPPED, "change-skipped", "replicas-agree", 1},
    {PLANTED_USE_KEPT, "use-kept", "capacity-holds", 1},
    {PLANTED_EVENT_DIFFERS, "event-differs", "watches-have-no-gaps", 1},
    {PLANTED_REFUSAL_WRITES, "refusal-writes", "bad-input-costs-nothing", 1},
    {PLANTED_SETTINGS_FREE, "settings-free", "settings-are-safe", 1},
    {PLANTED_UNKNOWN_KILLED, "unknown-killed", "unknown-is-not-dead", 1},
    {PLANTED_STATE_LOST, "state-lost", "revisions-rise", 1},
    {PLANTED_TIME_FALLS, "time-falls", "time-rises", 1},
    {PLANTED_NO_FAILOVER, "no-failover", "all-run", 1},
    {PLANTED_STORM_STAYS, "storm-stays", "followers-judge-nothing", 1},
    {PLANTED_NEVER_IDLE, "never-idle", "idle-is-still", 1},
    {PLANTED_GIVES_UP, "gives-up", "no-failure", 1},
    {PLANTED_QUORUM_GUESSED, "quorum-guessed", "quorum-is-kept", 1},
    {PLANTED_PROMOTED_BEHIND, "promoted-behind", "promoted-are-ready", 12},
    {PLANTED_ID_AGAIN, "id-again", "ids-are-new", 1},
    {PLANTED_REMOVED_STAYS, "removed-stays", "removed-is-gone", 1},
    {PLANTED_RULE_IGNORED, "rule-ignored", "rules-hold", 1},
    {PLANTED_CLAIM_KEPT, "claim-kept", "claims-hold", 1},
    {PLANTED_PREEMPTS_EQUALS, "preempts-equals", "preemption-is-just", 1},
    {PLANTED_MEMBER_MISSING, "member-missing", "groups-converge", 1},
    {PLANTED_DRAIN_RESTS, "drain-rests", "drains-end", 34},
    {PLANTED_HEADROOM_FREE, "headroom-free", "headroom-holds", 1},
    {PLANTED_SWINGS, "swings", "idle-is-still", 1},
};

/* A story that breaks a rule gets shorter, and still breaks it. */
static bool shrinks(uint64_t seed)
{
    struct sim_options options = sim_options_default(seed);
    struct sim_world *world;
    bool *keep;
    size_t left;
    size_t all;

    options.variety = SIM_PLAIN;
    options.rebuild = SIM_REBUILD_NOT;
    world = sim_world_create(&options);
    sim_world_run(world);
    all = world->fault_count;
    keep = memory_alloc_array(all + 1, sizeof(*keep));
    left = sim_shrink(&options, world->violation, keep, all);
    printf("%-18s %-24s %zu of %zu faults are enough\n", "", "", left, all);
    free(keep);
    sim_world_destroy(world);
    return left < all && left <= 5;
}

/* Those of placement need what rich regions have. */
static enum sim_variety variety_of(enum planted bug)
{
    return bug >= PLANTED_RULE_IGNORED ? SIM_RICH : SIM_PLAIN;
}

static enum sim_rebuild rebuild_of(enum planted bug)
{
    return bug >= PLANTED_QUORUM_GUESSED && bug <= PLANTED_REMOVED_STAYS
               ? SIM_REBUILD
               : SIM_REBUILD_NOT;
}

/* In a child: some bugs end the process before any rule is asked. */
static bool catches(uint64_t seed, enum planted bug, const char *rule)
{
    int status;
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        struct sim_options options = sim_options_default(seed);
        struct sim_world *world;
        size_t len = strlen(rule);

        options.variety = variety_of(bug);
        options.rebuild = rebuild_of(bug);
        world = sim_world_create(&options);
        sim_world_run(world);
        _exit(strncmp(world->violation, rule, len) == 0 &&
                      world->violation[len] == ':'
                  ? 0
                  : 1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : NULL;
    int failed = 0;

    log_set_level(LOG_OFF);
    for (size_t i = 0; i < ARRAY_LEN(bugs); i++) {
        uint64_t seed = bugs[i].first;

        if (only != NULL && strcmp(only, bugs[i].name) != 0) {
            continue;
        }
        planted = bugs[i].bug;
        while (seed < bugs[i].first + SEEDS_MAX &&
               !catches(seed, bugs[i].bug, bugs[i].rule)) {
            seed++;
        }
        if (seed == bugs[i].first + SEEDS_MAX) {
            failed++;
            printf("%-18s %-24s NOT CAUGHT in %d seeds\n", bugs[i].name,
                   bugs[i].rule, SEEDS_MAX);
        } else {
            printf("%-18s %-24s caught by seed %" PRIu64 "\n", bugs[i].name,
                   bugs[i].rule, seed);
            failed += planted == PLANTED_LEASE_ENDS_EARLY && !shrinks(seed);
        }
        (void)fflush(stdout);
    }
    return failed == 0 ? 0 : 1;
}
