/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/join.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "rpc/channel.h"
#include "tls/pki_join.h"
#include "tls/secret.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <holdfast/v1/join_service.pb-c.h>

#define NODES_MAX   16
#define CALL_MS     10000
#define ATTEMPTS    5 /* An election takes a second or two. */
#define PAUSE_S     1
#define ERROR_BYTES 512

enum { JOIN_OK = 0, JOIN_FAILED = 1, JOIN_USAGE = 2 };

struct join {
    const char *nodes[NODES_MAX];
    unsigned node_count;
    const char *ca;
    const char *token_file;
    const char *dir;
    char host[HOST_NAME_MAX + 1];
    char authorization[SECRET_TEXT_BYTES + 16];
    struct tls *tls;
    uv_loop_t loop;
    struct rpc_unary unary; /* The attempt under way. */
    bool again;             /* It may do better at another node, or later. */
    bool answered;
    bool waiting;
    char error[ERROR_BYTES];
};

static int usage_error(const char *text)
{
    (void)fprintf(stderr,
                  "holdfast-agent: join: %s; see `holdfast-agent --help`\n",
                  text);
    return JOIN_USAGE;
}

/* This machine's name without its domain. */
static void own_name(char host[HOST_NAME_MAX + 1])
{
    if (gethostname(host, HOST_NAME_MAX) != 0) {
        host[0] = '\0';
    }
    host[HOST_NAME_MAX] = '\0';
    host[strcspn(host, ".")] = '\0';
}

static int read_arguments(struct join *join, int argc, char **argv)
{
    static const struct option options[] = {
        {"node", required_argument, NULL, 'n'},
        {"ca", required_argument, NULL, 'c'},
        {"token-file", required_argument, NULL, 't'},
        {"host", required_argument, NULL, 'h'},
        {"out", required_argument, NULL, 'o'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'n' && join->node_count == NODES_MAX) {
            return usage_error("too many nodes");
        }
        if (option == 'n') {
            join->nodes[join->node_count++] = optarg;
        } else if (option == 'c') {
            join->ca = optarg;
        } else if (option == 't') {
            join->token_file = optarg;
        } else if (option == 'h') {
            (void)snprintf(join->host, sizeof(join->host), "%s", optarg);
        } else if (option == 'o') {
            join->dir = optarg;
        } else {
            return usage_error("an option is wrong");
        }
    }
    if (optind != argc || join->node_count == 0 || join->ca == NULL ||
        join->token_file == NULL) {
        return usage_error("give --node, --ca and --token-file");
    }
    if (join->host[0] == '\0' || strchr(join->host, '/') != NULL) {
        return usage_error("--host: must be the host's name");
    }
    return JOIN_OK;
}

/* The file's first line; it is worth what a key is. */
static bool read_token(struct join *join)
{
    FILE *file = fopen(join->token_file, "re");
    char text[SECRET_TEXT_BYTES + 2] = "";
    uint8_t hash[SECRET_SHA256];
    struct stat found;

    if (file == NULL) {
        (void)snprintf(join->error, ERROR_BYTES, "%s: %s", join->token_file,
                       strerror(errno));
        return false;
    }
    if (fstat(fileno(file), &found) != 0 ||
        (S_ISREG(found.st_mode) &&
         (found.st_mode & (S_IRWXO | S_IWGRP)) != 0)) {
        (void)snprintf(join->error, ERROR_BYTES,
                       "%s: others can read or change this token: chmod 600 "
                       "it, and make another if they may have",
                       join->token_file);
        (void)fclose(file);
        return false;
    }
    if (fgets(text, sizeof(text), file) == NULL) {
        text[0] = '\0'; /* No token, then. */
    }
    (void)fclose(file);
    text[strcspn(text, "\r\n")] = '\0';
    if (!secret_hash(text, hash)) {
        (void)snprintf(join->error, ERROR_BYTES, "%s: holds no token",
                       join->token_file);
        return false;
    }
    (void)snprintf(join->authorization, sizeof(join->authorization),
                   "Bearer %s", text);
    return true;
}

