/* SPDX-License-Identifier: Apache-2.0
 *
 * The API's methods against a real turn whose log commits at once: what is
 * answered, what is refused and why, and that a refusal leaves no trace. */
#include "base/memory.h"
#include "node/api_check.h"
#include "support/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <holdfast/v1/class_service.pb-c.h>
#include <holdfast/v1/cluster_service.pb-c.h>
#include <holdfast/v1/host_service.pb-c.h>
#include <holdfast/v1/vm_service.pb-c.h>
#include <holdfast/v1/zone_service.pb-c.h>

/* A region at the desk, and the last answer as a message. */
struct node {
    struct desk *desk;
    ProtobufCMessage *response;
};

static void forget(struct node *node)
{
    if (node->response != NULL) {
        protobuf_c_message_free_unpacked(node->response, NULL);
    }
    node->response = NULL;
}

/* Carries one method out; the answer is in node->desk->reply and
 * node->response. */
static enum rpc_code call(struct node *node, const char *name,
                          const ProtobufCMessage *message)
{
    const struct api_reply *reply = &node->desk->reply;

    forget(node);
    desk_send(node->desk, name, message);
    if (reply->code == RPC_OK) {
        node->response = protobuf_c_message_unpack(desk_method(name)->output,
                                                   NULL, reply->response.len,
                                                   reply->response.data);
        assert_non_null(node->response);
    }
    return reply->code;
}

static void add_host(struct node *node, const char *name, uint32_t zone)
{
    struct desk *desk = node->desk;
    struct change change = {.kind = CHANGE_HOST_REGISTER};

    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_at(desk->state, zone)->uid},
        .host_id = text_of(name),
        .boot_id = {"b", 1},
        .fault_domain = {"", 0},
        .agent_version = {"", 0},
        .labels = {"", 0},
        .capacity = {8000, 8192, 0, 0},
        .driver_mask = 1 << DRIVER_EXEC,
    };
    desk_apply(desk, &change);
    leases_registered(&desk->leases,
                      state_host_named(desk->state, text_of(name)),
                      desk->now_ms, 5000);
}

static struct node *node_create(void)
{
    struct node *node = memory_alloc(sizeof(*node));
    struct desk *desk = desk_create_empty();
    struct change policy = {.kind = CHANGE_POLICY};

    node->desk = desk;
    policy_init(&policy.policy.policy); /* As a region's first turn does. */
    desk_apply(desk, &policy);
    desk_ok(desk, "CreateZone", "name: z1");
    desk_ok(desk, "CreateZone", "name: z2");
    add_host(node, "h1", 0);
    add_host(node, "h2", 1);
    desk_class(desk);
    return node;
}

static void node_destroy(struct node *node)
{
    forget(node);
    desk_destroy(node->desk);
    free(node);
}

/* A request for a VM that is in order, for cases to break. */
struct vm_case {
    Holdfast__V1__CreateVmRequest request;
    Holdfast__V1__Vm vm;
    Holdfast__V1__VmTemplate template;
    char *command[2];
    char name[128];
    char class_name[32];
    char zone[32];
    char program[32];
    char request_id[80];
};

static void vm_case_init(struct vm_case *c, const char *name)
{
    memset(c, 0, sizeof(*c));
    holdfast__v1__create_vm_request__init(&c->request);
    holdfast__v1__vm__init(&c->vm);
    holdfast__v1__vm_template__init(&c->template);
    snprintf(c->name, sizeof(c->name), "%s", name);
    snprintf(c->class_name, sizeof(c->class_name), "small");
    snprintf(c->program, sizeof(c->program), "/bin/sleep");
    c->command[0] = c->program;
    c->template.driver = HOLDFAST__V1__DRIVER__DRIVER_EXEC;
    c->template.command = c->command;
    c->template.n_command = 1;
    c->vm.name = c->name;
    c->vm.class_name = c->class_name;
    c->vm.zone = c->zone;
    c->vm.template_ = &c->template;
    c->request.vm = &c->vm;
    c->request.request_id = c->request_id;
}

static const Holdfast__V1__Vm *created(const struct node *node)
{
    CHECK(node->response != NULL);
    return ((const Holdfast__V1__CreateVmResponse *)(const void *)
                node->response)
        ->vm;
}

