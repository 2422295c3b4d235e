/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pid_file.h"

#include "agent/files.h"
#include "agent/run_dir.h"
#include "base/error.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define PID_FILE_BYTES_MAX 256

/* The text that a file with this content has, the only one. */
static size_t print(const struct pid_file *file, char text[PID_FILE_BYTES_MAX])
{
    int len = snprintf(
        text, PID_FILE_BYTES_MAX,
        "shim=%d %" PRIu64 "\nvm=%d %" PRIu64 "\npolicy=%s\nstate=%s\n",
        (int)file->shim.pid, file->shim.start_ticks, (int)file->vm.pid,
        file->vm.start_ticks, file->keep ? "keep" : "move",
        file->running ? "running" : "starting");

    return (size_t)len;
}

int pid_file_write(const struct pid_file *file, int dir_fd)
{
    char text[PID_FILE_BYTES_MAX];

    return files_replace(dir_fd, VM_FILE_PID, text, print(file, text));
}

/* Moves *at behind `word`, or answers false. */
static bool skip(const char **at, const char *word)
{
    size_t len = strlen(word);

    if (strncmp(*at, word, len) != 0) {
        return false;
    }
    *at += len;
    return true;
}

static bool number(const char **at, uint64_t max, uint64_t *value)
{
    size_t len = strspn(*at, "0123456789");

    if (files_parse_u64(*at, len, max, value) != 0) {
        return false;
    }
    *at += len;
    return true;
}

static bool process(const char **at, const char *key, struct process_id *id)
{
    uint64_t pid;

    if (!skip(at, key) || !number(at, INT_MAX, &pid) || !skip(at, " ") ||
        !number(at, UINT64_MAX, &id->start_ticks) || !skip(at, "\n")) {
        return false;
    }
    id->pid = (pid_t)pid;
    return true;
}

int pid_file_read(struct pid_file *file, int dir_fd)
{
    char text[PID_FILE_BYTES_MAX];
    char again[PID_FILE_BYTES_MAX];
    const char *at = text;
    size_t len;
    int error = files_read(dir_fd, VM_FILE_PID, text, sizeof(text), &len);

    memset(file, 0, sizeof(*file));
    if (error != 0) {
        return error == HF_ERROR_TOO_LARGE ? HF_ERROR_INVALID : error;
    }
    if (!process(&at, "shim=", &file->shim) ||
        !process(&at, "vm=", &file->vm) || file->shim.pid == 0) {
        return HF_ERROR_INVALID;
    }
    file->keep = skip(&at, "policy=keep\n");
    if (!file->keep && !skip(&at, "policy=move\n")) {
        return HF_ERROR_INVALID;
    }
    file->running = skip(&at, "state=running\n");
    /* Whatever else stands there makes the texts differ. */
    if (print(file, again) != len || memcmp(text, again, len) != 0) {
        return HF_ERROR_INVALID;
    }
    return 0;
}
