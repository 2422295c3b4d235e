/* SPDX-License-Identifier: Apache-2.0
 *
 * host drain, zone drain, and the ends of both. A drain is over when nothing is
 * left, when all that is left can never leave, or when the region gave it up.
 */
#include "ctl/drain.h"
#include "base/check.h"
#include "ctl/failure.h"
#include "ctl/list.h"
#include "ctl/operation_wait.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "ctl/simple.h"
#include "ctl/template.h"
#include "ctl/view.h"
#include "ctl/wait.h"
#include "holdfast/v1/host_service.pb-c.h"
#include "holdfast/v1/vm_service.pb-c.h"
#include "holdfast/v1/zone_service.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What is left is asked for page by page; people read the first ones. */
#define LEFT_SHOWN 20

/* What can never leave is seen so often. */
#define DRAIN_WAIT_MS 500

struct drain drain_judge(const Holdfast__V1__Vm *vm, bool of_zone)
{
    const Holdfast__V1__VmStatus *status = vm->status;

    if (status == NULL) {
        return (struct drain){.why = "waits for its turn"};
    }
    if (status->deleting) {
        return (struct drain){.why = "is being deleted", .moving = true};
    }
    if (status->home_host[0] != '\0') {
        return (struct drain){.why = "has a local disk on this host",
                              .stays = true};
    }
    if (of_zone && vm->zone[0] != '\0') {
        return (struct drain){.why = "may run in this zone only",
                              .stays = true};
    }
    if (status->move_queued) {
        return (struct drain){.why = "waits for its turn: moves under way are "
                                     "bounded by zone_moves and host_moves"};
    }
    if (status->move_zone[0] != '\0' || status->move_host[0] != '\0') {
        return (struct drain){.why = "is moving", .moving = true};
    }
    return (struct drain){.why = status->message[0] != '\0'
                                     ? status->message
                                     : "waits for its turn or for room",
                          .waits = true};
}

struct drained {
    bool of_zone;
    const char *name;
    bool draining;
    uint32_t moving;
    uint32_t staying;
    Holdfast__V1__ListVmsResponse *left; /* NULL before the first look. */
};

static enum exit_code ask(struct invocation *invocation,
                          struct drained *drained)
{
    const char *method =
        drained->of_zone ? "ZoneService/GetZone" : "HostService/GetHost";
    ProtobufCMessage *request = request_for(invocation, method);
    ProtobufCMessage *response;
    const ProtobufCMessage *object;
    enum exit_code code;

    if (request == NULL ||
        !request_set(invocation, request, "name", drained->name, "NAME")) {
        return EXIT_USAGE;
    }
    code = request_call(invocation, method, request, drained->name, &response);
    if (code != EXIT_OK) {
        return code;
    }
    object = response_object(response);
    if (object != NULL) {
        drained->draining =
            drained->of_zone
                ? ((const Holdfast__V1__Zone *)(const void *)object)->draining
                : ((const Holdfast__V1__Host *)(const void *)object)->draining;
    }
    hf_message_free(response);
    return EXIT_OK;
}

static enum exit_code look(struct invocation *invocation,
                           struct drained *drained)
{
    static const char method[] = "VmService/ListVms";
    ProtobufCMessage *request = request_for(invocation, method);
    ProtobufCMessage *all;
    enum exit_code code = ask(invocation, drained);

    if (code != EXIT_OK) {
        return code;
    }
    if (request == NULL ||
        !request_set(invocation, request, drained->of_zone ? "zone" : "host",
                     drained->name, "NAME")) {
        return EXIT_USAGE;
    }
    code = list_fetch(invocation, method, request, &all);
    if (code != EXIT_OK) {
        return code;
    }
    if (drained->left != NULL) {
        hf_message_free(&drained->left->base);
    }
    drained->left = (void *)all;
    drained->moving = 0;
    drained->staying = 0;
    for (size_t i = 0; i < drained->left->n_vms; i++) {
        struct drain judged =
            drain_judge(drained->left->vms[i], drained->of_zone);

        drained->moving += judged.moving;
        drained->staying += judged.stays;
    }
    return EXIT_OK;
}

/* Lists do not tell why; an answer about one VM does. */
static void tell_why(struct invocation *invocation, const Holdfast__V1__Vm *vm,
                     bool of_zone)
{
    struct drain judged = drain_judge(vm, of_zone);
    ProtobufCMessage *response =
        judged.waits ? request_try_get(invocation, "VmService/GetVm", vm->name)
                     : NULL;

    if (response != NULL && response_object(response) != NULL) {
        judged = drain_judge((const void *)response_object(response), of_zone);
    }
    (void)fprintf(stderr, "  vm %s: %s\n", vm->name, judged.why);
    if (response != NULL) {
        hf_message_free(response);
    }
}

static void tell_left(struct invocation *invocation,
                      const struct drained *drained)
{
    size_t count = drained->left->n_vms;

    (void)fprintf(stderr, "  left on it: %zu VM%s\n", count, plural(count));
    for (size_t i = 0; i < count && i < LEFT_SHOWN; i++) {
        tell_why(invocation, drained->left->vms[i], drained->of_zone);
    }
    if (count > LEFT_SHOWN) {
        (void)fprintf(stderr,
                      "  and %zu more; `holdfast vm list --%s %s` shows them\n",
                      count - LEFT_SHOWN, drained->of_zone ? "zone" : "host",
                      drained->name);
    }
}

static enum exit_code tell_ended(struct invocation *invocation,
                                 const struct drained *drained)
{
    (void)fprintf(stderr,
                  "holdfast: the drain of %s %s has ended, by its deadline or "
                  "cancelled\n",
                  drained->of_zone ? "zone" : "host", drained->name);
    tell_left(invocation, drained);
    return EXIT_TIMED_OUT;
}

