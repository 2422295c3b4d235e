/* SPDX-License-Identifier: Apache-2.0
 *
 * The API's methods against a real turn whose log commits at once. Requests are
 * written as YAML, answers read as JSON, so that a case is a line. */
#ifndef SUPPORT_DESK_H
#define SUPPORT_DESK_H

#include "node/api.h"
#include "node/page_book.h"

struct desk {
    struct turn_log log;
    struct state *state;
    const struct state *applied;
    struct turn turn;
    struct leases leases;
    struct page_book pages;
    struct bytes entry;
    struct api_reply reply;
    struct bytes json; /* The last answer, with a NUL. */
    uint64_t now_ms;
    uint64_t wall_ms; /* What reads are told of the wall clock; 0: nothing. */
    const struct access_subject *caller; /* NULL: may do everything. */
    bool repetition; /* What is called says that it is one. */
};

/* Leads a region of zones z1, z2 and z3 with hosts h1, h2 and h3 of 8 CPUs and
 * 8 GiB, drivers qemu and exec, the pool "pool"; and the class "small" of one
 * CPU and 1 GiB. */
struct desk *desk_create(void);
void desk_destroy(struct desk *desk);

/* The same without zones, hosts and classes; and that class. */
struct desk *desk_create_empty(void);
void desk_class(struct desk *desk);

/* A method by its name, which is served. */
const struct api_method *desk_method(const char *name);

/* Another host like these; `named` as "name=amount", or NULL. */
void desk_host(struct desk *desk, const char *name, const char *zone,
               const char *named);

/* A change of somebody else's. */
void desk_apply(struct desk *desk, const struct change *change);

/* A turn in which this decides. */
struct desk_decision {
    void (*decide)(struct desk_decision *decision, struct turn_plan *plan);
};
void desk_decide(struct desk *desk, struct desk_decision *decision);

/* Works out what is worked out between turns. */
void desk_settle(struct desk *desk);

/* Carries out the method ("CreateGroup"), which must succeed; its answer, lent
 * until the next call. */
const char *desk_ok(struct desk *desk, const char *method, const char *yaml);

/* The same, and it must be refused with this reason and a message in which the
 * words stand; nothing changes. */
void desk_refused(struct desk *desk, const char *method, const char *yaml,
                  const char *reason, const char *words);

/* The same with a message, whatever becomes of it: desk->reply says. */
void desk_send(struct desk *desk, const char *method,
               const ProtobufCMessage *message);

/* Two mutations in one turn, as when both come while another is under way; the
 * caller closes the replies. */
void desk_send_pair(struct desk *desk, const char *method,
                    const ProtobufCMessage *first,
                    const ProtobufCMessage *second,
                    struct api_reply replies[2]);

/* Applies a manifest of that many VMs, "vm-0" and so on, of class small and of
 * one template with this command. */
void desk_apply_vms(struct desk *desk, size_t count, char *program);

/* Fails the test unless the words stand in the last answer. */
void desk_says(const struct desk *desk, const char *words);
void desk_says_not(const struct desk *desk, const char *words);

const struct vm *desk_vm(const struct desk *desk, const char *name);
const struct group *desk_group(const struct desk *desk, const char *name);

#endif
