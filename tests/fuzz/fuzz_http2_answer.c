/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a node's answer to the asynchronous client, which has a call and
 * a watch open, over a real loopback connection in the same loop. If the first
 * byte is odd, SETTINGS go before the rest; if its second bit is set, the node
 * then goes away. Whatever comes, the call and the watch must be told exactly
 * once, and nothing may be left of the client on the loop. */
#include "base/bytes.h"
#include "base/check.h"
#include "base/container.h"
#include "holdfast/v1/vm_service.pb-c.h"
#include "holdfast/v1/watch_service.pb-c.h"

#include <arpa/inet.h>
#include <errno.h>
#include <holdfast/holdfast_uv.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUIET_TURNS 3
#define TURNS_MAX   100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* SETTINGS without entries. */
static const char settings[] = "\0\0\0\4\0\0\0\0\0";

struct target {
    uv_loop_t loop;
    int listener; /* -1: not yet. */
    char endpoint[32];
};

struct run {
    struct hf_uv_client *client;
    struct hf_uv_call call;
    struct hf_uv_watch watch;
    struct hf_uv_close close;
    int called;
    int ended;
    int closed;
};

static void on_called(struct hf_uv_call *call, const struct hf_status *status,
                      ProtobufCMessage *response)
{
    CHECK((response != NULL) == (status->code == HF_STATUS_OK));
    CHECK((unsigned)status->code <= HF_STATUS_UNAUTHENTICATED);
    CHECK(strlen(status->message) < sizeof(status->message));
    hf_message_free(response);
    container_of(call, struct run, call)->called++;
}

static void on_response(struct hf_uv_watch *watch, ProtobufCMessage *response)
{
    CHECK(container_of(watch, struct run, watch)->ended == 0);
    CHECK(response->descriptor == &holdfast__v1__watch_response__descriptor);
    hf_message_free(response);
}

static void on_ended(struct hf_uv_watch *watch, const struct hf_status *status)
{
    CHECK(status->code != HF_STATUS_OK);
    container_of(watch, struct run, watch)->ended++;
}

static void on_closed(struct hf_uv_close *close)
{
    container_of(close, struct run, close)->closed++;
}

static void target_start(struct target *target)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    CHECK(uv_loop_init(&target->loop) == 0);
    target->listener =
        socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(target->listener >= 0);
    CHECK(bind(target->listener, (struct sockaddr *)&address,
               sizeof(address)) == 0);
    CHECK(listen(target->listener, 16) == 0);
    CHECK(getsockname(target->listener, (struct sockaddr *)&address, &len) ==
          0);
    (void)snprintf(target->endpoint, sizeof(target->endpoint), "127.0.0.1:%d",
                   ntohs(address.sin_port));
}

static int accept_one(struct target *target)
{
    /* No TIME_WAIT: a search would soon be out of ports. */
    struct linger reset = {.l_onoff = 1};
    int fd = accept4(target->listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd >= 0) {
        CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) ==
              0);
    }
    return fd;
}

static void begin(struct target *target, struct run *run)
{
    Holdfast__V1__GetVmRequest get = HOLDFAST__V1__GET_VM_REQUEST__INIT;
    Holdfast__V1__WatchRequest watch = HOLDFAST__V1__WATCH_REQUEST__INIT;
    struct hf_status status;

    run->client = hf_uv_client_open(&target->loop, target->endpoint, &status);
    CHECK(run->client != NULL);
    CHECK(hf_uv_call(run->client, &run->call, "VmService/GetVm", &get.base,
                     60000, on_called) == HF_STATUS_OK);
    CHECK(hf_uv_watch(run->client, &run->watch, &watch.base, on_response,
                      on_ended) == HF_STATUS_OK);
}

/* Sends all, and goes on until the client is quiet. */
static void talk(struct target *target, int fd, const struct bytes *input)
{
    char ignored[65536];
    size_t sent = 0;
    int quiet = 0;

    for (int turn = 0; quiet < QUIET_TURNS; turn++) {
        ssize_t len = 0;

        CHECK(turn < TURNS_MAX);
        if (sent < input->len) {
            len = send(fd, input->data + sent, input->len - sent,
                       MSG_DONTWAIT | MSG_NOSIGNAL);
            if (len < 0 && errno != EAGAIN) {
                return; /* The client has hung up. */
            }
            sent += len > 0 ? (size_t)len : 0;
        }
        (void)uv_run(&target->loop, UV_RUN_NOWAIT);
        quiet = recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT) > 0 || len > 0
                    ? 0
                    : quiet + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct target target = {.listener = -1};
    struct run run = {.closed = 0};
    struct bytes input;
    int fd;

    if (size == 0) {
        return 0;
    }
    if (target.listener < 0) {
        target_start(&target);
    }
    bytes_init(&input);
    if (data[0] % 2 == 1) {
        bytes_append(&input, settings, sizeof(settings) - 1);
    }
    bytes_append(&input, data + 1, size - 1);
    begin(&target, &run);
    while ((fd = accept_one(&target)) < 0) {
        (void)uv_run(&target.loop, UV_RUN_NOWAIT);
    }
    talk(&target, fd, &input);
    if (data[0] & 2) {
        (void)close(fd);
        fd = -1;
        for (int i = 0; i < QUIET_TURNS; i++) {
            (void)uv_run(&target.loop, UV_RUN_NOWAIT);
        }
    }
    hf_uv_client_close(run.client, &run.close, on_closed);
    (void)uv_run(&target.loop, UV_RUN_DEFAULT);
    CHECK(run.closed == 1 && run.called == 1 && run.ended == 1);
    do {
        (void)(fd >= 0 ? close(fd) : 0);
    } while ((fd = accept_one(&target)) >= 0); /* Those of its retries. */
    bytes_close(&input);
    return 0;
}
