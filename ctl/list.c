/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/list.h"

#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"
#include "ctl/event.h"
#include "ctl/failure.h"
#include "ctl/format.h"
#include "ctl/grid_order.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "ctl/selector.h"
#include "ctl/view.h"
#include "holdfast/v1/access_service.pb-c.h"
#include "holdfast/v1/resources.pb-c.h"
#include "proto/text_field.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_SIZE "1000"

const ProtobufCFieldDescriptor *list_field(
    const ProtobufCMessageDescriptor *response)
{
    for (unsigned i = 0; i < response->n_fields; i++) {
        if (response->fields[i].label == PROTOBUF_C_LABEL_REPEATED &&
            response->fields[i].type == PROTOBUF_C_TYPE_MESSAGE) {
            return &response->fields[i];
        }
    }
    CHECK(false);
    return NULL;
}

static ProtobufCMessage ***items_of(ProtobufCMessage *response,
                                    const ProtobufCFieldDescriptor *field)
{
    return (ProtobufCMessage ***)(void *)((char *)response + field->offset);
}

ProtobufCMessage **list_items(ProtobufCMessage *response)
{
    return *items_of(response, list_field(response->descriptor));
}

void list_merge(ProtobufCMessage *all, ProtobufCMessage *page)
{
    const ProtobufCFieldDescriptor *field = list_field(all->descriptor);
    size_t *all_count = text_field_list_count(all, field);
    size_t *page_count = text_field_list_count(page, field);
    ProtobufCMessage ***items = items_of(all, field);

    CHECK(all->descriptor == page->descriptor);
    if (*page_count == 0) {
        return;
    }
    *items =
        memory_realloc_array(*items, *all_count + *page_count, sizeof(**items));
    memcpy(*items + *all_count, *items_of(page, field),
           *page_count * sizeof(**items));
    *all_count += *page_count;
    free(*items_of(page, field));
    *items_of(page, field) = NULL;
    *page_count = 0;
}

static int compare_names(const void *a, const void *b)
{
    return strverscmp(view_string(*(ProtobufCMessage *const *)a, "name"),
                      view_string(*(ProtobufCMessage *const *)b, "name"));
}

void list_sort(ProtobufCMessage *all)
{
    const ProtobufCFieldDescriptor *field = list_field(all->descriptor);
    const ProtobufCMessageDescriptor *kind = field->descriptor;
    size_t count = *text_field_list_count(all, field);

    /* What has no name comes in its own order. */
    if (count > 1 &&
        protobuf_c_message_descriptor_get_field_by_name(kind, "name") != NULL) {
        qsort(*items_of(all, field), count, sizeof(ProtobufCMessage *),
              compare_names);
    }
}

static bool equals(const char *wanted, const char *text)
{
    return wanted == NULL || strcmp(wanted, text) == 0;
}

static bool vm_matches(const struct arguments *arguments,
                       const ProtobufCMessage *object)
{
    const Holdfast__V1__Vm *vm = (const void *)object;
    const char *wanted = arguments_value(arguments, OPTION_STATE);
    char state[TEXT_NAME_MAX + 1];

    if (vm->status == NULL) {
        return true;
    }
    text_enum_name(&holdfast__v1__vm_state__descriptor, (int)vm->status->state,
                   state);
    return equals(wanted, state) &&
           equals(arguments_value(arguments, OPTION_GROUP), vm->group) &&
           equals(arguments_value(arguments, OPTION_ZONE), vm->status->zone) &&
           equals(arguments_value(arguments, OPTION_HOST), vm->status->host);
}

static bool host_matches(const struct arguments *arguments,
                         const ProtobufCMessage *object)
{
    const Holdfast__V1__Host *host = (const void *)object;
    char state[TEXT_NAME_MAX + 1];

    text_enum_name(&holdfast__v1__host_state__descriptor, (int)host->state,
                   state);
    return equals(arguments_value(arguments, OPTION_HOST_STATE), state);
}

bool list_matches(const struct arguments *arguments,
                  const ProtobufCMessage *object)
{
    if (!selector_matches(arguments_value(arguments, OPTION_FILTER), object)) {
        return false;
    }
    if (object->descriptor == &holdfast__v1__vm__descriptor) {
        return vm_matches(arguments, object);
    }
    if (object->descriptor == &holdfast__v1__host__descriptor &&
        !host_matches(arguments, object)) {
        return false;
    }
    return equals(arguments_value(arguments, OPTION_ZONE),
                  view_string(object, "zone"));
}

static bool is_of_groups(const struct invocation *invocation)
{
    return strcmp(invocation->command->noun, "group") == 0;
}

/* The part of the selector that a node knows; list_is_wanted() does the rest.
 */
