/* SPDX-License-Identifier: Apache-2.0
 *
 * What a service manager hears: a socket of its kind, and what came. */
#include "base/error.h"
#include "rpc/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct manager {
    char dir[64];
    char path[80];
    int fd;
};

static int listen_at(const char *name, size_t len)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0 && len < sizeof(address.sun_path));
    memcpy(address.sun_path, name, len);
    assert_int_equal(
        bind(fd, (struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
        0);
    return fd;
}

static int setup(void **state)
{
    static struct manager manager;

    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    snprintf(manager.dir, sizeof(manager.dir), "/tmp/rpc_notify_XXXXXX");
    assert_non_null(mkdtemp(manager.dir));
    snprintf(manager.path, sizeof(manager.path), "%s/notify", manager.dir);
    manager.fd = listen_at(manager.path, strlen(manager.path));
    setenv("NOTIFY_SOCKET", manager.path, 1);
    *state = &manager;
    return 0;
}

static int teardown(void **state)
{
    struct manager *manager = *state;

    close(manager->fd);
    unlink(manager->path);
    return rmdir(manager->dir);
}

static void hears(int fd, const char *wanted)
{
    char text[64];
    ssize_t len = recv(fd, text, sizeof(text) - 1, 0);

    assert_true(len >= 0);
    text[len] = '\0';
    assert_string_equal(text, wanted);
}

static void hears_nothing(int fd)
{
    char byte;

    assert_int_equal(recv(fd, &byte, 1, 0), -1);
}

static void a_state_is_one_datagram(void **state)
{
    struct manager *manager = *state;

    assert_int_equal(notify_send("READY=1"), 0);
    assert_int_equal(notify_send("STOPPING=1"), 0);
    hears(manager->fd, "READY=1");
    hears(manager->fd, "STOPPING=1");
    hears_nothing(manager->fd);
}

static void a_socket_without_a_file_is_reached(void **state)
{
    char name[64];
    int fd;

    (void)state;
    snprintf(name, sizeof(name), "@rpc_notify_test-%d", (int)getpid());
    setenv("NOTIFY_SOCKET", name, 1);
    name[0] = '\0';
    fd = listen_at(name, 1 + strlen(name + 1));
    assert_int_equal(notify_send("READY=1"), 0);
    hears(fd, "READY=1");
    close(fd);
}

static void without_a_manager_nothing_happens(void **state)
{
    struct manager *manager = *state;

    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(notify_send("READY=1"), 0);
    setenv("NOTIFY_SOCKET", "", 1);
    assert_int_equal(notify_send("READY=1"), 0);
    hears_nothing(manager->fd);
}

static void a_manager_that_is_gone_is_told_of(void **state)
{
    char path[200];

    (void)state;
    setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
    assert_int_equal(notify_send("READY=1"), HF_ERROR_NOT_FOUND);
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_int_equal(notify_send("READY=1"), HF_ERROR_INVALID);
    setenv("NOTIFY_SOCKET", "@", 1);
    assert_int_equal(notify_send("READY=1"), HF_ERROR_INVALID);
    memset(path, 'a', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    setenv("NOTIFY_SOCKET", path, 1);
    assert_int_equal(notify_send("READY=1"), HF_ERROR_INVALID);
}

struct wait {
    uv_timer_t timer;
    int turns;
};

static void on_turn(uv_timer_t *timer)
{
    struct wait *wait = (struct wait *)(void *)timer;

    if (--wait->turns == 0) {
        uv_close((uv_handle_t *)timer, NULL);
    }
}

/* A loop of a few turns; it ends, for the watchdog does not keep it. */
static void run_with_watchdog(int turns)
{
    struct notify_watchdog watchdog;
    struct wait wait = {.turns = turns};
    uv_loop_t loop;

    assert_int_equal(uv_loop_init(&loop), 0);
    notify_watchdog_start(&watchdog, &loop);
    assert_int_equal(uv_timer_init(&loop, &wait.timer), 0);
    assert_int_equal(uv_timer_start(&wait.timer, on_turn, 5, 5), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    notify_watchdog_close(&watchdog);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void a_loop_that_turns_feeds_the_watchdog(void **state)
{
    struct manager *manager = *state;

    setenv("WATCHDOG_USEC", "4000", 1);
    run_with_watchdog(4);
    hears(manager->fd, "WATCHDOG=1"); /* At once, */
    hears(manager->fd, "WATCHDOG=1"); /* and again. */
}

static void own_watchdog_is_told_from_others(void **state)
{
    struct manager *manager = *state;
    char pid[24];

    setenv("WATCHDOG_USEC", "4000", 1);
    snprintf(pid, sizeof(pid), "%d", (int)getpid() + 1);
    setenv("WATCHDOG_PID", pid, 1);
    run_with_watchdog(2);
    hears_nothing(manager->fd);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    run_with_watchdog(2);
    hears(manager->fd, "WATCHDOG=1");
}

static void no_watchdog_is_fed_without_a_time(void **state)
{
    static const char *const times[] = {
        "", "0", "-1", "4000x", "99999999999999999999", "86400000001"};
    struct manager *manager = *state;

    run_with_watchdog(2);
    hears_nothing(manager->fd);
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        setenv("WATCHDOG_USEC", times[i], 1);
        run_with_watchdog(2);
        hears_nothing(manager->fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_state_is_one_datagram, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_socket_without_a_file_is_reached,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_manager_nothing_happens,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_manager_that_is_gone_is_told_of,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_loop_that_turns_feeds_the_watchdog,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(own_watchdog_is_told_from_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(no_watchdog_is_fed_without_a_time,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