static void a_created_vm_is_placed_in_the_same_turn(void **unused)
{
    struct node *node = node_create();
    struct vm_case c;

    (void)unused;
    vm_case_init(&c, "web-1");
    assert_int_equal(call(node, "CreateVm", &c.request.base), RPC_OK);
    assert_int_equal(created(node)->status->state,
                     HOLDFAST__V1__VM_STATE__VM_STATE_ASSIGNED);
    assert_string_equal(created(node)->status->host, "h1");
    assert_int_equal(created(node)->status->epoch, 1);
    assert_string_equal(created(node)->template_->command[0], "/bin/sleep");
    assert_int_equal(call(node, "CreateVm", &c.request.base),
                     RPC_ALREADY_EXISTS);
    assert_string_equal(node->desk->reply.reason, "NAME_TAKEN");
    node_destroy(node);
}

static void a_vm_that_fits_nowhere_waits_and_says_why(void **unused)
{
    struct node *node = node_create();
    struct vm_case c;
    char name[16];

    (void)unused;
    for (int i = 0; i < 17; i++) {
        snprintf(name, sizeof(name), "vm-%d", i);
        vm_case_init(&c, name);
        assert_int_equal(call(node, "CreateVm", &c.request.base), RPC_OK);
    }
    assert_int_equal(created(node)->status->state,
                     HOLDFAST__V1__VM_STATE__VM_STATE_PENDING);
    assert_int_equal(created(node)->status->pending_reason,
                     HOLDFAST__V1__PENDING_REASON__PENDING_REASON_NO_CAPACITY);
    assert_non_null(strstr(created(node)->status->message, "add hosts"));
    node_destroy(node);
}

static void a_repeated_request_has_one_effect_and_the_first_answer(
    void **unused)
{
    struct node *node = node_create();
    uint64_t revision;
    uint64_t uid;
    struct vm_case c;

    (void)unused;
    vm_case_init(&c, "once");
    snprintf(c.request_id, sizeof(c.request_id), "req-1");
    assert_int_equal(call(node, "CreateVm", &c.request.base), RPC_OK);
    uid = created(node)->uid;
    revision = state_revision(node->desk->state);
    assert_int_equal(call(node, "CreateVm", &c.request.base), RPC_OK);
    assert_int_equal(created(node)->uid, uid);
    assert_string_equal(created(node)->template_->command[0], "/bin/sleep");
    assert_int_equal(state_revision(node->desk->state), revision);
    snprintf(c.name, sizeof(c.name), "other");
    assert_int_equal(call(node, "CreateVm", &c.request.base),
                     RPC_INVALID_ARGUMENT);
    assert_string_equal(node->desk->reply.reason, "REQUEST_ID_REUSED");
    node_destroy(node);
}

static void a_refused_repetition_stays_refused(void **unused)
{
    Holdfast__V1__DeleteVmRequest delete =
        HOLDFAST__V1__DELETE_VM_REQUEST__INIT;
    struct node *node = node_create();
    uint64_t revision;
    struct vm_case c;

    (void)unused;
    vm_case_init(&c, "vm");
    c.vm.desired = HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_STOPPED;
    assert_int_equal(call(node, "CreateVm", &c.request.base), RPC_OK);
    /* The first attempt is late; its repetition is refused, and that counts. */
    snprintf(c.request_id, sizeof(c.request_id), "req-1");
    node->desk->repetition = true;
    assert_int_equal(call(node, "CreateVm", &c.request.base),
                     RPC_ALREADY_EXISTS);
    assert_true(node->desk->reply.kept);
    node->desk->repetition = false;
    delete.name = c.name;
    assert_int_equal(call(node, "DeleteVm", &delete.base), RPC_OK);
    revision = state_revision(node->desk->state);
    assert_int_equal(call(node, "CreateVm", &c.request.base),
                     RPC_ALREADY_EXISTS);
    assert_string_equal(node->desk->reply.reason, "NAME_TAKEN");
    assert_non_null(
        strstr(node->desk->reply.message, "there is a VM 'vm' already"));
    assert_int_equal(state_revision(node->desk->state), revision);
    /* The same id is not good for anything else. */
    snprintf(c.name, sizeof(c.name), "other");
    assert_int_equal(call(node, "CreateVm", &c.request.base),
                     RPC_INVALID_ARGUMENT);
    node_destroy(node);
}

