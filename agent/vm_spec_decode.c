/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/files.h"
#include "agent/vm_spec_text.h"
#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* A run of bytes of the text, lent. */
struct piece {
    const char *data;
    size_t len;
};

static bool piece_is(struct piece piece, const char *word)
{
    return piece.len == strlen(word) &&
           memcmp(piece.data, word, piece.len) == 0;
}

/* Cuts off what stands before `mark`; false when there is none. */
static bool cut(struct piece *rest, char mark, struct piece *head)
{
    const char *at =
        rest->len == 0 ? NULL : memchr(rest->data, mark, rest->len);

    if (at == NULL) {
        return false;
    }
    head->data = rest->data;
    head->len = (size_t)(at - rest->data);
    rest->data = at + 1;
    rest->len -= head->len + 1;
    return true;
}

/* Takes the next line if its key is `key`; false leaves the text as it is. */
static bool take(struct piece *text, const char *key, struct piece *value)
{
    struct piece rest = *text;
    struct piece line;
    struct piece found;

    if (!cut(&rest, '\n', &line) || !cut(&line, '=', &found) ||
        !piece_is(found, key)) {
        return false;
    }
    *value = line;
    *text = rest;
    return true;
}

static bool take_number(struct piece *text, const char *key, uint64_t max,
                        uint64_t *value)
{
    struct piece piece;

    return take(text, key, &piece) &&
           files_parse_u64(piece.data, piece.len, max, value) == 0;
}

static bool take_u32(struct piece *text, const char *key, uint32_t *value)
{
    uint64_t wide;

    if (!take_number(text, key, UINT32_MAX, &wide)) {
        return false;
    }
    *value = (uint32_t)wide;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* NULL when the escapes are wrong or a NUL would come out. Needless escapes
 * are found at the end, when the text is compared with its encoding. */
static char *unescape(struct piece piece)
{
    char *string = memory_alloc(piece.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < piece.len; i++) {
        int high;
        int low;

        if (piece.data[i] != '%') {
            string[len++] = piece.data[i];
            continue;
        }
        if (piece.len - i < 3) {
            free(string);
            return NULL;
        }
        high = hex_digit(piece.data[i + 1]);
        low = hex_digit(piece.data[i + 2]);
        if (high < 0 || low < 0) {
            free(string);
            return NULL;
        }
        string[len++] = (char)(high << 4 | low);
        i += 2;
    }
    if (memchr(string, '\0', len) != NULL) {
        free(string);
        return NULL;
    }
    string[len] = '\0';
    return string;
}

static bool read_disk(struct vm_spec *spec, struct piece value)
{
    struct vm_disk *disk;
    struct piece kind;
    struct piece access;
    struct piece path;

    if (spec->disk_count == VM_SPEC_DISKS_MAX || !cut(&value, ' ', &kind) ||
        !cut(&value, ' ', &access)) {
        return false;
    }
    disk = &spec->disks[spec->disk_count++];
    disk->read_only = piece_is(access, "ro");
    if (piece_is(kind, "shared")) {
        disk->kind = VM_DISK_SHARED;
        disk->path = unescape(value);
        return disk->path != NULL;
    }
    disk->kind = VM_DISK_EPHEMERAL;
    if (!cut(&value, ' ', &path)) {
        return false;
    }
    disk->path = unescape(path);
    disk->image = unescape(value);
    return disk->path != NULL && disk->image != NULL;
}

static bool read_string(struct vm_strings *strings, struct piece value)
{
    char *string = unescape(value);
    bool added = string != NULL && strings->count < VM_SPEC_STRINGS_MAX &&
                 vm_strings_add(strings, string) == 0;

    free(string);
    return added;
}

static bool read_lists(struct vm_spec *spec, struct piece *text)
{
    struct piece value;

    while (take(text, "disk", &value)) {
        if (!read_disk(spec, value)) {
            return false;
        }
    }
    while (take(text, "argv", &value)) {
        if (!read_string(&spec->argv, value)) {
            return false;
        }
    }
    while (take(text, "env", &value)) {
        if (!read_string(&spec->env, value)) {
            return false;
        }
    }
    return piece_is(*text, "end\n");
}

static bool read_spec(struct vm_spec *spec, struct piece text)
{
    struct piece value;

    if (!cut(&text, '\n', &value) || !piece_is(value, VM_SPEC_FIRST_LINE) ||
        !take_number(&text, "uid", UINT64_MAX, &spec->uid) ||
        !take_number(&text, "epoch", UINT64_MAX, &spec->epoch) ||
        !take(&text, "name", &value) || value.len > VM_SPEC_NAME_MAX) {
        return false;
    }
    memcpy(spec->name, value.data, value.len);
    if (!take(&text, "driver", &value)) {
        return false;
    }
    spec->driver = piece_is(value, "qemu") ? VM_DRIVER_QEMU : VM_DRIVER_EXEC;
    if (!take(&text, "on_partition", &value)) {
        return false;
    }
    spec->keep = piece_is(value, "keep");
    if (!take_u32(&text, "cpu_milli", &spec->cpu_milli) ||
        !take_u32(&text, "memory_mib", &spec->memory_mib) ||
        !take_u32(&text, "stop_grace_ms", &spec->stop_grace_ms) ||
        !take(&text, "boot_image", &value)) {
        return false;
    }
    if (value.len > 0) {
        spec->boot_image = unescape(value);
        if (spec->boot_image == NULL) {
            return false;
        }
    }
    return read_lists(spec, &text);
}

/* One spec has one text: what was read is written again and must be the same
 * bytes. So words are not spelled out twice here, and nothing odd gets by. */
static bool is_canonical(const struct vm_spec *spec, const void *text,
                         size_t len)
{
    struct bytes again;
    bool same;

    bytes_init(&again);
    vm_spec_print(spec, &again);
    same = again.len == len && memcmp(again.data, text, len) == 0;
    bytes_close(&again);
    return same;
}

int vm_spec_decode(struct vm_spec *spec, const void *text, size_t len)
{
    struct piece piece = {text, len};
    const char *field;

    vm_spec_init(spec);
    if (len > VM_SPEC_BYTES_MAX) {
        return HF_ERROR_TOO_LARGE;
    }
    if (!read_spec(spec, piece) || vm_spec_check(spec, &field) != 0 ||
        !is_canonical(spec, text, len)) {
        vm_spec_close(spec);
        return HF_ERROR_INVALID;
    }
    return 0;
}
