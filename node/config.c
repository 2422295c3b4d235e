/* SPDX-License-Identifier: Apache-2.0 */
#include "node/config.h"

#include "base/log.h"
#include "node/limits.h"
#include "proto/text_yaml.h"
#include "raft/members.h"
#include "rpc/address.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct number_rule {
    const char *key;
    uint32_t *value;
    uint32_t default_value;
    uint32_t min;
    uint32_t max;
};

static bool complete(const struct number_rule *rules, size_t count, char *error,
                     size_t size)
{
    for (size_t i = 0; i < count; i++) {
        if (*rules[i].value == 0) {
            *rules[i].value = rules[i].default_value;
        }
        if (*rules[i].value < rules[i].min || *rules[i].value > rules[i].max) {
            snprintf(error, size, "%s: %u is out of range; %u to %u",
                     rules[i].key, *rules[i].value, rules[i].min, rules[i].max);
            return false;
        }
    }
    return true;
}

/* config.proto says the same. */
static bool complete_numbers(Holdfast__V1__NodeConfig *config, char *error,
                             size_t size)
{
    const struct number_rule rules[] = {
        {"election_timeout_ms", &config->election_timeout_ms, 300, 50, 10000},
        {"snapshot_entries", &config->snapshot_entries, 20000, 100, 10000000},
        {"segment_mib", &config->segment_mib, 64, 1, 1024},
        {"watch_events", &config->watch_events, 100000, 1000, 10000000},
    };

    return complete(rules, sizeof(rules) / sizeof(rules[0]), error, size);
}

/* As above, after the defaults that depend on `tls`. */
static bool complete_caller_limits(Holdfast__V1__NodeConfig *config,
                                   struct arena *arena, char *error,
                                   size_t size)
{
    Holdfast__V1__CallerLimits *limits = config->caller_limits;
    bool tls = config->tls != NULL;

    if (limits == NULL) {
        limits = arena_alloc(arena, sizeof(*limits));
        holdfast__v1__caller_limits__init(limits);
        config->caller_limits = limits;
    }
    const struct number_rule rules[] = {
        {"caller_limits.calls_per_second", &limits->calls_per_second,
         tls ? CALLER_CALLS_PER_SECOND : CALLER_LOOPBACK_CALLS_PER_SECOND, 1,
         1000000},
        {"caller_limits.streams", &limits->streams,
         tls ? CALLER_STREAMS : CALLER_LOOPBACK_STREAMS, 1, 1000000},
        {"caller_limits.mib", &limits->mib,
         tls ? CALLER_MIB : CALLER_LOOPBACK_MIB, 8, 65536},
    };
    return complete(rules, sizeof(rules) / sizeof(rules[0]), error, size);
}

/* Whether the files are in order is seen when they are read. */
static bool check_tls(const Holdfast__V1__TlsFiles *tls, char *error,
                      size_t size)
{
    const struct {
        const char *key;
        const char *path;
    } files[] = {
        {"certificate", tls == NULL ? "" : tls->certificate},
        {"key", tls == NULL ? "" : tls->key},
        {"node_ca", tls == NULL ? "" : tls->node_ca},
        {"agent_ca", tls == NULL ? "" : tls->agent_ca},
        {"client_ca", tls == NULL ? "" : tls->client_ca},
    };

    for (size_t i = 0; tls != NULL && i < sizeof(files) / sizeof(files[0]);
         i++) {
        if (files[i].path[0] == '\0') {
            snprintf(error, size, "tls.%s: must be given", files[i].key);
            return false;
        }
    }
    return true;
}

/* Empty: the default. */
static bool check_listen(const char *key, const char *value, char *error,
                         size_t size)
{
    struct sockaddr_storage address;

    if (value[0] != '\0' && rpc_address_parse(value, &address) != 0) {
        snprintf(error, size, "%s: '%s' is not IPv4:port or [IPv6]:port", key,
                 value);
        return false;
    }
    return true;
}

