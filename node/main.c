/* SPDX-License-Identifier: Apache-2.0
 *
 * holdfastd: one control-plane node. */
#include "base/check.h"
#include "base/log.h"
#include "node/api.h"
#include "node/api_errors.h"
#include "node/config.h"
#include "node/metrics.h"
#include "node/node.h"
#include "rpc/notify.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_ARENA_BYTES (4u << 20)
#define EXIT_USAGE         2

static const char help[] =
    "holdfastd - one control-plane node of a Holdfast region\n"
    "\n"
    "usage: holdfastd --config FILE [--bootstrap | --check]\n"
    "\n"
    "  --config FILE   the node's configuration, YAML\n"
    "  --bootstrap     make the data directory if it is not there: for the "
    "first\n"
    "                  start of a new node, and never for one that lost its "
    "data\n"
    "  --check         only check the configuration\n"
    "  --error-table   print the table of the API's errors as Markdown\n"
    "  --access-table  print which roles may call what as Markdown\n"
    "  --metrics-table print the table of the metrics as Markdown\n"
    "  --version       print the version\n"
    "  --help          print this\n"
    "\n"
    "Exit codes: 0 stopped as asked, 2 usage, 65 stored data is damaged,\n"
    "69 cannot listen, 70 this copy differs from the leader's, 73 disk full,\n"
    "74 a file operation failed, 75 the data directory is in use,\n"
    "78 the configuration is wrong.\n";

struct program {
    struct node node;
    struct node_stop stop;
    uv_signal_t terminate;
    uv_signal_t interrupt;
    struct notify_watchdog watchdog;
    uv_loop_t loop;
    bool stopping;
};

static void print_error_table(void)
{
    printf("| code | reason | what it means | what to do |\n"
           "| --- | --- | --- | --- |\n");
    for (int i = 0; i < API_ERROR_COUNT; i++) {
        const struct api_error_entry *entry =
            api_error_entry((enum api_error)i);

        printf("| %s | `%s` | %s | %s |\n", rpc_code_name(entry->code),
               entry->reason, entry->meaning, entry->cure);
    }
}

static void print_access_row(const char *path, enum permission permission)
{
    printf("| `%s` | %s |", strrchr(path, '.') + 1,
           permission_name(permission));
    for (int role = ACCESS_ROLE_VIEWER; role < ACCESS_ROLE_COUNT; role++) {
        printf(" %s |", access_role_has((enum access_role)role, permission)
                            ? "yes"
                            : "");
    }
    printf("\n");
}

static void print_access_table(void)
{
    printf("| method | for |");
    for (int role = ACCESS_ROLE_VIEWER; role < ACCESS_ROLE_COUNT; role++) {
        printf(" %s |", access_role_name((enum access_role)role));
    }
    printf("\n| --- | --- | --- | --- | --- | --- |\n");
    for (const struct api_method *at = api_methods; at->path != NULL; at++) {
        print_access_row(at->path, at->permission);
    }
    for (const struct access_method *at = access_methods; at->path != NULL;
         at++) {
        print_access_row(at->path, at->permission);
    }
}

static void print_metrics_table(void)
{
    printf("| metric | type | labels | what it tells |\n"
           "| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < metrics_family_count(); i++) {
        const struct metrics_family *family = metrics_family(i);

        printf("| `%s` | %s | %s | %s |\n", family->name,
               metrics_type_name(family->type), family->labels, family->help);
    }
}

static void tell_manager(const char *state)
{
    if (notify_send(state) != 0) {
        log_warn("notify.failed", "state=%s", state);
    }
}

static void stopped(struct node_stop *request)
{
    (void)request;
    log_info("node.stopped", "exit=0");
    exit(0);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct program *program = signal->data;

    (void)number;
    if (!program->stopping) {
        program->stopping = true;
        tell_manager("STOPPING=1");
        program->stop.done = stopped;
        node_stop(&program->node, &program->stop);
    }
}

static void watch_signal(struct program *program, uv_signal_t *signal,
                         int number)
{
    CHECK(uv_signal_init(&program->loop, signal) == 0);
    signal->data = program;
    CHECK(uv_signal_start(signal, on_signal, number) == 0);
}

/* Each turn plans on a scratch copy and frees it. By default glibc gives what
 * is free at the heap's end back to the kernel at once, and every turn took
 * the same pages anew: 10 % of a busy leader's time went into page faults. */
#define HEAP_KEPT_BYTES (64 << 20)

/* Setting the one switches off the growth of the other: buffers of entries
 * and messages shall come from the heap, not from a mapping of their own. */
#define HEAP_BLOCK_BYTES (4 << 20)

static int run(const Holdfast__V1__NodeConfig *config, bool bootstrap)
{
    static struct program program;
    enum log_level level;
    int rv;

    if (log_parse_level(config->log_level, &level) == 0) {
        log_set_level(level);
    }
    signal(SIGPIPE, SIG_IGN);
    /* Advice: an allocator of a sanitizer's does not take it. */
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_KEPT_BYTES);
    (void)mallopt(M_MMAP_THRESHOLD, HEAP_BLOCK_BYTES);
    CHECK(uv_loop_init(&program.loop) == 0);
    rv = node_start(&program.node, &program.loop, config, bootstrap);
    if (rv != 0) {
        return rv;
    }
    watch_signal(&program, &program.terminate, SIGTERM);
    watch_signal(&program, &program.interrupt, SIGINT);
    tell_manager("READY=1");
    notify_watchdog_start(&program.watchdog, &program.loop);
    uv_run(&program.loop, UV_RUN_DEFAULT);
    return 0;
}

int main(int argc, char **argv)
{
    const char *path = NULL;
    bool check_only = false;
    bool bootstrap = false;
    Holdfast__V1__NodeConfig *config;
    struct arena arena;
    char error[1024];

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
            path = argv[++i];
        } else if (strcmp(argv[i], "--bootstrap") == 0) {
            bootstrap = true;
        } else if (strcmp(argv[i], "--check") == 0) {
            check_only = true;
        } else if (strcmp(argv[i], "--error-table") == 0) {
            print_error_table();
            return 0;
        } else if (strcmp(argv[i], "--access-table") == 0) {
            print_access_table();
            return 0;
        } else if (strcmp(argv[i], "--metrics-table") == 0) {
            print_metrics_table();
            return 0;
        } else if (strcmp(argv[i], "--version") == 0) {
            printf("holdfastd " NODE_VERSION "\n");
            return 0;
        } else if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return 0;
        } else {
            fprintf(stderr, "holdfastd: unknown argument '%s'; see --help\n",
                    argv[i]);
            return EXIT_USAGE;
        }
    }
    if (path == NULL) {
        fputs("holdfastd: --config FILE is needed; see --help\n", stderr);
        return EXIT_USAGE;
    }
    arena_init(&arena, CONFIG_ARENA_BYTES);
    config = config_read(path, &arena, error, sizeof(error));
    if (config == NULL) {
        fprintf(stderr, "holdfastd: %s\n", error);
        arena_close(&arena);
        return EXIT_CONFIG;
    }
    if (check_only) {
        printf("%s is in order\n", path);
        arena_close(&arena);
        return 0;
    }
    return run(config, bootstrap);
}