static bool set_filter(struct invocation *invocation, ProtobufCMessage *request)
{
    const char *filter = arguments_value(invocation->arguments, OPTION_FILTER);
    const char *wrong;
    char *equal;

    if (filter == NULL) {
        return true;
    }
    wrong = selector_check(filter);
    if (wrong != NULL) {
        (void)usage_error(invocation,
                          "--filter: `%s` is not LABEL=VALUE, "
                          "LABEL!=VALUE, LABEL or !LABEL",
                          wrong);
        return false;
    }
    if (is_of_groups(invocation)) { /* Their labels are not in the answer. */
        return request_set(invocation, request, "filter", filter, "--filter");
    }
    equal = request_alloc(invocation, strlen(filter) + 1);
    selector_equal_part(filter, equal);
    return equal[0] == '\0' ||
           request_set(invocation, request, "filter", equal, "--filter");
}

static bool set_since(struct invocation *invocation, ProtobufCMessage *request)
{
    const char *text = arguments_value(invocation->arguments, OPTION_SINCE);
    uint64_t now_ms = output_view_options(invocation).now_ms;
    uint64_t duration_ms;
    char since[24];

    if (text == NULL) {
        return true;
    }
    if (!format_read_duration(text, &duration_ms)) {
        (void)usage_error(invocation,
                          "--since: `%s` is no time; write 10m or "
                          "24h",
                          text);
        return false;
    }
    (void)snprintf(since, sizeof(since), "%" PRIu64, now_ms - duration_ms);
    return request_set(invocation, request, "since_ms", since, "--since");
}

static bool set_list_options(struct invocation *invocation,
                             ProtobufCMessage *request)
{
    static const struct {
        const char *field;
        enum option option;
    } fields[] = {
        {"zone", OPTION_ZONE},           {"host", OPTION_HOST},
        {"state", OPTION_STATE},         {"state", OPTION_HOST_STATE},
        {"group", OPTION_GROUP},         {"caller", OPTION_CALLER},
        {"method", OPTION_METHOD},       {"object", OPTION_OBJECT},
        {"kind", OPTION_OPERATION_KIND}, {"object", OPTION_OPERATION_OBJECT}};

    if (!set_filter(invocation, request) || !set_since(invocation, request) ||
        (arguments_has(invocation->arguments, OPTION_UNHEALTHY) &&
         !request_set(invocation, request, "healthy", "false",
                      "--unhealthy")) ||
        (arguments_has(invocation->arguments, OPTION_ACTIVE) &&
         !request_set(invocation, request, "active", "true", "--active"))) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (arguments_has(invocation->arguments, fields[i].option) &&
            !request_set_option(invocation, request, fields[i].field,
                                fields[i].option)) {
            return false;
        }
    }
    return true;
}

/* All pages, from the first on. */
static enum exit_code fetch_pages(struct invocation *invocation,
                                  const char *method, ProtobufCMessage *request,
                                  ProtobufCMessage **all, unsigned *tries)
{
    enum exit_code code =
        request_call_page(invocation, method, request, all, tries);

    while (code == EXIT_OK && view_string(*all, "next_page_token")[0] != '\0') {
        ProtobufCMessage *page;
        char **token =
            (char **)(void *)((char *)*all +
                              protobuf_c_message_descriptor_get_field_by_name(
                                  (*all)->descriptor, "next_page_token")
                                  ->offset);

        if (!request_set(invocation, request, "page_token", *token, "")) {
            return EXIT_USAGE;
        }
        code = request_call_page(invocation, method, request, &page, tries);
        if (code == EXIT_OK) {
            list_merge(*all, page);
            free(*token);
            *token = memory_copy_string(view_string(page, "next_page_token"));
            hf_message_free(page);
        } else {
            hf_message_free(*all);
        }
    }
    return code;
}

enum exit_code list_fetch(struct invocation *invocation, const char *method,
                          ProtobufCMessage *request, ProtobufCMessage **all)
{
    bool paged = protobuf_c_message_descriptor_get_field_by_name(
                     request->descriptor, "page_token") != NULL;
    unsigned tries = LIST_TRIES_MAX;
    enum exit_code code;

    if (paged &&
        !request_set(invocation, request, "page_size", PAGE_SIZE, "")) {
        return EXIT_USAGE;
    }
    do {
        if (paged && !request_set(invocation, request, "page_token", "", "")) {
            return EXIT_USAGE;
        }
        code = fetch_pages(invocation, method, request, all, &tries);
    } while (code == EXIT_CONFLICT && tries > 0);
    if (code == EXIT_OK) {
        list_sort(*all);
    }
    return code;
}

