/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of the metrics, whether a node is ready, and what changes did. */
#include "base/container.h"
#include "node/limits.h"
#include "node/metrics.h"
#include "node/ready.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The text; to be freed. */
static char *text_of(const struct metrics *metrics)
{
    struct bytes out;
    size_t len;

    bytes_init(&out);
    metrics_write(metrics, &out);
    bytes_append_u8(&out, '\0');
    return (char *)bytes_take(&out, &len);
}

static bool has_line(const char *text, const char *line)
{
    size_t len = strlen(line);

    for (const char *at = strstr(text, line); at != NULL;
         at = strstr(at + 1, line)) {
        if ((at == text || at[-1] == '\n') && at[len] == '\n') {
            return true;
        }
    }
    return false;
}

static struct metrics some_metrics(void)
{
    struct metrics metrics;

    memset(&metrics, 0, sizeof(metrics));
    metrics.version = "1.2.3";
    metrics.region = "eu";
    metrics.region_id = "ab";
    metrics.node = "n1";
    metrics.zone = "z1";
    return metrics;
}

static void values_are_written_in_their_units(void **state)
{
    struct metrics metrics = some_metrics();
    char *text;

    (void)state;
    metrics.uptime_ms = 61007;
    metrics.cpu_us = 5;
    metrics.disk_us = 1200000;
    metrics.applied_index = UINT64_MAX;
    metrics.ready = 1;
    metrics.role = REPLICA_CANDIDATE;
    metrics.planned[LANE_READ] = 7;
    metrics.counts.hosts = 5;
    metrics.counts.hosts_up = 3;
    metrics.counts.vms_by_state[VM_LOST] = 9;
    metrics.activity.changes[CHANGE_HOST_FENCE] = 2;
    metrics.activity.failovers = 4;
    text = text_of(&metrics);
    assert_true(has_line(text, "holdfast_build_info{version=\"1.2.3\"} 1"));
    assert_true(has_line(text, "holdfast_node_info{region=\"eu\","
                               "region_id=\"ab\",node=\"n1\",zone=\"z1\"} 1"));
    assert_true(has_line(text, "holdfast_uptime_seconds 61.007"));
    assert_true(has_line(text, "holdfast_cpu_seconds_total 0.000005"));
    assert_true(has_line(text, "holdfast_raft_disk_write_seconds 1.200000"));
    assert_true(
        has_line(text, "holdfast_raft_applied_index 18446744073709551615"));
    assert_true(has_line(text, "holdfast_ready 1"));
    assert_true(has_line(text, "holdfast_raft_role{role=\"leader\"} 0"));
    assert_true(has_line(text, "holdfast_raft_role{role=\"candidate\"} 1"));
    assert_true(
        has_line(text, "holdfast_turn_requests_total{lane=\"read\"} 7"));
    assert_true(has_line(text, "holdfast_hosts{state=\"up\"} 3"));
    assert_true(has_line(text, "holdfast_hosts{state=\"lost\"} 2"));
    assert_true(has_line(text, "holdfast_vms{state=\"lost\"} 9"));
    assert_true(has_line(
        text, "holdfast_changes_applied_total{change=\"host_fence\"} 2"));
    assert_true(has_line(text, "holdfast_vm_failovers_total 4"));
    assert_true(has_line(text, "# TYPE holdfast_uptime_seconds gauge"));
    assert_true(has_line(text, "# TYPE holdfast_vm_failovers_total counter"));
    free(text);
}

static void label_values_are_escaped(void **state)
{
    struct metrics metrics = some_metrics();
    struct metrics_calls call = {"a/\n\\\"b", "OK", 3};
    char *text;

    (void)state;
    metrics.region = "\"";
    metrics.node = "\\";
    metrics.zone = "\n";
    metrics.calls = &call;
    metrics.call_count = 1;
    text = text_of(&metrics);
    assert_true(has_line(text,
                         "holdfast_node_info{region=\"\\\"\","
                         "region_id=\"ab\",node=\"\\\\\",zone=\"\\n\"} 1"));
    assert_true(has_line(text, "holdfast_rpc_calls_total{method=\"a/\\n\\\\\\\""
                               "b\",code=\"OK\"} 3"));
    free(text);
}

