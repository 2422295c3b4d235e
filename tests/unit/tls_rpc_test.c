/* SPDX-License-Identifier: Apache-2.0
 *
 * Who gets in over TLS, as whom, and who does not: client and server of rpc/
 * against each other, with certificates of our own PKI. */
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "rpc/channel.h"
#include "rpc/server.h"
#include "tls/pki.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <grpc/health/v1/health.pb-c.h>

#define MESSAGE grpc__health__v1__health_check_request__descriptor

typedef Grpc__Health__V1__HealthCheckRequest text_message;

/* --- A PKI in a directory of its own ------------------------------------- */

static char home[64];

static const char *at(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s/%s", home, name);
    return path;
}

static void issue(const char *authority, enum pki_role role, const char *name,
                  const char *file, uint64_t until_s)
{
    struct pki_request request = {.role = role,
                                  .name = name,
                                  .common_name = role == PKI_NODE ? "n1" : NULL,
                                  .hosts = {"127.0.0.1", "localhost"},
                                  .host_count = role == PKI_NODE ? 2 : 0,
                                  .until_s = until_s};
    char error[256] = "";
    int rv =
        pki_issue(at(authority), &request, home, file, error, sizeof(error));

    assert_string_equal(error, "");
    assert_int_equal(rv, 0);
}

static int make_pki(void **unused)
{
    char error[256] = "";

    (void)unused;
    snprintf(home, sizeof(home), "/tmp/rpc_tls_test.XXXXXX");
    assert_non_null(mkdtemp(home));
    assert_int_equal(pki_init(at("ca"), "r1", error, sizeof(error)), 0);
    assert_int_equal(pki_init(at("other"), "r2", error, sizeof(error)), 0);
    issue("ca", PKI_NODE, "1", "node1", 0);
    issue("ca", PKI_NODE, "2", "node2", 0);
    issue("ca", PKI_AGENT, "h1", "agent", 0);
    issue("ca", PKI_CLIENT, "anna", "client", 0);
    issue("ca", PKI_CLIENT, "late", "expired", (uint64_t)time(NULL) - 60);
    issue("other", PKI_CLIENT, "mallory", "stranger", 0);
    issue("other", PKI_NODE, "1", "false-node", 0);
    return 0;
}

static int remove_pki(void **unused)
{
    char command[128];

    (void)unused;
    snprintf(command, sizeof(command), "rm -rf %s", home);
    return system(command); /* NOLINT(cert-env33-c): a path of our own. */
}

static struct tls *tls_with(const char *own, const char *authority)
{
    char certificate[128] = "";
    char key[128] = "";
    char cas[3][128];
    char error[256] = "";
    struct tls_files files = {
        .node_ca = cas[0], .agent_ca = cas[1], .client_ca = cas[2]};
    struct tls *tls;

    for (int role = 0; role < 3; role++) {
        snprintf(cas[role], sizeof(cas[role]), "%s/%s/%s-ca.crt", home,
                 authority, pki_role_name((enum pki_role)role));
    }
    if (own != NULL) {
        snprintf(certificate, sizeof(certificate), "%s/%s.crt", home, own);
        snprintf(key, sizeof(key), "%s/%s.key", home, own);
        files.certificate = certificate;
        files.key = key;
    }
    tls = tls_create(&files, error, sizeof(error));
    assert_string_equal(error, "");
    assert_non_null(tls);
    return tls;
}

/* --- A server that says who called --------------------------------------- */

struct door {
    struct rpc_service service;
    struct rpc_method method;
    struct rpc_server *server;
    struct rpc_server_close close;
    struct tls *tls;
    bool closed;
    char address[64];
};

struct visit {
    struct rpc_handler handler;
    struct rpc_call *call;
};

/* Back comes who it is and how much he said. */
static void visit_message(struct rpc_handler *handler,
                          const ProtobufCMessage *message)
{
    struct visit *visit = container_of(handler, struct visit, handler);
    const text_message *text = (const text_message *)(const void *)message;
    const struct tls_identity *who = rpc_call_identity(visit->call);
    text_message answer = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    char words[256];

    snprintf(words, sizeof(words), "%s:%s %zu",
             who == NULL ? "plain" : tls_role_name(who->role),
             who == NULL ? "" : who->name, strlen(text->service));
    answer.service = words;
    rpc_call_send(visit->call, &answer.base);
    rpc_call_finish(visit->call, RPC_OK, "%s", "");
}

