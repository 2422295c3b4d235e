/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent's core, rule by rule. What it does is written to a trace of one
 * line an action; time is virtual, in milliseconds. */
#include "agent/core.h"
#include "base/container.h"
#include "base/error.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MS        UINT64_C(1000000)
#define LEASE_MS  4400
#define RENEW_MS  1000
#define TRACE_MAX 4096

struct bench {
    struct core core;
    char trace[TRACE_MAX];
    size_t trace_len;
    uint64_t session;
    uint64_t seq; /* Of the last renewal. */
    int start_result;
};

static const struct core_terms terms = {LEASE_MS, RENEW_MS};

__attribute__((format(printf, 2, 3))) static void trace(struct bench *bench,
                                                        const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(bench->trace + bench->trace_len,
                    TRACE_MAX - bench->trace_len, format, args);
    va_end(args);
    assert_true(len >= 0 && (size_t)len < TRACE_MAX - bench->trace_len);
    bench->trace_len += (size_t)len;
}

static void trace_report(struct bench *bench, const struct core_report *report)
{
    static const char *const states[] = {"?", "starting", "running", "stopping",
                                         "gone"};

    trace(bench, " %" PRIu64 "/%" PRIu64 "=%s", report->uid, report->epoch,
          states[report->state]);
    if (report->reason[0] != '\0') {
        trace(bench, "(%s%s)", report->reason, report->failed ? "!" : "");
    }
}

static void trace_reports(struct bench *bench,
                          const struct core_report *reports, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        trace_report(bench, &reports[i]);
    }
    trace(bench, "\n");
}

static void on_hello(struct core *core, const struct core_report *reports,
                     size_t count)
{
    struct bench *bench = container_of(core, struct bench, core);

    trace(bench, "hello");
    trace_reports(bench, reports, count);
}

static void on_renew(struct core *core, uint64_t seq, uint64_t generation,
                     const struct core_report *reports, size_t count)
{
    struct bench *bench = container_of(core, struct bench, core);

    bench->seq = seq;
    trace(bench, "renew %" PRIu64 " g%" PRIu64, seq, generation);
    trace_reports(bench, reports, count);
}

static void on_report(struct core *core, const struct core_report *report)
{
    struct bench *bench = container_of(core, struct bench, core);

    trace(bench, "report");
    trace_reports(bench, report, 1);
}

static void on_hang_up(struct core *core, const char *reason)
{
    trace(container_of(core, struct bench, core), "hang up: %s\n", reason);
}

static void on_lease(struct core *core, uint64_t deadline_ns)
{
    trace(container_of(core, struct bench, core), "lease %" PRIu64 "\n",
          deadline_ns / MS);
}

static int on_start(struct core *core, struct core_order *order,
                    char reason[CORE_REASON_MAX + 1])
{
    struct bench *bench = container_of(core, struct bench, core);

    trace(bench, "start %" PRIu64 "/%" PRIu64 "\n", order->uid, order->epoch);
    if (bench->start_result != 0) {
        snprintf(reason, CORE_REASON_MAX + 1, "no such image");
    }
    return bench->start_result;
}

static void on_stop(struct core *core, uint64_t uid, uint32_t grace_ms)
{
    trace(container_of(core, struct bench, core), "stop %" PRIu64 " %u\n", uid,
          grace_ms);
}

static void on_kill(struct core *core, uint64_t uid, const char *reason)
{
    trace(container_of(core, struct bench, core), "kill %" PRIu64 " (%s)\n",
          uid, reason);
}

static void on_forget(struct core *core, uint64_t uid)
{
    trace(container_of(core, struct bench, core), "forget %" PRIu64 "\n", uid);
}

static const struct core_actions actions = {
    .hello = on_hello,
    .renew = on_renew,
    .report = on_report,
    .hang_up = on_hang_up,
    .lease = on_lease,
    .start = on_start,
    .stop = on_stop,
    .kill = on_kill,
    .forget = on_forget,
};

static void bench_init(struct bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    core_init(&bench->core, &actions, 0);
}

