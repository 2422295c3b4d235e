/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_config.h"

#include "agent/order_spec.h"
#include "base/error.h"
#include "proto/text_yaml.h"
#include "rpc/address.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ARENA_BYTES_MAX (4u << 20)
#define RUN_DIR_MAX     60 /* By the contract. */
#define PATH_MAX_BYTES  1024
#define NODES_MAX       16
#define POOLS_OF_HOST   64
#define LABELS_MAX      32
#define LABEL_KEY_MAX   63
#define LABEL_VALUE_MAX 255
#define CPU_MILLI_MAX   1024000
#define MEMORY_MIB_MAX  67108864
#define DISK_GIB_MAX    16777216
#define NAME_MAX_BYTES  63
#define GPU_COUNT_MAX   1024
#define NAMED_OF_HOST   8
#define NAMED_MAX       1000000000
#define DRIVERS_OF_HOST 2

typedef Holdfast__V1__AgentConfig config_message;

struct checker {
    const char *file;
    char *error;
};

__attribute__((format(printf, 2, 3))) static int refuse(
    const struct checker *checker, const char *format, ...)
{
    va_list args;
    int len = snprintf(checker->error, AGENT_CONFIG_ERROR_BYTES,
                       "%.255s: ", checker->file);

    va_start(args, format);
    vsnprintf(checker->error + len, AGENT_CONFIG_ERROR_BYTES - (size_t)len,
              format, args);
    va_end(args);
    return HF_ERROR_INVALID;
}

/* The contract's rule for names. */
static bool is_name(const char *text)
{
    size_t len = strlen(text);

    return len >= 1 && len <= NAME_MAX_BYTES && text[0] != '-' &&
           text[len - 1] != '-' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static bool is_directory_name(const char *path, size_t max)
{
    return path[0] == '/' && strlen(path) <= max &&
           order_path_is_inside(path + 1);
}

static int check_names(const struct checker *checker,
                       const config_message *config)
{
    if (!is_name(config->host)) {
        return refuse(checker, "host: 1 to 63 of a-z, 0-9 and - are needed");
    }
    if (!is_name(config->zone)) {
        return refuse(checker, "zone: 1 to 63 of a-z, 0-9 and - are needed");
    }
    if (config->fault_domain[0] != '\0' && !is_name(config->fault_domain)) {
        return refuse(checker, "fault_domain: not a name");
    }
    return 0;
}

static int check_nodes(const struct checker *checker,
                       const config_message *config)
{
    struct sockaddr_storage address;

    if (config->n_nodes == 0 || config->n_nodes > NODES_MAX) {
        return refuse(checker, "nodes: 1 to %d addresses are needed",
                      NODES_MAX);
    }
    for (size_t i = 0; i < config->n_nodes; i++) {
        if (rpc_address_parse(config->nodes[i], &address) != 0) {
            return refuse(checker, "nodes[%zu]: \"%.64s\" is not address:port",
                          i, config->nodes[i]);
        }
    }
    return 0;
}

static int check_directories(const struct checker *checker,
                             const config_message *config)
{
    if (!is_directory_name(config->run_dir, RUN_DIR_MAX)) {
        return refuse(checker,
                      "run_dir: an absolute path of at most %d bytes without "
                      "a slash at its end is needed",
                      RUN_DIR_MAX);
    }
    if (!is_directory_name(config->state_dir, PATH_MAX_BYTES)) {
        return refuse(checker, "state_dir: an absolute path is needed");
    }
    if (config->image_dir[0] != '\0' &&
        !is_directory_name(config->image_dir, PATH_MAX_BYTES)) {
        return refuse(checker, "image_dir: not an absolute path");
    }
    if (config->helper_dir[0] != '\0' &&
        !is_directory_name(config->helper_dir, PATH_MAX_BYTES)) {
        return refuse(checker, "helper_dir: not an absolute path");
    }
    if (config->watchdog[0] != '\0' && config->watchdog[0] != '/') {
        return refuse(checker, "watchdog: not an absolute path");
    }
    return 0;
}

static int check_pools(const struct checker *checker,
                       const config_message *config)
{
    if (config->n_pools > POOLS_OF_HOST) {
        return refuse(checker, "pools: more than %d", POOLS_OF_HOST);
    }
    for (size_t i = 0; i < config->n_pools; i++) {
        if (!is_name(config->pools[i]->name)) {
            return refuse(checker, "pools[%zu].name: not a name", i);
        }
        if (!is_directory_name(config->pools[i]->path, PATH_MAX_BYTES)) {
            return refuse(checker, "pools[%zu].path: not an absolute path", i);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(config->pools[i]->name, config->pools[j]->name) == 0) {
                return refuse(checker, "pools[%zu].name: twice", i);
            }
        }
    }
    return 0;
}