static void the_leader_alone_tells_of_leases_and_lag(void **state)
{
    struct metrics metrics = some_metrics();
    struct metrics_peer peers[] = {{"n2", true, false, 0},
                                   {"n3", false, false, 0}};
    char *text;

    (void)state;
    metrics.peers = peers;
    metrics.peer_count = ARRAY_LEN(peers);
    text = text_of(&metrics);
    assert_null(strstr(text, "holdfast_leases{"));
    assert_null(strstr(text, "holdfast_raft_peer_lag_entries{"));
    assert_true(has_line(text, "holdfast_raft_peer_connected{peer=\"n2\"} 1"));
    assert_true(has_line(text, "holdfast_raft_peer_connected{peer=\"n3\"} 0"));
    free(text);

    metrics.leads = 1;
    metrics.leases_late = 6;
    peers[1].lag_known = true;
    peers[1].lag_entries = 8;
    text = text_of(&metrics);
    assert_true(has_line(text, "holdfast_leases{state=\"late\"} 6"));
    assert_true(
        has_line(text, "holdfast_raft_peer_lag_entries{peer=\"n3\"} 8"));
    free(text);
}

/* Of names: the prefix, the unit last, and `_total` for counters alone. */
static void names_keep_the_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < metrics_family_count(); i++) {
        const struct metrics_family *family = metrics_family(i);
        size_t len = strlen(family->name);
        bool is_total = strcmp(family->name + len - 6, "_total") == 0;

        assert_memory_equal(family->name, "holdfast_", 9);
        assert_int_equal(strspn(family->name, "abcdefghijklmnopqrstuvwxyz_"),
                         len);
        assert_int_equal(is_total, family->type == METRICS_COUNTER);
        assert_int_equal(family->decimals > 0,
                         strstr(family->name, "_seconds") != NULL);
        assert_true(family->help[0] != '\0');
        assert_null(strpbrk(family->help, "\n\\|"));
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(family->name, metrics_family(j)->name);
        }
    }
}

static void a_zone_that_cannot_be_lost_is_told(void **state)
{
    struct metrics metrics = some_metrics();
    const struct metrics_zone zones[] = {{"z1", 0}, {"z2", 7}};
    char *text;

    (void)state;
    metrics.zone_losses = zones;
    metrics.zone_loss_count = ARRAY_LEN(zones);
    text = text_of(&metrics);
    assert_true(
        has_line(text, "holdfast_zone_loss_unplaceable{zone=\"z1\"} 0"));
    assert_true(
        has_line(text, "holdfast_zone_loss_unplaceable{zone=\"z2\"} 7"));
    free(text);
}

static void every_kind_of_change_has_a_name(void **state)
{
    (void)state;
    assert_null(activity_kind_name(0));
    for (size_t kind = 1; kind < ACTIVITY_KINDS; kind++) {
        assert_non_null(activity_kind_name(kind));
    }
    assert_null(activity_kind_name(ACTIVITY_KINDS));
}

static void a_node_is_ready_with_a_leader_and_a_current_state(void **state)
{
    static const struct {
        struct ready_facts facts;
        const char *words; /* NULL: it is ready. */
    } rows[] = {
        {{.leader_known = true}, NULL},
        {{.leader_known = true, .elected = true, .proved = true}, NULL},
        {{.leader_known = true, .behind = READY_LAG_ENTRIES_MAX}, NULL},
        {{.leader_known = true, .behind = READY_LAG_ENTRIES_MAX + 1},
         "101 entries behind"},
        {{.leader_known = false}, "no leader"},
        {{.leader_known = true, .elected = true}, "does not lead yet"},
        {{.leader_known = true, .leaving = true}, "stopping"},
    };
    char text[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *why = ready_why_not(&rows[i].facts, text, sizeof(text));

        if (rows[i].words == NULL) {
            assert_null(why);
        } else {
            assert_non_null(why);
            assert_non_null(strstr(why, rows[i].words));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_written_in_their_units),
        cmocka_unit_test(label_values_are_escaped),
        cmocka_unit_test(the_leader_alone_tells_of_leases_and_lag),
        cmocka_unit_test(names_keep_the_rules),
        cmocka_unit_test(a_zone_that_cannot_be_lost_is_told),
        cmocka_unit_test(every_kind_of_change_has_a_name),
        cmocka_unit_test(a_node_is_ready_with_a_leader_and_a_current_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
