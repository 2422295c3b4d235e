/* SPDX-License-Identifier: Apache-2.0 */
#include "lab.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "call.h"
#include "etcd.pb-c.h"
#include "tests/support/folder.h"
#include "tls/pki.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <holdfast/v1/cluster_service.pb-c.h>

#define LEADER_WAIT_MS 30000
#define CALL_MS        1000

bool lab_find(enum lab_kind kind, char *path, size_t size)
{
    if (kind == LAB_HOLDFAST) {
        snprintf(path, size, "%s/holdfastd", HF_BIN_DIR);
        return access(path, X_OK) == 0;
    }
    /* Debian's, or one that was put there by hand. */
    snprintf(path, size, "/usr/bin/etcd");
    if (access(path, X_OK) == 0) {
        return true;
    }
    snprintf(path, size, "/usr/local/bin/etcd");
    return access(path, X_OK) == 0;
}

/* Free ports: all are held at once, so that they differ. */
static bool choose_ports(struct lab *lab)
{
    int sockets[LAB_MEMBERS * 2];
    bool chosen = true;

    for (int i = 0; i < LAB_MEMBERS * 2; i++) {
        struct sockaddr_in where = {.sin_family = AF_INET};
        socklen_t len = sizeof(where);
        struct lab_member *member = &lab->members[i / 2];

        where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(sockets[i], (struct sockaddr *)&where, len) != 0 ||
            getsockname(sockets[i], (struct sockaddr *)&where, &len) != 0) {
            chosen = false;
        }
        snprintf(i % 2 == 0 ? member->address : member->peer,
                 sizeof(member->address), "127.0.0.1:%u",
                 (unsigned)ntohs(where.sin_port));
    }
    for (int i = 0; i < LAB_MEMBERS * 2; i++) {
        close(sockets[i]);
    }
    return chosen;
}

static bool write_configuration(const struct lab *lab, int number)
{
    char path[LAB_PATH_BYTES + 32];
    FILE *file;

    snprintf(path, sizeof(path), "%s/n%d.yaml", lab->directory, number + 1);
    file = fopen(path, "we");
    if (file == NULL) {
        return false;
    }
    fprintf(file, "region: bench\nname: n%d\ndata_dir: %s/data%d\n%snodes:\n",
            number + 1, lab->directory, number + 1,
            lab->extra == NULL ? "" : lab->extra);
    for (int i = 0; i < LAB_MEMBERS; i++) {
        fprintf(file, "- {name: n%d, id: %d, zone: z%d, address: \"%s\"}\n",
                i + 1, i + 1, i + 1, lab->members[i].address);
    }
    return fclose(file) == 0;
}

static void exec_holdfast(const struct lab *lab, int number, bool first)
{
    char path[LAB_PATH_BYTES + 32];

    snprintf(path, sizeof(path), "%s/n%d.yaml", lab->directory, number + 1);
    execl(lab->program, "holdfastd", "--config", path,
          first ? "--bootstrap" : (char *)NULL, (char *)NULL);
}

/* Everything that is not about addresses and names is etcd's default. */
static void exec_etcd(const struct lab *lab, int number)
{
    const struct lab_member *member = &lab->members[number];
    char name[24];
    char data[LAB_PATH_BYTES + 32];
    char client[48];
    char peer[48];
    char cluster[256] = "";

    snprintf(name, sizeof(name), "e%d", number + 1);
    snprintf(data, sizeof(data), "%s/data%d", lab->directory, number + 1);
    snprintf(client, sizeof(client), "http://%s", member->address);
    snprintf(peer, sizeof(peer), "http://%s", member->peer);
    for (int i = 0; i < LAB_MEMBERS; i++) {
        size_t len = strlen(cluster);

        snprintf(cluster + len, sizeof(cluster) - len, "%se%d=http://%s",
                 i == 0 ? "" : ",", i + 1, lab->members[i].peer);
    }
    execl(lab->program, "etcd", "--name", name, "--data-dir", data,
          "--listen-client-urls", client, "--advertise-client-urls", client,
          "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
          "--initial-cluster", cluster, "--initial-cluster-state", "new",
          "--initial-cluster-token", "bench", (char *)NULL);
}

static void run_child(const struct lab *lab, int number, bool first)
{
    char path[LAB_PATH_BYTES + 32];
    int fd;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(path, sizeof(path), "%s/log%d", lab->directory, number + 1);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0) {
        _exit(126);
    }
    close(fd);
    if (lab->kind == LAB_HOLDFAST) {
        exec_holdfast(lab, number, first);
    } else {
        exec_etcd(lab, number);
    }
    _exit(127);
}

