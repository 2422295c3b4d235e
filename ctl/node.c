/* SPDX-License-Identifier: Apache-2.0
 *
 * Control-plane nodes that come and go. `replace` is the other three in the
 * order in which nothing can be lost, and begins where it was interrupted:
 * every step that is done already says so and is passed over. */
#include "ctl/failure.h"
#include "ctl/output.h"
#include "ctl/poll.h"
#include "ctl/request.h"
#include "ctl/view.h"
#include "ctl/wait.h"
#include "holdfast/v1/cluster_service.pb-c.h"

#include <stdio.h>
#include <string.h>

#define ADD      "ClusterService/AddNode"
#define PROMOTE  "ClusterService/PromoteNode"
#define REMOVE   "ClusterService/RemoveNode"
#define TRANSFER "ClusterService/TransferLeadership"

static bool is_dry(const struct invocation *invocation)
{
    return arguments_has(invocation->arguments, OPTION_DRY_RUN);
}

static ProtobufCMessage *request_of(struct invocation *invocation,
                                    const char *method, const char *name)
{
    ProtobufCMessage *request = request_for(invocation, method);

    return request != NULL &&
                   request_set(invocation, request, "name", name, "NAME") &&
                   request_set_option(invocation, request, "reason",
                                      OPTION_REASON)
               ? request
               : NULL;
}

/* AddNode; without --zone in `zone`. */
static ProtobufCMessage *request_to_add(struct invocation *invocation,
                                        const char *name, const char *zone)
{
    ProtobufCMessage *request = request_of(invocation, ADD, name);

    if (request == NULL) {
        return NULL;
    }
    if (!arguments_has(invocation->arguments, OPTION_NODE_ID) ||
        !arguments_has(invocation->arguments, OPTION_NODE_ADDRESS)) {
        (void)usage_error(invocation,
                          "--id and --address are needed: those of its "
                          "configuration file");
        return NULL;
    }
    return request_set(invocation, request, "zone", zone, "--zone") &&
                   request_set_option(invocation, request, "zone",
                                      OPTION_ZONE) &&
                   request_set_option(invocation, request, "id",
                                      OPTION_NODE_ID) &&
                   request_set_option(invocation, request, "address",
                                      OPTION_NODE_ADDRESS)
               ? request
               : NULL;
}

static void tell(struct invocation *invocation,
                 const ProtobufCMessage *response)
{
    if (invocation->output != OUTPUT_TABLE &&
        invocation->output != OUTPUT_WIDE) {
        output_object(invocation, response_object(response));
        return;
    }
    output_line(invocation, "%s%s",
                is_dry(invocation) ? "dry run, nothing was changed; then: "
                                   : "",
                view_string(response, "note"));
}

static enum exit_code change(struct invocation *invocation, const char *method,
                             const char *name, const ProtobufCMessage *request)
{
    ProtobufCMessage *response;
    enum exit_code code;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    code = request_call(invocation, method, request, name, &response);
    if (code == EXIT_OK) {
        tell(invocation, response);
        hf_message_free(response);
        output_flush(invocation);
    }
    return code;
}

enum exit_code run_node_add(struct invocation *invocation)
{
    const char *name = invocation->arguments->names[0];

    return change(invocation, ADD, name, request_to_add(invocation, name, ""));
}

enum exit_code run_node_promote(struct invocation *invocation)
{
    const char *name = invocation->arguments->names[0];

    return change(invocation, PROMOTE, name,
                  request_of(invocation, PROMOTE, name));
}

static ProtobufCMessage *request_to_remove(struct invocation *invocation,
                                           const char *name)
{
    ProtobufCMessage *request = request_of(invocation, REMOVE, name);
    bool fewer =
        arguments_has(invocation->arguments, OPTION_ALLOW_FEWER_VOTERS);

    return request != NULL &&
                   (!fewer || request_set(invocation, request,
                                          "allow_fewer_voters", "true", ""))
               ? request
               : NULL;
}

/* Asks until it is no longer refused for this reason; then what came. */
static enum exit_code ask_while(struct invocation *invocation,
                                const char *method,
                                const ProtobufCMessage *request,
                                const char *const *reasons)
{
    struct hf_status status;
    struct poll poll;

    poll_init(&poll, invocation);
    for (;;) {
        ProtobufCMessage *response;
        bool again = false;

        if (hf_client_call(invocation->client, method, request, &response,
                           &status) == HF_STATUS_OK) {
            tell(invocation, response);
            hf_message_free(response);
            output_flush(invocation);
            return EXIT_OK;
        }
        for (size_t i = 0; reasons[i] != NULL; i++) {
            again |= strcmp(status.reason, reasons[i]) == 0;
        }
        if (!again) {
            return failure_tell(invocation, NULL, &status);
        }
        poll_tell(&poll, invocation, "%s", status.message);
        if (!poll_again(&poll)) {
            return failure_tell_timeout(status.message);
        }
    }
}

static enum exit_code hand_over(struct invocation *invocation, const char *from)
{
    ProtobufCMessage *request = request_for(invocation, TRANSFER);
    ProtobufCMessage *response;
    enum exit_code code;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    output_line(invocation,
                "%s leads: it hands over first, so that nobody waits for an "
                "election",
                from);
    code = request_call(invocation, TRANSFER, request, from, &response);
    if (code == EXIT_OK) {
        output_line(invocation, "%s leads now",
                    view_string(response, "leader"));
        hf_message_free(response);
    }
    output_flush(invocation);
    return code;
}

