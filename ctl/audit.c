/* SPDX-License-Identifier: Apache-2.0
 *
 * audit export, audit verify; audit list is run_list(). */
#include "ctl/audit_chain.h"
#include "ctl/failure.h"
#include "ctl/output.h"
#include "ctl/request.h"
#include "holdfast/v1/audit_service.pb-c.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_SIZE 1000

/* For people: where the chain begins, which a verification can be held to. */
static void tell_begin(const char *line)
{
    const char *previous = strstr(line, ",\"previous\":\"");

    (void)fprintf(stderr, "holdfast: the first record follows digest %.*s\n",
                  DIGEST_TEXT_BYTES - 1,
                  previous == NULL ? ""
                                   : previous + strlen(",\"previous\":\""));
}

enum exit_code run_audit_export(struct invocation *invocation)
{
    Holdfast__V1__ExportAuditRecordsRequest *request =
        (void *)request_for(invocation, invocation->command->method);
    bool first = true;
    bool more = true;

    if (request == NULL ||
        !request_set_option(invocation, &request->base, "after_number",
                            OPTION_AFTER_NUMBER)) {
        return EXIT_USAGE;
    }
    request->page_size = PAGE_SIZE;
    while (more) {
        const Holdfast__V1__ExportAuditRecordsResponse *page;
        ProtobufCMessage *response;
        enum exit_code code =
            request_call(invocation, invocation->command->method,
                         &request->base, NULL, &response);

        if (code != EXIT_OK) {
            return code;
        }
        page = (const Holdfast__V1__ExportAuditRecordsResponse *)(const void *)
            response;
        if (first && page->n_lines > 0 && invocation->progress) {
            tell_begin(page->lines[0]);
        }
        for (size_t i = 0; i < page->n_lines; i++) {
            bytes_append(&invocation->out, page->lines[i],
                         strlen(page->lines[i]));
            bytes_append_u8(&invocation->out, '\n');
        }
        first = first && page->n_lines == 0;
        request->after_number = page->last_number;
        more = page->more && page->n_lines > 0;
        hf_message_free(response);
        output_flush(invocation);
    }
    return EXIT_OK;
}

/* --- verify --------------------------------------------------------------- */

static bool verify_lines(struct audit_chain *chain, const char *path,
                         FILE *file)
{
    char *line = NULL;
    size_t size = 0;
    uint64_t number = 0;
    bool good = true;
    ssize_t len;

    while (good && (len = getline(&line, &size, file)) >= 0) {
        number++;
        if (len == 0 || line[len - 1] != '\n') {
            (void)fprintf(stderr,
                          "holdfast: %s:%" PRIu64 ": the line has no end: the "
                          "file was cut\n",
                          path, number);
            good = false;
        } else if (!audit_chain_add(chain, line, (size_t)len - 1)) {
            (void)fprintf(stderr, "holdfast: %s:%" PRIu64 ": %s\n", path,
                          number, chain->problem);
            good = false;
        }
    }
    free(line);
    return good;
}

static bool verify_file(struct audit_chain *chain, const char *path)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "re");
    bool good;

    if (file == NULL) {
        (void)fprintf(stderr, "holdfast: %s: %s\n", path, strerror(errno));
        return false;
    }
    good = verify_lines(chain, path, file);
    if (good && ferror(file)) {
        (void)fprintf(stderr, "holdfast: %s: %s\n", path, strerror(errno));
        good = false;
    }
    if (!standard) {
        (void)fclose(file);
    }
    return good;
}

static bool check_digest_option(const struct invocation *invocation,
                                enum option option)
{
    const char *text = arguments_value(invocation->arguments, option);

    if (text != NULL && !audit_is_digest(text, strlen(text))) {
        (void)usage_error(invocation, "%s: must be 64 hexadecimal digits",
                          option_rule(option)->name);
        return false;
    }
    return true;
}

static enum exit_code verify_end(struct invocation *invocation,
                                 const struct audit_chain *chain)
{
    const char *last =
        arguments_value(invocation->arguments, OPTION_LAST_DIGEST);

    if (chain->count == 0) {
        (void)fprintf(stderr, "holdfast: there is no record to verify\n");
        return EXIT_FAILED;
    }
    if (last != NULL && strcmp(last, chain->last_digest) != 0) {
        (void)fprintf(stderr,
                      "holdfast: the last record, %" PRIu64 ", has digest %s: "
                      "others are missing behind it\n",
                      chain->last_number, chain->last_digest);
        return EXIT_FAILED;
    }
    output_line(invocation, "ok: %" PRIu64 " records, %" PRIu64 " to %" PRIu64,
                chain->count, chain->first_number, chain->last_number);
    output_line(invocation, "follows digest %s", chain->first_previous);
    output_line(invocation, "last digest    %s", chain->last_digest);
    return EXIT_OK;
}

enum exit_code run_audit_verify(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;
    struct audit_chain chain;

    if (!check_digest_option(invocation, OPTION_FIRST_DIGEST) ||
        !check_digest_option(invocation, OPTION_LAST_DIGEST)) {
        return EXIT_USAGE;
    }
    audit_chain_init(&chain, arguments_value(arguments, OPTION_FIRST_DIGEST));
    for (size_t i = 0; i < arguments->name_count; i++) {
        if (!verify_file(&chain, arguments->names[i])) {
            return EXIT_FAILED;
        }
    }
    return verify_end(invocation, &chain);
}
