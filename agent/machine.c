/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/machine.h"

#include "agent/files.h"
#include "base/error.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define HOST_ID_FILE     "host_id"
#define INSTANCE_ID_FILE "instance_id"
#define SHIM_NAME        "holdfast-shim"
#define CMDLINE_MAX      4096

#define RESERVE_MIB   512
#define MIB           (UINT64_C(1) << 20)
#define GIB           (UINT64_C(1) << 30)
#define CPU_MILLI_MAX 1024000
#define MEMORY_MAX    67108864
#define DISK_GIB_MAX  16777216

static int make_id(char id[MACHINE_ID_BYTES])
{
    unsigned char random[(MACHINE_ID_BYTES - 1) / 2];

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return HF_ERROR_IO;
    }
    for (size_t i = 0; i < sizeof(random); i++) {
        snprintf(id + 2 * i, 3, "%02x", random[i]);
    }
    return 0;
}

/* NOT_FOUND, INVALID or IO. */
static int read_id(int dir_fd, const char *name, char id[MACHINE_ID_BYTES])
{
    char text[MACHINE_ID_BYTES + 1];
    size_t len;
    int result = files_read(dir_fd, name, text, sizeof(text), &len);

    if (result != 0) {
        return result == HF_ERROR_TOO_LARGE ? HF_ERROR_INVALID : result;
    }
    if (len != MACHINE_ID_BYTES || text[len - 1] != '\n' ||
        strspn(text, "0123456789abcdef") != len - 1) {
        return HF_ERROR_INVALID;
    }
    memcpy(id, text, MACHINE_ID_BYTES - 1);
    id[MACHINE_ID_BYTES - 1] = '\0';
    return 0;
}

static int write_id(int dir_fd, const char *name, char id[MACHINE_ID_BYTES])
{
    char text[MACHINE_ID_BYTES + 1];
    int fd;
    int result = make_id(id);

    if (result != 0) {
        return result;
    }
    snprintf(text, sizeof(text), "%s\n", id);
    result = files_replace(dir_fd, name, text, MACHINE_ID_BYTES);
    if (result != 0) {
        return result;
    }
    /* On the disk before anybody hears of it. */
    fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return HF_ERROR_IO;
    }
    result = fsync(fd) == 0 && fsync(dir_fd) == 0 ? 0 : HF_ERROR_IO;
    close(fd);
    return result;
}

int machine_host_id(int state_dir_fd, char id[MACHINE_ID_BYTES])
{
    int result = read_id(state_dir_fd, HOST_ID_FILE, id);

    return result == HF_ERROR_NOT_FOUND
               ? write_id(state_dir_fd, HOST_ID_FILE, id)
               : result;
}

bool machine_is_shim(const char *cmdline, size_t len, const char *run_dir)
{
    const char *end = cmdline + len;
    const char *slash;
    const char *name;

    if (len == 0 || end[-1] != '\0') {
        return false;
    }
    slash = strrchr(cmdline, '/');
    name = slash == NULL ? cmdline : slash + 1;
    if (strcmp(name, SHIM_NAME) != 0) {
        return false;
    }
    for (const char *word = cmdline; word < end; word += strlen(word) + 1) {
        const char *value = word + strlen(word) + 1;

        if (strcmp(word, "--") == 0) {
            return false;
        }
        if (strcmp(word, "--run-dir") == 0 && value < end) {
            return strcmp(value, run_dir) == 0;
        }
    }
    return false;
}

static bool is_shim_process(int proc_fd, const char *pid, const char *run_dir)
{
    char path[64];
    char cmdline[CMDLINE_MAX];
    ssize_t len;
    int fd;

    if (strspn(pid, "0123456789") != strlen(pid) || strlen(pid) > 20) {
        return false;
    }
    snprintf(path, sizeof(path), "%.20s/cmdline", pid);
    fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false; /* It ended meanwhile. */
    }
    len = read(fd, cmdline, sizeof(cmdline) - 1);
    close(fd);
    if (len <= 0) {
        return false;
    }
    cmdline[len] = '\0';
    return machine_is_shim(cmdline, (size_t)len + (cmdline[len - 1] != '\0'),
                           run_dir);
}

static int no_shim_lives(const char *run_dir)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    int result = 0;

    if (dir == NULL) {
        return HF_ERROR_IO;
    }
    while (result == 0 && (entry = readdir(dir)) != NULL) {
        if (is_shim_process(dirfd(dir), entry->d_name, run_dir)) {
            result = HF_ERROR_BUSY;
        }
    }
    closedir(dir);
    return result;
}

int machine_boot_id(const struct run_dir *run, char id[MACHINE_BOOT_BYTES])
{
    char boot[BOOT_ID_BYTES];
    char instance[MACHINE_ID_BYTES];
    int result = boot_id_read(boot);

    if (result != 0) {
        return result;
    }
    result = read_id(run->fd, INSTANCE_ID_FILE, instance);
    if (result == HF_ERROR_NOT_FOUND || result == HF_ERROR_INVALID) {
        result = no_shim_lives(run->path);
        if (result == 0) {
            result = write_id(run->fd, INSTANCE_ID_FILE, instance);
        }
    }
    if (result == 0) {
        /* At most 64 characters by the contract; 27 of the instance's 32
         * digits are enough to be unique. */
        snprintf(id, MACHINE_BOOT_BYTES, "%s-%.27s", boot, instance);
    }
    return result;
}

static uint32_t clamp(uint64_t value, uint32_t max)
{
    return value < max ? (uint32_t)value : max;
}

int machine_capacity(int state_dir_fd, struct machine_capacity *capacity)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct sysinfo info;
    struct statvfs disk;
    uint64_t memory_mib;

    if (cpus < 1 || sysinfo(&info) != 0 || fstatvfs(state_dir_fd, &disk) != 0) {
        return HF_ERROR_IO;
    }
    memory_mib = (uint64_t)info.totalram * info.mem_unit / MIB;
    memory_mib -= memory_mib / 10;
    memory_mib -= memory_mib > 2 * RESERVE_MIB ? RESERVE_MIB : memory_mib / 2;
    capacity->cpu_milli = clamp((uint64_t)cpus * 1000, CPU_MILLI_MAX);
    capacity->memory_mib = clamp(memory_mib, MEMORY_MAX);
    capacity->disk_gib = clamp(
        (uint64_t)disk.f_bavail * disk.f_frsize / 10 * 9 / GIB, DISK_GIB_MAX);
    return 0;
}
