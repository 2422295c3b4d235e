/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's small parts: endpoints, statuses, methods and messages. */
#include "base/container.h"
#include "client/request.h"
#include "client/status.h"
#include "rpc/endpoint.h"
#include "rpc/message.h"
#include "rpc/outcome.h"

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
    char host[RPC_ENDPOINT_HOST_MAX + 1];
    uint16_t port;

    (void)unused;
    assert_true(rpc_endpoint_parse("node-1.example:7400", host, &port));
    assert_string_equal(host, "node-1.example");
    assert_int_equal(port, 7400);
    assert_true(rpc_endpoint_parse("[::1]:65535", host, &port));
    assert_string_equal(host, "::1");
    assert_int_equal(port, 65535);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(rpc_endpoint_parse(wrong[i], host, &port));
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

static void add(struct bytes *headers, const char *name, const char *value)
{
    rpc_headers_add(headers, (const uint8_t *)name, strlen(name),
                    (const uint8_t *)value, strlen(value));
}

static void statuses_are_read_from_the_wire(void **unused)
{
    static const struct {
        const char *name; /* NULL: no header came. */
        const char *value;
        uint32_t http2_error;
        enum hf_code code;
    } rows[] = {
        {"grpc-status", "0", 0, HF_STATUS_OK},
        {"grpc-status", "16", 0, HF_STATUS_UNAUTHENTICATED},
        {"grpc-status", "17", 0, HF_STATUS_UNKNOWN},
        {"grpc-status", "", 0, HF_STATUS_UNKNOWN},
        {"grpc-status", "1x", 0, HF_STATUS_UNKNOWN},
        {"grpc-status", "5", NGHTTP2_CANCEL, HF_STATUS_NOT_FOUND},
        {":status", "503", 0, HF_STATUS_UNAVAILABLE},
        {":status", "404", 0, HF_STATUS_UNIMPLEMENTED},
        {":status", "418", 0, HF_STATUS_UNKNOWN},
        {":status", "200", 0, HF_STATUS_UNAVAILABLE},
        {":status", "200", NGHTTP2_CANCEL, HF_STATUS_CANCELLED},
        {NULL, NULL, NGHTTP2_REFUSED_STREAM, HF_STATUS_UNAVAILABLE},
    };
    struct hf_status status;
    struct bytes headers;

    (void)unused;
    bytes_init(&headers);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bytes_clear(&headers);
        if (rows[i].name != NULL) {
            add(&headers, rows[i].name, rows[i].value);
        }
        assert_int_equal(status_read(&status, &headers, rows[i].http2_error),
                         rows[i].code);
        assert_string_equal(status.reason, "");
    }
    bytes_clear(&headers);
    add(&headers, "grpc-status", "9");
    add(&headers, "grpc-message", "a%20b%0Ac%");
    add(&headers, "holdfast-reason", "HEADROOM");
    assert_int_equal(status_read(&status, &headers, 0),
                     HF_STATUS_FAILED_PRECONDITION);
    assert_string_equal(status.message, "a b c%");
    assert_string_equal(status.reason, "HEADROOM");
    assert_string_equal(hf_code_name((enum hf_code)99), "UNKNOWN");
    bytes_close(&headers);
}

static void a_pause_that_a_node_asks_for_is_read(void **unused)
{
    static const struct {
        const char *value;
        int64_t pushback_ms;
    } rows[] = {
        {"0", 0},  {"250", 250}, {"-1", -1}, {"-9", -1},
        {"x", -1}, {"", -1},     {"5s", -1}, {"99999999999999999999", -1}};
    struct bytes headers;
    int64_t pushback_ms;

    (void)unused;
    bytes_init(&headers);
    assert_false(rpc_outcome_pushback(&headers, &pushback_ms));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bytes_clear(&headers);
        add(&headers, "grpc-retry-pushback-ms", rows[i].value);
        assert_true(rpc_outcome_pushback(&headers, &pushback_ms));
        assert_int_equal(pushback_ms, rows[i].pushback_ms);
    }
    bytes_close(&headers);
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
    assert_null(request_unpack(hf_method_find("VmService/ListVms")->output,
                               bomb, sizeof(bomb)));
    assert_null(request_unpack(hf_method_find("VmService/ListVms")->output,
                               (const uint8_t *)"\xff", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_are_host_and_port),
        cmocka_unit_test(lists_of_endpoints_are_checked),
        cmocka_unit_test(statuses_are_read_from_the_wire),
        cmocka_unit_test(a_pause_that_a_node_asks_for_is_read),
        cmocka_unit_test(methods_are_found_by_name),
        cmocka_unit_test(a_message_cannot_take_unbounded_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
