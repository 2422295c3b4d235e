/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of members on record: begun, then done or not, by whichever leader
 * finds them open. The members are the test's; the state is a region's. */
#include "base/container.h"
#include "node/members_audit.h"
#include "support/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <holdfast/v1/cluster_service.pb-c.h>

static const struct access_subject anna = {SUBJECT_BY_CERTIFICATE, "anna", {0}};

static const struct member n4 = {4, REPLICA_STANDBY, "n4", "z2", "10.0.0.4:1"};

static struct members region(void)
{
    struct members members;

    members_init(&members);
    for (uint64_t id = 1; id <= 3; id++) {
        struct member *member = &members.items[members.count++];

        *member = (struct member){.id = id, .role = REPLICA_VOTER};
        snprintf(member->name, sizeof(member->name), "n%u", (unsigned)id);
        snprintf(member->zone, sizeof(member->zone), "z%u", (unsigned)id);
    }
    members.id_max = 3;
    return members;
}

/* A call as node_members.c makes it. */
struct call {
    struct desk_decision decision;
    struct api_method method;
    enum membership_step step;
    const ProtobufCMessage *message;
    struct member member;
    struct api_reply reply;
    bool begun;
};

static void begin(const ProtobufCMessage *message, struct turn_plan *plan,
                  struct api_reply *reply)
{
    struct call *call = container_of(reply, struct call, reply);

    members_audit_begin(call->step, message, &call->member, plan, reply);
    reply->recorded = true;
    reply->remembering = false;
    call->begun = true;
}

static void decide_call(struct desk_decision *decision, struct turn_plan *plan)
{
    struct call *call = container_of(decision, struct call, decision);

    api_mutate(&call->method, call->message, plan, &call->reply);
}

static void ask(struct desk *desk, struct call *call, enum membership_step step,
                const ProtobufCMessage *message, struct member member)
{
    *call = (struct call){
        .decision = {decide_call},
        .method = members_audit_methods[step],
        .step = step,
        .message = message,
        .member = member,
    };
    call->method.mutate = begin;
    api_reply_init(&call->reply);
    call->reply.caller = &anna;
    desk_decide(desk, &call->decision);
}

/* A leader that knows the members and nothing else. */
struct leader {
    struct desk_decision decision;
    struct members members;
    struct api_reply reply;
    bool done;
};

static void decide_end(struct desk_decision *decision, struct turn_plan *plan)
{
    struct leader *leader = container_of(decision, struct leader, decision);

    leader->done = members_audit_end(&leader->members, plan, &leader->reply);
}

static void end(struct desk *desk, struct leader *leader,
                const struct members *members)
{
    *leader = (struct leader){.decision = {decide_end}, .members = *members};
    api_reply_init(&leader->reply);
    desk_decide(desk, &leader->decision);
}

static void close_both(struct call *call, struct leader *leader)
{
    api_reply_close(&call->reply);
    api_reply_close(&leader->reply);
}

static Holdfast__V1__AddNodeRequest add_request(void)
{
    Holdfast__V1__AddNodeRequest request = HOLDFAST__V1__ADD_NODE_REQUEST__INIT;

    request.name = (char *)(uintptr_t) "n4";
    request.id = 4;
    request.zone = (char *)(uintptr_t) "z2";
    request.address = (char *)(uintptr_t) "10.0.0.4:1";
    request.reason = (char *)(uintptr_t) "more room";
    request.request_id = (char *)(uintptr_t) "r1";
    request.expect_revision = 7;
    return request;
}

/* Its answer again is the one that the leader gave that ended the change, and
 * nothing is begun for it. */
static void check_repeated(struct desk *desk, enum membership_step step,
                           const ProtobufCMessage *message,
                           struct member member, const struct leader *leader)
{
    uint64_t hash = state_hash(desk->state);
    struct call again;

    ask(desk, &again, step, message, member);
    assert_int_equal(again.reply.code, RPC_OK);
    assert_false(again.begun);
    assert_int_equal(again.reply.response.len, leader->reply.response.len);
    assert_memory_equal(again.reply.response.data, leader->reply.response.data,
                        again.reply.response.len);
    assert_true(state_hash(desk->state) == hash);
    api_reply_close(&again.reply);
}

