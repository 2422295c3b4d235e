/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/command.h"

#include "base/container.h"
#include "ctl/invocation.h"

#include <string.h>

#define READ   OPTION(STALE)
#define LIST   (OPTION(STALE) | OPTION(WATCH))
#define CHANGE (OPTION(REQUEST_ID) | OPTION(EXPECT_REVISION) | OPTION(DRY_RUN))
#define WAIT   (OPTION(WAIT) | OPTION(WAIT_TIMEOUT))
#define MANY   ARGUMENTS_NAMES_MAX

const struct command commands[] = {
    {.noun = "cluster",
     .verb = "status",
     .names = "",
     .summary = "who leads, whether there is a quorum, what the region holds",
     .details = "Asks each endpoint until one answers; the answer is that "
                "node's own view,\nalso without a quorum (exit code 5 then).",
     .method = "ClusterService/GetStatus",
     .run = run_cluster_status},
    {.noun = "cluster",
     .verb = "nodes",
     .names = "",
     .options = READ,
     .summary = "list the control-plane nodes",
     .method = "ClusterService/ListNodes",
     .run = run_list},
    {.noun = "cluster",
     .verb = "transfer",
     .names = "[NODE]",
     .name_max = 1,
     .summary = "hand leadership to another node",
     .details = "Without NODE: to the one whose log is furthest.",
     .method = "ClusterService/TransferLeadership",
     .run = run_cluster_transfer},
    {.noun = "cluster",
     .verb = "settings get",
     .names = "",
     .options = READ,
     .summary = "show the region's settings",
     .method = "ClusterService/GetSettings",
     .run = run_settings_get},
    {.noun = "cluster",
     .verb = "settings set",
     .names = "KEY=VALUE...",
     .name_min = 1,
     .name_max = MANY,
     .options = CHANGE,
     .summary = "change settings of the region",
     .details = "KEY is a name that `cluster settings get -o yaml` shows. A "
                "combination that\ncould let two copies of a VM run is "
                "refused.",
     .method = "ClusterService/UpdateSettings",
     .run = run_settings_set},

    {.noun = "zone",
     .verb = "create",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = CHANGE,
     .summary = "create a zone",
     .method = "ZoneService/CreateZone",
     .outcome = "created",
     .run = run_simple},
    {.noun = "zone",
     .verb = "list",
     .names = "",
     .options = LIST,
     .summary = "list zones with what they hold and use",
     .method = "ZoneService/ListZones",
     .run = run_list},
    {.noun = "zone",
     .verb = "show",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = READ,
     .summary = "show zones in full",
     .method = "ZoneService/GetZone",
     .run = run_simple},
    {.noun = "zone",
     .verb = "cordon",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = CHANGE,
     .summary = "place no new VMs in zones; those there stay",
     .method = "ZoneService/CordonZone",
     .outcome = "cordoned",
     .run = run_simple},
    {.noun = "zone",
     .verb = "uncordon",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = CHANGE,
     .summary = "use zones again",
     .method = "ZoneService/UncordonZone",
     .outcome = "uncordoned",
     .run = run_simple},

    {.noun = "class",
     .verb = "create",
     .names = "NAME",
     .name_min = 1,
     .name_max = 1,
     .options = OPTION(CPU) | OPTION(MEMORY) | OPTION(DISK_SIZE) |
                OPTION(ZONES) | CHANGE,
     .summary = "create a VM size",
     .details = "  holdfast class create small --cpu 2 --memory 4GiB",
     .method = "ClassService/CreateClass",
     .outcome = "created",
     .run = run_class_create},
    {.noun = "class",
     .verb = "list",
     .names = "",
     .options = LIST,
     .summary = "list VM sizes",
     .method = "ClassService/ListClasses",
     .run = run_list},
    {.noun = "class",
     .verb = "delete",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = CHANGE,
     .summary = "delete VM sizes that no VM has",
     .method = "ClassService/DeleteClass",
     .outcome = "deleted",
     .run = run_simple},

    {.noun = "host",
     .verb = "list",
     .names = "",
     .options = LIST | OPTION(FILTER) | OPTION(ZONE),
     .summary = "list hosts with what they hold and use",
     .method = "HostService/ListHosts",
     .run = run_list},
    {.noun = "host",
     .verb = "show",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = READ,
     .summary = "show hosts in full, with their leases",
     .method = "HostService/GetHost",
     .run = run_simple},
    {.noun = "host",
     .verb = "cordon",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = CHANGE,
     .summary = "place no new VMs on hosts; those there stay",
     .method = "HostService/CordonHost",
     .outcome = "cordoned",
     .run = run_simple},
    {.noun = "host",
     .verb = "uncordon",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = CHANGE,
     .summary = "use hosts again",
     .method = "HostService/UncordonHost",
     .outcome = "uncordoned",
     .run = run_simple},
    {.noun = "host",
     .verb = "declare-dead",
     .names = "NAME",
     .name_min = 1,
     .name_max = 1,
     .options = OPTION(CONFIRM) | OPTION(REASON) | CHANGE,
     .summary = "vouch that a host is off: its VMs start elsewhere at once",
     .details = "Only when the host is powered off or destroyed. If it still "
                "runs, two copies\nof its VMs may run and destroy each other's "
                "data. Waiting is always safe: VMs\nwith `on_partition: move` "
                "are placed again when the host's lease has ended.",
     .method = "HostService/DeclareHostDead",
     .outcome = "declared dead",
     .run = run_host_declare_dead},

    {.noun = "vm",
     .verb = "create",
     .names = "[NAME]",
     .name_max = 1,
     .options = OPTION(CLASS) | OPTION(ZONE) | OPTION(PRIORITY) |
                OPTION(ON_PARTITION) | OPTION(DRIVER) | OPTION(IMAGE) |
                OPTION(DISK) | OPTION(ENVIRONMENT) | OPTION(STOP_GRACE) |
                OPTION(LABEL) | OPTION(STOPPED) | OPTION(COUNT) | OPTION(FILE) |
                OPTION(COMMAND) | CHANGE | WAIT,
     .summary = "create VMs and start them",
     .details =
         "  holdfast vm create web --count 3 --class small --image web.img "
         "--wait\n"
         "  holdfast vm create db --class big --zone z1 \\\n"
         "      --disk kind=shared,pool=san,path={name}.img --on-partition "
         "keep\n"
         "  holdfast vm create -f vm.yaml\n\n"
         "Without --zone the VM is zone-redundant: Holdfast chooses its zone "
         "and moves it\nwhen that zone is lost. A file holds a Vm as "
         "`holdfast vm show NAME -o yaml`\nprints it; its facts (uid, "
         "revision, status) are left out.",
     .method = "VmService/CreateVm",
     .outcome = "created",
     .run = run_vm_create},
    {.noun = "vm",
     .verb = "list",
     .names = "",
     .options =
         LIST | OPTION(FILTER) | OPTION(ZONE) | OPTION(HOST) | OPTION(STATE),
     .summary = "list VMs with where they run",
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
     .options =
         OPTION(PRIORITY) | OPTION(ON_PARTITION) | OPTION(LABEL) | CHANGE,
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
     .options = CHANGE | WAIT,
     .summary = "stop VMs and forget them",
     .details = "Shared disks are left as they are.",
     .method = "VmService/DeleteVm",
     .outcome = "being deleted",
     .run = run_vm_change},

    {.noun = "export",
     .names = "",
     .options = OPTION(STATUS) | OPTION(TO_FILE) | READ,
     .summary = "write the fleet as a manifest: YAML, or JSON with -o json",
     .details =
         "  holdfast export -f fleet.yaml\n\n"
         "Settings, zones, classes, hosts and VMs, as a person would write "
         "them, all as of\none revision and in order of names: two exports of "
         "an unchanged region are the\nsame bytes. VMs that are being deleted "
         "are left out.\n\n"
         "--status adds what the region alone can say, and VMs that are being "
         "deleted.\nWhat the VMs use and whose lease runs is never in it. A "
         "file may hold secrets\nthat VMs have in their environment: a new one "
         "is for its owner only.",
     .method = "VmService/ListVms",
     .run = run_export},
    {.noun = "simulate",
     .names = "",
     .options = OPTION(FLEET) | OPTION(SEEDS) | OPTION(FIRST) | OPTION(FAULTS) |
                OPTION(DELAY) | OPTION(VERBOSE) | READ,
     .summary = "lose zones of your fleet in virtual time, or live with faults",
     .details =
         "  holdfast simulate\n"
         "  holdfast simulate -f fleet.yaml --seeds 300\n"
         "  holdfast simulate -f fleet.yaml --faults zone-power,host-power\n\n"
         "Lives through the fleet on the real decisions of nodes and agents "
         "and "
         "says how fast\nand how completely VMs come back; the region itself "
         "is only read. Every rule of\nsafety is checked at every step. Exit "
         "code 1: a rule was broken; 6: VMs would find\nno host.",
     .method = "VmService/ListVms",
     .run = run_simulate},
    {.noun = "watch",
     .names = "",
     .options = OPTION(KIND) | OPTION(AFTER),
     .summary = "show every change as it happens, until interrupted",
     .method = "WatchService/Watch",
     .run = run_watch},
    {.noun = "version",
     .names = "",
     .summary = "show this program's version",
     .run = run_version},
    {.noun = "help",
     .names = "[COMMAND]",
     .name_max = 3,
     .summary = "show help on a command",
     .run = run_help},
};

