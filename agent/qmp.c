/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/qmp.h"

#include "base/check.h"
#include "base/container.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char capabilities[] = "qmp_capabilities";

static void try_connect(struct qmp *qmp);

static void on_retry(uv_timer_t *timer)
{
    try_connect(container_of(timer, struct qmp, retry));
}

static void wait_and_retry(struct qmp *qmp)
{
    qmp->state = QMP_WAITING;
    CHECK(uv_timer_start(&qmp->retry, on_retry, QMP_RETRY_MS, 0) == 0);
}

static void finish_close(struct qmp *qmp)
{
    if (!qmp->pipe_open && !qmp->timer_open) {
        qmp_close_cb cb = qmp->close_cb;

        free(qmp->line);
        qmp->line = NULL;
        qmp->state = QMP_CLOSED;
        cb(qmp);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct qmp *qmp =
        container_of((uv_timer_t *)(void *)handle, struct qmp, retry);

    qmp->timer_open = false;
    finish_close(qmp);
}

static void on_pipe_closed(uv_handle_t *handle)
{
    struct qmp *qmp =
        container_of((uv_pipe_t *)(void *)handle, struct qmp, pipe);

    qmp->pipe_open = false;
    if (qmp->close_cb != NULL) {
        finish_close(qmp);
    } else {
        wait_and_retry(qmp);
    }
}

/* Ends the connection; the next attempt follows when the socket is closed. */
static void reset(struct qmp *qmp)
{
    if (qmp->state == QMP_RESETTING || qmp->close_cb != NULL) {
        return;
    }
    qmp->state = QMP_RESETTING;
    qmp->line_len = 0;
    qmp->pending_count = 0;
    uv_close((uv_handle_t *)&qmp->pipe, on_pipe_closed);
}

static void nonsense(struct qmp *qmp, const char *what)
{
    qmp->garbage_count++;
    log_warn("qmp.nonsense", "what=%s count=%" PRIu32, what,
             qmp->garbage_count);
    reset(qmp);
}

static const char *take_pending(struct qmp *qmp, const struct json_value *id)
{
    for (size_t i = 0; i < qmp->pending_count; i++) {
        const char *command = qmp->pending[i].command;

        if (id == NULL || id->kind != JSON_NUMBER ||
            (uint64_t)id->number != qmp->pending[i].id) {
            continue;
        }
        qmp->pending_count--;
        memmove(&qmp->pending[i], &qmp->pending[i + 1],
                (qmp->pending_count - i) * sizeof(qmp->pending[0]));
        return command;
    }
    return NULL;
}

static void handle_reply(struct qmp *qmp, const struct json_value *message,
                         const struct json_value *result)
{
    const char *command =
        take_pending(qmp, json_get(&qmp->json, message, "id"));

    if (command == NULL) {
        nonsense(qmp, "reply_to_nothing");
        return;
    }
    if (command != capabilities) {
        qmp->listener->reply(qmp->listener, command, &qmp->json, result);
        return;
    }
    if (result == NULL || qmp->state != QMP_GREETING) {
        nonsense(qmp, "greeting_refused");
        return;
    }
    qmp->state = QMP_READY;
    qmp->listener->ready(qmp->listener);
}

static int send_command(struct qmp *qmp, const char *command);

static void handle_message(struct qmp *qmp)
{
    const struct json *json = &qmp->json;
    const struct json_value *message = &json->values[0];
    const char *event = json_string(json_get(json, message, "event"));
    const struct json_value *result = json_get(json, message, "return");

    if (result != NULL) {
        handle_reply(qmp, message, result);
    } else if (json_get(json, message, "error") != NULL) {
        handle_reply(qmp, message, NULL);
    } else if (event != NULL) {
        qmp->listener->event(qmp->listener, event, json,
                             json_get(json, message, "data"));
    } else if (json_get(json, message, "QMP") != NULL &&
               qmp->state == QMP_GREETING && qmp->pending_count == 0) {
        if (send_command(qmp, capabilities) != 0) {
            reset(qmp);
        }
    } else {
        nonsense(qmp, "unknown_message");
    }
}

/* Hands on the complete lines of the buffer. The listener may close us. */
static void handle_lines(struct qmp *qmp)
{
    size_t start = 0;

    while (qmp->close_cb == NULL && qmp->state >= QMP_GREETING &&
           qmp->state <= QMP_READY) {
        char *from = qmp->line + start;
        char *end = memchr(from, '\n', qmp->line_len - start);

        if (end == NULL) {
            break;
        }
        start = (size_t)(end - qmp->line) + 1;
        if (json_parse(&qmp->json, from, (size_t)(end - from)) != 0) {
            nonsense(qmp, "not_json");
            return;
        }
        handle_message(qmp);
    }
    if (qmp->line_len >= start) {
        memmove(qmp->line, qmp->line + start, qmp->line_len - start);
        qmp->line_len -= start;
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct qmp *qmp =
        container_of((uv_pipe_t *)(void *)handle, struct qmp, pipe);

    (void)suggested;
    buf->base = qmp->line + qmp->line_len;
    buf->len = QMP_LINE_BYTES_MAX - qmp->line_len;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct qmp *qmp =
        container_of((uv_pipe_t *)(void *)stream, struct qmp, pipe);

    (void)buf;
    if (n == 0 || qmp->close_cb != NULL || qmp->state == QMP_RESETTING) {
        return;
    }
    if (n < 0) {
        /* ENOBUFS: the buffer is full and holds no complete line. */
        if (n == UV_ENOBUFS) {
            nonsense(qmp, "line_too_long");
        } else {
            reset(qmp);
        }
        return;
    }
    qmp->line_len += (size_t)n;
    handle_lines(qmp);
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct qmp *qmp = container_of(connect, struct qmp, connect);

    if (qmp->close_cb != NULL || qmp->state != QMP_CONNECTING) {
        return;
    }
    if (status < 0) {
        reset(qmp);
        return;
    }
    qmp->state = QMP_GREETING;
    if (uv_read_start((uv_stream_t *)&qmp->pipe, on_alloc, on_read) < 0) {
        reset(qmp);
    }
}

static void try_connect(struct qmp *qmp)
{
    CHECK(uv_pipe_init(qmp->loop, &qmp->pipe, 0) == 0);
    qmp->pipe_open = true;
    qmp->state = QMP_CONNECTING;
    uv_pipe_connect(&qmp->connect, &qmp->pipe, qmp->path, on_connect);
}

void qmp_init(struct qmp *qmp, uv_loop_t *loop, int dir_fd, const char *name,
              struct qmp_listener *listener)
{
    int len;

    memset(qmp, 0, sizeof(*qmp));
    qmp->loop = loop;
    qmp->listener = listener;
    len = snprintf(qmp->path, sizeof(qmp->path), "/proc/self/fd/%d/%s", dir_fd,
                   name);
    CHECK(len > 0 && (size_t)len < sizeof(qmp->path));
    qmp->line = memory_alloc(QMP_LINE_BYTES_MAX);
    CHECK(uv_timer_init(loop, &qmp->retry) == 0);
    qmp->timer_open = true;
    try_connect(qmp);
}

struct qmp_write {
    uv_write_t request;
    char text[128];
};

static void on_written(uv_write_t *request, int status)
{
    /* A failed write shows as a failed read as well. */
    (void)status;
    free(container_of(request, struct qmp_write, request));
}

static int send_command(struct qmp *qmp, const char *command)
{
    struct qmp_write *request;
    uv_buf_t buf;
    int len;

    if (qmp->pending_count == QMP_PENDING_MAX) {
        return HF_ERROR_BUSY;
    }
    request = memory_alloc(sizeof(*request));
    qmp->next_id++;
    len = snprintf(request->text, sizeof(request->text),
                   "{\"execute\":\"%s\",\"id\":%" PRIu64 "}\n", command,
                   qmp->next_id);
    CHECK(len > 0 && (size_t)len < sizeof(request->text));
    buf = uv_buf_init(request->text, (unsigned)len);
    if (uv_write(&request->request, (uv_stream_t *)&qmp->pipe, &buf, 1,
                 on_written) < 0) {
        free(request);
        return HF_ERROR_CLOSED;
    }
    qmp->pending[qmp->pending_count].id = qmp->next_id;
    qmp->pending[qmp->pending_count].command = command;
    qmp->pending_count++;
    return 0;
}

int qmp_send(struct qmp *qmp, const char *command)
{
    if (qmp->state != QMP_READY || qmp->close_cb != NULL) {
        return HF_ERROR_CLOSED;
    }
    return send_command(qmp, command);
}

void qmp_close(struct qmp *qmp, qmp_close_cb cb)
{
    CHECK(cb != NULL && qmp->close_cb == NULL && qmp->state != QMP_CLOSED);
    qmp->close_cb = cb;
    uv_close((uv_handle_t *)&qmp->retry, on_timer_closed);
    if (qmp->pipe_open && qmp->state != QMP_RESETTING) {
        uv_close((uv_handle_t *)&qmp->pipe, on_pipe_closed);
    }
}
