/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/scan.h"

#include "agent/files.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool begins(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

void scan_read_exit(int dir_fd, char reason[VM_EXIT_BYTES_MAX + 1],
                    bool *failed)
{
    char text[VM_EXIT_BYTES_MAX + 2];
    size_t len;

    *failed = true;
    if (files_read(dir_fd, VM_FILE_EXIT, text, sizeof(text), &len) != 0) {
        snprintf(reason, VM_EXIT_BYTES_MAX + 1, "shim_died");
        return;
    }
    if (len > 0 && text[len - 1] == '\n') {
        len--;
    }
    memcpy(reason, text, len);
    reason[len] = '\0';
    /* Ended by the lease, which is nobody's failure. */
    *failed = !begins(reason, "fenced") && !begins(reason, "released") &&
              !begins(reason, "refused");
}

/* What is not a VM's directory goes aside, with all that is in it. */
static void quarantine(struct scan *scan, const struct run_dir *run,
                       const char *name, const char *why)
{
    int error = run_dir_quarantine(run, name);

    log_warn("scan.quarantined", "name=\"%s\" why=%s error=%s", name, why,
             hf_error_name(error));
    scan->quarantined_count += error == 0;
}

static int read_spec(int dir_fd, uint64_t uid, struct vm_spec *spec)
{
    char *text = memory_alloc(VM_SPEC_BYTES_MAX + 1);
    size_t len;
    int error =
        files_read(dir_fd, VM_FILE_SPEC, text, VM_SPEC_BYTES_MAX + 1, &len);

    if (error == 0) {
        error = vm_spec_decode(spec, text, len);
    }
    if (error == 0 && spec->uid != uid) {
        vm_spec_close(spec);
        error = HF_ERROR_INVALID;
    }
    free(text);
    return error;
}

/* Makes nothing in a directory that may not be ours. */
static bool has_lock(int dir_fd)
{
    struct stat stat;

    return fstatat(dir_fd, VM_FILE_LOCK, &stat, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Fills in `entry`; false when the directory is nothing to report. */
static bool look(struct scan *scan, const struct run_dir *run, int dir_fd,
                 const char *name, struct scan_entry *entry)
{
    int lock_fd = has_lock(dir_fd) ? vm_dir_lock(dir_fd) : HF_ERROR_NOT_FOUND;
    bool readable = read_spec(dir_fd, entry->uid, &entry->spec) == 0;

    if (lock_fd == HF_ERROR_BUSY) {
        entry->state = readable ? SCAN_LIVE : SCAN_UNKNOWN;
        return true;
    }
    if (!readable || lock_fd < 0) {
        quarantine(scan, run, name, readable ? "no_lock" : "no_spec");
        if (readable) {
            vm_spec_close(&entry->spec);
        }
        if (lock_fd >= 0) {
            close(lock_fd);
        }
        return false;
    }
    entry->state = SCAN_ENDED;
    scan_read_exit(dir_fd, entry->reason, &entry->failed);
    close(lock_fd);
    return true;
}

static int scan_name(struct scan *scan, const struct run_dir *run,
                     const char *name)
{
    struct scan_entry *entry;
    uint64_t uid;
    int dir_fd;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return 0;
    }
    if (run_dir_parse_uid(name, &uid) != 0) {
        quarantine(scan, run, name, "name");
        return 0;
    }
    dir_fd = openat(run->vms_fd, name,
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir_fd < 0 && (errno == ENOTDIR || errno == ELOOP)) {
        quarantine(scan, run, name, "no_directory");
        return 0;
    }
    if (dir_fd < 0) {
        return HF_ERROR_IO;
    }
    if (scan->count == SCAN_ENTRIES_MAX) {
        close(dir_fd);
        return HF_ERROR_TOO_LARGE;
    }
    scan->entries = memory_realloc_array(scan->entries, scan->count + 1,
                                         sizeof(*scan->entries));
    entry = &scan->entries[scan->count];
    memset(entry, 0, sizeof(*entry));
    entry->uid = uid;
    scan->count += look(scan, run, dir_fd, name, entry);
    close(dir_fd);
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct scan_entry *left = a;
    const struct scan_entry *right = b;

    return (left->uid > right->uid) - (left->uid < right->uid);
}

int scan_run(struct scan *scan, const struct run_dir *run)
{
    int fd = openat(run->vms_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *item;
    int error = 0;

    memset(scan, 0, sizeof(*scan));
    if (dir == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return HF_ERROR_IO;
    }
    while (error == 0 && (errno = 0, item = readdir(dir)) != NULL) {
        error = scan_name(scan, run, item->d_name);
    }
    if (error == 0 && errno != 0) {
        error = HF_ERROR_IO;
    }
    closedir(dir);
    if (error != 0) {
        scan_close(scan);
        return error;
    }
    if (scan->count > 0) {
        qsort(scan->entries, scan->count, sizeof(*scan->entries), compare);
    }
    return 0;
}

void scan_close(struct scan *scan)
{
    for (size_t i = 0; i < scan->count; i++) {
        if (scan->entries[i].state != SCAN_UNKNOWN) {
            vm_spec_close(&scan->entries[i].spec);
        }
    }
    free(scan->entries);
    memset(scan, 0, sizeof(*scan));
}
