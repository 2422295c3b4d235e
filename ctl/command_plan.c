/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans, and what looks at all of the region. */
#include "base/container.h"
#include "ctl/command_rows.h"
#include "ctl/group.h"
#include "ctl/invocation.h"
#include "ctl/region.h"

#define PLANNED (OPTION(ALL) | READ)

const struct command commands_plan[] = {
    {.noun = "plan",
     .verb = "zone-loss",
     .names = "ZONE...",
     .name_min = 1,
     .name_max = MANY,
     .options = PLANNED,
     .summary = "what the loss of zones would do",
     .details =
         "  holdfast plan zone-loss z2\n\nWhich VMs restart where, in which "
         "order and how soon, and which find no place\nand why; worked out by "
         "the code that would do it, on a copy of the state.\n\nExit codes: 0 "
         "nothing would happen, 2 something would, 1 an error.",
     .method = "PlanService/MakePlan",
     .run = run_plan},
    {.noun = "plan",
     .verb = "host-loss",
     .names = "HOST...",
     .name_min = 1,
     .name_max = MANY,
     .options = PLANNED,
     .summary = "what the loss of hosts would do",
     .details =
         "Exit codes: 0 nothing would happen, 2 something would, 1 an error.",
     .method = "PlanService/MakePlan",
     .run = run_plan},
    {.noun = "plan",
     .verb = "drain-host",
     .names = "HOST",
     .name_min = 1,
     .name_max = 1,
     .options = PLANNED,
     .summary = "what draining a host would do",
     .details =
         "Exit codes: 0 nothing would happen, 2 something would, 1 an error.",
     .method = "PlanService/MakePlan",
     .run = run_plan},
    {.noun = "plan",
     .verb = "drain-zone",
     .names = "ZONE",
     .name_min = 1,
     .name_max = 1,
     .options = PLANNED,
     .summary = "what draining a zone would do",
     .details =
         "Exit codes: 0 nothing would happen, 2 something would, 1 an error.",
     .method = "PlanService/MakePlan",
     .run = run_plan},
    {.noun = "plan",
     .verb = "add-hosts",
     .names = "",
     .options = PLANNED | OPTION(ZONE) | OPTION(HOSTS) | OPTIONS_SIZE |
                OPTION(POOL) | OPTION(HOST_DRIVERS) | OPTION(HOST_LABEL) |
                OPTION(FAULT_DOMAIN),
     .summary = "what more hosts would do",
     .details = "  holdfast plan add-hosts --zone z2 --count 4 --cpu 64 "
                "--memory 512GiB\n\nExit codes: 0 nothing would happen, 2 "
                "something would, 1 an error.",
     .method = "PlanService/MakePlan",
     .run = run_plan},
    {.noun = "plan",
     .verb = "remove-hosts",
     .names = "HOST...",
     .name_min = 1,
     .name_max = MANY,
     .options = PLANNED,
     .summary = "what switching hosts off for good would do",
     .details =
         "Exit codes: 0 nothing would happen, 2 something would, 1 an error.",
     .method = "PlanService/MakePlan",
     .run = run_plan},
    {.noun = "plan",
     .verb = "scale-group",
     .names = "GROUP COUNT",
     .name_min = 2,
     .name_max = 2,
     .options = PLANNED,
     .summary = "what scaling a group would do",
     .details =
         "Exit codes: 0 nothing would happen, 2 something would, 1 an error.",
     .method = "PlanService/MakePlan",
     .run = run_plan},
    {.noun = "plan",
     .verb = "update-class",
     .names = "CLASS",
     .name_min = 1,
     .name_max = 1,
     .options = PLANNED | OPTIONS_CLASS_UPDATE,
     .summary = "what a change of a class would do",
     .details = "Options as of `holdfast class update`.\n\nExit codes: 0 "
                "nothing would happen, 2 something would, 1 an error.",
     .method = "PlanService/MakePlan",
     .run = run_plan},
    {.noun = "plan",
     .verb = "update-group",
     .names = "GROUP",
     .name_min = 1,
     .name_max = 1,
     .options = PLANNED | OPTIONS_GROUP_UPDATE,
     .summary = "what a change of a group's template or rules would do",
     .details = "Options as of `holdfast group update`. Members that break the "
                "new rules move.\n\nExit codes: 0 nothing would happen, 2 "
                "something would, 1 an error.",
     .method = "PlanService/MakePlan",
     .run = run_plan},
    {.noun = "plan",
     .verb = "rebalance",
     .names = "",
     .options = PLANNED,
     .summary = "what would even out the zones, with few moves",
     .details =
         "Exit codes: 0 nothing would happen, 2 something would, 1 an error.",
     .method = "PlanService/MakePlan",
     .run = run_plan},
    {.noun = "plan",
     .verb = "show",
     .names = "ID",
     .name_min = 1,
     .name_max = 1,
     .options = PLANNED,
     .summary = "show a plan again",
     .details = "The leader that made a plan keeps it for ten minutes, and the "
                "last 16.\n\nExit codes: 0 nothing would happen, 2 something "
                "would, 1 an error.",
     .method = "PlanService/GetPlan",
     .run = run_plan_show},
    {.noun = "plan",
     .verb = "apply",
     .names = "ID",
     .name_min = 1,
     .name_max = 1,
     .options = OPTION(ACCEPT_RISK) | OPTION(REASON) | CHANGE | WAIT,
     .summary = "do exactly what a plan shows, or nothing",
     .details = "Refused with exit code 4 when what the plan rests on has "
                "changed since, and with\n6 when headroom or the quorum would "
                "be at risk: --accept-risk does it all the\nsame, and is "
                "recorded with its --reason.\n\nWith --wait: until all that it "
                "set in motion is over; 1 when some of it failed\nor was "
                "cancelled, 7 when --wait-timeout ran out.",
     .method = "PlanService/ApplyPlan",
     .run = run_plan_apply},

    {.noun = "capacity",
     .names = "[CLASS...]",
     .name_max = MANY,
     .options = READ,
     .summary =
         "how many more VMs of each class fit, now and with any one zone lost",
     .details =
         "FREE NOW: so many more of this class alone would find a host. SAFE: "
         "so many more\nwith all of them, and all that runs, surviving the "
         "loss of any one zone. WITHOUT\nz1: so many more with z1 lost and its "
         "VMs placed elsewhere. -o wide adds what is\nfree in each zone. "
         "Counts are for each class alone: they share the same hosts.",
     .method = "PlanService/GetCapacity",
     .run = run_capacity},

    {.noun = "export",
     .names = "",
     .options = OPTION(STATUS) | OPTION(TO_FILE) | READ,
     .summary = "write the fleet as a manifest: YAML, or JSON with -o json",
     .details =
         "  holdfast export -f fleet.yaml\n\n"
         "Settings, zones, classes, hosts, VMs, groups and reservations, as a "
         "person would\nwrite them, all as of one revision and in order of "
         "names: two exports of an\nunchanged region are the same bytes. Left "
         "out are VMs and groups that are being\ndeleted, and members that "
         "Holdfast made from a group's template.\n\n"
         "--status adds what the region alone can say, and those VMs and "
         "groups. What the\nVMs use and whose lease runs is never in it. A "
         "file "
         "may hold secrets that VMs\nhave in their environment: a new one is "
         "for its owner only.",
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
         "and says how\nfast and how completely VMs come back; the region "
         "itself is only read. Every\nrule of safety is checked at every "
         "step. Exit code 1: a rule was broken; 6: VMs\nwould find no host.",
     .method = "VmService/ListVms",
     .run = run_simulate},

    {.noun = "watch",
     .names = "[NAME...]",
     .name_max = MANY,
     .options = EVENTS,
     .summary = "show every change as it happens, until interrupted",
     .details = "  holdfast watch --kind vm --filter app=web --zone z1\n"
                "  holdfast watch db-1 --prefix web-\n\n"
                "CAUSE says why something changed. What conditions do not take "
                "any more is shown\nonce again, with `left`.",
     .method = "WatchService/Watch",
     .run = run_watch},
    {.noun = "events",
     .names = "[NAME...]",
     .name_max = MANY,
     .options = EVENTS | OPTION(TREE) | OPTION(ALL),
     .summary = "show what has changed until now, and why",
     .details = "  holdfast events --tree\n"
                "  holdfast events --kind vm,host --after 1200\n\n"
                "The last 1000 changes, or those after --after, as far back as "
                "they are kept.\nWith --tree a failover is one tree: the zone "
                "that was lost, its hosts, their\nVMs, and where each of them "
                "runs now.",
     .method = "WatchService/Watch",
     .run = run_events},

    {.noun = "ca",
     .verb = "init",
     .names = "",
     .options = OPTION(DIR) | OPTION(REGION),
     .summary = "make authorities for certificates of nodes, agents, clients",
     .details = "Three authorities, so that an agent's certificate is of no "
                "use as a client's.\nDo it on a machine that is not one of the "
                "region's, and keep the .key files\nthere: who has them can be "
                "anybody.",
     .run = run_ca_init},
    {.noun = "cert",
     .verb = "issue",
     .names = "ROLE NAME",
     .name_min = 2,
     .name_max = 2,
     .options = OPTION(DIR) | OPTION(OUT_DIR) | OPTION(NODE_ID) |
                OPTION(ADDRESS) | OPTION(DAYS),
     .summary = "issue a certificate to a node, an agent or a client",
     .details = "  holdfast cert issue node n1 --id 1 --address 10.0.0.1\n"
                "  holdfast cert issue agent z1-h1\n"
                "  holdfast cert issue client anna\n\n"
                "Writes NAME.crt and NAME.key; files that are there are "
                "replaced, which is how a\ncertificate is renewed: nodes and "
                "agents read it again by themselves.",
     .run = run_cert_issue},
    {.noun = "cert",
     .verb = "show",
     .names = "FILE...",
     .name_min = 1,
     .name_max = MANY,
     .summary = "tell whose certificates are, and when they end",
     .run = run_cert_show},

    {.noun = "version",
     .names = "",
     .summary = "show this program's version",
     .run = run_version},

    {.noun = "help",
     .names = "[COMMAND]",
     .name_max = 3,
     .options = OPTION(MAN),
     .summary = "show help on a command",
     .run = run_help},
};

const size_t commands_plan_count = ARRAY_LEN(commands_plan);
