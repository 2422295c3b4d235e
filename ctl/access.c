/* SPDX-License-Identifier: Apache-2.0
 *
 * auth can-i, grant create, token create and list. */
#include "ctl/grant.h"

#include "base/clock.h"
#include "ctl/format.h"
#include "ctl/labels.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "ctl/simple.h"
#include "ctl/template.h"
#include "holdfast/v1/join_service.pb-c.h"
#include "tls/secret.h"

#include <stdio.h>
#include <string.h>

/* Names of enums have no hyphens. */
bool grant_set_role(struct invocation *invocation, Holdfast__V1__Grant *grant)
{
    const char *text = arguments_value(invocation->arguments, OPTION_ROLE);
    char *copy;

    if (text == NULL) {
        (void)usage_error(invocation, "--role: must be given: viewer, "
                                      "operator, admin or drill-runner");
        return false;
    }
    copy = request_copy(invocation, text, strlen(text));
    for (char *at = copy; *at != '\0'; at++) {
        *at = *at == '-' ? '_' : *at;
    }
    return request_set(invocation, &grant->base, "role", copy, "--role");
}

bool grant_set_end(struct invocation *invocation, Holdfast__V1__Grant *grant)
{
    const char *text = arguments_value(invocation->arguments, OPTION_EXPIRES);

    if (text == NULL ||
        format_read_end(text, clock_wall_ms(), &grant->expire_time_ms)) {
        return true;
    }
    (void)usage_error(invocation,
                      "--expires: `%s` is no time; write 90d, "
                      "2027-01-31T00:00:00Z or never",
                      text);
    return false;
}

/* Name, role, end and scope; NULL: told. */
static Holdfast__V1__CreateGrantRequest *make_request(
    struct invocation *invocation)
{
    Holdfast__V1__CreateGrantRequest *request =
        (void *)request_for(invocation, invocation->command->method);
    Holdfast__V1__Grant *grant;

    if (request == NULL) {
        return NULL;
    }
    grant =
        (void *)request_create(invocation, &holdfast__v1__grant__descriptor);
    request->grant = grant;
    if (!request_set(invocation, &grant->base, "name",
                     invocation->arguments->names[0], "NAME") ||
        !grant_set_role(invocation, grant) ||
        !grant_set_end(invocation, grant) ||
        !request_add_options(invocation, &grant->base, "zones",
                             OPTION_SCOPE_ZONES) ||
        !labels_apply_options(invocation, &grant->base, "labels",
                              OPTION_SCOPE_LABEL, false)) {
        return NULL;
    }
    return request;
}

static enum exit_code call_create(
    struct invocation *invocation,
    const Holdfast__V1__CreateGrantRequest *request,
    ProtobufCMessage **response)
{
    return request_call(invocation, invocation->command->method, &request->base,
                        request->grant->name, response);
}

enum exit_code run_grant_create(struct invocation *invocation)
{
    Holdfast__V1__CreateGrantRequest *request = make_request(invocation);
    ProtobufCMessage *response;
    enum exit_code code;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    if (!arguments_has(invocation->arguments, OPTION_CLIENT)) {
        return usage_error(invocation, "--client: must be given: the name in "
                                       "the client's certificate");
    }
    request->grant->subject_kind =
        HOLDFAST__V1__SUBJECT_KIND__SUBJECT_KIND_CLIENT;
    if (!request_set_option(invocation, &request->grant->base, "client",
                            OPTION_CLIENT)) {
        return EXIT_USAGE;
    }
    code = call_create(invocation, request, &response);
    if (code == EXIT_OK) {
        simple_tell(invocation, response);
        hf_message_free(response);
    }
    return code;
}

/* Only the secret goes to standard output, so that it can go into a file. */
static void tell_token(struct invocation *invocation,
                       const ProtobufCMessage *response, const char *secret)
{
    if (arguments_has(invocation->arguments, OPTION_DRY_RUN)) {
        simple_tell(invocation, response);
        return;
    }
    bytes_append(&invocation->out, secret, strlen(secret));
    bytes_append_u8(&invocation->out, '\n');
    (void)fprintf(stderr,
                  "holdfast: token %s created; this is the only time that its "
                  "secret is shown\n",
                  invocation->arguments->names[0]);
}

/* Makes the secret, puts its hash into the request, sends that and tells the
 * secret, once. */