static void visit_closed(struct rpc_handler *handler)
{
    free(container_of(handler, struct visit, handler));
}

static const struct rpc_handler_ops visit_ops = {.message = visit_message,
                                                 .closed = visit_closed};

static struct rpc_handler *door_open(struct rpc_service *service,
                                     const struct rpc_method *method,
                                     struct rpc_call *call)
{
    struct visit *visit = memory_alloc(sizeof(*visit));

    (void)service;
    (void)method;
    visit->handler.ops = &visit_ops;
    visit->call = call;
    return &visit->handler;
}

static void door_done(struct rpc_server_close *close)
{
    container_of(close, struct door, close)->closed = true;
}

static void door_start(struct door *door, uv_loop_t *loop, const char *own)
{
    char error[256];

    memset(door, 0, sizeof(*door));
    door->service.open = door_open;
    door->close.done = door_done;
    door->method = (struct rpc_method){.path = "/test.Door/Knock",
                                       .input = &MESSAGE,
                                       .output = &MESSAGE,
                                       .service = &door->service};
    door->server = rpc_server_create(loop);
    rpc_server_add(door->server, &door->method);
    if (own != NULL) {
        door->tls = tls_with(own, "ca");
        rpc_server_use_tls(door->server, door->tls);
    }
    assert_int_equal(
        rpc_server_listen(door->server, "127.0.0.1:0", error, sizeof(error)),
        0);
    snprintf(door->address, sizeof(door->address), "127.0.0.1:%d",
             rpc_server_port(door->server));
}

static void run_until(uv_loop_t *loop, const bool *done)
{
    uint64_t give_up = uv_hrtime() + 20ull * 1000000000;

    while (!*done) {
        assert_true(uv_hrtime() < give_up);
        uv_run(loop, UV_RUN_ONCE);
    }
}

static void door_stop(struct door *door, uv_loop_t *loop)
{
    rpc_server_drain(door->server, 1000, &door->close);
    run_until(loop, &door->closed);
    uv_run(loop, UV_RUN_DEFAULT);
    tls_destroy(door->tls);
    assert_int_equal(uv_loop_close(loop), 0);
}

/* --- One who knocks ------------------------------------------------------ */

struct knock {
    struct rpc_unary unary;
    bool done;
    enum rpc_code code;
    char message[256];
    char answer[256];
};

static void knocked(struct rpc_unary *unary, const struct rpc_result *result,
                    const ProtobufCMessage *response)
{
    struct knock *knock = container_of(unary, struct knock, unary);

    if (response != NULL) {
        snprintf(knock->answer, sizeof(knock->answer), "%s",
                 ((const text_message *)(const void *)response)->service);
    }
    snprintf(knock->message, sizeof(knock->message), "%s", result->message);
    knock->code = result->code;
    knock->done = true;
}

struct visitor {
    const char *own;       /* NULL: no certificate. */
    const char *authority; /* Whom he trusts; NULL: plain. */
    const char *expect;    /* Pinned to; NULL: the address. */
    size_t bytes;          /* Of what he says. */
};

static void knock_at(uv_loop_t *loop, const char *address,
                     const struct visitor *visitor, struct knock *knock)
{
    struct tls *tls = visitor->authority == NULL
                          ? NULL
                          : tls_with(visitor->own, visitor->authority);
    struct rpc_channel *channel = rpc_channel_create(loop, address, 1);
    text_message request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    char *text = memory_alloc(visitor->bytes + 1);

    memset(text, 'x', visitor->bytes);
    memset(knock, 0, sizeof(*knock));
    request.service = text;
    if (tls != NULL) {
        rpc_channel_use_tls(channel, tls, visitor->expect, "n1");
    }
    uv_update_time(loop);
    knock->unary.output = &MESSAGE;
    knock->unary.deadline_ms = uv_now(loop) + 10000;
    knock->unary.done = knocked;
    rpc_unary_call(channel, &knock->unary, "/test.Door/Knock", &request.base);
    run_until(loop, &knock->done);
    rpc_channel_destroy(channel);
    for (int i = 0; i < 5; i++) {
        uv_run(loop, UV_RUN_NOWAIT);
    }
    tls_destroy(tls);
    free(text);
}

