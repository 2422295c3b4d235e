/* SPDX-License-Identifier: Apache-2.0
 *
 * plan VERB: asks the leader what would happen. Exit codes of their own: 0
 * nothing, 2 something (invocation->changes), 1 an error of any kind. */
#include "ctl/plan.h"
#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"
#include "ctl/drain.h"
#include "ctl/failure.h"
#include "ctl/group.h"
#include "ctl/labels.h"
#include "ctl/operation_wait.h"
#include "ctl/output.h"
#include "ctl/plan_text.h"
#include "ctl/region.h"
#include "ctl/request.h"
#include "ctl/template.h"
#include "ctl/wait.h"
#include "holdfast/v1/plan_service.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_SHOWN 20

/* Steps and unplaced VMs of one answer; about 200 bytes each, and an answer has
 * at most 4 MiB. */
#define PAGE_SIZE 5000

/* The message of the action, made and put into the request. */
static void *add_action(struct invocation *invocation,
                        Holdfast__V1__PlanAction *action, const char *field)
{
    const ProtobufCFieldDescriptor *found =
        protobuf_c_message_descriptor_get_field_by_name(
            &holdfast__v1__plan_action__descriptor, field);
    ProtobufCMessage *message;

    CHECK(found != NULL);
    message = request_create(invocation, found->descriptor);
    action->action_case =
        (Holdfast__V1__PlanAction__ActionCase)(unsigned)found->id;
    memcpy((char *)action + found->offset, &message, sizeof(void *));
    return message;
}

static bool add_names(struct invocation *invocation, ProtobufCMessage *message,
                      const char *field)
{
    const struct arguments *arguments = invocation->arguments;

    for (size_t i = 0; i < arguments->name_count; i++) {
        if (!request_add(invocation, message, field, arguments->names[i],
                         "NAME")) {
            return false;
        }
    }
    return true;
}

static bool add_hosts(struct invocation *invocation,
                      Holdfast__V1__PlanAddHosts *hosts)
{
    const struct arguments *arguments = invocation->arguments;

    hosts->count = 1;
    hosts->capacity = (void *)request_create(
        invocation, &holdfast__v1__resources__descriptor);
    if (!arguments_has(arguments, OPTION_ZONE)) {
        (void)usage_error(invocation, "hosts need a --zone");
        return false;
    }
    if (!size_apply_options(invocation, hosts->capacity, OPTION_DISK_SIZE) ||
        !size_is_whole(invocation, hosts->capacity, "a host") ||
        !number_option(invocation, OPTION_HOSTS, 1, 100000, &hosts->count) ||
        !request_set_option(invocation, &hosts->base, "zone", OPTION_ZONE) ||
        !request_set_option(invocation, &hosts->base, "fault_domain",
                            OPTION_FAULT_DOMAIN) ||
        !request_add_options(invocation, &hosts->base, "pools", OPTION_POOL) ||
        !request_add_options(invocation, &hosts->base, "drivers",
                             OPTION_HOST_DRIVERS) ||
        !labels_apply_options(invocation, &hosts->base, "labels",
                              OPTION_HOST_LABEL, false)) {
        return false;
    }
    return hosts->n_drivers > 0 ||
           request_add(invocation, &hosts->base, "drivers", "qemu", "");
}

static enum exit_code usage_unless(bool good)
{
    return good ? EXIT_OK : EXIT_USAGE;
}

/* What the words behind `plan` mean; `before` holds what the action lends. */
static enum exit_code read_action(struct invocation *invocation,
                                  Holdfast__V1__PlanAction *action,
                                  ProtobufCMessage **before)
{
    static const struct {
        const char *verb;
        const char *field;
    } verbs[] = {
        {"zone-loss", "zone_loss"},       {"host-loss", "host_loss"},
        {"drain-host", "drain_host"},     {"drain-zone", "drain_zone"},
        {"add-hosts", "add_hosts"},       {"remove-hosts", "remove_hosts"},
        {"scale-group", "scale_group"},   {"update-class", "update_class"},
        {"update-group", "update_group"}, {"rebalance", "rebalance"}};
    const char *const *names = invocation->arguments->names;
    ProtobufCMessage *message;
    size_t at = 0;

    *before = NULL;
    while (strcmp(verbs[at].verb, invocation->command->verb) != 0) {
        at++;
        CHECK(at < ARRAY_LEN(verbs));
    }
    message = add_action(invocation, action, verbs[at].field);
    switch (action->action_case) {
    case HOLDFAST__V1__PLAN_ACTION__ACTION_ZONE_LOSS:
        return usage_unless(add_names(invocation, message, "zones"));
    case HOLDFAST__V1__PLAN_ACTION__ACTION_HOST_LOSS:
    case HOLDFAST__V1__PLAN_ACTION__ACTION_REMOVE_HOSTS:
        return usage_unless(add_names(invocation, message, "hosts"));
    case HOLDFAST__V1__PLAN_ACTION__ACTION_ADD_HOSTS:
        return usage_unless(add_hosts(invocation, (void *)message));
    case HOLDFAST__V1__PLAN_ACTION__ACTION_SCALE_GROUP:
        return usage_unless(
            request_set(invocation, message, "name", names[0], "NAME") &&
            request_set(invocation, message, "count", names[1], "COUNT"));
    case HOLDFAST__V1__PLAN_ACTION__ACTION_UPDATE_CLASS:
        return class_read_update(invocation, message, names[0],
                                 &action->update_class->vm_class, before);
    case HOLDFAST__V1__PLAN_ACTION__ACTION_UPDATE_GROUP:
        return group_read_update(invocation, message, names[0], before);
    case HOLDFAST__V1__PLAN_ACTION__ACTION_REBALANCE:
        return EXIT_OK;
    default:
        return usage_unless(
            request_set(invocation, message, "name", names[0], "NAME"));
    }
}

