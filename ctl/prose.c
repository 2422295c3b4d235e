/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/prose.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static void put_blanks(struct bytes *out, size_t count)
{
    memset(bytes_reserve(out, count + 1), ' ', count);
    out->len += count;
}

/* Returns its width in characters. */
static size_t put_word(struct bytes *out, const char *word, size_t len)
{
    size_t width = 0;

    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)word[i];

        width += (c & 0xc0) != 0x80;
        bytes_append_u8(out, c < 0x20 || c == 0x7f ? '?' : c);
    }
    return width;
}

static size_t width_of(const char *word, size_t len)
{
    size_t width = 0;

    for (size_t i = 0; i < len; i++) {
        width += ((uint8_t)word[i] & 0xc0) != 0x80;
    }
    return width;
}

/* Up to the next blank where a line may end: "6.0 s" and "12 %" stay whole. */
static size_t span_of(const char *text)
{
    size_t len = strcspn(text, " ");

    if (len > 0 && text[len] == ' ' && text[len - 1] >= '0' &&
        text[len - 1] <= '9' &&
        (text[len + 1] == '%' ||
         (text[len + 1] == 's' &&
          (text[len + 2] < 'a' || text[len + 2] > 'z')))) {
        len += 1 + strcspn(text + len + 1, " ");
    }
    return len;
}

void prose_write(struct bytes *out, const char *text, size_t used,
                 size_t indent)
{
    bool first = true;

    while (text[0] != '\0') {
        size_t len = span_of(text);

        if (!first && used + 1 + width_of(text, len) > PROSE_WIDTH) {
            bytes_append_u8(out, '\n');
            put_blanks(out, indent);
            used = indent;
        } else if (!first) {
            bytes_append_u8(out, ' ');
            used++;
        }
        used += put_word(out, text, len);
        text += len + (text[len] == ' ');
        first = false;
    }
    bytes_append_u8(out, '\n');
}
