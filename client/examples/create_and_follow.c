/* SPDX-License-Identifier: Apache-2.0
 *
 * The blocking client: creates a VM and follows it until it runs.
 *
 *   cc -o create_and_follow create_and_follow.c \
 *       $(pkg-config --cflags --libs holdfast)
 *   ./create_and_follow ENDPOINTS CLASS NAME [CA CERTIFICATE KEY]
 *
 * ENDPOINTS are all nodes of the region, "a:7400,b:7400,c:7400"; the VM is the
 * program `sleep`, which hosts with the driver `exec` run without a guest. */
#include <holdfast/holdfast.h>
#include <holdfast/v1/vm_service.pb-c.h>
#include <holdfast/v1/watch_service.pb-c.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int failed(const char *what, const struct hf_status *status)
{
    fprintf(stderr, "%s: %s: %s\n", what, hf_code_name(status->code),
            status->message);
    return 1;
}

/* The revision of the answer: where a watch can go on without missing what
 * happens to the VM from then on. */
static int create(struct hf_client *client, char *vm_class, char *name,
                  uint64_t *revision)
{
    Holdfast__V1__CreateVmRequest request =
        HOLDFAST__V1__CREATE_VM_REQUEST__INIT;
    Holdfast__V1__VmTemplate template = HOLDFAST__V1__VM_TEMPLATE__INIT;
    Holdfast__V1__Vm vm = HOLDFAST__V1__VM__INIT;
    char *command[] = {(char *)"/bin/sleep", (char *)"3600"};
    struct hf_status status;
    ProtobufCMessage *response;

    template.driver = HOLDFAST__V1__DRIVER__DRIVER_EXEC;
    template.n_command = 2;
    template.command = command;
    vm.name = name;
    vm.class_name = vm_class;
    vm.template_ = &template;
    request.vm = &vm;
    if (hf_client_call(client, "VmService/CreateVm", &request.base, &response,
                       &status) != HF_STATUS_OK) {
        return failed("create", &status);
    }
    *revision = ((const Holdfast__V1__CreateVmResponse *)(const void *)response)
                    ->revision;
    hf_message_free(response);
    printf("created %s\n", name);
    return 0;
}

/* Whether the VM runs, as far as these events say. */
static bool runs(const Holdfast__V1__WatchResponse *response, const char *name)
{
    bool running = false;

    for (size_t i = 0; i < response->n_events; i++) {
        const Holdfast__V1__Event *event = response->events[i];

        if (event->object_case == HOLDFAST__V1__EVENT__OBJECT_VM &&
            strcmp(event->vm->name, name) == 0) {
            running = event->vm->status->state ==
                      HOLDFAST__V1__VM_STATE__VM_STATE_RUNNING;
            if (running) {
                printf("%s runs on %s in %s\n", name, event->vm->status->host,
                       event->vm->status->zone);
            }
        }
    }
    return running;
}

/* A watch goes on by itself when its node goes away. Only when it was cut off
 * for so long that the region has forgotten (OUT_OF_RANGE) would one read the
 * VM anew and watch from there. */
static int follow(struct hf_client *client, const char *name, uint64_t revision)
{
    Holdfast__V1__WatchRequest request = HOLDFAST__V1__WATCH_REQUEST__INIT;
    struct hf_watch *watch;
    struct hf_status status;
    ProtobufCMessage *response;
    bool running = false;

    request.after_revision = revision;
    watch = hf_client_watch(client, &request.base);
    while (!running &&
           hf_watch_next(watch, 60000, &response, &status) == HF_STATUS_OK) {
        running = runs(
            (const Holdfast__V1__WatchResponse *)(const void *)response, name);
        hf_message_free(response);
    }
    hf_watch_close(watch);
    return running ? 0 : failed("watch", &status);
}

int main(int argc, char **argv)
{
    struct hf_client *client;
    struct hf_status status;
    uint64_t revision;
    int result;

    if (argc != 4 && argc != 7) {
        fprintf(stderr, "usage: %s ENDPOINTS CLASS NAME [CA CERTIFICATE KEY]\n",
                argv[0]);
        return 2;
    }
    client = hf_client_open(argv[1], &status);
    if (client == NULL) {
        return failed("open", &status);
    }
    if (argc == 7) {
        struct hf_tls files = {argv[4], argv[5], argv[6]};

        if (hf_client_use_tls(client, &files, &status) != HF_STATUS_OK) {
            return failed("TLS", &status);
        }
    }
    result = create(client, argv[2], argv[3], &revision);
    if (result == 0) {
        result = follow(client, argv[3], revision);
    }
    hf_client_close(client);
    return result;
}