bool lab_run(struct lab *lab, int number, bool first)
{
    struct lab_member *member = &lab->members[number];

    CHECK(member->pid == 0);
    member->pid = fork();
    if (member->pid == 0) {
        run_child(lab, number, first);
    }
    if (member->pid < 0) {
        perror("fork");
        member->pid = 0;
        return false;
    }
    return true;
}

static bool leads_holdfast(struct lab *lab, struct rpc_channel *channel)
{
    Holdfast__V1__GetStatusRequest request =
        HOLDFAST__V1__GET_STATUS_REQUEST__INIT;
    struct bench_call call = {
        .output = &holdfast__v1__get_status_response__descriptor};
    bool leads = false;

    if (bench_call(&call, lab->loop, channel,
                   "/holdfast.v1.ClusterService/GetStatus", &request.base,
                   CALL_MS)) {
        const Holdfast__V1__GetStatusResponse *status =
            (const Holdfast__V1__GetStatusResponse *)(const void *)
                call.response;

        leads = status->node->role == HOLDFAST__V1__ROLE__ROLE_LEADER;
    }
    bench_call_close(&call);
    return leads;
}

static bool leads_etcd(struct lab *lab, struct rpc_channel *channel)
{
    Etcdserverpb__StatusRequest request = ETCDSERVERPB__STATUS_REQUEST__INIT;
    struct bench_call call = {.output =
                                  &etcdserverpb__status_response__descriptor};
    bool leads = false;

    if (bench_call(&call, lab->loop, channel,
                   "/etcdserverpb.Maintenance/Status", &request.base,
                   CALL_MS)) {
        const Etcdserverpb__StatusResponse *status =
            (const Etcdserverpb__StatusResponse *)(const void *)call.response;

        leads =
            status->leader != 0 && status->leader == status->header->member_id;
    }
    bench_call_close(&call);
    return leads;
}

struct rpc_channel *lab_channel(const struct lab *lab, const char *address,
                                uint64_t seed)
{
    struct rpc_channel *channel = rpc_channel_create(lab->loop, address, seed);

    if (lab->tls != NULL) {
        rpc_channel_use_tls(channel, lab->tls, NULL, NULL);
    }
    return channel;
}

int lab_leader(struct lab *lab)
{
    int leader = -1;

    for (int i = 0; i < LAB_MEMBERS && leader < 0; i++) {
        struct rpc_channel *channel;

        if (lab->members[i].pid == 0) {
            continue;
        }
        channel = lab_channel(lab, lab->members[i].address, (uint64_t)i + 1);
        if (lab->kind == LAB_HOLDFAST ? leads_holdfast(lab, channel)
                                      : leads_etcd(lab, channel)) {
            leader = i;
        }
        bench_channel_close(channel, lab->loop);
    }
    return leader;
}

int lab_wait_leader(struct lab *lab)
{
    uint64_t until_ms = clock_boot_ms() + LEADER_WAIT_MS;
    int leader;

    while ((leader = lab_leader(lab)) < 0 && clock_boot_ms() < until_ms) {
        bench_pause(lab->loop, 20);
    }
    return leader;
}

bool lab_prepare(struct lab *lab, enum lab_kind kind, uv_loop_t *loop,
                 const char *parent, const char *extra)
{
    memset(lab, 0, sizeof(*lab));
    lab->kind = kind;
    lab->loop = loop;
    lab->extra = extra;
    snprintf(lab->directory, sizeof(lab->directory), "%s/hf-bench-XXXXXX",
             parent);
    if (!lab_find(kind, lab->program, sizeof(lab->program))) {
        fprintf(stderr, "%s is not there\n", lab->program);
        lab->directory[0] = '\0';
        return false;
    }
    if (mkdtemp(lab->directory) == NULL || !choose_ports(lab)) {
        fprintf(stderr, "%s: %s\n", lab->directory, strerror(errno));
        lab->directory[0] = '\0';
        return false;
    }
    for (int i = 0; i < LAB_MEMBERS && kind == LAB_HOLDFAST; i++) {
        if (!write_configuration(lab, i)) {
            perror(lab->directory);
            return false;
        }
    }
    return true;
}

/* --- TLS ------------------------------------------------------------------ */

static bool issue(const struct lab *lab, enum pki_role role, const char *name,
                  const char *file)
{
    struct pki_request request = {.role = role,
                                  .name = name,
                                  .common_name = file,
                                  .hosts = {"127.0.0.1"},
                                  .host_count = role == PKI_NODE ? 1 : 0};
    char error[256];

    if (pki_issue(lab->directory, &request, lab->directory, file, error,
                  sizeof(error)) != 0) {
        fprintf(stderr, "%s: %s\n", file, error);
        return false;
    }
    return true;
}

