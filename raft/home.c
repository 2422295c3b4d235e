/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/home.h"

#include "base/check.h"
#include "base/container.h"
#include "base/crc32c.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "raft/paths.h"
#include "raft/term_store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDENTITY_BYTES_MAX 512

int home_lock(const struct home_options *options, struct file **lock,
              struct failure *failure)
{
    struct files *files = options->log.files;
    struct path path;
    int len = snprintf(path.text, sizeof path.text, "%s.lock",
                       options->log.directory);
    CHECK(len > 0 && (size_t)len < sizeof path.text);
    int rv = file_open(files, path.text, FILE_CREATE, lock);
    if (rv == -EEXIST) {
        rv = file_open(files, path.text, FILE_WRITE, lock);
    }
    if (rv != 0) {
        return failure_io(failure, rv, "open", path.text);
    }
    rv = file_lock(*lock);
    if (rv != 0) {
        file_close(*lock);
        *lock = NULL;
        if (rv == -EWOULDBLOCK) {
            return failure_set(failure, REPLICA_FAILED_LOCKED,
                               "another process uses %s; only one node may "
                               "run on a directory",
                               options->log.directory);
        }
        return failure_io(failure, rv, "lock", path.text);
    }
    return 0;
}

struct name_counter {
    struct files_visitor visitor;
    size_t count;
};

static void count_name(struct files_visitor *visitor, const char *name)
{
    (void)name;
    container_of(visitor, struct name_counter, visitor)->count++;
}

int home_exists(const struct home_options *options, bool *exists,
                struct failure *failure)
{
    struct name_counter counter = {.visitor.visit = count_name};
    int rv = files_list(options->log.files, options->log.directory,
                        &counter.visitor);
    /* An empty one counts as absent: packages make it so. */
    *exists = rv == 0 && counter.count > 0;
    if (rv != 0 && rv != -ENOENT) {
        return failure_io(failure, rv, "list", options->log.directory);
    }
    return 0;
}

static int identity_text(const struct home_options *options, bool joins,
                         char *text)
{
    int len = snprintf(text, IDENTITY_BYTES_MAX,
                       "holdfast replica 1\nregion %s\nnode %" PRIu64 "\n%s",
                       options->region, options->log.node_id,
                       joins ? "joined\n" : "");
    CHECK(len > 0 && len < IDENTITY_BYTES_MAX - 32);
    return len + snprintf(text + len, 32, "crc32c %08" PRIx32 "\n",
                          crc32c(0, text, (size_t)len));
}

static int identity_create(const struct home_options *options,
                           const char *directory, bool joins,
                           struct failure *failure)
{
    char text[IDENTITY_BYTES_MAX];
    struct path path;
    struct file *file;
    size_t len = (size_t)identity_text(options, joins, text);
    path_set(&path, directory, "identity");
    int rv = file_open(options->log.files, path.text, FILE_CREATE, &file);
    if (rv != 0) {
        return failure_io(failure, rv, "create", path.text);
    }
    rv = file_write(file, text, len, 0);
    if (rv == 0) {
        rv = file_sync(file);
    }
    file_close(file);
    return rv == 0 ? 0 : failure_io(failure, rv, "write", path.text);
}

static bool is_identity(const struct home_options *options, bool joins,
                        const char *text, size_t len)
{
    char expected[IDENTITY_BYTES_MAX];
    return len == (size_t)identity_text(options, joins, expected) &&
           memcmp(text, expected, len) == 0;
}

static int identity_check(const struct home_options *options, bool *joins,
                          struct failure *failure)
{
    char text[IDENTITY_BYTES_MAX];
    struct path path;
    struct file *file;
    size_t got = 0;
    path_set(&path, options->log.directory, "identity");
    int rv = file_open(options->log.files, path.text, FILE_READ, &file);
    if (rv != 0) {
        return failure_io(failure, rv, "open", path.text);
    }
    rv = file_read(file, text, sizeof text, 0, &got);
    file_close(file);
    if (rv != 0) {
        return failure_io(failure, rv, "read", path.text);
    }
    *joins = is_identity(options, true, text, got);
    if (*joins || is_identity(options, false, text, got)) {
        return 0;
    }
    return failure_set(failure, REPLICA_FAILED_CONFIG,
                       "%s does not say region %s, node %" PRIu64
                       ": it is damaged, or the directory is another node's; "
                       "correct the configuration file, or set the directory "
                       "aside and let the node rejoin under a new id",
                       path.text, options->region, options->log.node_id);
}

