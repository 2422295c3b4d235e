/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes at a server, over a real loopback connection in the same loop. If
 * the first byte is odd, the connection's preface goes before the rest. The
 * server must answer in whole frames, every answer must carry a status, and
 * nothing may be left of the connection when it is gone. */
#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"
#include "holdfast/v1/agent_service.pb-c.h"
#include "holdfast/v1/vm_service.pb-c.h"
#include "rpc/health.h"
#include "rpc/server.h"
#include "rpc/server_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_HEAD_BYTES 9
#define QUIET_TURNS      3
#define TURNS_MAX        100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Magic, then SETTINGS without entries. */
static const char preface[] =
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

struct target {
    uv_loop_t loop;
    struct rpc_server *server;
    struct rpc_service service;
    struct rpc_method methods[3];
    struct rpc_health health;
    size_t open; /* Handlers. */
};

struct echo {
    struct rpc_handler handler;
    struct rpc_call *call;
    struct target *target;
};

static void echo_message(struct rpc_handler *handler,
                         const ProtobufCMessage *message)
{
    struct echo *echo = container_of(handler, struct echo, handler);

    rpc_call_send(echo->call, message);
}

static void echo_half_closed(struct rpc_handler *handler)
{
    struct echo *echo = container_of(handler, struct echo, handler);

    rpc_call_finish(echo->call, RPC_OK, "%s", "");
}

static void echo_closed(struct rpc_handler *handler)
{
    struct echo *echo = container_of(handler, struct echo, handler);

    echo->target->open--;
    free(echo);
}

static const struct rpc_handler_ops echo_ops = {
    .message = echo_message,
    .half_closed = echo_half_closed,
    .closed = echo_closed,
};

static struct rpc_handler *echo_open(struct rpc_service *service,
                                     const struct rpc_method *method,
                                     struct rpc_call *call)
{
    struct target *target = container_of(service, struct target, service);
    struct echo *echo = memory_alloc(sizeof(*echo));

    (void)method;
    target->open++;
    echo->handler.ops = &echo_ops;
    echo->call = call;
    echo->target = target;
    return &echo->handler;
}

static void target_start(struct target *target)
{
    const ProtobufCMessageDescriptor *vm =
        &holdfast__v1__create_vm_request__descriptor;
    const ProtobufCMessageDescriptor *session =
        holdfast__v1__agent_service__descriptor.methods[0].input;
    char error[256];

    CHECK(uv_loop_init(&target->loop) == 0);
    target->server = rpc_server_create(&target->loop);
    target->service.open = echo_open;
    target->methods[0] = (struct rpc_method){
        "/test.Echo/Unary", vm, vm, false, false, &target->service};
    target->methods[1] = (struct rpc_method){
        "/test.Echo/Session", session, session, true, true, &target->service};
    target->methods[2] = (struct rpc_method){
        "/test.Echo/Watch", vm, vm, false, true, &target->service};
    for (size_t i = 0; i < ARRAY_LEN(target->methods); i++) {
        rpc_server_add(target->server, &target->methods[i]);
    }
    rpc_health_init(&target->health, target->server, NULL, 0);
    CHECK(rpc_server_listen(target->server, "127.0.0.1:0", error,
                            sizeof(error)) == 0);
}

static int connect_to(struct target *target)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)rpc_server_port(target->server)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    /* No TIME_WAIT: a search would soon be out of ports. */
    struct linger reset = {.l_onoff = 1};
    uint64_t before = rpc_server_stats(target->server)->connections_accepted;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    while (rpc_server_stats(target->server)->connections_accepted == before) {
        uv_run(&target->loop, UV_RUN_ONCE);
    }
    return fd;
}

/* Takes what the server says; whether anything came. */
static bool receive(int fd, struct bytes *answer)
{
    ssize_t len = recv(fd, bytes_reserve(answer, 65536), 65536, MSG_DONTWAIT);

    if (len > 0) {
        answer->len += (size_t)len;
    }
    return len > 0;
}

/* Sends all, and goes on until the server is quiet; false when the server
 * ended the connection, so that the last frame may be missing. */