static void move_list(void ***to, size_t *to_count, void ***from,
                      size_t *from_count)
{
    if (*from_count > 0) {
        *to =
            memory_realloc_array(*to, *to_count + *from_count, sizeof(void *));
        memcpy(*to + *to_count, *from, *from_count * sizeof(void *));
        *to_count += *from_count;
    }
    free(*from);
    *from = NULL;
    *from_count = 0;
}

/* Takes the steps and the rest out of a page, which is freed. */
static void take_page(Holdfast__V1__GetPlanResponse *whole,
                      Holdfast__V1__GetPlanResponse *page)
{
    char *token = whole->next_page_token;

    move_list((void ***)(void *)&whole->steps, &whole->n_steps,
              (void ***)(void *)&page->steps, &page->n_steps);
    move_list((void ***)(void *)&whole->unplaced, &whole->n_unplaced,
              (void ***)(void *)&page->unplaced, &page->n_unplaced);
    whole->next_page_token = page->next_page_token;
    page->next_page_token = token;
    hf_message_free(&page->base);
}

/* The first page as GetPlan would have given it. */
static Holdfast__V1__GetPlanResponse *first_page(
    Holdfast__V1__MakePlanResponse *made)
{
    Holdfast__V1__GetPlanResponse *page = memory_alloc(sizeof(*page));
    char *token;

    holdfast__v1__get_plan_response__init(page);
    page->plan = made->plan;
    page->n_steps = made->n_steps;
    page->steps = made->steps;
    page->n_unplaced = made->n_unplaced;
    page->unplaced = made->unplaced;
    page->age_ms = made->age_ms;
    page->revision = made->revision;
    token = page->next_page_token;
    page->next_page_token = made->next_page_token;
    made->next_page_token = token;
    made->plan = NULL;
    made->n_steps = 0;
    made->steps = NULL;
    made->n_unplaced = 0;
    made->unplaced = NULL;
    hf_message_free(&made->base);
    return page;
}

static enum exit_code get_page(struct invocation *invocation, const char *id,
                               const char *token,
                               Holdfast__V1__GetPlanResponse **page)
{
    static const char method[] = "PlanService/GetPlan";
    Holdfast__V1__GetPlanRequest *request =
        (void *)request_for(invocation, method);
    ProtobufCMessage *response;
    enum exit_code code;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    request->id = request_copy(invocation, id, strlen(id));
    request->page_token = request_copy(invocation, token, strlen(token));
    request->page_size = PAGE_SIZE;
    code = request_call(invocation, method, &request->base, id, &response);
    if (code == EXIT_OK) {
        *page = (void *)response;
    }
    return code;
}

enum exit_code plan_get_rest(struct invocation *invocation,
                             Holdfast__V1__GetPlanResponse *plan, bool all)
{
    enum exit_code code = EXIT_OK;

    if (plan->plan == NULL) {
        struct hf_status status = {.code = HF_STATUS_INTERNAL,
                                   .message = "the answer holds no plan"};

        return failure_tell(invocation, NULL, &status);
    }
    while (code == EXIT_OK && plan->next_page_token[0] != '\0' &&
           (all || (plan->plan->totals != NULL &&
                    plan->n_unplaced < (size_t)plan->plan->totals->unplaced +
                                           plan->plan->totals->waiting))) {
        Holdfast__V1__GetPlanResponse *page;

        code =
            get_page(invocation, plan->plan->id, plan->next_page_token, &page);
        if (code == EXIT_OK) {
            take_page(plan, page);
        }
    }
    return code;
}

enum exit_code plan_make(struct invocation *invocation,
                         Holdfast__V1__PlanAction *action, const char *name,
                         Holdfast__V1__GetPlanResponse **plan)
{
    static const char method[] = "PlanService/MakePlan";
    Holdfast__V1__MakePlanRequest *request =
        (void *)request_for(invocation, method);
    ProtobufCMessage *response;
    enum exit_code code;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    request->action = action;
    request->page_size = PAGE_SIZE;
    code = request_call(invocation, method, &request->base, name, &response);
    if (code == EXIT_OK) {
        *plan = first_page((void *)response);
    }
    return code;
}

