/* SPDX-License-Identifier: Apache-2.0
 *
 * GroupService. A group is only written here; its controller makes and deletes
 * the members. */
#include "base/check.h"
#include "base/container.h"
#include "node/api_check.h"
#include "node/api_headroom.h"
#include "node/api_rules.h"
#include "node/api_size.h"
#include "node/api_template.h"
#include "node/group_fields.h"
#include "node/view.h"

#include <stdio.h>
#include <string.h>

#include <holdfast/v1/group_service.pb-c.h>

#define GROUP_ARENA_BYTES (8u << 20)
#define PAGE_BYTES_MAX    (3u << 20)

/* Members that a page of a list walks over for their groups' health. */
#define PAGE_MEMBERS_MAX 100000

/* "-" and the number of a member are added to the group's name. */
#define MEMBER_SUFFIX_MAX 11

/* What is decided of a group: as it is, and as it shall be. */
struct group_edit {
    const struct group *group; /* NULL: it is new. */
    struct group_fields was;   /* Set if there is one. */
    struct group_fields now;
    struct text was_pools[CHANGE_POOLS_MAX];
    struct text now_pools[CHANGE_POOLS_MAX];
    uint64_t class_zones; /* Of the class of `now`. */
    bool protect;
    bool new_template;
    struct vm_template template;
    struct api_size size;
    struct bytes labels;
    struct bytes selector;
};

static void edit_init(struct group_edit *edit)
{
    *edit = (struct group_edit){0};
    vm_template_init(&edit->template);
    bytes_init(&edit->labels);
    bytes_init(&edit->selector);
}

static void edit_close(struct group_edit *edit)
{
    vm_template_close(&edit->template);
    bytes_close(&edit->labels);
    bytes_close(&edit->selector);
}

static struct text text_in(const struct bytes *bytes)
{
    return (struct text){(const char *)bytes->data, (uint32_t)bytes->len};
}

/* --- Fields -------------------------------------------------------------- */

static bool set_template(struct api_reply *reply, const struct state *state,
                         const Holdfast__V1__Group *message,
                         struct group_edit *edit)
{
    const Holdfast__V1__GroupTemplate *from = message->template_;
    struct group_fields *now = &edit->now;

    if (from == NULL) {
        if (now->class.uid == 0) {
            return true;
        }
        api_fail(reply, API_INVALID_FIELD,
                 "group.template: cannot be taken away again; scale to 0 "
                 "instead");
        return false;
    }
    edit->new_template = true;
    if (!api_check_size(reply, state, "group.template", from->class_name,
                        from->resources, &edit->size) ||
        !api_check_range(reply, "group.template.priority", from->priority, 0,
                         1000) ||
        !api_check_range(reply, "group.template.on_partition",
                         (uint64_t)from->on_partition, 0, 2) ||
        !api_check_labels(reply, "group.template.labels", from->labels,
                          from->n_labels, &edit->labels) ||
        !api_check_labels(reply, "group.template.host_selector",
                          from->host_selector, from->n_host_selector,
                          &edit->selector) ||
        !api_check_template(reply, state, "group.template.template",
                            from->template_, &edit->template)) {
        return false;
    }
    now->priority = from->priority;
    now->on_partition =
        from->on_partition == HOLDFAST__V1__ON_PARTITION__ON_PARTITION_KEEP
            ? ON_PARTITION_KEEP
            : ON_PARTITION_MOVE;
    now->preemptible = from->preemptible;
    now->driver = edit->template.driver;
    now->pools = edit->template.pools;
    now->pool_count = edit->template.pool_count;
    now->disk_zone_mask = edit->template.disk_zone_mask;
    now->local_disk = edit->template.local_disk;
    now->template = text_in(&edit->template.encoded);
    now->labels = text_in(&edit->labels);
    now->selector = text_in(&edit->selector);
    return true;
}

static bool set_zone_rule(struct api_reply *reply, const struct state *state,
                          const Holdfast__V1__Group *message,
                          struct group_edit *edit)
{
    (void)state;
    if (!api_check_range(reply, "group.zone_rule", (uint64_t)message->zone_rule,
                         0, ZONE_RULE_ANY)) {
        return false;
    }
    edit->now.zone_rule = message->zone_rule == 0
                              ? ZONE_RULE_SPREAD
                              : (enum zone_rule)message->zone_rule;
    return true;
}

