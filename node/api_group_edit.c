/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api_group_edit.h"

#include "base/check.h"
#include "base/container.h"
#include "node/api_check.h"
#include "node/api_rules.h"

#include <stdio.h>
#include <string.h>

void group_edit_init(struct group_edit *edit)
{
    *edit = (struct group_edit){0};
    vm_template_init(&edit->template);
    bytes_init(&edit->labels);
    bytes_init(&edit->selector);
}

void group_edit_close(struct group_edit *edit)
{
    vm_template_close(&edit->template);
    bytes_close(&edit->labels);
    bytes_close(&edit->selector);
}

void group_edit_begin(struct group_edit *edit, const struct state *state,
                      const struct group *group)
{
    edit->group = group;
    group_fields_read(state, group, &edit->was, edit->was_pools);
    group_fields_read(state, group, &edit->now, edit->now_pools);
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

bool group_edit_all(struct api_reply *reply, const struct state *state,
                    const Holdfast__V1__Group *message, struct group_edit *edit)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!fields[i].set(reply, state, message, edit)) {
            return false;
        }
    }
    complete(edit, message->max_skew != 0);
    edit->now.generation = edit->new_template ? 1 : 0;
    return true;
}

bool group_edit_named(struct api_reply *reply, const struct state *state,
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
    complete(edit, names_field(request, "max_skew"));
    edit->new_template = edit->new_template && is_other_template(edit);
    edit->now.generation += edit->new_template ? 1 : 0;
    return true;
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

bool group_edit_check(struct api_reply *reply, const struct state *state,
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
