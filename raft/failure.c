/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/failure.h"

#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int failure_set(struct failure *failure, enum replica_failure code,
                const char *format, ...)
{
    va_list arguments;
    failure->code = code;
    va_start(arguments, format);
    vsnprintf(failure->reason, sizeof failure->reason, format, arguments);
    va_end(arguments);
    switch (code) {
    case REPLICA_FAILED_CORRUPT:
    case REPLICA_FAILED_DIVERGED:
        return HF_ERROR_CORRUPT;
    case REPLICA_FAILED_CONFIG:
        return HF_ERROR_INVALID;
    case REPLICA_FAILED_LOCKED:
    case REPLICA_FAILED_STORAGE:
    case REPLICA_FAILED_SPACE:
    default:
        return HF_ERROR_IO;
    }
}

int failure_io(struct failure *failure, int rv, const char *verb,
               const char *path)
{
    char text[128];
    if (rv == -ENOSPC || rv == -EDQUOT) {
        return failure_set(failure, REPLICA_FAILED_SPACE,
                           "cannot %s %s: the disk is full; free some space "
                           "and start the node again",
                           verb, path);
    }
    return failure_set(failure, REPLICA_FAILED_STORAGE,
                       "cannot %s %s: %s; check the disk, then start the "
                       "node again",
                       verb, path, strerror_r(-rv, text, sizeof text));
}