static enum exit_code tell_staying(struct invocation *invocation,
                                   const struct drained *drained)
{
    (void)fprintf(stderr, "holdfast: %s %s is drained of all that can leave\n",
                  drained->of_zone ? "zone" : "host", drained->name);
    tell_left(invocation, drained);
    return EXIT_REFUSED;
}

/* As its operation tells; what is left is asked for at the end alone. */
static enum exit_code follow_operation(struct invocation *invocation,
                                       struct drained *drained,
                                       const char *operation)
{
    const char *noun = drained->of_zone ? "zone" : "host";
    uint32_t wait_ms = 1; /* The first answer tells how it stands. */
    struct operation_told told;
    enum exit_code code;
    struct poll poll;

    poll_init(&poll, invocation);
    do {
        code = operation_ask(invocation, operation, wait_ms, false, &told);
        if (code != EXIT_OK) {
            return code;
        }
        if (operation_is_done(&told)) {
            output_line(invocation, "%s %s is empty", noun, drained->name);
            return EXIT_OK;
        }
        poll_tell(&poll, invocation,
                  "%s %s: %" PRIu32 " VM%s left, %" PRIu32 " moving, %" PRIu32
                  " cannot leave",
                  noun, drained->name, told.left, plural(told.left),
                  told.moving, told.staying);
        wait_ms = poll_left_ms(&poll);
        wait_ms = wait_ms < DRAIN_WAIT_MS ? wait_ms : DRAIN_WAIT_MS;
    } while (wait_ms > 0 && !operation_is_over(&told) &&
             told.staying < told.left);
    code = look(invocation, drained);
    if (code != EXIT_OK) {
        return code;
    }
    if (operation_is_over(&told)) {
        return tell_ended(invocation, drained);
    }
    if (told.staying == told.left) {
        return tell_staying(invocation, drained);
    }
    code = failure_tell_timeout(poll.told);
    tell_left(invocation, drained);
    return code;
}

/* Of an answer that names no operation. */
static enum exit_code follow(struct invocation *invocation,
                             struct drained *drained)
{
    const char *noun = drained->of_zone ? "zone" : "host";
    enum exit_code code;
    struct poll poll;
    size_t left;

    poll_init(&poll, invocation);
    do {
        code = look(invocation, drained);
        if (code != EXIT_OK) {
            return code;
        }
        left = drained->left->n_vms;
        if (left == 0) {
            output_line(invocation, "%s %s is empty", noun, drained->name);
            return EXIT_OK;
        }
        poll_tell(&poll, invocation,
                  "%s %s: %zu VM%s left, %" PRIu32 " moving, %" PRIu32
                  " cannot leave",
                  noun, drained->name, left, plural(left), drained->moving,
                  drained->staying);
        if (!drained->draining) {
            return tell_ended(invocation, drained);
        }
        if (drained->staying == left) {
            return tell_staying(invocation, drained);
        }
    } while (poll_again(&poll));
    code = failure_tell_timeout(poll.told);
    tell_left(invocation, drained);
    return code;
}

static enum exit_code drain_one(struct invocation *invocation, const char *name,
                                uint32_t deadline_ms)
{
    const char *method = invocation->command->method;
    bool risk = arguments_has(invocation->arguments, OPTION_ACCEPT_RISK);
    ProtobufCMessage *request = request_for(invocation, method);
    struct drained drained = {
        .of_zone = strcmp(invocation->command->noun, "zone") == 0,
        .name = name};
    ProtobufCMessage *response;
    enum exit_code code;
    char number[16];

    (void)snprintf(number, sizeof(number), "%" PRIu32, deadline_ms);
    if (request == NULL ||
        !request_set(invocation, request, "name", name, "NAME") ||
        !request_set(invocation, request, "deadline_ms", number,
                     "--deadline") ||
        !request_set(invocation, request, "accept_risk",
                     risk ? "true" : "false", "") ||
        !request_set_option(invocation, request, "reason", OPTION_REASON)) {
        return EXIT_USAGE;
    }
    code = request_call(invocation, method, request, name, &response);
    if (code != EXIT_OK) {
        return code;
    }
    simple_tell(invocation, response);
    output_flush(invocation);
    if (poll_is_wanted(invocation)) {
        const char *operation = view_string(response, "operation_id");

        code = operation[0] == '\0'
                   ? follow(invocation, &drained)
                   : follow_operation(invocation, &drained, operation);
    }
    hf_message_free(response);
    if (drained.left != NULL) {
        hf_message_free(&drained.left->base);
    }
    return code;
}

bool drain_check_risk(struct invocation *invocation)
{
    if (arguments_has(invocation->arguments, OPTION_ACCEPT_RISK) &&
        !arguments_has(invocation->arguments, OPTION_REASON)) {
        (void)usage_error(invocation, "--accept-risk needs a --reason, for the "
                                      "record");
        return false;
    }
    return true;
}

enum exit_code run_drain(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    enum exit_code result = EXIT_OK;
    uint32_t deadline_ms = 0;

    if (!simple_check_request_id(invocation, arguments->name_count) ||
        !wait_check_options(invocation) || !drain_check_risk(invocation) ||
        !duration_option(invocation, OPTION_DEADLINE, &deadline_ms)) {
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < arguments->name_count; i++) {
        enum exit_code code =
            drain_one(invocation, arguments->names[i], deadline_ms);

        result = result == EXIT_OK ? code : result;
        if (!simple_goes_on(code)) {
            break;
        }
    }
    return result;
}
