/* SPDX-License-Identifier: Apache-2.0
 *
 * Label selectors: "a=b,c!=d,e,!f" - all of these must hold. Pure. */
#ifndef CTL_SELECTOR_H
#define CTL_SELECTOR_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* NULL: it is in order; else the text from where it is not. */
const char *selector_check(const char *selector);

/* Whether it holds for the object's labels; NULL holds for all. A label that is
 * not there is not equal to anything. */
bool selector_matches(const char *selector, const ProtobufCMessage *object);

/* The parts of the form a=b, which nodes know; `text` has room for all of it.
 */
void selector_equal_part(const char *selector, char *text);

#endif
