/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/http_get.h"

#include "client/socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Above what a node tells of itself. */
#define ANSWER_BYTES_MAX ((size_t)8 * 1024 * 1024)

/* Up to the end of the connection, as was asked for. */
static bool read_all(int fd, uint64_t deadline_ms, struct bytes *answer)
{
    while (answer->len < ANSWER_BYTES_MAX) {
        ssize_t count;

        if (!socket_poll(fd, POLLIN, deadline_ms)) {
            return false;
        }
        count = recv(fd, bytes_reserve(answer, 65536), 65536, 0);
        if (count == 0) {
            return true;
        }
        if (count < 0 && errno != EINTR && errno != EAGAIN) {
            return false;
        }
        answer->len += count > 0 ? (size_t)count : 0;
    }
    return false;
}

/* "HTTP/1.1 200 OK", headers, an empty line, the body. */
static bool take_body(const struct bytes *answer, struct bytes *body,
                      char *error, size_t error_size)
{
    static const char good[] = "HTTP/1.1 200 ";
    const uint8_t *end = answer->len == 0
                             ? NULL
                             : memmem(answer->data, answer->len, "\r\n\r\n", 4);

    if (end == NULL || answer->len < strlen(good) ||
        memcmp(answer->data, good, strlen(good)) != 0) {
        (void)snprintf(error, error_size, "no answer of the form expected");
        return false;
    }
    bytes_append(body, end + 4, answer->len - (size_t)(end + 4 - answer->data));
    return true;
}

bool http_get(const char *address, const char *path, uint64_t deadline_ms,
              struct bytes *body, char *error, size_t error_size)
{
    struct bytes answer;
    char request[512];
    bool good;
    int len;
    int fd = socket_connect(address, deadline_ms, error, error_size);

    if (fd < 0) {
        return false;
    }
    bytes_init(&answer);
    len = snprintf(request, sizeof(request),
                   "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                   path, address);
    if (len < 0 || (size_t)len >= sizeof(request) ||
        send(fd, request, (size_t)len, MSG_NOSIGNAL) != len ||
        !read_all(fd, deadline_ms, &answer)) {
        (void)snprintf(error, error_size, "no answer in time");
        good = false;
    } else {
        good = take_body(&answer, body, error, error_size);
    }
    bytes_close(&answer);
    (void)close(fd);
    return good;
}
