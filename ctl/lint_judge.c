/* SPDX-License-Identifier: Apache-2.0
 *
 * What the rules share: findings with their places, and look-ups. */
#include "base/memory.h"
#include "ctl/lint.h"
#include "ctl/view.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void lint_add(struct lint *lint, enum lint_id id, const char *path,
              const char *subject, const char *format, ...)
{
    struct lint_place *place = lint->input->place;
    const struct lint_rule *rule = lint_rule(id);
    const char *file = "";
    unsigned line = 0;
    char text[1024];
    va_list arguments;

    if (lint->input->ignored[id] || lint->counts[id]++ >= LINT_EACH_MAX) {
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    diagnosis_add(lint->out, rule->id, rule->severity, subject, "%s", text);
    diagnosis_cure(lint->out, "%s", rule->cure);
    if (place != NULL && path[0] != '\0' &&
        place->find(place, path, &file, &line)) {
        diagnosis_place(lint->out, file, line);
    }
}

static void tell_rest(const struct lint *lint)
{
    for (int id = 0; id < LINT_RULES; id++) {
        const struct lint_rule *rule = lint_rule((enum lint_id)id);
        size_t more = lint->counts[id] - LINT_EACH_MAX;

        if (lint->counts[id] > LINT_EACH_MAX) {
            diagnosis_add(lint->out, rule->id, rule->severity, "",
                          "%zu more of these are not told one by one", more);
            diagnosis_cure(lint->out, "%s", rule->cure);
        }
    }
}

/* --- Look-ups ---------------------------------------------------------------
 */

static const Holdfast__V1__Class *class_in(
    const Holdfast__V1__Manifest *manifest, const char *name)
{
    for (size_t i = 0; manifest != NULL && i < manifest->n_classes; i++) {
        if (strcmp(manifest->classes[i]->name, name) == 0) {
            return manifest->classes[i];
        }
    }
    return NULL;
}

const Holdfast__V1__Class *lint_class(const struct lint_input *input,
                                      const char *name)
{
    const Holdfast__V1__Class *class = class_in(input->manifest, name);

    return class == NULL ? class_in(input->region, name) : class;
}

static bool zone_in(const Holdfast__V1__Manifest *manifest, const char *name)
{
    for (size_t i = 0; manifest != NULL && i < manifest->n_zones; i++) {
        if (strcmp(manifest->zones[i]->name, name) == 0) {
            return true;
        }
    }
    return false;
}

bool lint_has_zone(const struct lint_input *input, const char *name)
{
    return zone_in(input->manifest, name) || zone_in(input->region, name);
}

bool lint_knows_zones(const struct lint_input *input)
{
    return input->region != NULL || input->manifest->n_zones > 0;
}

bool lint_knows_classes(const struct lint_input *input)
{
    return input->region != NULL || input->manifest->n_classes > 0;
}

Holdfast__V1__Host **lint_hosts(const struct lint_input *input, size_t *count)
{
    const Holdfast__V1__Manifest *from =
        input->region != NULL ? input->region : input->manifest;

    *count = from->n_hosts;
    return from->hosts;
}

static bool is_listed(char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return count == 0; /* An empty list stands for all. */
}

static size_t count_zones(const Holdfast__V1__Manifest *from,
                          const Holdfast__V1__Manifest *but,
                          const struct lint_work *work,
                          const Holdfast__V1__Class *class)
{
    const Holdfast__V1__Group *group = work->group;
    size_t count = 0;

    for (size_t i = 0; from != NULL && i < from->n_zones; i++) {
        const char *name = from->zones[i]->name;

        count +=
            !zone_in(but, name) &&
            (group == NULL || is_listed(group->zones, group->n_zones, name)) &&
            (class == NULL || is_listed(class->zones, class->n_zones, name));
    }
    return count;
}

size_t lint_zones_of(const struct lint_input *input,
                     const struct lint_work *work)
{
    const Holdfast__V1__Class *class = lint_class(input, work->class_name);

    return count_zones(input->manifest, NULL, work, class) +
           count_zones(input->region, input->manifest, work, class);
}

/* --- Texts ------------------------------------------------------------------
 */

static struct lint_text path_of(const struct lint_work *work,
                                const char *between, const char *field)
{
    struct lint_text text;

    (void)snprintf(text.text, sizeof(text.text), "%s[%zu]%s%s%s",
                   work->group == NULL ? "vms" : "groups", work->index, between,
                   field[0] == '\0' ? "" : ".", field);
    return text;
}

struct lint_text lint_path(const struct lint_work *work, const char *field)
{
    return path_of(work, "", field);
}

struct lint_text lint_template_path(const struct lint_work *work,
                                    const char *field)
{
    return path_of(work, work->group == NULL ? "" : ".template", field);
}

struct lint_text lint_subject(const struct lint_work *work)
{
    struct lint_text text;

    (void)snprintf(text.text, sizeof(text.text), "%s %.80s",
                   work->group == NULL ? "vm" : "group", work->name);
    return text;
}

/* --- What starts ------------------------------------------------------------
 */

static void take_vm(struct lint *lint, size_t index)
{
    const Holdfast__V1__Vm *vm = lint->input->manifest->vms[index];
    struct lint_work *work = &lint->work[lint->work_count++];

    *work = (struct lint_work){
        .index = index,
        .message = &vm->base,
        .name = vm->name,
        .class_name = vm->class_name,
        .resources = vm->resources,
        .template = vm->template_,
        .count = 1,
        .priority = vm->priority,
        .keeps =
            vm->on_partition == HOLDFAST__V1__ON_PARTITION__ON_PARTITION_KEEP,
        .preemptible = vm->preemptible,
    };
}

static void take_group(struct lint *lint, size_t index)
{
    const Holdfast__V1__Group *group = lint->input->manifest->groups[index];
    const Holdfast__V1__GroupTemplate *template = group->template_;
    struct lint_work *work = &lint->work[lint->work_count];

    if (template == NULL) {
        return;
    }
    lint->work_count++;
    *work = (struct lint_work){
        .index = index,
        .message = &template->base,
        .name = group->name,
        .group = group,
        .class_name = template->class_name,
        .resources = template->resources,
        .template = template->template_,
        .count = group->count,
        .priority = template->priority,
        .keeps = template->on_partition ==
                 HOLDFAST__V1__ON_PARTITION__ON_PARTITION_KEEP,
        .preemptible = template->preemptible,
    };
}

void lint_judge(const struct lint_input *input, struct diagnosis *out)
{
    const Holdfast__V1__Manifest *manifest = input->manifest;
    struct lint lint = {.input = input, .out = out};

    lint.work = memory_alloc_array(manifest->n_vms + manifest->n_groups + 1,
                                   sizeof(*lint.work));
    for (size_t i = 0; i < manifest->n_vms; i++) {
        take_vm(&lint, i);
    }
    for (size_t i = 0; i < manifest->n_groups; i++) {
        take_group(&lint, i);
    }
    lint_names(&lint);
    lint_fleet(&lint);
    lint_groups(&lint);
    lint_vms(&lint);
    lint_disks(&lint);
    lint_grants(&lint);
    diagnosis_sort(out);
    tell_rest(&lint);
    free(lint.work);
}
