/* SPDX-License-Identifier: Apache-2.0
 *
 * A node on the test's own loop that does what a test wants of it, and the
 * client's side of such tests. */
#ifndef TESTS_CLIENT_UV_NODE_H
#define TESTS_CLIENT_UV_NODE_H

#include "base/list.h"
#include "rpc/server.h"

#include <holdfast/holdfast_uv.h>

struct uv_node {
    struct rpc_service service;
    struct rpc_method methods[3]; /* GetVm, CreateVm, Watch. */
    struct rpc_server *server;
    struct rpc_server_close close;
    uv_loop_t *loop;
    struct list watchers;
    /* What it does from now on. */
    const char *pushback; /* Refuses with this grpc-retry-pushback-ms; NULL:
                           * without. */
    uint64_t oldest;      /* Watches from before are OUT_OF_RANGE. */
    uint64_t revision;    /* Watches are told events up to here. */
    int fail;             /* So many calls get `fail_code`. */
    enum rpc_code fail_code;
    bool silent;  /* Calls get no answer. */
    bool garbled; /* Answers are no messages. */
    bool empty;   /* Answers hold none. */
    /* What it has seen. */
    uint64_t after_revision;
    int calls;
    int open;
    int watches;
    int closed;
    char endpoint[32];
    char request_id[HF_REQUEST_ID_MAX + 1];
    char previous[16];
    char authorization[80];
};

/* Listens on 127.0.0.1, with `tls` (lent) or plain; or where another node did
 * before it. */
void uv_node_start(struct uv_node *node, uv_loop_t *loop, struct tls *tls);
void uv_node_start_at(struct uv_node *node, uv_loop_t *loop, struct tls *tls,
                      const char *address);

/* Tells its watchers of all events up to the revision. */
void uv_node_publish(struct uv_node *node, uint64_t revision);

/* Cuts all that is open; uv_node_stop() waits for the end, uv_node_leave()
 * lets calls that are open go on for ever and does not wait. */
void uv_node_stop(struct uv_node *node);
void uv_node_leave(struct uv_node *node);

/* A region of two nodes and a client of both. */
struct uv_region {
    uv_loop_t loop;
    struct uv_node nodes[2];
    struct hf_uv_client *client;
};
void uv_region_start(struct uv_region *region);

/* Closes the client first, if there is one; no call may be left at a node. */
void uv_region_stop(struct uv_region *region);

/* Runs the loop until the number is reached; a test that hangs is ended by its
 * alarm(). */
void run_until(uv_loop_t *loop, const int *number, int reached);

/* How a call ended. */
struct outcome {
    struct hf_uv_call call;
    int told;
    struct hf_status status;
    char name[128]; /* Of the VM that was the answer. */
};
void outcome_take(struct hf_uv_call *call, const struct hf_status *status,
                  ProtobufCMessage *response);

/* GetVm for a name; CreateVm for one. */
enum hf_code get_vm(struct hf_uv_client *client, struct outcome *outcome,
                    const char *name, uint32_t timeout_ms);
enum hf_code create_vm(struct hf_uv_client *client, struct outcome *outcome,
                       const char *name);

/* Closes the client and waits for it; and the loop, with all that is left. */
void close_client(struct hf_uv_client *client, uv_loop_t *loop);
void close_loop(uv_loop_t *loop);

#endif