/* The trace since the last look. */
static void expect(struct bench *bench, const char *text)
{
    assert_string_equal(bench->trace, text);
    bench->trace_len = 0;
    bench->trace[0] = '\0';
}

static void forget_trace(struct bench *bench)
{
    bench->trace_len = 0;
    bench->trace[0] = '\0';
}

static void tick(struct bench *bench, uint64_t now_ms)
{
    core_tick(&bench->core, now_ms * MS);
}

static void acknowledge(struct bench *bench, uint64_t now_ms, uint64_t seq)
{
    core_renew_ack(&bench->core, bench->session, now_ms * MS, seq, &terms);
}

/* A session with one renewal acknowledged: lease until now + LEASE_MS. */
static void connect_at(struct bench *bench, uint64_t now_ms)
{
    bench->session = core_session_opened(&bench->core, now_ms * MS);
    core_welcome(&bench->core, bench->session, now_ms * MS, 7, &terms);
    tick(bench, now_ms);
    acknowledge(bench, now_ms, bench->seq);
}

static void order_at(struct bench *bench, uint64_t now_ms,
                     enum core_order_action action, uint64_t uid,
                     uint64_t epoch)
{
    struct core_order order = {.action = action,
                               .uid = uid,
                               .epoch = epoch,
                               .generation = 7,
                               .stop_grace_ms = 10000};

    core_order(&bench->core, bench->session, now_ms * MS, &order);
}

static void event_at(struct bench *bench, uint64_t now_ms, uint64_t uid,
                     enum core_vm_event event, const char *reason)
{
    core_vm_event(&bench->core, now_ms * MS, uid, event, reason,
                  event == CORE_VM_GONE);
}

/* A VM of epoch 5 that runs, since a session opened at 1000. */
static void run_one(struct bench *bench, uint64_t uid)
{
    bench_init(bench);
    connect_at(bench, 1000);
    order_at(bench, 1000, CORE_ORDER_START, uid, 5);
    event_at(bench, 1100, uid, CORE_VM_RUNNING, "");
    forget_trace(bench);
}

static void a_session_says_hello_then_renews_and_gets_a_lease(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    bench.session = core_session_opened(&bench.core, 1000 * MS);
    tick(&bench, 1000);
    expect(&bench, "hello\n");
    core_welcome(&bench.core, bench.session, 1200 * MS, 7, &terms);
    assert_false(core_lease_live(&bench.core, 1200 * MS));
    tick(&bench, 1210);
    assert_false(core_takes_orders(&bench.core));
    expect(&bench, "renew 1 g7\n");
    acknowledge(&bench, 1900, 1);
    expect(&bench, "lease 5610\n");
    assert_true(core_takes_orders(&bench.core));
    assert_true(core_lease_live(&bench.core, 5610 * MS - 1));
    assert_false(core_lease_live(&bench.core, 5610 * MS));
    core_close(&bench.core);
}

static void only_a_renewal_in_flight_extends_the_lease(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    connect_at(&bench, 1000);
    tick(&bench, 2000);
    tick(&bench, 2999);
    forget_trace(&bench);
    acknowledge(&bench, 3000, 1);  /* Acknowledged before. */
    acknowledge(&bench, 3000, 77); /* Never sent. */
    core_renew_ack(&bench.core, bench.session - 1, 3000 * MS, 2, &terms);
    expect(&bench, "");
    assert_int_equal(bench.core.ignored_ack_count, 3);
    acknowledge(&bench, 3000, 2);
    expect(&bench, "lease 6400\n");
    core_close(&bench.core);
}

static void a_newer_acknowledgement_makes_older_ones_void(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    connect_at(&bench, 1000);
    tick(&bench, 2000);
    tick(&bench, 3000);
    forget_trace(&bench);
    acknowledge(&bench, 3100, 3);
    acknowledge(&bench, 3100, 2);
    expect(&bench, "lease 7400\n");
    core_close(&bench.core);
}

