/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of a support bundle. What cannot be had says why in its place. */
#include "base/clock.h"
#include "base/container.h"
#include "ctl/bundle.h"
#include "ctl/event.h"
#include "ctl/http_get.h"
#include "ctl/redact.h"
#include "ctl/tar.h"
#include "proto/text_json.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#define HTTP_WAIT_MS 2000

/* Changes up to the present, the more the better: what is kept differs. */
#define EVENT_WAIT_MS 2000
#define EVENTS_MAX    2000

/* Of each log file its end, and not of more files than a person looks over. */
#define LOG_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define LOG_FILES_MAX 64

/* A sentence in place of the part of that name. */
static void add_reason(struct bundle *bundle, const char *name,
                       const char *reason)
{
    char missing[TAR_NAME_MAX + 16];
    struct bytes text;

    (void)snprintf(missing, sizeof(missing), "%s.missing", name);
    bytes_init(&text);
    bytes_append_format(&text, "not here: %s\n", reason);
    bundle_add(bundle, missing, &text);
    bytes_close(&text);
}

/* --- Nodes -----------------------------------------------------------------
 */

/* An address to listen on is one to ask at, but for that of all interfaces:
 * then it is where the node was asked. */
static void http_address_of(const struct doctor_node *node, char *address,
                            size_t size)
{
    const char *listens = node->status->http_address;
    const char *port = strrchr(listens, ':');
    const char *end = strrchr(node->address, ':');

    if (port != NULL && end != NULL &&
        (strncmp(listens, "0.0.0.0:", 8) == 0 ||
         strncmp(listens, "[::]:", 5) == 0)) {
        (void)snprintf(address, size, "%.*s%s", (int)(end - node->address),
                       node->address, port);
    } else {
        (void)snprintf(address, size, "%s", listens);
    }
}

/* What listens at a loopback address here may be another node than there. */
static bool is_of_node(const struct bytes *metrics, const char *name)
{
    char label[96];

    (void)snprintf(label, sizeof(label), "node=\"%.63s\"", name);
    return metrics->len > 0 &&
           memmem(metrics->data, metrics->len, label, strlen(label)) != NULL;
}

static void add_metrics(struct bundle *bundle, const struct doctor_node *node,
                        const char *name)
{
    char error[256] = "another node answers at that address from here";
    char address[300];
    struct bytes body;

    if (node->status->http_address[0] == '\0') {
        add_reason(bundle, name, "the node has no http_listen");
        return;
    }
    http_address_of(node, address, sizeof(address));
    bytes_init(&body);
    if (http_get(address, "/metrics", clock_boot_ms() + HTTP_WAIT_MS, &body,
                 error, sizeof(error)) &&
        is_of_node(&body, node->name)) {
        bundle_add(bundle, name, &body);
    } else {
        char reason[600];

        (void)snprintf(reason, sizeof(reason), "%s: %s", address, error);
        add_reason(bundle, name, reason);
    }
    bytes_close(&body);
}

void bundle_add_nodes(struct bundle *bundle)
{
    for (size_t i = 0; i < bundle->facts.node_count; i++) {
        const struct doctor_node *node = &bundle->facts.nodes[i];
        char name[TAR_NAME_MAX];
        char folder[80];

        if (node->name[0] == '\0') {
            (void)snprintf(folder, sizeof(folder), "nodes/endpoint-%zu", i + 1);
        } else {
            (void)snprintf(folder, sizeof(folder), "nodes/%s", node->name);
        }
        if (node->status == NULL) {
            char reason[DOCTOR_TEXT_MAX * 2 + 8];

            (void)snprintf(name, sizeof(name), "%s/status.json", folder);
            (void)snprintf(reason, sizeof(reason), "%s: %s", node->address,
                           node->error);
            add_reason(bundle, name, reason);
            continue;
        }
        (void)snprintf(name, sizeof(name), "%s/status.json", folder);
        bundle_add_message(bundle, name, &node->status->base);
        (void)snprintf(name, sizeof(name), "%s/nodes.json", folder);
        bundle_add_message(bundle, name, (void *)node->nodes);
        (void)snprintf(name, sizeof(name), "%s/metrics.txt", folder);
        add_metrics(bundle, node, name);
    }
}

/* --- The region ------------------------------------------------------------
 */

void bundle_add_region(struct bundle *bundle)
{
    struct doctor_facts *facts = &bundle->facts;
    const struct {
        const char *name;
        void *message;
    } parts[] = {
        {"region/settings.json", facts->settings},
        {"region/zones.json", facts->zones},
        {"region/hosts.json", facts->hosts},
        {"region/pending-vms.json", facts->pending},
        {"region/reservations.json", facts->reservations},
        {"region/grants.json", facts->grants},
    };
    static const struct {
        const char *name;
        const char *method;
    } lists[] = {{"region/classes.json", "ClassService/ListClasses"},
                 {"region/groups.json", "GroupService/ListGroups"}};

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].message != NULL) {
            bundle_add_message(bundle, parts[i].name, parts[i].message);
        } else {
            add_reason(bundle, parts[i].name,
                       facts->region_error[0] == '\0' ? "it may not be read"
                                                      : facts->region_error);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(lists) && facts->settings != NULL; i++) {
        ProtobufCMessage *all =
            doctor_fetch(bundle->invocation, facts, lists[i].method);

        if (all != NULL) {
            bundle_add_message(bundle, lists[i].name, all);
        } else {
            add_reason(bundle, lists[i].name, facts->region_error);
        }
        hf_message_free(all);
    }
}

