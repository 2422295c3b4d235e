/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/diagnosis.h"

#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"
#include "ctl/grid.h"
#include "ctl/output.h"
#include "ctl/prose.h"
#include "proto/text_field.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDENT     10
#define TEXT_BYTES 2048

void diagnosis_init(struct diagnosis *diagnosis)
{
    *diagnosis = (struct diagnosis){.capacity = 0};
    holdfast__v1__diagnosis__init(&diagnosis->message);
    diagnosis->message.region = memory_copy_string("");
    diagnosis->message.severity = SEVERITY(OK);
}

void diagnosis_close(struct diagnosis *diagnosis)
{
    for (size_t i = 0; i < diagnosis->message.n_findings; i++) {
        hf_message_free(&diagnosis->message.findings[i]->base);
    }
    free(diagnosis->message.findings);
    free(diagnosis->message.region);
}

/* The memory of protobuf-c's messages comes from malloc(). */
static char *__attribute__((format(printf, 1, 0)))
copy_format(const char *format, va_list arguments)
{
    char text[TEXT_BYTES];

    (void)vsnprintf(text, sizeof(text), format, arguments);
    return memory_copy_string(text);
}

void diagnosis_add(struct diagnosis *diagnosis, const char *id,
                   Holdfast__V1__Severity severity, const char *subject,
                   const char *format, ...)
{
    Holdfast__V1__Diagnosis *message = &diagnosis->message;
    Holdfast__V1__Finding *finding = memory_alloc(sizeof(*finding));
    va_list arguments;

    holdfast__v1__finding__init(finding);
    finding->id = memory_copy_string(id);
    finding->severity = severity;
    finding->subject = memory_copy_string(subject);
    va_start(arguments, format);
    finding->found = copy_format(format, arguments);
    va_end(arguments);
    finding->cure = memory_copy_string("");
    finding->file = memory_copy_string("");
    if (message->n_findings == diagnosis->capacity) {
        diagnosis->capacity =
            diagnosis->capacity == 0 ? 32 : diagnosis->capacity * 2;
        message->findings =
            memory_realloc_array(message->findings, diagnosis->capacity,
                                 sizeof(Holdfast__V1__Finding *));
    }
    message->findings[message->n_findings++] = finding;
    if (severity > message->severity) {
        message->severity = severity;
    }
}

static Holdfast__V1__Finding *last(const struct diagnosis *diagnosis)
{
    CHECK(diagnosis->message.n_findings > 0);
    return diagnosis->message.findings[diagnosis->message.n_findings - 1];
}

void diagnosis_cure(struct diagnosis *diagnosis, const char *format, ...)
{
    Holdfast__V1__Finding *finding = last(diagnosis);
    va_list arguments;

    free(finding->cure);
    va_start(arguments, format);
    finding->cure = copy_format(format, arguments);
    va_end(arguments);
}

void diagnosis_place(struct diagnosis *diagnosis, const char *file,
                     unsigned line)
{
    Holdfast__V1__Finding *finding = last(diagnosis);

    free(finding->file);
    finding->file = memory_copy_string(file);
    finding->line = line;
}

static int compare_places(const void *a, const void *b)
{
    const Holdfast__V1__Finding *left = *(Holdfast__V1__Finding *const *)a;
    const Holdfast__V1__Finding *right = *(Holdfast__V1__Finding *const *)b;
    int order = (left->file[0] == '\0') - (right->file[0] == '\0');

    order = order != 0 ? order : strcmp(left->file, right->file);
    if (order == 0) {
        order = left->line < right->line ? -1 : left->line > right->line;
    }
    if (order == 0) {
        order = (int)right->severity - (int)left->severity;
    }
    order = order != 0 ? order : strcmp(left->id, right->id);
    return order != 0 ? order : strcmp(left->subject, right->subject);
}

void diagnosis_sort(struct diagnosis *diagnosis)
{
    if (diagnosis->message.n_findings > 1) {
        qsort(diagnosis->message.findings, diagnosis->message.n_findings,
              sizeof(Holdfast__V1__Finding *), compare_places);
    }
}

size_t diagnosis_count(const struct diagnosis *diagnosis,
                       Holdfast__V1__Severity severity)
{
    size_t count = 0;

    for (size_t i = 0; i < diagnosis->message.n_findings; i++) {
        count += diagnosis->message.findings[i]->severity == severity;
    }
    return count;
}

