/* SPDX-License-Identifier: Apache-2.0 */
#include "node/leader_time.h"

#include "base/planted.h"

void leader_time_begin(struct leader_time *time, uint64_t state_time_ms,
                       uint64_t boot_ms)
{
    *time = (struct leader_time){state_time_ms, boot_ms};
}

uint64_t leader_time_now(struct leader_time *time, uint64_t wall_ms,
                         uint64_t boot_ms)
{
    if (PLANTED(TIME_FALLS)) {
        return wall_ms;
    }
    if (boot_ms > time->boot_ms) {
        time->stamp_ms += boot_ms - time->boot_ms;
        time->boot_ms = boot_ms;
    }
    if (wall_ms > time->stamp_ms) {
        time->stamp_ms = wall_ms;
    }
    return time->stamp_ms;
}
