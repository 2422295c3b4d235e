/* SPDX-License-Identifier: Apache-2.0
 *
 * A region's objects while they are read: pages of lists first, then the events
 * that came meanwhile, until all of it is as of one revision. Pure. */
#ifndef CTL_FLEET_H
#define CTL_FLEET_H

#include "base/map.h"
#include "ctl/event.h"
#include "holdfast/v1/manifest.pb-c.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

enum fleet_kind {
    FLEET_ZONE,
    FLEET_CLASS,
    FLEET_HOST,
    FLEET_VM,
    FLEET_GROUP,
    FLEET_RESERVATION,
    FLEET_GRANT,
    FLEET_KINDS
};

struct fleet {
    struct map objects[FLEET_KINDS]; /* By uid; owned. */
    uint64_t now_ms;                 /* Grants that end before are left out. */
    Holdfast__V1__Settings *settings;
    /* Of the oldest and the newest answer; 0, 0: none came. All of it is as of
     * `newest` when every event in between was put in. */
    uint64_t oldest;
    uint64_t newest;
    bool answered;
};

void fleet_init(struct fleet *fleet);
void fleet_close(struct fleet *fleet);

/* Takes the objects out of an answer to one of the lists, or to GetSettings,
 * which stays its owner's. Of two states of one object the newer one stays. */
void fleet_take(struct fleet *fleet, ProtobufCMessage *response);

/* Lists show groups without their templates, so each is asked for when all else
 * is here. The groups in any order; the array is the caller's, each group is
 * lent until fleet_take_group() replaces it. */
const Holdfast__V1__Group **fleet_groups(const struct fleet *fleet,
                                         size_t *count);

/* Takes a group out of GetGroup's answer in place of what the list said. False:
 * it is another group, or has changed since. */
bool fleet_take_group(struct fleet *fleet, ProtobufCMessage *response);

/* Puts in what changed; copied. Events beyond `newest` are passed over. */
void fleet_change(struct fleet *fleet, const struct event_view *event);

/* The fields of each object that a manifest has: those that a person writes
 * and, if `facts`, those that the region alone can say. Sums over other objects
 * and what the leader keeps in memory are in none. */
struct fleet_fields {
    const ProtobufCMessageDescriptor *descriptor;
    const char *wishes; /* Names, parted by one blank. */
    const char *facts;
    const char *left_out;
};

extern const struct fleet_fields fleet_fields[];
extern const size_t fleet_fields_count;

/* Moves all of it into a manifest, in order of names, labels in order of keys.
 * VMs and groups that are being deleted, members that were made from a group's
 * template, and grants that have ended, only with the facts; tokens not at all.
 * Free it with hf_message_free(). */
Holdfast__V1__Manifest *fleet_manifest(struct fleet *fleet, bool facts);

#endif
