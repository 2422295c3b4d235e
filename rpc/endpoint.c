/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/endpoint.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

bool rpc_endpoint_parse(const char *endpoint, char *host, uint16_t *port)
{
    const char *colon = strrchr(endpoint, ':');
    const char *from = endpoint;
    unsigned long number;
    size_t len;
    char *end;

    if (colon == NULL || colon[1] < '0' || colon[1] > '9') {
        return false;
    }
    len = (size_t)(colon - endpoint);
    if (len >= 2 && from[0] == '[' && from[len - 1] == ']') {
        from++;
        len -= 2;
    } else if (memchr(from, ':', len) != NULL) {
        return false; /* An IPv6 address stands in brackets. */
    }
    number = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || number == 0 || number > UINT16_MAX || len == 0 ||
        len > RPC_ENDPOINT_HOST_MAX ||
        strcspn(endpoint, " \t\r\n/") != strlen(endpoint)) {
        return false;
    }
    memcpy(host, from, len);
    host[len] = '\0';
    *port = (uint16_t)number;
    return true;
}
