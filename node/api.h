/* SPDX-License-Identifier: Apache-2.0
 *
 * The public API without its wire: each method as a pure function from a
 * request and a state to a reply. Mutations are decided inside a turn, reads
 * after one. node/service.c carries them over gRPC. */
#ifndef NODE_API_H
#define NODE_API_H

#include "base/arena.h"
#include "base/bytes.h"
#include "node/access.h"
#include "node/api_errors.h"
#include "node/lease.h"
#include "node/turn.h"

#include <protobuf-c/protobuf-c.h>

/* What goes back. `response` is an encoded message of the method's output
 * type; only if code is RPC_OK. */
struct api_reply {
    enum rpc_code code;
    const char *reason; /* Of the registry; NULL if ok. */
    char message[512];
    struct bytes response;
    /* The same for repeats of the request, without the VM's template: it would
     * be kept 65,536 times, and the VM still has it. */
    struct bytes remembered;
    bool remembering; /* Such a copy is wanted. */
    /* The caller says that an attempt with the same request id came before, of
     * which it knows nothing. When such a one is refused, the refusal is kept
     * with the id: the former attempt may still arrive, and must not have an
     * effect that its caller was told not to expect. `kept`: so it was. */
    bool repetition;
    bool kept;
    /* The method made its own audit record: of what only begins here. */
    bool recorded;
    /* Of the response: the operation that was begun, or "". */
    char operation_id[128];
    /* Who asks, lent; NULL: somebody who may do everything. */
    const struct access_subject *caller;
    /* This node's wall clock when it decides whether he may; 0 where a turn's
     * stamp counts. See access.h. */
    uint64_t wall_ms;
};

void api_reply_init(struct api_reply *reply);
void api_reply_close(struct api_reply *reply);

/* Fails with the registry's code and reason and a message for people: what,
 * where, why, what to do. The first failure counts. */
void api_fail(struct api_reply *reply, enum api_error error, const char *format,
              ...) __attribute__((format(printf, 3, 4)));

/* The same in the registry's own words. */
void api_fail_plainly(struct api_reply *reply, enum api_error error);

struct page_book;
struct applies_look;

/* What a read looks at. */
struct api_view {
    const struct state *state;
    const struct leases *leases; /* NULL on a node that does not lead. */
    struct placer *placer;       /* Knows `state`; NULL: nobody here does. */
    uint64_t now_ms;             /* Boot clock. */
    uint64_t age_ms;             /* 0 for a linearizable read. */
    struct arena *arena;         /* For the response's parts. */
    struct plan_book *plans;     /* NULL on a node that does not lead. */
    struct page_book *pages;     /* NULL: nothing is kept for listings. */
};

struct plan_job;

/* What is worked out in slices between turns, once a turn has proved that this
 * node leads. */
struct api_job {
    /* Says what: the job's action or classes. False when the reply has failed.
     */
    bool (*begin)(const ProtobufCMessage *request, const struct api_view *view,
                  struct plan_job *job, struct api_reply *reply);
    /* It is worked out. */
    void (*answer)(const ProtobufCMessage *request, const struct api_view *view,
                   const struct plan_job *job, struct api_reply *reply);
};

struct api_method {
    const char *path; /* "/holdfast.v1.VmService/CreateVm" */
    const ProtobufCMessageDescriptor *input;
    const ProtobufCMessageDescriptor *output;
    /* One of the three. */
    void (*mutate)(const ProtobufCMessage *request, struct turn_plan *plan,
                   struct api_reply *reply);
    void (*read)(const ProtobufCMessage *request, const struct api_view *view,
                 struct api_reply *reply);
    const struct api_job *job;
    /* A read that waits first: how long it may, as of this state; 0: it can be
     * answered, or has failed. `look`: how far the looks before came, zero at
     * the first. NULL: none. */
    uint32_t (*wait_ms)(const ProtobufCMessage *request,
                        const struct state *state, struct applies_look *look,
                        struct api_reply *reply);
    enum permission permission;
    bool of_leader; /* A read that only the leader can answer. */
};

/* All methods of the region's state, ended by one without a path. */
extern const struct api_method api_methods[];

/* Decides a mutation in a turn, if its caller may: dry_run on a clone of its
 * own; a repeated request_id gets the first answer. */
