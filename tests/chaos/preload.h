/* SPDX-License-Identifier: Apache-2.0
 *
 * Disks and clocks that a scenario breaks in a running process: loaded before
 * the C library, it passes calls on to the kernel and looks up in a small
 * mapped file (preload.py writes it) what to do to them first. Nothing of the
 * product knows of it; without orders it changes nothing.
 *
 * Disk, for files below one directory: fsync, fdatasync, sync_file_range and
 * pwrite wait; the k-th sync, write, allocation, rename or open for writing
 * fails. Wall clock: CLOCK_REALTIME, gettimeofday, time are shifted. Rate:
 * CLOCK_MONOTONIC and CLOCK_BOOTTIME run faster or slower, and so do the waits
 * of poll, epoll, nanosleep and timerfd. Not changed: a wait that has begun
 * when the rate changes, waits for locks, what the kernel stamps (files' times,
 * processes' starts), and what other processes see. */
#ifndef TESTS_CHAOS_PRELOAD_H
#define TESTS_CHAOS_PRELOAD_H

#include <stdatomic.h>
#include <stdint.h>

#define BELOW_BYTES 512

enum operation { SYNC, WRITE, ALLOCATE, RENAME, OPEN, OPERATIONS };
enum scaled { MONOTONIC, BOOTTIME, SCALED };

/* The file, as preload.py has it: 8 bytes each. */
struct fault {
    _Atomic uint64_t seen, failed;
    _Atomic uint64_t countdown; /* At 1 the next one fails; 0: none. */
    _Atomic int64_t error;
    _Atomic uint64_t forever; /* All after that one, too. */
    _Atomic uint64_t torn;    /* Half of what a write has is written. */
};

/* From its anchor on a clock gains so much; until then the slot before it
 * counts, so that no clock ever jumps. */
struct rate {
    int64_t anchor_ns[SCALED];
    int64_t gained_ns[SCALED];
    int64_t gain_permille;
};

struct control {
    uint64_t magic;
    _Atomic uint64_t disk; /* Whether to look at file operations at all. */
    _Atomic int64_t sync_us, write_us;
    struct fault faults[OPERATIONS];
    _Atomic int64_t wall_ns;
    _Atomic uint64_t rates; /* Changes so far; the last is in [rates % 2]. */
    struct rate rate[2];
    char below[BELOW_BYTES];
};

/* NULL: nothing was ordered, and nothing ever will. */
extern __attribute__((visibility("hidden"))) struct control *control;

#endif
