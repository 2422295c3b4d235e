/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/notify.h"

#include "base/check.h"
#include "base/error.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define US_PER_MS 1000
/* A day: what is beyond that is no watchdog, and fits a timer. */
#define WATCHDOG_US_MAX UINT64_C(86400000000)

static int send_to(const struct sockaddr_un *address, socklen_t len,
                   const char *state)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ssize_t sent;

    if (fd < 0) {
        return HF_ERROR_IO;
    }
    /* A manager that hangs must not hang us. */
    sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                  (const struct sockaddr *)address, len);
    close(fd);
    return sent < 0 ? HF_ERROR_NOT_FOUND : 0;
}

int notify_send(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = path == NULL ? 0 : strlen(path);

    if (len == 0) {
        return 0;
    }
    if ((path[0] != '/' && path[0] != '@') || len == 1 ||
        len >= sizeof(address.sun_path)) {
        return HF_ERROR_INVALID;
    }
    memcpy(address.sun_path, path, len);
    if (path[0] == '@') {
        address.sun_path[0] = '\0'; /* A name that is no file. */
    }
    return send_to(&address,
                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len),
                   state);
}

/* A positive decimal number from the environment; 0: there is none. */
static uint64_t number_of(const char *name)
{
    const char *text = getenv(name);
    char *end;
    unsigned long long value;

    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return 0;
    }
    errno = 0;
    value = strtoull(text, &end, 10);
    return errno != 0 || *end != '\0' ? 0 : value;
}

static void on_timer(uv_timer_t *timer)
{
    (void)timer;
    /* Nothing to be done if nobody hears it: then nobody waits for it. */
    (void)notify_send("WATCHDOG=1");
}

void notify_watchdog_start(struct notify_watchdog *watchdog, uv_loop_t *loop)
{
    uint64_t us = number_of("WATCHDOG_USEC");
    uint64_t pid = number_of("WATCHDOG_PID");
    uint64_t period_ms = us / 2 / US_PER_MS;

    CHECK(uv_timer_init(loop, &watchdog->timer) == 0);
    uv_unref((uv_handle_t *)&watchdog->timer);
    if (us == 0 || us > WATCHDOG_US_MAX ||
        (pid != 0 && pid != (uint64_t)getpid())) {
        return;
    }
    if (period_ms == 0) {
        period_ms = 1;
    }
    CHECK(uv_timer_start(&watchdog->timer, on_timer, 0, period_ms) == 0);
}

void notify_watchdog_close(struct notify_watchdog *watchdog)
{
    uv_close((uv_handle_t *)&watchdog->timer, NULL);
}