void api_mutate(const struct api_method *method,
                const ProtobufCMessage *request, struct turn_plan *plan,
                struct api_reply *reply);

/* Answers a read, if its caller may. */
void api_read(const struct api_method *method, const ProtobufCMessage *request,
              const struct api_view *view, struct api_reply *reply);

/* Whether the request allows an answer from this node's own state. */
bool api_is_stale_read(const ProtobufCMessage *request);

/* Whether its consistency is one that there is; else the reply has failed. */
bool api_check_consistency(struct api_reply *reply,
                           const ProtobufCMessage *request);

/* Who asks, as AuditRecord.caller has it. */
void api_caller_text(const struct state *state, const struct api_reply *reply,
                     char text[ACCESS_SUBJECT_TEXT_BYTES]);

/* Keeps `reply->remembered` for repeats of the request, whose id is new. */
void api_remember(const struct api_method *method,
                  const ProtobufCMessage *request, struct turn_plan *plan,
                  const struct api_reply *reply);

/* Packs the response. */
void api_respond(struct api_reply *reply, const ProtobufCMessage *response);

/* What repeats of the request get instead; after api_respond(). */
void api_respond_again(struct api_reply *reply,
                       const ProtobufCMessage *response);

/* What this code packed, again; in the arena, which has room. */
ProtobufCMessage *api_unpack(const ProtobufCMessageDescriptor *kind,
                             const void *data, size_t len, struct arena *arena);

/* Brings all maps within the message, which have no order, into one: pointers
 * to their entries are exchanged. */
void api_sort_maps(const ProtobufCMessage *message);

/* One function a method; node/api_*.c. */
void api_create_vm(const ProtobufCMessage *request, struct turn_plan *plan,
                   struct api_reply *reply);
void api_batch_create_vms(const ProtobufCMessage *request,
                          struct turn_plan *plan, struct api_reply *reply);
void api_get_vm(const ProtobufCMessage *request, const struct api_view *view,
                struct api_reply *reply);
void api_list_vms(const ProtobufCMessage *request, const struct api_view *view,
                  struct api_reply *reply);
void api_update_vm(const ProtobufCMessage *request, struct turn_plan *plan,
                   struct api_reply *reply);
void api_move_vm(const ProtobufCMessage *request, struct turn_plan *plan,
                 struct api_reply *reply);
void api_start_vm(const ProtobufCMessage *request, struct turn_plan *plan,
                  struct api_reply *reply);
void api_stop_vm(const ProtobufCMessage *request, struct turn_plan *plan,
                 struct api_reply *reply);
void api_delete_vm(const ProtobufCMessage *request, struct turn_plan *plan,
                   struct api_reply *reply);
void api_create_zone(const ProtobufCMessage *request, struct turn_plan *plan,
                     struct api_reply *reply);
void api_get_zone(const ProtobufCMessage *request, const struct api_view *view,
                  struct api_reply *reply);
void api_list_zones(const ProtobufCMessage *request,
                    const struct api_view *view, struct api_reply *reply);
void api_cordon_zone(const ProtobufCMessage *request, struct turn_plan *plan,
                     struct api_reply *reply);
void api_uncordon_zone(const ProtobufCMessage *request, struct turn_plan *plan,
                       struct api_reply *reply);
void api_create_class(const ProtobufCMessage *request, struct turn_plan *plan,
                      struct api_reply *reply);
void api_update_class(const ProtobufCMessage *request, struct turn_plan *plan,
                      struct api_reply *reply);
void api_list_classes(const ProtobufCMessage *request,
                      const struct api_view *view, struct api_reply *reply);
void api_delete_class(const ProtobufCMessage *request, struct turn_plan *plan,
                      struct api_reply *reply);
void api_get_host(const ProtobufCMessage *request, const struct api_view *view,
                  struct api_reply *reply);
void api_list_hosts(const ProtobufCMessage *request,
                    const struct api_view *view, struct api_reply *reply);
void api_cordon_host(const ProtobufCMessage *request, struct turn_plan *plan,
                     struct api_reply *reply);
void api_uncordon_host(const ProtobufCMessage *request, struct turn_plan *plan,
                       struct api_reply *reply);
void api_declare_host_dead(const ProtobufCMessage *request,
                           struct turn_plan *plan, struct api_reply *reply);