static void everybody_gets_in_as_what_he_is_or_not_at_all(void **unused)
{
    static const struct {
        const char *what;
        struct visitor visitor;
        enum rpc_code code;
        const char *answer; /* Or what the message says. */
    } rows[] = {
        {"a client", {"client", "ca", NULL, 5}, RPC_OK, "client:anna 5"},
        {"an agent", {"agent", "ca", NULL, 5}, RPC_OK, "agent:h1 5"},
        {"another node", {"node2", "ca", NULL, 5}, RPC_OK, "node:2 5"},
        {"no certificate", {NULL, "ca", NULL, 5}, RPC_OK, "none: 5"},
        {"pinned to the node's id",
         {"client", "ca", "1", 5},
         RPC_OK,
         "client:anna 5"},
        {"much to say",
         {"client", "ca", NULL, 3 << 20},
         RPC_OK,
         "client:anna 3145728"},
        {"another authority's",
         {"stranger", "ca", NULL, 5},
         RPC_UNAVAILABLE,
         ""},
        {"expired", {"expired", "ca", NULL, 5}, RPC_UNAVAILABLE, ""},
        {"pinned to another id",
         {"client", "ca", "2", 5},
         RPC_UNAVAILABLE,
         "is that of node '1', not of '2'"},
        {"does not trust the node",
         {"client", "other", NULL, 5},
         RPC_UNAVAILABLE,
         "self-signed certificate"},
        {"speaks no TLS", {NULL, NULL, NULL, 5}, RPC_UNAVAILABLE, ""},
    };
    struct door door;
    uv_loop_t loop;

    (void)unused;
    uv_loop_init(&loop);
    door_start(&door, &loop, "node1");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct knock knock;

        knock_at(&loop, door.address, &rows[i].visitor, &knock);
        if (knock.code != rows[i].code) {
            fail_msg("%s: code %d, \"%s\"", rows[i].what, (int)knock.code,
                     knock.message);
        }
        if (rows[i].code == RPC_OK) {
            assert_string_equal(knock.answer, rows[i].answer);
        } else if (strstr(knock.message, rows[i].answer) == NULL) {
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].what,
                     knock.message, rows[i].answer);
        }
    }
    assert_in_range(rpc_server_stats(door.server)->handshakes_failed, 3, 5);
    door_stop(&door, &loop);
}

static void the_host_of_the_address_must_be_in_the_certificate(void **unused)
{
    struct visitor visitor = {"client", "ca", NULL, 1};
    char error[256];
    struct pki_request request = {
        .role = PKI_NODE, .name = "7", .hosts = {"127.0.0.9"}, .host_count = 1};
    struct knock knock;
    struct door door;
    uv_loop_t loop;

    (void)unused;
    assert_int_equal(
        pki_issue(at("ca"), &request, home, "elsewhere", error, sizeof(error)),
        0);
    uv_loop_init(&loop);
    door_start(&door, &loop, "elsewhere");
    knock_at(&loop, door.address, &visitor, &knock);
    assert_int_equal(knock.code, RPC_UNAVAILABLE);
    assert_non_null(strstr(knock.message, "IP address mismatch"));
    visitor.expect = "7";
    knock_at(&loop, door.address, &visitor, &knock);
    assert_int_equal(knock.code, RPC_OK);
    door_stop(&door, &loop);
}

/* --- Files --------------------------------------------------------------- */

static void new_files_are_taken_without_a_restart(void **unused)
{
    struct visitor visitor = {"client", "ca", NULL, 1};
    char error[256] = "";
    struct knock knock;
    struct door door;
    uv_loop_t loop;

    (void)unused;
    issue("ca", PKI_NODE, "1", "turning", 0);
    uv_loop_init(&loop);
    door_start(&door, &loop, "turning");
    assert_int_equal(tls_reload(door.tls, error, sizeof(error)), 0);
    issue("ca", PKI_NODE, "5", "turning", 0);
    assert_int_equal(tls_reload(door.tls, error, sizeof(error)), 1);
    visitor.expect = "5";
    knock_at(&loop, door.address, &visitor, &knock);
    assert_int_equal(knock.code, RPC_OK);
    /* Unusable ones leave the former in use. */
    assert_int_equal(truncate(at("turning.crt"), 10), 0);
    assert_int_equal(tls_reload(door.tls, error, sizeof(error)),
                     HF_ERROR_INVALID);
    assert_non_null(strstr(error, "tls.certificate: "));
    knock_at(&loop, door.address, &visitor, &knock);
    assert_int_equal(knock.code, RPC_OK);
    door_stop(&door, &loop);
}