/* Whether it is refused because it leads. */
static bool leads(struct invocation *invocation,
                  const ProtobufCMessage *request)
{
    const Holdfast__V1__RemoveNodeRequest *asked = (const void *)request;
    Holdfast__V1__RemoveNodeRequest trial = *asked;
    ProtobufCMessage *response;
    struct hf_status status;

    trial.dry_run = true;
    if (hf_client_call(invocation->client, REMOVE, &trial.base, &response,
                       &status) == HF_STATUS_OK) {
        hf_message_free(response);
        return false;
    }
    return strcmp(status.reason, "NODE_LEADS") == 0;
}

static enum exit_code remove_node(struct invocation *invocation,
                                  const char *name)
{
    static const char *const passing[] = {"MEMBERS_CHANGING", "NO_LEADER",
                                          NULL};
    ProtobufCMessage *request = request_to_remove(invocation, name);

    if (request == NULL) {
        return EXIT_USAGE;
    }
    if (leads(invocation, request)) {
        enum exit_code code;

        if (is_dry(invocation)) {
            output_line(invocation,
                        "dry run, nothing was changed; then: %s leads, and "
                        "hands over first",
                        name);
            return EXIT_OK;
        }
        code = hand_over(invocation, name);
        if (code != EXIT_OK) {
            return code;
        }
    }
    return ask_while(invocation, REMOVE, request, passing);
}

enum exit_code run_node_remove(struct invocation *invocation)
{
    return wait_check_options(invocation)
               ? remove_node(invocation, invocation->arguments->names[0])
               : EXIT_USAGE;
}

/* --- replace ------------------------------------------------------------- */

struct replacement {
    const char *dead;
    const char *new;
    const char *zone; /* Of the dead one. */
    bool dead_is_member;
    bool new_is_member;
};

static enum exit_code look_at_both(struct invocation *invocation,
                                   struct replacement *both)
{
    static const char method[] = "ClusterService/ListNodes";
    ProtobufCMessage *request = request_for(invocation, method);
    const Holdfast__V1__ListNodesResponse *list;
    ProtobufCMessage *response;
    enum exit_code code;

    if (request == NULL) {
        return EXIT_USAGE;
    }
    code = request_call(invocation, method, request, NULL, &response);
    if (code != EXIT_OK) {
        return code;
    }
    list = (const void *)response;
    for (size_t i = 0; i < list->n_nodes; i++) {
        const Holdfast__V1__Node *node = list->nodes[i];

        if (strcmp(node->name, both->dead) == 0) {
            both->dead_is_member = true;
            both->zone =
                request_copy(invocation, node->zone, strlen(node->zone));
        }
        both->new_is_member |= strcmp(node->name, both->new) == 0;
    }
    hf_message_free(response);
    if (!both->dead_is_member && !both->new_is_member) {
        (void)fprintf(stderr,
                      "holdfast: there is no node '%s'; `holdfast node list` "
                      "shows them\n",
                      both->dead);
        return EXIT_NOT_FOUND;
    }
    return EXIT_OK;
}

static void step(struct invocation *invocation, unsigned number,
                 const char *what, const char *name, const char *why)
{
    output_line(invocation, "step %u of 3: %s %s: %s", number, what, name, why);
    output_flush(invocation);
}

static enum exit_code replace(struct invocation *invocation,
                              const struct replacement *both)
{
    static const char *const passing[] = {
        "NODE_BEHIND", "NODE_SILENT", "MEMBERS_CHANGING", "NO_LEADER", NULL};
    ProtobufCMessage *promotion;
    enum exit_code code;

    step(invocation, 1, "add", both->new,
         "as a standby, which follows the log and counts for nothing, so "
         "nothing can be lost by it");
    code = change(invocation, ADD, both->new,
                  request_to_add(invocation, both->new,
                                 both->dead_is_member ? both->zone : ""));
    if (code != EXIT_OK) {
        return code;
    }
    step(invocation, 2, "promote", both->new,
         "once its holdfastd runs and has caught up, it becomes a voter; "
         "before the old one goes, so that there are never too few");
    if (!is_dry(invocation)) {
        promotion = request_of(invocation, PROMOTE, both->new);
        code = promotion == NULL
                   ? EXIT_USAGE
                   : ask_while(invocation, PROMOTE, promotion, passing);
    }
    if (code != EXIT_OK) {
        return code;
    }
    step(invocation, 3, "remove", both->dead,
         "for good; its id is never used again, and it is refused when it "
         "comes back");
    if (!both->dead_is_member) {
        output_line(invocation, "%s is no member any more", both->dead);
        return EXIT_OK;
    }
    return is_dry(invocation) ? EXIT_OK : remove_node(invocation, both->dead);
}

enum exit_code run_node_replace(struct invocation *invocation)
{
    struct replacement both = {.dead = invocation->arguments->names[0],
                               .new = invocation->arguments->names[1],
                               .zone = ""};
    enum exit_code code;

    if (!wait_check_options(invocation)) {
        return EXIT_USAGE;
    }
    code = look_at_both(invocation, &both);
    if (code == EXIT_OK) {
        code = replace(invocation, &both);
    }
    if (code == EXIT_TIMED_OUT) {
        (void)fprintf(stderr, "holdfast: the same command goes on where this "
                              "one stopped\n");
    }
    return code;
}