static int check_labels(const struct checker *checker,
                        const config_message *config)
{
    if (config->n_labels > LABELS_MAX) {
        return refuse(checker, "labels: more than %d", LABELS_MAX);
    }
    for (size_t i = 0; i < config->n_labels; i++) {
        size_t len = strlen(config->labels[i]->key);

        if (len == 0 || len > LABEL_KEY_MAX ||
            strlen(config->labels[i]->value) > LABEL_VALUE_MAX) {
            return refuse(checker, "labels: \"%.63s\" is too long or empty",
                          config->labels[i]->key);
        }
    }
    return 0;
}

static int check_named(const struct checker *checker,
                       const Holdfast__V1__Resources *capacity)
{
    if (capacity->n_named > NAMED_OF_HOST) {
        return refuse(checker, "capacity.named: more than %d", NAMED_OF_HOST);
    }
    for (size_t i = 0; i < capacity->n_named; i++) {
        const char *key = capacity->named[i]->key;

        if (!is_name(key)) {
            return refuse(checker, "capacity.named: \"%.63s\" is not a name",
                          key);
        }
        if (capacity->named[i]->value > NAMED_MAX) {
            return refuse(checker, "capacity.named: \"%.63s\" is too large",
                          key);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(capacity->named[j]->key, key) == 0) {
                return refuse(checker, "capacity.named: \"%.63s\" twice", key);
            }
        }
    }
    return 0;
}

static int check_capacity(const struct checker *checker,
                          const config_message *config)
{
    const Holdfast__V1__Resources *capacity = config->capacity;

    if (capacity == NULL) {
        return 0;
    }
    if (capacity->cpu_milli == 0 || capacity->cpu_milli > CPU_MILLI_MAX ||
        capacity->memory_mib == 0 || capacity->memory_mib > MEMORY_MIB_MAX ||
        capacity->disk_gib > DISK_GIB_MAX ||
        capacity->gpu_count > GPU_COUNT_MAX) {
        return refuse(checker, "capacity: cpu_milli or memory_mib is 0, or "
                               "one is too large");
    }
    return check_named(checker, capacity);
}

static int check_offer(const struct checker *checker,
                       const config_message *config)
{
    if (config->n_drivers > DRIVERS_OF_HOST) {
        return refuse(checker, "drivers: one is named twice");
    }
    for (size_t i = 0; i < config->n_drivers; i++) {
        if (config->drivers[i] == HOLDFAST__V1__DRIVER__DRIVER_UNSPECIFIED ||
            (i > 0 && config->drivers[i] == config->drivers[0])) {
            return refuse(checker, "drivers[%zu]: none or twice", i);
        }
    }
    return 0;
}

static int check_tls(const struct checker *checker,
                     const config_message *config)
{
    const Holdfast__V1__TlsFiles *tls = config->tls;

    if (tls == NULL) {
        return 0;
    }
    if (tls->certificate[0] == '\0' || tls->key[0] == '\0' ||
        tls->node_ca[0] == '\0') {
        return refuse(checker, "tls: certificate, key and node_ca are needed");
    }
    if (tls->agent_ca[0] != '\0' || tls->client_ca[0] != '\0') {
        return refuse(checker, "tls: an agent speaks with nodes only: leave "
                               "agent_ca and client_ca out");
    }
    return 0;
}

static int check(struct agent_config *config, const char *path, char *error)
{
    const struct checker checker = {path, error};
    const config_message *message = config->message;
    int (*const checks[])(const struct checker *, const config_message *) = {
        check_names,  check_nodes,    check_directories, check_pools,
        check_labels, check_capacity, check_offer,       check_tls};

    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        int result = checks[i](&checker, message);

        if (result != 0) {
            return result;
        }
    }
    config->log_level = LOG_INFO;
    if (message->log_level[0] != '\0' &&
        log_parse_level(message->log_level, &config->log_level) != 0) {
        return refuse(&checker, "log_level: error, warn, info or debug");
    }
    return 0;
}

int agent_config_read(struct agent_config *config, const char *path,
                      char error[AGENT_CONFIG_ERROR_BYTES])
{
    ProtobufCMessage *message;
    struct text_error text_error;
    int result;

    arena_init(&config->arena, ARENA_BYTES_MAX);
    result = text_yaml_read_file(&holdfast__v1__agent_config__descriptor, path,
                                 &config->arena, &message, &text_error);
    if (result != 0) {
        snprintf(error, AGENT_CONFIG_ERROR_BYTES, "%s", text_error.text);
    } else {
        config->message = (const config_message *)message;
        result = check(config, path, error);
    }
    if (result != 0) {
        agent_config_close(config);
    }
    return result;
}

void agent_config_close(struct agent_config *config)
{
    arena_close(&config->arena);
}
