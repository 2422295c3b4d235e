/* SPDX-License-Identifier: Apache-2.0
 *
 * holdfastd: one control-plane node. */
#include "base/check.h"
#include "base/log.h"
#include "base/standard_files.h"
#include "node/api.h"
#include "node/api_errors.h"
#include "node/config.h"
#include "node/metrics.h"
#include "node/node.h"
#include "node/recovery.h"
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
    "usage: holdfastd --config FILE [--bootstrap | --check | --inspect]\n"
    "       holdfastd --config FILE --recover [--dead NAME,NAME...]\n"
    "                 [--survivor NAME=TERM/INDEX]...\n"
    "\n"
    "  --config FILE   the node's configuration, YAML\n"
    "  --bootstrap     make the data directory if it is not there: for the "
    "first\n"
    "                  start of a new node, and never for one that lost its "
    "data\n"
    "  --check         only check the configuration\n"
    "  --inspect       print where a stopped node's log stands, and the "
    "members\n"
    "  --recover       when the quorum is lost for good: make this stopped "
    "node "
    "the\n"
    "                  only member of the region's next generation; asks which "
    "nodes\n"
    "                  are dead, unless --dead says it. --survivor gives what "
    "the\n"
    "                  --inspect of another stopped node printed as its "
    "position\n"
    "  --error-table   print the table of the API's errors as Markdown\n"
    "  --access-table  print which roles may call what as Markdown\n"
    "  --metrics-table print the table of the metrics as Markdown\n"
    "  --version       print the version\n"
    "  --help          print this\n"
    "\n"
    "Exit codes: 0 stopped as asked, 2 usage, 65 stored data is damaged,\n"
    "69 cannot listen, 70 this copy differs from the leader's, 73 disk full,\n"
    "74 a file operation failed, 75 the data directory is in use,\n"
    "77 removed from the region, 78 the configuration is wrong.\n"
    "--recover also: 1 refused.\n";

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

/* What is asked for. */
struct wanted {
    const char *path;
    bool check;
    bool bootstrap;
    bool inspect;
    bool recover;
    struct recovery_claim claim;
};

/* Options that print something and end: the exit code, or -1. */
static int print_wanted(const char *option)
{
    if (strcmp(option, "--error-table") == 0) {
        print_error_table();
    } else if (strcmp(option, "--access-table") == 0) {
        print_access_table();
    } else if (strcmp(option, "--metrics-table") == 0) {
        print_metrics_table();
    } else if (strcmp(option, "--version") == 0) {
        printf("holdfastd " NODE_VERSION "\n");
    } else if (strcmp(option, "--help") == 0) {
        fputs(help, stdout);
    } else {
        return -1;
    }
    return 0;
}

static bool read_switch(struct wanted *wanted, const char *option)
{
    const struct {
        const char *name;
        bool *value;
    } switches[] = {{"--bootstrap", &wanted->bootstrap},
                    {"--check", &wanted->check},
                    {"--inspect", &wanted->inspect},
                    {"--recover", &wanted->recover}};

    for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
        if (strcmp(switches[i].name, option) == 0) {
            *switches[i].value = true;
            return true;
        }
    }
    return false;
}

/* False: told. */
static bool read_value(struct wanted *wanted, const char *option, char *value)
{
    bool good = value != NULL;

    if (strcmp(option, "--config") == 0) {
        wanted->path = value;
    } else if (strcmp(option, "--dead") == 0) {
        good = good && recovery_read_dead(&wanted->claim, value);
    } else if (strcmp(option, "--survivor") == 0) {
        good = good && recovery_read_survivor(&wanted->claim, value);
    } else {
        good = false;
    }
    if (!good) {
        fprintf(stderr,
                "holdfastd: unknown argument '%s', or its value is missing or "
                "wrong; see --help\n",
                option);
    }
    return good;
}

static int do_wanted(struct wanted *wanted)
{
    Holdfast__V1__NodeConfig *config;
    struct arena arena;
    char error[1024];
    int rv = 0;

    arena_init(&arena, CONFIG_ARENA_BYTES);
    config = config_read(wanted->path, &arena, error, sizeof(error));
    if (config == NULL) {
        fprintf(stderr, "holdfastd: %s\n", error);
        rv = EXIT_CONFIG;
    } else if (wanted->check) {
        printf("%s is in order\n", wanted->path);
    } else if (wanted->inspect) {
        rv = recovery_inspect(config);
    } else if (wanted->recover) {
        rv = recovery_run(config, &wanted->claim);
    } else {
        return run(config, wanted->bootstrap);
    }
    arena_close(&arena);
    return rv;
}

int main(int argc, char **argv)
{
    static struct wanted wanted;

    standard_files_open();
    for (int i = 1; i < argc; i++) {
        int rv = print_wanted(argv[i]);

        if (rv >= 0) {
            return rv;
        }
        if (read_switch(&wanted, argv[i])) {
            continue;
        }
        if (!read_value(&wanted, argv[i], argv[i + 1])) {
            return EXIT_USAGE;
        }
        i++;
    }
    if (wanted.path == NULL) {
        fputs("holdfastd: --config FILE is needed; see --help\n", stderr);
        return EXIT_USAGE;
    }
    return do_wanted(&wanted);
}
