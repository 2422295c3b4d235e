/* SPDX-License-Identifier: Apache-2.0 */
#include "client/request.h"

#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"
#include "client/status.h"
#include "holdfast/v1/access_service.pb-c.h"
#include "holdfast/v1/audit_service.pb-c.h"
#include "holdfast/v1/class_service.pb-c.h"
#include "holdfast/v1/cluster_service.pb-c.h"
#include "holdfast/v1/group_service.pb-c.h"
#include "holdfast/v1/host_service.pb-c.h"
#include "holdfast/v1/join_service.pb-c.h"
#include "holdfast/v1/manifest_service.pb-c.h"
#include "holdfast/v1/operation_service.pb-c.h"
#include "holdfast/v1/plan_service.pb-c.h"
#include "holdfast/v1/reservation_service.pb-c.h"
#include "holdfast/v1/vm_service.pb-c.h"
#include "holdfast/v1/watch_service.pb-c.h"
#include "holdfast/v1/zone_service.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* What a message of REQUEST_BYTES_MAX may take unpacked. An honest one
 * takes a few times its size; one of empty sub-messages 50 times. */
#define UNPACK_MAX ((size_t)128 * 1024 * 1024)

const ProtobufCMethodDescriptor *hf_method_find(const char *method)
{
    static const ProtobufCServiceDescriptor *const services[] = {
        &holdfast__v1__cluster_service__descriptor,
        &holdfast__v1__zone_service__descriptor,
        &holdfast__v1__class_service__descriptor,
        &holdfast__v1__host_service__descriptor,
        &holdfast__v1__vm_service__descriptor,
        &holdfast__v1__group_service__descriptor,
        &holdfast__v1__reservation_service__descriptor,
        &holdfast__v1__operation_service__descriptor,
        &holdfast__v1__plan_service__descriptor,
        &holdfast__v1__access_service__descriptor,
        &holdfast__v1__audit_service__descriptor,
        &holdfast__v1__join_service__descriptor,
        &holdfast__v1__manifest_service__descriptor,
        &holdfast__v1__watch_service__descriptor,
    };
    const char *slash = strchr(method, '/');

    if (slash == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        const char *name = services[i]->short_name;
        size_t len = (size_t)(slash - method);

        if (strlen(name) == len && memcmp(name, method, len) == 0) {
            return protobuf_c_service_descriptor_get_method_by_name(services[i],
                                                                    slash + 1);
        }
    }
    return NULL;
}

void request_path(const char *method, char path[REQUEST_PATH_BYTES])
{
    int len = snprintf(path, REQUEST_PATH_BYTES, "/holdfast.v1.%s", method);

    CHECK(len > 0 && len < REQUEST_PATH_BYTES);
}

/* An allocator that gives out so much and no more. */
struct capped {
    ProtobufCAllocator allocator;
    size_t left;
};

static void *capped_alloc(void *data, size_t size)
{
    struct capped *capped = data;

    if (size > capped->left) {
        return NULL;
    }
    capped->left -= size;
    return malloc(size == 0 ? 1 : size);
}

static void capped_free(void *data, void *memory)
{
    (void)data;
    free(memory);
}

ProtobufCMessage *request_unpack(const ProtobufCMessageDescriptor *descriptor,
                                 const uint8_t *data, size_t len)
{
    struct capped capped = {
        .allocator = {.alloc = capped_alloc, .free = capped_free},
        .left = UNPACK_MAX};

    capped.allocator.allocator_data = &capped;
    return protobuf_c_message_unpack(descriptor, &capped.allocator, len, data);
}

void hf_message_free(ProtobufCMessage *message)
{
    if (message != NULL) {
        protobuf_c_message_free_unpacked(message, NULL);
    }
}

static void make_request_id(char id[HF_REQUEST_ID_MAX + 1])
{
    uint64_t words[2];

    CHECK(getrandom(words, sizeof(words), 0) == (ssize_t)sizeof(words));
    (void)snprintf(id, HF_REQUEST_ID_MAX + 1, "%016" PRIx64 "%016" PRIx64,
                   words[0], words[1]);
}

enum hf_code request_pack(const char *method, const ProtobufCMessage *request,
                          struct bytes *out, struct hf_status *status)
{
    const ProtobufCMethodDescriptor *found = hf_method_find(method);
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(request->descriptor,
                                                        "request_id");
    size_t size = request->descriptor->sizeof_message;
    ProtobufCMessage *copy;

    memset(status, 0, sizeof(*status));
    if (found == NULL || found->input != request->descriptor) {
        return status_set(status, HF_STATUS_INVALID_ARGUMENT,
                          "%s is no method that takes a %s", method,
                          request->descriptor->short_name);
    }
    if (found->output == &holdfast__v1__watch_response__descriptor) {
        return status_set(status, HF_STATUS_INVALID_ARGUMENT,
                          "%s is a stream: start a watch", method);
    }
    copy = memory_copy(request, size);
    if (field != NULL) {
        char **id = (char **)(void *)((char *)copy + field->offset);

        if (*id == NULL || (*id)[0] == '\0') {
            make_request_id(status->request_id);
            *id = status->request_id;
        } else {
            (void)snprintf(status->request_id, sizeof(status->request_id), "%s",
                           *id);
        }
    }
    size = protobuf_c_message_get_packed_size(copy);
    out->len = protobuf_c_message_pack(copy, bytes_reserve(out, size + 1));
    free(copy);
    return out->len <= REQUEST_BYTES_MAX
               ? HF_STATUS_OK
               : status_set(status, HF_STATUS_INVALID_ARGUMENT,
                            "the request is too large");
}

struct Holdfast__V1__WatchRequest *request_watch_copy(
    const ProtobufCMessage *request)
{
    Holdfast__V1__WatchRequest *copy;
    struct bytes packed;

    bytes_init(&packed);
    packed.len = protobuf_c_message_pack(
        request, bytes_reserve(
                     &packed, protobuf_c_message_get_packed_size(request) + 1));
    copy = holdfast__v1__watch_request__unpack(NULL, packed.len, packed.data);
    CHECK(copy != NULL);
    bytes_close(&packed);
    return copy;
}
