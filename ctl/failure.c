/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/failure.h"

#include "base/container.h"

#include <stdio.h>
#include <string.h>

enum exit_code failure_exit_code(enum hf_code code)
{
    switch (code) {
    case HF_STATUS_OK:
        return EXIT_OK;
    case HF_STATUS_INVALID_ARGUMENT:
        return EXIT_USAGE;
    case HF_STATUS_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case HF_STATUS_ALREADY_EXISTS:
    case HF_STATUS_ABORTED:
        return EXIT_CONFLICT;
    case HF_STATUS_UNAVAILABLE:
        return EXIT_NO_QUORUM;
    case HF_STATUS_FAILED_PRECONDITION:
    case HF_STATUS_PERMISSION_DENIED:
    case HF_STATUS_UNAUTHENTICATED:
        return EXIT_REFUSED;
    case HF_STATUS_DEADLINE_EXCEEDED:
        return EXIT_TIMED_OUT;
    default:
        return EXIT_FAILED;
    }
}

static void put_endpoints(const struct hf_client *client, struct bytes *out)
{
    for (size_t i = 0; i < hf_client_endpoint_count(client); i++) {
        const char *error = hf_client_endpoint_error(client, i);

        bytes_append_format(out, "  %s: %s\n", hf_client_endpoint(client, i),
                            error[0] == '\0' ? "not asked" : error);
    }
}

/* The outcome is open: how to find out without doing it twice. */
static void put_repeat(const struct failure *failure, struct bytes *out)
{
    if (failure->status->was_sent && failure->status->request_id[0] != '\0') {
        bytes_append_format(
            out,
            "  It may have taken effect all the same. Repeat it with\n"
            "  --request-id %s: then it takes effect once.\n",
            failure->status->request_id);
    }
}

static bool has_verb(const char *noun, const char *verb)
{
    const char *const words[] = {noun, verb};

    return command_find(words, 2) != NULL;
}

/* The command that lists what was not found: what is missing need not be what
 * the command is about. NULL: none does. */
static const char *list_of(const struct failure *failure)
{
    static const struct {
        const char *reason;
        const char *list;
    } lists[] = {
        {"CLASS_NOT_FOUND", "class list"},
        {"GROUP_NOT_FOUND", "group list"},
        {"HOST_NOT_FOUND", "host list"},
        {"JOIN_TOKEN_NOT_FOUND", "host token list"},
        {"NODE_NOT_FOUND", "cluster nodes"},
        {"OPERATION_NOT_FOUND", "operation list"},
        {"RESERVATION_NOT_FOUND", "reservation list"},
        {"VM_NOT_FOUND", "vm list"},
        {"ZONE_NOT_FOUND", "zone list"},
    };
    const char *noun = failure->command->noun;

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        if (strcmp(failure->status->reason, lists[i].reason) == 0) {
            return lists[i].list;
        }
    }
    if (strcmp(failure->status->reason, "GRANT_NOT_FOUND") == 0) {
        return strcmp(noun, "token") == 0 ? "token list" : "grant list";
    }
    return NULL;
}

static void put_list(const struct failure *failure, struct bytes *out)
{
    const char *noun = failure->command->noun;
    const char *list = list_of(failure);

    if (strcmp(failure->status->reason, "PLAN_NOT_FOUND") == 0) {
        bytes_append_format(
            out, "  The leader that made a plan keeps it for ten minutes; make "
                 "it again.\n");
    } else if (list != NULL) {
        bytes_append_format(out, "  `holdfast %s` shows what there is.\n",
                            list);
    } else if (strcmp(noun, "cluster") == 0) {
        bytes_append_format(
            out, "  `holdfast cluster nodes` shows what there is.\n");
    } else if (has_verb(noun, "list")) {
        bytes_append_format(out, "  `holdfast %s list` shows what there is.\n",
                            noun);
    }
}

static void put_refused(const struct failure *failure, struct bytes *out)
{
    bool headroom = strcmp(failure->status->reason, "HEADROOM") == 0;
    bool quorum = strcmp(failure->status->reason, "QUORUM_NEEDED") == 0;

    if (headroom) {
        bytes_append_format(
            out, "  `holdfast capacity` shows what fits, `holdfast zone list` "
                 "which zone is short.\n");
    }
    if ((headroom || quorum) &&
        (failure->command->options & OPTION(ACCEPT_RISK)) != 0) {
        bytes_append_format(
            out, "  --accept-risk --reason TEXT does it all the same.\n");
    }
}