static void refusals_of_first_attempts_and_of_nonsense_are_not_kept(
    void **unused)
{
    Holdfast__V1__DeleteVmRequest delete =
        HOLDFAST__V1__DELETE_VM_REQUEST__INIT;
    struct node *node = node_create();
    char id[] = "req-2";
    char name[] = "Not A Name";
    struct vm_case c;

    (void)unused;
    vm_case_init(&c, "vm");
    delete.name = c.name;
    delete.request_id = id;
    assert_int_equal(call(node, "DeleteVm", &delete.base), RPC_NOT_FOUND);
    assert_false(node->desk->reply.kept);
    assert_int_equal(call(node, "CreateVm", &c.request.base), RPC_OK);
    assert_int_equal(call(node, "DeleteVm", &delete.base), RPC_OK);
    node->desk->repetition = true;
    snprintf(c.request_id, sizeof(c.request_id), "req-3");
    c.vm.name = name;
    assert_int_equal(call(node, "CreateVm", &c.request.base),
                     RPC_INVALID_ARGUMENT);
    assert_false(node->desk->reply.kept);
    node_destroy(node);
}

static void a_repeated_request_may_have_its_labels_in_another_order(
    void **unused)
{
    Holdfast__V1__Vm__LabelsEntry labels[2] = {
        HOLDFAST__V1__VM__LABELS_ENTRY__INIT,
        HOLDFAST__V1__VM__LABELS_ENTRY__INIT};
    Holdfast__V1__Vm__LabelsEntry *order[] = {&labels[0], &labels[1]};
    char text[4][2] = {"a", "1", "b", "2"};
    struct node *node = node_create();
    struct vm_case c;
    uint64_t uid;

    (void)unused;
    vm_case_init(&c, "once");
    snprintf(c.request_id, sizeof(c.request_id), "req-1");
    for (int i = 0; i < 2; i++) {
        labels[i].key = text[2 * i];
        labels[i].value = text[2 * i + 1];
    }
    c.vm.labels = order;
    c.vm.n_labels = 2;
    assert_int_equal(call(node, "CreateVm", &c.request.base), RPC_OK);
    uid = created(node)->uid;
    order[0] = &labels[1];
    order[1] = &labels[0];
    assert_int_equal(call(node, "CreateVm", &c.request.base), RPC_OK);
    assert_int_equal(created(node)->uid, uid);
    text[1][0] = '3';
    assert_int_equal(call(node, "CreateVm", &c.request.base),
                     RPC_INVALID_ARGUMENT);
    assert_string_equal(node->desk->reply.reason, "REQUEST_ID_REUSED");
    node_destroy(node);
}

static void a_dry_run_answers_and_changes_nothing(void **unused)
{
    struct node *node = node_create();
    uint64_t before;
    struct vm_case c;

    (void)unused;
    vm_case_init(&c, "dry");
    c.request.dry_run = 1;
    before = state_hash(node->desk->state);
    assert_int_equal(call(node, "CreateVm", &c.request.base), RPC_OK);
    assert_string_equal(created(node)->status->host, "h1");
    assert_true(state_hash(node->desk->state) == before);
    node_destroy(node);
}

static void expect(struct node *node, struct vm_case *c, enum rpc_code code,
                   const char *words)
{
    assert_int_equal(call(node, "CreateVm", &c->request.base), code);
    if (strstr(node->desk->reply.message, words) == NULL) {
        fail_msg("'%s' is not in '%s'", words, node->desk->reply.message);
    }
}

static void bad_vms_are_refused_by_field(void **unused)
{
    struct node *node = node_create();
    Holdfast__V1__Disk disk = HOLDFAST__V1__DISK__INIT;
    Holdfast__V1__Disk *disks[] = {&disk};
    char path[] = "../etc/passwd";
    char pool[] = "nowhere";
    struct vm_case c;

    (void)unused;
    vm_case_init(&c, "Bad_Name");
    expect(node, &c, RPC_INVALID_ARGUMENT, "vm.name");
    vm_case_init(&c, "v");
    c.vm.priority = 1001;
    expect(node, &c, RPC_INVALID_ARGUMENT, "vm.priority");
    vm_case_init(&c, "v");
    c.vm.uid = 5;
    expect(node, &c, RPC_INVALID_ARGUMENT, "uid");
    vm_case_init(&c, "v");
    snprintf(c.class_name, sizeof(c.class_name), "huge");
    expect(node, &c, RPC_NOT_FOUND, "class 'huge'");
    vm_case_init(&c, "v");
    snprintf(c.zone, sizeof(c.zone), "z9");
    expect(node, &c, RPC_NOT_FOUND, "zone 'z9'");
    vm_case_init(&c, "v");
    c.vm.template_ = NULL;
    expect(node, &c, RPC_INVALID_ARGUMENT, "vm.template");
    vm_case_init(&c, "v");
    c.template.n_command = 0;
    expect(node, &c, RPC_INVALID_ARGUMENT, "vm.template.command");
    vm_case_init(&c, "v");
    disk.kind = HOLDFAST__V1__DISK_KIND__DISK_KIND_SHARED;
    disk.pool = pool;
    disk.path = path;
    c.template.disks = disks;
    c.template.n_disks = 1;
    expect(node, &c, RPC_INVALID_ARGUMENT, "disks[0].path");
    disk.path = pool;
    expect(node, &c, RPC_FAILED_PRECONDITION, "'nowhere'");
    vm_case_init(&c, "v");
    snprintf(c.request_id, sizeof(c.request_id), "with blank");
    expect(node, &c, RPC_INVALID_ARGUMENT, "request_id");
    vm_case_init(&c, "v");
    c.request.vm = NULL;
    expect(node, &c, RPC_INVALID_ARGUMENT, "vm");
    node_destroy(node);
}

