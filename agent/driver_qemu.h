/* SPDX-License-Identifier: Apache-2.0
 *
 * The driver for real VMs: QEMU under a shim, spoken to over QMP. */
#ifndef AGENT_DRIVER_QEMU_H
#define AGENT_DRIVER_QEMU_H

#include "agent/accel.h"
#include "agent/driver.h"

struct qemu_options {
    const char *program;     /* Absolute path; lent. */
    const char *probe_image; /* Our guest (share/holdfast/guest.img); lent. */
};

struct accel_probe;

struct driver_qemu {
    struct vm_driver driver;
    struct qemu_options options;
    enum accel accel;                /* TCG until the probe found better. */
    struct accel_probe *accel_probe; /* Kept until the close. */
    struct vm_probe *probe;          /* Under way; else NULL. */
    uv_timer_t later;                /* An answer without a probe boot. */
};

/* Nothing can be started before vm_driver_probe() said 0. */
void driver_qemu_init(struct driver_qemu *qemu, const struct vm_host *host,
                      const struct qemu_options *options);

/* As a probe that found this accelerator. */
void driver_qemu_use(struct driver_qemu *qemu, enum accel accel);

/* After the loop has ended. */
void driver_qemu_close(struct driver_qemu *qemu);

#endif
