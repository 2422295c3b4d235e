/* SPDX-License-Identifier: Apache-2.0
 *
 * apply and diff: a manifest made true in one call, and what that would do. */
#include "ctl/apply_text.h"
#include "ctl/apply_wait.h"
#include "ctl/failure.h"
#include "ctl/manifest_files.h"
#include "ctl/output.h"
#include "ctl/poll.h"
#include "ctl/request.h"
#include "ctl/wait.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROWS_SHOWN 20

/* The request from the options, with the manifest; NULL: told. */
static Holdfast__V1__ApplyManifestRequest *read_request(
    struct invocation *invocation, struct manifest_files *files)
{
    Holdfast__V1__ApplyManifestRequest *request =
        (void *)request_for(invocation, invocation->command->method);

    if (request != NULL) {
        request->manifest = &files->manifest;
        request->prune = arguments_has(invocation->arguments, OPTION_PRUNE);
    }
    return request;
}

/* One call; a refusal is told with its file and line, and `response` NULL. */
static enum exit_code call(struct invocation *invocation,
                           const struct manifest_files *files,
                           const Holdfast__V1__ApplyManifestRequest *request,
                           Holdfast__V1__ApplyManifestResponse **response)
{
    ProtobufCMessage *message;
    struct hf_status status;

    *response = NULL;
    if (hf_client_call(invocation->client, invocation->command->method,
                       &request->base, &message, &status) == HF_STATUS_OK) {
        *response = (void *)message;
        return EXIT_OK;
    }
    manifest_files_place(files, status.message, sizeof(status.message));
    return failure_tell(invocation, NULL, &status);
}

static struct apply_text text_of(
    const struct invocation *invocation, const struct manifest_files *files,
    const Holdfast__V1__ApplyManifestResponse *response, bool would)
{
    return (struct apply_text){
        .manifest = &files->manifest,
        .response = response,
        .colours = invocation->colours,
        .would = would,
        .row_max = arguments_has(invocation->arguments, OPTION_ALL)
                       ? SIZE_MAX
                       : ROWS_SHOWN,
    };
}

/* --- What prune would delete ------------------------------------------------
 */

static bool ask(size_t count)
{
    char answer[16];

    (void)fprintf(stderr, "Delete %s and apply the rest? [y/N] ",
                  count == 1 ? "it" : "them");
    (void)fflush(stderr);
    return fgets(answer, sizeof(answer), stdin) != NULL &&
           (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0);
}

/* Shows it and asks; the request then expects what was shown. */
static enum exit_code confirm(struct invocation *invocation,
                              const struct manifest_files *files,
                              Holdfast__V1__ApplyManifestRequest *request)
{
    Holdfast__V1__ApplyManifestRequest dry = *request;
    Holdfast__V1__ApplyManifestResponse *response;
    struct apply_text text;
    struct bytes list;
    enum exit_code code;
    uint32_t count;

    dry.dry_run = true;
    dry.request_id = request_copy(invocation, "", 0);
    code = call(invocation, files, &dry, &response);
    if (response == NULL) {
        return code;
    }
    count = response->deleted_count;
    if (request->expect_revision == 0) {
        request->expect_revision = response->revision;
    }
    request->expect_grant_revision = response->grant_revision;
    if (count > 0) {
        bytes_init(&list);
        text = text_of(invocation, files, response, true);
        apply_text_deletes(&text, &list);
        (void)fprintf(stderr, "--prune deletes what is not in the file:\n");
        (void)fwrite(list.data, 1, list.len, stderr);
        bytes_close(&list);
    }
    hf_message_free(&response->base);
    if (count == 0) {
        return EXIT_OK;
    }
    if (isatty(STDIN_FILENO) == 0) {
        (void)fprintf(stderr, "holdfast: nothing was changed; without a "
                              "terminal to ask at, say --yes\n");
        return EXIT_USAGE;
    }
    if (!ask(count)) {
        (void)fprintf(stderr, "holdfast: nothing was changed\n");
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

/* --- The commands ------------------------------------------------------------
 */

static enum exit_code apply(struct invocation *invocation,
                            struct manifest_files *files,
                            Holdfast__V1__ApplyManifestRequest *request)
{
    Holdfast__V1__ApplyManifestResponse *response = NULL;
    struct apply_text text;
    enum exit_code code = EXIT_OK;

    if (request->prune && !request->dry_run &&
        !arguments_has(invocation->arguments, OPTION_YES)) {
        code = confirm(invocation, files, request);
    }
    if (code == EXIT_OK) {
        code = call(invocation, files, request, &response);
    }
    if (response == NULL) {
        return code;
    }
    if (!output_message(invocation, &response->base)) {
        text = text_of(invocation, files, response, request->dry_run);
        apply_text_write(&text, &invocation->out);
    }
    if (poll_is_wanted(invocation)) {
        output_flush(invocation);
        code = apply_wait(invocation, &files->manifest, response);
    }
    hf_message_free(&response->base);
    return code;
}

enum exit_code run_apply(struct invocation *invocation)
{
    Holdfast__V1__ApplyManifestRequest *request;
    struct manifest_files files;
    enum exit_code code = manifest_files_read(&files, invocation);

    if (code == EXIT_OK && !wait_check_options(invocation)) {
        code = EXIT_USAGE;
    }
    if (code == EXIT_OK) {
        request = read_request(invocation, &files);
        code =
            request == NULL ? EXIT_USAGE : apply(invocation, &files, request);
    }
    manifest_files_close(&files);
    return code;
}

enum exit_code run_diff(struct invocation *invocation)
{
    Holdfast__V1__ApplyManifestResponse *response = NULL;
    Holdfast__V1__ApplyManifestRequest *request;
    struct manifest_files files;
    struct apply_text text;
    enum exit_code code = manifest_files_read(&files, invocation);

    if (code == EXIT_OK) {
        request = read_request(invocation, &files);
        code = EXIT_USAGE;
        if (request != NULL) {
            request->dry_run = true;
            code = call(invocation, &files, request, &response);
        }
    }
    if (response != NULL) {
        if (!output_message(invocation, &response->base)) {
            text = text_of(invocation, &files, response, true);
            apply_text_diff(&text, &invocation->out);
        }
        invocation->changes = apply_text_changes(response);
        hf_message_free(&response->base);
    }
    manifest_files_close(&files);
    return code;
}
