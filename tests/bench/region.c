/* SPDX-License-Identifier: Apache-2.0 */
#include "region.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/hash.h"
#include "raft/core.h"
#include "raft/home.h"
#include "raft/paths.h"
#include "raft/snapshot_store.h"
#include "state/labels.h"
#include "state/snapshot.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#define BATCH         1000
#define CLASSES       4
#define TEMPLATES     10
#define LABEL_SETS    100
#define START_TIME_MS 1700000000000
#define SEGMENT_BYTES (64u << 20)
#define SAVED_INDEX   2

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

unsigned region_batch(void)
{
    return BATCH;
}

/* --- Entries ------------------------------------------------------------- */

static void entry_begin(const struct region *region, struct bytes *entry)
{
    struct batch_head head = {
        .base_revision = state_revision(region->state),
        .base_hash = state_hash(region->state),
        .time_ms = START_TIME_MS,
    };

    bytes_clear(entry);
    batch_begin(entry, &head);
}

/* As a replica takes a committed entry. */
static void entry_apply(struct region *region, const struct bytes *entry,
                        struct region_rate *rate)
{
    uint64_t began_ns = clock_boot_ns();
    uint64_t took_ns;
    struct batch batch;
    struct arena arena;

    arena_init(&arena, BATCH_ARENA_BYTES);
    CHECK(batch_decode(entry->data, entry->len, &arena, &batch) == 0);
    CHECK(state_apply_batch(region->state, &batch, NULL) == 0);
    took_ns = clock_boot_ns() - began_ns;
    rate->changes += batch.count;
    rate->ns += took_ns;
    if (took_ns > rate->slowest_ns) {
        rate->slowest_ns = took_ns;
    }
    arena_close(&arena);
}

/* --- What the region is made of ------------------------------------------ */

static void make_zones(struct region *region)
{
    struct change change = {.kind = CHANGE_ZONE_CREATE};
    char name[32];

    state_begin(region->state, START_TIME_MS);
    for (int i = 1; i <= REGION_ZONES; i++) {
        snprintf(name, sizeof(name), "z%d", i);
        change.zone_create.name = text_of(name);
        state_apply(region->state, &change, NULL);
    }
    change.kind = CHANGE_CLASS_CREATE;
    for (uint32_t i = 0; i < CLASSES; i++) {
        snprintf(name, sizeof(name), "c%u", i);
        change.class_create = (struct change_class_create){
            .name = text_of(name),
            .resources = {1000u << i, 1024u << i, 10, 0}};
        state_apply(region->state, &change, NULL);
    }
}

static void add_host(const struct region *region, struct bytes *entry,
                     uint32_t number)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    char name[32];
    char id[40];
    char domain[32];

    snprintf(name, sizeof(name), "host-%06u", number);
    snprintf(id, sizeof(id), "%08x-0000-4000-8000-%012x", number, number);
    snprintf(domain, sizeof(domain), "rack-%u", number / 40);
    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_at(region->state, number % REGION_ZONES)->uid},
        .fault_domain = text_of(domain),
        .host_id = text_of(id),
        .boot_id = text_of(id),
        .capacity = {1024000, 8388608, 1000000, 0},
        .driver_mask = 1 << DRIVER_QEMU,
        .labels = {"", 0},
        .agent_version = text_of("0.1.0"),
    };
    batch_add(entry, &change);
}

/* Stands for an encoded VmTemplate: state/ does not look into it. */
static struct text template_of(uint32_t number, char *buffer, size_t size)
{
    int len = snprintf(buffer, size,
                       "image-debian-12-%u disk shared pool-%u /vms/{name}.img "
                       "and what else a template of 160 bytes says, so that it "
                       "is as long as a real one.....",
                       number % TEMPLATES, number % TEMPLATES);

    return (struct text){buffer, (uint32_t)len};
}

static void add_vm(const struct region *region, struct bytes *entry,
                   uint32_t number)
{
    struct change change = {.kind = CHANGE_VM_CREATE};
    struct label labels[2];
    struct bytes encoded;
    char name[32];
    char template[256];
    char tier[16];

    snprintf(name, sizeof(name), "vm-%08u", number);
    snprintf(tier, sizeof(tier), "%u", number % LABEL_SETS);
    labels[0] = (struct label){text_of("app"), text_of(tier)};
    labels[1] = (struct label){text_of("environment"), text_of("production")};
    bytes_init(&encoded);
    CHECK(labels_encode(labels, 2, &encoded) == 0);
    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {state_class_at(region->state, number % CLASSES)->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_QEMU,
        .template = template_of(number, template, sizeof(template)),
        .labels = {(const char *)encoded.data, (uint32_t)encoded.len},
    };
    batch_add(entry, &change);
    bytes_close(&encoded);
}

static void add_assign(const struct region *region, struct bytes *entry,
                       uint32_t number)
{
    const struct vm *vm = state_vm_at(region->state, number);
    uint32_t host = number % state_host_slots(region->state);
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign = (struct change_vm_assign){
        {vm->uid}, {state_host_at(region->state, host)->uid}, vm->epoch + 1};
    batch_add(entry, &change);
}

