/* SPDX-License-Identifier: Apache-2.0
 *
 * A file of the set is kept as its bytes and a list of the names that it
 * defines, read off with a small walk over the descriptor's wire format
 * (descriptor.proto: file name 1, package 2, message 4, enum 5, service 6; in
 * a message nested message 3, enum 4; everywhere name 1). */
#include "rpc/reflection.h"

#include "base/bytes.h"
#include "base/container.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/reflection/v1/reflection.pb-c.h>

#define NAME_BYTES_MAX 256
#define SYMBOLS_MAX    4096

struct reflection_file {
    const uint8_t *data;
    size_t len;
    char name[NAME_BYTES_MAX];
    char package[NAME_BYTES_MAX];
    char **symbols; /* "holdfast.v1.Vm"; services among them. */
    size_t symbol_count;
    char **services;
    size_t service_count;
};

struct part {
    uint32_t field;
    const uint8_t *data; /* NULL unless it has a length. */
    size_t len;
};

static bool read_varint(struct bytes_reader *reader, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = bytes_read_u8(reader);

        *value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return !reader->failed;
        }
    }
    return false;
}

/* The next field; false at the end. */
static bool next_part(struct bytes_reader *reader, struct part *part)
{
    uint64_t tag;
    uint64_t value;

    *part = (struct part){0};
    if (reader->len == 0 || !read_varint(reader, &tag)) {
        return false;
    }
    part->field = (uint32_t)(tag >> 3);
    switch (tag & 7) {
    case 0:
        return read_varint(reader, &value);
    case 1:
        return bytes_read(reader, 8) != NULL;
    case 2:
        if (!read_varint(reader, &value) || value > reader->len) {
            return false;
        }
        part->len = (size_t)value;
        part->data = bytes_read(reader, part->len);
        return true;
    case 5:
        return bytes_read(reader, 4) != NULL;
    default:
        return false;
    }
}

static void copy_name(char *name, const struct part *part)
{
    snprintf(name, NAME_BYTES_MAX, "%.*s", (int)part->len,
             (const char *)part->data);
}

static void name_of(const struct part *definition, const char *prefix,
                    char *name)
{
    struct bytes_reader reader;
    struct part part;

    name[0] = '\0';
    bytes_reader_init(&reader, definition->data, definition->len);
    while (next_part(&reader, &part)) {
        if (part.field == 1 && part.data != NULL) {
            snprintf(name, NAME_BYTES_MAX, "%s%s%.*s", prefix,
                     prefix[0] == '\0' ? "" : ".", (int)part.len,
                     (const char *)part.data);
            return;
        }
    }
}

static void add(char ***names, size_t *count, const char *name)
{
    if (*count == SYMBOLS_MAX) {
        return;
    }
    *names = memory_realloc_array(*names, *count + 1, sizeof(char *));
    (*names)[(*count)++] = memory_copy_string(name);
}

static void add_message(struct reflection_file *file,
                        const struct part *definition, const char *prefix,
                        int depth)
{
    char name[NAME_BYTES_MAX];
    char inner[NAME_BYTES_MAX];
    struct bytes_reader reader;
    struct part part;

    name_of(definition, prefix, name);
    add(&file->symbols, &file->symbol_count, name);
    bytes_reader_init(&reader, definition->data, definition->len);
    while (depth < 16 && next_part(&reader, &part)) {
        if (part.data != NULL && part.field == 3) {
            add_message(file, &part, name, depth + 1);
        } else if (part.data != NULL && part.field == 4) {
            name_of(&part, name, inner);
            add(&file->symbols, &file->symbol_count, inner);
        }
    }
}

static void add_service(struct reflection_file *file,
                        const struct part *definition)
{
    char name[NAME_BYTES_MAX];
    char method[NAME_BYTES_MAX];
    struct bytes_reader reader;
    struct part part;

    name_of(definition, file->package, name);
    add(&file->symbols, &file->symbol_count, name);
    add(&file->services, &file->service_count, name);
    bytes_reader_init(&reader, definition->data, definition->len);
    while (next_part(&reader, &part)) {
        if (part.data != NULL && part.field == 2) {
            name_of(&part, name, method);
            add(&file->symbols, &file->symbol_count, method);
        }
    }
}

static void read_file(struct reflection_file *file, const uint8_t *data,
                      size_t len)
{
    struct bytes_reader reader;
    struct part part;

    *file = (struct reflection_file){.data = data, .len = len};
    bytes_reader_init(&reader, data, len);
    while (next_part(&reader, &part)) {
        if (part.data == NULL) {
            continue;
        }
        if (part.field == 1) {
            copy_name(file->name, &part);
        } else if (part.field == 2) {
            copy_name(file->package, &part);
        } else if (part.field == 4) {
            add_message(file, &part, file->package, 0);
        } else if (part.field == 5) {
            char name[NAME_BYTES_MAX];

            name_of(&part, file->package, name);
            add(&file->symbols, &file->symbol_count, name);
        } else if (part.field == 6) {
            add_service(file, &part);
        }
    }
}

/* v1 and v1alpha have the same fields, so the messages of v1 serve both. */
typedef Grpc__Reflection__V1__ServerReflectionRequest reflection_request;
typedef Grpc__Reflection__V1__ServerReflectionResponse reflection_response;

struct reflection_call {
    struct rpc_handler handler;
    struct rpc_reflection *reflection;
    struct rpc_call *call;
};

