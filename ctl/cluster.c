/* SPDX-License-Identifier: Apache-2.0 */
#include "base/similar.h"
#include "ctl/failure.h"
#include "ctl/format.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "ctl/view.h"
#include "holdfast/v1/cluster_service.pb-c.h"
#include "proto/text_field.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void vm_states(const Holdfast__V1__GetStatusResponse *status, char *text,
                      size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 1; i < status->n_vm_state_counts && used < size; i++) {
        char name[TEXT_NAME_MAX + 1];

        if (status->vm_state_counts[i] == 0) {
            continue;
        }
        text_enum_name(&holdfast__v1__vm_state__descriptor, (int)i, name);
        used += (size_t)snprintf(text + used, size - used, "%s%" PRIu32 " %s",
                                 used > 0 ? ", " : " (",
                                 status->vm_state_counts[i], name);
    }
    if (used > 0 && used < size) {
        (void)snprintf(text + used, size - used, ")");
    }
}

static void show_status(struct grid *grid,
                        const Holdfast__V1__GetStatusResponse *status)
{
    const Holdfast__V1__Node *node = status->node;
    char role[TEXT_NAME_MAX + 1] = "";
    char states[256];

    if (node != NULL) {
        text_enum_name(&holdfast__v1__role__descriptor, (int)node->role, role);
    }
    vm_states(status, states, sizeof(states));
    view_detail(grid, "Region:", "%s", status->region);
    if (status->region_id[0] != '\0') {
        view_detail(grid, "Region id:", "%s", status->region_id);
    }
    if (status->generation > 1) {
        view_detail(grid, "Generation:", "%" PRIu32 " (recovered)",
                    status->generation);
    }
    grid_cell(grid, "Quorum:");
    grid_cell_colour(grid, status->quorum ? COLOUR_GOOD : COLOUR_BAD,
                     status->quorum ? "yes" : "no");
    if (status->leader[0] == '\0') {
        grid_cell(grid, "Leader:");
        grid_cell_colour(grid, COLOUR_BAD, "none known");
    } else {
        view_detail(grid, "Leader:", "%s (%s), term %" PRIu64, status->leader,
                    status->leader_address, status->term);
    }
    if (status->storm) {
        grid_cell(grid, "Storm:");
        grid_cell_colour(grid, COLOUR_BAD,
                         "too much vanished at once: automatic re-assignment "
                         "is paused");
    }
    view_detail(grid, "Zones:", "%" PRIu32, status->zone_count);
    view_detail(grid, "Hosts:", "%" PRIu32 " of %" PRIu32 " up",
                status->host_up_count, status->host_count);
    view_detail(grid, "VMs:", "%" PRIu32 "%s", status->vm_count, states);
    view_detail(grid, "Revision:", "%" PRIu64, status->revision);
    if (node != NULL) {
        view_detail(grid, "Answered by:", "%s (%s), %s, zone %s", node->name,
                    node->address, role, node->zone);
    }
    view_detail(grid, "Applied:", "entry %" PRIu64 ", state %016" PRIx64,
                status->applied_index, status->state_hash);
    view_detail(grid, "Version:", "%s, up %s", status->version,
                format_duration(status->uptime_ms).text);
}

enum exit_code run_cluster_status(struct invocation *invocation)
{
    ProtobufCMessage *request =
        request_for(invocation, invocation->command->method);
    const Holdfast__V1__GetStatusResponse *status;
    ProtobufCMessage *response;
    struct grid grid;
    enum exit_code code;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    code = request_call(invocation, invocation->command->method, request, NULL,
                        &response);
    if (code != EXIT_OK) {
        return code;
    }
    status = (const void *)response;
    if (invocation->output == OUTPUT_NAME) {
        bytes_append(&invocation->out, status->leader, strlen(status->leader));
        bytes_append_u8(&invocation->out, '\n');
    } else if (!output_message(invocation, response)) {
        grid_init(&grid);
        view_detail_columns(&grid);
        show_status(&grid, status);
        output_table(invocation, &grid, false);
        grid_close(&grid);
    }
    code = status->quorum ? EXIT_OK : EXIT_NO_QUORUM;
    hf_message_free(response);
    return code;
}

enum exit_code run_cluster_transfer(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    const char *node = arguments->name_count > 0 ? arguments->names[0] : NULL;
    ProtobufCMessage *request =
        request_for(invocation, invocation->command->method);
    ProtobufCMessage *response;
    enum exit_code code;

    if (request == NULL ||
        (node != NULL &&
         !request_set(invocation, request, "node", node, "NODE"))) {
        return EXIT_USAGE;
    }
    code = request_call(invocation, invocation->command->method, request, node,
                        &response);
    if (code != EXIT_OK) {
        return code;
    }
    if (invocation->output == OUTPUT_NAME) {
        const char *leader = view_string(response, "leader");

        bytes_append(&invocation->out, leader, strlen(leader));
        bytes_append_u8(&invocation->out, '\n');
    } else if (!output_message(invocation, response)) {
        output_line(invocation, "%s leads now",
                    view_string(response, "leader"));
    }
    hf_message_free(response);
    return EXIT_OK;
}

