/* SPDX-License-Identifier: Apache-2.0
 *
 * libholdfast-uv: the client of Holdfast on a libuv loop of yours. The same
 * methods, rules and statuses as in holdfast.h, but nothing blocks: many calls
 * and watches at once share one HTTP/2 connection to a node.
 *
 * A client belongs to the thread of its loop. What it tells, it tells by
 * callbacks, always from a later turn of the loop than the function that began
 * it: a function that takes a callback returns an error and never calls it, or
 * returns HF_STATUS_OK and calls it exactly once (a watch's `response` as often
 * as there is one). Every function may be called from every callback. What you
 * give to a callback stands in a struct around the one that you handed over.
 * The library prints nothing and reads no environment. */
#ifndef HOLDFAST_UV_H
#define HOLDFAST_UV_H

#include <holdfast/holdfast.h>
#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- A client ---- */

struct hf_uv_client;

/* As hf_client_open(), on `loop` (lent until the client is closed). Connects
 * when the first call needs it; host names are looked up in libuv's pool of
 * threads, numbers are not. NULL: `status` says why. */
HF_API struct hf_uv_client *hf_uv_client_open(uv_loop_t *loop,
                                              const char *endpoints,
                                              struct hf_status *status);

/* As hf_client_use_tls(), hf_client_use_token() and hf_client_set_timeout();
 * the files are read at once, and before the first call. */
HF_API enum hf_code hf_uv_client_use_tls(struct hf_uv_client *client,
                                         const struct hf_tls *files,
                                         struct hf_status *status);
HF_API enum hf_code hf_uv_client_use_token(struct hf_uv_client *client,
                                           const char *token,
                                           struct hf_status *status);
HF_API void hf_uv_client_set_timeout(struct hf_uv_client *client,
                                     uint32_t timeout_ms);

/* The endpoints in the order given, and what went wrong when each was last
 * asked (empty: nothing yet). Lent until the next turn of the loop. */
HF_API size_t hf_uv_client_endpoint_count(const struct hf_uv_client *client);
HF_API const char *hf_uv_client_endpoint(const struct hf_uv_client *client,
                                         size_t index);
HF_API const char *hf_uv_client_endpoint_error(
    const struct hf_uv_client *client, size_t index);

/* Embed it; lives until `done`. All fields are the library's. */
struct hf_uv_close;
typedef void (*hf_uv_close_cb)(struct hf_uv_close *close);
struct hf_uv_close {
    hf_uv_close_cb done;
};

/* Once: ends all calls and watches that are open with HF_STATUS_CANCELLED,
 * which is told before `done`; begins no new ones. At `done` the client is
 * freed and nothing of it is left on the loop. */
HF_API void hf_uv_client_close(struct hf_uv_client *client,
                               struct hf_uv_close *close, hf_uv_close_cb done);

/* ---- Calls ---- */

/* Calls open at once. */
#define HF_UV_CALLS_MAX 4096

/* Embed it; lives until `done`. All fields are the library's. */
struct hf_uv_call;
struct hf_uv_call_state;

/* On HF_STATUS_OK `response` is the answer, now the callback's: free it with
 * hf_message_free(). Else it is NULL. `status` is lent. The call's struct is
 * the caller's again, also to free it or to make the next call with it. */
typedef void (*hf_uv_call_cb)(struct hf_uv_call *call,
                              const struct hf_status *status,
                              ProtobufCMessage *response);
struct hf_uv_call {
    hf_uv_call_cb done;
    struct hf_uv_call_state *state;
};

/* Makes a unary call, as hf_client_call(): with a request id made for a
 * mutation that has none, retried within `timeout_ms` (0: the client's default)
 * over all endpoints, by the same rules. The client's calls share one retry
 * budget; what fails many at once costs it as much as one failure. `request` is
 * copied.
 *
 * INVALID_ARGUMENT: the method takes no such message, or it is too large;
 * RESOURCE_EXHAUSTED: HF_UV_CALLS_MAX are open; FAILED_PRECONDITION: the client
 * is closing. */
HF_API enum hf_code hf_uv_call(struct hf_uv_client *client,
                               struct hf_uv_call *call, const char *method,
                               const ProtobufCMessage *request,
                               uint32_t timeout_ms, hf_uv_call_cb done);

/* Ends it early: `done` follows with HF_STATUS_CANCELLED, or with the outcome
 * if that is known already. A mutation may take effect all the same if
 * status->was_sent. Harmless when the call is over and its struct alive. */
HF_API void hf_uv_call_cancel(struct hf_uv_call *call);

/* ---- Watches ---- */

/* Watches open at once. */
#define HF_UV_WATCHES_MAX 64

/* Embed it; lives until `ended`. All fields are the library's. */
struct hf_uv_watch;
struct hf_uv_watch_state;

/* A holdfast.v1.WatchResponse, now the callback's: free it with
 * hf_message_free(). Its events may be none, when only the revision moved. */
typedef void (*hf_uv_watch_response_cb)(struct hf_uv_watch *watch,
                                        ProtobufCMessage *response);

/* Once, last. HF_STATUS_OUT_OF_RANGE: too far behind; list again and start a
 * new watch from the list's revision. HF_STATUS_UNAVAILABLE: no node has
 * answered for about half a minute; start again from the last revision that
 * came. The struct is the caller's again. */
typedef void (*hf_uv_watch_ended_cb)(struct hf_uv_watch *watch,
                                     const struct hf_status *status);
struct hf_uv_watch {
    hf_uv_watch_response_cb response;
    hf_uv_watch_ended_cb ended;
    struct hf_uv_watch_state *state;
};

/* Starts a watch with a holdfast.v1.WatchRequest (copied). A broken stream, or
 * one that is silent for 15 s, is resumed at another endpoint from the last
 * revision received: nothing is missed and nothing comes twice. A callback that
 * is slow slows the stream down, and everything else on the loop.
 *
 * INVALID_ARGUMENT: another message; RESOURCE_EXHAUSTED: HF_UV_WATCHES_MAX are
 * open; FAILED_PRECONDITION: the client is closing. */
HF_API enum hf_code hf_uv_watch(struct hf_uv_client *client,
                                struct hf_uv_watch *watch,
                                const ProtobufCMessage *request,
                                hf_uv_watch_response_cb response,
                                hf_uv_watch_ended_cb ended);

/* Ends it: no response comes any more, `ended` follows with
 * HF_STATUS_CANCELLED, or with the end that had come already. Harmless when the
 * watch is over and its struct alive. */
HF_API void hf_uv_watch_cancel(struct hf_uv_watch *watch);

#ifdef __cplusplus
}
#endif

#endif
