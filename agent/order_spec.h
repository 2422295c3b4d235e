/* SPDX-License-Identifier: Apache-2.0
 *
 * From an order and this host's configuration to what a driver runs: names of
 * images and pools become paths of this host, `{name}`, `{uid}`, `{epoch}` and
 * `{disk0}` become what they stand for. A path never leaves its directory. */
#ifndef AGENT_ORDER_SPEC_H
#define AGENT_ORDER_SPEC_H

#include "agent/vm_spec.h"

#include <holdfast/v1/agent_service.pb-c.h>
#include <holdfast/v1/config.pb-c.h>

#define ORDER_GRACE_MS     10000 /* When the template does not say. */
#define ORDER_GRACE_MS_MAX 600000

/* Where ephemeral disks lie, below the state directory. */
#define ORDER_DISKS_DIR "disks"

struct order_error {
    char reason[VM_SPEC_NAME_MAX + 192 + 1]; /* A sentence for people. */
};

/* 0, and the caller closes the spec; else INVALID, NOT_FOUND (an image or pool
 * is not on this host) or TOO_LARGE, and `error` says why. */
int order_spec(struct vm_spec *spec, const Holdfast__V1__Order *order,
               const Holdfast__V1__AgentConfig *config,
               struct order_error *error);

/* `keep` and the grace of an order, with their defaults. */
bool order_keeps(const Holdfast__V1__Order *order);
uint32_t order_grace_ms(const Holdfast__V1__Order *order);

/* Replaces what stands in braces and appends the result and a NUL. Braces with
 * anything else in them stay as they are: shells and JSON use them too. With
 * `spec` disks are known as well. */
struct order_names {
    const char *name;
    uint64_t uid;
    uint64_t epoch;
    const struct vm_spec *spec;
};
void order_expand(const char *text, const struct order_names *names,
                  struct bytes *out);

/* Whether a path is relative, not empty, and free of `..`, `.` and empty
 * parts. */
bool order_path_is_inside(const char *path);

#endif
