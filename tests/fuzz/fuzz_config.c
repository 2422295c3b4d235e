/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a configuration file of a node and of an agent, through all
 * that the programs check before they start. What is accepted must keep what
 * config.proto promises; what is refused must say why. fuzz_yaml has the
 * reading of YAML itself. */
#include "agent/agent_config.h"
#include "base/check.h"
#include "base/container.h"
#include "node/config.h"
#include "raft/limits.h"
#include "rpc/address.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARENA_BYTES ((size_t)4 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file without a disk: the programs read theirs by name. */
static const char *make_file(const uint8_t *data, size_t size)
{
    static char path[64];
    static int fd = -1;

    if (fd < 0) {
        fd = memfd_create("config", MFD_CLOEXEC);
        CHECK(fd >= 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    CHECK(ftruncate(fd, 0) == 0);
    CHECK(pwrite(fd, data, size, 0) == (ssize_t)size);
    return path;
}

/* One sentence that names the file. */
static void check_refusal(const char *error, size_t size, const char *path)
{
    const char *end = memchr(error, '\0', size);

    CHECK(end != NULL && end > error);
    CHECK(strncmp(error, path, strlen(path)) == 0);
}

static void check_address(const char *text)
{
    struct sockaddr_storage address;

    CHECK(rpc_address_parse(text, &address) == 0);
}

static void check_nodes(const Holdfast__V1__NodeConfig *config)
{
    size_t own = 0;

    CHECK(config->n_nodes >= 1 && config->n_nodes <= RAFT_MEMBERS_MAX);
    for (size_t i = 0; i < config->n_nodes; i++) {
        const Holdfast__V1__NodeMember *node = config->nodes[i];

        CHECK(node->id >= 1 && node->id <= UINT64_C(1) << 63);
        check_address(node->address);
        own += strcmp(node->name, config->name) == 0;
        for (size_t j = 0; j < i; j++) {
            CHECK(node->id != config->nodes[j]->id);
            CHECK(strcmp(node->address, config->nodes[j]->address) != 0);
        }
    }
    CHECK(own == 1);
}

static void check_level(const char *name)
{
    enum log_level level;

    CHECK(name[0] == '\0' || log_parse_level(name, &level) == 0);
}

static void try_node(const char *path)
{
    const Holdfast__V1__NodeConfig *config;
    char error[512] = "";
    struct arena arena;

    arena_init(&arena, ARENA_BYTES);
    config = config_read(path, &arena, error, sizeof(error));
    if (config == NULL) {
        check_refusal(error, sizeof(error), path);
        arena_close(&arena);
        return;
    }
    CHECK(config->region[0] != '\0' && config->data_dir[0] != '\0');
    CHECK(config->election_timeout_ms >= 50 &&
          config->election_timeout_ms <= 10000);
    CHECK(config->snapshot_entries >= 100 &&
          config->snapshot_entries <= 10000000);
    CHECK(config->segment_mib >= 1 && config->segment_mib <= 1024);
    CHECK(config->watch_events >= 1000 && config->watch_events <= 10000000);
    CHECK(config->caller_limits->calls_per_second >= 1 &&
          config->caller_limits->streams >= 1 &&
          config->caller_limits->mib >= 8);
    check_level(config->log_level);
    if (config->listen[0] != '\0') {
        check_address(config->listen);
    }
    if (config->http_listen[0] != '\0') {
        check_address(config->http_listen);
    }
    check_nodes(config);
    arena_close(&arena);
}

static void check_path(const char *path, size_t max)
{
    CHECK(path[0] == '/' && path[1] != '\0' && strlen(path) <= max);
    CHECK(strstr(path, "/../") == NULL && strstr(path, "//") == NULL);
}

static void check_name(const char *name)
{
    CHECK(strlen(name) >= 1 && strlen(name) <= 63 && strchr(name, '/') == NULL);
}

static void check_offer(const Holdfast__V1__AgentConfig *config)
{
    CHECK(config->n_drivers <= 2 && config->n_pools <= 64);
    for (size_t i = 0; i < config->n_drivers; i++) {
        CHECK(config->drivers[i] == HOLDFAST__V1__DRIVER__DRIVER_QEMU ||
              config->drivers[i] == HOLDFAST__V1__DRIVER__DRIVER_EXEC);
    }
    for (size_t i = 0; i < config->n_pools; i++) {
        check_name(config->pools[i]->name);
        check_path(config->pools[i]->path, 1024);
    }
    CHECK(config->n_labels <= 32);
    for (size_t i = 0; i < config->n_labels; i++) {
        CHECK(strlen(config->labels[i]->key) <= 63);
        CHECK(strlen(config->labels[i]->value) <= 255);
        for (size_t j = 0; j < i; j++) {
            CHECK(strcmp(config->labels[i]->key, config->labels[j]->key) != 0);
        }
    }
    if (config->capacity != NULL) {
        CHECK(config->capacity->cpu_milli > 0);
        CHECK(config->capacity->memory_mib > 0);
    }
}

static void try_agent(const char *path)
{
    char error[AGENT_CONFIG_ERROR_BYTES] = "";
    struct agent_config config;

    if (agent_config_read(&config, path, error) != 0) {
        check_refusal(error, sizeof(error), path);
        return;
    }
    check_name(config.message->host);
    check_name(config.message->zone);
    check_path(config.message->run_dir, 60);
    check_path(config.message->state_dir, 1024);
    check_level(config.message->log_level);
    CHECK(config.message->n_nodes >= 1 && config.message->n_nodes <= 16);
    for (size_t i = 0; i < config.message->n_nodes; i++) {
        check_address(config.message->nodes[i]);
    }
    check_offer(config.message);
    agent_config_close(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = make_file(data, size);

    try_node(path);
    try_agent(path);
    return 0;
}