/* --- Events ----------------------------------------------------------------
 */

/* All that come up to the present revision, one a line. */
static bool read_events(struct bundle *bundle, uint64_t after, uint64_t until,
                        struct bytes *text)
{
    struct event_stream stream;
    struct hf_status status;
    bool there = false;

    event_stream_open(&stream, bundle->invocation, after, NULL);
    while (!there && event_stream_next(&stream, EVENT_WAIT_MS, &status)) {
        for (size_t i = 0; i < stream.response->n_events; i++) {
            ProtobufCMessage *event = &stream.response->events[i]->base;

            redact(event);
            text_json_write(event, 0, text);
            bytes_append_u8(text, '\n');
        }
        there = stream.response->revision >= until;
    }
    event_stream_close(&stream);
    return there;
}

void bundle_add_events(struct bundle *bundle)
{
    static const char name[] = "region/events.jsonl";
    const struct doctor_node *best = doctor_best(&bundle->facts);
    struct bytes text;
    uint64_t until;

    if (best == NULL) {
        return;
    }
    until = best->status->revision;
    bytes_init(&text);
    for (uint64_t back = EVENTS_MAX; back > 0 && until > 0; back /= 4) {
        bytes_clear(&text);
        if (read_events(bundle, until > back ? until - back : 1, until,
                        &text)) {
            break;
        }
    }
    if (text.len > 0) {
        bundle_add(bundle, name, &text);
    } else {
        add_reason(bundle, name, "the node keeps no changes that old");
    }
    bytes_close(&text);
}

/* --- How we reach it -------------------------------------------------------
 */

void bundle_add_setup(struct bundle *bundle)
{
    static const char *const variables[] = {
        "HOLDFAST_ENDPOINTS", "HOLDFAST_CONTEXT", "HOLDFAST_TLS_CA",
        "HOLDFAST_TLS_CERT",  "HOLDFAST_TLS_KEY", "HOLDFAST_TOKEN",
        "HOLDFAST_TOKEN_FILE"};
    const struct invocation *invocation = bundle->invocation;
    struct utsname machine;
    struct bytes text;

    bytes_init(&text);
    bytes_append_format(&text, "command line: %s\n", HF_VERSION);
    if (uname(&machine) == 0) {
        bytes_append_format(&text, "machine: %s %s %s\n", machine.sysname,
                            machine.release, machine.machine);
    }
    for (size_t i = 0; i < hf_client_endpoint_count(invocation->client); i++) {
        bytes_append_format(&text, "endpoint: %s\n",
                            hf_client_endpoint(invocation->client, i));
    }
    bytes_append_format(
        &text, "context: %s\n",
        invocation->context == NULL ? "none" : invocation->context->name);
    bytes_append_format(&text, "TLS: %s\n", bundle->facts.tls ? "yes" : "no");
    if (bundle->facts.certificate_end_s != 0) {
        bytes_append_format(&text, "certificate ends: %" PRIu64 " s\n",
                            bundle->facts.certificate_end_s);
    }
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        if (getenv(variables[i]) != NULL) {
            bytes_append_format(&text, "set in the environment: %s\n",
                                variables[i]);
        }
    }
    bundle_add(bundle, "setup.txt", &text);
    bytes_close(&text);
}

/* --- Logs ------------------------------------------------------------------
 */

static void add_log(struct bundle *bundle, const char *folder,
                    const char *file_name)
{
    char path[4096];
    char name[TAR_NAME_MAX];
    struct stat found;
    struct bytes text;
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, file_name);
    (void)snprintf(name, sizeof(name), "logs/%.80s", file_name);
    if (stat(path, &found) != 0 || !S_ISREG(found.st_mode)) {
        return;
    }
    file = fopen(path, "re");
    if (file == NULL) {
        add_reason(bundle, name, strerror(errno));
        return;
    }
    if (found.st_size > (off_t)LOG_BYTES_MAX) {
        (void)fseeko(file, found.st_size - (off_t)LOG_BYTES_MAX, SEEK_SET);
    }
    bytes_init(&text);
    text.len =
        fread(bytes_reserve(&text, LOG_BYTES_MAX), 1, LOG_BYTES_MAX, file);
    bundle_add(bundle, name, &text);
    bytes_close(&text);
    (void)fclose(file);
}

bool bundle_add_logs(struct bundle *bundle, const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort);
    int added = 0;

    if (count < 0) {
        (void)fprintf(stderr, "holdfast: --logs: cannot read %s: %s\n", folder,
                      strerror(errno));
        return false;
    }
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.' && added < LOG_FILES_MAX) {
            add_log(bundle, folder, entries[i]->d_name);
            added++;
        }
        free(entries[i]);
    }
    free(entries);
    return true;
}