static void an_old_sessions_renewals_are_forgotten(void **unused)
{
    struct bench bench;
    uint64_t old;

    (void)unused;
    bench_init(&bench);
    connect_at(&bench, 1000);
    tick(&bench, 2000);
    old = bench.session;
    core_session_closed(&bench.core, old);
    bench.session = core_session_opened(&bench.core, 2100 * MS);
    core_welcome(&bench.core, bench.session, 2100 * MS, 8, &terms);
    forget_trace(&bench);
    core_renew_ack(&bench.core, old, 2200 * MS, 2, &terms);
    acknowledge(&bench, 2200, 2);
    expect(&bench, "");
    tick(&bench, 2200);
    expect(&bench, "renew 3 g8\n");
    core_close(&bench.core);
}

static void a_silent_node_is_left(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    bench.session = core_session_opened(&bench.core, 1000 * MS);
    tick(&bench, 2999);
    expect(&bench, "hello\n");
    tick(&bench, 3000);
    expect(&bench, "hang up: no welcome\n");
    connect_at(&bench, 4000);
    tick(&bench, 5000);
    tick(&bench, 6000);
    forget_trace(&bench);
    tick(&bench, 7000);
    expect(&bench, "hang up: no acknowledgement\n");
    core_close(&bench.core);
}

/* It may be the leader that stands still, and the lease runs. */
static void a_node_without_a_welcome_is_left_sooner_under_a_lease(void **unused)
{
    static const struct core_terms quick = {4400, 300};
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    connect_at(&bench, 1000); /* The lease ends at 5400. */
    core_session_closed(&bench.core, bench.session);
    bench.session = core_session_opened(&bench.core, 2000 * MS);
    forget_trace(&bench);
    tick(&bench, 2999);
    expect(&bench, "");
    tick(&bench, 3000);
    expect(&bench, "hang up: no welcome\n");
    bench.session = core_session_opened(&bench.core, 5400 * MS);
    forget_trace(&bench);
    tick(&bench, 7399);
    expect(&bench, "");
    tick(&bench, 7400);
    expect(&bench, "hang up: no welcome\n");

    /* Short periods do not make it impatient. */
    connect_at(&bench, 8000);
    tick(&bench, 9000);
    core_renew_ack(&bench.core, bench.session, 9000 * MS, bench.core.seq,
                   &quick);
    core_session_closed(&bench.core, bench.session);
    bench.session = core_session_opened(&bench.core, 9500 * MS);
    forget_trace(&bench);
    tick(&bench, 9999);
    expect(&bench, "");
    tick(&bench, 10000);
    expect(&bench, "hang up: no welcome\n");
    core_close(&bench.core);
}

static void bad_terms_are_refused(void **unused)
{
    static const struct core_terms bad[] = {
        {0, 1000}, {4400, 0}, {600001, 1000}, {1000, 2000}};

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct bench bench;

        bench_init(&bench);
        bench.session = core_session_opened(&bench.core, 1000 * MS);
        forget_trace(&bench);
        core_welcome(&bench.core, bench.session, 1000 * MS, 7, &bad[i]);
        expect(&bench, "hang up: bad lease terms\n");
        connect_at(&bench, 2000);
        tick(&bench, 3000);
        forget_trace(&bench);
        core_renew_ack(&bench.core, bench.session, 3000 * MS, bench.seq,
                       &bad[i]);
        expect(&bench, "");
        core_close(&bench.core);
    }
}

static void a_start_runs_and_is_reported(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    connect_at(&bench, 1000);
    forget_trace(&bench);
    order_at(&bench, 1000, CORE_ORDER_START, 9, 5);
    event_at(&bench, 1100, 9, CORE_VM_STARTED, "");
    event_at(&bench, 1200, 9, CORE_VM_RUNNING, "");
    expect(&bench, "start 9/5\nreport 9/5=starting\nreport 9/5=running\n");
    order_at(&bench, 1300, CORE_ORDER_START, 9, 5);
    expect(&bench, "report 9/5=running\n");
    core_close(&bench.core);
}

