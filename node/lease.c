/* SPDX-License-Identifier: Apache-2.0 */
#include "node/lease.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/planted.h"

#include <stdlib.h>

void leases_init(struct leases *leases)
{
    *leases = (struct leases){0};
}

void leases_close(struct leases *leases)
{
    free(leases->slots);
    leases_init(leases);
}

static void make_room(struct leases *leases, uint32_t count)
{
    uint32_t grown = leases->count == 0 ? 64 : leases->count;

    if (count <= leases->count) {
        return;
    }
    while (grown < count) {
        grown *= 2;
    }
    leases->slots =
        memory_realloc_array(leases->slots, grown, sizeof(*leases->slots));
    for (uint32_t i = leases->count; i < grown; i++) {
        leases->slots[i] = (struct lease){0};
    }
    leases->count = grown;
}

static void set(struct leases *leases, const struct host *host,
                uint64_t renewed_ms, uint64_t expires_ms)
{
    uint32_t slot = uid_slot(host->uid);
    const struct order_book *book;

    make_room(leases, slot + 1);
    book = leases->slots[slot].host_uid == host->uid ? leases->slots[slot].book
                                                     : NULL;
    if (expires_ms < leases->none_ends_before_ms) {
        leases->none_ends_before_ms = expires_ms;
    }
    leases->slots[slot] = (struct lease){
        .host_uid = host->uid,
        .generation = host->generation,
        .expires_ms = expires_ms,
        .renewed_ms = renewed_ms,
        .book = book,
    };
}

void leases_reset(struct leases *leases, const struct state *state,
                  uint64_t now_ms)
{
    uint64_t wait_ms = state_settings(state)->lease_wait_ms;

    leases_close(leases);
    for (uint32_t slot = 0; slot < state_host_slots(state); slot++) {
        const struct host *host = state_host_at(state, slot);

        if (host != NULL && host->state == HOST_UP) {
            set(leases, host, now_ms, now_ms + wait_ms);
        }
    }
}

struct lease *leases_get(struct leases *leases, uint32_t host_slot)
{
    if (host_slot >= leases->count || leases->slots[host_slot].host_uid == 0) {
        return NULL;
    }
    return &leases->slots[host_slot];
}

void leases_registered(struct leases *leases, const struct host *host,
                       uint64_t received_ms, uint32_t lease_wait_ms)
{
    struct lease *lease = leases_get(leases, uid_slot(host->uid));
    uint64_t expires_ms = received_ms + lease_wait_ms;

    /* An agent that reconnects within its lease does not shorten it. */
    if (lease != NULL && lease->host_uid == host->uid && !lease->fencing &&
        lease->expires_ms > expires_ms) {
        expires_ms = lease->expires_ms;
    }
    set(leases, host, received_ms, expires_ms);
}

bool leases_renewed(struct leases *leases, const struct host *host,
                    uint64_t generation, uint64_t received_ms,
                    uint32_t lease_wait_ms)
{
    struct lease *lease;

    if (host == NULL || host->state != HOST_UP ||
        host->generation != generation) {
        return false;
    }
    lease = leases_get(leases, uid_slot(host->uid));
    if (lease == NULL || lease->host_uid != host->uid ||
        lease->generation != generation || lease->fencing) {
        return false;
    }
    if (lease->expires_ms < received_ms + lease_wait_ms) {
        lease->expires_ms = received_ms + lease_wait_ms;
    }
    if (lease->renewed_ms < received_ms) {
        lease->renewed_ms = received_ms;
    }
    return true;
}

bool lease_ended(const struct lease *lease, uint64_t now_ms)
{
    return now_ms + (PLANTED(LEASE_ENDS_EARLY) ? 4000 : 0) > lease->expires_ms;
}

bool lease_is_late(const struct lease *lease, const struct settings *settings,
                   uint64_t now_ms)
{
    /* From the renewal itself: what is left of the lease says nothing of it
     * while lease_wait_ms changes. */
    return now_ms > lease->renewed_ms + (uint64_t)settings->renew_ms * 5 / 2;
}

static uint64_t next_end_ms(const struct leases *leases,
                            const struct state *state)
{
    uint64_t next = UINT64_MAX;

    for (uint32_t slot = 0; slot < leases->count; slot++) {
        const struct lease *lease = &leases->slots[slot];
        const struct host *host = state_host_at(state, slot);

        if (host != NULL && host->state == HOST_UP &&
            lease->host_uid == host->uid && lease->expires_ms < next) {
            next = lease->expires_ms;
        }
    }
    return next;
}

bool leases_have_ended(struct leases *leases, const struct state *state,
                       uint64_t now_ms)
{
    if (now_ms <= leases->none_ends_before_ms) {
        return false;
    }
    leases->none_ends_before_ms = next_end_ms(leases, state);
    return leases->none_ends_before_ms < now_ms;
}
