/* SPDX-License-Identifier: Apache-2.0
 *
 * Server reflection, v1 and v1alpha (the same messages under two names), so
 * that grpcurl and its like need no .proto files. */
#ifndef RPC_REFLECTION_H
#define RPC_REFLECTION_H

#include "rpc/server.h"

struct reflection_file;

struct rpc_reflection {
    struct rpc_service service;
    struct rpc_method methods[2];
    struct reflection_file *files;
    size_t file_count;
};

/* Adds both services. `descriptors` is a FileDescriptorSet as protoc writes it
 * with --include_imports; lent. */
void rpc_reflection_init(struct rpc_reflection *reflection,
                         struct rpc_server *server, const uint8_t *descriptors,
                         size_t len);
void rpc_reflection_close(struct rpc_reflection *reflection);

#endif