static void a_start_that_fails_is_gone_and_failed(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    connect_at(&bench, 1000);
    bench.start_result = HF_ERROR_NOT_FOUND;
    forget_trace(&bench);
    order_at(&bench, 1000, CORE_ORDER_START, 9, 5);
    expect(&bench, "start 9/5\nreport 9/5=gone(no such image!)\n");
    order_at(&bench, 1000, CORE_ORDER_START, 9, 5);
    expect(&bench, "report 9/5=gone(no such image!)\n");
    core_close(&bench.core);
}

static void nothing_starts_without_a_live_lease(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    connect_at(&bench, 1000);
    forget_trace(&bench);
    order_at(&bench, 1000 + LEASE_MS, CORE_ORDER_START, 9, 5);
    expect(&bench, "report 9/5=gone(no lease)\n");
    core_close(&bench.core);
}

/* One row an order: what it brings for a VM that runs with epoch 5. */
static void orders_are_obeyed_by_epoch(void **unused)
{
    static const struct {
        enum core_order_action action;
        uint64_t epoch;
        const char *trace;
        uint64_t ignored;
    } rows[] = {
        {CORE_ORDER_START, 4, "", 1},
        {CORE_ORDER_STOP, 4, "", 1},
        {CORE_ORDER_KILL, 4, "", 1},
        {CORE_ORDER_START, 5, "report 9/5=running\n", 0},
        {CORE_ORDER_STOP, 5, "stop 9 10000\nreport 9/5=stopping\n", 0},
        {CORE_ORDER_KILL, 5, "kill 9 (ordered)\nreport 9/5=stopping\n", 0},
        {CORE_ORDER_START, 6,
         "kill 9 (a newer epoch was ordered)\nreport 9/5=stopping\n", 0},
        {CORE_ORDER_STOP, 6,
         "kill 9 (a newer epoch was ordered)\nreport 9/5=stopping\n", 0},
        {CORE_ORDER_KILL, 0, "", 1},
        {CORE_ORDER_START, CORE_EPOCH_UNKNOWN, "", 1},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bench bench;

        run_one(&bench, 9);
        order_at(&bench, 1200, rows[i].action, 9, rows[i].epoch);
        expect(&bench, rows[i].trace);
        assert_int_equal(bench.core.ignored_order_count, rows[i].ignored);
        core_close(&bench.core);
    }
}

static void a_newer_start_waits_until_the_older_is_gone(void **unused)
{
    struct bench bench;

    (void)unused;
    run_one(&bench, 9);
    order_at(&bench, 1200, CORE_ORDER_START, 9, 6);
    order_at(&bench, 1210, CORE_ORDER_START, 9, 5);
    assert_int_equal(bench.core.ignored_order_count, 1);
    forget_trace(&bench);
    event_at(&bench, 1300, 9, CORE_VM_GONE, "killed");
    expect(&bench, "report 9/5=gone(killed!)\n");
    order_at(&bench, 1400, CORE_ORDER_START, 9, 6);
    expect(&bench, "start 9/6\nreport 9/6=starting\n");
    core_close(&bench.core);
}

static void a_newer_stop_is_answered_when_the_older_is_gone(void **unused)
{
    struct bench bench;

    (void)unused;
    run_one(&bench, 9);
    order_at(&bench, 1200, CORE_ORDER_STOP, 9, 6);
    forget_trace(&bench);
    event_at(&bench, 1300, 9, CORE_VM_GONE, "killed");
    order_at(&bench, 1400, CORE_ORDER_START, 9, 6);
    expect(&bench, "report 9/6=gone(was not here)\n"
                   "report 9/6=gone(was not here)\n");
    core_close(&bench.core);
}