static void put_conflict(const char *noun, struct bytes *out)
{
    if (strcmp(noun, "export") == 0) {
        bytes_append_format(out,
                            "  Nothing was written; try again in a moment.\n");
    } else if (strcmp(noun, "apply") == 0) {
        bytes_append_format(
            out, "  Nothing was changed; look again (`holdfast diff`), then "
                 "apply again.\n");
    } else if (strcmp(noun, "plan") == 0) {
        bytes_append_format(
            out, "  The region has changed since; nothing was done. Make the "
                 "plan again.\n");
    } else {
        bytes_append_format(
            out, "  Something else changed it. Look again, then repeat it with "
                 "the new revision.\n");
    }
}

static void put_next(const struct failure *failure, struct bytes *out)
{
    const char *noun = failure->command->noun;
    const char *name = failure->name;

    switch (failure->status->code) {
    case HF_STATUS_UNAVAILABLE:
        put_repeat(failure, out);
        bytes_append_format(
            out, "  `holdfast cluster status --endpoint HOST:PORT` asks one "
                 "node, also without a quorum.\n");
        break;
    case HF_STATUS_DEADLINE_EXCEEDED:
        put_repeat(failure, out);
        bytes_append_format(
            out, "  --timeout gives it longer; `holdfast cluster status` shows "
                 "whether there is a quorum.\n");
        break;
    case HF_STATUS_NOT_FOUND:
        put_list(failure, out);
        break;
    case HF_STATUS_FAILED_PRECONDITION:
        put_refused(failure, out);
        break;
    case HF_STATUS_ALREADY_EXISTS:
        if (name != NULL && has_verb(noun, "show")) {
            bytes_append_format(out, "  `holdfast %s show %s` shows it.\n",
                                noun, name);
        }
        break;
    case HF_STATUS_ABORTED:
        put_conflict(noun, out);
        break;
    case HF_STATUS_RESOURCE_EXHAUSTED:
        if (strcmp(failure->status->reason, "MANIFEST_TOO_LARGE") == 0) {
            break; /* The message says what to do. */
        }
        bytes_append_format(
            out, "  Too much is under way or a limit is reached; try again in "
                 "a moment.\n");
        break;
    case HF_STATUS_OUT_OF_RANGE:
        bytes_append_format(
            out, "  Changes that old are no longer kept; begin without "
                 "--after.\n");
        break;
    case HF_STATUS_UNIMPLEMENTED:
        bytes_append_format(
            out, "  The node is of another version; `holdfast cluster status` "
                 "shows it.\n");
        break;
    default:
        break;
    }
}

void failure_write(const struct failure *failure, struct bytes *out)
{
    const struct command *command = failure->command;
    const struct hf_status *status = failure->status;

    bytes_append_format(out, "holdfast: %s%s%s%s%s: %s [%s%s%s]\n",
                        command->noun, command->verb == NULL ? "" : " ",
                        command->verb == NULL ? "" : command->verb,
                        failure->name == NULL ? "" : " ",
                        failure->name == NULL ? "" : failure->name,
                        status->message[0] == '\0' ? "failed" : status->message,
                        hf_code_name(status->code),
                        status->reason[0] == '\0' ? "" : ", ", status->reason);
    if (failure->client != NULL &&
        (status->code == HF_STATUS_UNAVAILABLE ||
         status->code == HF_STATUS_DEADLINE_EXCEEDED)) {
        put_endpoints(failure->client, out);
    }
    put_next(failure, out);
}

enum exit_code failure_tell(struct invocation *invocation, const char *name,
                            const struct hf_status *status)
{
    struct failure failure = {.command = invocation->command,
                              .name = name,
                              .status = status,
                              .client = invocation->client};
    struct bytes text;

    bytes_init(&text);
    failure_write(&failure, &text);
    (void)fwrite(text.data, 1, text.len, stderr);
    bytes_close(&text);
    return failure_exit_code(status->code);
}

enum exit_code failure_tell_timeout(const char *seen)
{
    (void)fprintf(stderr,
                  "holdfast: not there yet when --wait-timeout ran out; "
                  "Holdfast goes on with it:\n  %s\n",
                  seen);
    return EXIT_TIMED_OUT;
}
