/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/region_file.h"

#include "agent/files.h"
#include "base/check.h"
#include "base/error.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool region_id_is_valid(const char *id)
{
    return strlen(id) == REGION_ID_BYTES - 1 &&
           strspn(id, "0123456789abcdef") == REGION_ID_BYTES - 1;
}

int region_file_read(const struct run_dir *run, char id[REGION_ID_BYTES])
{
    char text[REGION_ID_BYTES + 1];
    size_t len;
    int result = files_read(run->fd, RUN_FILE_REGION, text, sizeof(text), &len);

    id[0] = '\0';
    if (result == HF_ERROR_NOT_FOUND) {
        return 0;
    }
    if (result != 0) {
        return result == HF_ERROR_IO ? result : HF_ERROR_INVALID;
    }
    if (len != REGION_ID_BYTES || text[len - 1] != '\n') {
        return HF_ERROR_INVALID;
    }
    text[len - 1] = '\0';
    if (!region_id_is_valid(text)) {
        return HF_ERROR_INVALID;
    }
    memcpy(id, text, REGION_ID_BYTES);
    return 0;
}

/* Before any VM of that region begins here. */
static int replace_synced(const struct run_dir *run, const char *name,
                          const char *text)
{
    int result = files_replace(run->fd, name, text, strlen(text));
    int fd;

    if (result != 0) {
        return result;
    }
    fd = openat(run->fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return HF_ERROR_IO;
    }
    result = fsync(fd) == 0 && fsync(run->fd) == 0 ? 0 : HF_ERROR_IO;
    close(fd);
    return result;
}

int region_file_write(const struct run_dir *run, const char *id)
{
    char text[REGION_ID_BYTES + 1];

    CHECK(region_id_is_valid(id));
    snprintf(text, sizeof(text), "%s\n", id);
    return replace_synced(run, RUN_FILE_REGION, text);
}

int generation_file_read(const struct run_dir *run, uint32_t *generation)
{
    char text[16];
    size_t len;
    int result =
        files_read(run->fd, RUN_FILE_GENERATION, text, sizeof(text), &len);
    unsigned long number;
    char *end;

    *generation = 0;
    if (result != 0) {
        return result == HF_ERROR_NOT_FOUND ? 0
               : result == HF_ERROR_IO      ? result
                                            : HF_ERROR_INVALID;
    }
    number = strtoul(text, &end, 10);
    if (end == text || strcmp(end, "\n") != 0 || number > UINT32_MAX) {
        return HF_ERROR_INVALID;
    }
    *generation = (uint32_t)number;
    return 0;
}

int generation_file_write(const struct run_dir *run, uint32_t generation)
{
    char text[16];

    snprintf(text, sizeof(text), "%" PRIu32 "\n", generation);
    return replace_synced(run, RUN_FILE_GENERATION, text);
}
