/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's pure parts: endpoints, statuses, pauses. */
#include "client/client.h"
#include "client/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void endpoints_are_host_and_port(void **unused)
{
    static const char *const wrong[] = {
        "",     "x",        ":1",    "x:",   "x:0",  "x:65536",
        "x:1a", "::1:7400", "a b:1", "[]:1", "x/y:1"};
    char host[SOCKET_HOST_MAX + 1];
    uint16_t port;

    (void)unused;
    assert_true(socket_parse_endpoint("node-1.example:7400", host, &port));
    assert_string_equal(host, "node-1.example");
    assert_int_equal(port, 7400);
    assert_true(socket_parse_endpoint("[::1]:65535", host, &port));
    assert_string_equal(host, "::1");
    assert_int_equal(port, 65535);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(socket_parse_endpoint(wrong[i], host, &port));
    }
}

static void lists_of_endpoints_are_checked(void **unused)
{
    struct hf_status status;
    struct hf_client *client = hf_client_open("a:1,b:2", &status);

    (void)unused;
    assert_non_null(client);
    assert_int_equal(hf_client_endpoint_count(client), 2);
    assert_string_equal(hf_client_endpoint(client, 1), "b:2");
    assert_string_equal(hf_client_endpoint_error(client, 1), "");
    hf_client_close(client);
    assert_null(hf_client_open("", &status));
    assert_null(hf_client_open("a:1,,b:2", &status));
    assert_null(hf_client_open(
        "a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1,a:1",
        &status));
    assert_string_equal(status.message, "more than 16 endpoints");
}

static void statuses_are_read_from_the_wire(void **unused)
{
    char text[16];

    (void)unused;
    assert_int_equal(status_parse_code("0", 1), HF_STATUS_OK);
    assert_int_equal(status_parse_code("16", 2), HF_STATUS_UNAUTHENTICATED);
    assert_int_equal(status_parse_code("17", 2), HF_STATUS_UNKNOWN);
    assert_int_equal(status_parse_code("", 0), HF_STATUS_UNKNOWN);
    assert_int_equal(status_parse_code("1x", 2), HF_STATUS_UNKNOWN);
    assert_int_equal(status_of_http(503), HF_STATUS_UNAVAILABLE);
    assert_int_equal(status_of_http(404), HF_STATUS_UNIMPLEMENTED);
    assert_int_equal(status_of_http(418), HF_STATUS_UNKNOWN);
    status_decode_message("a%20b%0Ac%", 10, text, sizeof(text));
    assert_string_equal(text, "a b c%");
    status_decode_message("%41%4", 5, text, sizeof(text));
    assert_string_equal(text, "A%4");
    status_decode_message("0123456789abcdef", 16, text, sizeof(text));
    assert_string_equal(text, "0123456789abcde");
    assert_string_equal(hf_code_name((enum hf_code)99), "UNKNOWN");
}

static void pauses_double_up_to_two_seconds(void **unused)
{
    static const uint64_t base[] = {100, 200, 400, 800, 1600, 2000, 2000};
    struct random random;

    (void)unused;
    random_init(&random, 1);
    for (unsigned round = 1; round <= 7; round++) {
        bool low = false;
        bool high = false;

        for (int i = 0; i < 1000; i++) {
            uint64_t ms = backoff_ms(round, &random);

            assert_in_range(ms, base[round - 1] * 8 / 10,
                            base[round - 1] * 12 / 10);
            low |= ms < base[round - 1] * 9 / 10;
            high |= ms > base[round - 1] * 11 / 10;
        }
        assert_true(low && high);
    }
}

static void methods_are_found_by_name(void **unused)
{
    (void)unused;
    assert_string_equal(hf_method_find("VmService/CreateVm")->input->short_name,
                        "CreateVmRequest");
    assert_null(hf_method_find("VmService/Nope"));
    assert_null(hf_method_find("Nope/CreateVm"));
    assert_null(hf_method_find("AgentService/Session"));
    assert_null(hf_method_find(""));
}

static void a_message_cannot_take_unbounded_memory(void **unused)
{
    static uint8_t bomb[8 * 1024 * 1024];

    (void)unused;
    /* 4 million empty Vm messages in a ListVmsResponse. */
    for (size_t i = 0; i < sizeof(bomb); i += 2) {
        bomb[i] = 1 << 3 | 2;
    }
    assert_null(client_unpack(hf_method_find("VmService/ListVms")->output, bomb,
                              sizeof(bomb)));
    assert_null(client_unpack(hf_method_find("VmService/ListVms")->output,
                              (const uint8_t *)"\xff", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_are_host_and_port),
        cmocka_unit_test(lists_of_endpoints_are_checked),
        cmocka_unit_test(statuses_are_read_from_the_wire),
        cmocka_unit_test(pauses_double_up_to_two_seconds),
        cmocka_unit_test(methods_are_found_by_name),
        cmocka_unit_test(a_message_cannot_take_unbounded_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
