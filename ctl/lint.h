/* SPDX-License-Identifier: Apache-2.0
 *
 * `holdfast lint`: what is risky in a manifest that the region would take all
 * the same, and what it would refuse. Pure: the files are read, and the region
 * asked, before. */
#ifndef CTL_LINT_H
#define CTL_LINT_H

#include "ctl/diagnosis.h"
#include "holdfast/v1/manifest.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

/* One row each in lint_rule(). */
enum lint_id {
    LINT_NAME_FORM,
    LINT_NAME_CASE,
    LINT_UNKNOWN_CLASS,
    LINT_UNKNOWN_ZONE,
    LINT_UNKNOWN_GROUP,
    LINT_CLASS_ONE_ZONE,
    LINT_CLASS_UNUSED,
    LINT_CLASS_TWICE,
    LINT_VM_ONE_ZONE,
    LINT_GROUP_ONE_ZONE,
    LINT_GROUP_NO_ZONE,
    LINT_GROUP_ZONES_FEW,
    LINT_GROUP_HOSTS_FEW,
    LINT_GROUP_UNPROTECTED,
    LINT_GROUP_PROTECTED,
    LINT_GROUP_ROLLOUT,
    LINT_LOCAL_DISK,
    LINT_KEEP_WITHOUT_DISK,
    LINT_NOTHING_KEPT,
    LINT_DISK_SHARED,
    LINT_IMAGE_PATH,
    LINT_POOL_UNKNOWN,
    LINT_SELECTOR_NO_HOST,
    LINT_LABEL_UNUSED,
    LINT_SECRET,
    LINT_PRIORITIES_EQUAL,
    LINT_NOTHING_PREEMPTIBLE,
    LINT_HEADROOM,
    LINT_CAPACITY,
    LINT_STORM_OFF,
    LINT_GRANT_TOKEN,
    LINT_GRANT_SCOPE,
    LINT_GRANT_NO_ADMIN,
    LINT_GRANT_ENDED,
    LINT_GRANT_WIDE,
    LINT_RULES
};

struct lint_rule {
    const char *id; /* Never renamed. */
    Holdfast__V1__Severity severity;
    const char *cure;
};

const struct lint_rule *lint_rule(enum lint_id id);

/* So many findings of one rule are told one by one. */
#define LINT_EACH_MAX 10

/* Where "groups[3].zones" stands; false: not known. */
struct lint_place {
    bool (*find)(struct lint_place *place, const char *path, const char **file,
                 unsigned *line);
};

/* What is judged, and what is known besides. */
struct lint_input {
    const Holdfast__V1__Manifest *manifest;
    /* Of the region: zones, classes, hosts, groups, settings; NULL: it was not
     * asked, and names that the manifest does not have may be there. */
    const Holdfast__V1__Manifest *region;
    struct lint_place *place; /* NULL: no places. */
    uint64_t now_ms;          /* Wall clock; 0: ends are not looked at. */
    bool ignored[LINT_RULES];
};

/* What starts: a VM, or the members of a group. */
struct lint_work {
    size_t index;                    /* In the manifest's list. */
    const ProtobufCMessage *message; /* Vm or GroupTemplate. */
    const char *name;
    const Holdfast__V1__Group *group; /* NULL: a VM. */
    const char *class_name;
    const Holdfast__V1__Resources *resources;
    const Holdfast__V1__VmTemplate *template; /* May be NULL. */
    uint32_t count;
    uint32_t priority;
    bool keeps;
    bool preemptible;
};

struct lint {
    const struct lint_input *input;
    struct diagnosis *out;
    size_t counts[LINT_RULES];
    struct lint_work *work;
    size_t work_count;
};

/* Checks everything. */
void lint_judge(const struct lint_input *input, struct diagnosis *out);

/* --- Among its files ------------------------------------------------------ */

void lint_add(struct lint *lint, enum lint_id id, const char *path,
              const char *subject, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* In the manifest or the region; NULL: in neither. */
const Holdfast__V1__Class *lint_class(const struct lint_input *input,
                                      const char *name);
bool lint_has_zone(const struct lint_input *input, const char *name);

/* All hosts of the region, or those of the manifest. */
Holdfast__V1__Host **lint_hosts(const struct lint_input *input, size_t *count);

/* Of all zones that are known, those where members may run: allowed by the
 * group (NULL: any) and offered by the class. */
size_t lint_zones_of(const struct lint_input *input,
                     const struct lint_work *work);

/* A name is known to be wrong only when all names are: the region was asked, or
 * the manifest has a list of that kind. */
bool lint_knows_zones(const struct lint_input *input);
bool lint_knows_classes(const struct lint_input *input);

/* Short texts, returned by value so that calls nest. */
struct lint_text {
    char text[160];
};
/* "groups[3].zones"; "groups[3].template.disks[0]" and "vms[3].disks[0]". */
struct lint_text lint_path(const struct lint_work *work, const char *field);
struct lint_text lint_template_path(const struct lint_work *work,
                                    const char *field);
/* "vm web-1" */
struct lint_text lint_subject(const struct lint_work *work);

void lint_names(struct lint *lint); /* lint_names.c */
void lint_fleet(struct lint *lint);
void lint_groups(struct lint *lint);
void lint_vms(struct lint *lint);
void lint_disks(struct lint *lint);
void lint_grants(struct lint *lint); /* lint_grants.c */

#endif