static void stop_start_move_and_delete_follow_the_life_of_a_vm(void **unused)
{
    Holdfast__V1__StopVmRequest stop = HOLDFAST__V1__STOP_VM_REQUEST__INIT;
    Holdfast__V1__MoveVmRequest move = HOLDFAST__V1__MOVE_VM_REQUEST__INIT;
    Holdfast__V1__DeleteVmRequest delete =
        HOLDFAST__V1__DELETE_VM_REQUEST__INIT;
    struct node *node = node_create();
    char zone[] = "z2";
    char host[] = "h1";
    struct vm_case c;

    (void)unused;
    vm_case_init(&c, "life");
    assert_int_equal(call(node, "CreateVm", &c.request.base), RPC_OK);
    move.name = stop.name = delete.name = c.name;
    move.host = host;
    move.zone = zone;
    assert_int_equal(call(node, "MoveVm", &move.base), RPC_INVALID_ARGUMENT);
    move.host = &host[2];
    assert_int_equal(call(node, "MoveVm", &move.base), RPC_OK);
    assert_int_equal(call(node, "MoveVm", &move.base), RPC_FAILED_PRECONDITION);
    assert_string_equal(node->desk->reply.reason, "VM_MOVING");
    stop.expect_revision = 1;
    assert_int_equal(call(node, "StopVm", &stop.base), RPC_ABORTED);
    stop.expect_revision = 0;
    assert_int_equal(call(node, "StopVm", &stop.base), RPC_OK);
    assert_int_equal(call(node, "DeleteVm", &delete.base), RPC_OK);
    assert_true(state_vm_named(node->desk->state, text_of("life"))->deleting);
    assert_int_equal(call(node, "StopVm", &stop.base), RPC_FAILED_PRECONDITION);
    assert_string_equal(node->desk->reply.reason, "VM_DELETING");
    node_destroy(node);
}

static void refuse_move(struct node *node, char *vm, const char *host,
                        const char *word)
{
    Holdfast__V1__MoveVmRequest move = HOLDFAST__V1__MOVE_VM_REQUEST__INIT;
    char name[NAME_BYTES];

    snprintf(name, sizeof(name), "%s", host);
    move.name = vm;
    move.host = name;
    assert_int_equal(call(node, "MoveVm", &move.base), RPC_FAILED_PRECONDITION);
    assert_non_null(strstr(node->desk->reply.message, word));
}

/* What does not hold for CHANGE_VM_MOVE must not be tried either. */
static void moves_to_its_own_a_full_or_a_lost_host_are_refused(void **unused)
{
    struct change fence = {.kind = CHANGE_HOST_FENCE};
    struct node *node = node_create();
    const struct vm *vm;
    const char *other;
    char name[16];
    struct vm_case c;

    (void)unused;
    for (int i = 0; i < 16; i++) { /* Both hosts are full then. */
        snprintf(name, sizeof(name), "vm-%d", i);
        vm_case_init(&c, name);
        assert_int_equal(call(node, "CreateVm", &c.request.base), RPC_OK);
    }
    vm = state_vm_named(node->desk->state, text_of("vm-0"));
    other = state_host_at(node->desk->state, 1 - vm->host)->name;
    snprintf(name, sizeof(name), "vm-0");
    refuse_move(node, name, state_host_at(node->desk->state, vm->host)->name,
                "already");
    refuse_move(node, name, other, "too little free CPU");
    fence.host_fence.host.uid =
        state_host_at(node->desk->state, 1 - vm->host)->uid;
    fence.host_fence.proof = FENCE_DECLARED;
    state_apply(node->desk->state, &fence, NULL);
    refuse_move(node, name, other, "lost");
    node_destroy(node);
}