static void a_change_is_on_record_before_it_is_made_and_after(void **unused)
{
    struct desk *desk = desk_create();
    Holdfast__V1__AddNodeRequest request = add_request();
    struct members members = region();
    struct call call;
    struct leader leader;

    (void)unused;
    assert_false(members_audit_is_open(desk->state));
    ask(desk, &call, MEMBERSHIP_ADD, &request.base, n4);
    assert_true(call.begun);
    assert_true(members_audit_is_open(desk->state));
    desk_ok(desk, "ListAuditRecords", "{}");
    desk_says(desk, "\"caller\":\"client:anna\"");
    desk_says(desk, "\"method\":\"ClusterService/AddNode\"");
    desk_says(desk, "\"object_kind\":\"node\",\"object_name\":\"n4\"");
    desk_says(desk, "\"request_id\":\"r1\"");
    desk_says(desk, "\"reason\":\"more room\"");
    desk_says(desk, "{\"name\":\"step\",\"value\":\"begun\"}");
    desk_says_not(desk, "voters");
    members.items[members.count++] = n4;
    end(desk, &leader, &members);
    assert_true(leader.done);
    assert_false(members_audit_is_open(desk->state));
    desk_ok(desk, "ListAuditRecords", "{}");
    desk_says(desk, "{\"name\":\"step\",\"value\":\"done\"}");
    desk_says(desk,
              "{\"field\":\"standbys\",\"before\":\"\",\"after\":\"n4\"}");
    desk_says_not(desk, "\"field\":\"voters\"");
    check_repeated(desk, MEMBERSHIP_ADD, &request.base, n4, &leader);
    close_both(&call, &leader);
    desk_destroy(desk);
}

/* The leader fell when the configuration was committed, and others wrote other
 * records since. */
static void another_leader_ends_what_it_finds_done(void **unused)
{
    Holdfast__V1__PromoteNodeRequest promote =
        HOLDFAST__V1__PROMOTE_NODE_REQUEST__INIT;
    Holdfast__V1__RemoveNodeRequest removal =
        HOLDFAST__V1__REMOVE_NODE_REQUEST__INIT;
    struct desk *desk = desk_create();
    struct members members = region();
    struct member voter = n4;
    struct call call;
    struct leader leader;

    (void)unused;
    voter.role = REPLICA_VOTER;
    members.items[members.count++] = voter;
    promote.name = (char *)(uintptr_t) "n4";
    promote.request_id = (char *)(uintptr_t) "r2";
    ask(desk, &call, MEMBERSHIP_PROMOTE, &promote.base, voter);
    desk_ok(desk, "CreateZone", "name: z4");
    desk_ok(desk, "UpdateSettings",
            "{settings: {start_parallel: 9}, update_mask: [start_parallel]}");
    assert_true(members_audit_is_open(desk->state));
    end(desk, &leader, &members);
    assert_true(leader.done);
    desk_ok(desk, "ListAuditRecords", "{}");
    desk_says(desk, "{\"field\":\"voters\",\"before\":\"n1,n2,n3\",\"after\":"
                    "\"n1,n2,n3,n4\"}");
    desk_says(desk, "{\"field\":\"members.n4\",\"before\":\"standby\","
                    "\"after\":\"voter\"}");
    desk_says(desk,
              "{\"field\":\"standbys\",\"before\":\"n4\",\"after\":\"\"}");
    check_repeated(desk, MEMBERSHIP_PROMOTE, &promote.base, voter, &leader);
    close_both(&call, &leader);

    removal.name = (char *)(uintptr_t) "n2";
    removal.allow_fewer_voters = true;
    removal.request_id = (char *)(uintptr_t) "r3";
    ask(desk, &call, MEMBERSHIP_REMOVE, &removal.base, members.items[1]);
    members.items[1] = members.items[--members.count];
    end(desk, &leader, &members);
    assert_true(leader.done);
    desk_ok(desk, "ListAuditRecords", "{}");
    desk_says(desk,
              "{\"field\":\"voters\",\"before\":\"n1,n2,n3,n4\",\"after\":"
              "\"n1,n3,n4\"}");
    check_repeated(desk, MEMBERSHIP_REMOVE, &removal.base, n4, &leader);
    /* The answer is of the one who went. */
    assert_non_null(
        memmem(leader.reply.response.data, leader.reply.response.len, "n2", 2));
    close_both(&call, &leader);
    desk_destroy(desk);
}