static bool set_max_skew(struct api_reply *reply, const struct state *state,
                         const Holdfast__V1__Group *message,
                         struct group_edit *edit)
{
    (void)state;
    edit->now.max_skew = message->max_skew;
    return api_check_range(reply, "group.max_skew", message->max_skew, 0, 1000);
}

static bool check_mode(struct api_reply *reply, const char *field, int mode)
{
    return api_check_range(reply, field, (uint64_t)mode, 0, RULE_MODE_STRICT);
}

static bool set_zone_mode(struct api_reply *reply, const struct state *state,
                          const Holdfast__V1__Group *message,
                          struct group_edit *edit)
{
    (void)state;
    edit->now.zone_mode = message->zone_mode == 0
                              ? RULE_MODE_BEST_EFFORT
                              : (enum rule_mode)message->zone_mode;
    return check_mode(reply, "group.zone_mode", (int)message->zone_mode);
}

static bool set_zones(struct api_reply *reply, const struct state *state,
                      const Holdfast__V1__Group *message,
                      struct group_edit *edit)
{
    return api_check_zones(reply, state, "group.zones", message->zones,
                           message->n_zones, &edit->now.zone_mask);
}

static bool set_domain_mode(struct api_reply *reply, const struct state *state,
                            const Holdfast__V1__Group *message,
                            struct group_edit *edit)
{
    (void)state;
    edit->now.domain_mode = (uint32_t)message->domain_mode;
    return check_mode(reply, "group.domain_mode", (int)message->domain_mode);
}

static bool set_domain_max(struct api_reply *reply, const struct state *state,
                           const Holdfast__V1__Group *message,
                           struct group_edit *edit)
{
    (void)state;
    edit->now.domain_max = message->domain_max;
    return api_check_range(reply, "group.domain_max", message->domain_max, 0,
                           GROUP_COUNT_MAX);
}

static bool set_host_mode(struct api_reply *reply, const struct state *state,
                          const Holdfast__V1__Group *message,
                          struct group_edit *edit)
{
    (void)state;
    edit->now.host_mode = (uint32_t)message->host_mode;
    return check_mode(reply, "group.host_mode", (int)message->host_mode);
}

static bool set_host_max(struct api_reply *reply, const struct state *state,
                         const Holdfast__V1__Group *message,
                         struct group_edit *edit)
{
    (void)state;
    edit->now.host_max = message->host_max;
    return api_check_range(reply, "group.host_max", message->host_max, 0,
                           GROUP_COUNT_MAX);
}

static bool set_protected(struct api_reply *reply, const struct state *state,
                          const Holdfast__V1__Group *message,
                          struct group_edit *edit)
{
    bool given =
        message->_protected_case == HOLDFAST__V1__GROUP___PROTECTED_PROTECTED;

    (void)reply;
    (void)state;
    edit->now.unprotected = given && !message->protected_;
    edit->protect = given && message->protected_;
    return true;
}

static bool set_max_unavailable(struct api_reply *reply,
                                const struct state *state,
                                const Holdfast__V1__Group *message,
                                struct group_edit *edit)
{
    (void)state;
    edit->now.max_unavailable = message->max_unavailable;
    return api_check_range(reply, "group.max_unavailable",
                           message->max_unavailable, 0, GROUP_COUNT_MAX);
}

/* Every field that an update may name; a create sets all of them. */
static const struct {
    const char *name;
    bool (*set)(struct api_reply *reply, const struct state *state,
                const Holdfast__V1__Group *message, struct group_edit *edit);
} fields[] = {
    {"template", set_template},
    {"zone_rule", set_zone_rule},
    {"max_skew", set_max_skew},
    {"zone_mode", set_zone_mode},
    {"zones", set_zones},
    {"domain_mode", set_domain_mode},
    {"domain_max", set_domain_max},
    {"host_mode", set_host_mode},
    {"host_max", set_host_max},
    {"protected", set_protected},
    {"max_unavailable", set_max_unavailable},
};