static void show(struct invocation *invocation,
                 const Holdfast__V1__GetPlanResponse *plan)
{
    struct plan_text text = {
        .response = plan,
        .steps_max = arguments_has(invocation->arguments, OPTION_ALL)
                         ? SIZE_MAX
                         : STEPS_SHOWN,
        .wide = invocation->output == OUTPUT_WIDE,
        .colours = invocation->colours};

    if (invocation->output == OUTPUT_NAME) {
        bytes_append(&invocation->out, plan->plan->id, strlen(plan->plan->id));
        bytes_append_u8(&invocation->out, '\n');
    } else if (!output_message(invocation, &plan->base)) {
        plan_text_write(&text, &invocation->out);
    }
}

/* Fetches what will be shown, and shows it. */
static enum exit_code finish(struct invocation *invocation,
                             Holdfast__V1__GetPlanResponse *plan)
{
    bool all = arguments_has(invocation->arguments, OPTION_ALL) ||
               invocation->output == OUTPUT_JSON ||
               invocation->output == OUTPUT_YAML;
    enum exit_code code = plan_get_rest(invocation, plan, all);

    if (code == EXIT_OK) {
        show(invocation, plan);
        invocation->changes = plan->plan->changes;
    }
    hf_message_free(&plan->base);
    return code;
}

enum exit_code run_plan(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    const char *name = arguments->name_count == 1 ? arguments->names[0] : NULL;
    Holdfast__V1__PlanAction *action = (void *)request_create(
        invocation, &holdfast__v1__plan_action__descriptor);
    Holdfast__V1__GetPlanResponse *plan;
    ProtobufCMessage *before;
    enum exit_code code = read_action(invocation, action, &before);

    if (code == EXIT_OK) {
        code = plan_make(invocation, action, name, &plan);
    }
    if (before != NULL) {
        hf_message_free(before);
    }
    return code == EXIT_OK ? finish(invocation, plan) : code;
}

enum exit_code run_plan_show(struct invocation *invocation)
{
    Holdfast__V1__GetPlanResponse *plan;
    enum exit_code code =
        get_page(invocation, invocation->arguments->names[0], "", &plan);

    return code == EXIT_OK ? finish(invocation, plan) : code;
}

/* Until all that it set in motion is over. */
static enum exit_code wait_applied(struct invocation *invocation,
                                   const char *id, const char *operation)
{
    struct operation_told told;
    struct poll poll;
    char what[96];
    enum exit_code code;

    poll_init(&poll, invocation);
    (void)snprintf(what, sizeof(what), "plan %.64s", id);
    code = operation_follow(invocation, operation, what, &poll, &told);
    if (code == EXIT_TIMED_OUT) {
        (void)snprintf(poll.told, sizeof(poll.told), "%s: %.150s", what,
                       told.message);
        return failure_tell_timeout(poll.told);
    }
    if (code != EXIT_OK) {
        return code;
    }
    if (!operation_is_done(&told)) {
        return operation_tell_failure(what, &told);
    }
    output_line(invocation, "%s is carried out: %s", what, told.message);
    return EXIT_OK;
}

enum exit_code run_plan_apply(struct invocation *invocation)
{
    const char *method = invocation->command->method;
    const char *id = invocation->arguments->names[0];
    bool risk = arguments_has(invocation->arguments, OPTION_ACCEPT_RISK);
    bool dry = arguments_has(invocation->arguments, OPTION_DRY_RUN);
    ProtobufCMessage *request = request_for(invocation, method);
    const Holdfast__V1__ApplyPlanResponse *applied;
    ProtobufCMessage *response;
    char headline[1024];
    enum exit_code code;

    if (request == NULL || !drain_check_risk(invocation) ||
        !wait_check_options(invocation) ||
        !request_set(invocation, request, "id", id, "ID") ||
        !request_set(invocation, request, "accept_risk",
                     risk ? "true" : "false", "") ||
        !request_set_option(invocation, request, "reason", OPTION_REASON)) {
        return EXIT_USAGE;
    }
    code = request_call(invocation, method, request, id, &response);
    if (code != EXIT_OK) {
        return code;
    }
    applied = (const void *)response;
    if (invocation->output == OUTPUT_NAME) {
        bytes_append(&invocation->out, id, strlen(id));
        bytes_append_u8(&invocation->out, '\n');
    } else if (!output_message(invocation, response) && applied->plan != NULL) {
        plan_text_headline(applied->plan, headline, sizeof(headline));
        output_line(invocation, "plan %s %s", id,
                    dry ? "can be applied (dry run: nothing was changed)"
                        : "is being applied; `holdfast watch` shows its "
                          "progress");
        output_line(invocation, "%s", headline);
    }
    output_flush(invocation);
    if (poll_is_wanted(invocation) && applied->operation_id[0] != '\0') {
        code = wait_applied(invocation, id, applied->operation_id);
    }
    hf_message_free(response);
    return code;
}
