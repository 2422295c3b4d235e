/* SPDX-License-Identifier: Apache-2.0
 *
 * grant update, token update. Labels are given one by one, so what there is is
 * read first; if the grant changes in between, both are done again. */
#include "ctl/failure.h"
#include "ctl/grant.h"
#include "ctl/labels.h"
#include "ctl/list.h"
#include "ctl/request.h"
#include "ctl/simple.h"

#include <stdio.h>
#include <string.h>

#define UPDATE_ATTEMPTS 5

/* The grant of that name among all, which are freed by the caller; NULL: there
 * is none, and it was told. */
static const Holdfast__V1__Grant *find(
    struct invocation *invocation, const Holdfast__V1__ListGrantsResponse *all,
    const char *name)
{
    struct hf_status status = {.code = HF_STATUS_NOT_FOUND};

    for (size_t i = 0; i < all->n_grants; i++) {
        if (strcmp(all->grants[i]->name, name) == 0) {
            return all->grants[i];
        }
    }
    (void)snprintf(status.reason, sizeof(status.reason), "GRANT_NOT_FOUND");
    (void)snprintf(status.message, sizeof(status.message),
                   "there is no grant '%.80s'", name);
    (void)failure_tell(invocation, name, &status);
    return NULL;
}

static bool add_mask(struct invocation *invocation,
                     Holdfast__V1__UpdateGrantRequest *request,
                     const char *field)
{
    return request_add(invocation, &request->base, "update_mask", field, "");
}

static bool set_scope(struct invocation *invocation,
                      Holdfast__V1__UpdateGrantRequest *request,
                      const Holdfast__V1__Grant *before)
{
    const struct arguments *arguments = invocation->arguments;
    ProtobufCMessage *grant = &request->grant->base;

    if ((arguments_has(arguments, OPTION_SCOPE_ZONES) ||
         arguments_has(arguments, OPTION_EVERY_ZONE)) &&
        !(request_add_options(invocation, grant, "zones", OPTION_SCOPE_ZONES) &&
          add_mask(invocation, request, "zones"))) {
        return false;
    }
    if (!arguments_has(arguments, OPTION_LABEL)) {
        return true;
    }
    labels_inherit(invocation, grant, &before->base, "labels");
    return labels_apply_options(invocation, grant, "labels", OPTION_LABEL,
                                true) &&
           add_mask(invocation, request, "labels");
}

static bool fill(struct invocation *invocation,
                 Holdfast__V1__UpdateGrantRequest *request,
                 const Holdfast__V1__Grant *before)
{
    const struct arguments *arguments = invocation->arguments;

    if (arguments_has(arguments, OPTION_ROLE) &&
        !(grant_set_role(invocation, request->grant) &&
          add_mask(invocation, request, "role"))) {
        return false;
    }
    if (arguments_has(arguments, OPTION_EXPIRES) &&
        !(grant_set_end(invocation, request->grant) &&
          add_mask(invocation, request, "expire_time_ms"))) {
        return false;
    }
    if (request->expect_revision == 0) {
        request->expect_revision = before->revision;
    }
    return set_scope(invocation, request, before);
}

/* Once; `*again` when the grant changed between the read and the write. */
static enum exit_code update_once(struct invocation *invocation,
                                  const char *name, bool last, bool *again)
{
    static const char list[] = "AccessService/ListGrants";
    Holdfast__V1__UpdateGrantRequest *request =
        (void *)request_for(invocation, invocation->command->method);
    ProtobufCMessage *listing = request_for(invocation, list);
    const Holdfast__V1__Grant *before;
    ProtobufCMessage *all = NULL;
    ProtobufCMessage *response;
    struct hf_status status;
    enum exit_code code;

    *again = false;
    if (request == NULL || listing == NULL) {
        return EXIT_USAGE;
    }
    request->grant =
        (void *)request_create(invocation, &holdfast__v1__grant__descriptor);
    request->grant->name = request_copy(invocation, name, strlen(name));
    code = list_fetch(invocation, list, listing, &all);
    if (code != EXIT_OK) {
        return code;
    }
    before = find(invocation, (const void *)all, name);
    if (before == NULL) {
        code = EXIT_NOT_FOUND;
    } else if (!fill(invocation, request, before)) {
        code = EXIT_USAGE;
    } else if (hf_client_call(invocation->client, invocation->command->method,
                              &request->base, &response,
                              &status) == HF_STATUS_OK) {
        simple_tell(invocation, response);
        hf_message_free(response);
    } else if (status.code == HF_STATUS_ABORTED && !last) {
        *again = true;
    } else {
        code = failure_tell(invocation, name, &status);
    }
    hf_message_free(all);
    return code;
}

enum exit_code run_grant_update(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    bool fixed = arguments_has(arguments, OPTION_EXPECT_REVISION) ||
                 arguments_has(arguments, OPTION_REQUEST_ID);
    enum exit_code code = EXIT_OK;
    bool again = true;

    if (!arguments_has(arguments, OPTION_ROLE) &&
        !arguments_has(arguments, OPTION_EXPIRES) &&
        !arguments_has(arguments, OPTION_SCOPE_ZONES) &&
        !arguments_has(arguments, OPTION_EVERY_ZONE) &&
        !arguments_has(arguments, OPTION_LABEL)) {
        return usage_error(invocation, "nothing to change: give --role, "
                                       "--zone, --every-zone, --label or "
                                       "--expires");
    }
    if (arguments_has(arguments, OPTION_SCOPE_ZONES) &&
        arguments_has(arguments, OPTION_EVERY_ZONE)) {
        return usage_error(invocation,
                           "--zone and --every-zone exclude each other");
    }
    for (unsigned attempt = 1; again; attempt++) {
        code = update_once(invocation, arguments->names[0],
                           fixed || attempt == UPDATE_ATTEMPTS, &again);
    }
    return code;
}
