/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent as a process: it registers, starts what it is told, lets its VMs
 * run on when it ends or dies, adopts them, and loses them when the leader
 * falls silent. The leader is a small one in this process. */
#include "agent/guard_beat.h"
#include "agent/pid_file.h"
#include "agent/run_dir.h"
#include "base/check.h"
#include "base/container.h"
#include "base/log.h"
#include "rpc/server.h"

#include <fcntl.h>
#include <holdfast/v1/agent_service.pb-c.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define UID        77
#define EPOCH      5
#define GENERATION 3
#define LEASE_MS   3000
#define RENEW_MS   300
#define WAIT_MS    30000 /* To fail, not to measure. */
#define HERE       "0123456789abcdeffedcba9876543210"
#define OTHER      "0123456789abcdeffedcba9876543211"

struct leader {
    struct rpc_service service;
    struct rpc_handler handler;
    struct rpc_method method;
    struct rpc_server_close close;
    uv_loop_t loop;
    uv_timer_t patience;
    struct rpc_server *server;
    struct rpc_call *call; /* The one session; NULL: none. */
    bool mute;             /* Renewals are not acknowledged. */
    bool out_of_patience;
    uint32_t hello_count;
    uint32_t renew_count;
    const char *region;  /* What Welcome says. */
    uint32_t generation; /* Likewise. */
    bool keeps;          /* Orders VMs that outlive their lease. */
    bool checks;         /* Refuses a Hello of another region, as nodes do. */
    uint32_t refused_count;
    char hello_region[65]; /* What the last Hello said. */
    char host_id[65];
    char boot_id[65];
    /* What was said last of VM UID; epoch 0: it was not listed. */
    uint64_t epoch;
    Holdfast__V1__ReportState state;
    char reason[256];
    bool failed;
    char dir[64];
    pid_t agent;
};

static char *text(const char *string)
{
    union {
        const char *in;
        char *out;
    } pointer = {string};

    return pointer.out;
}

static void send_message(struct leader *leader,
                         const Holdfast__V1__NodeMessage *message)
{
    rpc_call_send(leader->call, &message->base);
}

static void note(struct leader *leader, const Holdfast__V1__VmReport *vm)
{
    if (vm->uid != UID) {
        return;
    }
    leader->epoch = vm->epoch;
    leader->state = vm->state;
    leader->failed = vm->failed;
    snprintf(leader->reason, sizeof(leader->reason), "%s", vm->reason);
}

/* As node_agents.c. */
static bool refuse_hello(struct leader *leader,
                         const Holdfast__V1__Hello *hello)
{
    snprintf(leader->hello_region, sizeof(leader->hello_region), "%s",
             hello->region_id);
    if (!leader->checks || hello->region_id[0] == '\0' ||
        strcmp(hello->region_id, leader->region) == 0) {
        return false;
    }
    leader->refused_count++;
    rpc_call_trailer(leader->call, "holdfast-reason", "OTHER_REGION");
    rpc_call_finish(leader->call, RPC_FAILED_PRECONDITION, "%s", "other");
    return true;
}

static void take_hello(struct leader *leader, const Holdfast__V1__Hello *hello)
{
    Holdfast__V1__NodeMessage message = HOLDFAST__V1__NODE_MESSAGE__INIT;
    Holdfast__V1__Welcome welcome = HOLDFAST__V1__WELCOME__INIT;

    assert_string_equal(hello->host, "h1");
    assert_string_equal(hello->zone, "z1");
    assert_int_equal(hello->n_drivers, 1);
    assert_true(strlen(hello->boot_id) >= 16 && strlen(hello->boot_id) <= 64);
    assert_true(strlen(hello->host_id) >= 16 && strlen(hello->host_id) <= 64);
    assert_true(hello->capacity->cpu_milli > 0);
    snprintf(leader->host_id, sizeof(leader->host_id), "%s", hello->host_id);
    snprintf(leader->boot_id, sizeof(leader->boot_id), "%s", hello->boot_id);
    leader->epoch = 0;
    for (size_t i = 0; i < hello->n_vms; i++) {
        note(leader, hello->vms[i]);
    }
    leader->hello_count++;
    if (refuse_hello(leader, hello)) {
        return;
    }
    leader->renew_count = 0;
    welcome.host_uid = 9;
    welcome.generation = GENERATION;
    welcome.lease_run_ms = LEASE_MS;
    welcome.renew_ms = RENEW_MS;
    welcome.region_id = text(leader->region);
    welcome.region_generation = leader->generation;
    message.message_case = HOLDFAST__V1__NODE_MESSAGE__MESSAGE_WELCOME;
    message.welcome = &welcome;
    send_message(leader, &message);
}

