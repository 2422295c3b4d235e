/* SPDX-License-Identifier: Apache-2.0
 *
 * One page of memory per host that holds the end of its lease. The agent
 * writes it; every shim and the guard map it and act on it by themselves, so
 * that an agent that is hung, stopped, dead or restarting changes nothing
 * (DESIGN.md section 6, point 5). */
#ifndef AGENT_LEASE_PAGE_H
#define AGENT_LEASE_PAGE_H

#include <stdbool.h>
#include <stdint.h>

/* No lease reaches further: a deadline beyond this is not believed, so a stray
 * write cannot give VMs an endless life. The contract allows 600 s. */
#define LEASE_PAGE_AHEAD_MAX_NS (600u * 1000000000ull)

struct lease_page_content;

struct lease_page {
    struct lease_page_content *content;
    int fd; /* Of the writer, which holds a lock on it; else -1. */
};

/* Opens the page for writing, or makes it. A page of this boot keeps its
 * deadline: an agent that restarts still has the lease it had. One of another
 * boot, or a damaged one, is reset to "no lease". BUSY: another agent has it;
 * IO. `dir_fd` is the run directory. */
int lease_page_create(struct lease_page *page, int dir_fd);

/* Maps the page read-only. NOT_FOUND; INVALID: not a page of this version and
 * boot; IO. */
int lease_page_open(struct lease_page *page, int dir_fd);

/* Unmaps; leaves the file and what it says alone. */
void lease_page_close(struct lease_page *page);

/* CLOCK_BOOTTIME in nanoseconds; 0: no lease. */
uint64_t lease_page_deadline(const struct lease_page *page);

/* True before the deadline. False also for one that is not to be believed. */
bool lease_page_live(const struct lease_page *page, uint64_t now_ns);

/* Moves the deadline forward; an earlier one changes nothing (a late reply to
 * an old renewal). A deadline further ahead than LEASE_PAGE_AHEAD_MAX_NS is
 * cut to that. Returns whether it moved. */
bool lease_page_extend(struct lease_page *page, uint64_t deadline_ns,
                       uint64_t now_ns);

/* Moves the deadline back; a later one changes nothing. Shims and guard notice
 * within SHIM_PAGE_POLL_MS. */
void lease_page_shorten(struct lease_page *page, uint64_t deadline_ns);

/* Gives the lease up: shims kill their VMs within SHIM_PAGE_POLL_MS. */
void lease_page_clear(struct lease_page *page);

/* The kernel's boot id in text, 36 characters and a NUL. IO. */
#define BOOT_ID_BYTES 37
int boot_id_read(char id[BOOT_ID_BYTES]);

#endif
