/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

const char *hf_error_name(int error)
{
    switch (error) {
    case HF_OK:
        return "ok";
    case HF_ERROR_INVALID:
        return "invalid";
    case HF_ERROR_TOO_LARGE:
        return "too_large";
    case HF_ERROR_CORRUPT:
        return "corrupt";
    case HF_ERROR_IO:
        return "io";
    case HF_ERROR_NOT_FOUND:
        return "not_found";
    case HF_ERROR_EXISTS:
        return "exists";
    case HF_ERROR_NOT_LEADER:
        return "not_leader";
    case HF_ERROR_BUSY:
        return "busy";
    case HF_ERROR_CLOSED:
        return "closed";
    case HF_ERROR_UNSUPPORTED:
        return "unsupported";
    default:
        return "unknown";
    }
}