static void take_renew(struct leader *leader, const Holdfast__V1__Renew *renew)
{
    Holdfast__V1__NodeMessage message = HOLDFAST__V1__NODE_MESSAGE__INIT;
    Holdfast__V1__RenewAck ack = HOLDFAST__V1__RENEW_ACK__INIT;

    assert_int_equal(renew->generation, GENERATION);
    leader->epoch = 0;
    for (size_t i = 0; i < renew->n_vms; i++) {
        note(leader, renew->vms[i]);
    }
    leader->renew_count++;
    if (leader->mute) {
        return;
    }
    ack.seq = renew->seq;
    ack.lease_run_ms = LEASE_MS;
    ack.renew_ms = RENEW_MS;
    message.message_case = HOLDFAST__V1__NODE_MESSAGE__MESSAGE_RENEW_ACK;
    message.renew_ack = &ack;
    send_message(leader, &message);
}

static void on_message(struct rpc_handler *handler,
                       const ProtobufCMessage *message)
{
    struct leader *leader = container_of(handler, struct leader, handler);
    const Holdfast__V1__AgentMessage *agent =
        (const Holdfast__V1__AgentMessage *)message;

    switch (agent->message_case) {
    case HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_HELLO:
        take_hello(leader, agent->hello);
        break;
    case HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_RENEW:
        take_renew(leader, agent->renew);
        break;
    case HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_REPORT:
        note(leader, agent->report->vm);
        break;
    default:
        fail();
    }
}

static void on_closed(struct rpc_handler *handler)
{
    container_of(handler, struct leader, handler)->call = NULL;
}

static struct rpc_handler *on_open(struct rpc_service *service,
                                   const struct rpc_method *method,
                                   struct rpc_call *call)
{
    static const struct rpc_handler_ops ops = {.message = on_message,
                                               .closed = on_closed};
    struct leader *leader = container_of(service, struct leader, service);

    (void)method;
    if (leader->call != NULL) {
        rpc_call_finish(call, RPC_UNAVAILABLE, "one session at a time");
        return NULL;
    }
    leader->call = call;
    leader->handler.ops = &ops;
    return &leader->handler;
}

static void on_patience(uv_timer_t *timer)
{
    container_of(timer, struct leader, patience)->out_of_patience = true;
}

/* Runs the loop until it is so. */
static void wait_for(struct leader *leader, bool (*is_so)(struct leader *),
                     const char *what)
{
    leader->out_of_patience = false;
    uv_update_time(&leader->loop);
    uv_timer_start(&leader->patience, on_patience, WAIT_MS, 0);
    while (!is_so(leader)) {
        if (leader->out_of_patience) {
            fail_msg("no %s: state %d, reason \"%s\"", what, leader->state,
                     leader->reason);
        }
        uv_run(&leader->loop, UV_RUN_ONCE);
    }
}

static void order(struct leader *leader, Holdfast__V1__OrderAction action)
{
    char *command[] = {text("/bin/sleep"), text("100{uid}")};
    Holdfast__V1__NodeMessage message = HOLDFAST__V1__NODE_MESSAGE__INIT;
    Holdfast__V1__Order order = HOLDFAST__V1__ORDER__INIT;
    Holdfast__V1__Resources resources = HOLDFAST__V1__RESOURCES__INIT;
    Holdfast__V1__VmTemplate template = HOLDFAST__V1__VM_TEMPLATE__INIT;

    assert_non_null(leader->call);
    resources.cpu_milli = 100;
    resources.memory_mib = 16;
    template.driver = HOLDFAST__V1__DRIVER__DRIVER_EXEC;
    template.command = command;
    template.n_command = 2;
    template.stop_grace_ms = 2000;
    order.action = action;
    order.uid = UID;
    order.epoch = EPOCH;
    order.name = text("web");
    order.resources = &resources;
    order.template_ = &template;
    order.generation = GENERATION;
    if (leader->keeps) {
        order.on_partition = HOLDFAST__V1__ON_PARTITION__ON_PARTITION_KEEP;
    }
    message.message_case = HOLDFAST__V1__NODE_MESSAGE__MESSAGE_ORDER;
    message.order = &order;
    send_message(leader, &message);
}

static void start_agent(struct leader *leader)
{
    char config[96];

    snprintf(config, sizeof(config), "%s/agent.yaml", leader->dir);
    leader->agent = fork();
    assert_true(leader->agent >= 0);
    if (leader->agent == 0) {
        execl(HF_BIN_DIR "/holdfast-agent", "holdfast-agent", config,
              (char *)NULL);
        _exit(127);
    }
}

