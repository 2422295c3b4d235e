/* SPDX-License-Identifier: Apache-2.0
 *
 * `holdfast support-bundle`. */
#include "ctl/bundle.h"

#include "base/check.h"
#include "base/memory.h"
#include "ctl/format.h"
#include "ctl/output.h"
#include "ctl/redact.h"
#include "ctl/save.h"
#include "ctl/tar.h"
#include "proto/text_json.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char readme[] =
    "What is here, of a Holdfast region, for those who are to help:\n\n"
    "doctor.txt          what `holdfast doctor` found\n"
    "nodes/NAME/         what each node says of itself and of the others, and "
    "its\n                    metrics\n"
    "region/             settings, zones, hosts, classes, groups, "
    "reservations,\n                    VMs that wait for a host, roles, "
    "recent "
    "changes\n"
    "setup.txt           how the command line reaches the region\n"
    "logs/               ends of log files, if they were asked for\n\n"
    "Commands and environments of VMs are left out, tokens and keys too. "
    "Names,\nlabels, addresses and paths are not, and logs are as they were: "
    "look it over\nbefore you give it away.\n";

void bundle_add(struct bundle *bundle, const char *name,
                const struct bytes *content)
{
    Holdfast__V1__Bundle *message = &bundle->message;
    Holdfast__V1__BundlePart *part;
    char path[TAR_NAME_MAX + 1];
    int len = snprintf(path, sizeof(path), BUNDLE_FOLDER "%s", name);

    if (len < 0 || (size_t)len >= sizeof(path) ||
        !tar_add(&bundle->tar, path, content->data, content->len,
                 bundle->facts.now_ms / 1000)) {
        return; /* A log file of a very long name. */
    }
    part = memory_alloc(sizeof(*part));
    holdfast__v1__bundle_part__init(part);
    part->name = memory_copy_string(path);
    part->bytes = content->len;
    message->parts = memory_realloc_array(message->parts, message->n_parts + 1,
                                          sizeof(Holdfast__V1__BundlePart *));
    message->parts[message->n_parts++] = part;
}

void bundle_add_message(struct bundle *bundle, const char *name,
                        ProtobufCMessage *message)
{
    struct bytes text;

    if (message == NULL) {
        return;
    }
    redact(message);
    bytes_init(&text);
    text_json_write(message, TEXT_PRETTY | TEXT_DEFAULTS, &text);
    bytes_append_u8(&text, '\n');
    bundle_add(bundle, name, &text);
    bytes_close(&text);
}

static void add_doctor(struct bundle *bundle)
{
    struct diagnosis diagnosis;
    struct bytes text;

    diagnosis_init(&diagnosis);
    doctor_judge(&bundle->facts, &diagnosis);
    bytes_init(&text);
    diagnosis_write(&diagnosis, false, &text);
    bytes_append_u8(&text, '\n');
    diagnosis_summary(&diagnosis, &text);
    bundle_add(bundle, "doctor.txt", &text);
    bytes_close(&text);
    bundle_add_message(bundle, "doctor.json", &diagnosis.message.base);
    diagnosis_close(&diagnosis);
}

static void add_readme(struct bundle *bundle)
{
    struct bytes text;

    bytes_init(&text);
    bytes_append(&text, readme, strlen(readme));
    bundle_add(bundle, "README.txt", &text);
    bytes_close(&text);
}

/* "holdfast-support-prod-20261130T080035Z.tar" */
static void default_path(const struct bundle *bundle, char *path, size_t size)
{
    const struct doctor_node *best = doctor_best(&bundle->facts);
    time_t now = (time_t)(bundle->facts.now_ms / 1000);
    struct tm parts;
    char when[32] = "";

    if (gmtime_r(&now, &parts) != NULL) {
        (void)strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &parts);
    }
    (void)snprintf(path, size, "holdfast-support-%.63s-%s.tar",
                   best == NULL ? "unknown" : best->status->region, when);
}

static void show(struct bundle *bundle)
{
    struct invocation *invocation = bundle->invocation;
    const Holdfast__V1__Bundle *message = &bundle->message;
    struct grid grid;

    if (invocation->output == OUTPUT_NAME) {
        bytes_append_format(&invocation->out, "%s\n", message->file);
        return;
    }
    if (output_message(invocation, &message->base)) {
        return;
    }
    grid_init(&grid);
    grid_column(&grid, "PART");
    grid_column_right(&grid, "BYTES");
    for (size_t i = 0; i < message->n_parts; i++) {
        grid_cell(&grid, message->parts[i]->name);
        grid_cell_format(&grid, "%" PRIu64, message->parts[i]->bytes);
    }
    output_table(invocation, &grid, true);
    grid_close(&grid);
    output_line(invocation, "%s", "");
    output_line(invocation,
                "%s written. Names, labels and addresses are in it: look it "
                "over",
                message->file);
    output_line(invocation, "(`tar xf`) before you give it away.");
}

static enum exit_code refuse(const char *path, int error)
{
    (void)fprintf(stderr, "holdfast: cannot write %s: %s\n", path,
                  error == EEXIST ? "it is there already; nothing was written"
                                  : strerror(error));
    return error == EEXIST ? EXIT_CONFLICT : EXIT_FAILED;
}

static enum exit_code save(struct bundle *bundle, const char *path)
{
    char name[PATH_MAX];

    if (path == NULL) {
        default_path(bundle, name, sizeof(name));
        path = name;
    }
    tar_end(&bundle->tar);
    if (!save_new_file(path, &bundle->tar)) {
        return refuse(path, errno);
    }
    free(bundle->message.file);
    bundle->message.file = memory_copy_string(path);
    show(bundle);
    return EXIT_OK;
}

static void bundle_close(struct bundle *bundle)
{
    for (size_t i = 0; i < bundle->message.n_parts; i++) {
        hf_message_free(&bundle->message.parts[i]->base);
    }
    free(bundle->message.parts);
    free(bundle->message.file);
    bytes_close(&bundle->tar);
    doctor_facts_close(&bundle->facts);
    free(bundle);
}

enum exit_code run_support_bundle(struct invocation *invocation)
{
    const char *logs = arguments_value(invocation->arguments, OPTION_LOGS);
    const char *path = arguments_value(invocation->arguments, OPTION_BUNDLE);
    enum exit_code code = EXIT_USAGE;
    struct bundle *bundle;
    struct stat there;

    if (path != NULL && lstat(path, &there) == 0) {
        return refuse(path, EEXIST); /* Rather now than after the questions. */
    }
    bundle = memory_alloc(sizeof(*bundle));
    bundle->invocation = invocation;
    bytes_init(&bundle->tar);
    holdfast__v1__bundle__init(&bundle->message);
    bundle->message.file = memory_copy_string("");
    doctor_gather(invocation, &bundle->facts);
    add_readme(bundle);
    add_doctor(bundle);
    bundle_add_nodes(bundle);
    bundle_add_region(bundle);
    bundle_add_events(bundle);
    bundle_add_setup(bundle);
    if (logs == NULL || bundle_add_logs(bundle, logs)) {
        code = save(bundle, path);
    }
    bundle_close(bundle);
    return code;
}
