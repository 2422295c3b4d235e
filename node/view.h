/* SPDX-License-Identifier: Apache-2.0
 *
 * Records as the messages that clients see. Everything is allocated from the
 * arena or lent from the state, and lives as long as the shorter of both. What
 * is worked out rather than read needs a placer that knows the state; without
 * one (NULL: a node that does not lead, a turn in flight) it is left out. */
#ifndef NODE_VIEW_H
#define NODE_VIEW_H

#include "base/arena.h"
#include "node/lease.h"
#include "placement/placement.h"
#include "state/state.h"

#include <holdfast/v1/access_service.pb-c.h>
#include <holdfast/v1/join_service.pb-c.h>
#include <holdfast/v1/resources.pb-c.h>

Holdfast__V1__Zone *view_zone(struct arena *arena, const struct state *state,
                              const struct zone *zone,
                              const struct placer *placer);
Holdfast__V1__Class *view_class(struct arena *arena, const struct state *state,
                                const struct class *class);

/* `leases` may be NULL: then the host's lease is left out. */
Holdfast__V1__Host *view_host(struct arena *arena, const struct state *state,
                              const struct host *host,
                              const struct leases *leases, uint64_t now_ms);

/* A PENDING VM's message is worked out with `explain`; without a placer that
 * costs a look at every host, so lists leave it out. */
Holdfast__V1__Vm *view_vm(struct arena *arena, const struct state *state,
                          const struct vm *vm, bool explain,
                          struct placer *placer);

/* GROUP_BRIEF: from the record alone, for events; the others walk over the
 * members. */
enum view_group_parts { GROUP_BRIEF, GROUP_STATUS, GROUP_ALL };
Holdfast__V1__Group *view_group(struct arena *arena, const struct state *state,
                                const struct group *group,
                                enum view_group_parts parts);

Holdfast__V1__Reservation *view_reservation(
    struct arena *arena, const struct state *state,
    const struct reservation *reservation, const struct placer *placer);

Holdfast__V1__Grant *view_grant(struct arena *arena, const struct state *state,
                                const struct grant *grant);

/* Without anything of the secret. */
Holdfast__V1__JoinToken *view_join_token(struct arena *arena,
                                         const struct state *state,
                                         const struct join_token *token);

/* Of all kinds, as one. */
Holdfast__V1__Settings *view_settings(struct arena *arena,
                                      const struct state *state);
/* Of such, without a revision and with the default of what is audited. */
Holdfast__V1__Settings *view_both_settings(struct arena *arena,
                                           const struct settings *settings,
                                           const struct policy *policy);
uint64_t view_settings_revision(const struct state *state);

/* "class 'small'", or "size cpu_milli 2000, ..." of a custom one. */
void view_class_words(const struct state *state, const struct class *class,
                      char *words, size_t size);

/* --- Parts ---------------------------------------------------------------- */

Holdfast__V1__Resources *view_resources(struct arena *arena,
                                        const struct state *state,
                                        const struct resources *resources,
                                        const struct amounts *named);
Holdfast__V1__VmTemplate *view_template(struct arena *arena,
                                        struct text encoded);

/* Encoded labels as the entries of a map<string, string>: an array of pointers,
 * whose type is that of `prototype`, an entry without content. */
void *view_map(struct arena *arena, struct text encoded, const void *prototype,
               size_t *count);

/* The arena for protobuf-c. */
void *view_alloc(struct arena *arena, size_t size);

/* Copies that end with a NUL. */
char *view_text(struct arena *arena, struct text text);
char *view_string(struct arena *arena, const char *string);

#endif