static bool configure_tls(const struct lab *lab, int number)
{
    const char *dir = lab->directory;
    char path[LAB_PATH_BYTES + 32];
    FILE *file;

    snprintf(path, sizeof(path), "%s/n%d.yaml", dir, number + 1);
    file = fopen(path, "ae");
    if (file == NULL) {
        return false;
    }
    fprintf(file,
            "tls: {certificate: %s/n%d.crt, key: %s/n%d.key, node_ca: "
            "%s/node-ca.crt, agent_ca: %s/agent-ca.crt, client_ca: "
            "%s/client-ca.crt}\n",
            dir, number + 1, dir, number + 1, dir, dir, dir);
    return fclose(file) == 0;
}

static struct tls *open_tls(const struct lab *lab)
{
    char paths[3][LAB_PATH_BYTES + 32];
    struct tls_files files = {
        .certificate = paths[0], .key = paths[1], .node_ca = paths[2]};
    char error[512];
    struct tls *tls;

    snprintf(paths[0], sizeof(paths[0]), "%s/bench.crt", lab->directory);
    snprintf(paths[1], sizeof(paths[1]), "%s/bench.key", lab->directory);
    snprintf(paths[2], sizeof(paths[2]), "%s/node-ca.crt", lab->directory);
    tls = tls_create(&files, error, sizeof(error));
    if (tls == NULL) {
        fprintf(stderr, "%s\n", error);
    }
    return tls;
}

bool lab_secure(struct lab *lab)
{
    char error[256];
    char name[24];
    char id[24];

    CHECK(lab->kind == LAB_HOLDFAST);
    if (pki_init(lab->directory, "bench", error, sizeof(error)) != 0) {
        fprintf(stderr, "%s\n", error);
        return false;
    }
    for (int i = 0; i < LAB_MEMBERS; i++) {
        snprintf(name, sizeof(name), "n%d", i + 1);
        snprintf(id, sizeof(id), "%d", i + 1);
        if (!issue(lab, PKI_NODE, id, name) || !configure_tls(lab, i)) {
            return false;
        }
    }
    lab->tls = issue(lab, PKI_CLIENT, "bench", "bench") ? open_tls(lab) : NULL;
    return lab->tls != NULL;
}

bool lab_launch(struct lab *lab)
{
    for (int i = 0; i < LAB_MEMBERS; i++) {
        if (!lab_run(lab, i, true)) {
            return false;
        }
    }
    if (lab_wait_leader(lab) < 0) {
        fprintf(stderr, "no leader; see the logs in %s\n", lab->directory);
        return false;
    }
    return true;
}

bool lab_start(struct lab *lab, enum lab_kind kind, uv_loop_t *loop,
               const char *parent, const char *extra)
{
    return lab_prepare(lab, kind, loop, parent, extra) && lab_launch(lab);
}

uint64_t lab_resident_bytes(const struct lab *lab, int number)
{
    char path[64];
    unsigned long pages = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/statm",
             (int)lab->members[number].pid);
    file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "%*u %lu", &pages) != 1) {
        pages = 0;
    }
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t process_cpu_us(pid_t pid)
{
    char path[64];
    unsigned long user = 0;
    unsigned long system = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    if (fscanf(file,
               "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u "
               "%lu %lu",
               &user, &system) != 2) {
        user = 0;
        system = 0;
    }
    fclose(file);
    return (uint64_t)(user + system) * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

uint64_t lab_cpu_us(const struct lab *lab)
{
    uint64_t sum_us = 0;

    for (int i = 0; i < LAB_MEMBERS; i++) {
        sum_us += lab->members[i].cpu_us;
        if (lab->members[i].pid != 0) {
            sum_us += process_cpu_us(lab->members[i].pid);
        }
    }
    return sum_us;
}

void lab_kill(struct lab *lab, int number)
{
    struct lab_member *member = &lab->members[number];

    if (member->pid == 0) {
        return;
    }
    member->cpu_us += process_cpu_us(member->pid);
    kill(member->pid, SIGKILL);
    CHECK(waitpid(member->pid, NULL, 0) == member->pid);
    member->pid = 0;
}

void lab_stop(struct lab *lab, bool keep)
{
    for (int i = 0; i < LAB_MEMBERS; i++) {
        lab_kill(lab, i);
    }
    if (lab->directory[0] != '\0' && !keep) {
        folder_remove(lab->directory);
    }
    tls_destroy(lab->tls);
    lab->tls = NULL;
    lab->directory[0] = '\0';
}
