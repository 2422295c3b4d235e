/* SPDX-License-Identifier: Apache-2.0
 *
 * The end is that of the operation; how far it is by states is looked at beside
 * that. Asks for the VMs that are in a state on the way, not for all: the fewer
 * are missing, the less is asked. A VM moves on from state to state in the
 * order in which they are asked for, so none is passed over; the end is asked
 * for twice, for a VM may fall back. */
#include "ctl/apply_wait.h"

#include "base/container.h"
#include "ctl/failure.h"
#include "ctl/operation_wait.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "holdfast/v1/group_service.pb-c.h"
#include "holdfast/v1/vm_service.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE(NAME)  HOLDFAST__V1__VM_STATE__VM_STATE_##NAME
#define ACTION(NAME) HOLDFAST__V1__MANIFEST_ACTION__MANIFEST_ACTION_##NAME
#define KIND(NAME)   HOLDFAST__V1__MANIFEST_KIND__MANIFEST_KIND_##NAME

#define PAGE_SIZE 5000

/* Between two looks. */
#define PAUSE_MS 250

static const struct {
    Holdfast__V1__VmState state;
    const char *name;
    const char *header;
} on_the_way[] = {
    {STATE(PENDING), "pending", "PENDING"},
    {STATE(ASSIGNED), "assigned", "ASSIGNED"},
    {STATE(STARTING), "starting", "STARTING"},
    {STATE(LOST), "lost", "LOST"},
    {STATE(STOPPING), "stopping", "STOPPING"},
};

struct waiting {
    struct invocation *invocation;
    const Holdfast__V1__Manifest *manifest;
    const char *operation; /* Its name; "": none. */
    const char **names;    /* Of the VMs, in order. */
    size_t name_count;
    size_t counts[ARRAY_LEN(on_the_way)];
    size_t groups_missing;
    char example[320]; /* Of what is missing. */
    char told[512];
    unsigned lines; /* Of the table on the terminal. */
};

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The manifest's VMs and those that were deleted. */
static void take_names(struct waiting *waiting,
                       const Holdfast__V1__ApplyManifestResponse *response)
{
    const Holdfast__V1__Manifest *manifest = waiting->manifest;
    size_t most = manifest->n_vms + response->n_objects;

    waiting->names = calloc(most + 1, sizeof(*waiting->names));
    if (waiting->names == NULL) {
        abort();
    }
    for (size_t i = 0; i < manifest->n_vms; i++) {
        waiting->names[waiting->name_count++] = manifest->vms[i]->name;
    }
    for (size_t i = 0; i < response->n_objects; i++) {
        const Holdfast__V1__ManifestObject *object = response->objects[i];

        if (object->kind == KIND(VM) && object->action == ACTION(DELETED)) {
            waiting->names[waiting->name_count++] = object->name;
        }
    }
    qsort(waiting->names, waiting->name_count, sizeof(*waiting->names),
          compare);
}

static bool is_ours(const struct waiting *waiting, const char *name)
{
    return bsearch(&name, waiting->names, waiting->name_count,
                   sizeof(*waiting->names), compare) != NULL;
}

static void count_page(struct waiting *waiting, size_t at,
                       const Holdfast__V1__ListVmsResponse *page)
{
    for (size_t i = 0; i < page->n_vms; i++) {
        const Holdfast__V1__Vm *vm = page->vms[i];

        if (!is_ours(waiting, vm->name)) {
            continue;
        }
        waiting->counts[at]++;
        if (waiting->example[0] == '\0') {
            (void)snprintf(waiting->example, sizeof(waiting->example),
                           "vm %.64s is %s", vm->name, on_the_way[at].name);
        }
    }
}

static enum exit_code count_state(struct waiting *waiting, size_t at)
{
    static const char method[] = "VmService/ListVms";
    Holdfast__V1__ListVmsRequest request;
    unsigned tries = LIST_TRIES_MAX;
    char token[64] = "";
    bool more = true;
    enum exit_code code;

