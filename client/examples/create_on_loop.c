/* SPDX-License-Identifier: Apache-2.0
 *
 * The client on a libuv loop: lists the VMs, watches from the list's revision,
 * creates COUNT VMs at once, and ends when all of them run.
 *
 *   cc -o create_on_loop create_on_loop.c \
 *       $(pkg-config --cflags --libs holdfast-uv)
 *   ./create_on_loop ENDPOINTS CLASS NAME COUNT [CA CERTIFICATE KEY]
 *
 * ENDPOINTS are all nodes of the region, "a:7400,b:7400,c:7400"; the VMs are
 * NAME-0, NAME-1 and so on, each the program `sleep`. */
#include <holdfast/holdfast_uv.h>
#include <holdfast/v1/vm_service.pb-c.h>
#include <holdfast/v1/watch_service.pb-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_MAX 1000

/* From the library's struct to ours that it stands in. */
#define OUTER(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct program;

/* A VM to be. */
struct machine {
    struct hf_uv_call call;
    struct program *program;
    char name[64];
    bool running;
};

struct program {
    struct hf_uv_client *client;
    struct hf_uv_call list;
    struct hf_uv_watch watch;
    struct hf_uv_close close;
    char *vm_class;
    char *name;
    int count;
    int running;
    bool closing;
    int result;
    struct machine machines[COUNT_MAX];
};

static void on_closed(struct hf_uv_close *close)
{
    (void)close; /* Nothing is left on the loop: it ends. */
}

/* Calls and the watch that are open are told that they are cancelled. */
static void end(struct program *program, int result)
{
    if (!program->closing) {
        program->closing = true;
        program->result = result;
        hf_uv_client_close(program->client, &program->close, on_closed);
    }
}

static void failed(struct program *program, const char *what,
                   const struct hf_status *status)
{
    if (!program->closing) {
        fprintf(stderr, "%s: %s: %s\n", what, hf_code_name(status->code),
                status->message);
        end(program, 1);
    }
}

static void on_created(struct hf_uv_call *call, const struct hf_status *status,
                       ProtobufCMessage *response)
{
    struct machine *machine = OUTER(call, struct machine, call);

    if (status->code != HF_STATUS_OK) {
        failed(machine->program, machine->name, status);
        return;
    }
    hf_message_free(response);
    printf("created %s\n", machine->name);
}

static void create(struct program *program, struct machine *machine)
{
    Holdfast__V1__CreateVmRequest request =
        HOLDFAST__V1__CREATE_VM_REQUEST__INIT;
    Holdfast__V1__VmTemplate template = HOLDFAST__V1__VM_TEMPLATE__INIT;
    Holdfast__V1__Vm vm = HOLDFAST__V1__VM__INIT;
    char *command[] = {(char *)"/bin/sleep", (char *)"3600"};

    machine->program = program;
    snprintf(machine->name, sizeof(machine->name), "%.40s-%d", program->name,
             (int)(machine - program->machines));
    template.driver = HOLDFAST__V1__DRIVER__DRIVER_EXEC;
    template.n_command = 2;
    template.command = command;
    vm.name = machine->name;
    vm.class_name = program->vm_class;
    vm.template_ = &template;
    request.vm = &vm;
    if (hf_uv_call(program->client, &machine->call, "VmService/CreateVm",
                   &request.base, 60000, on_created) != HF_STATUS_OK) {
        fprintf(stderr, "%s: cannot be asked for\n", machine->name);
        end(program, 1);
    }
}

static void take_event(struct program *program,
                       const Holdfast__V1__Event *event)
{
    if (event->object_case != HOLDFAST__V1__EVENT__OBJECT_VM ||
        event->vm->status->state != HOLDFAST__V1__VM_STATE__VM_STATE_RUNNING) {
        return;
    }
    for (int i = 0; i < program->count; i++) {
        struct machine *machine = &program->machines[i];

        if (!machine->running && strcmp(machine->name, event->vm->name) == 0) {
            machine->running = true;
            program->running++;
            printf("%s runs on %s in %s\n", machine->name,
                   event->vm->status->host, event->vm->status->zone);
        }
    }
}

static void on_response(struct hf_uv_watch *watch, ProtobufCMessage *message)
{
    struct program *program = OUTER(watch, struct program, watch);
    const Holdfast__V1__WatchResponse *response =
        (const Holdfast__V1__WatchResponse *)(const void *)message;

    for (size_t i = 0; i < response->n_events; i++) {
        take_event(program, response->events[i]);
    }
    hf_message_free(message);
    if (program->running == program->count) {
        end(program, 0);
    }
}

static void on_watch_ended(struct hf_uv_watch *watch,
                           const struct hf_status *status)
{
    /* A program that runs for ever lists again after HF_STATUS_OUT_OF_RANGE. */
    failed(OUTER(watch, struct program, watch), "watch", status);
}

static void on_listed(struct hf_uv_call *call, const struct hf_status *status,
                      ProtobufCMessage *message)
{
    struct program *program = OUTER(call, struct program, list);
    Holdfast__V1__WatchRequest request = HOLDFAST__V1__WATCH_REQUEST__INIT;
    Holdfast__V1__Kind kinds[] = {HOLDFAST__V1__KIND__KIND_VM};

    if (status->code != HF_STATUS_OK) {
        failed(program, "list", status);
        return;
    }
    request.after_revision =
        ((const Holdfast__V1__ListVmsResponse *)(const void *)message)
            ->revision;
    hf_message_free(message);
    request.n_kinds = 1;
    request.kinds = kinds;
    if (hf_uv_watch(program->client, &program->watch, &request.base,
                    on_response, on_watch_ended) != HF_STATUS_OK) {
        end(program, 1);
    }
    for (int i = 0; i < program->count; i++) {
        create(program, &program->machines[i]);
    }
}

static int begin(struct program *program, uv_loop_t *loop, char **words,
                 int word_count)
{
    Holdfast__V1__ListVmsRequest request = HOLDFAST__V1__LIST_VMS_REQUEST__INIT;
    struct hf_status status;

    program->vm_class = words[1];
    program->name = words[2];
    program->count = atoi(words[3]);
    if (program->count < 1 || program->count > COUNT_MAX) {
        fprintf(stderr, "COUNT is a number from 1 to %d\n", COUNT_MAX);
        return 2;
    }
    program->client = hf_uv_client_open(loop, words[0], &status);
    if (program->client == NULL) {
        fprintf(stderr, "%s\n", status.message);
        return 1;
    }
    if (word_count == 7) {
        struct hf_tls files = {words[4], words[5], words[6]};

        if (hf_uv_client_use_tls(program->client, &files, &status) !=
            HF_STATUS_OK) {
            failed(program, "TLS", &status);
            return 0; /* The loop closes the client. */
        }
    }
    if (hf_uv_call(program->client, &program->list, "VmService/ListVms",
                   &request.base, 0, on_listed) != HF_STATUS_OK) {
        end(program, 1);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct program program;
    uv_loop_t loop;
    int result;

    if (argc != 5 && argc != 8) {
        fprintf(stderr,
                "usage: %s ENDPOINTS CLASS NAME COUNT [CA CERTIFICATE KEY]\n",
                argv[0]);
        return 2;
    }
    if (uv_loop_init(&loop) != 0) {
        return 1;
    }
    result = begin(&program, &loop, argv + 1, argc - 1);
    if (result == 0) {
        uv_run(&loop, UV_RUN_DEFAULT);
        result = program.result;
    }
    return uv_loop_close(&loop) == 0 ? result : 1;
}
