/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

#include "agent/order_spec.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "rpc/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS_PER_MS     UINT64_C(1000000)
#define TICK_MS_MAX   1000
#define READY_POLL_MS 20
#define GUARD_LATE_MS 5000 /* Somebody should know. */
#define QEMU_PROGRAM  "qemu-system-x86_64"

#define STATE_LOCK_FILE "lock"

static void send_lease(struct core *core, uint64_t deadline_ns)
{
    struct agent *agent = container_of(core, struct agent, core);

    if (lease_page_deadline(&agent->lease) == 0 || agent->lease_lost_told) {
        log_info("lease.live", "node=%s", session_node(&agent->session));
    }
    agent->lease_lost_told = false;
    lease_page_extend(&agent->lease, deadline_ns, clock_boot_ns());
}

static const struct core_actions core_actions = {
    .hello = agent_send_hello,
    .renew = agent_send_renew,
    .report = agent_send_report,
    .hang_up = agent_hang_up,
    .lease = send_lease,
    .start = agent_start_vm,
    .stop = agent_stop_vm,
    .kill = agent_kill_vm,
    .forget = agent_forget_vm,
};

static void on_tick(uv_timer_t *timer)
{
    agent_tick(container_of(timer, struct agent, tick));
}

void agent_tick(struct agent *agent)
{
    uint64_t now_ns = clock_boot_ns();
    uint64_t due_ns;
    uint64_t wait_ms = TICK_MS_MAX;

    if (agent->closing) {
        return;
    }
    agent_tls_tick(agent);
    due_ns = core_tick(&agent->core, now_ns);
    if (due_ns <= now_ns) {
        wait_ms = 1;
    } else if (due_ns - now_ns < TICK_MS_MAX * NS_PER_MS) {
        wait_ms = (due_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
    }
    if (!agent->lease_lost_told && agent->core.deadline_ns != 0 &&
        !core_lease_live(&agent->core, now_ns)) {
        agent->lease_lost_told = true;
        log_error("lease.over", "vms=%zu", agent->core.listed_count);
    }
    uv_update_time(agent->loop);
    CHECK(uv_timer_start(&agent->tick, on_tick, wait_ms, 0) == 0);
}

/* Two agents with one state_dir would be one host with two run directories,
 * each sure that the other's VMs do not run. Held until the process ends. */
static bool lock_state_dir(struct agent *agent)
{
    int fd = openat(agent->state_dir_fd, STATE_LOCK_FILE,
                    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;

    if (!locked) {
        log_error(
            "agent.state_dir", "path=%s error=\"%s\"",
            agent->config->message->state_dir,
            fd >= 0 && errno == EWOULDBLOCK
                ? "another agent uses this state_dir; stop it, or give each "
                  "agent a host name, a state_dir and a run_dir of its own"
                : strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    agent->state_lock_fd = fd;
    return true;
}

static int open_state_dir(struct agent *agent)
{
    const char *path = agent->config->message->state_dir;

    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        log_error("agent.state_dir", "path=%s error=%s", path, strerror(errno));
        return HF_ERROR_IO;
    }
    agent->state_dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (agent->state_dir_fd >= 0 && !lock_state_dir(agent)) {
        return HF_ERROR_BUSY;
    }
    if (agent->state_dir_fd < 0 ||
        (mkdirat(agent->state_dir_fd, ORDER_DISKS_DIR, 0700) != 0 &&
         errno != EEXIST)) {
        log_error("agent.state_dir", "path=%s error=%s", path, strerror(errno));
        return HF_ERROR_IO;
    }
    return 0;
}

/* Where the helpers and the probe's guest are. */
static int find_helpers(struct agent *agent)
{
    const char *configured = agent->config->message->helper_dir;
    char dir[PATH_MAX - 64];
    ssize_t len;
    char *slash;

    if (configured[0] != '\0') {
        snprintf(dir, sizeof(dir), "%s", configured);
    } else {
        len = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
        if (len <= 0) {
            return HF_ERROR_IO;
        }
        dir[len] = '\0';
        slash = strrchr(dir, '/');
        CHECK(slash != NULL);
        *slash = '\0';
    }
    snprintf(agent->shim_path, PATH_MAX, "%s/holdfast-shim", dir);
    snprintf(agent->guard_path, PATH_MAX, "%s/holdfast-guard", dir);
    snprintf(agent->guest_path, PATH_MAX, "%s/../share/holdfast/guest.img",
             dir);
    if (access(agent->shim_path, X_OK) != 0 ||
        access(agent->guard_path, X_OK) != 0) {
        log_error("agent.no_helpers", "dir=%s error=%s", dir, strerror(errno));
        return HF_ERROR_NOT_FOUND;
    }
    return 0;
}

/* Whether VMs may run that this run directory does not know. */
static int check_boot(struct agent *agent)
{
    struct boot_check check = {
        .state_dir_fd = agent->state_dir_fd,
        .state_dir = agent->config->message->state_dir,
        .run = &agent->run,
    };
    int result = boot_check(&check);

    if (result == HF_ERROR_BUSY) {
        log_error("agent.refused", "reason=\"%s\"", check.reason);
    }
    memcpy(agent->boot_id, check.boot_id, sizeof(agent->boot_id));
    return result;
}

static int open_host(struct agent *agent)
{
    const Holdfast__V1__AgentConfig *config = agent->config->message;
    int result = open_state_dir(agent);

    if (result != 0) {
        return result;
    }
    result = run_dir_create(&agent->run, config->run_dir);
    if (result != 0) {
        log_error("agent.run_dir", "path=%s error=%s", config->run_dir,
                  hf_error_name(result));
        return result;
    }
    result = lease_page_create(&agent->lease, agent->run.fd);
    if (result != 0) {
        log_error("agent.lease_page", "error=%s%s", hf_error_name(result),
                  result == HF_ERROR_BUSY ? " (another agent runs here)" : "");
        run_dir_close(&agent->run);
        return result;
    }
    result = check_boot(agent);
    if (result == 0) {
        result = machine_host_id(agent->state_dir_fd, agent->host_id);
    }
    if (result == 0) {
        result = agent_region_load(agent);
    }
    if (result == 0) {
        result = machine_capacity(agent->state_dir_fd, &agent->capacity);
    }
    if (result == 0 && config->capacity != NULL) {
        agent->capacity.cpu_milli = config->capacity->cpu_milli;
        agent->capacity.memory_mib = config->capacity->memory_mib;
        agent->capacity.disk_gib = config->capacity->disk_gib;
        agent->capacity.gpu_count = config->capacity->gpu_count;
    }
    if (result != 0) {
        log_error("agent.identity", "error=%s", hf_error_name(result));
        lease_page_close(&agent->lease);
        run_dir_close(&agent->run);
    }
    return result;
}

static const char *find_qemu(void)
{
    static const char *const paths[] = {"/usr/bin/" QEMU_PROGRAM,
                                        "/usr/local/bin/" QEMU_PROGRAM};

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (access(paths[i], X_OK) == 0) {
            return paths[i];
        }
    }
    return NULL;
}

static void init_drivers(struct agent *agent)
{
    const char *qemu = find_qemu();
    const struct qemu_options options = {
        .program = qemu != NULL ? qemu : "/usr/bin/" QEMU_PROGRAM,
        .probe_image = agent->guest_path};

    agent->host = (struct vm_host){.loop = agent->loop,
                                   .run = &agent->run,
                                   .lease = &agent->lease,
                                   .guard = &agent->guard,
                                   .shim_path = agent->shim_path};
    driver_qemu_init(&agent->qemu, &agent->host, &options);
    driver_exec_init(&agent->exec, &agent->host);
    agent->drivers[AGENT_QEMU] = &agent->qemu.driver;
    agent->drivers[AGENT_EXEC] = &agent->exec.driver;
}

static bool is_wanted(const struct agent *agent, const struct vm_driver *driver)
{
    const Holdfast__V1__AgentConfig *config = agent->config->message;

    if (config->n_drivers == 0) {
        return driver->table->kind != VM_DRIVER_QEMU || find_qemu() != NULL;
    }
    for (size_t i = 0; i < config->n_drivers; i++) {
        if ((int)config->drivers[i] == (int)driver->table->kind) {
            return true;
        }
    }
    return false;
}

static void on_probed(struct vm_probe *probe, int status, const char *reason)
{
    struct agent_probe *whole = container_of(probe, struct agent_probe, probe);
    struct agent *agent = whole->agent;
    size_t index = (size_t)(whole - agent->probes);

    whole->running = false;
    agent->offered[index] = status == 0;
    if (status == 0) {
        log_info("driver.ready", "name=%s", agent->drivers[index]->table->name);
    } else {
        log_warn("driver.unusable", "name=%s reason=\"%s\"",
                 agent->drivers[index]->table->name,
                 reason == NULL ? "" : reason);
    }
}

static void start_probes(struct agent *agent)
{
    for (size_t i = 0; i < AGENT_DRIVERS; i++) {
        struct agent_probe *probe = &agent->probes[i];
        int result;

        probe->agent = agent;
        if (!is_wanted(agent, agent->drivers[i])) {
            continue;
        }
        probe->running = true;
        result = vm_driver_probe(agent->drivers[i], &probe->probe, on_probed);
        if (result != 0) {
            on_probed(&probe->probe, result, hf_error_name(result));
        }
    }
}

static void tell_manager(const char *state)
{
    if (notify_send(state) != 0) {
        log_warn("notify.failed", "state=%s", state);
    }
}

static bool probes_run(const struct agent *agent)
{
    for (size_t i = 0; i < AGENT_DRIVERS; i++) {
        if (agent->probes[i].running) {
            return true;
        }
    }
    return false;
}

/* Orders may come with the first session, so what they need is there before
 * it. */
static void on_ready_poll(uv_timer_t *timer)
{
    struct agent *agent = container_of(timer, struct agent, ready);

    agent->guard_wait_ms += READY_POLL_MS;
    if (agent->guard_wait_ms == GUARD_LATE_MS) {
        log_error("agent.waits", "guard_live=%d probes=%d",
                  guard_watch_live(&agent->guard), probes_run(agent));
    }
    if (probes_run(agent) || !guard_watch_live(&agent->guard)) {
        return;
    }
    uv_timer_stop(timer);
    session_start(&agent->session);
    tell_manager("READY=1");
}

static void on_guard_closed(struct guard_watch *watch)
{
    (void)watch;
}

/* VMs run on under shims and guard, until the lease ends or a next agent
 * adopts them. */
static void on_signal(uv_signal_t *handle, int number)
{
    struct agent *agent =
        container_of(handle - (number == SIGINT), struct agent, signals);

    if (agent->closing) {
        return;
    }
    agent->closing = true;
    log_info("agent.stops", "signal=%d vms=%zu", number,
             agent->core.listed_count);
    tell_manager("STOPPING=1");
    core_session_closed(&agent->core, agent->core_session);
    session_close(&agent->session);
    agent_release_vms(agent);
    guard_watch_close(&agent->guard, on_guard_closed);
    uv_close((uv_handle_t *)&agent->tick, NULL);
    uv_close((uv_handle_t *)&agent->ready, NULL);
    for (size_t i = 0; i < ARRAY_LEN(agent->signals); i++) {
        uv_close((uv_handle_t *)&agent->signals[i], NULL);
    }
}

static void init_session(struct agent *agent)
{
    const Holdfast__V1__AgentConfig *config = agent->config->message;
    uint64_t seed = clock_boot_ns() ^ (uint64_t)getpid() << 32;

    session_init(&agent->session, agent->loop, &agent_session_ops, seed);
    session_use_tls(&agent->session, agent->tls);
    for (size_t i = 0; i < config->n_nodes; i++) {
        session_add_node(&agent->session, config->nodes[i]);
    }
}

static void init_handles(struct agent *agent)
{
    static const int numbers[] = {SIGTERM, SIGINT};

    CHECK(uv_timer_init(agent->loop, &agent->tick) == 0);
    CHECK(uv_timer_init(agent->loop, &agent->ready) == 0);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        CHECK(uv_signal_init(agent->loop, &agent->signals[i]) == 0);
        CHECK(uv_signal_start(&agent->signals[i], on_signal, numbers[i]) == 0);
    }
}

int agent_init(struct agent *agent, uv_loop_t *loop,
               const struct agent_config *config)
{
    struct guard_options guard = {.guard_path = agent->guard_path};
    int result;

    memset(agent, 0, sizeof(*agent));
    agent->loop = loop;
    agent->config = config;
    agent->state_dir_fd = -1;
    agent->state_lock_fd = -1;
    map_init(&agent->vms);
    bytes_init(&agent->waiting);
    result = agent_tls_open(agent);
    if (result == 0) {
        result = find_helpers(agent);
    }
    if (result == 0) {
        result = open_host(agent);
    }
    if (result != 0) {
        return result;
    }
    init_drivers(agent);
    core_init(&agent->core, &core_actions, lease_page_deadline(&agent->lease));
    if (config->message->watchdog[0] != '\0') {
        guard.watchdog = config->message->watchdog;
    }
    result = agent_adopt(agent);
    if (result == 0) {
        result = guard_watch_init(&agent->guard, loop, &agent->run, &guard);
    }
    if (result != 0) {
        log_error("agent.start", "error=%s", hf_error_name(result));
        return result;
    }
    init_handles(agent);
    init_session(agent);
    start_probes(agent);
    CHECK(uv_timer_start(&agent->ready, on_ready_poll, 0, READY_POLL_MS) == 0);
    agent_tick(agent);
    log_info("agent.start", "host=%s zone=%s vms=%zu boot_id=%s",
             config->message->host, config->message->zone,
             agent->core.listed_count, agent->boot_id);
    return 0;
}

void agent_close(struct agent *agent)
{
    driver_qemu_close(&agent->qemu);
    core_close(&agent->core);
    map_close(&agent->vms);
    bytes_close(&agent->waiting);
    tls_destroy(agent->tls);
    close(agent->state_lock_fd);
    close(agent->state_dir_fd);
    lease_page_close(&agent->lease);
    run_dir_close(&agent->run);
}
