/* SPDX-License-Identifier: Apache-2.0
 *
 * GroupService. A group is only written here; its controller makes and deletes
 * the members. */
#include "base/container.h"
#include "node/api_check.h"
#include "node/api_group_edit.h"
#include "node/api_headroom.h"
#include "node/api_operation.h"
#include "node/api_page.h"
#include "node/label_filter.h"
#include "node/view.h"

#include <string.h>

#include <holdfast/v1/group_service.pb-c.h>

#define GROUP_ARENA_BYTES (8u << 20)

/* Members that a page of a list walks over for their groups' health. */
#define PAGE_MEMBERS_MAX 100000

/* "-" and the number of a member are added to the group's name. */
#define MEMBER_SUFFIX_MAX 11

/* --- Decisions ----------------------------------------------------------- */

static struct group_id write_group(struct turn_plan *plan, const char *name,
                                   const struct group_edit *edit)
{
    struct change change = {.kind = CHANGE_GROUP_CREATE};
    struct group_fields now = edit->now;
    struct group_id id = {edit->group == NULL ? 0 : edit->group->uid};

    if (edit->new_template) {
        now.class = api_size_class(&edit->size, plan);
    }
    if (edit->group == NULL) {
        change.group_create = (struct change_group_create){text_of(name), now};
        turn_change(plan, &change);
        return (struct group_id){
            state_group_named(plan->scratch, text_of(name))->uid};
    }
    change.kind = CHANGE_GROUP_UPDATE;
    change.group_update = (struct change_group_update){id, now, false};
    turn_change(plan, &change);
    return id;
}

/* Whether `more` members more would leave headroom whole. */
static bool check_headroom(struct api_reply *reply, struct turn_plan *plan,
                           const char *name, const struct group_edit *edit,
                           uint32_t more)
{
    struct turn_trial trial;
    struct group_id id;
    bool good;

    if (more == 0 || !api_headroom_is_enforced(plan->scratch)) {
        return true;
    }
    turn_trial_begin(&trial, plan);
    id = write_group(&trial.plan, name, edit);
    good = api_check_members_headroom(reply, &trial.plan, id, more);
    turn_trial_end(&trial);
    return good;
}

#define RESPOND_GROUP(type, TYPE, kind, plan, reply, id)                     \
    do {                                                                     \
        Holdfast__V1__##type##Response response =                            \
            HOLDFAST__V1__##TYPE##_RESPONSE__INIT;                           \
        struct arena arena;                                                  \
        arena_init(&arena, GROUP_ARENA_BYTES);                               \
        response.group =                                                     \
            view_group(&arena, (plan)->scratch,                              \
                       state_group((plan)->scratch, (id)), GROUP_ALL);       \
        response.operation_id = api_operation_id(                            \
            &arena,                                                          \
            operation_on_group(state_group((plan)->scratch, (id)), (kind))); \
        response.revision = state_revision((plan)->scratch);                 \
        api_respond((reply), &response.base);                                \
        arena_close(&arena);                                                 \
    } while (0)

static bool check_create(struct api_reply *reply, const struct state *state,
                         const Holdfast__V1__Group *group)
{
    size_t longest = NAME_BYTES - 1 - MEMBER_SUFFIX_MAX;

    if (group == NULL) {
        api_fail(reply, API_INVALID_FIELD, "group: must be given");
        return false;
    }
    if (group->uid != 0 || group->generation != 0 || group->revision != 0 ||
        group->create_time_ms != 0 || group->status != NULL) {
        api_fail(reply, API_INVALID_FIELD,
                 "group: uid, generation, revision, create_time_ms and status "
                 "are given by Holdfast; leave them out");
        return false;
    }
    if (!api_check_name(reply, "group.name", group->name) ||
        !api_check_range(reply, "group.count", group->count, 0,
                         GROUP_COUNT_MAX)) {
        return false;
    }
    if (strlen(group->name) > longest) {
        api_fail(reply, API_INVALID_FIELD,
                 "group.name: at most %zu bytes, for members are called "
                 "'%.8s...-1'",
                 longest, group->name);
        return false;
    }
    if (state_group_named(state, text_of(group->name)) != NULL) {
        api_fail(reply, API_NAME_TAKEN, "there is a group '%s' already",
                 group->name);
        return false;
    }
    if (state_counts(state)->groups >= GROUPS_MAX) {
        api_fail(reply, API_TABLE_FULL, "the region holds %d groups already",
                 GROUPS_MAX);
        return false;
    }
    return true;
}

static void create(struct api_reply *reply, struct turn_plan *plan,
                   const Holdfast__V1__Group *group, struct group_edit *edit)
{
    struct group_id id;

    edit->now.count = group->count;
    if (!group_edit_all(reply, plan->scratch, group, edit) ||
        !group_edit_check(reply, plan->scratch, group->name, edit) ||
        !check_headroom(reply, plan, group->name, edit, group->count)) {
        return;
    }
    id = write_group(plan, group->name, edit);
    RESPOND_GROUP(CreateGroup, CREATE_GROUP, OPERATION_SCALE_GROUP, plan, reply,
                  id);
}

