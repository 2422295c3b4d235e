/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/container.h"
#include "ctl/arguments.h"

#include <string.h>

static const struct option_rule rules[OPTION_MAX] = {
    [OPTION_ENDPOINT] = {"--endpoint", 'e', "HOST:PORT",
                         "node to ask; repeatable, or a list with commas "
                         "(default: $HOLDFAST_ENDPOINTS or 127.0.0.1:7400)"},
    [OPTION_CONTEXT] = {"--context", 0, "NAME",
                        "region and how to reach it, see `holdfast context` "
                        "(default: $HOLDFAST_CONTEXT or the one in use)"},
    [OPTION_OUTPUT] = {"--output", 'o', "FORMAT",
                       "table, wide, json, yaml or name"},
    [OPTION_TIMEOUT] = {"--timeout", 0, "TIME",
                        "for each call, over all nodes (default 10s)"},
    [OPTION_TLS_CA] = {"--tls-ca", 0, "FILE",
                       "reach the nodes by TLS: the authority of their "
                       "certificates (default: $HOLDFAST_TLS_CA)"},
    [OPTION_TLS_CERT] = {"--tls-cert", 0, "FILE",
                         "your certificate (default: $HOLDFAST_TLS_CERT)"},
    [OPTION_TLS_KEY] = {"--tls-key", 0, "FILE",
                        "its key (default: $HOLDFAST_TLS_KEY)"},
    [OPTION_TOKEN_FILE] = {"--token-file", 0, "FILE",
                           "your token, in place of a certificate (default: "
                           "$HOLDFAST_TOKEN_FILE, or the token itself in "
                           "$HOLDFAST_TOKEN)"},
    [OPTION_HELP] = {"--help", 'h', NULL, "show this help"},
    [OPTION_WATCH] = {"--watch", 'w', NULL,
                      "go on and show every change until interrupted"},
    [OPTION_SORT] = {"--sort", 0, "COLUMN",
                     "in order of a column, such as memory; -COLUMN: the other "
                     "way round"},
    [OPTION_COLUMNS] = {"--columns", 0, "COLUMN,...",
                        "only these columns, also of -o wide, in this order"},
    [OPTION_STALE] = {"--stale", 0, NULL,
                      "take what the asked node has; works without a quorum"},
    [OPTION_FILTER] =
        {"--filter", 'l', "LABEL=VALUE",
         "only with these labels; also LABEL!=VALUE, LABEL and !LABEL; "
         "a list with commas"},
    [OPTION_REQUEST_ID] = {"--request-id", 0, "ID",
                           "repeated with the same id it takes effect once"},
    [OPTION_EXPECT_REVISION] = {"--expect-revision", 0, "N",
                                "only if the object has this revision"},
    [OPTION_DRY_RUN] = {"--dry-run", 0, NULL,
                        "check and plan, but change nothing"},
    [OPTION_YES] = {"--yes", 'y', NULL, "do not ask first"},
    [OPTION_WAIT] = {"--wait", 0, NULL, "return when it is done"},
    [OPTION_WAIT_TIMEOUT] = {"--wait-timeout", 0, "TIME",
                             "how long --wait waits (default 2m)"},
    [OPTION_ZONE] = {"--zone", 'z', "ZONE", "name of the zone"},
    [OPTION_ZONES] = {"--zone", 'z', "ZONE",
                      "zone that offers it; repeatable, or a list with commas "
                      "(default: every zone)"},
    [OPTION_HOST] = {"--host", 0, "HOST", "name of the host"},
    [OPTION_STATE] = {"--state", 0, "STATE",
                      "only VMs in this state, such as running or pending"},
    [OPTION_CLASS] = {"--class", 'c', "CLASS", "name of its class"},
    [OPTION_PRIORITY] = {"--priority", 0, "N",
                         "0 to 1000; higher is placed and started first"},
    [OPTION_ON_PARTITION] = {"--on-partition", 0, "move|keep",
                             "when its host is cut off: stop it there and move "
                             "it, or keep it running there"},
    [OPTION_DRIVER] = {"--driver", 0, "qemu|exec",
                       "what runs it (default: exec with --command, else "
                       "qemu)"},
    [OPTION_IMAGE] = {"--image", 0, "IMAGE", "boot image that the hosts have"},
    [OPTION_DISK] = {"--disk", 0, "KEY=VALUE,...",
                     "kind=shared,pool=P,path=X (or local; or replicated with "
                     "zones=z1+z2) or kind=ephemeral,image=I; also "
                     "read_only=true; repeatable"},
    [OPTION_ENVIRONMENT] = {"--env", 0, "KEY=VALUE",
                            "environment of the command; repeatable"},
    [OPTION_STOP_GRACE] = {"--stop-grace", 0, "TIME",
                           "between the polite stop and the kill"},
    [OPTION_LABEL] = {"--label", 0, "KEY=VALUE",
                      "label; repeatable; KEY- removes it (update)"},
    [OPTION_STOPPED] = {"--stopped", 0, NULL, "create it, but do not start it"},
    [OPTION_COUNT] = {"--count", 'n', "N", "create N VMs, NAME-1 to NAME-N"},
    [OPTION_FILE] =
        {"--file", 'f', "FILE",
         "read the VM from YAML or JSON; - is standard input; other "
         "options override it"},
    [OPTION_FLEET] = {"--file", 'f', "FILE",
                      "a manifest as `holdfast export` writes it; - is "
                      "standard input; default: the live region"},
    [OPTION_SEEDS] = {"--seeds", 0, "N",
                      "regions to live through; default: 5 losses of each "
                      "zone, or 10 with --faults"},
    [OPTION_FIRST] = {"--first", 0, "S",
                      "seed of the first region (default 1)"},
    [OPTION_FAULTS] = {"--faults", 0, "all|NAME,...",
                       "faults at random instead of the loss of each zone in "
                       "turn; `--faults help` lists them"},
    [OPTION_DELAY] = {"--delay-ms", 0, "D",
                      "longest way between zones, one direction (default 2)"},
    [OPTION_VERBOSE] = {"--verbose", 0, NULL,
                        "tell the story event by event, on standard error"},
    [OPTION_COMMAND] = {"--command", 0, "PROGRAM [ARGUMENT...]",
                        "program to run; takes the rest of the line"},
    [OPTION_CPU] = {"--cpu", 0, "N", "CPUs, such as 4 or 0.5"},
    [OPTION_MEMORY] = {"--memory", 0, "SIZE", "such as 512MiB or 8GiB"},
    [OPTION_DISK_SIZE] = {"--disk", 0, "SIZE",
                          "disk on the host itself, such as 20GiB (default 0)"},
    [OPTION_CONFIRM] = {"--confirm", 0, "HOST", "the host's name again"},
    [OPTION_REASON] = {"--reason", 0, "TEXT", "for the record"},
    [OPTION_KIND] = {"--kind", 0, "KIND",
                     "only zone, class, host, vm, settings, group or "
                     "reservation; repeatable, or a list with commas"},
    [OPTION_AFTER] = {"--after", 0, "REVISION",
                      "begin behind this revision (default: now)"},
    [OPTION_STATUS] = {"--status", 0, NULL,
                       "also what the region alone can say: uid, revision, "
                       "state, host, epoch"},
    [OPTION_TO_FILE] = {"--file", 'f', "FILE",
                        "write to this file, whole or not at all (default: "
                        "standard output)"},
    [OPTION_MAN] = {"--man", 0, "DIR",
                    "write the manual pages to this folder instead"},
    [OPTION_GROUP] = {"--group", 'g', "GROUP", "name of its group"},
    [OPTION_HOST_SELECTOR] = {"--host-selector", 0, "KEY=VALUE",
                              "only hosts with this label; repeatable"},
    [OPTION_PREEMPTIBLE] = {"--preemptible", 0, NULL,
                            "it may be stopped for VMs of higher priority that "
                            "find no room, and may use reservations"},
    [OPTION_NOT_PREEMPTIBLE] = {"--not-preemptible", 0, NULL,
                                "it is never stopped for another VM"},
    [OPTION_GPU] = {"--gpu", 0, "N", "whole GPUs (default 0)"},
    [OPTION_NAMED] = {"--named", 0, "KEY=N",
                      "of something else that hosts count, such as "
                      "licences=1; repeatable"},
    [OPTION_HOST_DISK] = {"--host-disk", 0, "SIZE",
                          "disk on the host itself, such as 20GiB (default 0)"},
    [OPTION_SPREAD] = {"--spread", 0, "RULE",
                       "zones: evenly over them (default); together: all in "
                       "one; apart: no two in one; any: no rule"},
    [OPTION_MAX_SKEW] = {"--max-skew", 0, "N",
                         "how many members the fullest zone may have more than "
                         "the emptiest (default 1)"},
    [OPTION_STRICT] = {"--strict", 0, NULL,
                       "members stay pending rather than break the rule for "
                       "zones"},
    [OPTION_BEST_EFFORT] = {"--best-effort", 0, NULL,
                            "members run even if the rule for zones breaks"},
    [OPTION_PER_DOMAIN] = {"--per-domain", 0, "N",
                           "at most N members in a fault domain; 0: no limit"},
    [OPTION_PER_HOST] = {"--per-host", 0, "N",
                         "at most N members on a host; 0: no limit"},
    [OPTION_GROUP_ZONES] = {"--zones", 'z', "ZONE,...",
                            "only these zones; repeatable (default: every "
                            "zone)"},
    [OPTION_EVERY_ZONE] = {"--every-zone", 0, NULL, "in every zone again"},
    [OPTION_UNPROTECTED] = {"--unprotected", 0, NULL,
                            "no room is proved for members in case their zone "
                            "is lost"},
    [OPTION_PROTECTED] = {"--protected", 0, NULL,
                          "members count on being placed again when their zone "
                          "is lost"},
    [OPTION_MAX_UNAVAILABLE] = {"--max-unavailable", 0, "N",
                                "after a change of what members are made from, "
                                "replace so many at a time (default 0: none)"},
    [OPTION_MEMBERS] = {"--count", 'n', "N",
                        "how many members; Holdfast makes them (default 0: "
                        "VMs join it with `vm create --group`)"},
    [OPTION_GROUP_FILE] = {"--file", 'f', "FILE",
                           "read the group from YAML or JSON; - is standard "
                           "input; other options override it"},
    [OPTION_WITH_JOINED] = {"--with-joined", 0, NULL,
                            "also delete members that were made by hand"},
    [OPTION_SLOTS] = {"--count", 'n', "N", "how many VMs to keep room for"},
    [OPTION_DEADLINE] = {"--deadline", 0, "TIME",
                         "give up after so long: what is left stays (default: "
                         "never)"},
    [OPTION_ACCEPT_RISK] = {"--accept-risk", 0, NULL,
                            "also when headroom or the quorum would be at "
                            "risk; needs --reason"},
    [OPTION_ALL] = {"--all", 'a', NULL, "show all, not the first 20"},
    [OPTION_ONLY_UNPROTECTED] = {"--unprotected", 0, NULL,
                                 "only VMs that would not be placed again if "
                                 "their zone were lost, with the reason"},
    [OPTION_HOSTS] = {"--count", 'n', "N", "how many hosts (default 1)"},
    [OPTION_POOL] = {"--pool", 0, "POOL",
                     "storage pool that they reach; repeatable, or a list with "
                     "commas"},
    [OPTION_HOST_DRIVERS] = {"--driver", 0, "qemu|exec",
                             "what they run; repeatable, or a list with commas "
                             "(default qemu)"},
    [OPTION_HOST_LABEL] = {"--label", 0, "KEY=VALUE",
                           "label of theirs; repeatable"},
    [OPTION_FAULT_DOMAIN] = {"--fault-domain", 0, "NAME",
                             "rack or row inside the zone"},
    [OPTION_DIR] = {"--dir", 0, "DIR",
                    "where the authorities are (default: holdfast-ca)"},
    [OPTION_OUT_DIR] = {"--out", 0, "DIR",
                        "where the certificate and its key go (default: here)"},
    [OPTION_REGION] = {"--region", 0, "NAME", "for the authorities' names"},
    [OPTION_NODE_ID] = {"--id", 0, "N",
                        "a node's id, as `nodes` of its "
                        "configuration says"},
    [OPTION_ADDRESS] = {"--address", 0, "HOST",
                        "address or host name under which a node is reached; "
                        "repeatable"},
    [OPTION_NODE_ADDRESS] = {"--address", 0, "ADDRESS",
                             "IPv4:port or [IPv6]:port under which the other "
                             "nodes reach it"},
    [OPTION_ALLOW_FEWER_VOTERS] = {"--allow-fewer-voters", 0, NULL,
                                   "also when fewer than three voters are "
                                   "left, which survive no loss"},
    [OPTION_MANIFEST] = {"--file", 'f', "FILE",
                         "the fleet, in YAML or JSON; - is standard input; "
                         "repeatable"},
    [OPTION_PRUNE] = {"--prune", 0, NULL,
                      "also delete what is in none of the files"},
    [OPTION_FAIL_ON] = {"--fail-on", 0, "SEVERITY",
                        "exit code 1 from this severity on: note, warning or "
                        "critical"},
    [OPTION_PREFIX] = {"--prefix", 0, "PREFIX",
                       "also what has a name that begins with this; "
                       "repeatable"},
    [OPTION_IN_ZONES] = {"--zone", 'z', "ZONE",
                         "only this zone and what is in it; repeatable, or a "
                         "list with commas"},
    [OPTION_HOST_STATE] = {"--state", 0, "STATE",
                           "only hosts in this state: up or lost"},
    [OPTION_UNHEALTHY] = {"--unhealthy", 0, NULL,
                          "only groups that are not as they are to be"},
    [OPTION_TREE] = {"--tree", 0, NULL,
                     "each event under the one that it follows from"},
    [OPTION_LIVE] = {"--live", 0, NULL, "also against what is in the region"},
    [OPTION_IGNORE] = {"--ignore", 0, "RULE,...",
                       "not these rules; repeatable"},
    [OPTION_BUNDLE] = {"--file", 'f', "FILE",
                       "where to write it (default: "
                       "holdfast-support-REGION-TIME.tar)"},
    [OPTION_LOGS] = {"--logs", 0, "DIR",
                     "also the ends of the files in this folder"},
    [OPTION_DAYS] = {"--days", 0, "N", "how long it lasts (default 365)"},
    [OPTION_ROLE] = {"--role", 0, "ROLE",
                     "viewer, operator, admin or drill-runner"},
    [OPTION_CLIENT] = {"--client", 0, "NAME",
                       "name in the client's certificate"},
    [OPTION_SCOPE_ZONE] = {"--zone", 'z', "ZONE",
                           "the only zone in which it can be"},
    [OPTION_SCOPE_ZONES] = {"--zone", 'z', "ZONE",
                            "only for what can be in no other zone; "
                            "repeatable, or a list with commas"},
    [OPTION_SCOPE_LABEL] = {"--label", 0, "KEY=VALUE",
                            "with this label; repeatable: with all of them"},
    [OPTION_CALLER] = {"--caller", 0, "CALLER",
                       "only what this one did, such as client:anna or "
                       "token:ci"},
    [OPTION_METHOD] = {"--method", 0, "METHOD",
                       "only by this method, such as HostService/DrainHost"},
    [OPTION_OBJECT] = {"--object", 0, "KIND[/NAME]",
                       "only on objects of this kind, or on this one, such as "
                       "host/h1"},
    [OPTION_SINCE] = {"--since", 0, "TIME", "only what is not older than this"},
    [OPTION_AFTER_NUMBER] = {"--after", 0, "N",
                             "begin behind the record with this number "
                             "(default: with the oldest one)"},
    [OPTION_FIRST_DIGEST] = {"--follows", 0, "DIGEST",
                             "the first record must follow this digest"},
    [OPTION_LAST_DIGEST] = {"--last", 0, "DIGEST",
                            "the last record must have this digest"},
    [OPTION_OPERATION_KIND] = {"--kind", 0, "KIND",
                               "only of this kind, such as drain_host or "
                               "move_vm"},
    [OPTION_OPERATION_OBJECT] = {"--object", 0, "NAME",
                                 "only about the zone, host, group or VM of "
                                 "this name"},
    [OPTION_ACTIVE] = {"--active", 0, NULL, "only what is under way"},
    [OPTION_EXPIRES] = {"--expires", 0, "TIME",
                        "when it ends: in so long, such as 90d, or at such as "
                        "2027-01-31T00:00:00Z; never"},
    [OPTION_TTL] = {"--ttl", 0, "TIME", "how long it is good (default 1h)"},
};

const struct option_rule *option_rule(enum option option)
{
    CHECK((size_t)option < ARRAY_LEN(rules));
    return &rules[option];
}

bool option_is_repeatable(enum option option)
{
    return strstr(option_rule(option)->help, "repeatable") != NULL;
}