/* `token list` shows those of tokens alone. */
static bool grant_matches(const struct arguments *arguments,
                          const ProtobufCMessage *object)
{
    const Holdfast__V1__Grant *grant =
        (const Holdfast__V1__Grant *)(const void *)object;

    return arguments->command == NULL ||
           strcmp(arguments->command->noun, "token") != 0 ||
           grant->subject_kind ==
               HOLDFAST__V1__SUBJECT_KIND__SUBJECT_KIND_TOKEN;
}

bool list_is_wanted(const struct arguments *arguments,
                    const ProtobufCMessage *object)
{
    const Holdfast__V1__Vm *vm = (const void *)object;

    if (object->descriptor == &holdfast__v1__grant__descriptor) {
        return grant_matches(arguments, object);
    }
    if (object->descriptor == &holdfast__v1__group__descriptor) {
        return true;
    }
    if (!selector_matches(arguments_value(arguments, OPTION_FILTER), object)) {
        return false;
    }
    if (object->descriptor != &holdfast__v1__vm__descriptor) {
        return true;
    }
    return equals(arguments_value(arguments, OPTION_GROUP), vm->group) &&
           (!arguments_has(arguments, OPTION_ONLY_UNPROTECTED) ||
            (vm->status != NULL && vm->status->unprotected_reason != 0 &&
             vm->status->unprotected_reason !=
                 HOLDFAST__V1__UNPROTECTED_REASON__UNPROTECTED_REASON_UNKNOWN));
}

/* Drops what a server does not filter. */
static void keep_matching(struct invocation *invocation, ProtobufCMessage *all)
{
    size_t *count = text_field_list_count(all, list_field(all->descriptor));
    ProtobufCMessage **items = list_items(all);
    size_t kept = 0;

    for (size_t i = 0; i < *count; i++) {
        if (list_is_wanted(invocation->arguments, items[i])) {
            items[kept++] = items[i];
        } else {
            hf_message_free(items[i]);
        }
    }
    *count = kept;
}

/* What --columns and --sort name is looked up before anything is shown. */
static bool choose_columns(struct invocation *invocation, struct grid *grid)
{
    const char *list = arguments_value(invocation->arguments, OPTION_COLUMNS);
    size_t from = 0;

    while (list != NULL && list[0] != '\0') {
        size_t len = strcspn(list, ",");
        size_t column;

        if (grid->chosen_count == GRID_COLUMNS_MAX ||
            !grid_find(grid, list, len, from, &column)) {
            char headers[512];

            grid_headers(grid, headers, sizeof(headers));
            (void)usage_error(invocation,
                              "--columns: there is no column `%.*s`; it has: "
                              "%s",
                              (int)len, list, headers);
            return false;
        }
        grid->chosen[grid->chosen_count++] = column;
        from = column + 1;
        list += len + (list[len] == ',');
    }
    return true;
}

/* Objects stand as their rows do, so that -o json is in order as well. */
static bool sort_rows(struct invocation *invocation, ProtobufCMessage *all,
                      struct grid *grid)
{
    const char *name = arguments_value(invocation->arguments, OPTION_SORT);
    bool descending = name != NULL && name[0] == '-';
    ProtobufCMessage **items = list_items(all);
    size_t rows = grid_rows(grid);
    ProtobufCMessage **copy;
    size_t *order;
    size_t column;

    if (name == NULL) {
        return true;
    }
    name += descending;
    if (!grid_find(grid, name, strlen(name), 0, &column)) {
        char headers[512];

        grid_headers(grid, headers, sizeof(headers));
        (void)usage_error(invocation,
                          "--sort: there is no column `%s`; it has: %s", name,
                          headers);
        return false;
    }
    if (rows == 0) {
        return true;
    }
    order = memory_realloc_array(NULL, rows, sizeof(*order));
    copy = memory_realloc_array(NULL, rows, sizeof(ProtobufCMessage *));
    memcpy(copy, items, rows * sizeof(ProtobufCMessage *));
    grid_sort(grid, column, descending, order);
    for (size_t i = 0; i < rows; i++) {
        items[i] = copy[order[i]];
    }
    free(copy);
    free(order);
    return true;
}

/* A column that is named may be one of -o wide. */
static struct view_options list_view_options(struct invocation *invocation)
{
    struct view_options options = output_view_options(invocation);

    options.wide = options.wide ||
                   arguments_has(invocation->arguments, OPTION_COLUMNS) ||
                   invocation->output != OUTPUT_TABLE;
    return options;
}

static bool show(struct invocation *invocation, ProtobufCMessage *all,
                 struct grid *grid)
{
    const ProtobufCFieldDescriptor *field = list_field(all->descriptor);
    size_t count = *text_field_list_count(all, field);
    ProtobufCMessage **items = *items_of(all, field);
    const struct view *view = view_find(field->descriptor);
    struct view_options options = list_view_options(invocation);