/* As a configuration of the region can hold it (raft/members.h). */
static bool is_word(const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] <= ' ') {
            return false;
        }
    }
    return len <= RAFT_REGION_BYTES_MAX;
}

static bool check_member(const Holdfast__V1__NodeConfig *config, size_t number,
                         char *error, size_t size)
{
    const Holdfast__V1__NodeMember *member = config->nodes[number];
    struct sockaddr_storage address;

    if (member->name[0] == '\0' || member->id == 0 || member->id >> 63 != 0) {
        snprintf(error, size, "nodes[%zu]: needs a name and an id of 1 to 2^63",
                 number);
        return false;
    }
    if (!is_word(member->name) || !is_word(member->zone)) {
        snprintf(error, size,
                 "nodes[%zu]: name and zone take at most 63 bytes without "
                 "blanks",
                 number);
        return false;
    }
    if (strlen(member->address) >= MEMBER_ADDRESS_BYTES ||
        rpc_address_parse(member->address, &address) != 0) {
        snprintf(error, size,
                 "nodes[%zu].address: '%s' is not IPv4:port or [IPv6]:port",
                 number, member->address);
        return false;
    }
    for (size_t i = 0; i < number; i++) {
        const Holdfast__V1__NodeMember *other = config->nodes[i];

        if (other->id == member->id || strcmp(other->name, member->name) == 0 ||
            strcmp(other->address, member->address) == 0) {
            snprintf(error, size,
                     "nodes[%zu]: has the name, id or address of nodes[%zu]",
                     number, i);
            return false;
        }
    }
    return true;
}

static bool check_members(const Holdfast__V1__NodeConfig *config, char *error,
                          size_t size)
{
    bool found = false;

    if (config->n_nodes < 1 || config->n_nodes > RAFT_MEMBERS_MAX) {
        snprintf(error, size, "nodes: must list 1 to %d nodes",
                 RAFT_MEMBERS_MAX);
        return false;
    }
    for (size_t i = 0; i < config->n_nodes; i++) {
        if (!check_member(config, i, error, size)) {
            return false;
        }
        found |= strcmp(config->nodes[i]->name, config->name) == 0;
    }
    if (!found) {
        snprintf(error, size, "name: '%s' is not one of `nodes`", config->name);
    }
    return found;
}

static bool check_config(Holdfast__V1__NodeConfig *config, struct arena *arena,
                         char *error, size_t size)
{
    enum log_level level;

    if (config->region[0] == '\0' || config->name[0] == '\0' ||
        config->data_dir[0] == '\0') {
        snprintf(error, size, "region, name and data_dir must be given");
        return false;
    }
    if (config->log_level[0] != '\0' &&
        log_parse_level(config->log_level, &level) != 0) {
        snprintf(error, size, "log_level: must be error, warn, info or debug");
        return false;
    }
    return complete_numbers(config, error, size) &&
           complete_caller_limits(config, arena, error, size) &&
           check_listen("listen", config->listen, error, size) &&
           check_listen("http_listen", config->http_listen, error, size) &&
           check_tls(config->tls, error, size) &&
           check_members(config, error, size);
}

Holdfast__V1__NodeConfig *config_read(const char *path, struct arena *arena,
                                      char *error, size_t error_size)
{
    ProtobufCMessage *message;
    Holdfast__V1__NodeConfig *config;
    struct text_error fault;
    char reason[400];

    if (text_yaml_read_file(&holdfast__v1__node_config__descriptor, path, arena,
                            &message, &fault) != 0) {
        snprintf(error, error_size, "%s", fault.text);
        return NULL;
    }
    config = (Holdfast__V1__NodeConfig *)(void *)message;
    if (!check_config(config, arena, reason, sizeof(reason))) {
        snprintf(error, error_size, "%s: %s", path, reason);
        return NULL;
    }
    return config;
}
