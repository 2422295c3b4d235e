/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulator is a program of its own, which stands beside this one. A live
 * region is handed to it as the manifest that an export would write. */
#include "base/container.h"
#include "ctl/invocation.h"
#include "ctl/output.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PROGRAM       "holdfast-simulate"
#define ARGUMENTS_MAX 24

struct call {
    const char *arguments[ARGUMENTS_MAX + 1];
    size_t count;
};

static void add(struct call *call, const char *argument)
{
    if (call->count < ARGUMENTS_MAX) {
        call->arguments[call->count++] = argument;
    }
}

static void add_option(struct call *call, const struct arguments *arguments,
                       enum option option)
{
    const char *value = arguments_value(arguments, option);

    if (value != NULL) {
        add(call, option_rule(option)->name);
        add(call, value);
    }
}

/* The region's manifest becomes the standard input. */
static enum exit_code feed_region(struct invocation *invocation)
{
    struct bytes text;
    enum exit_code code;
    size_t at = 0;
    int file;

    bytes_init(&text);
    code = export_region(invocation, &text);
    if (code != EXIT_OK) {
        bytes_close(&text);
        return code;
    }
    file = memfd_create("holdfast-fleet", MFD_CLOEXEC);
    while (file >= 0 && at < text.len) {
        ssize_t count = write(file, text.data + at, text.len - at);

        if (count < 0 && errno != EINTR) {
            break;
        }
        at += count > 0 ? (size_t)count : 0;
    }
    if (file < 0 || at < text.len || lseek(file, 0, SEEK_SET) != 0 ||
        dup2(file, STDIN_FILENO) < 0) {
        (void)fprintf(stderr,
                      "holdfast: the region's manifest cannot be kept "
                      "in memory: %s\n",
                      strerror(errno));
        code = EXIT_FAILED;
    }
    bytes_close(&text);
    return code;
}

/* Does not return, unless it fails. */
static enum exit_code become(const struct call *call)
{
    char here[4096];
    char path[sizeof(here) + sizeof(PROGRAM) + 1];
    ssize_t len = readlink("/proc/self/exe", here, sizeof(here) - 1);

    here[len > 0 ? len : 0] = '\0';
    (void)snprintf(path, sizeof(path), "%s/" PROGRAM, dirname(here));
    (void)fflush(NULL);
    (void)execv(path, (char *const *)(uintptr_t)call->arguments);
    (void)fprintf(stderr,
                  "holdfast: the simulator %s cannot be run: %s; it is "
                  "installed with this program\n",
                  path, strerror(errno));
    return EXIT_FAILED;
}

enum exit_code run_simulate(struct invocation *invocation)
{
    static const enum option passed[] = {
        OPTION_FLEET, OPTION_SEEDS, OPTION_FIRST, OPTION_FAULTS, OPTION_DELAY};
    const struct arguments *arguments = invocation->arguments;
    const char *faults = arguments_value(arguments, OPTION_FAULTS);
    struct call call = {.arguments = {PROGRAM}, .count = 1};

    if (arguments_has(arguments, OPTION_OUTPUT) &&
        invocation->output != OUTPUT_TABLE &&
        invocation->output != OUTPUT_JSON) {
        return usage_error(invocation, "--output: a simulation's report is a "
                                       "table (default) or json");
    }
    for (size_t i = 0; i < ARRAY_LEN(passed); i++) {
        add_option(&call, arguments, passed[i]);
    }
    if (arguments_has(arguments, OPTION_VERBOSE)) {
        add(&call, "--verbose");
    }
    if (invocation->output == OUTPUT_JSON) {
        add(&call, "--output");
        add(&call, "json");
    }
    if (!arguments_has(arguments, OPTION_FLEET) &&
        (faults == NULL || strcmp(faults, "help") != 0)) {
        enum exit_code code = feed_region(invocation);

        if (code != EXIT_OK) {
            return code;
        }
        add(&call, "--file");
        add(&call, "-");
        add(&call, "--title");
        add(&call, "the live region");
    }
    return become(&call);
}
