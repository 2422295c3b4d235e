/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/redact.h"

#include "base/memory.h"
#include "holdfast/v1/access_service.pb-c.h"
#include "holdfast/v1/resources.pb-c.h"
#include "proto/text_field.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void redact_template(Holdfast__V1__VmTemplate *template)
{
    for (size_t i = 0; i < template->n_command; i++) {
        free(template->command[i]);
        template->command[i] = memory_copy_string(REDACTED);
    }
    for (size_t i = 0; i < template->n_environment; i++) {
        char *variable = template->environment[i];
        /* Without a sign all of it is a value, as far as we know. */
        size_t key = strchr(variable, '=') == NULL ? 0 : strcspn(variable, "=");
        size_t size = key + sizeof("=" REDACTED);
        char *kept = memory_alloc(size);

        (void)snprintf(kept, size, "%.*s=" REDACTED, (int)key, variable);
        free(variable);
        template->environment[i] = kept;
    }
}

static void redact_grant(Holdfast__V1__Grant *grant)
{
    free(grant->secret_sha256.data);
    grant->secret_sha256 = (ProtobufCBinaryData){0};
}

/* Messages of this contract never nest within themselves. */
/* NOLINTNEXTLINE(misc-no-recursion) */
void redact(ProtobufCMessage *message)
{
    if (message->descriptor == &holdfast__v1__vm_template__descriptor) {
        redact_template((Holdfast__V1__VmTemplate *)(void *)message);
        return;
    }
    if (message->descriptor == &holdfast__v1__grant__descriptor) {
        redact_grant((Holdfast__V1__Grant *)(void *)message);
        return;
    }
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        size_t count = field->type == PROTOBUF_C_TYPE_MESSAGE
                           ? text_field_count(message, field, false)
                           : 0;

        for (size_t j = 0; j < count; j++) {
            redact(
                *(ProtobufCMessage *const *)text_field_at(message, field, j));
        }
    }
}
