/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/operation_wait.h"

#include "ctl/failure.h"
#include "ctl/request.h"
#include "proto/text_field.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char method[] = "OperationService/WaitOperation";

/* Of one call; a person at the terminal wants to see how far it is. */
#define WAIT_MS        5000
#define WAIT_PERSON_MS 500

static bool is_one_of(const char *reason, const char *const reasons[2])
{
    return strcmp(reason, reasons[0]) == 0 || strcmp(reason, reasons[1]) == 0;
}

static void read_operation(const Holdfast__V1__Operation *operation,
                           struct operation_told *told)
{
    static const char *const moving[] = {"moving", "stopping"};
    static const char *const staying[] = {"local_disk", "zonal"};

    *told = (struct operation_told){.state = operation->state,
                                    .left = operation->left_count};
    (void)snprintf(told->message, sizeof(told->message), "%s",
                   operation->message);
    for (size_t i = 0; i < operation->n_waits; i++) {
        const Holdfast__V1__OperationWait *wait = operation->waits[i];

        told->moving += is_one_of(wait->reason, moving) ? wait->count : 0;
        told->staying += is_one_of(wait->reason, staying) ? wait->count : 0;
    }
}

enum exit_code operation_ask(struct invocation *invocation, const char *name,
                             uint32_t wait_ms, bool quiet,
                             struct operation_told *told)
{
    Holdfast__V1__WaitOperationRequest request =
        HOLDFAST__V1__WAIT_OPERATION_REQUEST__INIT;
    const Holdfast__V1__WaitOperationResponse *answer;
    ProtobufCMessage *response;
    struct hf_status status;
    enum hf_code code;

    request.name = request_copy(invocation, name, strlen(name));
    request.timeout_ms = wait_ms == 0 ? 1 : wait_ms;
    code = hf_client_call(invocation->client, method, &request.base, &response,
                          &status);
    if (code == HF_STATUS_NOT_FOUND && quiet) {
        return EXIT_NOT_FOUND;
    }
    if (code != HF_STATUS_OK) {
        return failure_tell(invocation, name, &status);
    }
    answer = (const void *)response;
    if (answer->operation == NULL) {
        hf_message_free(response);
        status = (struct hf_status){.code = HF_STATUS_INTERNAL,
                                    .message = "the answer holds no operation"};
        return failure_tell(invocation, name, &status);
    }
    read_operation(answer->operation, told);
    hf_message_free(response);
    return EXIT_OK;
}

enum exit_code operation_follow(struct invocation *invocation, const char *name,
                                const char *what, struct poll *poll,
                                struct operation_told *told)
{
    uint32_t most_ms = invocation->progress ? WAIT_PERSON_MS : WAIT_MS;
    uint32_t wait_ms = 1; /* The first answer tells how it stands. */

    for (;;) {
        enum exit_code code =
            operation_ask(invocation, name, wait_ms, false, told);

        if (code != EXIT_OK || operation_is_over(told)) {
            return code;
        }
        poll_tell(poll, invocation, "%s: %s", what, told->message);
        wait_ms = poll_left_ms(poll);
        if (wait_ms == 0) {
            return EXIT_TIMED_OUT;
        }
        wait_ms = wait_ms < most_ms ? wait_ms : most_ms;
    }
}

struct operation_word operation_word(Holdfast__V1__OperationState state)
{
    char name[TEXT_NAME_MAX + 1];
    struct operation_word word;

    text_enum_name(&holdfast__v1__operation_state__descriptor, (int)state,
                   name);
    (void)snprintf(word.text, sizeof(word.text), "%.31s", name);
    return word;
}

enum exit_code operation_tell_failure(const char *what,
                                      const struct operation_told *told)
{
    (void)fprintf(stderr, "holdfast: %s: %s: %s\n", what,
                  operation_word(told->state).text, told->message);
    return EXIT_FAILED;
}
