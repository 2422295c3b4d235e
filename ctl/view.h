/* SPDX-License-Identifier: Apache-2.0
 *
 * How each kind of object looks to a person: as a row of a list, and in full.
 * Pure: times come as arguments. */
#ifndef CTL_VIEW_H
#define CTL_VIEW_H

#include "ctl/grid.h"
#include "holdfast/v1/resources.pb-c.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

struct view_options {
    bool wide;
    bool unprotected; /* VMs: with the reason why they are not protected. */
    bool stale;       /* What the leader alone knows is not in the messages. */
    uint64_t now_ms;  /* Wall clock, for ages. */
};

struct view {
    const ProtobufCMessageDescriptor *descriptor;
    const char *noun;
    void (*columns)(struct grid *grid, const struct view_options *options);
    void (*row)(struct grid *grid, const ProtobufCMessage *message,
                const struct view_options *options);
    /* Into a table of two columns, see view_detail(). */
    void (*details)(struct grid *grid, const ProtobufCMessage *message,
                    const struct view_options *options);
};

extern const struct view view_vm;
extern const struct view view_host;
extern const struct view view_zone;
extern const struct view view_class;
extern const struct view view_node;
extern const struct view view_group;
extern const struct view view_reservation;
extern const struct view view_grant;
extern const struct view view_audit;
extern const struct view view_join_token;
extern const struct view view_operation;

/* The view of a message; NULL: there is none. */
const struct view *view_find(const ProtobufCMessageDescriptor *descriptor);

/* A table for details: two columns, written without a header. */
void view_detail_columns(struct grid *grid);
void view_detail(struct grid *grid, const char *label, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "a=b,c=d" in order of keys; of any message with `labels`, or with another map
 * of strings. */
void view_labels(const ProtobufCMessage *message, char *text, size_t size);
void view_map(const ProtobufCMessage *message, const char *field, char *text,
              size_t size);

/* "2 CPU, 4 GiB memory, 20 GiB disk, 1 GPU, 2 licences"; NULL: "-". */
void view_size(const Holdfast__V1__Resources *size, char *text,
               size_t text_size);

/* "1 GPU, 2 licences": what is counted beside CPU, memory and disk. */
void view_extras(const Holdfast__V1__Resources *size, char *text,
                 size_t text_size);

/* Rows on how a VM is started. */
void view_template(struct grid *grid, const Holdfast__V1__VmTemplate *template);

/* "7" and "s": 1 VM, 2 VMs. */
const char *plural(uint64_t count);

/* "running", "pending (no_capacity)", "moving", ... with its colour. */
struct view_state {
    char text[96];
    enum colour colour;
};

struct view_state view_vm_state(const ProtobufCMessage *vm);
struct view_state view_host_state(const ProtobufCMessage *host);
struct view_state view_zone_state(const ProtobufCMessage *zone);
struct view_state view_group_state(const ProtobufCMessage *group);

/* "yes", "no: local_disk", or "-" when it has no host or it is not known. */
struct view_state view_vm_protection(const ProtobufCMessage *vm, bool stale);

/* "ok", "12 unplaceable", or "-" while it is not known. */
struct view_state view_zone_headroom(const ProtobufCMessage *zone);

/* The string in the field of that name; "" when it has none. */
const char *view_string(const ProtobufCMessage *message, const char *name);

#endif
