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
         "without a terminal it needs --yes.\n\nWith --wait: until all that "
         "this set in motion is over (`holdfast "
         "operation`):\nVMs run, groups have their members, what was deleted "
         "is gone; 1 when some of it\nfailed or was cancelled. Where nothing "
         "was changed: until the region is what the\nfile says.",
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
    {.noun = "operation",
     .verb = "list",
     .names = "",
     .options = READ | ORDER | OPTION(OPERATION_KIND) | OPTION(ACTIVE) |
                OPTION(OPERATION_OBJECT),
     .summary = "list what is under way, and last drains",
     .details = "  holdfast operation list --active --kind drain_host\n"
                "  holdfast operation list --object web",
     .method = "OperationService/ListOperations",
     .run = run_list},
    {.noun = "operation",
     .verb = "get",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = READ,
     .summary = "show how far operations are, and what they wait for",
     .method = "OperationService/GetOperation",
     .run = run_simple},
    {.noun = "operation",
     .verb = "wait",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = OPTION(WAIT_TIMEOUT),
     .summary = "wait until operations are over",
     .details = "Exit codes: 0 all are done; 1 one failed or was cancelled; 7 "
                "--wait-timeout\nran out, and Holdfast goes on with them.",
     .method = "OperationService/WaitOperation",
     .run = run_operation_wait},
    {.noun = "operation",
     .verb = "cancel",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = CHANGE,
     .summary = "end operations where they stand",
     .details =
         "A drain: the VMs that have not left stay. A move: while it waits "
         "for its turn.\nThe scaling of a group: its count becomes what it "
         "has. The update of a group:\nmax_unavailable becomes 0, so members "
         "of the older template stay. What was\napplied: those of its parts "
         "that are one of these. Anything else only goes\nforward.",
     .method = "OperationService/CancelOperation",
     .outcome = "cancelled",
     .run = run_simple},
};

const size_t commands_fleet_count = ARRAY_LEN(commands_fleet);
