/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent's configuration, read and checked: what is wrong is said before
 * anything is started. */
#ifndef AGENT_AGENT_CONFIG_H
#define AGENT_AGENT_CONFIG_H

#include "base/arena.h"
#include "base/log.h"

#include <holdfast/v1/config.pb-c.h>

#define AGENT_CONFIG_ERROR_BYTES 1024

struct agent_config {
    struct arena arena;
    const Holdfast__V1__AgentConfig *message; /* In the arena. */
    enum log_level log_level;
};

/* 0, and the caller closes it; else INVALID or IO and why. */
int agent_config_read(struct agent_config *config, const char *path,
                      char error[AGENT_CONFIG_ERROR_BYTES]);
void agent_config_close(struct agent_config *config);

#endif