void api_create_group(const ProtobufCMessage *message, struct turn_plan *plan,
                      struct api_reply *reply)
{
    const Holdfast__V1__CreateGroupRequest *request =
        (const Holdfast__V1__CreateGroupRequest *)(const void *)message;
    struct group_edit edit;

    if (!check_create(reply, plan->scratch, request->group) ||
        !api_check_range(reply, "expect_revision", request->expect_revision, 0,
                         0)) {
        return;
    }
    group_edit_init(&edit);
    create(reply, plan, request->group, &edit);
    group_edit_close(&edit);
}

/* The group, if the request may still change it. */
static const struct group *find_for_change(struct api_reply *reply,
                                           const struct state *state,
                                           const char *field, const char *name,
                                           uint64_t expect_revision)
{
    const struct group *group = api_find_group(reply, state, field, name);

    if (group == NULL ||
        !api_check_revision(reply, expect_revision, group->revision, name)) {
        return NULL;
    }
    if (group->deleting) {
        api_fail(reply, API_GROUP_DELETING,
                 "the delete of group '%s' was accepted and is final; it "
                 "disappears with the last of its members",
                 name);
        return NULL;
    }
    return group;
}

static void update(struct api_reply *reply, struct turn_plan *plan,
                   const Holdfast__V1__UpdateGroupRequest *request,
                   struct group_edit *edit)
{
    struct group_id id = {edit->group->uid};

    if (!group_edit_named(reply, plan->scratch, request, edit) ||
        !group_edit_check(reply, plan->scratch, request->group->name, edit)) {
        return;
    }
    write_group(plan, request->group->name, edit);
    RESPOND_GROUP(UpdateGroup, UPDATE_GROUP, OPERATION_UPDATE_GROUP, plan,
                  reply, id);
}

void api_update_group(const ProtobufCMessage *message, struct turn_plan *plan,
                      struct api_reply *reply)
{
    const Holdfast__V1__UpdateGroupRequest *request =
        (const Holdfast__V1__UpdateGroupRequest *)(const void *)message;
    const struct group *group;
    struct group_edit edit;

    if (request->group == NULL) {
        api_fail(reply, API_INVALID_FIELD, "group: must be given");
        return;
    }
    group = find_for_change(reply, plan->scratch, "group.name",
                            request->group->name, request->expect_revision);
    if (group == NULL) {
        return;
    }
    group_edit_init(&edit);
    group_edit_begin(&edit, plan->scratch, group);
    update(reply, plan, request, &edit);
    group_edit_close(&edit);
}

void api_scale_group(const ProtobufCMessage *message, struct turn_plan *plan,
                     struct api_reply *reply)
{
    const Holdfast__V1__ScaleGroupRequest *request =
        (const Holdfast__V1__ScaleGroupRequest *)(const void *)message;
    const struct group *group = find_for_change(
        reply, plan->scratch, "name", request->name, request->expect_revision);
    struct group_id id;
    struct group_edit edit;
    uint32_t more;

    if (group == NULL ||
        !api_check_range(reply, "count", request->count, 0, GROUP_COUNT_MAX)) {
        return;
    }
    id.uid = group->uid;
    group_edit_init(&edit);
    group_edit_begin(&edit, plan->scratch, group);
    edit.now.count = request->count;
    more = request->count > group->count ? request->count - group->count : 0;
    if (group_edit_check(reply, plan->scratch, request->name, &edit) &&
        check_headroom(reply, plan, request->name, &edit, more)) {
        if (request->count != group->count) {
            write_group(plan, request->name, &edit);
        }
        RESPOND_GROUP(ScaleGroup, SCALE_GROUP, OPERATION_SCALE_GROUP, plan,
                      reply, id);
    }
    group_edit_close(&edit);
}

static uint32_t count_joined(const struct state *state,
                             const struct group *group)
{
    uint32_t next = group->vm_first_plus1;
    uint32_t count = 0;

    while (next != 0) {
        const struct vm *vm = state_vm_at(state, next - 1);

        count += vm->template_generation == 0 && !vm->deleting;
        next = vm->group_next_plus1;
    }
    return count;
}

static void delete_group(struct turn_plan *plan, const struct group *group)
{
    struct change change = {.kind = CHANGE_GROUP_DELETE};
    struct text pools[CHANGE_POOLS_MAX];

    if (group->vm_count == 0) {
        change.group_delete.group.uid = group->uid;
        turn_change(plan, &change);
    } else if (!group->deleting) {
        change.kind = CHANGE_GROUP_UPDATE;
        change.group_update.group.uid = group->uid;
        change.group_update.deleting = true;
        group_fields_read(plan->scratch, group, &change.group_update.fields,
                          pools);
        turn_change(plan, &change);
    }
}

