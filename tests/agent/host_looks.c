/* SPDX-License-Identifier: Apache-2.0
 *
 * What really is: processes, locks, counters, as seen from outside. */
#include "host_fixture.h"

#include "agent/cgroup.h"
#include "agent/files.h"
#include "agent/process.h"
#include "base/bytes.h"
#include "base/container.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

bool host_pid_file(const struct host *host, uint64_t uid, struct pid_file *file)
{
    int fd = run_dir_open_vm(&host->run, uid, false);
    bool read = fd >= 0 && pid_file_read(file, fd) == 0;

    if (fd >= 0) {
        close(fd);
    }
    return read;
}

bool host_is_alive(const struct process_id *id)
{
    char path[48];
    char stat[1024];
    const char *state;
    size_t len;

    if (!process_exists(id)) {
        return false;
    }
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)id->pid);
    if (files_read(AT_FDCWD, path, stat, sizeof(stat), &len) != 0) {
        return false;
    }
    state = strrchr(stat, ')');
    return state != NULL && state[2] != 'Z' && state[2] != 'X';
}

void host_signal(const struct process_id *id, int signal_number)
{
    int fd = process_open(id);

    assert_true(fd >= 0);
    assert_int_equal(process_signal(fd, signal_number), 0);
    close(fd);
}

bool host_read_exit(const struct host *host, uint64_t uid,
                    char reason[VM_EXIT_BYTES_MAX + 1])
{
    int fd = run_dir_open_vm(&host->run, uid, false);
    size_t len;
    bool read = fd >= 0 && files_read(fd, VM_FILE_EXIT, reason,
                                      VM_EXIT_BYTES_MAX + 1, &len) == 0;

    if (fd >= 0) {
        close(fd);
    }
    return read;
}

bool host_lock_is_free(const struct host *host, uint64_t uid)
{
    int fd = run_dir_open_vm(&host->run, uid, false);
    int lock_fd = vm_dir_lock(fd);

    if (lock_fd >= 0) {
        close(lock_fd);
    }
    close(fd);
    return lock_fd >= 0;
}

/* The shim, and the first process of a namespace, which is a copy of it. */
static bool is_shim(const char *pid)
{
    char path[300];
    char comm[64];
    size_t len;

    snprintf(path, sizeof(path), "/proc/%s/comm", pid);
    return files_read(AT_FDCWD, path, comm, sizeof(comm), &len) == 0 &&
           strcmp(comm, "holdfast-shim\n") == 0;
}

static bool has_in_environment(const char *pid, const char *word)
{
    static char text[65536];
    char path[300];
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%s/environ", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    n = read(fd, text, sizeof(text));
    close(fd);
    return n > 0 && memmem(text, (size_t)n, word, strlen(word)) != NULL;
}

size_t host_count_processes(const struct host *host)
{
    DIR *dir = opendir("/proc");
    struct dirent *item;
    size_t count = 0;

    assert_non_null(dir);
    while ((item = readdir(dir)) != NULL) {
        uint64_t pid;

        count += run_dir_parse_uid(item->d_name, &pid) == 0 &&
                 !is_shim(item->d_name) &&
                 has_in_environment(item->d_name, host->dir);
    }
    closedir(dir);
    return count;
}

/* Where cgroup v2 is mounted, from /proc/self/mounts. */
static bool find_cgroup_mount(char path[96])
{
    FILE *mounts = fopen("/proc/self/mounts", "re");
    char line[512];
    bool found = false;

    while (mounts != NULL && !found &&
           fgets(line, sizeof(line), mounts) != NULL) {
        found = sscanf(line, "cgroup2 %95s cgroup2 ", path) == 1;
    }
    if (mounts != NULL) {
        fclose(mounts);
    }
    return found;
}

const char *host_cgroup(struct host *host)
{
    char mount[96];

    if (!find_cgroup_mount(mount)) {
        return NULL;
    }
    snprintf(host->cgroup, sizeof(host->cgroup), "%s/hf-test-%d", mount,
             (int)getpid());
    if (mkdir(host->cgroup, 0755) < 0) {
        host->cgroup[0] = '\0';
        return NULL;
    }
    if (cgroup_prepare(host->cgroup) != 0) {
        return NULL;
    }
    return host->cgroup;
}

void host_remove_cgroup(struct host *host)
{
    static const char *const below[] = {"/move/", "/keep/", "/"};
    static const char *const names[] = {"1", "2", "3", "move", "keep"};
    char path[192];

    for (size_t i = 0; host->cgroup[0] != '\0' && i < ARRAY_LEN(below); i++) {
        for (size_t j = 0; j < ARRAY_LEN(names); j++) {
            snprintf(path, sizeof(path), "%s%s%s", host->cgroup, below[i],
                     names[j]);
            rmdir(path);
        }
    }
    rmdir(host->cgroup);
}

static uint64_t read_counter(const struct host *host, uint64_t uid, off_t at)
{
    char path[96];
    uint8_t sector[512];
    int fd;
    ssize_t n;

    host_disk_path(host, uid, path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    n = pread(fd, sector, sizeof(sector), 512);
    close(fd);
    if (n != (ssize_t)sizeof(sector) || memcmp(sector, "HFGUEST1", 8) != 0) {
        return 0;
    }
    return bytes_get_u64(sector + at);
}

uint64_t host_beats(const struct host *host, uint64_t uid)
{
    return read_counter(host, uid, 8);
}

uint64_t host_boots(const struct host *host, uint64_t uid)
{
    return read_counter(host, uid, 16);
}
