/* SPDX-License-Identifier: Apache-2.0
 *
 * The fleet in a file, made true. */
#include "base/container.h"
#include "ctl/command_rows.h"
#include "ctl/invocation.h"

const struct command commands_fleet[] = {
    {.noun = "apply",
     .names = "",
     .options = OPTION(MANIFEST) | OPTION(PRUNE) | OPTION(YES) | OPTION(ALL) |
                CHANGE | WAIT,
     .summary = "make the region what a file says, all of it or nothing",
     .details =
         "  holdfast apply -f fleet.yaml --wait\n"
         "  holdfast apply -f zones.yaml -f vms.yaml --prune --yes\n\n"
         "Creates what is not there and changes what differs, in one step: the "
         "first\nthing that is wrong refuses everything, and is told with its "
         "file and line.\nApplied again, the same file changes nothing. "
         "`holdfast export` writes such a\nfile, `holdfast diff` shows what "
         "would change. Hosts register themselves; those\nof the file are "
         "left aside.\n\n--prune also deletes VMs, groups, reservations and "
         "classes that are in none of\nthe files: it lists them and asks; "
         "without a terminal it needs --yes.\n\nWith --wait: until VMs run or "
         "are stopped as the file says, groups have their\nmembers, and what "
         "was deleted is gone.",
     .method = "ManifestService/ApplyManifest",
     .outcome = "applied",
     .run = run_apply},
    {.noun = "diff",
     .names = "",
     .options = OPTION(MANIFEST) | OPTION(PRUNE),
     .summary = "what applying a file would change",
     .details =
         "  holdfast diff -f fleet.yaml\n\n+ would be created, ~ changed "
         "(as it is -> as it shall be), - deleted (with\n--prune). What "
         "the region would refuse is refused here as well.\n\nExit "
         "codes: 0 nothing would change, 2 something would, 1 an error.",
     .method = "ManifestService/ApplyManifest",
     .run = run_diff},
};

const size_t commands_fleet_count = ARRAY_LEN(commands_fleet);