static int end_agent(struct leader *leader, int number)
{
    int status;

    assert_int_equal(kill(leader->agent, number), 0);
    assert_int_equal(waitpid(leader->agent, &status, 0), leader->agent);
    leader->agent = 0;
    return status;
}

static int set_up(void **state)
{
    static struct leader leader;
    char path[96];
    char error[128];
    FILE *file;

    memset(&leader, 0, sizeof(leader));
    leader.region = HERE;
    snprintf(leader.dir, sizeof(leader.dir), "/tmp/hf-session-XXXXXX");
    assert_non_null(mkdtemp(leader.dir));
    assert_int_equal(uv_loop_init(&leader.loop), 0);
    uv_timer_init(&leader.loop, &leader.patience);
    leader.service.open = on_open;
    leader.method =
        (struct rpc_method){.path = "/holdfast.v1.AgentService/Session",
                            .input = &holdfast__v1__agent_message__descriptor,
                            .output = &holdfast__v1__node_message__descriptor,
                            .client_streams = true,
                            .server_streams = true,
                            .service = &leader.service};
    leader.server = rpc_server_create(&leader.loop);
    rpc_server_add(leader.server, &leader.method);
    assert_int_equal(
        rpc_server_listen(leader.server, "127.0.0.1:0", error, sizeof(error)),
        0);
    snprintf(path, sizeof(path), "%s/agent.yaml", leader.dir);
    file = fopen(path, "we");
    assert_non_null(file);
    /* The first node is not there: the second one serves. */
    fprintf(file,
            "host: h1\nzone: z1\nnodes: ['127.0.0.1:1', '127.0.0.1:%d']\n"
            "run_dir: %s/run\nstate_dir: %s/state\ndrivers: [DRIVER_EXEC]\n",
            rpc_server_port(leader.server), leader.dir, leader.dir);
    fclose(file);
    start_agent(&leader);
    *state = &leader;
    return 0;
}

static void on_drained(struct rpc_server_close *close)
{
    (void)close;
}

/* Kills exactly this process, if it still lives. */
static void end_process(const struct process_id *id)
{
    int fd = id->pid > 0 ? process_open(id) : -1;

    if (fd >= 0) {
        process_signal(fd, SIGKILL);
        close(fd);
    }
}

/* Of the VM; false when there is none. */
static bool read_pids(const struct leader *leader, struct pid_file *pids)
{
    char path[128];
    int fd;
    bool found;

    snprintf(path, sizeof(path), "%s/run/vms/%d", leader->dir, UID);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    found = fd >= 0 && pid_file_read(pids, fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return found;
}

/* The guard and VMs outlive the agent on purpose. */
static void end_leftovers(const struct leader *leader)
{
    struct process_id guard = {0};
    struct pid_file pids;
    char path[128];
    uint64_t beat_ns;
    int fd;

    if (read_pids(leader, &pids)) {
        end_process(&pids.shim);
        end_process(&pids.vm);
    }
    snprintf(path, sizeof(path), "%s/run/guard", leader->dir);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        if (guard_beat_read(fd, &beat_ns, &guard) == 0) {
            end_process(&guard);
        }
        close(fd);
    }
}

static int tear_down(void **state)
{
    struct leader *leader = *state;
    char command[96];

    if (leader->agent > 0) {
        end_agent(leader, SIGKILL);
    }
    end_leftovers(leader);
    uv_close((uv_handle_t *)&leader->patience, NULL);
    leader->close.done = on_drained;
    rpc_server_drain(leader->server, 0, &leader->close);
    uv_run(&leader->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&leader->loop), 0);
    snprintf(command, sizeof(command), "rm -rf '%s'", leader->dir);
    return system(command);
}

static bool is_renewed(struct leader *leader)
{
    return leader->renew_count >= 2;
}

static bool is_welcomed(struct leader *leader)
{
    return leader->call != NULL && leader->hello_count > 0;
}

static bool is_running(struct leader *leader)
{
    return leader->epoch == EPOCH &&
           leader->state == HOLDFAST__V1__REPORT_STATE__REPORT_STATE_RUNNING;
}

static bool is_gone(struct leader *leader)
{
    return leader->epoch == EPOCH &&
           leader->state == HOLDFAST__V1__REPORT_STATE__REPORT_STATE_GONE;
}

static bool is_forgotten(struct leader *leader)
{
    struct pid_file pids;

    return leader->epoch == 0 && !read_pids(leader, &pids);
}

static bool is_closed(struct leader *leader)
{
    return leader->call == NULL;
}

