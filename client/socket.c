/* SPDX-License-Identifier: Apache-2.0 */
#include "client/socket.h"

#include "base/clock.h"
#include "rpc/endpoint.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool socket_poll(int fd, short events, uint64_t deadline_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};

    for (;;) {
        uint64_t now_ms = clock_boot_ms();
        uint64_t left = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
        int ready = poll(&poll_fd, 1, left > INT_MAX ? INT_MAX : (int)left);

        if (ready > 0) {
            return true;
        }
        if ((ready < 0 && errno != EINTR) || (ready == 0 && left <= INT_MAX)) {
            return false;
        }
    }
}

/* One address; 0 or an errno. */
static int connect_one(int fd, const struct addrinfo *address,
                       uint64_t deadline_ms)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0) {
        return 0;
    }
    if (errno != EINPROGRESS) {
        return errno;
    }
    if (!socket_poll(fd, POLLOUT, deadline_ms)) {
        return ETIMEDOUT;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        return errno;
    }
    return error;
}

static int connect_any(const struct addrinfo *addresses, uint64_t deadline_ms,
                       char *error, size_t error_size)
{
    int code = EADDRNOTAVAIL;

    for (const struct addrinfo *at = addresses; at != NULL; at = at->ai_next) {
        int one = 1;
        int fd = socket(at->ai_family,
                        at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                        at->ai_protocol);

        if (fd < 0) {
            code = errno;
            continue;
        }
        code = connect_one(fd, at, deadline_ms);
        if (code == 0) {
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
            return fd;
        }
        (void)close(fd);
    }
    (void)snprintf(error, error_size, "cannot connect: %s", strerror(code));
    return -1;
}

int socket_connect(const char *endpoint, uint64_t deadline_ms, char *error,
                   size_t error_size)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses;
    char host[RPC_ENDPOINT_HOST_MAX + 1];
    char service[8];
    uint16_t port;
    int result;

    if (!rpc_endpoint_parse(endpoint, host, &port)) {
        (void)snprintf(error, error_size, "not HOST:PORT");
        return -1;
    }
    (void)snprintf(service, sizeof(service), "%u", (unsigned)port);
    result = getaddrinfo(host, service, &hints, &addresses);
    if (result != 0) {
        (void)snprintf(error, error_size, "cannot find %s: %s", host,
                       gai_strerror(result));
        return -1;
    }
    result = connect_any(addresses, deadline_ms, error, error_size);
    freeaddrinfo(addresses);
    return result;
}
