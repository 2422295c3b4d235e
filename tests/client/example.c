/* SPDX-License-Identifier: Apache-2.0
 *
 * What a user of the installed library writes: creates a VM, lists all, and
 * follows the watch until the new one runs. Not built with our flags. */
#include <holdfast/holdfast.h>
#include <holdfast/v1/vm_service.pb-c.h>
#include <holdfast/v1/watch_service.pb-c.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A name that the library also has inside: it must not clash. */
int map_get(void);
int map_get(void)
{
    return 7;
}

static int failed(const char *what, const struct hf_status *status)
{
    fprintf(stderr, "%s: %s: %s\n", what, hf_code_name(status->code),
            status->message);
    return 1;
}

static int follow(struct hf_client *client, uint64_t revision)
{
    Holdfast__V1__WatchRequest request = HOLDFAST__V1__WATCH_REQUEST__INIT;
    struct hf_watch *watch;
    struct hf_status status;
    ProtobufCMessage *message;
    int running = 0;

    request.after_revision = revision;
    watch = hf_client_watch(client, &request.base);
    while (!running &&
           hf_watch_next(watch, 20000, &message, &status) == HF_STATUS_OK) {
        const Holdfast__V1__WatchResponse *response = (const void *)message;

        for (size_t i = 0; i < response->n_events; i++) {
            const Holdfast__V1__Event *event = response->events[i];

            running |= event->object_case == HOLDFAST__V1__EVENT__OBJECT_VM &&
                       event->vm->status->state ==
                           HOLDFAST__V1__VM_STATE__VM_STATE_RUNNING;
        }
        hf_message_free(message);
    }
    hf_watch_close(watch);
    return running ? 0 : failed("watch", &status);
}

int main(int argc, char **argv)
{
    Holdfast__V1__CreateVmRequest request =
        HOLDFAST__V1__CREATE_VM_REQUEST__INIT;
    Holdfast__V1__Vm vm = HOLDFAST__V1__VM__INIT;
    struct hf_status status;
    struct hf_client *client;
    ProtobufCMessage *message;
    uint64_t revision;
    int result;

    client = hf_client_open(argc > 1 ? argv[1] : "127.0.0.1:7400", &status);
    if (client == NULL) {
        return failed("open", &status);
    }
    vm.name = (char *)"web-1";
    vm.class_name = (char *)"small";
    request.vm = &vm;
    if (hf_client_call(client, "VmService/CreateVm", &request.base, &message,
                       &status) != HF_STATUS_OK) {
        return failed("create", &status);
    }
    revision = ((Holdfast__V1__CreateVmResponse *)(void *)message)->revision;
    printf("created with request id of %zu characters, %u attempt(s)\n",
           strlen(status.request_id), status.attempts);
    hf_message_free(message);
    result = follow(client, revision - 1);
    if (hf_client_call(client, "VmService/CreateVm", &request.base, &message,
                       &status) != HF_STATUS_ALREADY_EXISTS) {
        return failed("second create", &status);
    }
    printf("%s: %s\n", hf_code_name(status.code), status.message);
    if (hf_client_call(client, "VmService/GetVm", &request.base, &message,
                       &status) != HF_STATUS_INVALID_ARGUMENT) {
        return failed("wrong message", &status);
    }
    hf_client_close(client);
    return result + map_get() - 7;
}