static void lists_page_and_filter(void **unused)
{
    Holdfast__V1__ListVmsRequest list = HOLDFAST__V1__LIST_VMS_REQUEST__INIT;
    const Holdfast__V1__ListVmsResponse *response;
    struct node *node = node_create();
    char token[64] = "";
    char filter[] = "a=b";
    char bad[] = "=nonsense";
    char name[16];
    struct vm_case c;
    size_t seen = 0;

    (void)unused;
    for (int i = 0; i < 7; i++) {
        snprintf(name, sizeof(name), "vm-%d", i);
        vm_case_init(&c, name);
        assert_int_equal(call(node, "CreateVm", &c.request.base), RPC_OK);
    }
    list.page_size = 3;
    list.page_token = token;
    do {
        assert_int_equal(call(node, "ListVms", &list.base), RPC_OK);
        response = (const void *)node->response;
        seen += response->n_vms;
        assert_true(response->n_vms <= 3);
        snprintf(token, sizeof(token), "%s", response->next_page_token);
    } while (token[0] != '\0');
    assert_int_equal(seen, 7);
    list.filter = filter;
    assert_int_equal(call(node, "ListVms", &list.base), RPC_OK);
    assert_int_equal(
        ((const Holdfast__V1__ListVmsResponse *)(const void *)node->response)
            ->n_vms,
        0);
    list.filter = bad;
    assert_int_equal(call(node, "ListVms", &list.base), RPC_INVALID_ARGUMENT);
    node_destroy(node);
}

/* Rule 10, and the case where a shorter wait would overtake leases that are
 * given out already. */
static void settings_that_could_make_two_copies_are_refused(void **unused)
{
    Holdfast__V1__UpdateSettingsRequest request =
        HOLDFAST__V1__UPDATE_SETTINGS_REQUEST__INIT;
    Holdfast__V1__Settings settings = HOLDFAST__V1__SETTINGS__INIT;
    char wait[] = "lease_wait_ms";
    char run[] = "lease_run_ms";
    char renew[] = "renew_ms";
    char wrong[] = "no_such";
    char *mask[3] = {wait, run, renew};
    struct node *node = node_create();

    (void)unused;
    node->desk->turn.settings_since_ms = node->desk->now_ms;
    request.settings = &settings;
    request.update_mask = mask;
    request.n_update_mask = 1;
    settings.lease_wait_ms = 4000;
    assert_int_equal(call(node, "UpdateSettings", &request.base),
                     RPC_INVALID_ARGUMENT);
    assert_string_equal(node->desk->reply.reason, "UNSAFE_SETTINGS");
    settings.lease_wait_ms = 3000;
    settings.lease_run_ms = 2400;
    settings.renew_ms = 800;
    request.n_update_mask = 3;
    assert_int_equal(call(node, "UpdateSettings", &request.base),
                     RPC_INVALID_ARGUMENT);
    assert_non_null(strstr(node->desk->reply.message, "second change"));
    mask[0] = renew;
    request.n_update_mask = 2;
    assert_int_equal(call(node, "UpdateSettings", &request.base), RPC_OK);
    node->desk->turn.settings_since_ms = node->desk->now_ms;
    mask[0] = wait;
    request.n_update_mask = 1;
    assert_int_equal(call(node, "UpdateSettings", &request.base),
                     RPC_FAILED_PRECONDITION);
    assert_string_equal(node->desk->reply.reason, "SETTINGS_UNSETTLED");
    node->desk->now_ms += 5000;
    assert_int_equal(call(node, "UpdateSettings", &request.base), RPC_OK);
    mask[0] = wrong;
    assert_int_equal(call(node, "UpdateSettings", &request.base),
                     RPC_INVALID_ARGUMENT);
    node_destroy(node);
}

/* Requests that come while a turn is under way are decided together in the
 * next. */