struct sweeper {
    struct files_visitor visitor;
    struct files *files;
    const char *directory;
    char **names;
    size_t count;
};

static void keep_name(struct files_visitor *visitor, const char *name)
{
    struct sweeper *sweeper = container_of(visitor, struct sweeper, visitor);
    sweeper->names = memory_realloc_array(sweeper->names, sweeper->count + 1,
                                          sizeof *sweeper->names);
    sweeper->names[sweeper->count++] = memory_copy_string(name);
}

/* Removes the files of one directory of an attempt that a crash cut short,
 * and the directory. */
static int sweep(struct files *files, const char *directory)
{
    struct sweeper sweeper = {.visitor.visit = keep_name, .files = files};
    int rv = files_list(files, directory, &sweeper.visitor);
    for (size_t i = 0; i < sweeper.count; i++) {
        struct path path;
        path_set(&path, directory, sweeper.names[i]);
        if (rv == 0 && strcmp(sweeper.names[i], "log") != 0 &&
            strcmp(sweeper.names[i], "snapshots") != 0) {
            rv = files_unlink(files, path.text);
        }
        free(sweeper.names[i]);
    }
    free(sweeper.names);
    if (rv == 0) {
        rv = files_remove_directory(files, directory);
    }
    return rv == -ENOENT ? 0 : rv;
}

static int sweep_draft(struct files *files, const char *draft,
                       struct failure *failure)
{
    struct path log;
    struct path snapshots;
    path_set(&log, draft, "log");
    path_set(&snapshots, draft, "snapshots");
    int rv = sweep(files, log.text);
    if (rv == 0) {
        rv = sweep(files, snapshots.text);
    }
    if (rv == 0) {
        rv = sweep(files, draft);
    }
    return rv == 0 ? 0 : failure_io(failure, rv, "clear", draft);
}

static int make_directories(struct files *files, const char *draft,
                            struct failure *failure)
{
    static const char *const names[] = {"", "log", "snapshots"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct path path;
        path_set(&path, draft, names[i]);
        int rv = files_make_directory(files, path.text);
        if (rv != 0) {
            return failure_io(failure, rv, "make", path.text);
        }
    }
    return 0;
}

static void ignore_begin(struct log_visitor *visitor, uint64_t first_index,
                         uint64_t chain)
{
    (void)visitor;
    (void)first_index;
    (void)chain;
}

/* The members as entry 1: libraft asks that it be the same everywhere. */
static int write_first_entry(const struct log_store_options *log,
                             const uint8_t *members, size_t len,
                             struct failure *failure)
{
    struct log_visitor nothing = {.begin = ignore_begin};
    struct bytes bytes;
    struct entry entry = {
        .term = 1, .type = ENTRY_MEMBERS, .len = (uint32_t)len};
    memcpy(&entry.data, &members, sizeof members);
    struct record record = {.type = RECORD_MEMBERS,
                            .index = 1,
                            .term = 1,
                            .chain = entry_chain(0, 1, &entry),
                            .data = members,
                            .len = (uint32_t)len};
    int rv = log_store_create(log, 1, 0, failure);
    if (rv != 0 || len == 0) {
        return rv;
    }
    struct log_store *store = log_store_open(log, &nothing, failure);
    if (store == NULL) {
        return HF_ERROR_IO;
    }
    bytes_init(&bytes);
    record_append(&bytes, &record);
    struct log_append append = {
        .data = bytes.data, .len = bytes.len, .index = 1};
    rv = log_store_append(store, &append, failure);
    if (rv == 0) {
        rv = log_store_sync(store, failure);
    }
    bytes_close(&bytes);
    log_store_close(store);
    return rv;
}