void diagnosis_summary(const struct diagnosis *diagnosis, struct bytes *out)
{
    static const struct {
        Holdfast__V1__Severity severity;
        const char *one;
        const char *many;
    } words[] = {{SEVERITY(CRITICAL), "critical", "critical"},
                 {SEVERITY(WARNING), "warning", "warnings"},
                 {SEVERITY(NOTE), "note", "notes"},
                 {SEVERITY(OK), "ok", "ok"}};
    bool any = false;

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t count = diagnosis_count(diagnosis, words[i].severity);

        if (count > 0) {
            bytes_append_format(out, "%s%zu %s", any ? ", " : "", count,
                                count == 1 ? words[i].one : words[i].many);
            any = true;
        }
    }
    bytes_append_format(out, "%s\n", any ? "" : "nothing was found");
}

static enum colour colour_of(Holdfast__V1__Severity severity)
{
    switch (severity) {
    case SEVERITY(OK):
        return COLOUR_GOOD;
    case SEVERITY(WARNING):
        return COLOUR_WAIT;
    case SEVERITY(CRITICAL):
        return COLOUR_BAD;
    default:
        return COLOUR_NONE;
    }
}

static void write_finding(const Holdfast__V1__Finding *finding, bool colours,
                          struct bytes *out)
{
    bool coloured = colours && colour_of(finding->severity) != COLOUR_NONE;
    char name[TEXT_NAME_MAX + 1];
    struct bytes text;

    text_enum_name(&holdfast__v1__severity__descriptor, (int)finding->severity,
                   name);
    bytes_append_format(out, "%s%s%s%*s",
                        coloured ? colour_escape(colour_of(finding->severity))
                                 : "",
                        name, coloured ? colour_escape(COLOUR_NONE) : "",
                        INDENT - (int)strlen(name), "");
    bytes_init(&text);
    if (finding->file[0] != '\0') {
        bytes_append_format(&text, "%s:%" PRIu32 ": ", finding->file,
                            finding->line);
    }
    bytes_append_format(&text, "%s: %s%s%s", finding->id, finding->subject,
                        finding->subject[0] == '\0' ? "" : ": ",
                        finding->found);
    bytes_append_u8(&text, '\0');
    prose_write(out, (const char *)text.data, INDENT, INDENT);
    bytes_close(&text);
    if (finding->cure[0] != '\0') {
        bytes_append_format(out, "%*s-> ", INDENT, "");
        prose_write(out, finding->cure, INDENT + 3, INDENT + 3);
    }
}

void diagnosis_write(const struct diagnosis *diagnosis, bool colours,
                     struct bytes *out)
{
    for (size_t i = 0; i < diagnosis->message.n_findings; i++) {
        write_finding(diagnosis->message.findings[i], colours, out);
    }
}

static bool read_fail_on(const struct invocation *invocation,
                         Holdfast__V1__Severity *severity)
{
    const char *text = arguments_value(invocation->arguments, OPTION_FAIL_ON);
    int value;

    if (text == NULL) {
        return true;
    }
    if (!text_enum_find(&holdfast__v1__severity__descriptor, text, &value) ||
        value <= (int)SEVERITY(OK)) {
        return false;
    }
    *severity = (Holdfast__V1__Severity)value;
    return true;
}

bool diagnosis_check_options(const struct invocation *invocation)
{
    Holdfast__V1__Severity ignored;

    if (!read_fail_on(invocation, &ignored)) {
        (void)usage_error(
            invocation, "--fail-on: `%s` is not note, warning or critical",
            arguments_value(invocation->arguments, OPTION_FAIL_ON));
        return false;
    }
    return true;
}

enum exit_code diagnosis_output(struct invocation *invocation,
                                const struct diagnosis *diagnosis,
                                Holdfast__V1__Severity otherwise)
{
    const Holdfast__V1__Diagnosis *message = &diagnosis->message;
    Holdfast__V1__Severity fail_on = otherwise;

    CHECK(read_fail_on(invocation, &fail_on));
    if (invocation->output == OUTPUT_NAME) {
        for (size_t i = 0; i < message->n_findings; i++) {
            if (message->findings[i]->severity > SEVERITY(OK)) {
                bytes_append_format(&invocation->out, "%s\n",
                                    message->findings[i]->id);
            }
        }
    } else if (!output_message(invocation, &message->base)) {
        diagnosis_write(diagnosis, invocation->colours, &invocation->out);
        bytes_append(&invocation->out, "\n", message->n_findings > 0);
        diagnosis_summary(diagnosis, &invocation->out);
    }
    return message->severity >= fail_on ? EXIT_FAILED : EXIT_OK;
}
