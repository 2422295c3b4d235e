/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking after a region: what is wrong with it, and with what one is about to
 * give it. */
#include "base/container.h"
#include "ctl/command_rows.h"
#include "ctl/invocation.h"

const struct command commands_care[] = {
    {.noun = "doctor",
     .names = "",
     .options = OPTION(FAIL_ON),
     .summary = "check a live region, and say what to do about what is found",
     .details =
         "Asks every node by itself, for about a second: quorum, agreement, "
         "versions,\nclocks, round trips, disks, certificates, roles, leases "
         "and their renewals,\nzones, hosts, headroom, pending VMs, drains, "
         "settings. Changes nothing.\n\n`ok` is as it should be, `note` worth "
         "knowing, `warning` a promise that will\nnot be kept when the next "
         "thing fails, `critical` one that is broken or about\nto be.\n\nExit "
         "codes: 0 also with notes and warnings, 1 when something is "
         "critical;\n--fail-on warning: 1 with warnings as well.",
     .method = "ClusterService/GetStatus",
     .run = run_doctor},
};

const size_t commands_care_count = ARRAY_LEN(commands_care);
