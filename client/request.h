/* SPDX-License-Identifier: Apache-2.0
 *
 * From a method's name and its message to what is sent, and from what comes to
 * a message. */
#ifndef CLIENT_REQUEST_H
#define CLIENT_REQUEST_H

#include "base/bytes.h"

#include <holdfast/holdfast.h>

/* Above what a node ever takes or sends in one message (4 MiB). */
#define REQUEST_BYTES_MAX ((size_t)16 * 1024 * 1024)

#define REQUEST_PATH_BYTES 128

/* "/holdfast.v1.VmService/CreateVm" for "VmService/CreateVm". */
void request_path(const char *method, char path[REQUEST_PATH_BYTES]);

/* The message packed into `out` (empty), with a request id made for it where it
 * has a field for one and none in it; status->request_id says which. Else a
 * clean status. INVALID_ARGUMENT: the method takes no such message, or is a
 * watch; or the message is too large. */
enum hf_code request_pack(const char *method, const ProtobufCMessage *request,
                          struct bytes *out, struct hf_status *status);

/* A message of a type; NULL: malformed, or larger in memory than a message of
 * ours can be. Freed with hf_message_free(). */
ProtobufCMessage *request_unpack(const ProtobufCMessageDescriptor *descriptor,
                                 const uint8_t *data, size_t len);

/* A copy of a WatchRequest, freed with holdfast__v1__watch_request__free_
 * unpacked(). */
struct Holdfast__V1__WatchRequest *request_watch_copy(
    const ProtobufCMessage *request);

#endif
