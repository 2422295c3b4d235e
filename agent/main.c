/* SPDX-License-Identifier: Apache-2.0
 *
 * holdfast-agent: one on each hypervisor host. */
#include "agent/agent.h"
#include "agent/join.h"
#include "base/check.h"
#include "base/standard_files.h"
#include "rpc/notify.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum exit_code { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const char usage[] =
    "usage: holdfast-agent CONFIG          run with this configuration\n"
    "       holdfast-agent --check CONFIG  say whether it is valid\n"
    "       holdfast-agent join --node HOST:PORT --ca FILE --token-file FILE\n"
    "                      [--host NAME] [--out DIR]\n"
    "                                     get this host's first certificate\n"
    "       holdfast-agent --help\n"
    "\n"
    "CONFIG is a YAML file with the fields of holdfast.v1.AgentConfig: host,\n"
    "zone, fault_domain, nodes, run_dir (on tmpfs), state_dir, image_dir,\n"
    "capacity, pools, drivers, labels, log_level, watchdog, helper_dir.\n"
    "\n"
    "join makes a key, shows the nodes (--node is repeatable) the token that\n"
    "`holdfast host token create` printed, and writes DIR/NAME.key and\n"
    "DIR/NAME.crt (default: here, and this machine's name). FILE after --ca "
    "is\n"
    "the nodes' authority. Nothing that is there is overwritten; after a "
    "failure\n"
    "the same command goes on with the same key.\n"
    "\n"
    "SIGTERM ends the agent and leaves its VMs running; the next start adopts\n"
    "them. Without an agent they run until the host's lease is over.\n";

static int run(const struct agent_config *config)
{
    static struct agent agent;
    struct notify_watchdog watchdog;
    uv_loop_t loop;

    /* A broken pipe is an error of a write, not the end. */
    signal(SIGPIPE, SIG_IGN);
    CHECK(uv_loop_init(&loop) == 0);
    if (agent_init(&agent, &loop, config) != 0) {
        (void)uv_loop_close(&loop);
        return EXIT_FAILED; /* Nothing was ordered yet; VMs run on. */
    }
    notify_watchdog_start(&watchdog, &loop);
    uv_run(&loop, UV_RUN_DEFAULT);
    agent_close(&agent);
    notify_watchdog_close(&watchdog);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop) == 0);
    return EXIT_OK;
}

int main(int argc, char **argv)
{
    bool only_check = argc == 3 && strcmp(argv[1], "--check") == 0;
    struct agent_config config;
    char error[AGENT_CONFIG_ERROR_BYTES];
    int result;

    standard_files_open();
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_OK;
    }
    if (argc > 1 && strcmp(argv[1], "join") == 0) {
        return join_main(argc - 1, argv + 1);
    }
    if (!only_check && (argc != 2 || argv[1][0] == '-')) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (agent_config_read(&config, argv[argc - 1], error) != 0) {
        fprintf(stderr, "holdfast-agent: %s\n", error);
        return EXIT_USAGE;
    }
    log_set_level(config.log_level);
    result = only_check ? EXIT_OK : run(&config);
    agent_config_close(&config);
    return result;
}