static bool set_all(struct api_reply *reply, const struct state *state,
                    const Holdfast__V1__Group *message, struct group_edit *edit)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!fields[i].set(reply, state, message, edit)) {
            return false;
        }
    }
    return true;
}

static bool set_named(struct api_reply *reply, const struct state *state,
                      const Holdfast__V1__UpdateGroupRequest *request,
                      struct group_edit *edit)
{
    if (request->n_update_mask == 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "update_mask: name at least one field of the group");
        return false;
    }
    for (size_t i = 0; i < request->n_update_mask; i++) {
        const char *name = request->update_mask[i];
        size_t at = 0;

        while (at < ARRAY_LEN(fields) && strcmp(fields[at].name, name) != 0) {
            at++;
        }
        if (at == ARRAY_LEN(fields)) {
            api_fail(reply, API_INVALID_FIELD,
                     "update_mask: '%.80s' is no field of a group that can be "
                     "changed",
                     name);
            return false;
        }
        if (!fields[at].set(reply, state, request->group, edit)) {
            return false;
        }
    }
    return true;
}

/* A skew that nobody wrote follows the rule. */
static void complete(struct group_edit *edit, bool skew_given)
{
    struct group_fields *now = &edit->now;

    if (now->zone_rule == ZONE_RULE_SPREAD) {
        now->max_skew = now->max_skew == 0 ? 1 : now->max_skew;
    } else if (!skew_given) {
        now->max_skew = 0;
    }
}

/* --- Rules --------------------------------------------------------------- */

static bool shares_disk(struct text encoded)
{
    Holdfast__V1__VmTemplate *template = holdfast__v1__vm_template__unpack(
        NULL, encoded.len, (const uint8_t *)encoded.data);
    bool shares;

    CHECK(template != NULL);
    shares = api_template_shares(template);
    holdfast__v1__vm_template__free_unpacked(template, NULL);
    return shares;
}

static uint64_t zones_of(const struct state *state, struct class_id id)
{
    const struct class *class = state_class(state, id);

    return class == NULL ? 0 : class->zone_mask;
}

static bool check_rules(struct api_reply *reply, const struct state *state,
                        const char *name, const struct group_edit *edit)
{
    char subject[NAME_BYTES + 16];
    struct api_rules before;
    struct api_rules after;
    struct group_fields now = edit->now;

    if (edit->new_template) {
        /* A custom class that is still to be made has any uid but 0. */
        now.class.uid =
            edit->size.class == NULL ? UINT64_MAX : edit->size.class->uid;
    }
    snprintf(subject, sizeof(subject), "group '%s'", name);
    api_rules_of_group(&after, state, &now);
    after.class_zones = zones_of(state, now.class);
    after.shares_disk = now.class.uid != 0 && shares_disk(now.template);
    after.protect = edit->protect;
    if (edit->group == NULL) {
        return api_check_rules(reply, subject, &after, NULL);
    }
    api_rules_of_group(&before, state, &edit->was);
    before.class_zones = zones_of(state, edit->was.class);
    before.shares_disk =
        edit->was.class.uid != 0 && shares_disk(edit->was.template);
    return api_check_rules(reply, subject, &after, &before);
}

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

