/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules: critical is what the region refuses or what loses data, warning
 * what does not survive a zone, note what may be on purpose. */
#include "base/check.h"
#include "base/container.h"
#include "ctl/lint.h"

static const struct lint_rule rules[LINT_RULES] = {
    [LINT_NAME_FORM] = {"name-form", SEVERITY(CRITICAL),
                        "names are 1 to 63 of a-z, 0-9 and -, beginning and "
                        "ending with a letter or digit"},
    [LINT_NAME_CASE] = {"name-case", SEVERITY(WARNING),
                        "rename one of them so that people can tell them "
                        "apart"},
    [LINT_UNKNOWN_CLASS] = {"unknown-class", SEVERITY(CRITICAL),
                            "add the class to the file, or mend the name"},
    [LINT_UNKNOWN_ZONE] = {"unknown-zone", SEVERITY(CRITICAL),
                           "add the zone to the file, or mend the name"},
    [LINT_UNKNOWN_GROUP] = {"unknown-group", SEVERITY(CRITICAL),
                            "add the group to the file, or mend the name"},
    [LINT_CLASS_ONE_ZONE] = {"class-one-zone", SEVERITY(WARNING),
                             "offer it in a second zone; leave `zones` out "
                             "for all of them"},
    [LINT_CLASS_UNUSED] = {"class-unused", SEVERITY(NOTE),
                           "take it out, if nothing in the region uses it"},
    [LINT_CLASS_TWICE] = {"class-twice", SEVERITY(NOTE),
                          "use one of them for both"},
    [LINT_VM_ONE_ZONE] = {"vm-one-zone", SEVERITY(WARNING),
                          "leave `zone` out, if its disks can be reached from "
                          "other zones"},
    [LINT_GROUP_ONE_ZONE] = {"group-one-zone", SEVERITY(WARNING),
                             "allow more zones, with zone_rule spread"},
    [LINT_GROUP_NO_ZONE] = {"group-no-zone", SEVERITY(CRITICAL),
                            "let `zones` of the group and of its class have "
                            "zones in common"},
    [LINT_GROUP_ZONES_FEW] = {"group-zones-few", SEVERITY(CRITICAL),
                              "lower count, allow more zones, or take "
                              "zone_mode best_effort"},
    [LINT_GROUP_HOSTS_FEW] = {"group-hosts-few", SEVERITY(CRITICAL),
                              "lower count, raise host_max, add hosts, or take "
                              "host_mode best_effort"},
    [LINT_GROUP_UNPROTECTED] = {"group-unprotected", SEVERITY(WARNING),
                                "leave `protected` out, unless losing them is "
                                "fine"},
    [LINT_GROUP_PROTECTED] = {"group-protected", SEVERITY(CRITICAL),
                              "take out `protected: true`, or what makes it "
                              "impossible"},
    [LINT_GROUP_ROLLOUT] = {"group-rollout", SEVERITY(WARNING),
                            "let max_unavailable be less than count"},
    [LINT_LOCAL_DISK] = {"local-disk", SEVERITY(WARNING),
                         "put it on shared or replicated storage, or accept "
                         "that it is lost with its host"},
    [LINT_KEEP_WITHOUT_DISK] = {"keep-without-disk", SEVERITY(WARNING),
                                "take on_partition move; keep is for VMs whose "
                                "storage refuses a second writer"},
    [LINT_NOTHING_KEPT] = {"nothing-kept", SEVERITY(NOTE),
                           "give it a shared or replicated disk for what must "
                           "last"},
    [LINT_DISK_SHARED] = {"disk-shared", SEVERITY(CRITICAL),
                          "give each its own path ({name} and {uid} stand for "
                          "the VM's), or read_only"},
    [LINT_IMAGE_PATH] = {"image-path", SEVERITY(CRITICAL),
                         "name the image as hosts have it in their image "
                         "folder, or put it into a pool as a disk"},
    [LINT_POOL_UNKNOWN] = {"pool-unknown", SEVERITY(WARNING),
                           "name a pool that hosts report, in two zones at "
                           "least"},
    [LINT_SELECTOR_NO_HOST] = {"selector-no-host", SEVERITY(WARNING),
                               "label hosts in two zones at least, or mend "
                               "host_selector"},
    [LINT_LABEL_UNUSED] = {"label-unused", SEVERITY(NOTE),
                           "take it out, or use it in a host_selector"},
    [LINT_SECRET] = {"secret", SEVERITY(WARNING),
                     "let the VM fetch it when it starts: whoever may read "
                     "VMs, and every export, shows it"},
    [LINT_PRIORITIES_EQUAL] = {"priorities-equal", SEVERITY(NOTE),
                               "give what must be back first a higher "
                               "priority"},
    [LINT_NOTHING_PREEMPTIBLE] = {"nothing-preemptible", SEVERITY(NOTE),
                                  "mark what can wait as preemptible: it may "
                                  "use reserved room until it is needed"},
    [LINT_HEADROOM] = {"headroom", SEVERITY(NOTE),
                       "set `settings: {headroom: enforce}` to refuse what "
                       "would make the loss of a zone fatal"},
    [LINT_CAPACITY] = {"capacity", SEVERITY(WARNING),
                       "add hosts, take smaller classes or fewer VMs, or mark "
                       "some preemptible"},
    [LINT_STORM_OFF] = {"storm-off", SEVERITY(WARNING),
                        "500 pauses automatic restarts when more than half of "
                        "the hosts vanish at once"},
    [LINT_GRANT_TOKEN] = {"grant-token", SEVERITY(CRITICAL),
                          "take it out and make it with `holdfast token "
                          "create`, which shows its secret once"},
    [LINT_GRANT_SCOPE] = {"grant-scope", SEVERITY(CRITICAL),
                          "take out `zones` and `labels`, or take the role "
                          "operator"},
    [LINT_GRANT_NO_ADMIN] = {"grant-no-admin", SEVERITY(WARNING),
                             "give somebody the role admin without "
                             "expire_time_ms"},
    [LINT_GRANT_ENDED] = {"grant-ended", SEVERITY(WARNING),
                          "take it out, or give it another end"},
    [LINT_GRANT_WIDE] = {"grant-wide", SEVERITY(NOTE),
                         "bound it by `zones` or `labels`, if it is for some "
                         "VMs only"},
};

const struct lint_rule *lint_rule(enum lint_id id)
{
    CHECK((size_t)id < ARRAY_LEN(rules));
    return &rules[id];
}
