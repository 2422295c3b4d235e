/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/machine.h"

#include "agent/files.h"
#include "base/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
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

/* On the disk before anybody hears of it. */
static int write_id(int dir_fd, const char *name, char id[MACHINE_ID_BYTES])
{
    char text[MACHINE_ID_BYTES + 1];
    int result = make_id(id);

    if (result != 0) {
        return result;
    }
    snprintf(text, sizeof(text), "%s\n", id);
    return files_replace_synced(dir_fd, name, text, MACHINE_ID_BYTES);
}

int machine_host_id(int state_dir_fd, char id[MACHINE_ID_BYTES])
{
    int result = read_id(state_dir_fd, HOST_ID_FILE, id);

    return result == HF_ERROR_NOT_FOUND
               ? write_id(state_dir_fd, HOST_ID_FILE, id)
               : result;
}

bool machine_shim_words(const char *cmdline, size_t len,
                        struct shim_words *words)
{
    const char *end = cmdline + len;
    const char *slash;
    const char *name;

    *words = (struct shim_words){0};
    if (len == 0 || end[-1] != '\0') {
        return false;
    }
    slash = strrchr(cmdline, '/');
    name = slash == NULL ? cmdline : slash + 1;
    if (strcmp(name, SHIM_NAME) != 0) {
        return false;
    }
    for (const char *word = cmdline; word < end && strcmp(word, "--") != 0;
         word += strlen(word) + 1) {
        const char *value = word + strlen(word) + 1;

        if (value < end && strcmp(word, "--run-dir") == 0) {
            words->run_dir = value;
        } else if (value < end && strcmp(word, "--uid") == 0) {
            words->uid = value;
        }
    }
    return true;
}

/* The length of a process's command line, with a NUL at its end; 0: it ended
 * meanwhile, or has none. */
static size_t read_cmdline(int proc_fd, const char *pid, char *buf, size_t size)
{
    char path[64];
    ssize_t len;
    int fd;

    if (strspn(pid, "0123456789") != strlen(pid) || strlen(pid) > 20) {
        return 0;
    }
    snprintf(path, sizeof(path), "%.20s/cmdline", pid);
    fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    len = read(fd, buf, size - 1);
    close(fd);
    if (len <= 0) {
        return 0;
    }
    buf[len] = '\0';
    return (size_t)len + (buf[len - 1] != '\0');
}

static bool is_at(const struct shim_words *words,
                  const struct shim_place *place)
{
    struct stat info;

    if (words->run_dir == NULL) {
        return false;
    }
    return strcmp(words->run_dir, place->run_dir) == 0 ||
           (stat(words->run_dir, &info) == 0 && info.st_dev == place->device &&
            info.st_ino == place->inode);
}

int machine_find_shims(const struct shim_place *place, struct shim_found *found,
                       size_t max)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    char cmdline[CMDLINE_MAX];
    struct shim_words words;
    size_t count = 0;

    if (dir == NULL) {
        return HF_ERROR_IO;
    }
    while (count < max && (errno = 0, entry = readdir(dir)) != NULL) {
        size_t len =
            read_cmdline(dirfd(dir), entry->d_name, cmdline, sizeof(cmdline));

        if (len == 0 || !machine_shim_words(cmdline, len, &words) ||
            !is_at(&words, place)) {
            continue;
        }
        found[count].pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (words.uid == NULL ||
            run_dir_parse_uid(words.uid, &found[count].uid) != 0) {
            found[count].uid = 0;
        }
        count++;
    }
    if (count < max && errno != 0) {
        closedir(dir);
        return HF_ERROR_IO;
    }
    closedir(dir);
    return (int)count;
}

int machine_place(const struct run_dir *run, struct shim_place *place)
{
    struct stat info;

    if (fstat(run->fd, &info) != 0) {
        return HF_ERROR_IO;
    }
    *place = (struct shim_place){run->path, info.st_dev, info.st_ino};
    return 0;
}

int machine_boot_id_read(int run_dir_fd, char id[MACHINE_BOOT_BYTES])
{
    char boot[BOOT_ID_BYTES];
    char instance[MACHINE_ID_BYTES];
    int result = boot_id_read(boot);

    if (result == 0) {
        result = read_id(run_dir_fd, INSTANCE_ID_FILE, instance);
    }
    if (result == 0) {
        /* At most 64 characters by the contract; 27 of the instance's 32
         * digits are enough to be unique. */
        snprintf(id, MACHINE_BOOT_BYTES, "%s-%.27s", boot, instance);
    }
    return result;
}

int machine_boot_id(const struct run_dir *run, char id[MACHINE_BOOT_BYTES])
{
    char instance[MACHINE_ID_BYTES];
    struct shim_place place;
    struct shim_found found;
    int result = machine_boot_id_read(run->fd, id);

    if (result != HF_ERROR_NOT_FOUND && result != HF_ERROR_INVALID) {
        return result;
    }
    result = machine_place(run, &place);
    if (result == 0) {
        result = machine_find_shims(&place, &found, 1);
    }
    if (result != 0) {
        return result > 0 ? HF_ERROR_BUSY : result;
    }
    result = write_id(run->fd, INSTANCE_ID_FILE, instance);
    return result == 0 ? machine_boot_id_read(run->fd, id) : result;
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
