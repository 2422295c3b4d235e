/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/lease_page.h"

#include "agent/files.h"
#include "agent/run_dir.h"
#include "base/check.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES   4096
#define PAGE_MAGIC   0x65736165 /* "ease" */
#define PAGE_VERSION 1

struct lease_page_content {
    uint32_t magic;
    uint32_t version;
    char boot_id[BOOT_ID_BYTES + 3]; /* Padded with NULs. */
    _Atomic uint64_t deadline_ns;    /* Eight aligned bytes: never torn. */
};

_Static_assert(sizeof(struct lease_page_content) <= PAGE_BYTES, "one page");

int boot_id_read(char id[BOOT_ID_BYTES])
{
    char text[BOOT_ID_BYTES + 2];
    size_t len;

    if (files_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text,
                   sizeof(text), &len) != 0 ||
        len != BOOT_ID_BYTES || text[len - 1] != '\n') {
        return HF_ERROR_IO;
    }
    memcpy(id, text, BOOT_ID_BYTES - 1);
    id[BOOT_ID_BYTES - 1] = '\0';
    return 0;
}

static bool usable(const struct lease_page_content *content,
                   const char boot_id[BOOT_ID_BYTES])
{
    return content->magic == PAGE_MAGIC && content->version == PAGE_VERSION &&
           memcmp(content->boot_id, boot_id, BOOT_ID_BYTES) == 0;
}

static int map(struct lease_page *page, int fd, int protection)
{
    void *memory = mmap(NULL, PAGE_BYTES, protection, MAP_SHARED, fd, 0);

    if (memory == MAP_FAILED) {
        return HF_ERROR_IO;
    }
    page->content = memory;
    return 0;
}

/* The file is reset where it is, never replaced: shims that map it must see
 * what the next agent writes. */
int lease_page_create(struct lease_page *page, int dir_fd)
{
    char boot_id[BOOT_ID_BYTES];
    int error = boot_id_read(boot_id);
    int fd;

    page->content = NULL;
    page->fd = -1;
    if (error != 0) {
        return error;
    }
    fd = openat(dir_fd, RUN_FILE_LEASE,
                O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return HF_ERROR_IO;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        error = errno == EWOULDBLOCK ? HF_ERROR_BUSY : HF_ERROR_IO;
        goto out;
    }
    if (ftruncate(fd, PAGE_BYTES) < 0) {
        error = HF_ERROR_IO;
        goto out;
    }
    error = map(page, fd, PROT_READ | PROT_WRITE);
    if (error != 0) {
        goto out;
    }
    if (!usable(page->content, boot_id)) {
        atomic_store(&page->content->deadline_ns, 0);
        page->content->magic = PAGE_MAGIC;
        page->content->version = PAGE_VERSION;
        memset(page->content->boot_id, 0, sizeof(page->content->boot_id));
        memcpy(page->content->boot_id, boot_id, BOOT_ID_BYTES);
    }
    page->fd = fd;
    return 0;
out:
    close(fd);
    return error;
}

int lease_page_open(struct lease_page *page, int dir_fd)
{
    char boot_id[BOOT_ID_BYTES];
    struct stat stat;
    int error = boot_id_read(boot_id);
    int fd;

    page->content = NULL;
    page->fd = -1;
    if (error != 0) {
        return error;
    }
    fd = openat(dir_fd, RUN_FILE_LEASE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? HF_ERROR_NOT_FOUND : HF_ERROR_IO;
    }
    /* A shorter file would end the reader with SIGBUS. */
    if (fstat(fd, &stat) < 0 || stat.st_size < PAGE_BYTES) {
        error = HF_ERROR_INVALID;
        goto out;
    }
    error = map(page, fd, PROT_READ);
    if (error == 0 && !usable(page->content, boot_id)) {
        lease_page_close(page);
        error = HF_ERROR_INVALID;
    }
out:
    close(fd);
    return error;
}

void lease_page_close(struct lease_page *page)
{
    if (page->content != NULL) {
        munmap(page->content, PAGE_BYTES);
        page->content = NULL;
    }
    if (page->fd >= 0) {
        close(page->fd);
        page->fd = -1;
    }
}

uint64_t lease_page_deadline(const struct lease_page *page)
{
    return atomic_load(&page->content->deadline_ns);
}

bool lease_page_live(const struct lease_page *page, uint64_t now_ns)
{
    uint64_t deadline_ns = lease_page_deadline(page);

    return now_ns < deadline_ns &&
           deadline_ns - now_ns <= LEASE_PAGE_AHEAD_MAX_NS;
}

bool lease_page_extend(struct lease_page *page, uint64_t deadline_ns,
                       uint64_t now_ns)
{
    uint64_t current_ns = lease_page_deadline(page);

    CHECK(page->fd >= 0);
    if (deadline_ns > now_ns + LEASE_PAGE_AHEAD_MAX_NS) {
        deadline_ns = now_ns + LEASE_PAGE_AHEAD_MAX_NS;
    }
    /* What is not to be believed is not the later one either. */
    if (deadline_ns <= current_ns &&
        current_ns <= now_ns + LEASE_PAGE_AHEAD_MAX_NS) {
        return false;
    }
    atomic_store(&page->content->deadline_ns, deadline_ns);
    return true;
}

void lease_page_shorten(struct lease_page *page, uint64_t deadline_ns)
{
    CHECK(page->fd >= 0);
    if (deadline_ns < lease_page_deadline(page)) {
        atomic_store(&page->content->deadline_ns, deadline_ns);
    }
}

void lease_page_clear(struct lease_page *page)
{
    CHECK(page->fd >= 0);
    atomic_store(&page->content->deadline_ns, 0);
}