/* A VM that runs; the order comes before there is a lease. */
static struct pid_file run_vm(struct leader *leader)
{
    struct pid_file pids;

    wait_for(leader, is_welcomed, "session");
    order(leader, HOLDFAST__V1__ORDER_ACTION__ORDER_ACTION_START);
    assert_int_equal(leader->renew_count, 0);
    wait_for(leader, is_running, "running VM");
    assert_true(read_pids(leader, &pids));
    assert_true(process_exists(&pids.vm));
    return pids;
}

static void an_ordered_vm_runs_until_it_is_stopped(void **state)
{
    struct leader *leader = *state;
    struct pid_file pids = run_vm(leader);

    order(leader, HOLDFAST__V1__ORDER_ACTION__ORDER_ACTION_STOP);
    wait_for(leader, is_gone, "end of the VM");
    assert_false(process_exists(&pids.vm));
    assert_false(leader->failed);
    wait_for(leader, is_forgotten, "acknowledged end");
}

/* The agent ends by this signal, and the next one finds the VM. */
static void restart_with(struct leader *leader, int number, int expected)
{
    struct pid_file before = run_vm(leader);
    struct pid_file after = before;
    char host_id[65];
    char boot_id[65];

    snprintf(host_id, sizeof(host_id), "%s", leader->host_id);
    snprintf(boot_id, sizeof(boot_id), "%s", leader->boot_id);
    assert_int_equal(end_agent(leader, number), expected);
    wait_for(leader, is_closed, "closed session");
    assert_true(process_exists(&before.vm));
    leader->renew_count = 0;
    leader->epoch = 0;
    start_agent(leader);
    wait_for(leader, is_renewed, "renewal of the next agent");
    wait_for(leader, is_running, "adopted VM");
    assert_int_equal(leader->hello_count, 2);
    assert_true(read_pids(leader, &after));
    assert_int_equal(after.vm.pid, before.vm.pid);
    assert_true(process_exists(&before.vm));
    assert_string_equal(leader->host_id, host_id);
    assert_string_equal(leader->boot_id, boot_id);
    order(leader, HOLDFAST__V1__ORDER_ACTION__ORDER_ACTION_KILL);
    wait_for(leader, is_gone, "end of the adopted VM");
    assert_false(process_exists(&before.vm));
}

static void a_stopped_agent_leaves_its_vms_to_the_next(void **state)
{
    restart_with(*state, SIGTERM, 0);
}

static void a_killed_agent_leaves_its_vms_to_the_next(void **state)
{
    restart_with(*state, SIGKILL, SIGKILL);
}

static void a_silent_leader_ends_the_vms(void **state)
{
    struct leader *leader = *state;
    struct pid_file pids = run_vm(leader);

    leader->mute = true;
    wait_for(leader, is_gone, "end of the VM with the lease");
    assert_false(process_exists(&pids.vm));
    leader->mute = false;
    wait_for(leader, is_forgotten, "acknowledged end");
}

static void an_order_of_another_generation_starts_nothing(void **state)
{
    struct leader *leader = *state;
    Holdfast__V1__NodeMessage message = HOLDFAST__V1__NODE_MESSAGE__INIT;
    Holdfast__V1__Order order = HOLDFAST__V1__ORDER__INIT;
    uint32_t renew_count;

    wait_for(leader, is_renewed, "renewal");
    order.action = HOLDFAST__V1__ORDER_ACTION__ORDER_ACTION_START;
    order.uid = UID;
    order.epoch = EPOCH;
    order.generation = GENERATION + 1;
    message.message_case = HOLDFAST__V1__NODE_MESSAGE__MESSAGE_ORDER;
    message.order = &order;
    send_message(leader, &message);
    renew_count = leader->renew_count;
    leader->renew_count = 0;
    wait_for(leader, is_renewed, "later renewals");
    assert_true(renew_count >= 2);
    assert_int_equal(leader->epoch, 0);
}

static void end_session(struct leader *leader)
{
    rpc_call_finish(leader->call, RPC_UNAVAILABLE, "%s", "the leader moved");
    wait_for(leader, is_closed, "closed session");
    leader->hello_count = 0;
    leader->renew_count = 0;
    leader->refused_count = 0;
}

static bool is_hung_up(struct leader *leader)
{
    return leader->hello_count >= 3 && leader->call == NULL;
}

static bool is_refused(struct leader *leader)
{
    return leader->refused_count >= 1 && leader->call == NULL;
}