static void an_order_of_another_generation_or_session_is_ignored(void **unused)
{
    struct core_order order = {
        .action = CORE_ORDER_KILL, .uid = 9, .epoch = 5, .generation = 6};
    struct bench bench;

    (void)unused;
    run_one(&bench, 9);
    core_order(&bench.core, bench.session, 1200 * MS, &order);
    order.generation = 7;
    core_order(&bench.core, bench.session + 1, 1200 * MS, &order);
    core_session_closed(&bench.core, bench.session);
    core_order(&bench.core, bench.session, 1200 * MS, &order);
    expect(&bench, "");
    assert_int_equal(bench.core.ignored_order_count, 3);
    core_close(&bench.core);
}

static void gone_is_repeated_until_its_renewal_is_acknowledged(void **unused)
{
    struct bench bench;

    (void)unused;
    run_one(&bench, 9);
    tick(&bench, 2000);
    event_at(&bench, 2050, 9, CORE_VM_GONE, "exited status=1");
    forget_trace(&bench);
    acknowledge(&bench, 2100, 2); /* Said RUNNING. */
    expect(&bench, "lease 6400\n");
    tick(&bench, 3000);
    expect(&bench, "renew 3 g7 9/5=gone(exited status=1!)\n");
    core_session_closed(&bench.core, bench.session);
    bench.session = core_session_opened(&bench.core, 3100 * MS);
    expect(&bench, "hello 9/5=gone(exited status=1!)\n");
    core_welcome(&bench.core, bench.session, 3100 * MS, 7, &terms);
    tick(&bench, 3100);
    expect(&bench, "renew 4 g7 9/5=gone(exited status=1!)\n");
    acknowledge(&bench, 3200, 4);
    expect(&bench, "lease 7500\nforget 9\n");
    tick(&bench, 4200);
    expect(&bench, "renew 5 g7\n");
    order_at(&bench, 4300, CORE_ORDER_START, 9, 5);
    expect(&bench, "report 9/5=gone(exited status=1!)\n");
    core_close(&bench.core);
}

static void an_end_is_not_settled_by_an_older_renewal(void **unused)
{
    struct bench bench;

    (void)unused;
    run_one(&bench, 9);
    tick(&bench, 2000);
    event_at(&bench, 2050, 9, CORE_VM_GONE, "exited status=1");
    tick(&bench, 3000);
    forget_trace(&bench);
    acknowledge(&bench, 3100, 2); /* Said RUNNING. */
    expect(&bench, "lease 6400\n");
    acknowledge(&bench, 3100, 3);
    expect(&bench, "lease 7400\nforget 9\n");
    core_close(&bench.core);
}

static void a_stop_of_what_is_not_here_is_answered(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    connect_at(&bench, 1000);
    forget_trace(&bench);
    order_at(&bench, 1100, CORE_ORDER_STOP, 9, 5);
    order_at(&bench, 1100, CORE_ORDER_KILL, 10, 3);
    expect(&bench, "report 9/5=gone(was not here)\n"
                   "report 10/3=gone(was not here)\n");
    order_at(&bench, 1100, CORE_ORDER_START, 9, 5);
    expect(&bench, "report 9/5=gone(was not here)\n");
    core_close(&bench.core);
}

static void adopted_vms_are_listed_and_left_running(void **unused)
{
    struct core_found found = {9, 5, false, 10000, true};
    struct bench bench;

    (void)unused;
    memset(&bench, 0, sizeof(bench));
    core_init(&bench.core, &actions, 4000 * MS);
    assert_int_equal(core_adopt(&bench.core, &found), 0);
    assert_int_equal(core_adopt(&bench.core, &found), HF_ERROR_EXISTS);
    assert_int_equal(
        core_adopt_gone(&bench.core, 10, 2, "exited status=0", true), 0);
    tick(&bench, 1000);
    expect(&bench, "");
    connect_at(&bench, 1000);
    expect(&bench, "hello 9/5=running 10/2=gone(exited status=0!)\n"
                   "renew 1 g7 9/5=running 10/2=gone(exited status=0!)\n"
                   "lease 5400\nforget 10\n");
    core_close(&bench.core);
}

