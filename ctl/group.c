/* SPDX-License-Identifier: Apache-2.0
 *
 * group create, update, scale, delete and show. */
#include "ctl/group.h"

#include "ctl/failure.h"
#include "ctl/labels.h"
#include "ctl/operation_wait.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "ctl/simple.h"
#include "ctl/view.h"
#include "ctl/wait.h"
#include "holdfast/v1/group_service.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool has_any(const struct arguments *arguments, option_set options)
{
    for (size_t i = 0; i < arguments->option_count; i++) {
        if ((options >> arguments->options[i].option & 1) != 0) {
            return true;
        }
    }
    return false;
}

static bool set_size(struct invocation *invocation,
                     Holdfast__V1__GroupTemplate *template)
{
    bool class_given = arguments_has(invocation->arguments, OPTION_CLASS);
    Holdfast__V1__Resources *size;

    if (class_given) {
        template->resources = NULL;
    }
    if (!request_set_option(invocation, &template->base, "class_name",
                            OPTION_CLASS)) {
        return false;
    }
    if (!size_has_options(invocation->arguments, OPTION_HOST_DISK)) {
        return true;
    }
    if (class_given) {
        (void)usage_error(invocation, "members have a class or a size of their "
                                      "own, not both");
        return false;
    }
    size = (void *)request_create(invocation,
                                  &holdfast__v1__resources__descriptor);
    if (template->resources != NULL) {
        *size = *template->resources;
    }
    template->resources = size;
    template->class_name = (char *)(uintptr_t)protobuf_c_empty_string;
    return size_apply_options(invocation, size, OPTION_HOST_DISK) &&
           size_is_whole(invocation, size, "a size of its own");
}

/* A map of its own, so that what it is changed to does not touch `from`. */
static bool set_map(struct invocation *invocation,
                    Holdfast__V1__GroupTemplate *template,
                    const Holdfast__V1__GroupTemplate *from, const char *field,
                    enum option option)
{
    if (from != NULL) {
        labels_inherit(invocation, &template->base, &from->base, field);
    }
    return labels_apply_options(invocation, &template->base, field, option,
                                from != NULL);
}

/* Over a copy of `from`; NULL: there is none yet. */
static bool set_template(struct invocation *invocation,
                         Holdfast__V1__Group *group,
                         const Holdfast__V1__GroupTemplate *from, bool update)
{
    Holdfast__V1__GroupTemplate *template = (void *)request_create(
        invocation, &holdfast__v1__group_template__descriptor);
    Holdfast__V1__VmTemplate *inner = (void *)request_create(
        invocation, &holdfast__v1__vm_template__descriptor);

    if (from != NULL) {
        *template = *from;
        template->n_labels = 0;
        template->labels = NULL;
        template->n_host_selector = 0;
        template->host_selector = NULL;
        if (from->template_ != NULL) {
            *inner = *from->template_;
        }
    }
    template->template_ = inner;
    group->template_ = template;
    if (arguments_has(invocation->arguments, OPTION_PREEMPTIBLE) ||
        arguments_has(invocation->arguments, OPTION_NOT_PREEMPTIBLE)) {
        template->preemptible =
            arguments_has(invocation->arguments, OPTION_PREEMPTIBLE);
    }
    return set_size(invocation, template) &&
           request_set_option(invocation, &template->base, "priority",
                              OPTION_PRIORITY) &&
           request_set_option(invocation, &template->base, "on_partition",
                              OPTION_ON_PARTITION) &&
           set_map(invocation, template, from, "labels", OPTION_LABEL) &&
           set_map(invocation, template, from, "host_selector",
                   OPTION_HOST_SELECTOR) &&
           template_apply_options(invocation, inner, update);
}

