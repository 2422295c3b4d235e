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
    {.noun = "lint",
     .names = "",
     .options =
         OPTION(MANIFEST) | OPTION(LIVE) | OPTION(IGNORE) | OPTION(FAIL_ON),
     .summary = "find what is risky in a file, before it is applied",
     .details =
         "  holdfast lint -f fleet.yaml\n  holdfast lint -f vms.yaml --live "
         "--ignore vm-one-zone,local-disk\n\nNeeds no region: names that the "
         "file does not have are passed over, unless the\nfile has others of "
         "their kind. --live also takes what is in the region.\n\n"
         "`critical` is what the region refuses, stays pending for ever or "
         "loses data,\n`warning` what does not survive the loss of a zone, "
         "`note` what may be on\npurpose. docs/operations.md lists the "
         "rules.\n\nExit codes: 0 nothing, or notes alone; 1 from warnings on "
         "(--fail-on changes\nthat); 2 the file cannot be read.",
     .run = run_lint},
    {.noun = "support-bundle",
     .names = "",
     .options = OPTION(BUNDLE) | OPTION(LOGS),
     .summary = "write what others need to help into one tar file",
     .details =
         "  holdfast support-bundle\n  journalctl -u holdfastd > "
         "logs/node.log\n"
         "  holdfast support-bundle -f bundle.tar --logs logs\n\nStatus and "
         "metrics of all nodes, what `holdfast doctor` finds, settings, lists\n"
         "of zones, hosts, classes, groups and pending VMs, recent changes, "
         "how this\ncommand line is set up. Names and labels are in it; "
         "environments and commands of\nVMs, tokens and keys are not. Look it "
         "over before you give it away.\n\nThe file is for its owner only; one "
         "that is there is never written over (exit\ncode 4). Nothing leaves "
         "this machine, and the region is not changed. Of a part\nthat cannot "
         "be had, NAME.missing says why.",
     .method = "ClusterService/GetStatus",
     .run = run_support_bundle},
};

const size_t commands_care_count = ARRAY_LEN(commands_care);