static void what_a_turn_sets_is_not_settled_for_its_next_request(void **unused)
{
    Holdfast__V1__UpdateSettingsRequest requests[2] = {
        HOLDFAST__V1__UPDATE_SETTINGS_REQUEST__INIT,
        HOLDFAST__V1__UPDATE_SETTINGS_REQUEST__INIT};
    Holdfast__V1__Settings settings = HOLDFAST__V1__SETTINGS__INIT;
    char run[] = "lease_run_ms";
    char renew[] = "renew_ms";
    char wait[] = "lease_wait_ms";
    char *first[] = {run, renew};
    char *second[] = {wait};
    struct node *node = node_create();
    struct api_reply replies[2];

    (void)unused;
    node->desk->now_ms += 1000000;
    settings.lease_run_ms = 500;
    settings.renew_ms = 100;
    settings.lease_wait_ms = 1100;
    for (int i = 0; i < 2; i++) {
        requests[i].settings = &settings;
        requests[i].update_mask = i == 0 ? first : second;
        requests[i].n_update_mask = i == 0 ? 2 : 1;
    }
    desk_send_pair(node->desk, "UpdateSettings", &requests[0].base,
                   &requests[1].base, replies);
    assert_int_equal(replies[0].code, RPC_OK);
    assert_string_equal(replies[1].reason, "SETTINGS_UNSETTLED");
    assert_int_equal(state_settings(node->desk->state)->lease_run_ms, 500);
    assert_int_equal(state_settings(node->desk->state)->lease_wait_ms, 5000);
    api_reply_close(&replies[0]);
    api_reply_close(&replies[1]);
    node_destroy(node);
}

static void a_host_that_is_heard_cannot_be_declared_dead(void **unused)
{
    Holdfast__V1__DeclareHostDeadRequest request =
        HOLDFAST__V1__DECLARE_HOST_DEAD_REQUEST__INIT;
    struct node *node = node_create();
    char name[] = "h1";

    (void)unused;
    request.name = name;
    assert_int_equal(call(node, "DeclareHostDead", &request.base),
                     RPC_INVALID_ARGUMENT);
    request.confirm = name;
    assert_int_equal(call(node, "DeclareHostDead", &request.base),
                     RPC_FAILED_PRECONDITION);
    assert_string_equal(node->desk->reply.reason, "HOST_ALIVE");
    node->desk->now_ms += 3000;
    assert_int_equal(call(node, "DeclareHostDead", &request.base), RPC_OK);
    assert_int_equal(state_host_named(node->desk->state, text_of("h1"))->state,
                     HOST_LOST);
    node_destroy(node);
}

static void a_class_in_use_cannot_be_deleted(void **unused)
{
    Holdfast__V1__DeleteClassRequest request =
        HOLDFAST__V1__DELETE_CLASS_REQUEST__INIT;
    struct node *node = node_create();
    char name[] = "small";
    struct vm_case c;

    (void)unused;
    vm_case_init(&c, "v");
    assert_int_equal(call(node, "CreateVm", &c.request.base), RPC_OK);
    request.name = name;
    assert_int_equal(call(node, "DeleteClass", &request.base),
                     RPC_FAILED_PRECONDITION);
    assert_string_equal(node->desk->reply.reason, "CLASS_IN_USE");
    node_destroy(node);
}

static void every_error_has_its_words(void **unused)
{
    (void)unused;
    for (int i = 0; i < API_ERROR_COUNT; i++) {
        const struct api_error_entry *entry =
            api_error_entry((enum api_error)i);

        assert_int_not_equal(entry->code, RPC_OK);
        assert_true(strlen(entry->reason) > 0);
        assert_true(strlen(entry->meaning) > 0);
        assert_true(strlen(entry->cure) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_created_vm_is_placed_in_the_same_turn),
        cmocka_unit_test(a_vm_that_fits_nowhere_waits_and_says_why),
        cmocka_unit_test(
            a_repeated_request_has_one_effect_and_the_first_answer),
        cmocka_unit_test(
            a_repeated_request_may_have_its_labels_in_another_order),
        cmocka_unit_test(a_refused_repetition_stays_refused),
        cmocka_unit_test(
            refusals_of_first_attempts_and_of_nonsense_are_not_kept),
        cmocka_unit_test(a_dry_run_answers_and_changes_nothing),
        cmocka_unit_test(bad_vms_are_refused_by_field),
        cmocka_unit_test(stop_start_move_and_delete_follow_the_life_of_a_vm),
        cmocka_unit_test(moves_to_its_own_a_full_or_a_lost_host_are_refused),
        cmocka_unit_test(lists_page_and_filter),
        cmocka_unit_test(settings_that_could_make_two_copies_are_refused),
        cmocka_unit_test(what_a_turn_sets_is_not_settled_for_its_next_request),
        cmocka_unit_test(a_host_that_is_heard_cannot_be_declared_dead),
        cmocka_unit_test(a_class_in_use_cannot_be_deleted),
        cmocka_unit_test(every_error_has_its_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
