/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/storage_uv.h"

#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"

#include <stdlib.h>

struct lane {
    struct storage_uv *storage;
    uv_thread_t thread;
    uv_cond_t wake;
    struct list queue; /* Of jobs to run; under the mutex. */
};

struct storage_uv {
    struct storage storage;
    uv_async_t async;
    uv_mutex_t mutex;
    struct list finished; /* Jobs that ran; under the mutex. */
    bool closing;         /* Under the mutex. */
    unsigned pending;     /* Submitted, done() not yet called; loop's thread. */
    bool close_asked;
    storage_uv_closed_cb closed;
    struct lane lanes[STORAGE_LANES];
};

static void lane_run(void *argument)
{
    struct lane *lane = argument;
    struct storage_uv *uv = lane->storage;
    uv_mutex_lock(&uv->mutex);
    for (;;) {
        struct list *link = list_first(&lane->queue);
        if (link == NULL) {
            if (uv->closing) {
                break;
            }
            uv_cond_wait(&lane->wake, &uv->mutex);
            continue;
        }
        list_remove(link);
        uv_mutex_unlock(&uv->mutex);
        struct storage_job *job = list_entry(link, struct storage_job, link);
        job->run(job);
        uv_mutex_lock(&uv->mutex);
        list_append(&uv->finished, &job->link);
        CHECK(uv_async_send(&uv->async) == 0);
    }
    uv_mutex_unlock(&uv->mutex);
}

static void submit(struct storage *storage, struct storage_job *job)
{
    struct storage_uv *uv = container_of(storage, struct storage_uv, storage);
    CHECK(job->lane < STORAGE_LANES && !uv->close_asked);
    uv->pending++;
    uv_mutex_lock(&uv->mutex);
    list_append(&uv->lanes[job->lane].queue, &job->link);
    uv_cond_signal(&uv->lanes[job->lane].wake);
    uv_mutex_unlock(&uv->mutex);
}

static void on_closed(uv_handle_t *handle)
{
    struct storage_uv *uv =
        container_of((uv_async_t *)(void *)handle, struct storage_uv, async);
    for (unsigned i = 0; i < STORAGE_LANES; i++) {
        uv_cond_destroy(&uv->lanes[i].wake);
    }
    uv_mutex_destroy(&uv->mutex);
    uv->closed(uv);
    free(uv);
}

static void maybe_close(struct storage_uv *uv)
{
    if (!uv->close_asked || uv->pending > 0 ||
        uv_is_closing((uv_handle_t *)&uv->async)) {
        return;
    }
    uv_mutex_lock(&uv->mutex);
    uv->closing = true;
    for (unsigned i = 0; i < STORAGE_LANES; i++) {
        uv_cond_signal(&uv->lanes[i].wake);
    }
    uv_mutex_unlock(&uv->mutex);
    for (unsigned i = 0; i < STORAGE_LANES; i++) {
        CHECK(uv_thread_join(&uv->lanes[i].thread) == 0);
    }
    uv_close((uv_handle_t *)&uv->async, on_closed);
}

static void on_async(uv_async_t *async)
{
    struct storage_uv *uv = container_of(async, struct storage_uv, async);
    struct list finished;
    list_init(&finished);
    uv_mutex_lock(&uv->mutex);
    list_splice(&finished, &uv->finished);
    uv_mutex_unlock(&uv->mutex);
    struct list *link;
    while ((link = list_first(&finished)) != NULL) {
        list_remove(link);
        struct storage_job *job = list_entry(link, struct storage_job, link);
        CHECK(uv->pending > 0);
        uv->pending--;
        job->done(job);
    }
    maybe_close(uv);
}

struct storage_uv *storage_uv_create(uv_loop_t *loop)
{
    struct storage_uv *uv = memory_alloc(sizeof *uv);
    uv->storage.submit = submit;
    list_init(&uv->finished);
    CHECK(uv_mutex_init(&uv->mutex) == 0);
    CHECK(uv_async_init(loop, &uv->async, on_async) == 0);
    for (unsigned i = 0; i < STORAGE_LANES; i++) {
        struct lane *lane = &uv->lanes[i];
        lane->storage = uv;
        list_init(&lane->queue);
        CHECK(uv_cond_init(&lane->wake) == 0);
        CHECK(uv_thread_create(&lane->thread, lane_run, lane) == 0);
    }
    return uv;
}

struct storage *storage_uv_storage(struct storage_uv *storage)
{
    return &storage->storage;
}

void storage_uv_close(struct storage_uv *storage, storage_uv_closed_cb closed)
{
    CHECK(!storage->close_asked);
    storage->close_asked = true;
    storage->closed = closed;
    /* From a later turn, whether or not a job is pending. */
    CHECK(uv_async_send(&storage->async) == 0);
}
