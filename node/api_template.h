/* SPDX-License-Identifier: Apache-2.0
 *
 * A VM's template, checked and encoded as it is kept. */
#ifndef NODE_API_TEMPLATE_H
#define NODE_API_TEMPLATE_H

#include "node/api.h"

#include <holdfast/v1/resources.pb-c.h>

struct vm_template {
    enum driver driver;
    struct text pools[CHANGE_POOLS_MAX]; /* Lent from the message. */
    uint32_t pool_count;
    struct bytes encoded;
};

void vm_template_init(struct vm_template *template);
void vm_template_close(struct vm_template *template);

/* Whether the message keeps the rules of resources.proto; otherwise the reply
 * names the field. */
bool api_check_template(struct api_reply *reply,
                        const Holdfast__V1__VmTemplate *message,
                        struct vm_template *template);

#endif