static void assert_kept(const struct leader *leader, const char *region)
{
    char path[96];
    char line[64] = "";
    FILE *file;

    snprintf(path, sizeof(path), "%s/run/region", leader->dir);
    file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof(line), file));
    fclose(file);
    line[strcspn(line, "\n")] = '\0';
    assert_string_equal(line, region);
}

static void a_host_without_vms_joins_any_region(void **state)
{
    struct leader *leader = *state;

    wait_for(leader, is_renewed, "renewal");
    assert_kept(leader, HERE);
    leader->region = OTHER;
    end_session(leader);
    /* Not before the lease of the former one is over. */
    wait_for(leader, is_renewed, "renewal in the other region");
    assert_string_equal(leader->hello_region, "");
    assert_true(leader->hello_count >= 2);
    assert_kept(leader, OTHER);
}

/* The leader's region is another one now, and a VM lives. */
static void meet_other_region(struct leader *leader,
                              bool (*is_met)(struct leader *), const char *what)
{
    wait_for(leader, is_renewed, "renewal");
    leader->region = OTHER;
    end_session(leader);
    wait_for(leader, is_met, what);
    assert_string_equal(leader->hello_region, HERE);
    assert_int_equal(leader->renew_count, 0);
    assert_kept(leader, HERE);
}

static void join_other_region(struct leader *leader)
{
    wait_for(leader, is_renewed, "renewal in the other region");
    assert_int_equal(leader->epoch, 0); /* Nothing of it is told there. */
    assert_string_equal(leader->hello_region, "");
    assert_kept(leader, OTHER);
    /* The number and epoch are another VM's now. */
    order(leader, HOLDFAST__V1__ORDER_ACTION__ORDER_ACTION_START);
    wait_for(leader, is_running, "VM of the other region");
}

/* No renewal, no start, no kill. */
static void a_welcome_to_another_region_is_refused_while_vms_live(void **state)
{
    struct leader *leader = *state;
    struct pid_file pids;

    leader->keeps = true;
    pids = run_vm(leader);
    meet_other_region(leader, is_hung_up, "session that was hung up");
    assert_true(process_exists(&pids.vm));
    end_process(&pids.vm);
    join_other_region(leader);
}

/* Nobody renews its lease any more: its VMs end with that. */
static void a_host_that_is_refused_joins_when_its_lease_is_over(void **state)
{
    struct leader *leader = *state;
    struct pid_file pids = run_vm(leader);

    leader->checks = true;
    meet_other_region(leader, is_refused, "refused Hello");
    wait_for(leader, is_renewed, "renewal in the other region");
    assert_false(process_exists(&pids.vm));
    join_other_region(leader);
}

/* The next agent knows it too. */
static void a_restarted_agent_keeps_to_its_region(void **state)
{
    struct leader *leader = *state;
    struct pid_file pids;

    leader->keeps = true;
    pids = run_vm(leader);
    wait_for(leader, is_renewed, "renewal");
    assert_int_equal(end_agent(leader, SIGKILL), SIGKILL);
    wait_for(leader, is_closed, "closed session");
    leader->region = OTHER;
    leader->hello_count = 0;
    leader->renew_count = 0;
    start_agent(leader);
    wait_for(leader, is_hung_up, "session that was hung up");
    assert_string_equal(leader->hello_region, HERE);
    assert_int_equal(leader->renew_count, 0);
    assert_true(process_exists(&pids.vm));
    /* Pointed back, it goes on as if nothing had been. */
    leader->region = HERE;
    wait_for(leader, is_renewed, "renewal");
    wait_for(leader, is_running, "adopted VM");
    assert_true(process_exists(&pids.vm));
}

static void a_leader_of_an_older_generation_is_not_heard(void **state)
{
    struct leader *leader = *state;

    wait_for(leader, is_renewed, "renewal");
    leader->generation = 2;
    end_session(leader);
    wait_for(leader, is_renewed, "renewal by the recovered region");
    leader->generation = 1;
    assert_int_equal(end_agent(leader, SIGKILL), SIGKILL);
    wait_for(leader, is_closed, "closed session");
    start_agent(leader);
    wait_for(leader, is_hung_up, "session that was hung up");
    assert_int_equal(leader->renew_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_ordered_vm_runs_until_it_is_stopped,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_stopped_agent_leaves_its_vms_to_the_next, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_killed_agent_leaves_its_vms_to_the_next, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_silent_leader_ends_the_vms, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            an_order_of_another_generation_starts_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_host_without_vms_joins_any_region,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_welcome_to_another_region_is_refused_while_vms_live, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            a_host_that_is_refused_joins_when_its_lease_is_over, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(a_restarted_agent_keeps_to_its_region,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_leader_of_an_older_generation_is_not_heard, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
