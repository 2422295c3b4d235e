/* SPDX-License-Identifier: Apache-2.0
 *
 * What can go wrong, as negative numbers. Text for people is made where the
 * context is known; this is for the code's decisions. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

enum hf_error {
    HF_OK = 0,
    HF_ERROR_INVALID = -1,     /* The input breaks a rule of its format. */
    HF_ERROR_TOO_LARGE = -2,   /* The input passes a limit. */
    HF_ERROR_CORRUPT = -3,     /* Stored data fails its checksum or chain. */
    HF_ERROR_IO = -4,          /* A file or socket operation failed. */
    HF_ERROR_NOT_FOUND = -5,   /* There is no such thing. */
    HF_ERROR_EXISTS = -6,      /* It is there already. */
    HF_ERROR_NOT_LEADER = -7,  /* This node is not the leader. */
    HF_ERROR_BUSY = -8,        /* A limit on work under way is reached. */
    HF_ERROR_CLOSED = -9,      /* The object is closing or closed. */
    HF_ERROR_UNSUPPORTED = -10 /* This machine or build cannot do it. */
};

/* A short name, "corrupt"; never NULL. */
const char *hf_error_name(int error);

#endif