static bool set_spread(struct invocation *invocation,
                       Holdfast__V1__Group *group)
{
    const char *text = arguments_value(invocation->arguments, OPTION_SPREAD);

    if (text == NULL) {
        return true;
    }
    if (strcmp(text, "zones") == 0) {
        group->zone_rule = HOLDFAST__V1__ZONE_RULE__ZONE_RULE_SPREAD;
        return true;
    }
    if (strcmp(text, "together") != 0 && strcmp(text, "apart") != 0 &&
        strcmp(text, "any") != 0) {
        (void)usage_error(invocation,
                          "--spread: `%s` is none of zones, together, apart, "
                          "any",
                          text);
        return false;
    }
    return request_set(invocation, &group->base, "zone_rule", text, "--spread");
}

/* "At most N" is meant strictly, and 0 takes it back. */
static bool set_limit(struct invocation *invocation, enum option option,
                      Holdfast__V1__RuleMode *mode, uint32_t *max)
{
    if (!number_option(invocation, option, 0, 100000, max)) {
        return false;
    }
    if (arguments_has(invocation->arguments, option)) {
        *mode = *max > 0 ? HOLDFAST__V1__RULE_MODE__RULE_MODE_STRICT
                         : HOLDFAST__V1__RULE_MODE__RULE_MODE_BEST_EFFORT;
    }
    return true;
}

static bool set_zones(struct invocation *invocation, Holdfast__V1__Group *group)
{
    const struct arguments *arguments = invocation->arguments;

    if (!arguments_has(arguments, OPTION_GROUP_ZONES) &&
        !arguments_has(arguments, OPTION_EVERY_ZONE)) {
        return true;
    }
    group->n_zones = 0;
    group->zones = NULL;
    return request_add_options(invocation, &group->base, "zones",
                               OPTION_GROUP_ZONES);
}

static bool excludes(struct invocation *invocation, enum option one,
                     enum option other)
{
    if (arguments_has(invocation->arguments, one) &&
        arguments_has(invocation->arguments, other)) {
        (void)usage_error(invocation, "%s and %s exclude each other",
                          option_rule(one)->name, option_rule(other)->name);
        return true;
    }
    return false;
}

static bool set_rules(struct invocation *invocation, Holdfast__V1__Group *group)
{
    const struct arguments *arguments = invocation->arguments;
    const char *is_protected = NULL;

    if (excludes(invocation, OPTION_STRICT, OPTION_BEST_EFFORT) ||
        excludes(invocation, OPTION_PROTECTED, OPTION_UNPROTECTED) ||
        excludes(invocation, OPTION_PREEMPTIBLE, OPTION_NOT_PREEMPTIBLE) ||
        excludes(invocation, OPTION_GROUP_ZONES, OPTION_EVERY_ZONE)) {
        return false;
    }
    if (arguments_has(arguments, OPTION_STRICT)) {
        group->zone_mode = HOLDFAST__V1__RULE_MODE__RULE_MODE_STRICT;
    } else if (arguments_has(arguments, OPTION_BEST_EFFORT)) {
        group->zone_mode = HOLDFAST__V1__RULE_MODE__RULE_MODE_BEST_EFFORT;
    }
    if (arguments_has(arguments, OPTION_PROTECTED)) {
        is_protected = "true";
    } else if (arguments_has(arguments, OPTION_UNPROTECTED)) {
        is_protected = "false";
    }
    return set_spread(invocation, group) && set_zones(invocation, group) &&
           request_set_option(invocation, &group->base, "max_skew",
                              OPTION_MAX_SKEW) &&
           set_limit(invocation, OPTION_PER_DOMAIN, &group->domain_mode,
                     &group->domain_max) &&
           set_limit(invocation, OPTION_PER_HOST, &group->host_mode,
                     &group->host_max) &&
           (is_protected == NULL ||
            request_set(invocation, &group->base, "protected", is_protected,
                        "")) &&
           request_set_option(invocation, &group->base, "max_unavailable",
                              OPTION_MAX_UNAVAILABLE);
}