    waiting->counts[at] = 0;
    holdfast__v1__list_vms_request__init(&request);
    request.state = on_the_way[at].state;
    request.page_size = PAGE_SIZE;
    request.page_token = token;
    while (more) {
        ProtobufCMessage *response;
        const Holdfast__V1__ListVmsResponse *page;

        code = request_call_page(waiting->invocation, method, &request.base,
                                 &response, &tries);
        if (code == EXIT_CONFLICT && tries > 0) {
            waiting->counts[at] = 0;
            token[0] = '\0';
            continue;
        }
        if (code != EXIT_OK) {
            return code;
        }
        page = (const void *)response;
        count_page(waiting, at, page);
        (void)snprintf(token, sizeof(token), "%s", page->next_page_token);
        more = token[0] != '\0';
        hf_message_free(response);
    }
    return EXIT_OK;
}

static enum exit_code count_groups(struct waiting *waiting)
{
    const Holdfast__V1__Manifest *manifest = waiting->manifest;

    waiting->groups_missing = 0;
    for (size_t i = 0; i < manifest->n_groups; i++) {
        Holdfast__V1__GetGroupRequest request;
        const Holdfast__V1__GroupStatus *status;
        const Holdfast__V1__Group *group;
        ProtobufCMessage *response;
        enum exit_code code;

        if (manifest->groups[i]->template_ == NULL) {
            continue;
        }
        holdfast__v1__get_group_request__init(&request);
        request.name = manifest->groups[i]->name;
        code = request_call(waiting->invocation, "GroupService/GetGroup",
                            &request.base, request.name, &response);
        if (code != EXIT_OK) {
            return code;
        }
        group = ((const Holdfast__V1__GetGroupResponse *)(const void *)response)
                    ->group;
        status = group == NULL ? NULL : group->status;
        if (status != NULL && (status->running_count < group->count ||
                               status->member_count > group->count)) {
            waiting->groups_missing++;
            if (waiting->example[0] == '\0') {
                (void)snprintf(waiting->example, sizeof(waiting->example),
                               "group %.64s: %.200s", group->name,
                               status->message);
            }
        }
        hf_message_free(response);
    }
    return EXIT_OK;
}

static size_t missing(const struct waiting *waiting)
{
    size_t count = waiting->groups_missing;

    for (size_t i = 0; i < ARRAY_LEN(on_the_way); i++) {
        count += waiting->counts[i];
    }
    return count;
}

static enum exit_code look(struct waiting *waiting)
{
    enum exit_code code = EXIT_OK;

    waiting->example[0] = '\0';
    for (size_t i = 0; code == EXIT_OK && i < ARRAY_LEN(on_the_way); i++) {
        code = count_state(waiting, i);
    }
    return code == EXIT_OK ? count_groups(waiting) : code;
}

/* One line for pipes. */
static void line_of(const struct waiting *waiting, char *line, size_t size)
{
    size_t left = missing(waiting) - waiting->groups_missing;
    int len = snprintf(line, size, "%zu of %zu VMs are there",
                       waiting->name_count - left, waiting->name_count);

    for (size_t i = 0; i < ARRAY_LEN(on_the_way); i++) {
        if (waiting->counts[i] > 0 && (size_t)len < size) {
            len += snprintf(line + len, size - (size_t)len, ", %zu %s",
                            waiting->counts[i], on_the_way[i].name);
        }
    }
    if (waiting->manifest->n_groups > 0 && (size_t)len < size) {
        (void)snprintf(line + len, size - (size_t)len,
                       "; %zu of %zu groups are there",
                       waiting->manifest->n_groups - waiting->groups_missing,
                       waiting->manifest->n_groups);
    }
}

/* Written over the one before. */
static void show_table(struct waiting *waiting)
{
    struct invocation *invocation = waiting->invocation;
    struct grid grid;
    char back[32];

    if (waiting->lines > 0) {
        (void)snprintf(back, sizeof(back), "\x1b[%uA\x1b[J", waiting->lines);
        bytes_append(&invocation->out, back, strlen(back));
    }
    grid_init(&grid);
    grid_column(&grid, "WHAT");
    grid_column_right(&grid, "ALL");
    grid_column_right(&grid, "THERE");
    for (size_t i = 0; i < ARRAY_LEN(on_the_way); i++) {
        grid_column_right(&grid, on_the_way[i].header);
    }
    grid_cell(&grid, "vms");
    grid_cell_format(&grid, "%zu", waiting->name_count);
    grid_cell_format(&grid, "%zu",
                     waiting->name_count -
                         (missing(waiting) - waiting->groups_missing));
    for (size_t i = 0; i < ARRAY_LEN(on_the_way); i++) {
        grid_cell_format(&grid, "%zu", waiting->counts[i]);
    }
    grid_cell(&grid, "groups");
    grid_cell_format(&grid, "%zu", waiting->manifest->n_groups);
    grid_cell_format(&grid, "%zu",
                     waiting->manifest->n_groups - waiting->groups_missing);
    for (size_t i = 0; i < ARRAY_LEN(on_the_way); i++) {
        grid_cell(&grid, "");
    }
    output_table(invocation, &grid, true);
    grid_close(&grid);
    waiting->lines = 3;
    output_flush(invocation);
}

