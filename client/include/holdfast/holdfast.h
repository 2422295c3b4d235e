/* SPDX-License-Identifier: Apache-2.0
 *
 * libholdfast: the C client of Holdfast. Calls any method of the public API
 * (holdfast/v1, the .proto files) with protobuf-c messages, over all nodes of
 * a region: when one is down the next is asked, retries are safe because
 * mutations carry a request id, and one deadline covers all attempts.
 *
 * Every function blocks. A client is for one thread at a time; make one a
 * thread. The library prints nothing and reads no environment. */
#ifndef HOLDFAST_H
#define HOLDFAST_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HF_API __attribute__((visibility("default")))
#else
#define HF_API
#endif

/* gRPC's status codes, by their numbers. */
enum hf_code {
    HF_STATUS_OK = 0,
    HF_STATUS_CANCELLED = 1,
    HF_STATUS_UNKNOWN = 2,
    HF_STATUS_INVALID_ARGUMENT = 3,
    HF_STATUS_DEADLINE_EXCEEDED = 4,
    HF_STATUS_NOT_FOUND = 5,
    HF_STATUS_ALREADY_EXISTS = 6,
    HF_STATUS_PERMISSION_DENIED = 7,
    HF_STATUS_RESOURCE_EXHAUSTED = 8,
    HF_STATUS_FAILED_PRECONDITION = 9,
    HF_STATUS_ABORTED = 10,
    HF_STATUS_OUT_OF_RANGE = 11,
    HF_STATUS_UNIMPLEMENTED = 12,
    HF_STATUS_INTERNAL = 13,
    HF_STATUS_UNAVAILABLE = 14,
    HF_STATUS_DATA_LOSS = 15,
    HF_STATUS_UNAUTHENTICATED = 16
};

/* "UNAVAILABLE"; never NULL. */
HF_API const char *hf_code_name(enum hf_code code);

#define HF_MESSAGE_MAX    1024
#define HF_REQUEST_ID_MAX 64
#define HF_REASON_MAX     64

struct hf_status {
    enum hf_code code;
    /* How often the call was sent or tried to be sent. */
    unsigned attempts;
    /* A node may have seen it. */
    bool was_sent;
    /* The mutation's request id, given or generated; empty for reads. When the
     * code is UNAVAILABLE or DEADLINE_EXCEEDED and it was sent, the outcome is
     * not known: the same request with this id can be sent again, and takes
     * effect once. */
    char request_id[HF_REQUEST_ID_MAX + 1];
    /* Which rule said no, as a word for programs ("headroom"); often empty. */
    char reason[HF_REASON_MAX + 1];
    /* A sentence for people; for UNAVAILABLE, from the last endpoint asked. */
    char message[HF_MESSAGE_MAX];
};

/* ---- A client ---- */

#define HF_ENDPOINTS_MAX 16

struct hf_client;

/* Opens a client for "host:port[,host:port...]", at most HF_ENDPOINTS_MAX; does
 * not connect yet. NULL: the list is not of that form; `status` says why. */
HF_API struct hf_client *hf_client_open(const char *endpoints,
                                        struct hf_status *status);

/* Closes connections and frees the client; NULL is fine. Close its watches
 * first. */
HF_API void hf_client_close(struct hf_client *client);

/* Paths of PEM files: the authority of the region's nodes, and the client's own
 * certificate and key (NULL: none; the nodes then answer UNAUTHENTICATED). */
struct hf_tls {
    const char *ca;
    const char *certificate;
    const char *key;
};

/* Reaches the nodes by mutual TLS from now on; each must have a certificate of
 * the authority that is valid for its endpoint's host. Once, before the first
 * call. INVALID_ARGUMENT: a file is not in order; `status` says which and why.
 * A key that others can read is refused. */
HF_API enum hf_code hf_client_use_tls(struct hf_client *client,
                                      const struct hf_tls *files,
                                      struct hf_status *status);

/* When certificates end, seconds since 1970; 0: there is none. The client's
 * own, and that of the node which was connected to last, as it showed it. */
HF_API uint64_t hf_client_certificate_end(const struct hf_client *client);
HF_API uint64_t hf_client_node_certificate_end(const struct hf_client *client);

/* Sends this token ("hf_" and 64 hexadecimal digits) with each call from now
 * on, as `authorization: Bearer`. After hf_client_use_tls(), if at all;
 * FAILED_PRECONDITION without TLS unless all endpoints are this machine's.
 * INVALID_ARGUMENT: it has not that form. */
HF_API enum hf_code hf_client_use_token(struct hf_client *client,
                                        const char *token,
                                        struct hf_status *status);

/* How long a call may take over all attempts. Default 10,000; at least 1. */
HF_API void hf_client_set_timeout(struct hf_client *client,
                                  uint32_t timeout_ms);

/* The endpoints in the order given, and what went wrong when each was last
 * asked (empty: nothing). Lent until the next call. */
HF_API size_t hf_client_endpoint_count(const struct hf_client *client);
HF_API const char *hf_client_endpoint(const struct hf_client *client,
                                      size_t index);
HF_API const char *hf_client_endpoint_error(const struct hf_client *client,
                                            size_t index);

/* ---- Calls ---- */

/* The request and response messages of "VmService/CreateVm"; NULL: no such
 * method. */
HF_API const ProtobufCMethodDescriptor *hf_method_find(const char *method);

/* Makes a unary call. `request` must be the method's input message; if it has
 * an empty `request_id`, one is generated for it (the message is not changed).
 * On HF_STATUS_OK `*response` is the answer, to be freed with
 * hf_message_free(); else NULL. Returns status->code.
 *
 * Retried until the deadline, at most five times round the endpoints and while
 * the retry budget lasts (10 tokens; a failure costs one, a success gives a
 * tenth back): UNAVAILABLE, and endpoints that cannot be reached or do not
 * answer. Waits between rounds as the server asks (grpc-retry-pushback-ms) or
 * 100 ms doubling to 2 s, times 0.8 to 1.2. */
HF_API enum hf_code hf_client_call(struct hf_client *client, const char *method,
                                   const ProtobufCMessage *request,
                                   ProtobufCMessage **response,
                                   struct hf_status *status);

HF_API void hf_message_free(ProtobufCMessage *message);

/* ---- Watches ---- */

struct hf_watch;

/* Starts a watch with a holdfast.v1.WatchRequest (copied). Connects on the
 * first hf_watch_next(). Never NULL. */
HF_API struct hf_watch *hf_client_watch(struct hf_client *client,
                                        const ProtobufCMessage *request);

/* Waits for the next WatchResponse, at most `timeout_ms`. A broken stream is
 * resumed at another endpoint from the last revision received, so nothing is
 * missed and nothing comes twice. HF_STATUS_DEADLINE_EXCEEDED: nothing came in
 * that time; call again. HF_STATUS_OUT_OF_RANGE: too far behind; list again
 * and start a new watch from the list's revision. Other codes end it too. */
HF_API enum hf_code hf_watch_next(struct hf_watch *watch, uint32_t timeout_ms,
                                  ProtobufCMessage **response,
                                  struct hf_status *status);

/* Ends the stream and frees the watch; NULL is fine. */
HF_API void hf_watch_close(struct hf_watch *watch);

#ifdef __cplusplus
}
#endif

#endif
