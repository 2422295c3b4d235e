/* SPDX-License-Identifier: Apache-2.0
 *
 * Members of a group that are on their way: where they count, and what is left
 * for others. */
#include "placement_rebalancing.h"

static void claim(struct state *state, const char *name, const char *where)
{
    apply(state, (struct change){.kind = CHANGE_VM_CLAIM,
                                 .vm_claim = {{vm(state, name)->uid},
                                              {host(state, where)->uid},
                                              MOVE_CAUSE_PLAN,
                                              1}});
}

/* A plan's rounds: what an earlier one decided holds room, and has not gone. */
static void moves_that_wait_count_for_the_rule_that_wants_them(void **unused)
{
    struct state *state = region();
    struct result result;
    uint32_t moves = 0;

    (void)unused;
    add_group(state, "web", ZONE_RULE_SPREAD, 1);
    add_many(state, "web", "a0", 8, (struct wish){.group = "web"});
    while ((result = zones(state, 2)).count > 0) {
        for (uint32_t i = 0; i < result.count; i++) {
            claim(state, moved(state, &result, i), target(state, &result, i));
        }
        moves += result.count;
    }
    assert_int_equal(moves, 5);
    state_destroy(state);
}

/* Where a second member may go while the first moves from za to zb, and once it
 * has left za. */
static const struct {
    enum zone_rule rule;
    const char *best; /* Of all zones, */
    bool moving[3];
    bool between[3];
} movers[] = {
    {ZONE_RULE_APART, "zc", {false, false, true}, {true, false, true}},
    {ZONE_RULE_SPREAD, "zc", {true, false, true}, {true, false, true}},
    {ZONE_RULE_TOGETHER, "zb", {false, true, false}, {false, true, false}},
};

static void check_mover(struct state *state, struct placer *placer,
                        const bool *expected)
{
    struct placer *fresh = placer_create();

    placer_rebuild(fresh, state);
    for (uint32_t zone = 0; zone < 3; zone++) {
        bool may = placer_refusal(placer, state, vm(state, "m1"), 2 * zone) ==
                   PLACEMENT_REFUSAL_COUNT;

        assert_int_equal(may, expected[zone]);
        may = placer_refusal(fresh, state, vm(state, "m1"), 2 * zone) ==
              PLACEMENT_REFUSAL_COUNT;
        assert_int_equal(may, expected[zone]);
    }
    placer_destroy(fresh);
}

static void a_member_that_moves_keeps_its_place(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(movers); i++) {
        struct state *state = region();
        struct placer *placer = placer_create();
        struct placement_request request;
        struct placement_choice choice;
        uint32_t slot;

        add_group(state, "web", movers[i].rule, 1);
        add_many(state, "m", "a0", 2, (struct wish){.group = "web"});
        add_wished(state, "other", "c0", (struct wish){.class = "four"});
        apply(state,
              (struct change){
                  .kind = CHANGE_VM_RELEASE,
                  .vm_release = {.vm = {vm(state, "m1")->uid}, .epoch = 1}});
        placer_rebuild(placer, state);
        slot = uid_slot(vm(state, "m0")->uid);
        claim(state, "m0", "b0");
        placer_vm_changed(placer, state, slot);
        check_mover(state, placer, movers[i].moving);
        apply(state,
              (struct change){.kind = CHANGE_VM_MOVE,
                              .vm_move = {.vm = {vm(state, "m0")->uid},
                                          .host = {host(state, "b0")->uid},
                                          .cause = MOVE_CAUSE_PLAN}});
        placer_vm_changed(placer, state, slot);
        check_mover(state, placer, movers[i].moving);
        request = (struct placement_request){vm(state, "m1"), SLOT_NONE};
        placer_choose(placer, state, &request, &choice);
        assert_string_equal(
            state_zone_at(state, state_host_at(state, choice.host)->zone)->name,
            movers[i].best);
        apply(state,
              (struct change){
                  .kind = CHANGE_VM_RELEASE,
                  .vm_release = {.vm = {vm(state, "m0")->uid}, .epoch = 1}});
        placer_vm_changed(placer, state, slot);
        check_mover(state, placer, movers[i].between);
        /* It has a place itself, and it is no longer on its way there. */
        assert_int_equal(placer_refusal(placer, state, vm(state, "m0"), 2),
                         PLACEMENT_REFUSAL_COUNT);
        assign(state, "m0", "b0");
        placer_vm_changed(placer, state, slot);
        check_mover(state, placer, movers[i].between);
        placer_destroy(placer);
        state_destroy(state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_that_wait_count_for_the_rule_that_wants_them),
        cmocka_unit_test(a_member_that_moves_keeps_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
