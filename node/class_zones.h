/* SPDX-License-Identifier: Apache-2.0
 *
 * VMs in zones that no longer offer their class: they stay until they are
 * moved, and whoever takes a zone away is told of them. Pure. */
#ifndef NODE_CLASS_ZONES_H
#define NODE_CLASS_ZONES_H

#include "state/state.h"

#include <stddef.h>

/* How many VMs of the class have a host where it is not offered. Looks at all
 * VMs if the class is not offered everywhere. `text`: a sentence for people
 * about them, of at most `size` bytes with the NUL; empty if there are none. */
uint32_t class_zones_outside(const struct state *state,
                             const struct class *class, char *text,
                             size_t size);

#endif