static enum exit_code create_token(struct invocation *invocation,
                                   const ProtobufCMessage *request,
                                   ProtobufCBinaryData *hash_field)
{
    char secret[SECRET_TEXT_BYTES];
    uint8_t hash[SECRET_SHA256];
    ProtobufCMessage *response;
    enum exit_code code;

    if (!secret_create(secret) || !secret_hash(secret, hash)) {
        (void)fprintf(stderr, "holdfast: this system gives no random bits\n");
        return EXIT_FAILED;
    }
    hash_field->data = hash;
    hash_field->len = sizeof(hash);
    code = request_call(invocation, invocation->command->method, request,
                        invocation->arguments->names[0], &response);
    if (code == EXIT_OK) {
        tell_token(invocation, response, secret);
        hf_message_free(response);
    }
    return code;
}

enum exit_code run_token_create(struct invocation *invocation)
{
    Holdfast__V1__CreateGrantRequest *request = make_request(invocation);

    if (request == NULL) {
        return EXIT_USAGE;
    }
    request->grant->subject_kind =
        HOLDFAST__V1__SUBJECT_KIND__SUBJECT_KIND_TOKEN;
    return create_token(invocation, &request->base,
                        &request->grant->secret_sha256);
}

static Holdfast__V1__CreateJoinTokenRequest *make_join_request(
    struct invocation *invocation)
{
    Holdfast__V1__CreateJoinTokenRequest *request =
        (void *)request_for(invocation, invocation->command->method);
    Holdfast__V1__JoinToken *token;

    if (request == NULL) {
        return NULL;
    }
    token = (void *)request_create(invocation,
                                   &holdfast__v1__join_token__descriptor);
    request->token = token;
    if (!arguments_has(invocation->arguments, OPTION_ZONE)) {
        (void)usage_error(invocation, "--zone: must be given: where the host "
                                      "will be");
        return NULL;
    }
    return request_set(invocation, &token->base, "name",
                       invocation->arguments->names[0], "HOST") &&
                   request_set_option(invocation, &token->base, "zone",
                                      OPTION_ZONE) &&
                   duration_option(invocation, OPTION_TTL, &request->ttl_ms)
               ? request
               : NULL;
}

enum exit_code run_host_token_create(struct invocation *invocation)
{
    Holdfast__V1__CreateJoinTokenRequest *request =
        make_join_request(invocation);

    return request == NULL ? EXIT_USAGE
                           : create_token(invocation, &request->base,
                                          &request->token->secret_sha256);
}

/* "VmService/CreateVm", as given or of the command that was named. */
static const char *method_of(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    const struct command *command;

    if (arguments->name_count == 1 &&
        strchr(arguments->names[0], '/') != NULL) {
        return arguments->names[0];
    }
    command = command_find(arguments->names, arguments->name_count);
    if (command == NULL || command_words(command) != arguments->name_count) {
        (void)usage_error(invocation,
                          "there is no such command; `holdfast help` lists "
                          "them, and a method is written VmService/CreateVm");
        return NULL;
    }
    if (command->method == NULL) {
        (void)usage_error(invocation, "`%s` asks no region",
                          arguments->names[0]);
    }
    return command->method;
}

enum exit_code run_auth_can_i(struct invocation *invocation)
{
    ProtobufCMessage *request =
        request_for(invocation, invocation->command->method);
    const char *method = method_of(invocation);
    const Holdfast__V1__CanIResponse *answer;
    ProtobufCMessage *response;
    enum exit_code code;

    if (request == NULL || method == NULL ||
        !request_set(invocation, request, "method", method, "METHOD") ||
        !request_set_option(invocation, request, "zone", OPTION_SCOPE_ZONE) ||
        !labels_apply_options(invocation, request, "labels", OPTION_SCOPE_LABEL,
                              false)) {
        return EXIT_USAGE;
    }
    code = request_call(invocation, invocation->command->method, request, NULL,
                        &response);
    if (code != EXIT_OK) {
        return code;
    }
    answer = (const Holdfast__V1__CanIResponse *)(const void *)response;
    if (!output_message(invocation, response)) {
        output_line(invocation, "%s: %s%s%s", answer->allowed ? "yes" : "no",
                    answer->reason,
                    answer->expire_time_ms == 0 ? "" : "; until ",
                    answer->expire_time_ms == 0
                        ? ""
                        : format_time(answer->expire_time_ms).text);
    }
    code = answer->allowed ? EXIT_OK : EXIT_REFUSED;
    hf_message_free(response);
    return code;
}
