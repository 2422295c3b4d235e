/* SPDX-License-Identifier: Apache-2.0
 *
 * ApplyManifest: all of it or nothing, see api_whole.h. */
#include "base/container.h"
#include "node/api_check.h"
#include "node/api_whole.h"
#include "node/applies.h"
#include "node/limits.h"
#include "node/manifest_edit.h"
#include "node/view.h"
#include "rpc/limits.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* Only what is used is allocated: some 200 bytes an object. */
#define RESPONSE_ARENA_BYTES (256u << 20)

/* A response larger than this says the counts alone; and one that is kept for
 * repeats, as up to 65,536 are, when it is larger than that. */
#define RESPONSE_BYTES_MAX   (RPC_MESSAGE_BYTES_MAX - (64u << 10))
#define REMEMBERED_BYTES_MAX 512

static void add_note(struct manifest_edit *edit, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_note(struct manifest_edit *edit, const char *format, ...)
{
    char words[160];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    edit->response.notes[edit->response.n_notes++] =
        view_string(edit->arena, words);
}

static void add_notes(struct manifest_edit *edit)
{
    const Holdfast__V1__Manifest *manifest = edit->request->manifest;
    size_t hosts = manifest->n_hosts;
    size_t tokens = manifest_tokens(edit->plan->scratch);

    edit->response.notes = view_alloc(edit->arena, 3 * sizeof(char *));
    if (hosts > 0) {
        add_note(edit, "%zu host%s left aside: hosts register themselves",
                 hosts, hosts == 1 ? " is" : "s are");
    }
    if (edit->request->prune && manifest->n_grants == 0 &&
        state_counts(edit->plan->scratch)->grants > tokens) {
        add_note(edit, "grants stay as they are: the manifest names none");
    }
    if (edit->request->prune && manifest->n_grants > 0 && tokens > 0) {
        add_note(edit, "%zu token%s left aside: a manifest has none", tokens,
                 tokens == 1 ? " is" : "s are");
    }
}

/* The counts alone. */
static Holdfast__V1__ApplyManifestResponse brief_of(
    const Holdfast__V1__ApplyManifestResponse *whole)
{
    Holdfast__V1__ApplyManifestResponse brief = *whole;

    brief.n_objects = 0;
    brief.before = NULL;
    brief.brief = true;
    return brief;
}

static void respond(struct manifest_edit *edit)
{
    Holdfast__V1__ApplyManifestResponse brief = brief_of(&edit->response);
    size_t len =
        holdfast__v1__apply_manifest_response__get_packed_size(&edit->response);

    api_respond(edit->reply,
                len <= RESPONSE_BYTES_MAX ? &edit->response.base : &brief.base);
    if (len > REMEMBERED_BYTES_MAX) {
        api_respond_again(edit->reply, &brief.base);
    }
}

/* A revision that this region has not come to is of another. */
static bool check_expected(const Holdfast__V1__ApplyManifestRequest *request,
                           const struct turn_plan *plan,
                           struct api_reply *reply)
{
    uint64_t revision = state_revision(plan->scratch);

    if (request->expect_revision > revision) {
        api_fail(reply, API_REVISION_CONFLICT,
                 "expect_revision: the region is at revision %" PRIu64
                 ", not yet at %" PRIu64,
                 revision, request->expect_revision);
    }
    return request->expect_revision <= revision;
}

/* An empty file is rather a slip than the wish to have no fleet. */
static bool check_prune(const Holdfast__V1__ApplyManifestRequest *request,
                        struct api_reply *reply)
{
    const Holdfast__V1__Manifest *manifest = request->manifest;

    if (request->prune && manifest->n_zones + manifest->n_classes +
                                  manifest->n_groups + manifest->n_vms +
                                  manifest->n_reservations ==
                              0) {
        api_fail(reply, API_INVALID_FIELD,
                 "prune: the manifest names no zone, class, group, VM or "
                 "reservation; this would delete all that there is. Name the "
                 "zones, if that is meant");
        return false;
    }
    return true;
}

/* The record of it, if it changed something for good. */
static void record(struct manifest_edit *edit)
{
    const Holdfast__V1__ApplyManifestRequest *request = edit->request;
    const struct apply_request apply = {APPLY_MANIFEST, "manifest",
                                        request->request_id};
    char name[OPERATION_NAME_BYTES];

    if (!request->dry_run) {
        applies_record(edit->plan, &apply, edit->reply, name);
        edit->response.operation_id = view_string(edit->arena, name);
    }
}

struct application {
    struct api_whole whole;
    const Holdfast__V1__ApplyManifestRequest *request;
    struct api_reply *reply;
};

static bool decide(struct api_whole *whole, struct turn_plan *plan)
{
    const struct application *application =
        container_of(whole, struct application, whole);
    const Holdfast__V1__ApplyManifestRequest *request = application->request;
    uint64_t revision = state_revision(plan->scratch);
    uint64_t grants = state_grant_changes(plan->scratch);
    struct manifest_edit edit;
    struct arena arena;
    bool good;

    arena_init(&arena, RESPONSE_ARENA_BYTES);
    manifest_edit_init(&edit, request, plan, application->reply, &arena);
    good = manifest_edit_objects(&edit) &&
           (!request->prune || manifest_edit_prune(&edit));
    if (good) {
        record(&edit);
        good = manifest_check_size(&edit);
    }
    if (good) {
        add_notes(&edit);
        edit.response.revision =
            request->dry_run ? revision : state_revision(plan->scratch);
        edit.response.grant_revision =
            request->dry_run ? grants : state_grant_changes(plan->scratch);
        respond(&edit);
    }
    manifest_edit_close(&edit);
    arena_close(&arena);
    return good;
}

void api_apply_manifest(const ProtobufCMessage *message, struct turn_plan *plan,
                        struct api_reply *reply)
{
    const Holdfast__V1__ApplyManifestRequest *request =
        (const Holdfast__V1__ApplyManifestRequest *)(const void *)message;
    struct application application = {
        .whole = {decide}, .request = request, .reply = reply};

    if (request->manifest == NULL) {
        api_fail(reply, API_INVALID_FIELD, "manifest: must be given");
        return;
    }
    if (check_prune(request, reply) && check_expected(request, plan, reply)) {
        api_whole_decide(&application.whole, plan, request->dry_run);
    }
}