static void expect_refusal(const struct tls_files *files, const char *what)
{
    char error[256] = "";

    assert_null(tls_create(files, error, sizeof(error)));
    if (strstr(error, what) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", error, what);
    }
}

static void files_that_are_not_in_order_are_refused_by_name(void **unused)
{
    struct tls_files files = {.certificate = at("client.crt"),
                              .key = at("client.key"),
                              .node_ca = at("ca/node-ca.crt")};

    (void)unused;
    files.key = at("agent.key");
    expect_refusal(&files, "is not the key of tls.certificate");
    files.key = NULL;
    expect_refusal(&files, "go together");
    files.key = at("client.key");
    assert_int_equal(chmod(files.key, 0644), 0);
    expect_refusal(&files, "others can read or change this key");
    assert_int_equal(chmod(files.key, 0600), 0);
    files.node_ca = at("nothing.crt");
    expect_refusal(&files, "tls.node_ca: ");
    files.node_ca = files.key;
    expect_refusal(&files, "holds no certificate");
    files.node_ca = NULL;
    expect_refusal(&files, "tls.node_ca: must be given");
}

/* --- The PKI itself ------------------------------------------------------ */

static void keys_are_private_and_authorities_are_not_made_twice(void **unused)
{
    static const char *const keys[] = {"ca/node-ca.key", "ca/agent-ca.key",
                                       "ca/client-ca.key", "client.key"};
    struct pki_facts facts;
    struct stat found;
    char error[256];

    (void)unused;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        assert_int_equal(stat(at(keys[i]), &found), 0);
        assert_int_equal(found.st_mode & 0777, 0600);
    }
    assert_int_equal(pki_init(at("ca"), "r1", error, sizeof(error)),
                     HF_ERROR_EXISTS);
    assert_int_equal(pki_show(at("agent.crt"), &facts, error, sizeof(error)),
                     0);
    assert_string_equal(facts.uri, "holdfast:agent:h1");
    assert_in_range(facts.not_after_s - facts.not_before_s,
                    UINT64_C(364) * 86400, UINT64_C(366) * 86400);
}

static void requests_that_would_mislead_are_refused(void **unused)
{
    static const struct {
        struct pki_request request;
        const char *field;
    } rows[] = {
        {{.role = PKI_CLIENT, .name = ""}, "name: "},
        {{.role = PKI_CLIENT, .name = "../x"}, "name: "},
        {{.role = PKI_CLIENT, .name = "a:b"}, "name: "},
        {{.role = PKI_CLIENT, .name = "a,IP:1.2.3.4"}, "name: "},
        {{.role = PKI_NODE, .name = "n1", .hosts = {"h"}, .host_count = 1},
         "id: "},
        {{.role = PKI_NODE, .name = "1"}, "address: "},
        {{.role = PKI_NODE, .name = "1", .hosts = {"a b"}, .host_count = 1},
         "address: "},
        {{.role = PKI_AGENT, .name = "h", .days = 10000}, "days: "},
    };
    char error[256];

    (void)unused;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(pki_issue(at("ca"), &rows[i].request, home, "refused",
                                   error, sizeof(error)),
                         HF_ERROR_INVALID);
        assert_memory_equal(error, rows[i].field, strlen(rows[i].field));
    }
    assert_int_not_equal(access(at("refused.crt"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_gets_in_as_what_he_is_or_not_at_all),
        cmocka_unit_test(the_host_of_the_address_must_be_in_the_certificate),
        cmocka_unit_test(new_files_are_taken_without_a_restart),
        cmocka_unit_test(files_that_are_not_in_order_are_refused_by_name),
        cmocka_unit_test(keys_are_private_and_authorities_are_not_made_twice),
        cmocka_unit_test(requests_that_would_mislead_are_refused),
    };

    return cmocka_run_group_tests(tests, make_pki, remove_pki);
}
