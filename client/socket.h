/* SPDX-License-Identifier: Apache-2.0
 *
 * TCP with deadlines. */
#ifndef CLIENT_SOCKET_H
#define CLIENT_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A connected, non-blocking socket; negative: `error` says why. Tries every
 * address of the name. `deadline_ms` by clock_boot_ms(). */
int socket_connect(const char *endpoint, uint64_t deadline_ms, char *error,
                   size_t error_size);

/* Waits for POLLIN or POLLOUT; false: the deadline passed first. A deadline in
 * the past only looks. */
bool socket_poll(int fd, short events, uint64_t deadline_ms);

#endif
