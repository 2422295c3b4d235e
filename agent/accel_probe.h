/* SPDX-License-Identifier: Apache-2.0
 *
 * One probe boot: our guest under one accelerator, as an ordinary VM in a run
 * directory of its own whose lease ends after ACCEL_PROBE_MS. */
#ifndef AGENT_ACCEL_PROBE_H
#define AGENT_ACCEL_PROBE_H

#include "agent/driver_qemu.h"

typedef void (*accel_probe_cb)(struct accel_probe *probe, bool works);

struct accel_probe {
    struct driver_qemu *parent;
    struct run_dir run;
    struct lease_page lease;
    struct vm_host host;
    struct driver_qemu qemu;
    struct vm_listener listener;
    struct vm *vm;
    uv_timer_t timer;
    uint64_t end_ms;
    bool works;
    bool done;
    accel_probe_cb cb;
};

/* IO, or what vm_start says; then no callback comes. It comes when the probe
 * VM is gone. */
int accel_probe_start(struct accel_probe *probe, struct driver_qemu *parent,
                      enum accel accel, accel_probe_cb cb);

#endif
