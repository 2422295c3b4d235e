/* SPDX-License-Identifier: Apache-2.0
 *
 * What blocking calls and watches share. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "client/connection.h"
#include "client/contact.h"

#include <holdfast/holdfast.h>

/* Long enough for one lost packet on the way (the kernel sends it again after
 * 1 s), short enough to find the next node well within a call. */
#define CONNECT_TIMEOUT_MS 1500

struct hf_client {
    struct contact contact;
    /* To endpoint `connected`; NULL: none. */
    struct connection *connection;
    size_t connected;
    uint64_t node_certificate_end_s; /* 0: none was shown. */
};

#endif
