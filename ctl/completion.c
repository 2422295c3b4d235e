/* SPDX-License-Identifier: Apache-2.0
 *
 * `holdfast completion`: scripts for shells, and the names they ask for. */
#include "base/clock.h"
#include "base/container.h"
#include "ctl/complete.h"
#include "ctl/context.h"
#include "ctl/invocation.h"
#include "ctl/list.h"
#include "ctl/request.h"
#include "ctl/view.h"
#include "proto/text_field.h"

#include <stdlib.h>
#include <string.h>

/* A person waits with a finger on the key. */
#define PATIENCE_MS 1000
/* More than anybody reads; a shell asks first when there are many. */
#define NAMES_MAX 1000

enum exit_code run_completion(struct invocation *invocation)
{
    const char *shell = invocation->command->verb;

    if (strcmp(shell, "bash") == 0) {
        complete_bash(&invocation->out);
    } else if (strcmp(shell, "zsh") == 0) {
        complete_zsh(&invocation->out);
    } else {
        complete_fish(&invocation->out);
    }
    return EXIT_OK;
}

static const char *method_of(const char *noun)
{
    static const char *const methods[][2] = {
        {"node", "ClusterService/ListNodes"},
        {"zone", "ZoneService/ListZones"},
        {"class", "ClassService/ListClasses"},
        {"host", "HostService/ListHosts"},
        {"vm", "VmService/ListVms"},
        {"group", "GroupService/ListGroups"},
        {"reservation", "ReservationService/ListReservations"},
        {"operation", "OperationService/ListOperations"},
    };

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (strcmp(methods[i][0], noun) == 0) {
            return methods[i][1];
        }
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

struct names {
    const char *texts[NAMES_MAX];
    size_t count;
};

/* Copies the names of a page that begin with the prefix. */
static void take(struct invocation *invocation, ProtobufCMessage *page,
                 const char *prefix, struct names *names)
{
    size_t count = *text_field_list_count(page, list_field(page->descriptor));
    ProtobufCMessage **items = list_items(page);

    for (size_t i = 0; i < count && names->count < NAMES_MAX; i++) {
        const char *name = view_string(items[i], "name");

        if (strncmp(name, prefix, strlen(prefix)) == 0) {
            names->texts[names->count++] =
                request_copy(invocation, name, strlen(name));
        }
    }
}

/* Page after page while there is time; what is not there by then is not
 * offered. */
static void collect(struct invocation *invocation, const char *method,
                    const char *prefix, struct names *names)
{
    uint64_t end_ms = clock_boot_ms() + PATIENCE_MS;
    ProtobufCMessage *request =
        request_create(invocation, hf_method_find(method)->input);
    bool paged = protobuf_c_message_descriptor_get_field_by_name(
                     request->descriptor, "page_token") != NULL;
    bool more = true;

    (void)request_set(invocation, request, "consistency", "stale", "");
    if (paged) {
        (void)request_set(invocation, request, "page_size", "1000", "");
    }
    while (more && names->count < NAMES_MAX) {
        uint64_t now_ms = clock_boot_ms();
        ProtobufCMessage *page;
        struct hf_status status;
        const char *token;

        if (now_ms >= end_ms) {
            return;
        }
        hf_client_set_timeout(invocation->client, (uint32_t)(end_ms - now_ms));
        if (hf_client_call(invocation->client, method, request, &page,
                           &status) != HF_STATUS_OK) {
            return;
        }
        take(invocation, page, prefix, names);
        token = view_string(page, "next_page_token");
        more = paged && token[0] != '\0' &&
               request_set(invocation, request, "page_token", token, "");
        hf_message_free(page);
    }
}

static void collect_contexts(struct invocation *invocation, const char *prefix,
                             struct names *names)
{
    struct context_file file;

    if (context_read(invocation, &file) != EXIT_OK) {
        return;
    }
    for (size_t i = 0; i < file.file->n_contexts && names->count < NAMES_MAX;
         i++) {
        const char *name = file.file->contexts[i]->name;

        if (strncmp(name, prefix, strlen(prefix)) == 0) {
            names->texts[names->count++] = name;
        }
    }
}

enum exit_code run_completion_names(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    const char *method = method_of(arguments->names[0]);
    const char *prefix = arguments->name_count > 1 ? arguments->names[1] : "";
    struct names *names = request_alloc(invocation, sizeof(*names));

    names->count = 0;
    if (strcmp(arguments->names[0], "context") == 0) {
        collect_contexts(invocation, prefix, names);
    } else if (method != NULL) {
        collect(invocation, method, prefix, names);
    } else {
        return usage_error(invocation,
                           "`%s` has no names; it is node, zone, class, host, "
                           "vm, group, reservation or context",
                           arguments->names[0]);
    }
    qsort(names->texts, names->count, sizeof(names->texts[0]), compare);
    for (size_t i = 0; i < names->count; i++) {
        bytes_append(&invocation->out, names->texts[i],
                     strlen(names->texts[i]));
        bytes_append_u8(&invocation->out, '\n');
    }
    return EXIT_OK;
}
