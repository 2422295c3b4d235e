/* SPDX-License-Identifier: Apache-2.0
 *
 * One VM as this agent sees it: the part that is the same for every driver.
 * Drivers embed it; the agent's core uses driver.h only. */
#ifndef AGENT_VM_H
#define AGENT_VM_H

#include "agent/driver.h"

#define VM_TICK_MS        20   /* While something is awaited. */
#define VM_STOP_REPEAT_MS 700  /* An early power button is lost (trap 4). */
#define VM_INSIST_MS      1000 /* Before the end of the grace. */
#define VM_SHIM_KILL_MS   1000 /* A killed VM whose shim does not reap it. */

enum vm_stage {
    VM_STAGE_PREPARING = 1, /* Disks are made; we hold the lock. */
    VM_STAGE_SPAWNED,       /* The shim holds the lock. */
    VM_STAGE_UP,            /* The program was executed. */
    VM_STAGE_ENDING,        /* The shim is gone, the lock is not free yet. */
    VM_STAGE_GONE
};

struct vm {
    struct vm_driver *driver;
    struct vm_listener *listener;
    struct vm_spec spec;
    enum vm_stage stage;
    int dir_fd;
    int lock_fd; /* PREPARING; else -1. */
    int shim_fd; /* pidfds, -1 while unknown. */
    int vm_fd;
    uv_timer_t tick;
    uv_poll_t shim_poll;
    uv_process_t process; /* The shim, if we started it. */
    uv_fs_t copy;
    size_t copy_index;
    const char *failure; /* Static: why it never began. */
    uint32_t holds;      /* What must end before the memory goes. */
    bool poll_open;
    bool process_open;
    bool process_exited;
    bool down_told;
    bool destroyed;
    bool ordered; /* A stop or kill was asked for. */
    bool insisted;
    uint64_t stop_end_ms; /* When the grace ends; 0: no stop. */
    uint64_t asked_ms;    /* When the guest was asked last. */
    uint64_t killed_ms;   /* 0: no kill. */
};

/* For drivers: memory stays while they have handles open. */
void vm_hold(struct vm *vm);
void vm_release(struct vm *vm);

/* Tells the listener, unless it was let go of. */
void vm_emit(struct vm *vm, enum vm_event_kind kind, const char *reason,
             bool failed);

/* Between vm_start.c and vm.c. */
int vm_init(struct vm *vm, struct vm_driver *driver, const struct vm_spec *spec,
            struct vm_listener *listener, int dir_fd);
int vm_prepare(struct vm *vm); /* Makes the disks, then spawns the shim. */
int vm_spawn(struct vm *vm);
void vm_let_process_go(struct vm *vm);
void vm_awake(struct vm *vm); /* The tick runs from now on. */

#endif
