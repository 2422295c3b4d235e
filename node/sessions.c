/* SPDX-License-Identifier: Apache-2.0 */
#include "node/sessions.h"

#include "base/check.h"
#include "base/log.h"
#include "node/region.h"

#include <inttypes.h>
#include <stdio.h>

void sessions_init(struct sessions *sessions, struct turn *turn,
                   struct leases *leases, const struct state **applied,
                   const char *region)
{
    *sessions = (struct sessions){
        .turn = turn, .leases = leases, .applied = applied, .region = region};
    map_init(&sessions->by_host);
    list_init(&sessions->due);
}

void sessions_close(struct sessions *sessions)
{
    CHECK(list_empty(&sessions->due));
    map_close(&sessions->by_host);
}

static const struct state *state_of(const struct session *session)
{
    return *session->sessions->applied;
}

static void end_session(struct session *session, enum api_error error,
                        const char *detail)
{
    if (session->open) {
        session->ops->end(session, error, detail);
    }
}

static struct session *session_at(const struct sessions *sessions,
                                  uint32_t host_slot)
{
    return map_get(&sessions->by_host, (uint64_t)host_slot + 1);
}

/* Welcomed, and not replaced since. */
static bool is_current(const struct session *session)
{
    return session->welcomed &&
           session_at(session->sessions, uid_slot(session->host.uid)) ==
               session;
}

static void leave(struct session *session)
{
    struct sessions *sessions = session->sessions;
    uint32_t slot = uid_slot(session->host.uid);
    struct lease *lease = leases_get(sessions->leases, slot);

    if (!is_current(session)) {
        return;
    }
    map_remove(&sessions->by_host, (uint64_t)slot + 1);
    list_remove(&session->due);
    if (lease != NULL) {
        lease->book = NULL;
    }
}

/* --- Orders -------------------------------------------------------------- */

static void give_order(struct order_sink *sink, const struct order *order)
{
    struct session *session = container_of(sink, struct session, orders);

    session->ops->order(session, order);
}

static void run_orders(struct session *session, uint64_t now_ms)
{
    const struct host *host = state_host(state_of(session), session->host);

    if (session->open && session->confirmed && is_current(session) &&
        host != NULL && host->state == HOST_UP &&
        host->generation == session->generation) {
        order_book_run(&session->book, state_of(session), host, now_ms,
                       &session->orders);
    }
}

/* Its orders are looked through at the end of this turn of the loop: once,
 * however much happens to the host's VMs in one turn. */
static void make_due(struct session *session)
{
    if (list_empty(&session->due)) {
        list_append(&session->sessions->due, &session->due);
    }
}

void sessions_note_vm(struct sessions *sessions, uint32_t host_slot,
                      uint64_t uid)
{
    struct session *session = session_at(sessions, host_slot);

    if (session != NULL) {
        order_book_note(&session->book, uid);
        make_due(session);
    }
}

void sessions_note_host(struct sessions *sessions, uint32_t host_slot)
{
    struct session *session = session_at(sessions, host_slot);

    if (session != NULL) {
        order_book_note_all(&session->book);
        make_due(session);
    }
}

void sessions_pump(struct sessions *sessions, uint64_t now_ms)
{
    while (!list_empty(&sessions->due)) {
        struct session *session =
            list_entry(list_first(&sessions->due), struct session, due);

        list_remove(&session->due);
        run_orders(session, now_ms);
    }
}

void sessions_drop(struct sessions *sessions)
{
    size_t cursor = 0;
    struct session *session;

    while ((session = map_next(&sessions->by_host, &cursor)) != NULL) {
        session->welcomed = false;
        list_remove(&session->due);
        end_session(session, API_NO_LEADER, "leadership moved");
    }
    map_close(&sessions->by_host);
    map_init(&sessions->by_host);
}

/* --- Messages ------------------------------------------------------------ */

static void plan_message(struct turn_request *request, struct turn_plan *plan)
{
    struct session_message *message =
        container_of(request, struct session_message, request);
    struct session *session = message->session;

    if (message->kind == SESSION_HELLO) {
        message->verdict =
            plan_hello(plan, &message->hello, session->sessions->leases,
                       &message->host, &message->rebooted);
        return;
    }
    for (size_t i = 0; i < message->report_count; i++) {
        plan_report(plan, session->host, session->generation,
                    &message->reports[i]);
    }
    if (message->kind == SESSION_RENEW && !session->confirmed &&
        is_current(session)) {
        plan_missing(plan, session->host, session->generation, message->reports,
                     message->report_count, session->rebooted);
    }
}

static void refuse_other_region(const struct session_message *message)
{
    struct session *session = message->session;
    char here[REGION_TEXT_BYTES];
    char detail[256];

    region_text(state_region(state_of(session)), here);
    (void)snprintf(detail, sizeof(detail),
                   "region_id: host '%.63s' holds VMs of region %.32s, this is "
                   "region '%s', %s",
                   message->hello.host.data, message->hello.region_id.data,
                   session->sessions->region, here);
    end_session(session, API_OTHER_REGION, detail);
}

