/* SPDX-License-Identifier: Apache-2.0
 *
 * The node's certificates: read at the start, and again when they change. */
#include "base/clock.h"
#include "base/log.h"
#include "node/node.h"
#include "node/node_join.h"

#include <inttypes.h>

/* How often files are looked at: a rotation takes effect within that. */
#define LOOK_MS 5000

/* A certificate that ends within so long is warned of, so often. */
#define WARN_BEFORE_S (14 * 86400)
#define WARN_EVERY_MS 3600000

int node_tls_open(struct node *node)
{
    const Holdfast__V1__TlsFiles *config = node->config->tls;
    struct tls_files files;
    char error[512];

    if (config == NULL) {
        return 0;
    }
    files = (struct tls_files){
        .certificate = config->certificate,
        .key = config->key,
        .node_ca = config->node_ca,
        .agent_ca = config->agent_ca,
        .client_ca = config->client_ca,
    };
    node->tls = tls_create(&files, error, sizeof(error));
    if (node->tls == NULL) {
        log_error("tls.failed", "reason=\"%s\"", error);
        return EXIT_CONFIG;
    }
    return node_join_open(node);
}

static void warn_of_end(struct node *node, uint64_t now_ms)
{
    uint64_t end_s = tls_not_after_s(node->tls);
    uint64_t now_s = clock_wall_ms() / 1000;

    if (now_s + WARN_BEFORE_S < end_s ||
        (node->tls_warned_ms != 0 &&
         now_ms - node->tls_warned_ms < WARN_EVERY_MS)) {
        return;
    }
    node->tls_warned_ms = now_ms;
    log_warn("tls.ends",
             "days=%" PRIu64 " cure=\"issue another certificate and put it in "
             "place of the present files; it is taken without a restart\"",
             end_s > now_s ? (end_s - now_s) / 86400 : 0);
}

void node_tls_tick(struct node *node)
{
    uint64_t now_ms = clock_boot_ms();
    char error[512];
    int rv;

    if (node->tls == NULL || now_ms < node->tls_look_ms) {
        return;
    }
    node->tls_look_ms = now_ms + LOOK_MS;
    rv = tls_reload(node->tls, error, sizeof(error));
    if (rv > 0) {
        log_info("tls.reloaded", "not_after_s=%" PRIu64,
                 tls_not_after_s(node->tls));
    } else if (rv < 0) {
        log_error("tls.reload_failed", "reason=\"%s; the former stay in use\"",
                  error);
    }
    warn_of_end(node, now_ms);
}