static void show_setting(struct grid *grid, const ProtobufCMessage *settings,
                         const ProtobufCFieldDescriptor *field)
{
    char name[TEXT_NAME_MAX + 1];

    if (field->type != PROTOBUF_C_TYPE_UINT32 &&
        field->type != PROTOBUF_C_TYPE_ENUM) {
        return;
    }
    grid_cell(grid, field->name);
    if (text_field_count(settings, field, true) == 0) {
        grid_cell(grid, "");
    } else if (field->type == PROTOBUF_C_TYPE_ENUM) {
        text_enum_name(field->descriptor,
                       *(const int *)text_field_at(settings, field, 0), name);
        grid_cell(grid, name);
    } else {
        grid_cell_format(grid, "%" PRIu32,
                         *(const uint32_t *)text_field_at(settings, field, 0));
    }
}

/* One line a setting, in the order of the .proto file. */
static void show_settings(struct invocation *invocation,
                          const ProtobufCMessage *settings)
{
    struct grid grid;

    if (settings == NULL || output_message(invocation, settings)) {
        return;
    }
    grid_init(&grid);
    grid_column(&grid, "SETTING");
    grid_column_right(&grid, "VALUE");
    for (unsigned i = 0; i < settings->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field =
            &settings->descriptor->fields[i];

        show_setting(&grid, settings, field);
    }
    output_table(invocation, &grid, true);
    grid_close(&grid);
}

enum exit_code run_settings_get(struct invocation *invocation)
{
    ProtobufCMessage *request =
        request_for(invocation, invocation->command->method);
    ProtobufCMessage *response;
    enum exit_code code;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    code = request_call(invocation, invocation->command->method, request, NULL,
                        &response);
    if (code == EXIT_OK) {
        show_settings(invocation, response_object(response));
        hf_message_free(response);
    }
    return code;
}

/* "key=value" into the settings and the mask. */
static bool set_setting(struct invocation *invocation,
                        Holdfast__V1__UpdateSettingsRequest *request,
                        const char *text)
{
    const char *equals = strchr(text, '=');
    const ProtobufCFieldDescriptor *field;
    struct similar similar;
    char *key;

    if (equals == NULL) {
        (void)usage_error(invocation, "`%s` is not KEY=VALUE", text);
        return false;
    }
    key = request_copy(invocation, text, (size_t)(equals - text));
    field = protobuf_c_message_descriptor_get_field_by_name(
        request->settings->base.descriptor, key);
    if (field == NULL || strcmp(key, "revision") == 0) {
        similar_init(&similar, key);
        for (unsigned i = 0; i < request->settings->base.descriptor->n_fields;
             i++) {
            const char *name =
                request->settings->base.descriptor->fields[i].name;

            if (strcmp(name, "revision") != 0) {
                similar_offer(&similar, name);
            }
        }
        (void)usage_error(invocation, "there is no setting `%s`%s%s%s", key,
                          similar.best == NULL
                              ? "; `holdfast cluster settings get` shows "
                                "them"
                              : "; did you mean `",
                          similar.best == NULL ? "" : similar.best,
                          similar.best == NULL ? "" : "`?");
        return false;
    }
    for (size_t i = 0; i < request->n_update_mask; i++) {
        if (strcmp(request->update_mask[i], key) == 0) {
            (void)usage_error(invocation, "`%s` is given twice", key);
            return false;
        }
    }
    return request_set(invocation, &request->settings->base, key, equals + 1,
                       key) &&
           request_add(invocation, &request->base, "update_mask", key, key);
}

enum exit_code run_settings_set(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    Holdfast__V1__UpdateSettingsRequest *request =
        (void *)request_for(invocation, invocation->command->method);
    ProtobufCMessage *response;
    enum exit_code code;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    request->settings =
        (void *)request_create(invocation, &holdfast__v1__settings__descriptor);
    for (size_t i = 0; i < arguments->name_count; i++) {
        if (!set_setting(invocation, request, arguments->names[i])) {
            return EXIT_USAGE;
        }
    }
    code = request_call(invocation, invocation->command->method, &request->base,
                        NULL, &response);
    if (code == EXIT_OK) {
        if (arguments_has(arguments, OPTION_DRY_RUN)) {
            output_line(invocation, "dry run: nothing was changed");
        }
        show_settings(invocation, response_object(response));
        hf_message_free(response);
    }
    return code;
}