static void add_report(const struct region *region, struct bytes *entry,
                       uint32_t number)
{
    const struct vm *vm = state_vm_at(region->state, number);
    struct change change = {.kind = CHANGE_VM_REPORT};

    change.vm_report =
        (struct change_vm_report){{vm->uid}, vm->epoch, VM_RUNNING};
    batch_add(entry, &change);
}

typedef void (*add_cb)(const struct region *region, struct bytes *entry,
                       uint32_t number);

static void apply_many(struct region *region, add_cb add, uint32_t first,
                       uint32_t count, struct region_rate *rate)
{
    struct bytes entry;
    uint32_t end = first + count;

    bytes_init(&entry);
    while (first < end) {
        uint32_t until = end - first < BATCH ? end : first + BATCH;

        entry_begin(region, &entry);
        for (; first < until; first++) {
            add(region, &entry, first);
        }
        entry_apply(region, &entry, rate);
    }
    bytes_close(&entry);
}

static uint64_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

void region_make(struct region *region, uint32_t hosts, uint32_t vms)
{
    uint64_t before;

    *region = (struct region){.state = state_create()};
    make_zones(region);
    apply_many(region, add_host, 0, hosts, &region->hosts);
    before = allocated();
    apply_many(region, add_vm, 0, vms, &region->creates);
    apply_many(region, add_assign, 0, vms, &region->assigns);
    apply_many(region, add_report, 0, vms, &region->reports);
    region->vm_bytes = allocated() - before;
    CHECK(state_counts(region->state)->vms_by_state[VM_RUNNING] == vms);
}

void region_report(struct region *region, struct region_rate *rate,
                   uint32_t first, uint32_t count)
{
    apply_many(region, add_report, first, count, rate);
}

void region_close(struct region *region)
{
    state_destroy(region->state);
    region->state = NULL;
}

/* --- A data directory ---------------------------------------------------- */

struct content {
    struct snapshot_content content;
    struct snapshot_writer writer;
};

static bool content_next(struct snapshot_content *content, struct bytes *out,
                         size_t budget)
{
    return snapshot_writer_next(
        &container_of(content, struct content, content)->writer, out, budget);
}

static void content_destroy(struct snapshot_content *content)
{
    (void)content; /* The region's. */
}

/* As what came from a peer: at its start the node begins its log behind it. */
static int make_install(const struct snapshot_store *store)
{
    struct path from;
    struct path to;

    path_numbered(&from, store->directory, "snapshots", SAVED_INDEX,
                  ".manifest");
    path_numbered(&to, store->directory, "snapshots", SAVED_INDEX, ".install");
    return files_rename(store->files, from.text, to.text);
}

static int write_snapshot(const struct region *region,
                          const struct snapshot_store *store,
                          const struct bytes *members, uint64_t *bytes,
                          struct failure *failure)
{
    struct content content = {.content = {content_next, content_destroy}};
    struct snapshot_manifest manifest = {
        .index = SAVED_INDEX,
        .term = 1,
        .chain = hash_u64(SAVED_INDEX),
        .members_index = 1,
        .members_len = (uint32_t)members->len,
    };
    struct snapshot_writing writing;
    int rv = 0;

    CHECK(members->len <= sizeof(manifest.members));
    memcpy(manifest.members, members->data, members->len);
    snapshot_writer_init(&content.writer, region->state);
    snapshot_writing_init(&writing, store, &content.content, &manifest);
    while (rv == 0 && !writing.complete) {
        rv = snapshot_writing_slice(&writing, failure);
    }
    if (rv == 0) {
        rv = snapshot_writing_publish(&writing, failure);
        *bytes = writing.manifest.packed_bytes;
    }
    snapshot_writing_close(&writing);
    return rv == 0 ? make_install(store) : rv;
}

uint64_t region_save(const struct region *region, const char *directory,
                     uint64_t id, const struct replica_member *members,
                     size_t member_count)
{
    static const char name[] = "bench";
    struct home_options home = {
        .region = name,
        .log = {.files = files_posix(),
                .directory = directory,
                .segment_bytes = SEGMENT_BYTES,
                .region_hash = hash_bytes(name, strlen(name), 0),
                .node_id = id},
    };
    struct snapshot_store store = {files_posix(), directory};
    struct failure failure = {.reason = ""};
    struct bytes encoded;
    uint64_t bytes = 0;
    int rv;

    bytes_init(&encoded);
    core_members_encode(members, member_count, &encoded);
    rv = home_bootstrap(&home, encoded.data, encoded.len, &failure);
    if (rv == 0) {
        rv = write_snapshot(region, &store, &encoded, &bytes, &failure);
    }
    bytes_close(&encoded);
    if (rv != 0) {
        fprintf(stderr, "%s: %s\n", directory, failure.reason);
        return 0;
    }
    return bytes;
}
