/* SPDX-License-Identifier: Apache-2.0
 *
 * A client of QEMU's monitor protocol on a UNIX socket: it connects, again and
 * again until QEMU listens, does the greeting, sends commands without
 * arguments and hands on replies and events. Lines are bounded; anything that
 * is not the protocol ends the connection, which is then made anew. */
#ifndef AGENT_QMP_H
#define AGENT_QMP_H

#include "agent/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define QMP_LINE_BYTES_MAX 65536
#define QMP_RETRY_MS       50
#define QMP_PENDING_MAX    16 /* Commands sent and not answered. */

struct qmp;

/* Lent for the call: the message and the strings in it. */
struct qmp_listener {
    /* The greeting is done, commands may be sent. After a lost connection it
     * comes again. */
    void (*ready)(struct qmp_listener *listener);
    /* `result` is NULL when QEMU refused the command. */
    void (*reply)(struct qmp_listener *listener, const char *command,
                  const struct json *json, const struct json_value *result);
    void (*event)(struct qmp_listener *listener, const char *name,
                  const struct json *json, const struct json_value *data);
};

enum qmp_state {
    QMP_CLOSED,
    QMP_WAITING, /* For the next attempt. */
    QMP_CONNECTING,
    QMP_GREETING,
    QMP_READY,
    QMP_RESETTING /* The socket closes, then WAITING. */
};

typedef void (*qmp_close_cb)(struct qmp *qmp);

struct qmp {
    uv_loop_t *loop;
    struct qmp_listener *listener;
    enum qmp_state state;
    char path[64];
    uv_pipe_t pipe;
    uv_connect_t connect;
    uv_timer_t retry;
    bool pipe_open;
    bool timer_open;
    qmp_close_cb close_cb; /* Not NULL: closing. */
    char *line;            /* Of QMP_LINE_BYTES_MAX. */
    size_t line_len;
    uint64_t next_id;
    struct {
        uint64_t id;
        const char *command;
    } pending[QMP_PENDING_MAX];
    size_t pending_count;
    uint32_t garbage_count; /* Connections that were ended for nonsense. */
    struct json json;
};

/* Starts to connect to the socket `name` in the directory, by way of
 * /proc/self/fd, so that its path is short wherever it lies. `dir_fd` stays
 * the caller's and open until the close is done. */
void qmp_init(struct qmp *qmp, uv_loop_t *loop, int dir_fd, const char *name,
              struct qmp_listener *listener);

/* `command` is static. CLOSED: not ready; BUSY: too many are unanswered. A
 * lost connection loses the replies. */
int qmp_send(struct qmp *qmp, const char *command);

/* No call of the listener after this; `cb` comes from a later turn. */
void qmp_close(struct qmp *qmp, qmp_close_cb cb);

#endif