/* From --file, without its facts, or a group with every default. */
static Holdfast__V1__Group *read_file(struct invocation *invocation)
{
    Holdfast__V1__Group *group = (void *)request_read_file(
        invocation, &holdfast__v1__group__descriptor, OPTION_GROUP_FILE);

    if (group == NULL) {
        return NULL;
    }
    group->uid = 0;
    group->generation = 0;
    group->revision = 0;
    group->create_time_ms = 0;
    group->status = NULL;
    return group;
}

static Holdfast__V1__Group *read_group(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    Holdfast__V1__Group *group = read_file(invocation);

    if (group == NULL ||
        (arguments->name_count > 0 &&
         !request_set(invocation, &group->base, "name", arguments->names[0],
                      "NAME")) ||
        !number_option(invocation, OPTION_MEMBERS, 0, 100000, &group->count) ||
        !set_rules(invocation, group)) {
        return NULL;
    }
    if (group->name[0] == '\0') {
        (void)usage_error(invocation, "the group needs a name");
        return NULL;
    }
    if ((group->count > 0 || has_any(arguments, OPTIONS_MEMBER) ||
         group->template_ != NULL) &&
        !set_template(invocation, group, group->template_, false)) {
        return NULL;
    }
    if (group->template_ != NULL && group->template_->resources == NULL &&
        group->template_->class_name[0] == '\0') {
        (void)usage_error(invocation,
                          "its members need a --class (`holdfast class list` "
                          "shows them), or --cpu and --memory");
        return NULL;
    }
    return group;
}

/* As many as wished, all running, none of an older template that is to be
 * replaced. A rule that is kept only if possible may stay broken. */
static bool is_reached(const Holdfast__V1__Group *group)
{
    const Holdfast__V1__GroupStatus *status = group->status;

    return status != NULL &&
           (status->healthy ||
            ((group->template_ == NULL ||
              status->member_count == group->count) &&
             status->running_count == status->member_count)) &&
           (status->outdated_count == 0 || group->max_unavailable == 0);
}

/* Of answers that name no operation. */
static enum exit_code wait_asking(struct invocation *invocation,
                                  const char *name, bool deleted)
{
    struct poll poll;

    poll_init(&poll, invocation);
    do {
        ProtobufCMessage *request =
            request_for(invocation, "GroupService/GetGroup");
        const Holdfast__V1__Group *group;
        ProtobufCMessage *response;
        struct hf_status status;
        bool reached;

        if (request == NULL ||
            !request_set(invocation, request, "name", name, "NAME")) {
            return EXIT_USAGE;
        }
        if (hf_client_call(invocation->client, "GroupService/GetGroup", request,
                           &response, &status) != HF_STATUS_OK) {
            if (status.code == HF_STATUS_NOT_FOUND && deleted) {
                output_line(invocation, "group %s is gone", name);
                return EXIT_OK;
            }
            return failure_tell(invocation, name, &status);
        }
        group = (const void *)response_object(response);
        if (group != NULL && group->status != NULL) {
            poll_tell(&poll, invocation,
                      "group %s: %" PRIu32 " of %" PRIu32 " members, %" PRIu32
                      " running, %" PRIu32 " outdated",
                      name, group->status->member_count, group->count,
                      group->status->running_count,
                      group->status->outdated_count);
        }
        reached = !deleted && group != NULL && is_reached(group);
        if (reached) {
            output_line(invocation, "group %s: %" PRIu32 " running", name,
                        group->status->running_count);
        }
        hf_message_free(response);
        if (reached) {
            return EXIT_OK;
        }
    } while (poll_again(&poll));
    return failure_tell_timeout(poll.told);
}