static bool talk(struct target *target, int fd, const struct bytes *input,
                 struct bytes *answer)
{
    size_t sent = 0;
    int quiet = 0;

    for (int turn = 0; quiet < QUIET_TURNS; turn++) {
        ssize_t len = 0;

        CHECK(turn < TURNS_MAX);
        if (sent < input->len) {
            len = send(fd, input->data + sent, input->len - sent,
                       MSG_DONTWAIT | MSG_NOSIGNAL);
            if (len < 0 && errno != EAGAIN) {
                return false;
            }
            sent += len > 0 ? (size_t)len : 0;
        }
        uv_run(&target->loop, UV_RUN_NOWAIT);
        quiet = receive(fd, answer) || len > 0 ? 0 : quiet + 1;
    }
    return rpc_server_stats(target->server)->connections_open == 1;
}

/* A block of headers: a response, or its trailers. */
static void check_headers(nghttp2_hd_inflater *inflater, const uint8_t *block,
                          size_t len, bool last)
{
    bool http_error = false;
    bool grpc_status = false;
    nghttp2_nv nv;
    int flags;

    for (;;) {
        ssize_t used =
            nghttp2_hd_inflate_hd2(inflater, &nv, &flags, block, len, 1);

        CHECK(used >= 0);
        block += used;
        len -= (size_t)used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            http_error |= nv.namelen == 7 &&
                          memcmp(nv.name, ":status", 7) == 0 &&
                          nv.value[0] == '4';
            grpc_status |= nv.namelen == 11 &&
                           memcmp(nv.name, "grpc-status", 11) == 0 &&
                           atoi((const char *)nv.value) <= RPC_UNAUTHENTICATED;
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL) {
            break;
        }
    }
    CHECK(nghttp2_hd_inflate_end_headers(inflater) == 0);
    CHECK(len == 0 && grpc_status + http_error == last);
}

static void check_answer(const struct bytes *answer, bool whole)
{
    nghttp2_hd_inflater *inflater;
    size_t at = 0;

    CHECK(nghttp2_hd_inflate_new(&inflater) == 0);
    while (answer->len - at >= FRAME_HEAD_BYTES) {
        const uint8_t *head = answer->data + at;
        size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];

        if (answer->len - at - FRAME_HEAD_BYTES < len) {
            break;
        }
        CHECK(head[3] <= NGHTTP2_CONTINUATION);
        if (head[3] == NGHTTP2_DATA) {
            CHECK((head[4] & NGHTTP2_FLAG_END_STREAM) == 0);
        }
        if (head[3] == NGHTTP2_HEADERS) {
            CHECK(head[4] & NGHTTP2_FLAG_END_HEADERS);
            CHECK((head[4] & NGHTTP2_FLAG_PADDED) == 0);
            check_headers(inflater, head + FRAME_HEAD_BYTES, len,
                          (head[4] & NGHTTP2_FLAG_END_STREAM) != 0);
        }
        at += FRAME_HEAD_BYTES + len;
    }
    CHECK(!whole || at == answer->len);
    nghttp2_hd_inflate_del(inflater);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct target target;
    struct bytes input;
    struct bytes answer;
    bool whole;
    int fd;

    if (size == 0) {
        return 0;
    }
    if (target.server == NULL) {
        target_start(&target);
    }
    bytes_init(&input);
    bytes_init(&answer);
    if (data[0] % 2 == 1) {
        bytes_append(&input, preface, sizeof(preface) - 1);
    }
    bytes_append(&input, data + 1, size - 1);
    fd = connect_to(&target);
    whole = talk(&target, fd, &input, &answer);
    (void)close(fd);
    while (rpc_server_stats(target.server)->connections_open > 0) {
        uv_run(&target.loop, UV_RUN_ONCE);
    }
    check_answer(&answer, whole);
    CHECK(rpc_server_stats(target.server)->calls_open == 0);
    CHECK(target.server->receive_bytes == 0 && target.open == 0);
    bytes_close(&answer);
    bytes_close(&input);
    return 0;
}
