/* SPDX-License-Identifier: Apache-2.0
 *
 * Which accelerator QEMU can use here. /dev/kvm can open and still not work
 * (AGENT.md, trap 1): KVM counts only when the processor says vmx or svm and a
 * probe VM really boots our guest within two seconds; everything else is TCG.
 * The probe VM is an ordinary VM of its own run directory, RUN/probe, with a
 * lease of that length, so its shim ends it whatever becomes of the agent. */
#ifndef AGENT_ACCEL_H
#define AGENT_ACCEL_H

#include <stdbool.h>
#include <stddef.h>

enum accel { ACCEL_TCG = 1, ACCEL_KVM = 2 };

#define ACCEL_PROBE_MS 2000

/* "tcg" or "kvm". */
const char *accel_name(enum accel accel);

/* Whether a /proc/cpuinfo text has the vmx or svm flag as a word. */
bool accel_cpuinfo_has_virtualisation(const char *text, size_t len);

#endif