/* It fell before: nothing is claimed, and the request may be made again. */
static void what_was_begun_and_not_done_is_said_to_be_that(void **unused)
{
    struct desk *desk = desk_create();
    Holdfast__V1__AddNodeRequest request = add_request();
    struct members members = region();
    struct call call;
    struct leader leader;
    uint64_t last;

    (void)unused;
    ask(desk, &call, MEMBERSHIP_ADD, &request.base, n4);
    end(desk, &leader, &members);
    assert_false(leader.done);
    assert_int_equal(leader.reply.response.len, 0);
    assert_false(members_audit_is_open(desk->state));
    desk_ok(desk, "ListAuditRecords", "{}");
    desk_says(desk, "{\"name\":\"step\",\"value\":\"not done\"}");
    desk_says_not(desk, "standbys");
    desk_says_not(desk, "members.");
    close_both(&call, &leader);
    /* Nothing is open: nothing is written. */
    last = state_audit_last(desk->state);
    end(desk, &leader, &members);
    assert_int_equal(state_audit_last(desk->state), last);
    api_reply_close(&leader.reply);
    ask(desk, &call, MEMBERSHIP_ADD, &request.base, n4);
    assert_true(call.begun);
    members.items[members.count++] = n4;
    end(desk, &leader, &members);
    assert_true(leader.done);
    close_both(&call, &leader);
    desk_destroy(desk);
}

/* The id of a request was taken by another one while its change was open: that
 * one's answer stays, and the record is written all the same. */
static void an_id_that_another_request_took_stays_its(void **unused)
{
    struct desk *desk = desk_create();
    Holdfast__V1__AddNodeRequest request = add_request();
    struct members members = region();
    struct call call;
    struct leader leader;

    (void)unused;
    ask(desk, &call, MEMBERSHIP_ADD, &request.base, n4);
    desk_ok(desk, "CreateZone", "{name: z4, request_id: r1}");
    members.items[members.count++] = n4;
    end(desk, &leader, &members);
    assert_true(leader.done);
    assert_false(members_audit_is_open(desk->state));
    close_both(&call, &leader);
    ask(desk, &call, MEMBERSHIP_ADD, &request.base, n4);
    assert_string_equal(call.reply.reason, "REQUEST_ID_REUSED");
    api_reply_close(&call.reply);
    desk_destroy(desk);
}

/* Without a request id there is nothing to repeat, and the records are there.
 */
static void a_full_region_and_no_request_id_are_no_matter(void **unused)
{
    struct desk *desk = desk_create();
    Holdfast__V1__RemoveNodeRequest removal =
        HOLDFAST__V1__REMOVE_NODE_REQUEST__INIT;
    struct members members = region();
    struct call call;
    struct leader leader;

    (void)unused;
    while (members.count < RAFT_MEMBERS_MAX) {
        struct member *member = &members.items[members.count++];

        *member = (struct member){.id = members.count, .role = REPLICA_STANDBY};
        snprintf(member->name, sizeof(member->name),
                 "a-node-with-a-name-of-its-own-%zu", members.count);
    }
    members.id_max = members.count;
    removal.name = members.items[RAFT_MEMBERS_MAX - 1].name;
    ask(desk, &call, MEMBERSHIP_REMOVE, &removal.base,
        members.items[RAFT_MEMBERS_MAX - 1]);
    members.count--;
    end(desk, &leader, &members);
    assert_true(leader.done);
    desk_ok(desk, "ListAuditRecords", "{}");
    desk_says(desk, "\"changes\":[{\"field\":\"members.a-node-with-a-name-of-"
                    "its-own-32\",\"before\":\"standby\",\"after\":\"\"}]");
    close_both(&call, &leader);
    desk_destroy(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_on_record_before_it_is_made_and_after),
        cmocka_unit_test(another_leader_ends_what_it_finds_done),
        cmocka_unit_test(what_was_begun_and_not_done_is_said_to_be_that),
        cmocka_unit_test(an_id_that_another_request_took_stays_its),
        cmocka_unit_test(a_full_region_and_no_request_id_are_no_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
