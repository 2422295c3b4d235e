/* SPDX-License-Identifier: Apache-2.0
 *
 * Three members of a region, or of an etcd cluster, as processes on loopback
 * with their data in one fresh directory. They die with the bench. */
#ifndef BENCH_LAB_H
#define BENCH_LAB_H

#include "rpc/channel.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#define LAB_MEMBERS    3
#define LAB_PATH_BYTES 256

enum lab_kind { LAB_HOLDFAST, LAB_ETCD };

struct lab_member {
    char address[32]; /* Of its API. */
    char peer[32];    /* etcd's second address. */
    pid_t pid;        /* 0: not running. */
    uint64_t cpu_us;  /* Of its runs that are over. */
};

struct lab {
    enum lab_kind kind;
    uv_loop_t *loop; /* Lent; used while a call waits. */
    char directory[LAB_PATH_BYTES];
    char program[LAB_PATH_BYTES];
    const char *extra; /* YAML lines for each configuration file; or NULL. */
    struct tls *tls;   /* Of a client; NULL: without. */
    struct lab_member members[LAB_MEMBERS];
};

/* Where `name` is: beside the benches' build tree for our own programs, in the
 * PATH for others. False: nowhere. */
bool lab_find(enum lab_kind kind, char *path, size_t size);

/* Makes a directory below `parent`, with a configuration file for each member,
 * and chooses ports; then starts the members and waits for a leader. False
 * after saying why on stderr. Member i keeps its data in data<i + 1>. */
bool lab_prepare(struct lab *lab, enum lab_kind kind, uv_loop_t *loop,
                 const char *parent, const char *extra);
bool lab_launch(struct lab *lab);

/* Between the two, for Holdfast: mutual TLS, with authorities and certificates
 * made for it. False after saying why. */
bool lab_secure(struct lab *lab);

/* A channel to one of its members, as the lab is reached. Destroy it before
 * lab_stop(). */
struct rpc_channel *lab_channel(const struct lab *lab, const char *address,
                                uint64_t seed);

/* Both. */
bool lab_start(struct lab *lab, enum lab_kind kind, uv_loop_t *loop,
               const char *parent, const char *extra);

/* The member that leads, as most of them say; -1: none yet. */
int lab_leader(struct lab *lab);

/* Waits until one leads; -1 after 30 s. */
int lab_wait_leader(struct lab *lab);

/* SIGKILL, and waits for its end. */
void lab_kill(struct lab *lab, int member);

/* Starts it again over its data. */
bool lab_run(struct lab *lab, int member, bool first);

/* Memory of a member that is in RAM; 0 when it does not run. */
uint64_t lab_resident_bytes(const struct lab *lab, int member);

/* CPU time that the members have used so far, together. */
uint64_t lab_cpu_us(const struct lab *lab);

/* Ends all and removes the directory; keeps it when `keep`. */
void lab_stop(struct lab *lab, bool keep);

#endif
