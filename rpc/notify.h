/* SPDX-License-Identifier: Apache-2.0
 *
 * What a program tells the service manager that started it: sd_notify(3)'s
 * protocol, one datagram to the socket that the environment names. Without
 * such a socket nothing happens. It lives in rpc/ because this is the one
 * floor below both holdfastd and holdfast-agent that may have sockets. */
#ifndef RPC_NOTIFY_H
#define RPC_NOTIFY_H

#include <uv.h>

/* "READY=1", "STOPPING=1". 0, also when nobody listens for it; NOT_FOUND: the
 * socket that $NOTIFY_SOCKET names does not take it; INVALID: it cannot be
 * one. A program that runs well does so without its manager, too. */
int notify_send(const char *state);

/* Says "WATCHDOG=1" for as long as the loop turns, twice in the time that
 * $WATCHDOG_USEC grants; $WATCHDOG_PID, if it is there, must be this process.
 * The timer does not keep the loop alive. */
struct notify_watchdog {
    uv_timer_t timer;
};

void notify_watchdog_start(struct notify_watchdog *watchdog, uv_loop_t *loop);

/* For a loop that ends; once after each start. */
void notify_watchdog_close(struct notify_watchdog *watchdog);

#endif