void api_drain_host(const ProtobufCMessage *request, struct turn_plan *plan,
                    struct api_reply *reply);
void api_cancel_drain_host(const ProtobufCMessage *request,
                           struct turn_plan *plan, struct api_reply *reply);
void api_drain_zone(const ProtobufCMessage *request, struct turn_plan *plan,
                    struct api_reply *reply);
void api_cancel_drain_zone(const ProtobufCMessage *request,
                           struct turn_plan *plan, struct api_reply *reply);
void api_create_group(const ProtobufCMessage *request, struct turn_plan *plan,
                      struct api_reply *reply);
void api_get_group(const ProtobufCMessage *request, const struct api_view *view,
                   struct api_reply *reply);
void api_list_groups(const ProtobufCMessage *request,
                     const struct api_view *view, struct api_reply *reply);
void api_update_group(const ProtobufCMessage *request, struct turn_plan *plan,
                      struct api_reply *reply);
void api_scale_group(const ProtobufCMessage *request, struct turn_plan *plan,
                     struct api_reply *reply);
void api_delete_group(const ProtobufCMessage *request, struct turn_plan *plan,
                      struct api_reply *reply);
void api_create_reservation(const ProtobufCMessage *request,
                            struct turn_plan *plan, struct api_reply *reply);
void api_list_reservations(const ProtobufCMessage *request,
                           const struct api_view *view,
                           struct api_reply *reply);
void api_update_reservation(const ProtobufCMessage *request,
                            struct turn_plan *plan, struct api_reply *reply);
void api_delete_reservation(const ProtobufCMessage *request,
                            struct turn_plan *plan, struct api_reply *reply);
void api_get_settings(const ProtobufCMessage *request,
                      const struct api_view *view, struct api_reply *reply);
void api_update_settings(const ProtobufCMessage *request,
                         struct turn_plan *plan, struct api_reply *reply);

void api_create_grant(const ProtobufCMessage *request, struct turn_plan *plan,
                      struct api_reply *reply);
void api_list_grants(const ProtobufCMessage *request,
                     const struct api_view *view, struct api_reply *reply);
void api_update_grant(const ProtobufCMessage *request, struct turn_plan *plan,
                      struct api_reply *reply);
void api_delete_grant(const ProtobufCMessage *request, struct turn_plan *plan,
                      struct api_reply *reply);
void api_can_i(const ProtobufCMessage *request, const struct api_view *view,
               struct api_reply *reply);
void api_list_audit_records(const ProtobufCMessage *request,
                            const struct api_view *view,
                            struct api_reply *reply);
void api_export_audit_records(const ProtobufCMessage *request,
                              const struct api_view *view,
                              struct api_reply *reply);
void api_create_join_token(const ProtobufCMessage *request,
                           struct turn_plan *plan, struct api_reply *reply);
void api_list_join_tokens(const ProtobufCMessage *request,
                          const struct api_view *view, struct api_reply *reply);
void api_delete_join_token(const ProtobufCMessage *request,
                           struct turn_plan *plan, struct api_reply *reply);
/* The certificate is not in its answer yet: node_join_sign(). */
void api_join_host(const ProtobufCMessage *request, struct turn_plan *plan,
                   struct api_reply *reply);
void api_apply_manifest(const ProtobufCMessage *request, struct turn_plan *plan,
                        struct api_reply *reply);

void api_get_plan(const ProtobufCMessage *request, const struct api_view *view,
                  struct api_reply *reply);
void api_apply_plan(const ProtobufCMessage *request, struct turn_plan *plan,
                    struct api_reply *reply);
extern const struct api_job api_make_plan;
extern const struct api_job api_get_capacity;

void api_get_operation(const ProtobufCMessage *request,
                       const struct api_view *view, struct api_reply *reply);
void api_list_operations(const ProtobufCMessage *request,
                         const struct api_view *view, struct api_reply *reply);
void api_wait_operation(const ProtobufCMessage *request,
                        const struct api_view *view, struct api_reply *reply);
uint32_t api_wait_operation_ms(const ProtobufCMessage *request,
                               const struct state *state,
                               struct applies_look *look,
                               struct api_reply *reply);
void api_cancel_operation(const ProtobufCMessage *request,
                          struct turn_plan *plan, struct api_reply *reply);

#endif
