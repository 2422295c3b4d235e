/* SPDX-License-Identifier: Apache-2.0
 *
 * Records as the messages that clients see. Everything is allocated from the
 * arena or lent from the state, and lives as long as the shorter of both. */
#ifndef NODE_VIEW_H
#define NODE_VIEW_H

#include "base/arena.h"
#include "node/lease.h"
#include "state/state.h"

#include <holdfast/v1/resources.pb-c.h>

Holdfast__V1__Zone *view_zone(struct arena *arena, const struct state *state,
                              const struct zone *zone);
Holdfast__V1__Class *view_class(struct arena *arena, const struct state *state,
                                const struct class *class);

/* `leases` may be NULL: then the host's lease is left out. */
Holdfast__V1__Host *view_host(struct arena *arena, const struct state *state,
                              const struct host *host,
                              const struct leases *leases, uint64_t now_ms);

/* A PENDING VM's message is worked out with `explain`, which costs a look at
 * every host; lists leave it out. */
Holdfast__V1__Vm *view_vm(struct arena *arena, const struct state *state,
                          const struct vm *vm, bool explain);
Holdfast__V1__Settings *view_settings(struct arena *arena,
                                      const struct settings *settings);

/* The arena for protobuf-c. */
void *view_alloc(struct arena *arena, size_t size);

/* A copy that ends with a NUL. */
char *view_text(struct arena *arena, struct text text);

#endif