/* As it is when that is over: told. */
static enum exit_code tell_running(struct invocation *invocation,
                                   const char *name)
{
    Holdfast__V1__GetGroupRequest request =
        HOLDFAST__V1__GET_GROUP_REQUEST__INIT;
    const Holdfast__V1__Group *group;
    ProtobufCMessage *response;
    enum exit_code code;

    request.name = request_copy(invocation, name, strlen(name));
    code = request_call(invocation, "GroupService/GetGroup", &request.base,
                        name, &response);
    if (code != EXIT_OK) {
        return code;
    }
    group = (const void *)response_object(response);
    if (group != NULL && group->status != NULL) {
        output_line(invocation, "group %s: %" PRIu32 " running", name,
                    group->status->running_count);
    }
    hf_message_free(response);
    return EXIT_OK;
}

static enum exit_code wait_for(struct invocation *invocation, const char *name,
                               const char *operation, bool deleted)
{
    struct operation_told told;
    struct poll poll;
    char what[96];
    enum exit_code code;

    if (operation[0] == '\0') {
        return wait_asking(invocation, name, deleted);
    }
    poll_init(&poll, invocation);
    (void)snprintf(what, sizeof(what), "group %.64s", name);
    code = operation_follow(invocation, operation, what, &poll, &told);
    if (code == EXIT_TIMED_OUT) {
        return failure_tell_timeout(poll.told);
    }
    if (code != EXIT_OK) {
        return code;
    }
    if (!operation_is_done(&told)) {
        return operation_tell_failure(what, &told);
    }
    if (deleted) {
        output_line(invocation, "group %s is gone", name);
        return EXIT_OK;
    }
    return tell_running(invocation, name);
}

/* Calls, tells, and waits if that is wanted. */
static enum exit_code call(struct invocation *invocation,
                           const ProtobufCMessage *request, const char *name,
                           bool deletes)
{
    ProtobufCMessage *response;
    enum exit_code code = request_call(invocation, invocation->command->method,
                                       request, name, &response);

    if (code != EXIT_OK) {
        return code;
    }
    simple_tell(invocation, response);
    output_flush(invocation);
    if (poll_is_wanted(invocation)) {
        code = wait_for(invocation, name, view_string(response, "operation_id"),
                        deletes);
    }
    hf_message_free(response);
    return code;
}

enum exit_code run_group_create(struct invocation *invocation)
{
    Holdfast__V1__CreateGroupRequest *request =
        (void *)request_for(invocation, invocation->command->method);

    if (request == NULL || !wait_check_options(invocation)) {
        return EXIT_USAGE;
    }
    request->group = read_group(invocation);
    if (request->group == NULL) {
        return EXIT_USAGE;
    }
    return call(invocation, &request->base, request->group->name, false);
}

/* Names of fields by the options that change them. */
static bool fill_mask(struct invocation *invocation, ProtobufCMessage *request)
{
    static const struct {
        const char *field;
        option_set options;
    } fields[] = {
        {"template", OPTIONS_MEMBER | OPTION(NOT_PREEMPTIBLE)},
        {"zone_rule", OPTION(SPREAD)},
        {"max_skew", OPTION(MAX_SKEW)},
        {"zone_mode", OPTION(STRICT) | OPTION(BEST_EFFORT)},
        {"zones", OPTION(GROUP_ZONES) | OPTION(EVERY_ZONE)},
        {"domain_mode", OPTION(PER_DOMAIN)},
        {"domain_max", OPTION(PER_DOMAIN)},
        {"host_mode", OPTION(PER_HOST)},
        {"host_max", OPTION(PER_HOST)},
        {"protected", OPTION(PROTECTED) | OPTION(UNPROTECTED)},
        {"max_unavailable", OPTION(MAX_UNAVAILABLE)},
    };
    bool any = false;

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (has_any(invocation->arguments, fields[i].options)) {
            any = true;
            if (!request_add(invocation, request, "update_mask",
                             fields[i].field, "")) {
                return false;
            }
        }
    }
    if (!any) {
        (void)usage_error(invocation,
                          "nothing to change: give an option such as --image, "
                          "--max-skew or --strict");
    }
    return any;
}

