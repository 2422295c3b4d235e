/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests made from options: fields are found by their names in the .proto
 * files and read by their types, so a wrong value is told in the same words as
 * in a file. */
#ifndef CTL_REQUEST_H
#define CTL_REQUEST_H

#include "ctl/invocation.h"

#include <protobuf-c/protobuf-c.h>

/* A message with defaults, in the invocation's arena. */
ProtobufCMessage *request_create(struct invocation *invocation,
                                 const ProtobufCMessageDescriptor *descriptor);

/* The object in the YAML or JSON file that `option` names, or one with defaults
 * where it is not given. NULL: the file was wrong and is told. */
ProtobufCMessage *request_read_file(
    struct invocation *invocation, const ProtobufCMessageDescriptor *descriptor,
    enum option option);

/* The input message of a method, with request_id, expect_revision, dry_run and
 * consistency from the options. NULL: a value was wrong and is told. */
ProtobufCMessage *request_for(struct invocation *invocation,
                              const char *method);

/* Sets the field from text; false: told as an error of `what` ("--priority").
 */
bool request_set(struct invocation *invocation, ProtobufCMessage *message,
                 const char *field, const char *text, const char *what);

/* As request_set() from an option's value; true also when it was not given. */
bool request_set_option(struct invocation *invocation,
                        ProtobufCMessage *message, const char *field,
                        enum option option);

/* Adds to a list. */
bool request_add(struct invocation *invocation, ProtobufCMessage *message,
                 const char *field, const char *text, const char *what);

/* Adds every use of an option, split at commas. */
bool request_add_options(struct invocation *invocation,
                         ProtobufCMessage *message, const char *field,
                         enum option option);

/* A copy in the invocation's arena. */
char *request_copy(struct invocation *invocation, const char *text, size_t len);

/* Memory from the invocation's arena; ends the program when a line asks for
 * more than it holds. */
void *request_alloc(struct invocation *invocation, size_t size);

/* Calls the method; on failure tells it, about `name` (may be NULL), and
 * returns its exit code. The response is freed with hf_message_free(). */
enum exit_code request_call(struct invocation *invocation, const char *method,
                            const ProtobufCMessage *request, const char *name,
                            ProtobufCMessage **response);

/* The answer of a read by name, freed likewise; NULL: it failed, and nothing is
 * told. */
ProtobufCMessage *request_try_get(struct invocation *invocation,
                                  const char *method, const char *name);

/* A listing begins so often before it is given up: a new leader has not kept
 * what the former one went on with. */
#define LIST_TRIES_MAX 5

/* As request_call(), for a page of a list. Where the list can only begin again
 * that is not told, but EXIT_CONFLICT is returned with one of `*tries` less. A
 * failure that is told leaves 0 of them. */
enum exit_code request_call_page(struct invocation *invocation,
                                 const char *method,
                                 const ProtobufCMessage *request,
                                 ProtobufCMessage **response, unsigned *tries);

/* The field that is a message with a view, such as `vm` of CreateVmResponse;
 * NULL: there is none. */
const ProtobufCMessage *response_object(const ProtobufCMessage *response);

/* The field `revision`, or 0. */
uint64_t response_revision(const ProtobufCMessage *response);

#endif
