/* SPDX-License-Identifier: Apache-2.0
 *
 * BatchCreateVms. */
#include "base/container.h"
#include "node/api_check.h"
#include "node/api_vm.h"
#include "node/api_whole.h"
#include "node/limits.h"
#include "node/view.h"

#include <stdio.h>

/* Only what is used is allocated: about a kilobyte a VM. */
#define RESPONSE_ARENA_BYTES (64u << 20)

/* An answer larger than this is kept for repeats, as up to 65,536 are, as the
 * count alone. */
#define REMEMBERED_BYTES_MAX 4096

struct vm_batch {
    struct api_whole whole;
    const Holdfast__V1__BatchCreateVmsRequest *request;
    struct api_reply *reply;
};

static bool make_one(struct vm_batch *batch, struct turn_plan *plan, size_t i)
{
    struct api_reply step;
    char place[32];
    bool good;

    api_reply_init(&step);
    good = api_vm_make(&step, plan, batch->request->vms[i], true);
    if (!good) {
        snprintf(place, sizeof(place), "vms[%zu]", i);
        api_whole_fail(batch->reply, place, "vm", &step);
    }
    api_reply_close(&step);
    return good;
}

/* As CreateVm shows them, without their templates. */
static void respond(const struct vm_batch *batch, const struct turn_plan *plan)
{
    const Holdfast__V1__BatchCreateVmsRequest *request = batch->request;
    Holdfast__V1__BatchCreateVmsResponse response =
        HOLDFAST__V1__BATCH_CREATE_VMS_RESPONSE__INIT;
    Holdfast__V1__BatchCreateVmsResponse brief;
    struct arena arena;

    arena_init(&arena, RESPONSE_ARENA_BYTES);
    response.vms = view_alloc(&arena, request->n_vms * sizeof(*response.vms));
    for (; response.n_vms < request->n_vms; response.n_vms++) {
        struct text name = text_of(request->vms[response.n_vms]->name);
        Holdfast__V1__Vm *vm =
            view_vm(&arena, plan->scratch, state_vm_named(plan->scratch, name),
                    false, plan->placer);

        vm->template_ = NULL;
        response.vms[response.n_vms] = vm;
    }
    response.vm_count = (uint32_t)response.n_vms;
    response.revision = state_revision(plan->scratch);
    api_respond(batch->reply, &response.base);
    brief = response;
    brief.vms = NULL;
    brief.n_vms = 0;
    if (batch->reply->response.len > REMEMBERED_BYTES_MAX) {
        api_respond_again(batch->reply, &brief.base);
    }
    arena_close(&arena);
}

static bool decide(struct api_whole *whole, struct turn_plan *plan)
{
    struct vm_batch *batch = container_of(whole, struct vm_batch, whole);
    size_t before = plan->entry.len;

    for (size_t i = 0; i < batch->request->n_vms; i++) {
        if (!make_one(batch, plan, i)) {
            return false;
        }
        if (plan->entry.len - before > MANIFEST_ENTRY_BYTES_MAX) {
            api_fail(batch->reply, API_INVALID_FIELD,
                     "vms[%zu]: with those before it takes more than the %u "
                     "bytes of one decision; send fewer at once",
                     i, MANIFEST_ENTRY_BYTES_MAX);
            return false;
        }
    }
    respond(batch, plan);
    return true;
}

void api_batch_create_vms(const ProtobufCMessage *message,
                          struct turn_plan *plan, struct api_reply *reply)
{
    const Holdfast__V1__BatchCreateVmsRequest *request =
        (const Holdfast__V1__BatchCreateVmsRequest *)(const void *)message;
    struct vm_batch batch = {
        .whole = {decide}, .request = request, .reply = reply};

    if (request->n_vms == 0 || request->n_vms > BATCH_VMS_MAX) {
        api_fail(reply, API_INVALID_FIELD, "vms: %zu given; 1 to %d may be",
                 request->n_vms, BATCH_VMS_MAX);
        return;
    }
    if (api_check_range(reply, "expect_revision", request->expect_revision, 0,
                        0)) {
        api_whole_decide(&batch.whole, plan, request->dry_run);
    }
}