const size_t command_count = ARRAY_LEN(commands);

const char *noun_summary(const char *noun)
{
    static const char *const nouns[][2] = {
        {"cluster", "The region as a whole"},
        {"zone", "Availability zones"},
        {"class", "VM sizes"},
        {"host", "Hypervisors; they register themselves"},
        {"vm", "Virtual machines"},
        {"export", "The fleet in a file"},
        {"simulate", "The fleet in virtual time"},
        {"watch", "Changes"},
        {"version", "This program"},
        {"help", "Help"},
    };

    for (size_t i = 0; i < ARRAY_LEN(nouns); i++) {
        if (strcmp(nouns[i][0], noun) == 0) {
            return nouns[i][1];
        }
    }
    return NULL;
}

size_t command_words(const struct command *command)
{
    size_t words = 1;

    for (const char *p = command->verb; p != NULL; p = strchr(p, ' ')) {
        p += *p == ' ';
        words++;
    }
    return words;
}

/* Whether the verb is the given words, one blank between. */
static bool verb_is(const char *verb, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(words[i]);

        if (strncmp(verb, words[i], len) != 0 ||
            verb[len] != (i + 1 < count ? ' ' : '\0')) {
            return false;
        }
        verb += len + 1;
    }
    return true;
}

const struct command *command_find(const char *const *words, size_t count)
{
    const struct command *best = NULL;

    for (size_t i = 0; i < command_count; i++) {
        size_t needed = command_words(&commands[i]);

        if (count < needed || strcmp(commands[i].noun, words[0]) != 0 ||
            (needed > 1 && !verb_is(commands[i].verb, words + 1, needed - 1))) {
            continue;
        }
        if (best == NULL || needed > command_words(best)) {
            best = &commands[i];
        }
    }
    return best;
}