static void refuse_hello(const struct session_message *message)
{
    struct session *session = message->session;

    switch (message->verdict) {
    case HELLO_OTHER_REGION:
        refuse_other_region(message);
        break;
    case HELLO_NO_ZONE:
        end_session(session, API_ZONE_NOT_FOUND, "zone");
        break;
    case HELLO_TAKEN:
        end_session(session, API_HOST_NAME_TAKEN, "host");
        break;
    case HELLO_STILL_LEASED:
        end_session(session, API_HOST_STILL_LEASED, "host");
        break;
    case HELLO_ZONE_CHANGED:
        end_session(session, API_HOST_ZONE_CHANGED, "zone");
        break;
    case HELLO_TOO_MANY_NAMES:
        end_session(session, API_TABLE_FULL, "capacity.named");
        break;
    case HELLO_TOO_MANY_HOSTS:
        end_session(session, API_TABLE_FULL, "host");
        break;
    default:
        end_session(session, API_TABLE_FULL, "pools");
        break;
    }
}

/* Whether or not its session is still there: a host that is UP has a lease, or
 * nothing would ever end its registration. */
static void note_registration(const struct session_message *message)
{
    const struct state *state = state_of(message->session);
    const struct host *host = state_host(state, message->host);

    if (message->verdict == HELLO_WELCOME && host != NULL) {
        leases_registered(message->session->sessions->leases, host,
                          message->received_ms,
                          state_settings(state)->lease_wait_ms);
    }
}

static void hello_done(struct session_message *message)
{
    struct session *session = message->session;
    struct sessions *sessions = session->sessions;
    const struct host *host = state_host(state_of(session), message->host);
    uint32_t slot = uid_slot(message->host.uid);
    const struct settings *settings = state_settings(state_of(session));
    struct session *former;

    if (message->verdict != HELLO_WELCOME || host == NULL) {
        refuse_hello(message);
        return;
    }
    former = session_at(sessions, slot);
    if (former != NULL && former != session) {
        leave(former);
        end_session(former, API_SESSION_REPLACED, "");
    }
    session->host = message->host;
    session->generation = host->generation;
    session->welcomed = true;
    session->rebooted = message->rebooted;
    leases_get(sessions->leases, slot)->book = &session->book;
    map_put(&sessions->by_host, (uint64_t)slot + 1, session);
    log_info("host.session", "host=%s generation=%" PRIu64 " vms=%zu",
             host->name, host->generation, message->report_count);
    session->ops->welcome(session, settings);
    order_book_reports(&session->book, message->reports, message->report_count,
                       true);
    make_due(session);
}

static void renew_done(struct session_message *message)
{
    struct session *session = message->session;
    const struct state *state = state_of(session);
    const struct settings *settings = state_settings(state);

    if (message->generation != session->generation ||
        !leases_renewed(session->sessions->leases,
                        state_host(state, session->host), session->generation,
                        message->received_ms, settings->lease_wait_ms)) {
        /* Fenced: it says Hello again, and is then as new. */
        leave(session);
        end_session(session, API_NO_LEADER, "the lease has ended");
        return;
    }
    session->confirmed = true;
    order_book_reports(&session->book, message->reports, message->report_count,
                       true);
    session->ops->ack(session, message->seq, settings);
    make_due(session);
}

static void settle(struct session *session)
{
    if (!session->open && session->pending == 0) {
        list_remove(&session->due);
        order_book_close(&session->book);
        session->ops->free(session);
    }
}

static void release(struct session_message *message)
{
    struct session *session = message->session;

    session->pending--;
    session->ops->release(message);
    settle(session);
}

static void message_done(struct turn_request *request, int status)
{
    struct session_message *message =
        container_of(request, struct session_message, request);
    struct session *session = message->session;

    if (status == 0 && message->kind == SESSION_HELLO) {
        note_registration(message);
    }
    if (status != 0) {
        end_session(session, API_NO_LEADER, "");
    } else if (session->open) {
        switch (message->kind) {
        case SESSION_HELLO:
            hello_done(message);
            break;
        case SESSION_RENEW:
            renew_done(message);
            break;
        case SESSION_REPORT:
            order_book_reports(&session->book, message->reports,
                               message->report_count, false);
            make_due(session);
            break;
        }
    }
    release(message);
}

/* --- The stream ---------------------------------------------------------- */

void session_open(struct session *session, const struct session_ops *ops,
                  struct sessions *sessions)
{
    *session = (struct session){
        .ops = ops,
        .sessions = sessions,
        .orders = {give_order},
        .open = true,
    };
    list_init(&session->due);
    order_book_init(&session->book);
}

bool session_takes(const struct session *session,
                   enum session_message_kind kind)
{
    return kind == SESSION_HELLO ? !session->greeted : session->welcomed;
}

void session_submit(struct session *session, struct session_message *message)
{
    CHECK(session_takes(session, message->kind));
    message->request.plan = plan_message;
    message->request.done = message_done;
    message->session = session;
    session->greeted = true;
    session->pending++;
    if (turn_submit(session->sessions->turn, LANE_FAILOVER,
                    &message->request) != 0) {
        end_session(session, API_NO_LEADER, "");
        release(message);
    }
}

void session_close(struct session *session)
{
    leave(session);
    session->open = false;
    settle(session);
}
