/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists come in pages, each as of another revision if the region changes
 * meanwhile. So the changes from the first to the last of them are taken from a
 * watch: then all of it is as of the last. A region of which the watch no
 * longer has the first is read again. */
#include "ctl/export.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "ctl/event.h"
#include "ctl/failure.h"
#include "ctl/fleet.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "ctl/save.h"
#include "ctl/view.h"
#include "holdfast/v1/access_service.pb-c.h"
#include "holdfast/v1/group_service.pb-c.h"
#include "proto/text_json.h"
#include "proto/text_yaml.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPTS_MAX 5

/* A watch that says nothing at all for so long is not waited for: a node gives
 * a sign of life every 5 s. */
#define WATCH_WAIT_MS 15000

/* A region has at most 4096 of them. */
#define GRANTS_PAGE 10000

static enum exit_code read_list(struct invocation *invocation,
                                const char *method, struct fleet *fleet)
{
    ProtobufCMessage *request = request_for(invocation, method);
    unsigned tries = LIST_TRIES_MAX;
    const char *token = "";
    bool more = true;
    bool paged;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    paged = protobuf_c_message_descriptor_get_field_by_name(
                request->descriptor, "page_token") != NULL;
    while (more) {
        ProtobufCMessage *response;
        enum exit_code code;

        if (paged &&
            !request_set(invocation, request, "page_token", token, "")) {
            return EXIT_USAGE;
        }
        code =
            request_call_page(invocation, method, request, &response, &tries);
        if (code == EXIT_CONFLICT && tries > 0) {
            token = ""; /* What was taken is taken again. */
            continue;
        }
        if (code != EXIT_OK) {
            return code;
        }
        fleet_take(fleet, response);
        token = view_string(response, "next_page_token");
        token = request_copy(invocation, token, strlen(token));
        more = token[0] != '\0';
        hf_message_free(response);
    }
    return EXIT_OK;
}

/* What an export says beside the manifest. */
struct export_notes {
    bool grants_hidden;  /* Only an administrator sees them. */
    struct bytes tokens; /* Their names, parted by ", ". */
};

static void note_tokens(struct export_notes *notes,
                        const Holdfast__V1__ListGrantsResponse *response)
{
    for (size_t i = 0; i < response->n_grants; i++) {
        const Holdfast__V1__Grant *grant = response->grants[i];

        if (grant->subject_kind ==
            HOLDFAST__V1__SUBJECT_KIND__SUBJECT_KIND_TOKEN) {
            bytes_append_format(&notes->tokens, "%s%s",
                                notes->tokens.len == 0 ? "" : ", ",
                                grant->name);
        }
    }
}

/* In one piece: they have no part in the region's revisions and in watches. */
static enum exit_code read_grants(struct invocation *invocation,
                                  struct fleet *fleet,
                                  struct export_notes *notes)
{
    static const char method[] = "AccessService/ListGrants";
    Holdfast__V1__ListGrantsRequest *request =
        (void *)request_for(invocation, method);
    ProtobufCMessage *response;
    struct hf_status status;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    request->page_size = GRANTS_PAGE;
    bytes_clear(&notes->tokens);
    if (hf_client_call(invocation->client, method, &request->base, &response,
                       &status) == HF_STATUS_OK) {
        note_tokens(notes, (const void *)response);
        fleet_take(fleet, response);
        hf_message_free(response);
        return EXIT_OK;
    }
    notes->grants_hidden = status.code == HF_STATUS_PERMISSION_DENIED;
    /* A node of a version without grants has none. */
    return notes->grants_hidden || status.code == HF_STATUS_UNIMPLEMENTED
               ? EXIT_OK
               : failure_tell(invocation, NULL, &status);
}

static enum exit_code read_lists(struct invocation *invocation,
                                 struct fleet *fleet)
{
    static const char *const methods[] = {
        "ClusterService/GetSettings", "ZoneService/ListZones",
        "ClassService/ListClasses",   "HostService/ListHosts",
        "GroupService/ListGroups",    "ReservationService/ListReservations",
        "VmService/ListVms"};
    enum exit_code code = EXIT_OK;

