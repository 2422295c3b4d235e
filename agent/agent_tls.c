/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent's certificates: read at the start, and again when they change. */
#include "agent/agent.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#include <inttypes.h>

#define LOOK_MS 5000

int agent_tls_open(struct agent *agent)
{
    const Holdfast__V1__TlsFiles *config = agent->config->message->tls;
    struct tls_files files;
    char error[512];

    if (config == NULL) {
        return 0;
    }
    files = (struct tls_files){.certificate = config->certificate,
                               .key = config->key,
                               .node_ca = config->node_ca};
    agent->tls = tls_create(&files, error, sizeof(error));
    if (agent->tls == NULL) {
        log_error("tls.failed", "reason=\"%s\"", error);
        return HF_ERROR_INVALID;
    }
    return 0;
}

void agent_tls_tick(struct agent *agent)
{
    uint64_t now_ms = clock_boot_ms();
    char error[512];
    int rv;

    if (agent->tls == NULL || now_ms < agent->tls_look_ms) {
        return;
    }
    agent->tls_look_ms = now_ms + LOOK_MS;
    rv = tls_reload(agent->tls, error, sizeof(error));
    if (rv > 0) {
        log_info("tls.reloaded", "not_after_s=%" PRIu64,
                 tls_not_after_s(agent->tls));
    } else if (rv < 0) {
        log_error("tls.reload_failed", "reason=\"%s; the former stay in use\"",
                  error);
    }
}