void api_delete_group(const ProtobufCMessage *message, struct turn_plan *plan,
                      struct api_reply *reply)
{
    const Holdfast__V1__DeleteGroupRequest *request =
        (const Holdfast__V1__DeleteGroupRequest *)(const void *)message;
    Holdfast__V1__DeleteGroupResponse response =
        HOLDFAST__V1__DELETE_GROUP_RESPONSE__INIT;
    const struct group *group =
        api_find_group(reply, plan->scratch, "name", request->name);
    struct arena arena;
    uint32_t joined;

    if (group == NULL || !api_check_revision(reply, request->expect_revision,
                                             group->revision, request->name)) {
        return;
    }
    joined = group->deleting ? 0 : count_joined(plan->scratch, group);
    if (joined > 0 && !request->with_joined) {
        api_fail(reply, API_GROUP_HAS_JOINED,
                 "with_joined: %u VM%s made by hand joined group '%s'; delete "
                 "them first, or say with_joined to delete them too",
                 joined, joined == 1 ? "" : "s", request->name);
        return;
    }
    arena_init(&arena, GROUP_ARENA_BYTES);
    response.group = view_group(&arena, plan->scratch, group, GROUP_STATUS);
    response.operation_id = api_operation_id(
        &arena, operation_on_group(group, OPERATION_DELETE_GROUP));
    delete_group(plan, group);
    response.group->status->deleting = true;
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}

/* --- Reads --------------------------------------------------------------- */

void api_get_group(const ProtobufCMessage *message, const struct api_view *view,
                   struct api_reply *reply)
{
    const Holdfast__V1__GetGroupRequest *request =
        (const Holdfast__V1__GetGroupRequest *)(const void *)message;
    Holdfast__V1__GetGroupResponse response =
        HOLDFAST__V1__GET_GROUP_RESPONSE__INIT;
    const struct group *group =
        api_find_group(reply, view->state, "name", request->name);

    if (group == NULL) {
        return;
    }
    response.group = view_group(view->arena, view->state, group, GROUP_ALL);
    response.age_ms = view->age_ms;
    response.revision = state_revision(view->state);
    api_respond(reply, &response.base);
}

/* The conditions of a list. */
struct group_lister {
    struct api_lister lister;
    uint32_t zone; /* Slot; SLOT_NONE: any. */
    bool by_health;
    bool healthy;
    struct label_filter labels;
};

static ProtobufCMessage *list_item(struct api_lister *lister,
                                   const struct api_page *page, uint32_t slot)
{
    const struct group_lister *wanted =
        container_of(lister, struct group_lister, lister);
    const struct api_view *view = &page->view;
    const struct group *group = state_group_at(view->state, slot);
    Holdfast__V1__Group *item;

    if (group == NULL ||
        (wanted->zone != SLOT_NONE && group->zone_counts[wanted->zone] == 0) ||
        !label_filter_takes(&wanted->labels,
                            state_blob(view->state, group->labels_blob))) {
        return NULL;
    }
    lister->work += group->vm_count;
    item = view_group(view->arena, view->state, group, GROUP_STATUS);
    if (wanted->by_health && (item->status->healthy != 0) != wanted->healthy) {
        return NULL;
    }
    return &item->base;
}

static bool read_conditions(struct api_reply *reply, const struct state *state,
                            const Holdfast__V1__ListGroupsRequest *request,
                            struct group_lister *wanted)
{
    *wanted = (struct group_lister){
        .lister = {.item = list_item, .work_max = PAGE_MEMBERS_MAX},
        .by_health = request->_healthy_case ==
                     HOLDFAST__V1__LIST_GROUPS_REQUEST___HEALTHY_HEALTHY,
    };
    wanted->healthy = wanted->by_health && request->healthy;
    return api_check_zone(reply, state, request->zone, &wanted->zone) &&
           label_filter_read(reply, request->filter, &wanted->labels);
}

void api_list_groups(const ProtobufCMessage *message,
                     const struct api_view *view, struct api_reply *reply)
{
    const Holdfast__V1__ListGroupsRequest *request =
        (const Holdfast__V1__ListGroupsRequest *)(const void *)message;
    Holdfast__V1__ListGroupsResponse response =
        HOLDFAST__V1__LIST_GROUPS_RESPONSE__INIT;
    struct group_lister wanted;
    struct api_page page;

    if (!api_page_begin(&page, reply, view, request->page_size,
                        request->page_token) ||
        !read_conditions(reply, page.view.state, request, &wanted)) {
        return;
    }
    api_page_fill(&page, &wanted.lister, state_group_slots(page.view.state));
    response.groups = (void *)page.items;
    response.n_groups = page.item_count;
    api_page_respond(&page, reply, &response.base);
}
