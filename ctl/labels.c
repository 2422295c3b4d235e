/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/labels.h"

#include "base/similar.h"
#include "ctl/request.h"

#include <string.h>

static size_t find(const Holdfast__V1__Vm *vm, const char *key)
{
    size_t i = 0;

    while (i < vm->n_labels && strcmp(vm->labels[i]->key, key) != 0) {
        i++;
    }
    return i;
}

void labels_set(struct invocation *invocation, Holdfast__V1__Vm *vm,
                const char *key, const char *value)
{
    size_t at = find(vm, key);
    Holdfast__V1__Vm__LabelsEntry **labels;

    if (value == NULL) {
        if (at < vm->n_labels) {
            vm->labels[at] = vm->labels[--vm->n_labels];
        }
        return;
    }
    if (at == vm->n_labels) {
        labels = request_alloc(invocation, (at + 1) * sizeof(vm->labels[0]));
        if (at > 0) {
            memcpy(labels, vm->labels, at * sizeof(vm->labels[0]));
        }
        labels[at] = (void *)request_create(
            invocation, &holdfast__v1__vm__labels_entry__descriptor);
        labels[at]->key = request_copy(invocation, key, strlen(key));
        vm->labels = labels;
        vm->n_labels++;
    }
    vm->labels[at]->value = request_copy(invocation, value, strlen(value));
}

bool labels_apply_options(struct invocation *invocation, Holdfast__V1__Vm *vm,
                          bool removable)
{
    const char *text;

    for (size_t i = 0; (text = arguments_value_at(invocation->arguments,
                                                  OPTION_LABEL, i)) != NULL;
         i++) {
        const char *equals = strchr(text, '=');
        size_t len = strlen(text);

        if (equals != NULL && equals != text) {
            labels_set(invocation, vm,
                       request_copy(invocation, text, (size_t)(equals - text)),
                       equals + 1);
        } else if (removable && len > 1 && text[len - 1] == '-') {
            labels_set(invocation, vm, request_copy(invocation, text, len - 1),
                       NULL);
        } else {
            (void)usage_error(invocation, "--label: `%s` is not KEY=VALUE",
                              text);
            return false;
        }
    }
    return true;
}

/* "key=value" of a --disk. */
static bool set_disk(struct invocation *invocation, Holdfast__V1__Disk *disk,
                     const char *pair)
{
    const ProtobufCMessageDescriptor *descriptor = disk->base.descriptor;
    const char *equals = strchr(pair, '=');
    struct similar similar;
    const char *key;

    if (equals == NULL) {
        (void)usage_error(invocation, "--disk: `%s` is not KEY=VALUE", pair);
        return false;
    }
    key = request_copy(invocation, pair, (size_t)(equals - pair));
    if (protobuf_c_message_descriptor_get_field_by_name(descriptor, key) !=
        NULL) {
        return request_set(invocation, &disk->base, key, equals + 1, "--disk");
    }
    similar_init(&similar, key);
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        similar_offer(&similar, descriptor->fields[i].name);
    }
    (void)usage_error(invocation,
                      "--disk: unknown key `%s`; it takes kind, pool, path, "
                      "image, read_only%s%s%s",
                      key, similar.best == NULL ? "" : "; did you mean `",
                      similar.best == NULL ? "" : similar.best,
                      similar.best == NULL ? "" : "`?");
    return false;
}

static bool read_disk(struct invocation *invocation, const char *text,
                      Holdfast__V1__Disk *disk)
{
    while (text[0] != '\0') {
        size_t len = strcspn(text, ",");

        if (!set_disk(invocation, disk, request_copy(invocation, text, len))) {
            return false;
        }
        text += len + (text[len] == ',');
    }
    if (disk->kind == HOLDFAST__V1__DISK_KIND__DISK_KIND_UNSPECIFIED) {
        disk->kind = disk->pool[0] != '\0'
                         ? HOLDFAST__V1__DISK_KIND__DISK_KIND_SHARED
                         : HOLDFAST__V1__DISK_KIND__DISK_KIND_EPHEMERAL;
    }
    return true;
}

bool disks_apply_options(struct invocation *invocation,
                         Holdfast__V1__VmTemplate *template)
{
    const char *text;

    for (size_t i = 0; (text = arguments_value_at(invocation->arguments,
                                                  OPTION_DISK, i)) != NULL;
         i++) {
        size_t count = template->n_disks;
        Holdfast__V1__Disk **disks =
            request_alloc(invocation, (count + 1) * sizeof(template->disks[0]));

        if (count > 0) {
            memcpy(disks, template->disks, count * sizeof(disks[0]));
        }
        disks[count] =
            (void *)request_create(invocation, &holdfast__v1__disk__descriptor);
        if (!read_disk(invocation, text, disks[count])) {
            return false;
        }
        template->disks = disks;
        template->n_disks++;
    }
    return true;
}
