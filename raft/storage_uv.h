/* SPDX-License-Identifier: Apache-2.0
 *
 * Storage for production: one thread a lane, completions through uv_async. */
#ifndef RAFT_STORAGE_UV_H
#define RAFT_STORAGE_UV_H

#include "raft/storage.h"

#include <uv.h>

struct storage_uv;

/* Starts the threads. Aborts when there are no threads to be had. */
struct storage_uv *storage_uv_create(uv_loop_t *loop);

struct storage *storage_uv_storage(struct storage_uv *storage);

/* Runs what was submitted, calls every done(), joins the threads, then calls
 * `closed` from a later turn; the object is gone afterwards. */
typedef void (*storage_uv_closed_cb)(struct storage_uv *storage);
void storage_uv_close(struct storage_uv *storage, storage_uv_closed_cb closed);

#endif
