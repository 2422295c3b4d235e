/* SPDX-License-Identifier: Apache-2.0
 *
 * A disk in memory that behaves as badly as POSIX allows. What was written is
 * seen at once by the process, and is on disk only after file_sync(); a name
 * is on disk only after files_sync_directory(). A power cut keeps of what was
 * not synced any part: each write wholly, torn at a sector, or not at all;
 * each change of a directory or not. A kill of the process keeps everything.
 *
 * Single operations can be made to fail, or to be the last ones before a
 * kill or a power cut. */
#ifndef TESTS_SUPPORT_SIM_FILES_H
#define TESTS_SUPPORT_SIM_FILES_H

#include "base/random.h"
#include "raft/files.h"

struct sim_disk;

struct sim_disk *sim_disk_create(uint64_t seed);
void sim_disk_destroy(struct sim_disk *disk);

struct files *sim_disk_files(struct sim_disk *disk);

/* The machine loses power: open files die, what was not synced is lost in
 * parts. */
void sim_disk_power_cut(struct sim_disk *disk);

/* The process dies: open files die, everything written stays. */
void sim_disk_kill(struct sim_disk *disk);

/* After either, until this is called, every operation fails. */
void sim_disk_revive(struct sim_disk *disk);

bool sim_disk_dead(const struct sim_disk *disk);

/* Operations done so far that changed or synced something. */
uint64_t sim_disk_operations(const struct sim_disk *disk);

/* The `at`-th operation from now on (1: the next) fails with `error`, a
 * negative errno value, and does nothing. 0 switches it off. */
void sim_disk_fail_at(struct sim_disk *disk, uint64_t at, int error);

/* After the `at`-th operation the disk is dead, as by sim_disk_kill() or
 * sim_disk_power_cut(). */
void sim_disk_die_at(struct sim_disk *disk, uint64_t at, bool power_cut);

/* Bytes the disk has room for; UINT64_MAX at first. Counts allocations. */
void sim_disk_set_room(struct sim_disk *disk, uint64_t bytes);

/* For damage: the paths of all files, in order of creation; NULL at the end. */
const char *sim_disk_path(struct sim_disk *disk, size_t i);
uint64_t sim_disk_size(struct sim_disk *disk, const char *path);

/* Flips one bit; false when there is no such byte. */
bool sim_disk_flip(struct sim_disk *disk, const char *path, uint64_t byte,
                   unsigned bit);

/* A copy of the disk as it is, all synced, all files closed. */
struct sim_disk *sim_disk_clone(const struct sim_disk *disk);

#endif
