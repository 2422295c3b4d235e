/* SPDX-License-Identifier: Apache-2.0
 *
 * AuditService. */
#include "node/api_check.h"
#include "node/audit.h"
#include "node/limits.h"
#include "node/view.h"
#include "proto/text_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES_MAX (3u << 20)

static bool equals_if_given(const char *wanted, const char *text)
{
    return wanted[0] == '\0' || strcmp(wanted, text) == 0;
}

/* "host" or "host/h1". */
static bool is_object(const char *wanted,
                      const Holdfast__V1__AuditRecord *record)
{
    size_t len = strlen(record->object_kind);

    return wanted[0] == '\0' ||
           (strncmp(wanted, record->object_kind, len) == 0 &&
            (wanted[len] == '\0' ||
             (wanted[len] == '/' &&
              strcmp(wanted + len + 1, record->object_name) == 0)));
}

/* What the record itself says, before it is unpacked. */
static bool is_within(const Holdfast__V1__ListAuditRecordsRequest *request,
                      const struct audit *audit)
{
    return audit->time_ms >= request->since_ms &&
           (request->until_ms == 0 || audit->time_ms < request->until_ms) &&
           (request->after_revision == 0 ||
            audit->revision > request->after_revision);
}

static bool is_wanted(const Holdfast__V1__ListAuditRecordsRequest *request,
                      const Holdfast__V1__AuditRecord *record)
{
    return equals_if_given(request->caller, record->caller) &&
           equals_if_given(request->method, record->method) &&
           is_object(request->object, record);
}

/* The number to begin with; false: the reply has failed. */
static bool read_token(struct api_reply *reply, const char *token,
                       uint64_t *number)
{
    char *end;

    *number = 0;
    if (token[0] == '\0') {
        return true;
    }
    *number = strtoull(token, &end, 10);
    if (token[0] < '0' || token[0] > '9' || *end != '\0' ||
        strlen(token) > 19) {
        api_fail(reply, API_INVALID_FIELD,
                 "page_token: must be as it came, or empty");
        return false;
    }
    return true;
}

static bool read_size(struct api_reply *reply, uint32_t page_size,
                      uint32_t *count)
{
    uint32_t slot;

    return api_check_page(reply, page_size, "", &slot, count);
}

void api_list_audit_records(const ProtobufCMessage *message,
                            const struct api_view *view,
                            struct api_reply *reply)
{
    const Holdfast__V1__ListAuditRecordsRequest *request =
        (const Holdfast__V1__ListAuditRecordsRequest *)(const void *)message;
    Holdfast__V1__ListAuditRecordsResponse response =
        HOLDFAST__V1__LIST_AUDIT_RECORDS_RESPONSE__INIT;
    const struct state *state = view->state;
    uint64_t looks = 0;
    char token[24] = "";
    size_t size = 0;
    uint64_t number;
    uint32_t count;

    if (!read_size(reply, request->page_size, &count) ||
        !read_token(reply, request->page_token, &number)) {
        return;
    }
    response.first_number = state_audit_first(state);
    response.last_number = state_audit_last(state);
    response.records =
        view_alloc(view->arena, count * sizeof(*response.records));
    number = number < response.first_number ? response.first_number : number;
    for (; number <= response.last_number; number++) {
        Holdfast__V1__AuditRecord *record;

        if (response.n_records == count || size > PAGE_BYTES_MAX ||
            looks == AUDIT_LOOKS_MAX) {
            snprintf(token, sizeof(token), "%" PRIu64, number);
            break;
        }
        if (!is_within(request, state_audit(state, number))) {
            continue;
        }
        looks++;
        record = audit_read(view->arena, state, number);
        if (is_wanted(request, record)) {
            size += holdfast__v1__audit_record__get_packed_size(record) + 8;
            response.records[response.n_records++] = record;
        }
    }
    response.next_page_token = token;
    response.age_ms = view->age_ms;
    response.revision = state_revision(state);
    api_respond(reply, &response.base);
}

/* The line without its end. */
static char *line_of(struct arena *arena, const struct state *state,
                     uint64_t number)
{
    struct bytes line;
    char *text;

    bytes_init(&line);
    text_json_write(&audit_read(arena, state, number)->base, 0, &line);
    text = view_text(
        arena, (struct text){(const char *)line.data, (uint32_t)line.len});
    bytes_close(&line);
    return text;
}

void api_export_audit_records(const ProtobufCMessage *message,
                              const struct api_view *view,
                              struct api_reply *reply)
{
    const Holdfast__V1__ExportAuditRecordsRequest *request =
        (const Holdfast__V1__ExportAuditRecordsRequest *)(const void *)message;
    Holdfast__V1__ExportAuditRecordsResponse response =
        HOLDFAST__V1__EXPORT_AUDIT_RECORDS_RESPONSE__INIT;
    uint64_t first = state_audit_first(view->state);
    uint64_t last = state_audit_last(view->state);
    size_t size = 0;
    uint64_t number = request->after_number + 1;
    uint32_t count;

    if (!read_size(reply, request->page_size, &count)) {
        return;
    }
    if (request->after_number == 0) {
        number = first;
    } else if (number < first || number > last + 1) {
        api_fail(reply, API_AUDIT_GONE,
                 "after_number: record %" PRIu64
                 " is not kept; there are those from %" PRIu64 " to %" PRIu64,
                 number, first, last);
        return;
    }
    response.last_number = request->after_number;
    response.lines = view_alloc(view->arena, count * sizeof(*response.lines));
    for (; number <= last && response.n_lines < count && size <= PAGE_BYTES_MAX;
         number++) {
        char *line = line_of(view->arena, view->state, number);

        size += strlen(line) + 8;
        response.lines[response.n_lines++] = line;
        response.last_number = number;
    }
    response.more = number <= last;
    response.age_ms = view->age_ms;
    response.revision = state_revision(view->state);
    api_respond(reply, &response.base);
}
