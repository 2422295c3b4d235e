/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guard_beat.h"

#include "agent/run_dir.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES   4096
#define PAGE_MAGIC   0x74616562 /* "beat" */
#define PAGE_VERSION 1

struct guard_beat_content {
    uint32_t magic;
    uint32_t version;
    _Atomic int32_t pid;
    _Atomic uint64_t start_ticks;
    _Atomic uint64_t beat_ns;
};

static int map(int fd, int protection, struct guard_beat_content **content)
{
    void *memory = mmap(NULL, PAGE_BYTES, protection, MAP_SHARED, fd, 0);

    *content = memory == MAP_FAILED ? NULL : memory;
    return memory == MAP_FAILED ? HF_ERROR_IO : 0;
}

int guard_beat_create(struct guard_beat *beat, int guard_dir_fd)
{
    struct process_id self;
    int error;
    int fd = openat(guard_dir_fd, RUN_FILE_BEAT,
                    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0) {
        return HF_ERROR_IO;
    }
    error = process_identify(getpid(), &self);
    if (error == 0 && ftruncate(fd, PAGE_BYTES) < 0) {
        error = HF_ERROR_IO;
    }
    if (error == 0) {
        error = map(fd, PROT_READ | PROT_WRITE, &beat->content);
    }
    close(fd);
    if (error != 0) {
        return error;
    }
    atomic_store(&beat->content->beat_ns, 0);
    atomic_store(&beat->content->pid, (int32_t)self.pid);
    atomic_store(&beat->content->start_ticks, self.start_ticks);
    beat->content->version = PAGE_VERSION;
    beat->content->magic = PAGE_MAGIC;
    return 0;
}

void guard_beat_write(struct guard_beat *beat, uint64_t now_ns)
{
    atomic_store(&beat->content->beat_ns, now_ns);
}

int guard_beat_read(int guard_dir_fd, uint64_t *beat_ns,
                    struct process_id *guard)
{
    struct guard_beat_content *content;
    struct stat stat;
    int error;
    int fd =
        openat(guard_dir_fd, RUN_FILE_BEAT, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0) {
        return errno == ENOENT ? HF_ERROR_NOT_FOUND : HF_ERROR_IO;
    }
    if (fstat(fd, &stat) < 0 || stat.st_size < PAGE_BYTES) {
        error = HF_ERROR_INVALID;
    } else {
        error = map(fd, PROT_READ, &content);
    }
    close(fd);
    if (error != 0) {
        return error;
    }
    if (content->magic == PAGE_MAGIC && content->version == PAGE_VERSION) {
        *beat_ns = atomic_load(&content->beat_ns);
        guard->pid = (pid_t)atomic_load(&content->pid);
        guard->start_ticks = atomic_load(&content->start_ticks);
    } else {
        error = HF_ERROR_INVALID;
    }
    munmap(content, PAGE_BYTES);
    return error;
}
