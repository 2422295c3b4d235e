/* SPDX-License-Identifier: Apache-2.0
 *
 * How audit records look. */
#include "base/check.h"
#include "ctl/format.h"
#include "ctl/view.h"
#include "holdfast/v1/audit_service.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const Holdfast__V1__AuditRecord *as_record(
    const ProtobufCMessage *message)
{
    CHECK(message->descriptor == &holdfast__v1__audit_record__descriptor);
    return (const Holdfast__V1__AuditRecord *)(const void *)message;
}

/* Of what takes several records: "begun", "done", "not done". */
static const char *step_of(const Holdfast__V1__AuditRecord *record)
{
    for (size_t i = 0; i < record->n_arguments; i++) {
        if (strcmp(record->arguments[i]->name, "step") == 0) {
            return record->arguments[i]->value;
        }
    }
    return "";
}

/* "host/h1", "node/n4 (done)"; the kind alone where there is no name. */
static void object_of(const Holdfast__V1__AuditRecord *record, char *text,
                      size_t size)
{
    const char *step = step_of(record);

    (void)snprintf(text, size, "%s%s%s%s%s%s", record->object_kind,
                   record->object_name[0] == '\0' ? "" : "/",
                   record->object_name, step[0] == '\0' ? "" : " (", step,
                   step[0] == '\0' ? "" : ")");
}

/* "cordoned: - -> true, state: up -> lost" */
static void changes_of(const Holdfast__V1__AuditRecord *record, char *text,
                       size_t size)
{
    size_t len = 0;

    (void)snprintf(text, size, "-");
    for (size_t i = 0; i < record->n_changes && len < size; i++) {
        const Holdfast__V1__AuditChange *change = record->changes[i];

        len += (size_t)snprintf(
            text + len, size - len, "%s%s: %s -> %s", i == 0 ? "" : ", ",
            change->field, change->before[0] == '\0' ? "-" : change->before,
            change->after[0] == '\0' ? "-" : change->after);
    }
}

static void columns(struct grid *grid, const struct view_options *options)
{
    grid_column_right(grid, "NUMBER");
    grid_column(grid, "TIME");
    grid_column(grid, "CALLER");
    grid_column(grid, "METHOD");
    grid_column(grid, "OBJECT");
    grid_column(grid, "REASON");
    if (options->wide) {
        grid_column_right(grid, "REVISION");
        grid_column(grid, "REQUEST ID");
        grid_column(grid, "CHANGES");
    }
}

static void row(struct grid *grid, const ProtobufCMessage *message,
                const struct view_options *options)
{
    const Holdfast__V1__AuditRecord *record = as_record(message);
    char object[160];
    char changes[2048];

    object_of(record, object, sizeof(object));
    grid_cell_format(grid, "%" PRIu64, record->number);
    grid_cell(grid, format_time(record->time_ms).text);
    grid_cell(grid, record->caller);
    grid_cell(grid, record->method);
    grid_cell(grid, object);
    grid_cell(grid, record->reason[0] == '\0' ? "-" : record->reason);
    if (options->wide) {
        changes_of(record, changes, sizeof(changes));
        grid_cell_format(grid, "%" PRIu64, record->revision);
        grid_cell(grid,
                  record->request_id[0] == '\0' ? "-" : record->request_id);
        grid_cell(grid, changes);
    }
}

static void details(struct grid *grid, const ProtobufCMessage *message,
                    const struct view_options *options)
{
    const Holdfast__V1__AuditRecord *record = as_record(message);
    char object[160];

    (void)options;
    object_of(record, object, sizeof(object));
    view_detail(grid, "Number:", "%" PRIu64, record->number);
    view_detail(grid, "Time:", "%s", format_time(record->time_ms).text);
    view_detail(grid, "Caller:", "%s", record->caller);
    view_detail(grid, "Method:", "%s", record->method);
    view_detail(grid, "Object:", "%s", object);
    view_detail(grid, "Reason:", "%s", record->reason);
    for (size_t i = 0; i < record->n_changes; i++) {
        const Holdfast__V1__AuditChange *change = record->changes[i];

        view_detail(grid, i == 0 ? "Changes:" : "", "%s: %s -> %s",
                    change->field, change->before, change->after);
    }
}

const struct view view_audit = {
    .descriptor = &holdfast__v1__audit_record__descriptor,
    .noun = "audit",
    .columns = columns,
    .row = row,
    .details = details,
};