/* The request's member `group`, which both kinds of update have. */
static Holdfast__V1__Group **group_member(ProtobufCMessage *request)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(request->descriptor,
                                                        "group");

    return (Holdfast__V1__Group **)(void *)((char *)request + field->offset);
}

enum exit_code group_read_update(struct invocation *invocation,
                                 ProtobufCMessage *request, const char *name,
                                 ProtobufCMessage **before)
{
    ProtobufCMessage *get = request_for(invocation, "GroupService/GetGroup");
    Holdfast__V1__Group *group =
        (void *)request_create(invocation, &holdfast__v1__group__descriptor);
    const Holdfast__V1__GetGroupResponse *response;
    enum exit_code code;

    *before = NULL;
    if (get == NULL || !fill_mask(invocation, request) ||
        !request_set(invocation, get, "name", name, "NAME")) {
        return EXIT_USAGE;
    }
    code = request_call(invocation, "GroupService/GetGroup", get, name, before);
    if (code != EXIT_OK) {
        return code;
    }
    response = (const void *)*before;
    if (response->group != NULL) {
        *group = *response->group;
    }
    group->status = NULL;
    *group_member(request) = group;
    if (!set_rules(invocation, group) ||
        (has_any(invocation->arguments,
                 OPTIONS_MEMBER | OPTION(NOT_PREEMPTIBLE)) &&
         !set_template(invocation, group, group->template_, true))) {
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

enum exit_code run_group_update(struct invocation *invocation)
{
    const char *name = invocation->arguments->names[0];
    Holdfast__V1__UpdateGroupRequest *request =
        (void *)request_for(invocation, invocation->command->method);
    ProtobufCMessage *before;
    enum exit_code code;

    if (request == NULL || !wait_check_options(invocation)) {
        return EXIT_USAGE;
    }
    code = group_read_update(invocation, &request->base, name, &before);
    if (code == EXIT_OK) {
        if (request->expect_revision == 0) { /* It was read, then changed. */
            request->expect_revision = request->group->revision;
        }
        code = call(invocation, &request->base, name, false);
    }
    if (before != NULL) {
        hf_message_free(before);
    }
    return code;
}

enum exit_code run_group_scale(struct invocation *invocation)
{
    const char *name = invocation->arguments->names[0];
    ProtobufCMessage *request =
        request_for(invocation, invocation->command->method);

    if (request == NULL || !wait_check_options(invocation) ||
        !request_set(invocation, request, "name", name, "NAME") ||
        !request_set(invocation, request, "count",
                     invocation->arguments->names[1], "COUNT")) {
        return EXIT_USAGE;
    }
    return call(invocation, request, name, false);
}

enum exit_code run_group_delete(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    bool joined = arguments_has(arguments, OPTION_WITH_JOINED);
    enum exit_code result = EXIT_OK;

    if (!simple_check_request_id(invocation, arguments->name_count) ||
        !wait_check_options(invocation)) {
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < arguments->name_count; i++) {
        const char *name = arguments->names[i];
        ProtobufCMessage *request =
            request_for(invocation, invocation->command->method);
        enum exit_code code;

        if (request == NULL ||
            !request_set(invocation, request, "name", name, "NAME") ||
            !request_set(invocation, request, "with_joined",
                         joined ? "true" : "false", "")) {
            return EXIT_USAGE;
        }
        code = call(invocation, request, name, true);
        result = result == EXIT_OK ? code : result;
        if (!simple_goes_on(code)) {
            break;
        }
    }
    return result;
}

static enum exit_code show(struct invocation *invocation,
                           const ProtobufCMessage *response)
{
    const ProtobufCMessage *object = response_object(response);

    if (object == NULL) {
        return EXIT_OK;
    }
    output_object(invocation, object);
    return invocation->output == OUTPUT_TABLE ||
                   invocation->output == OUTPUT_WIDE
               ? group_show_members(invocation, (const void *)object)
               : EXIT_OK;
}

enum exit_code run_group_show(struct invocation *invocation)
{
    return simple_each(invocation, show);
}