static void an_unknown_vm_is_listed_and_never_touched(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    assert_int_equal(core_quarantine(&bench.core, 9, CORE_EPOCH_UNKNOWN), 0);
    connect_at(&bench, 1000);
    expect(&bench, "hello 9/18446744073709551615=running\n"
                   "renew 1 g7 9/18446744073709551615=running\n"
                   "lease 5400\n");
    order_at(&bench, 1100, CORE_ORDER_KILL, 9, 5);
    order_at(&bench, 1100, CORE_ORDER_STOP, 9, 5);
    tick(&bench, 1200);
    expect(&bench, "");
    assert_int_equal(bench.core.ignored_order_count, 2);
    order_at(&bench, 1100, CORE_ORDER_START, 9, 6);
    expect(&bench, "report 9/6=gone(an unknown VM holds this uid here!)\n");
    core_session_closed(&bench.core, bench.session);
    tick(&bench, 60000);
    expect(&bench, "");
    core_close(&bench.core);
}

static void vms_stop_politely_before_the_lease_ends(void **unused)
{
    struct bench bench;
    uint64_t polite_ms;

    (void)unused;
    run_one(&bench, 9);
    core_session_closed(&bench.core, bench.session);
    polite_ms = core_polite_stop_ns(&bench.core, 10000) / MS;
    assert_in_range(polite_ms, 1000 + LEASE_MS - 600, 1000 + LEASE_MS - 400);
    tick(&bench, polite_ms - 1);
    expect(&bench, "");
    tick(&bench, polite_ms);
    expect(&bench, "stop 9 550\n");
    tick(&bench, 1000 + LEASE_MS - 1);
    expect(&bench, "");
    tick(&bench, 1000 + LEASE_MS);
    tick(&bench, 1000 + LEASE_MS);
    expect(&bench, "kill 9 (the lease is over)\n");
    core_close(&bench.core);
}

static void a_keep_vm_runs_on_without_a_lease(void **unused)
{
    struct core_found found = {9, 5, true, 10000, true};
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    assert_int_equal(core_adopt(&bench.core, &found), 0);
    tick(&bench, 100000);
    expect(&bench, "");
    core_close(&bench.core);
}

static void a_failed_guest_is_ended_unless_it_recovers(void **unused)
{
    struct bench bench;

    (void)unused;
    run_one(&bench, 9);
    core_session_closed(&bench.core, bench.session);
    bench.core.deadline_ns = UINT64_MAX;
    event_at(&bench, 2000, 9, CORE_VM_FAILED, "guest panicked");
    event_at(&bench, 3000, 9, CORE_VM_RUNNING, "");
    tick(&bench, 2000 + CORE_FAILED_MS);
    expect(&bench, "");
    event_at(&bench, 20000, 9, CORE_VM_FAILED, "guest panicked");
    tick(&bench, 20000 + CORE_FAILED_MS);
    expect(&bench, "kill 9 (guest panicked)\n");
    core_vm_event(&bench.core, 31000 * MS, 9, CORE_VM_GONE, "killed", false);
    core_session_opened(&bench.core, 31000 * MS);
    expect(&bench, "hello 9/5=gone(guest panicked!)\n");
    core_close(&bench.core);
}

static void a_full_host_ignores_what_it_could_not_list(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    connect_at(&bench, 1000);
    for (uint64_t uid = 1; uid <= CORE_VMS_MAX; uid++) {
        order_at(&bench, 1000, CORE_ORDER_START, uid, 1);
        forget_trace(&bench);
    }
    order_at(&bench, 1000, CORE_ORDER_START, CORE_VMS_MAX + 1, 1);
    expect(&bench, "");
    assert_int_equal(bench.core.listed_count, CORE_VMS_MAX);
    core_close(&bench.core);
}

