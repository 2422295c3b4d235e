/* SPDX-License-Identifier: Apache-2.0
 *
 * What is done to clocks and to waits. */
#include "tests/chaos/preload.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TIMERS   1024
#define NS_PER_S 1000000000

/* Of the kernel's set of signals, not of the C library's. */
#define SIGSET_BYTES 8

/* Which clock a timerfd runs by: 1 + enum scaled, or 0 for the wall clock. */
static _Atomic unsigned char timers[TIMERS];

static int64_t ns_of(const struct timespec *time)
{
    return (int64_t)time->tv_sec * NS_PER_S + time->tv_nsec;
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

static const struct rate *rate_at(enum scaled clock, int64_t real_ns)
{
    uint64_t rates = control->rates;
    const struct rate *last = &control->rate[rates % 2];
    return real_ns >= last->anchor_ns[clock] ? last
                                             : &control->rate[(rates + 1) % 2];
}

static int64_t told_ns(enum scaled clock, int64_t real_ns)
{
    const struct rate *rate = rate_at(clock, real_ns);
    return real_ns + rate->gained_ns[clock] +
           (real_ns - rate->anchor_ns[clock]) * rate->gain_permille / 1000;
}

static int64_t real_by(const struct rate *rate, enum scaled clock,
                       int64_t told_at_ns)
{
    int64_t anchor_ns = rate->anchor_ns[clock];
    return anchor_ns + (told_at_ns - rate->gained_ns[clock] - anchor_ns) *
                           1000 / (1000 + rate->gain_permille);
}

/* When the clock will tell that. */
static int64_t real_ns(enum scaled clock, int64_t told_at_ns)
{
    uint64_t rates = control->rates;
    const struct rate *last = &control->rate[rates % 2];
    int64_t ns = real_by(last, clock, told_at_ns);
    return ns >= last->anchor_ns[clock]
               ? ns
               : real_by(&control->rate[(rates + 1) % 2], clock, told_at_ns);
}

/* How long a wait of a process with this clock really is. */
static int64_t real_wait(int64_t wait)
{
    struct timespec now;
    if (control == NULL || control->rates == 0 || wait <= 0) {
        return wait;
    }
    syscall(SYS_clock_gettime, CLOCK_BOOTTIME, &now);
    int64_t permille = 1000 + rate_at(BOOTTIME, ns_of(&now))->gain_permille;
    return (wait * 1000 + permille - 1) / permille;
}

int clock_gettime(clockid_t id, struct timespec *time)
{
    int rv = (int)syscall(SYS_clock_gettime, id, time);
    if (rv != 0 || control == NULL) {
        return rv;
    }
    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        *time = timespec_of(ns_of(time) + control->wall_ns);
        break;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
        *time = timespec_of(told_ns(MONOTONIC, ns_of(time)));
        break;
    case CLOCK_BOOTTIME:
        *time = timespec_of(told_ns(BOOTTIME, ns_of(time)));
        break;
    default:
        break;
    }
    return rv;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    int rv = clock_gettime(CLOCK_REALTIME, &now);
    *time =
        (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return rv;
}

time_t time(time_t *seconds)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
        return -1;
    }
    if (seconds != NULL) {
        *seconds = now.tv_sec;
    }
    return now.tv_sec;
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    return (int)syscall(SYS_poll, fds, count, (int)real_wait(timeout_ms));
}

int epoll_pwait(int fd, struct epoll_event *events, int count, int timeout_ms,
                const sigset_t *mask)
{
    return (int)syscall(SYS_epoll_pwait, fd, events, count,
                        (int)real_wait(timeout_ms), mask, SIGSET_BYTES);
}

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
    return epoll_pwait(fd, events, count, timeout_ms, NULL);
}

/* What is left after a signal is in real time. */
int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    struct timespec wait = timespec_of(real_wait(ns_of(wanted)));
    return (int)syscall(SYS_nanosleep, &wait, left);
}

int timerfd_create(int clock, int flags)
{
    int fd = (int)syscall(SYS_timerfd_create, clock, flags);
    if (fd >= 0 && fd < TIMERS) {
        timers[fd] = clock == CLOCK_BOOTTIME    ? 1 + BOOTTIME
                     : clock == CLOCK_MONOTONIC ? 1 + MONOTONIC
                                                : 0;
    }
    return fd;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *wanted,
                    struct itimerspec *before)
{
    struct itimerspec when = *wanted;
    if (control != NULL && control->rates != 0 && fd >= 0 && fd < TIMERS &&
        timers[fd] != 0 && ns_of(&when.it_value) != 0) {
        int64_t ns = ns_of(&when.it_value);
        ns = flags & TFD_TIMER_ABSTIME
                 ? real_ns((enum scaled)(timers[fd] - 1), ns)
                 : real_wait(ns);
        when.it_value = timespec_of(ns > 0 ? ns : 1);
        when.it_interval = timespec_of(real_wait(ns_of(&when.it_interval)));
    }
    return (int)syscall(SYS_timerfd_settime, fd, flags, &when, before);
}