    view->columns(grid, &options);
    for (size_t i = 0; i < count; i++) {
        view->row(grid, items[i], &options);
    }
    if (!choose_columns(invocation, grid) ||
        !sort_rows(invocation, all, grid)) {
        return false;
    }
    if (invocation->output == OUTPUT_NAME) {
        for (size_t i = 0; i < count; i++) {
            output_object(invocation, items[i]);
        }
    } else if (!output_message(invocation, all)) {
        output_table(invocation, grid, true);
    }
    output_flush(invocation);
    return true;
}

/* One changed object as one more row, or in the form asked for. */
static void show_event(struct invocation *invocation,
                       const struct event_view *event, struct grid *grid)
{
    struct view_options options = list_view_options(invocation);

    options.stale = true;
    if (invocation->output == OUTPUT_JSON) {
        output_json_line(invocation, event->event);
    } else if (invocation->output == OUTPUT_YAML) {
        (void)output_message(invocation, event->event);
    } else if (invocation->output == OUTPUT_NAME) {
        output_object(invocation, event->object);
    } else if (event->deleted) {
        output_line(invocation, "%s (deleted)",
                    view_string(event->object, "name"));
    } else {
        grid_next(grid);
        view_find(event->object->descriptor)
            ->row(grid, event->object, &options);
        output_table(invocation, grid, false);
    }
}

static enum exit_code follow(struct invocation *invocation, uint64_t revision,
                             struct grid *grid)
{
    struct event_stream stream;
    struct hf_status status;

    event_stream_open(&stream, invocation, revision, invocation->command->noun);
    while (event_stream_next(&stream, UINT32_MAX, &status)) {
        struct event_view event;

        while (event_stream_take(&stream, &event)) {
            if (list_matches(invocation->arguments, event.object)) {
                show_event(invocation, &event, grid);
            }
        }
        output_flush(invocation);
    }
    event_stream_close(&stream);
    return failure_tell(invocation, NULL, &status);
}

/* Whether a watch tells of such objects. */
static bool has_events(const ProtobufCMessage *all)
{
    const void *object = list_field(all->descriptor)->descriptor;

    return object != &holdfast__v1__node__descriptor &&
           object != &holdfast__v1__grant__descriptor;
}

/* What does not go together; false: it is told. */
static bool check_options(const struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    bool watches = arguments_has(arguments, OPTION_WATCH);

    if (arguments_has(arguments, OPTION_ONLY_UNPROTECTED) &&
        (watches || arguments_has(arguments, OPTION_STALE))) {
        (void)usage_error(invocation,
                          "--unprotected is worked out by the leader when it "
                          "is asked: it goes with neither --watch nor "
                          "--stale");
        return false;
    }
    if (is_of_groups(invocation) && watches &&
        (arguments_has(arguments, OPTION_FILTER) ||
         arguments_has(arguments, OPTION_ZONE) ||
         arguments_has(arguments, OPTION_UNHEALTHY))) {
        (void)usage_error(invocation,
                          "changes of groups do not tell of their members: "
                          "--filter, --zone and --unhealthy do not go with "
                          "--watch");
        return false;
    }
    if (arguments_has(arguments, OPTION_SORT) && watches) {
        (void)usage_error(invocation, "--sort does not go with --watch: "
                                      "changes come in their own order");
        return false;
    }
    if (arguments_has(arguments, OPTION_COLUMNS) &&
        invocation->output != OUTPUT_TABLE &&
        invocation->output != OUTPUT_WIDE) {
        (void)usage_error(invocation, "--columns is for tables");
        return false;
    }
    return true;
}

enum exit_code run_list(struct invocation *invocation)
{
    ProtobufCMessage *request =
        request_for(invocation, invocation->command->method);
    ProtobufCMessage *all;
    struct grid grid;
    enum exit_code code;

    if (request == NULL || !set_list_options(invocation, request) ||
        !check_options(invocation)) {
        return EXIT_USAGE;
    }
    code = list_fetch(invocation, invocation->command->method, request, &all);
    if (code != EXIT_OK) {
        return code;
    }
    keep_matching(invocation, all);
    grid_init(&grid);
    code = show(invocation, all, &grid) ? EXIT_OK : EXIT_USAGE;
    if (code == EXIT_OK && arguments_has(invocation->arguments, OPTION_WATCH)) {
        code = has_events(all)
                   ? follow(invocation, response_revision(all), &grid)
                   : list_poll(invocation, invocation->command->method, &all,
                               &grid);
    }
    grid_close(&grid);
    hf_message_free(all);
    return code;
}