#define RESPOND_GROUP(type, TYPE, plan, reply, id)                     \
    do {                                                               \
        Holdfast__V1__##type##Response response =                      \
            HOLDFAST__V1__##TYPE##_RESPONSE__INIT;                     \
        struct arena arena;                                            \
        arena_init(&arena, GROUP_ARENA_BYTES);                         \
        response.group =                                               \
            view_group(&arena, (plan)->scratch,                        \
                       state_group((plan)->scratch, (id)), GROUP_ALL); \
        response.revision = state_revision((plan)->scratch);           \
        api_respond((reply), &response.base);                          \
        arena_close(&arena);                                           \
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
    if (!set_all(reply, plan->scratch, group, edit)) {
        return;
    }
    complete(edit, group->max_skew != 0);
    edit->now.generation = edit->new_template ? 1 : 0;
    if (!check_rules(reply, plan->scratch, group->name, edit) ||
        !check_headroom(reply, plan, group->name, edit, group->count)) {
        return;
    }
    id = write_group(plan, group->name, edit);
    RESPOND_GROUP(CreateGroup, CREATE_GROUP, plan, reply, id);
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
    edit_init(&edit);
    create(reply, plan, request->group, &edit);
    edit_close(&edit);
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

static void edit_begin(struct group_edit *edit, const struct state *state,
                       const struct group *group)
{
    edit->group = group;
    group_fields_read(state, group, &edit->was, edit->was_pools);
    group_fields_read(state, group, &edit->now, edit->now_pools);
}

static bool names_field(const Holdfast__V1__UpdateGroupRequest *request,
                        const char *name)
{
    for (size_t i = 0; i < request->n_update_mask; i++) {
        if (strcmp(request->update_mask[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* A template that says the same is no new one. */
static bool is_other_template(const struct group_edit *edit)
{
    const struct group_fields *was = &edit->was;
    const struct group_fields *now = &edit->now;

    return edit->size.class == NULL ||
           edit->size.class->uid != was->class.uid ||
           was->priority != now->priority ||
           was->on_partition != now->on_partition ||
           was->preemptible != now->preemptible ||
           !api_text_equals(was->template, now->template) ||
           !api_text_equals(was->labels, now->labels) ||
           !api_text_equals(was->selector, now->selector);
}

static void update(struct api_reply *reply, struct turn_plan *plan,
                   const Holdfast__V1__UpdateGroupRequest *request,
                   struct group_edit *edit)
{
    struct group_id id = {edit->group->uid};

    if (!set_named(reply, plan->scratch, request, edit)) {
        return;
    }
    complete(edit, names_field(request, "max_skew"));
    if (edit->new_template && is_other_template(edit)) {
        edit->now.generation++;
    } else {
        edit->new_template = false;
    }
    if (!check_rules(reply, plan->scratch, request->group->name, edit)) {
        return;
    }
    write_group(plan, request->group->name, edit);
    RESPOND_GROUP(UpdateGroup, UPDATE_GROUP, plan, reply, id);
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
    edit_init(&edit);
    edit_begin(&edit, plan->scratch, group);
    update(reply, plan, request, &edit);
    edit_close(&edit);
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
    edit_init(&edit);
    edit_begin(&edit, plan->scratch, group);
    edit.now.count = request->count;
    more = request->count > group->count ? request->count - group->count : 0;
    if (check_rules(reply, plan->scratch, request->name, &edit) &&
        check_headroom(reply, plan, request->name, &edit, more)) {
        if (request->count != group->count) {
            write_group(plan, request->name, &edit);
        }
        RESPOND_GROUP(ScaleGroup, SCALE_GROUP, plan, reply, id);
    }
    edit_close(&edit);
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

void api_list_groups(const ProtobufCMessage *message,
                     const struct api_view *view, struct api_reply *reply)
{
    const Holdfast__V1__ListGroupsRequest *request =
        (const Holdfast__V1__ListGroupsRequest *)(const void *)message;
    Holdfast__V1__ListGroupsResponse response =
        HOLDFAST__V1__LIST_GROUPS_RESPONSE__INIT;
    uint64_t members = 0;
    char token[16] = "";
    uint32_t slot;
    uint32_t count;
    size_t size = 0;

    if (!api_check_page(reply, request->page_size, request->page_token, &slot,
                        &count)) {
        return;
    }
    response.groups = view_alloc(view->arena, count * sizeof(*response.groups));
    for (; slot < state_group_slots(view->state); slot++) {
        const struct group *group = state_group_at(view->state, slot);
        Holdfast__V1__Group *item;

        if (group == NULL) {
            continue;
        }
        if (response.n_groups == count || size > PAGE_BYTES_MAX ||
            members > PAGE_MEMBERS_MAX) {
            snprintf(token, sizeof(token), "%u", slot);
            break;
        }
        item = view_group(view->arena, view->state, group, GROUP_STATUS);
        size += holdfast__v1__group__get_packed_size(item) + 8;
        members += group->vm_count;
        response.groups[response.n_groups++] = item;
    }
    response.next_page_token = token;
    response.age_ms = view->age_ms;
    response.revision = state_revision(view->state);
    api_respond(reply, &response.base);
}
