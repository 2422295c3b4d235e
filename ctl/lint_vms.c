/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules on what starts, a VM or the members of a group: names that it relies
 * on, disks, and what it tells. */
#include "base/container.h"
#include "base/memory.h"
#include "ctl/lint.h"
#include "ctl/selector.h"
#include "ctl/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KIND(name) HOLDFAST__V1__DISK_KIND__DISK_KIND_##name

static bool group_in(const Holdfast__V1__Manifest *from, const char *name)
{
    for (size_t i = 0; i < from->n_groups; i++) {
        if (strcmp(from->groups[i]->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool group_is_there(const struct lint_input *input, const char *name)
{
    if (group_in(input->manifest, name)) {
        return true;
    }
    return input->region == NULL ? input->manifest->n_groups == 0
                                 : group_in(input->region, name);
}

static void judge_references(struct lint *lint, const struct lint_work *work)
{
    if (work->class_name[0] != '\0' && lint_knows_classes(lint->input) &&
        lint_class(lint->input, work->class_name) == NULL) {
        lint_add(lint, LINT_UNKNOWN_CLASS,
                 lint_template_path(work, "class_name").text,
                 lint_subject(work).text, "there is no class %s",
                 work->class_name);
    }
    if (work->group == NULL) {
        const Holdfast__V1__Vm *vm = (const void *)work->message;

        if (vm->group[0] != '\0' && !group_is_there(lint->input, vm->group)) {
            lint_add(lint, LINT_UNKNOWN_GROUP, lint_path(work, "group").text,
                     lint_subject(work).text, "there is no group %s",
                     vm->group);
        }
        if (vm->zone[0] != '\0' && lint_knows_zones(lint->input) &&
            !lint_has_zone(lint->input, vm->zone)) {
            lint_add(lint, LINT_UNKNOWN_ZONE, lint_path(work, "zone").text,
                     lint_subject(work).text, "there is no zone %s", vm->zone);
        } else if (vm->zone[0] != '\0') {
            lint_add(lint, LINT_VM_ONE_ZONE, lint_path(work, "zone").text,
                     lint_subject(work).text,
                     "may run in zone %s only, and is not placed again when "
                     "that is lost",
                     vm->zone);
        }
    }
}

static void judge_selector(struct lint *lint, const struct lint_work *work)
{
    Holdfast__V1__Host **hosts;
    char selector[4096];
    size_t count;

    hosts = lint_hosts(lint->input, &count);
    view_map(work->message, "host_selector", selector, sizeof(selector));
    if (count == 0 || selector[0] == '\0' || strcmp(selector, "-") == 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (selector_matches(selector, &hosts[i]->base)) {
            return;
        }
    }
    lint_add(lint, LINT_SELECTOR_NO_HOST,
             lint_template_path(work, "host_selector").text,
             lint_subject(work).text,
             "no host has the labels %s: it stays pending", selector);
}

/* Whether the key says that its value is nobody's business. */
static bool is_secret(const char *variable)
{
    static const char *const words[] = {"PASSWORD",    "PASSWD",    "SECRET",
                                        "TOKEN",       "APIKEY",    "API_KEY",
                                        "PRIVATE_KEY", "CREDENTIAL"};
    size_t len = strcspn(variable, "=");

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t word = strlen(words[i]);

        for (size_t at = 0; at + word <= len; at++) {
            if (strncasecmp(variable + at, words[i], word) == 0) {
                return variable[len] == '=' && variable[len + 1] != '\0';
            }
        }
    }
    return false;
}

static void judge_environment(struct lint *lint, const struct lint_work *work)
{
    const Holdfast__V1__VmTemplate *template = work->template;

    for (size_t i = 0; template != NULL && i < template->n_environment; i++) {
        const char *variable = template->environment[i];
        char field[48];

        (void)snprintf(field, sizeof(field), "template.environment[%zu]", i);
        if (is_secret(variable)) {
            lint_add(lint, LINT_SECRET, lint_template_path(work, field).text,
                     lint_subject(work).text,
                     "the environment holds what looks like a secret: %.*s",
                     (int)strcspn(variable, "="), variable);
        }
    }
}

void lint_vms(struct lint *lint)
{
    for (size_t i = 0; i < lint->work_count; i++) {
        judge_references(lint, &lint->work[i]);
        judge_selector(lint, &lint->work[i]);
        judge_environment(lint, &lint->work[i]);
    }
}

/* --- Disks ------------------------------------------------------------------
 */

static bool lasts(const Holdfast__V1__Disk *disk)
{
    return disk->kind == KIND(SHARED) || disk->kind == KIND(REPLICATED);
}

static bool is_host_path(const char *image)
{
    return image[0] == '/' || strstr(image, "..") != NULL;
}

/* Whether a host reaches the pool. */
static bool pool_is_there(const struct lint_input *input, const char *pool)
{
    size_t count;
    Holdfast__V1__Host **hosts = lint_hosts(input, &count);

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < hosts[i]->n_pools; j++) {
            if (strcmp(hosts[i]->pools[j], pool) == 0) {
                return true;
            }
        }
    }
    return count == 0; /* Nothing is known. */
}

static void judge_disk(struct lint *lint, const struct lint_work *work,
                       size_t index)
{
    const Holdfast__V1__Disk *disk = work->template->disks[index];
    struct lint_text subject = lint_subject(work);
    struct lint_text path;
    char field[48];

    (void)snprintf(field, sizeof(field), "template.disks[%zu]", index);
    path = lint_template_path(work, field);
    if (disk->kind == KIND(LOCAL)) {
        lint_add(lint, LINT_LOCAL_DISK, path.text, subject.text,
                 "a local disk ties it to the host where it was first placed: "
                 "it is not placed again when that is lost");
    }
    if (is_host_path(disk->image)) {
        lint_add(lint, LINT_IMAGE_PATH, path.text, subject.text,
                 "the image is a path of one machine: %s", disk->image);
    }
    if (disk->pool[0] != '\0' && !pool_is_there(lint->input, disk->pool)) {
        lint_add(lint, LINT_POOL_UNKNOWN, path.text, subject.text,
                 "no host reaches pool %s: it stays pending", disk->pool);
    }
    if (work->count > 1 && lasts(disk) && !disk->read_only &&
        strstr(disk->path, "{name}") == NULL &&
        strstr(disk->path, "{uid}") == NULL) {
        lint_add(lint, LINT_DISK_SHARED, path.text, subject.text,
                 "all %" PRIu32 " members write the same %s of pool %s",
                 work->count, disk->path, disk->pool);
    }
}

static void judge_template(struct lint *lint, const struct lint_work *work)
{
    const Holdfast__V1__VmTemplate *template = work->template;
    bool kept = false;
    bool any_local = false;

    if (template == NULL) {
        return;
    }
    for (size_t i = 0; i < template->n_disks; i++) {
        judge_disk(lint, work, i);
        kept = kept || lasts(template->disks[i]);
        any_local = any_local || template->disks[i]->kind == KIND(LOCAL);
    }
    if (is_host_path(template->image)) {
        lint_add(lint, LINT_IMAGE_PATH,
                 lint_template_path(work, "template.image").text,
                 lint_subject(work).text,
                 "the image is a path of one machine: %s", template->image);
    }
    if (work->keeps && !kept) {
        lint_add(lint, LINT_KEEP_WITHOUT_DISK,
                 lint_template_path(work, "on_partition").text,
                 lint_subject(work).text,
                 "on_partition keep without a shared disk: it waits for proof "
                 "that its host is gone, and no storage keeps two copies "
                 "apart");
    }
    if (template->driver == HOLDFAST__V1__DRIVER__DRIVER_QEMU && !kept &&
        !any_local) {
        lint_add(lint, LINT_NOTHING_KEPT,
                 lint_template_path(work, "template").text,
                 lint_subject(work).text,
                 "nothing that it writes outlives a restart elsewhere");
    }
}

/* A disk that one VM writes. */
struct written {
    const Holdfast__V1__Disk *disk;
    const struct lint_work *work;
};

static int compare(const void *a, const void *b)
{
    const struct written *left = a;
    const struct written *right = b;
    int order = strcmp(left->disk->pool, right->disk->pool);

    order = order != 0 ? order : strcmp(left->disk->path, right->disk->path);
    return order != 0 ? order : left->work < right->work ? -1 : 1;
}

static void judge_written(struct lint *lint, struct written *all, size_t count)
{
    qsort(all, count, sizeof(*all), compare);
    for (size_t i = 1; i < count; i++) {
        if (all[i].work != all[i - 1].work &&
            strcmp(all[i].disk->pool, all[i - 1].disk->pool) == 0 &&
            strcmp(all[i].disk->path, all[i - 1].disk->path) == 0) {
            lint_add(lint, LINT_DISK_SHARED,
                     lint_template_path(all[i].work, "template.disks").text,
                     lint_subject(all[i].work).text,
                     "writes the same %s of pool %s as %s", all[i].disk->path,
                     all[i].disk->pool, lint_subject(all[i - 1].work).text);
        }
    }
}

/* Paths that do not follow the VM's name. */
static bool is_fixed(const Holdfast__V1__Disk *disk)
{
    return lasts(disk) && !disk->read_only &&
           strstr(disk->path, "{name}") == NULL &&
           strstr(disk->path, "{uid}") == NULL;
}

void lint_disks(struct lint *lint)
{
    struct written *all = NULL;
    size_t capacity = 0;
    size_t count = 0;

    for (size_t i = 0; i < lint->work_count; i++) {
        const Holdfast__V1__VmTemplate *template = lint->work[i].template;

        judge_template(lint, &lint->work[i]);
        for (size_t j = 0; template != NULL && j < template->n_disks; j++) {
            if (!is_fixed(template->disks[j])) {
                continue;
            }
            if (count == capacity) {
                capacity = capacity == 0 ? 64 : capacity * 2;
                all = memory_realloc_array(all, capacity, sizeof(*all));
            }
            all[count++] = (struct written){template->disks[j], &lint->work[i]};
        }
    }
    if (count > 1) {
        judge_written(lint, all, count);
    }
    free(all);
}