static void send_file(struct rpc_call *call, reflection_response *response,
                      const struct reflection_file *file)
{
    Grpc__Reflection__V1__FileDescriptorResponse files =
        GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    union {
        const uint8_t *lent;
        uint8_t *data; /* protobuf-c's field is not const, but only reads. */
    } bytes = {file->data};
    ProtobufCBinaryData content = {file->len, bytes.data};

    files.n_file_descriptor_proto = 1;
    files.file_descriptor_proto = &content;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    response->file_descriptor_response = &files;
    rpc_call_send(call, &response->base);
    response->file_descriptor_response = NULL;
}

static void send_error(struct rpc_call *call, reflection_response *response,
                       enum rpc_code code, const char *text)
{
    Grpc__Reflection__V1__ErrorResponse error =
        GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    char message[128];

    snprintf(message, sizeof(message), "%s", text);
    error.error_code = (int32_t)code;
    error.error_message = message;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    response->error_response = &error;
    rpc_call_send(call, &response->base);
    response->error_response = NULL;
}

static void send_services(struct reflection_call *call,
                          reflection_response *response)
{
    Grpc__Reflection__V1__ListServiceResponse list =
        GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    Grpc__Reflection__V1__ServiceResponse services[64];
    Grpc__Reflection__V1__ServiceResponse *pointers[64];

    for (size_t i = 0; i < call->reflection->file_count; i++) {
        struct reflection_file *file = &call->reflection->files[i];

        for (size_t s = 0; s < file->service_count && list.n_service < 64;
             s++) {
            grpc__reflection__v1__service_response__init(
                &services[list.n_service]);
            services[list.n_service].name = file->services[s];
            pointers[list.n_service] = &services[list.n_service];
            list.n_service++;
        }
    }
    list.service = pointers;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    response->list_services_response = &list;
    rpc_call_send(call->call, &response->base);
    response->list_services_response = NULL;
}

static const struct reflection_file *file_with_symbol(
    const struct rpc_reflection *reflection, const char *symbol)
{
    for (size_t i = 0; i < reflection->file_count; i++) {
        const struct reflection_file *file = &reflection->files[i];

        for (size_t s = 0; s < file->symbol_count; s++) {
            if (strcmp(file->symbols[s], symbol) == 0) {
                return file;
            }
        }
    }
    return NULL;
}

static const struct reflection_file *file_named(
    const struct rpc_reflection *reflection, const char *name)
{
    for (size_t i = 0; i < reflection->file_count; i++) {
        if (strcmp(reflection->files[i].name, name) == 0) {
            return &reflection->files[i];
        }
    }
    return NULL;
}

static void on_message(struct rpc_handler *handler,
                       const ProtobufCMessage *message)
{
    struct reflection_call *call =
        container_of(handler, struct reflection_call, handler);
    const reflection_request *request =
        (const reflection_request *)(const void *)message;
    reflection_response response =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    union {
        const reflection_request *lent;
        reflection_request *request;
    } original = {request};
    const struct reflection_file *file = NULL;

    response.valid_host = original.request->host;
    response.original_request = original.request;
    switch (request->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        send_services(call, &response);
        return;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        file = file_named(call->reflection, request->file_by_filename);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        file =
            file_with_symbol(call->reflection, request->file_containing_symbol);
        break;
    default:
        send_error(call->call, &response, RPC_UNIMPLEMENTED,
                   "extensions do not exist in proto3");
        return;
    }
    if (file == NULL) {
        send_error(call->call, &response, RPC_NOT_FOUND, "not found");
    } else {
        send_file(call->call, &response, file);
    }
}

static void on_half_closed(struct rpc_handler *handler)
{
    struct reflection_call *call =
        container_of(handler, struct reflection_call, handler);

    rpc_call_finish(call->call, RPC_OK, "%s", "");
}

static void on_closed(struct rpc_handler *handler)
{
    free(container_of(handler, struct reflection_call, handler));
}

static const struct rpc_handler_ops handler_ops = {
    .message = on_message,
    .half_closed = on_half_closed,
    .closed = on_closed,
};

static struct rpc_handler *open_call(struct rpc_service *service,
                                     const struct rpc_method *method,
                                     struct rpc_call *rpc_call)
{
    struct reflection_call *call = memory_alloc(sizeof(*call));

    (void)method;
    call->handler.ops = &handler_ops;
    call->reflection = container_of(service, struct rpc_reflection, service);
    call->call = rpc_call;
    return &call->handler;
}

void rpc_reflection_init(struct rpc_reflection *reflection,
                         struct rpc_server *server, const uint8_t *descriptors,
                         size_t len)
{
    static const char *const paths[] = {
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    };
    struct bytes_reader reader;
    struct part part;

    *reflection = (struct rpc_reflection){.service = {open_call}};
    bytes_reader_init(&reader, descriptors, len);
    while (next_part(&reader, &part)) {
        if (part.field == 1 && part.data != NULL) {
            reflection->files = memory_realloc_array(
                reflection->files, reflection->file_count + 1,
                sizeof(*reflection->files));
            read_file(&reflection->files[reflection->file_count++], part.data,
                      part.len);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        reflection->methods[i] = (struct rpc_method){
            .path = paths[i],
            .input =
                &grpc__reflection__v1__server_reflection_request__descriptor,
            .output =
                &grpc__reflection__v1__server_reflection_response__descriptor,
            .client_streams = true,
            .server_streams = true,
            .service = &reflection->service,
        };
        rpc_server_add(server, &reflection->methods[i]);
    }
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
}

void rpc_reflection_close(struct rpc_reflection *reflection)
{
    for (size_t i = 0; i < reflection->file_count; i++) {
        free_names(reflection->files[i].symbols,
                   reflection->files[i].symbol_count);
        free_names(reflection->files[i].services,
                   reflection->files[i].service_count);
    }
    free(reflection->files);
}