/* Its uids mean other VMs there. */
static void another_region_waits_until_nothing_is_left(void **unused)
{
    struct bench bench;

    (void)unused;
    run_one(&bench, 9);
    core_session_closed(&bench.core, bench.session);
    assert_false(core_is_free(&bench.core, 2000 * MS));
    /* Its lease is over, but it keeps. */
    assert_false(core_is_free(&bench.core, 9000 * MS));
    core_vm_event(&bench.core, 2000 * MS, 9, CORE_VM_GONE, "killed", false);
    /* The page still lets run what the new region might start. */
    assert_false(core_is_free(&bench.core, 2000 * MS));
    assert_false(core_is_free(&bench.core, 5400 * MS - 1));
    assert_true(core_is_free(&bench.core, 5400 * MS));
    core_close(&bench.core);
}

static void an_unknown_vm_binds_the_host_to_its_region(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    assert_true(core_is_free(&bench.core, 0));
    assert_int_equal(core_quarantine(&bench.core, 9, 5), 0);
    assert_false(core_is_free(&bench.core, 0));
    core_close(&bench.core);
}

/* Epochs count from the start in the next region, for the same uids. */
static void a_region_that_was_left_is_forgotten(void **unused)
{
    struct bench bench;

    (void)unused;
    bench_init(&bench);
    connect_at(&bench, 1000);
    order_at(&bench, 1000, CORE_ORDER_STOP, 8, 5); /* Never here: 8/5 over. */
    order_at(&bench, 1000, CORE_ORDER_START, 9, 5);
    event_at(&bench, 1100, 9, CORE_VM_GONE, "exited");
    core_session_closed(&bench.core, bench.session);
    forget_trace(&bench);
    core_forget_region(&bench.core, 6000 * MS);
    expect(&bench, "forget 9\n");
    assert_int_equal(bench.core.listed_count, 0);
    assert_int_equal(bench.core.remembered_count, 0);
    connect_at(&bench, 6000);
    expect(&bench, "hello\nrenew 2 g7\nlease 10400\n");
    order_at(&bench, 6000, CORE_ORDER_START, 9, 1);
    order_at(&bench, 6000, CORE_ORDER_START, 8, 1);
    assert_non_null(strstr(bench.trace, "start 9/1"));
    assert_non_null(strstr(bench.trace, "start 8/1"));
    core_close(&bench.core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_says_hello_then_renews_and_gets_a_lease),
        cmocka_unit_test(only_a_renewal_in_flight_extends_the_lease),
        cmocka_unit_test(a_newer_acknowledgement_makes_older_ones_void),
        cmocka_unit_test(an_old_sessions_renewals_are_forgotten),
        cmocka_unit_test(a_silent_node_is_left),
        cmocka_unit_test(a_node_without_a_welcome_is_left_sooner_under_a_lease),
        cmocka_unit_test(bad_terms_are_refused),
        cmocka_unit_test(a_start_runs_and_is_reported),
        cmocka_unit_test(a_start_that_fails_is_gone_and_failed),
        cmocka_unit_test(nothing_starts_without_a_live_lease),
        cmocka_unit_test(orders_are_obeyed_by_epoch),
        cmocka_unit_test(a_newer_start_waits_until_the_older_is_gone),
        cmocka_unit_test(a_newer_stop_is_answered_when_the_older_is_gone),
        cmocka_unit_test(an_order_of_another_generation_or_session_is_ignored),
        cmocka_unit_test(gone_is_repeated_until_its_renewal_is_acknowledged),
        cmocka_unit_test(an_end_is_not_settled_by_an_older_renewal),
        cmocka_unit_test(a_stop_of_what_is_not_here_is_answered),
        cmocka_unit_test(adopted_vms_are_listed_and_left_running),
        cmocka_unit_test(an_unknown_vm_is_listed_and_never_touched),
        cmocka_unit_test(vms_stop_politely_before_the_lease_ends),
        cmocka_unit_test(a_keep_vm_runs_on_without_a_lease),
        cmocka_unit_test(a_failed_guest_is_ended_unless_it_recovers),
        cmocka_unit_test(a_full_host_ignores_what_it_could_not_list),
        cmocka_unit_test(another_region_waits_until_nothing_is_left),
        cmocka_unit_test(an_unknown_vm_binds_the_host_to_its_region),
        cmocka_unit_test(a_region_that_was_left_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
