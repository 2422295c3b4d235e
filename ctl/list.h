/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists: all pages as one message, in order of names. The parts that need no
 * server are here for the tests. */
#ifndef CTL_LIST_H
#define CTL_LIST_H

#include "ctl/grid.h"
#include "ctl/invocation.h"

#include <protobuf-c/protobuf-c.h>

/* The field of the response that holds the objects. */
const ProtobufCFieldDescriptor *list_field(
    const ProtobufCMessageDescriptor *response);

/* The objects of a response; as many as list_field() counts. */
ProtobufCMessage **list_items(ProtobufCMessage *response);

/* Moves the objects of `page` behind those of `all`; both are freed as before
 * with hf_message_free(). */
void list_merge(ProtobufCMessage *all, ProtobufCMessage *page);

/* Calls the method until all pages are here, as one message in order of names,
 * which the caller frees with hf_message_free(). */
enum exit_code list_fetch(struct invocation *invocation, const char *method,
                          ProtobufCMessage *request, ProtobufCMessage **all);

/* By name, numbers inside names as numbers: web-2 before web-10. */
void list_sort(ProtobufCMessage *all);

/* Whether a changed object belongs in a watched list with these options. */
bool list_matches(const struct arguments *arguments,
                  const ProtobufCMessage *object);

/* Whether an object belongs into the list with these options, beside what the
 * node filters. */
bool list_is_wanted(const struct arguments *arguments,
                    const ProtobufCMessage *object);

/* Asks again and again, and shows what has changed since `*all`, which becomes
 * the newest answer. Returns when an answer fails, which was told. */
enum exit_code list_poll(struct invocation *invocation, const char *method,
                         ProtobufCMessage **all, struct grid *grid);

/* Whether two states of an object have different rows. */
bool list_looks_changed(const ProtobufCMessage *before,
                        const ProtobufCMessage *now);

#endif
