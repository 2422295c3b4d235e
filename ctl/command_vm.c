/* SPDX-License-Identifier: Apache-2.0
 *
 * VMs, groups, reservations. */
#include "base/container.h"
#include "ctl/command_rows.h"
#include "ctl/group.h"
#include "ctl/invocation.h"

const struct command commands_vm[] = {
    {.noun = "vm",
     .verb = "create",
     .names = "[NAME]",
     .name_max = 1,
     .options = OPTIONS_MEMBER | OPTION(ZONE) | OPTION(GROUP) |
                OPTION(STOPPED) | OPTION(COUNT) | OPTION(FILE) | CHANGE | WAIT,
     .summary = "create VMs and start them",
     .details =
         "  holdfast vm create web --count 3 --class small --image web.img "
         "--wait\n"
         "  holdfast vm create db --class big --zone z1 \\\n"
         "      --disk kind=shared,pool=san,path={name}.img --on-partition "
         "keep\n"
         "  holdfast vm create odd --cpu 3 --memory 10GiB --image odd.img\n"
         "  holdfast vm create -f vm.yaml\n\n"
         "Without --zone the VM is zone-redundant: Holdfast chooses its zone "
         "and moves it\nwhen that zone is lost. With --count all are created "
         "or none, up to 1000 at a\ntime. A file holds a Vm as `holdfast vm "
         "show NAME -o yaml` prints it; its facts\n(uid, revision, status) are "
         "left out.",
     .method = "VmService/CreateVm",
     .outcome = "created",
     .run = run_vm_create},
    {.noun = "vm",
     .verb = "list",
     .names = "",
     .options = LIST | OPTION(FILTER) | OPTION(ZONE) | OPTION(HOST) |
                OPTION(STATE) | OPTION(GROUP) | OPTION(ONLY_UNPROTECTED),
     .summary = "list VMs with where they run",
     .details = "  holdfast vm list --unprotected\n\n"
                "-o wide also shows groups, and whether each VM is protected: "
                "would be placed\nagain if its zone were lost.",
     .method = "VmService/ListVms",
     .run = run_list},
    {.noun = "vm",
     .verb = "show",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = READ,
     .summary = "show VMs in full",
     .method = "VmService/GetVm",
     .run = run_simple},
    {.noun = "vm",
     .verb = "explain",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = READ,
     .summary =
         "why VMs are where they are, or nowhere, and what a loss would do",
     .details = "Why it is pending; what limits where it may run; the rules of "
                "its group; whether\nit is protected; why it moves or was "
                "moved; and, by a plan, what would become of\nit if its zone "
                "were lost. -o json and -o yaml show the VM as `vm show` does.",
     .method = "VmService/GetVm",
     .run = run_vm_explain},
    {.noun = "vm",
     .verb = "start",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = CHANGE | WAIT,
     .summary = "start VMs",
     .method = "VmService/StartVm",
     .outcome = "told to start",
     .run = run_vm_change},
    {.noun = "vm",
     .verb = "stop",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = CHANGE | WAIT,
     .summary = "stop VMs: politely first, then by force",
     .method = "VmService/StopVm",
     .outcome = "told to stop",
     .run = run_vm_change},
    {.noun = "vm",
     .verb = "move",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = OPTION(ZONE) | OPTION(HOST) | CHANGE | WAIT,
     .summary = "stop VMs where they are and start them elsewhere",
     .details = "Without --zone or --host: on any other host.",
     .method = "VmService/MoveVm",
     .outcome = "told to move",
     .run = run_vm_change},
    {.noun = "vm",
     .verb = "update",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = OPTION(PRIORITY) | OPTION(ON_PARTITION) | OPTION(LABEL) |
                OPTION(PREEMPTIBLE) | OPTION(NOT_PREEMPTIBLE) | CHANGE,
     .summary = "change priority, labels or what a partition does",
     .details = "Labels not named stay as they are; --label KEY- removes one.",
     .method = "VmService/UpdateVm",
     .outcome = "updated",
     .run = run_vm_update},
    {.noun = "vm",
     .verb = "delete",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = CHANGE | WAIT | OPTION(YES),
     .destroys = true,
     .summary = "stop VMs and forget them",
     .details = "Shared disks are left as they are.",
     .method = "VmService/DeleteVm",
     .outcome = "being deleted",
     .run = run_vm_change},

    {.noun = "group",
     .verb = "create",
     .names = "[NAME]",
     .name_max = 1,
     .options = OPTIONS_MEMBER | OPTIONS_RULES | OPTION(MEMBERS) |
                OPTION(GROUP_FILE) | CHANGE | WAIT,
     .summary =
         "create a group: VMs from one template, with rules for where they run",
     .details =
         "  holdfast group create web --count 9 --class small --image web.img "
         "--wait\n  holdfast group create db --count 3 --class big --spread "
         "apart --strict \\\n      --disk "
         "kind=shared,pool=san,path={name}.img\n  holdfast group create pair "
         "--spread apart --per-host 1 --strict\n\nHoldfast makes the members "
         "and keeps their number. Without --count and template\nit is a group "
         "of rules alone, which VMs join by `vm create --group`.",
     .method = "GroupService/CreateGroup",
     .outcome = "created",
     .run = run_group_create},
    {.noun = "group",
     .verb = "list",
     .names = "",
     .options = LIST | OPTION(FILTER) | OPTION(ZONE) | OPTION(UNHEALTHY),
     .summary = "list groups with their members, skew and health",
     .details = "Under ZONES: members in each; ! marks a zone that is down, "
                "forbidden or does not\noffer the class. --filter "
                "is for labels of the template, --zone for groups with\n"
                "members there.",
     .method = "GroupService/ListGroups",
     .run = run_list},
    {.noun = "group",
     .verb = "show",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = READ,
     .summary = "show groups in full, with their members by zone",
     .method = "GroupService/GetGroup",
     .run = run_group_show},
    {.noun = "group",
     .verb = "scale",
     .names = "NAME COUNT",
     .name_min = 2,
     .name_max = 2,
     .options = CHANGE | WAIT,
     .summary = "change how many members a group has",
     .details = "Fewer: from the fullest zones, the newest first. `holdfast "
                "plan scale-group`\nshows it beforehand.",
     .method = "GroupService/ScaleGroup",
     .outcome = "scaled",
     .run = run_group_scale},
    {.noun = "group",
     .verb = "update",
     .names = "NAME",
     .name_min = 1,
     .name_max = 1,
     .options = OPTIONS_GROUP_UPDATE | CHANGE | WAIT,
     .summary = "change what members are made from, or where they may run",
     .details =
         "  holdfast group update web --image web-2.img --max-unavailable 2 "
         "--wait\n\nWhat is not given stays. Members made before are replaced "
         "--max-unavailable at a\ntime; members that break a changed rule stay "
         "until they are moved:\n`holdfast plan update-group` shows that, and "
         "`plan apply` does it.\n--disk and --env replace all there were; "
         "--label KEY- removes one.",
     .method = "GroupService/UpdateGroup",
     .outcome = "updated",
     .run = run_group_update},
    {.noun = "group",
     .verb = "delete",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = OPTION(WITH_JOINED) | CHANGE | WAIT | OPTION(YES),
     .destroys = true,
     .summary = "delete groups and their members",
     .details = "Refused while it has members that were made by hand, unless "
                "--with-joined.",
     .method = "GroupService/DeleteGroup",
     .outcome = "being deleted",
     .run = run_group_delete},

    {.noun = "reservation",
     .verb = "create",
     .names = "NAME",
     .name_min = 1,
     .name_max = 1,
     .options = OPTION(ZONE) | OPTION(CLASS) | OPTION(SLOTS) | CHANGE,
     .summary = "keep room for VMs of a class in a zone",
     .details =
         "  holdfast reservation create spare-z1 --zone z1 --class big --count "
         "10\n\nThe room is for failover. Preemptible VMs may use it until "
         "then. What finds no\nroom now is kept as soon as there is some.",
     .method = "ReservationService/CreateReservation",
     .outcome = "created",
     .run = run_reservation_create},
    {.noun = "reservation",
     .verb = "list",
     .names = "",
     .options = LIST,
     .summary = "list reservations with what is free, used and missing",
     .method = "ReservationService/ListReservations",
     .run = run_list},
    {.noun = "reservation",
     .verb = "update",
     .names = "NAME",
     .name_min = 1,
     .name_max = 1,
     .options = OPTION(SLOTS) | CHANGE,
     .summary = "keep room for more or fewer VMs",
     .method = "ReservationService/UpdateReservation",
     .outcome = "updated",
     .run = run_reservation_update},
    {.noun = "reservation",
     .verb = "delete",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = CHANGE | OPTION(YES),
     .destroys = true,
     .summary = "give up reservations",
     .method = "ReservationService/DeleteReservation",
     .outcome = "deleted",
     .run = run_simple},
};

const size_t commands_vm_count = ARRAY_LEN(commands_vm);