static void parent_of(const char *directory, struct path *parent)
{
    path_set(parent, directory, "");
    char *slash = strrchr(parent->text, '/');
    if (slash == NULL) {
        path_set(parent, ".", "");
    } else if (slash == parent->text) {
        path_set(parent, "/", "");
    } else {
        *slash = '\0';
    }
}

static int publish(const struct home_options *options, const char *draft,
                   struct failure *failure)
{
    struct files *files = options->log.files;
    struct path log;
    struct path parent;
    path_set(&log, draft, "log");
    parent_of(options->log.directory, &parent);
    int rv = files_sync_directory(files, log.text);
    if (rv == 0) {
        rv = files_sync_directory(files, draft);
    }
    if (rv == 0) {
        rv = files_rename(files, draft, options->log.directory);
    }
    if (rv == 0) {
        rv = files_sync_directory(files, parent.text);
    }
    return rv == 0 ? 0
                   : failure_io(failure, rv, "make", options->log.directory);
}

int home_bootstrap(const struct home_options *options, const uint8_t *members,
                   size_t len, struct failure *failure)
{
    struct files *files = options->log.files;
    struct log_store_options log = options->log;
    struct path draft;
    int written = snprintf(draft.text, sizeof draft.text, "%s.new",
                           options->log.directory);
    CHECK(written > 0 && (size_t)written < sizeof draft.text);
    log.directory = draft.text;
    int rv = sweep_draft(files, draft.text, failure);
    if (rv == 0) {
        rv = make_directories(files, draft.text, failure);
    }
    if (rv == 0) {
        rv = identity_create(options, draft.text, len == 0, failure);
    }
    if (rv == 0) {
        rv = term_store_create(files, draft.text, 1, failure);
    }
    if (rv == 0) {
        rv = write_first_entry(&log, members, len, failure);
    }
    if (rv == 0) {
        rv = publish(options, draft.text, failure);
    }
    return rv;
}

static int allocate_file(struct files *files, const char *path, uint64_t bytes)
{
    struct file *file;
    int rv = file_open(files, path, FILE_CREATE, &file);
    if (rv == -EEXIST) {
        rv = file_open(files, path, FILE_WRITE, &file);
    }
    if (rv == 0) {
        rv = file_allocate(file, bytes);
        file_close(file);
    }
    return rv;
}

/* With a full disk the node could not even begin its next log file. So it
 * keeps a file of that size and gives it up when there is no other room. */
static int see_to_reserve(const struct home_options *options,
                          struct failure *failure)
{
    struct files *files = options->log.files;
    struct path probe;
    struct path reserve;
    path_set(&probe, options->log.directory, "probe");
    path_set(&reserve, options->log.directory, "reserve");
    int rv = allocate_file(files, probe.text, options->log.segment_bytes);
    int removed = files_unlink(files, probe.text);
    if (rv == 0 && removed == 0) {
        rv = allocate_file(files, reserve.text, options->log.segment_bytes);
    }
    if (rv == -ENOSPC || rv == -EDQUOT) {
        removed = files_unlink(files, reserve.text);
        log_warn("disk.full", "directory=%s reserve=%s", options->log.directory,
                 removed == 0 ? "spent" : "none");
        return 0;
    }
    return rv == 0 ? 0 : failure_io(failure, rv, "allocate", reserve.text);
}

int home_open(const struct home_options *options, bool *joins,
              struct failure *failure)
{
    struct path parent;
    int rv = identity_check(options, joins, failure);
    if (rv != 0) {
        return rv;
    }
    /* A process that was killed right after the rename has not done it: the
     * directory is seen, but a power cut would take it with all that was
     * acknowledged since. */
    parent_of(options->log.directory, &parent);
    rv = files_sync_directory(options->log.files, parent.text);
    return rv != 0 ? failure_io(failure, rv, "sync", parent.text)
                   : see_to_reserve(options, failure);
}