    for (size_t i = 0; i < ARRAY_LEN(methods) && code == EXIT_OK; i++) {
        code = read_list(invocation, methods[i], fleet);
    }
    return code;
}

/* Puts in all events up to the newest answer. */
static enum hf_code read_events(struct invocation *invocation,
                                struct fleet *fleet, struct hf_status *status)
{
    struct event_stream stream;
    bool there = false;

    if (fleet->oldest == 0) { /* "From now on": what came before is missed. */
        *status = (struct hf_status){.code = HF_STATUS_OUT_OF_RANGE};
        return HF_STATUS_OUT_OF_RANGE;
    }
    event_stream_open(&stream, invocation, fleet->oldest, NULL);
    while (!there && event_stream_next(&stream, WATCH_WAIT_MS, status)) {
        struct event_view event;

        while (event_stream_take(&stream, &event)) {
            fleet_change(fleet, &event);
        }
        there = stream.response->revision >= fleet->newest;
    }
    event_stream_close(&stream);
    return there ? HF_STATUS_OK : status->code;
}

/* One group with its template; OUT_OF_RANGE when it is gone or has changed. */
static enum hf_code read_group(struct invocation *invocation,
                               struct fleet *fleet,
                               const ProtobufCMessage *request,
                               struct hf_status *status)
{
    ProtobufCMessage *response;
    enum hf_code code =
        hf_client_call(invocation->client, "GroupService/GetGroup", request,
                       &response, status);

    if (code == HF_STATUS_OK) {
        if (!fleet_take_group(fleet, response)) {
            code = HF_STATUS_OUT_OF_RANGE;
        }
        hf_message_free(response);
    } else if (code == HF_STATUS_NOT_FOUND) {
        code = HF_STATUS_OUT_OF_RANGE;
    }
    status->code = code;
    return code;
}

/* The groups with their templates, as long as none has changed since: else
 * OUT_OF_RANGE, and all is read again. */
static enum hf_code read_groups(struct invocation *invocation,
                                struct fleet *fleet, struct hf_status *status)
{
    Holdfast__V1__GetGroupRequest *request =
        (void *)request_for(invocation, "GroupService/GetGroup");
    size_t count;
    const Holdfast__V1__Group **groups = fleet_groups(fleet, &count);
    enum hf_code code = HF_STATUS_OK;

    CHECK(request != NULL); /* Its options were read for the lists. */
    for (size_t i = 0; i < count && code == HF_STATUS_OK; i++) {
        request->name = groups[i]->name;
        code = read_group(invocation, fleet, &request->base, status);
    }
    free(groups);
    return code;
}

/* All of the region as of one revision; the fleet is initialised, and closed by
 * the caller. Grants, as they are meanwhile, if there are notes. */
static enum exit_code read_region(struct invocation *invocation,
                                  struct fleet *fleet,
                                  struct export_notes *notes)
{
    struct hf_status status = {.code = HF_STATUS_OK};

    for (unsigned attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        enum exit_code code;

        fleet_close(fleet);
        fleet_init(fleet);
        code = read_lists(invocation, fleet);
        if (code == EXIT_OK && notes != NULL) {
            code = read_grants(invocation, fleet, notes);
        }
        if (code != EXIT_OK) {
            return code;
        }
        status = (struct hf_status){.code = HF_STATUS_OK};
        if ((fleet->oldest == fleet->newest ||
             read_events(invocation, fleet, &status) == HF_STATUS_OK) &&
            read_groups(invocation, fleet, &status) == HF_STATUS_OK) {
            return EXIT_OK;
        }
        if (status.code != HF_STATUS_OUT_OF_RANGE) {
            break;
        }
    }
    if (status.code == HF_STATUS_OUT_OF_RANGE) {
        status.code = HF_STATUS_ABORTED;
        (void)snprintf(status.message, sizeof(status.message),
                       "the region changes faster than it can be read");
    }
    return failure_tell(invocation, NULL, &status);
}

