/* SPDX-License-Identifier: Apache-2.0
 *
 * A server for foreign clients: Echo, health and reflection.
 *
 * usage: rpc_echo_server DESCRIPTORS [FORWARD]
 *
 * Prints "port N", serves until SIGTERM, drains, and prints "answered N": the
 * unary calls that it answered. With FORWARD, an address, passes Echo on. */
#include "base/bytes.h"
#include "base/check.h"
#include "base/container.h"
#include "echo_service.h"
#include "rpc/health.h"
#include "rpc/reflection.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define GRACE_MS 1500

struct program {
    uv_loop_t loop;
    uv_signal_t term;
    struct rpc_server *server;
    struct rpc_server_close close;
    struct echo_service echo;
    struct rpc_health health;
    struct rpc_reflection reflection;
    struct bytes descriptors;
};

static void on_drained(struct rpc_server_close *close)
{
    struct program *program = container_of(close, struct program, close);

    if (program->echo.forward != NULL) {
        rpc_channel_destroy(program->echo.forward);
    }
}

static void on_term(uv_signal_t *signal, int number)
{
    struct program *program = container_of(signal, struct program, term);

    (void)number;
    rpc_health_set(&program->health, false);
    rpc_server_drain(program->server, GRACE_MS, &program->close);
    uv_close((uv_handle_t *)signal, NULL);
}

static int read_file(const char *path, struct bytes *content)
{
    FILE *file = fopen(path, "re");
    size_t count = 1;

    if (file == NULL) {
        perror(path);
        return -1;
    }
    while (count > 0) {
        count = fread(bytes_reserve(content, 65536), 1, 65536, file);
        content->len += count;
    }
    return fclose(file);
}

static int start(struct program *program, const char *forward)
{
    static const char *const names[] = {"holdfast.test.v1.Echo"};
    char error[256];

    program->server = rpc_server_create(&program->loop);
    program->close.done = on_drained;
    echo_service_init(&program->echo, program->server, &program->loop);
    rpc_health_init(&program->health, program->server, names, 1);
    rpc_health_set(&program->health, true);
    rpc_reflection_init(&program->reflection, program->server,
                        program->descriptors.data, program->descriptors.len);
    if (forward != NULL) {
        program->echo.forward = rpc_channel_create(&program->loop, forward, 1);
    }
    if (rpc_server_listen(program->server, "127.0.0.1:0", error,
                          sizeof(error)) != 0) {
        (void)fprintf(stderr, "%s\n", error);
        return -1;
    }
    CHECK(uv_signal_init(&program->loop, &program->term) == 0);
    CHECK(uv_signal_start(&program->term, on_term, SIGTERM) == 0);
    return 0;
}

int main(int argc, char **argv)
{
    static struct program program;

    if (argc < 2 || argc > 3) {
        (void)fprintf(stderr, "usage: %s DESCRIPTORS [FORWARD]\n", argv[0]);
        return 2;
    }
    bytes_init(&program.descriptors);
    CHECK(uv_loop_init(&program.loop) == 0);
    if (read_file(argv[1], &program.descriptors) != 0 ||
        start(&program, argv[2]) != 0) {
        return 1;
    }
    (void)printf("port %d\n", rpc_server_port(program.server));
    (void)fflush(stdout);
    uv_run(&program.loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&program.loop) == 0);
    CHECK(program.echo.handlers_open == 0);
    rpc_reflection_close(&program.reflection);
    bytes_close(&program.descriptors);
    (void)printf("answered %" PRIu64 "\n", program.echo.unary_answered);
    return 0;
}
