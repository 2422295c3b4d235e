/* SPDX-License-Identifier: Apache-2.0 */
#include "client/async.h"

#include "base/check.h"
#include "base/memory.h"
#include "client/status.h"

#include <stdlib.h>
#include <string.h>

static void on_idle(uv_idle_t *idle)
{
    struct hf_uv_client *client = container_of(idle, struct hf_uv_client, idle);
    struct list work;

    list_init(&work);
    list_splice(&work, &client->turns);
    while (!list_empty(&work)) {
        struct turn *turn = list_entry(list_first(&work), struct turn, link);

        list_remove(&turn->link);
        turn->run(turn);
    }
    if (list_empty(&client->turns)) {
        (void)uv_idle_stop(idle);
    }
    async_go_on_closing(client);
}

void async_later(struct hf_uv_client *client, struct turn *turn)
{
    if (list_empty(&turn->link)) {
        list_append(&client->turns, &turn->link);
        CHECK(uv_idle_start(&client->idle, on_idle) == 0);
    }
}

static void on_timer(uv_timer_t *timer);

static void set_timer(struct hf_uv_client *client, uint64_t at_ms)
{
    uint64_t now_ms = uv_now(client->loop);

    client->timer_at_ms = at_ms;
    CHECK(uv_timer_start(&client->timer, on_timer,
                         at_ms > now_ms ? at_ms - now_ms : 0, 0) == 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct hf_uv_client *client =
        container_of(timer, struct hf_uv_client, timer);
    uint64_t now_ms = uv_now(client->loop);
    uint64_t next_ms = UINT64_MAX;
    struct list due;
    struct list *at;
    struct list *next;

    list_init(&due);
    list_foreach_safe (at, next, &client->alarms) {
        if (list_entry(at, struct alarm, link)->at_ms <= now_ms) {
            list_remove(at);
            list_append(&due, at);
        }
    }
    while (!list_empty(&due)) {
        struct alarm *alarm = list_entry(list_first(&due), struct alarm, link);

        list_remove(&alarm->link);
        alarm->ring(alarm);
    }
    list_foreach (at, &client->alarms) {
        uint64_t at_ms = list_entry(at, struct alarm, link)->at_ms;

        next_ms = at_ms < next_ms ? at_ms : next_ms;
    }
    if (next_ms != UINT64_MAX) {
        set_timer(client, next_ms);
    }
}

void async_alarm(struct hf_uv_client *client, struct alarm *alarm,
                 uint64_t at_ms)
{
    list_remove(&alarm->link);
    alarm->at_ms = at_ms;
    list_append(&client->alarms, &alarm->link);
    if (!uv_is_active((uv_handle_t *)&client->timer) ||
        at_ms < client->timer_at_ms) {
        set_timer(client, at_ms);
    }
}

struct hf_uv_client *hf_uv_client_open(uv_loop_t *loop, const char *endpoints,
                                       struct hf_status *status)
{
    struct hf_uv_client *client = memory_alloc(sizeof(*client));

    if (contact_init(&client->contact, endpoints, status) != HF_STATUS_OK) {
        free(client);
        return NULL;
    }
    client->loop = loop;
    list_init(&client->turns);
    list_init(&client->alarms);
    list_init(&client->calls);
    list_init(&client->watches);
    list_init(&client->all_carriers);
    CHECK(uv_idle_init(loop, &client->idle) == 0);
    CHECK(uv_timer_init(loop, &client->timer) == 0);
    client->handles_open = 2;
    return client;
}

enum hf_code hf_uv_client_use_tls(struct hf_uv_client *client,
                                  const struct hf_tls *files,
                                  struct hf_status *status)
{
    if (!list_empty(&client->all_carriers)) {
        memset(status, 0, sizeof(*status));
        return status_set(status, HF_STATUS_FAILED_PRECONDITION,
                          "TLS is set once, before the first call");
    }
    return contact_use_tls(&client->contact, files, status);
}

enum hf_code hf_uv_client_use_token(struct hf_uv_client *client,
                                    const char *token, struct hf_status *status)
{
    return contact_use_token(&client->contact, token, status);
}

void hf_uv_client_set_timeout(struct hf_uv_client *client, uint32_t timeout_ms)
{
    contact_set_timeout(&client->contact, timeout_ms);
}

size_t hf_uv_client_endpoint_count(const struct hf_uv_client *client)
{
    return client->contact.attempts.endpoint_count;
}

const char *hf_uv_client_endpoint(const struct hf_uv_client *client,
                                  size_t index)
{
    return contact_endpoint(&client->contact, index);
}

const char *hf_uv_client_endpoint_error(const struct hf_uv_client *client,
                                        size_t index)
{
    return contact_endpoint_error(&client->contact, index);
}

static void handle_closed(struct hf_uv_client *client)
{
    struct hf_uv_close *close = client->close;

    if (--client->handles_open == 0) {
        contact_close(&client->contact);
        free(client);
        close->done(close);
    }
}

static void on_idle_closed(uv_handle_t *handle)
{
    handle_closed(container_of(handle, struct hf_uv_client, idle));
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle_closed(container_of(handle, struct hf_uv_client, timer));
}

/* Calls and watches are told, carriers go, then our handles. */
void async_go_on_closing(struct hf_uv_client *client)
{
    if (client->closing && !client->handles_closing &&
        list_empty(&client->turns) && list_empty(&client->calls) &&
        list_empty(&client->watches) && list_empty(&client->all_carriers)) {
        client->handles_closing = true;
        uv_close((uv_handle_t *)&client->idle, on_idle_closed);
        uv_close((uv_handle_t *)&client->timer, on_timer_closed);
    }
}

void hf_uv_client_close(struct hf_uv_client *client, struct hf_uv_close *close,
                        hf_uv_close_cb done)
{
    struct list *at;
    struct list *next;

    CHECK(!client->closing);
    client->closing = true;
    client->close = close;
    close->done = done;
    list_foreach (at, &client->calls) {
        async_call_close(list_entry(at, struct hf_uv_call_state, link));
    }
    list_foreach (at, &client->watches) {
        async_watch_close(list_entry(at, struct hf_uv_watch_state, link));
    }
    list_foreach_safe (at, next, &client->all_carriers) {
        carrier_close(list_entry(at, struct carrier, link));
    }
    async_go_on_closing(client);
}