static void show(struct waiting *waiting)
{
    struct invocation *invocation = waiting->invocation;
    char line[sizeof(waiting->told)];

    line_of(waiting, line, sizeof(line));
    if (strcmp(line, waiting->told) == 0 ||
        (invocation->output != OUTPUT_TABLE &&
         invocation->output != OUTPUT_WIDE)) {
        return;
    }
    memcpy(waiting->told, line, sizeof(line));
    if (invocation->terminal) {
        show_table(waiting);
    } else {
        output_line(invocation, "%s", line);
        output_flush(invocation);
    }
}

/* Asks for the end while it pauses; where the region does not tell of the
 * operation any more, what is there decides. */
static enum exit_code ask_end(struct waiting *waiting, const struct poll *poll,
                              struct operation_told *told)
{
    uint32_t wait_ms = poll_left_ms(poll);
    enum exit_code code =
        operation_ask(waiting->invocation, waiting->operation,
                      wait_ms < PAUSE_MS ? wait_ms : PAUSE_MS, true, told);

    if (code == EXIT_NOT_FOUND) {
        waiting->operation = "";
        return EXIT_OK;
    }
    return code;
}

/* Over: what there is by now is shown once more. */
static enum exit_code finish(struct waiting *waiting,
                             const struct operation_told *told)
{
    enum exit_code code = look(waiting);

    if (code != EXIT_OK) {
        return code;
    }
    show(waiting);
    return operation_is_done(told) ? EXIT_OK
                                   : operation_tell_failure("apply", told);
}

static enum exit_code follow_operation(struct waiting *waiting,
                                       struct poll *poll)
{
    struct operation_told told = {0};

    while (waiting->operation[0] != '\0') {
        enum exit_code code = look(waiting);

        if (code != EXIT_OK) {
            return code;
        }
        show(waiting);
        code = ask_end(waiting, poll, &told);
        if (code != EXIT_OK) {
            return code;
        }
        if (waiting->operation[0] != '\0' && operation_is_over(&told)) {
            return finish(waiting, &told);
        }
        if (poll_left_ms(poll) == 0) {
            return failure_tell_timeout(
                waiting->example[0] != '\0' ? waiting->example : told.message);
        }
    }
    return EXIT_OK;
}

/* Of an apply that changed nothing, or whose operation is not told of: until
 * all is there. */
static enum exit_code follow(struct waiting *waiting, struct poll *poll)
{
    unsigned clear = 0;

    for (;;) {
        enum exit_code code = look(waiting);

        if (code != EXIT_OK) {
            return code;
        }
        show(waiting);
        clear = missing(waiting) == 0 ? clear + 1 : 0;
        if (clear == 2) {
            return EXIT_OK;
        }
        if (!poll_again(poll)) {
            return failure_tell_timeout(waiting->example);
        }
    }
}

enum exit_code apply_wait(struct invocation *invocation,
                          const Holdfast__V1__Manifest *manifest,
                          const Holdfast__V1__ApplyManifestResponse *response)
{
    struct waiting waiting = {.invocation = invocation,
                              .manifest = manifest,
                              .operation = response->operation_id};
    enum exit_code code = EXIT_OK;
    struct poll poll;

    poll_init(&poll, invocation);
    take_names(&waiting, response);
    if (waiting.operation[0] != '\0') {
        code = follow_operation(&waiting, &poll);
    }
    if (code == EXIT_OK && waiting.operation[0] == '\0') {
        code = follow(&waiting, &poll);
    }
    free(waiting.names);
    return code;
}