static void on_answer(struct rpc_unary *unary, const struct rpc_result *result,
                      const ProtobufCMessage *response)
{
    struct join *join = container_of(unary, struct join, unary);
    const Holdfast__V1__JoinHostResponse *answer =
        (const Holdfast__V1__JoinHostResponse *)(const void *)response;

    join->waiting = false;
    if (result->code != RPC_OK) {
        join->again = result->code == RPC_UNAVAILABLE ||
                      result->code == RPC_DEADLINE_EXCEEDED ||
                      result->code == RPC_CANCELLED ||
                      result->code == RPC_RESOURCE_EXHAUSTED;
        (void)snprintf(join->error, ERROR_BYTES, "%s", result->message);
        return;
    }
    join->again = false;
    join->answered = pki_join_end(join->dir, join->host, answer->certificate,
                                  join->error, ERROR_BYTES) == 0;
    if (join->answered) {
        (void)printf("%s/%s.key\n%s/%s.crt\n", join->dir, join->host, join->dir,
                     join->host);
        (void)fprintf(stderr,
                      "holdfast-agent: host %s may join, in zone %s; name both "
                      "files in its configuration (tls)\n",
                      join->host, answer->zone);
    }
}

/* One attempt, whole: the loop runs until nothing is left to do. */
static void ask(struct join *join, const char *node,
                const Holdfast__V1__JoinHostRequest *request)
{
    const char *const metadata[] = {"authorization", join->authorization, NULL};
    struct rpc_channel *channel =
        rpc_channel_create(&join->loop, node, clock_boot_ms());

    rpc_channel_use_tls(channel, join->tls, NULL, NULL);
    join->unary = (struct rpc_unary){
        .output = &holdfast__v1__join_host_response__descriptor,
        .deadline_ms = uv_now(&join->loop) + CALL_MS,
        .metadata = metadata,
        .done = on_answer,
    };
    join->waiting = true;
    rpc_unary_call(channel, &join->unary, "/holdfast.v1.JoinService/JoinHost",
                   &request->base);
    while (join->waiting) {
        CHECK(uv_run(&join->loop, UV_RUN_ONCE) != 0 || !join->waiting);
    }
    rpc_channel_destroy(channel);
    (void)uv_run(&join->loop, UV_RUN_DEFAULT);
}

static int ask_all(struct join *join, struct bytes *csr)
{
    Holdfast__V1__JoinHostRequest request =
        HOLDFAST__V1__JOIN_HOST_REQUEST__INIT;

    request.name = join->host;
    request.csr.data = csr->data;
    request.csr.len = csr->len;
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        ask(join, join->nodes[i % join->node_count], &request);
        if (!join->again) {
            break;
        }
        (void)sleep(PAUSE_S);
    }
    if (!join->answered) {
        (void)fprintf(stderr, "holdfast-agent: join: %s\n", join->error);
    }
    return join->answered ? JOIN_OK : JOIN_FAILED;
}

static int prepare(struct join *join, struct bytes *csr)
{
    struct tls_files files = {.node_ca = join->ca};

    if (!read_token(join)) {
        return JOIN_FAILED;
    }
    join->tls = tls_create(&files, join->error, ERROR_BYTES);
    if (join->tls == NULL || pki_join_begin(join->dir, join->host, csr,
                                            join->error, ERROR_BYTES) != 0) {
        return JOIN_FAILED;
    }
    return JOIN_OK;
}

int join_main(int argc, char **argv)
{
    struct join join = {.dir = "."};
    struct bytes csr;
    int code;

    own_name(join.host);
    code = read_arguments(&join, argc, argv);
    if (code != JOIN_OK) {
        return code;
    }
    signal(SIGPIPE, SIG_IGN);
    bytes_init(&csr);
    code = prepare(&join, &csr);
    if (code != JOIN_OK) {
        (void)fprintf(stderr, "holdfast-agent: join: %s\n", join.error);
    } else {
        CHECK(uv_loop_init(&join.loop) == 0);
        code = ask_all(&join, &csr);
        CHECK(uv_loop_close(&join.loop) == 0);
    }
    tls_destroy(join.tls);
    bytes_close(&csr);
    return code;
}
