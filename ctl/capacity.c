/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/output.h"
#include "ctl/request.h"
#include "holdfast/v1/plan_service.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Columns that a line holds; of more zones the worst is shown. */
#define ZONES_SHOWN 6

static void columns(struct grid *grid, const Holdfast__V1__ClassCapacity *class,
                    bool wide, bool each)
{
    char header[160];

    grid_column(grid, "CLASS");
    grid_column_right(grid, "FREE NOW");
    grid_column_right(grid, "SAFE");
    for (size_t i = 0; each && i < class->n_zones; i++) {
        (void)snprintf(header, sizeof(header), "WITHOUT %s",
                       class->zones[i]->zone);
        grid_column_right(grid, header);
    }
    for (size_t i = 0; each && wide && i < class->n_zones; i++) {
        (void)snprintf(header, sizeof(header), "IN %s", class->zones[i]->zone);
        grid_column_right(grid, header);
    }
    if (!each) {
        grid_column_right(grid, "WORST LOSS");
        grid_column(grid, "OF");
    }
}

static const Holdfast__V1__ZoneCapacity *worst(
    const Holdfast__V1__ClassCapacity *class)
{
    const Holdfast__V1__ZoneCapacity *found = NULL;

    for (size_t i = 0; i < class->n_zones; i++) {
        if (found == NULL ||
            class->zones[i]->free_count_without < found->free_count_without) {
            found = class->zones[i];
        }
    }
    return found;
}

/* Of the zone that a column stands for; classes tell their zones in any
 * order. */
static const Holdfast__V1__ZoneCapacity *find(
    const Holdfast__V1__ClassCapacity *class, const char *zone)
{
    for (size_t i = 0; i < class->n_zones; i++) {
        if (strcmp(class->zones[i]->zone, zone) == 0) {
            return class->zones[i];
        }
    }
    return NULL;
}

static void cell_count(struct grid *grid, bool known, uint32_t count)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "%" PRIu32, count);
    if (!known) {
        grid_cell(grid, "");
    } else {
        grid_cell_colour(grid, count == 0 ? COLOUR_BAD : COLOUR_NONE, text);
    }
}

static void row(struct grid *grid, const Holdfast__V1__ClassCapacity *class,
                const Holdfast__V1__ClassCapacity *first, bool wide, bool each)
{
    const Holdfast__V1__ZoneCapacity *zone;

    grid_cell(grid, class->class_name);
    cell_count(grid, true, class->free_count);
    cell_count(grid, true, class->safe_count);
    for (size_t i = 0; each && i < first->n_zones; i++) {
        zone = find(class, first->zones[i]->zone);
        cell_count(grid, zone != NULL,
                   zone == NULL ? 0 : zone->free_count_without);
    }
    for (size_t i = 0; each && wide && i < first->n_zones; i++) {
        zone = find(class, first->zones[i]->zone);
        cell_count(grid, zone != NULL, zone == NULL ? 0 : zone->free_count);
    }
    if (!each) {
        zone = worst(class);
        cell_count(grid, zone != NULL,
                   zone == NULL ? 0 : zone->free_count_without);
        grid_cell(grid, zone == NULL ? "" : zone->zone);
    }
}

/* The class that tells of the most zones gives the columns. */
static const Holdfast__V1__ClassCapacity *widest(
    const Holdfast__V1__GetCapacityResponse *response)
{
    const Holdfast__V1__ClassCapacity *found = response->classes[0];

    for (size_t i = 1; i < response->n_classes; i++) {
        if (response->classes[i]->n_zones > found->n_zones) {
            found = response->classes[i];
        }
    }
    return found;
}

static void show(struct invocation *invocation,
                 const Holdfast__V1__GetCapacityResponse *response)
{
    const Holdfast__V1__ClassCapacity *first;
    bool wide = invocation->output == OUTPUT_WIDE;
    struct grid grid;
    bool each;

    if (response->n_classes == 0) {
        output_line(invocation, "there are no classes");
        return;
    }
    first = widest(response);
    each = first->n_zones <= ZONES_SHOWN;
    grid_init(&grid);
    columns(&grid, first, wide, each);
    for (size_t i = 0; i < response->n_classes; i++) {
        row(&grid, response->classes[i], first, wide, each);
    }
    output_table(invocation, &grid, true);
    grid_close(&grid);
}

enum exit_code run_capacity(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    const char *method = invocation->command->method;
    ProtobufCMessage *request = request_for(invocation, method);
    const Holdfast__V1__GetCapacityResponse *capacity;
    ProtobufCMessage *response;
    enum exit_code code;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < arguments->name_count; i++) {
        if (!request_add(invocation, request, "classes", arguments->names[i],
                         "CLASS")) {
            return EXIT_USAGE;
        }
    }
    code = request_call(invocation, method, request,
                        arguments->name_count == 1 ? arguments->names[0] : NULL,
                        &response);
    if (code != EXIT_OK) {
        return code;
    }
    capacity = (const void *)response;
    if (invocation->output == OUTPUT_NAME) {
        for (size_t i = 0; i < capacity->n_classes; i++) {
            const char *name = capacity->classes[i]->class_name;

            bytes_append(&invocation->out, name, strlen(name));
            bytes_append_u8(&invocation->out, '\n');
        }
    } else if (!output_message(invocation, response)) {
        show(invocation, capacity);
    }
    hf_message_free(response);
    return EXIT_OK;
}
