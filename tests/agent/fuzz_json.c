/* SPDX-License-Identifier: Apache-2.0
 *
 * Whatever a monitor sends on a line: every value that was read lies in the
 * table, every string ends inside the text. */
#include "agent/json.h"
#include "base/check.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct json json;
    char *text = memory_copy(data, size);

    if (json_parse(&json, text, size) == 0) {
        CHECK(json.count >= 1 && json.count <= JSON_VALUES_MAX);
        for (uint16_t i = 0; i < json.count; i++) {
            const struct json_value *value = &json.values[i];
            const char *string = json_string(value);

            CHECK(value->next == JSON_NONE || value->next < json.count);
            CHECK(value->child == JSON_NONE || value->child < json.count);
            CHECK(string == NULL ||
                  (string > text && string + strlen(string) < text + size));
        }
        (void)json_get(&json, &json.values[0], "return");
    } else {
        CHECK(json.count == 0);
    }
    free(text);
    return 0;
}