/* What is not in the manifest, for who reads it. */
static void put_notes(const struct export_notes *notes, const char *before,
                      struct bytes *out)
{
    if (notes->grants_hidden) {
        bytes_append_format(out,
                            "%sgrants are not exported: they need the role "
                            "admin\n",
                            before);
    }
    if (notes->tokens.len > 0) {
        bytes_append_format(out, "%stokens are not exported: %.*s\n", before,
                            (int)notes->tokens.len,
                            (const char *)notes->tokens.data);
    }
}

/* As comments where there are any, else on standard error. */
static void write_manifest(struct invocation *invocation,
                           const Holdfast__V1__Manifest *manifest,
                           const struct export_notes *notes, struct bytes *out)
{
    struct bytes told;

    if (invocation->output != OUTPUT_JSON) {
        put_notes(notes, "# ", out);
        text_yaml_write(&manifest->base, 0, out);
        return;
    }
    bytes_init(&told);
    put_notes(notes, "holdfast: ", &told);
    if (told.len > 0) {
        (void)fwrite(told.data, 1, told.len, stderr);
    }
    bytes_close(&told);
    text_json_write(&manifest->base, TEXT_PRETTY, out);
    bytes_append_u8(out, '\n');
}

static enum exit_code save(struct invocation *invocation, const char *path,
                           const Holdfast__V1__Manifest *manifest,
                           const struct export_notes *notes, uint64_t revision)
{
    struct bytes text;
    bool saved;

    bytes_init(&text);
    write_manifest(invocation, manifest, notes, &text);
    saved = save_file(path, &text);
    bytes_close(&text);
    if (!saved) {
        (void)fprintf(stderr, "holdfast: cannot write %s: %s\n", path,
                      strerror(errno));
        return EXIT_FAILED;
    }
    output_line(invocation,
                "%s: %zu zones, %zu classes, %zu hosts, %zu VMs, %zu groups, "
                "%zu reservations, %zu grants as of revision %" PRIu64,
                path, manifest->n_zones, manifest->n_classes, manifest->n_hosts,
                manifest->n_vms, manifest->n_groups, manifest->n_reservations,
                manifest->n_grants, revision);
    return EXIT_OK;
}

enum exit_code export_manifest(struct invocation *invocation,
                               Holdfast__V1__Manifest **manifest)
{
    struct fleet fleet;
    enum exit_code code;

    *manifest = NULL;
    fleet_init(&fleet);
    code = read_region(invocation, &fleet, NULL);
    if (code == EXIT_OK) {
        *manifest = fleet_manifest(&fleet, false);
    }
    fleet_close(&fleet);
    return code;
}

enum exit_code export_region(struct invocation *invocation, struct bytes *out)
{
    Holdfast__V1__Manifest *manifest;
    enum exit_code code = export_manifest(invocation, &manifest);

    if (code == EXIT_OK) {
        text_yaml_write(&manifest->base, 0, out);
        hf_message_free(&manifest->base);
    }
    return code;
}

enum exit_code run_export(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    const char *path = arguments_value(arguments, OPTION_TO_FILE);
    struct export_notes notes = {.grants_hidden = false};
    Holdfast__V1__Manifest *manifest;
    struct fleet fleet;
    enum exit_code code;

    if (arguments_has(arguments, OPTION_OUTPUT) &&
        invocation->output != OUTPUT_YAML &&
        invocation->output != OUTPUT_JSON) {
        return usage_error(invocation,
                           "--output: an export is yaml (default) or json");
    }
    bytes_init(&notes.tokens);
    fleet_init(&fleet);
    code = read_region(invocation, &fleet, &notes);
    if (code == EXIT_OK) {
        fleet.now_ms = clock_wall_ms();
        manifest =
            fleet_manifest(&fleet, arguments_has(arguments, OPTION_STATUS));
        if (path == NULL || strcmp(path, "-") == 0) {
            write_manifest(invocation, manifest, &notes, &invocation->out);
        } else {
            code = save(invocation, path, manifest, &notes, fleet.newest);
        }
        hf_message_free(&manifest->base);
    }
    fleet_close(&fleet);
    bytes_close(&notes.tokens);
    return code;
}
