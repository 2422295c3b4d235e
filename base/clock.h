/* SPDX-License-Identifier: Apache-2.0
 *
 * The two clocks. Only the shells at the edge read them; everything that
 * decides takes the time as an argument. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* CLOCK_BOOTTIME: goes on while the machine is suspended, so a lease cannot
 * outlive its term in a sleep. For all durations and deadlines. */
uint64_t clock_boot_ns(void);
uint64_t clock_boot_ms(void);

/* Milliseconds since 1970, UTC. For display only. */
uint64_t clock_wall_ms(void);

#endif
