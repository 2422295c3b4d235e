/* SPDX-License-Identifier: Apache-2.0
 *
 * From the applied state and what an agent says it runs to the orders that are
 * still missing. Level-triggered: run again after every change, renewal or
 * reconnect, it says what is not yet so. Between two whole lists of the agent
 * only the VMs that something happened to are looked at, so that an event costs
 * nothing for the host's other VMs. Pure. */
#ifndef NODE_ORDERS_H
#define NODE_ORDERS_H

#include "base/list.h"
#include "base/map.h"
#include "node/reports.h"
#include "state/state.h"

enum order_action { ORDER_START = 1, ORDER_STOP = 2, ORDER_KILL = 3 };

struct order {
    enum order_action action;
    struct vm_id vm;
    uint64_t epoch;
};

/* Who sends orders; embed it. */
struct order_sink {
    void (*order)(struct order_sink *sink, const struct order *order);
};

/* What one session's agent was told and said. */
struct order_book {
    struct map vms; /* By uid: struct order_entry. */
    /* Each entry is in one of these lists, or settled and in none. */
    struct list open;     /* Something happened to it. */
    struct list lasting;  /* An order is repeated, or the VM is unknown. */
    struct list starting; /* A start is under way. */
    struct list waiting;  /* A start is wanted; the first to go is first. */
    bool all;             /* Look at every VM of host and agent again. */
    uint64_t *unknown;    /* uids that the state does not know. */
    uint32_t unknown_count;
    /* For display: when the certificate of the session's agent ends, seconds
     * since 1970; 0: it showed none. */
    uint64_t certificate_end_s;
};

void order_book_init(struct order_book *book);
void order_book_close(struct order_book *book);

/* Takes the agent's list of a Hello or renewal (`whole`) or one report. */
void order_book_reports(struct order_book *book,
                        const struct vm_report *reports, size_t count,
                        bool whole);

/* The VM, which is or was on this session's host, has changed in the state. */
void order_book_note(struct order_book *book, uint64_t uid);

/* Anything may have changed, the host itself for one. */
void order_book_note_all(struct order_book *book);

/* Gives the orders that are due for this host, at most start_parallel starts
 * under way at once, higher priority first. */
void order_book_run(struct order_book *book, const struct state *state,
                    const struct host *host, uint64_t now_ms,
                    struct order_sink *sink);

#endif
