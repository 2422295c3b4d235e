/* SPDX-License-Identifier: Apache-2.0
 *
 * CHECK() states what must be true whatever comes in from outside. It stays on
 * in release builds: a control plane that carries on with a broken invariant
 * can start a VM twice. Never use it for input; input gets a typed error. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

/* Prints the failed expression and where it stands, then aborts. */
_Noreturn void check_failed(const char *expression, const char *file, int line,
                            const char *function);

#define CHECK(expression)   \
    ((expression) ? (void)0 \
                  : check_failed(#expression, __FILE__, __LINE__, __func__))

/* This point is never reached; says what would have to be otherwise. */
#define CHECK_UNREACHABLE(text) \
    check_failed("unreachable: " text, __FILE__, __LINE__, __func__)

#endif
