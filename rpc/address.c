/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/address.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_port(const char *text, int *port)
{
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 5 || text[digits] != '\0') {
        return HF_ERROR_INVALID;
    }
    *port = atoi(text);
    return *port <= 65535 ? 0 : HF_ERROR_INVALID;
}

int rpc_address_parse(const char *text, struct sockaddr_storage *address)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    size_t len;
    int port;
    int rv;

    memset(address, 0, sizeof(*address));
    if (colon == NULL || parse_port(colon + 1, &port) != 0) {
        return HF_ERROR_INVALID;
    }
    len = (size_t)(colon - text);
    if (len < 2 || len >= sizeof(host)) {
        return HF_ERROR_INVALID;
    }
    memcpy(host, text, len);
    host[len] = '\0';
    if (host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        rv = uv_ip6_addr(host + 1, port, (struct sockaddr_in6 *)address);
    } else {
        rv = uv_ip4_addr(host, port, (struct sockaddr_in *)address);
    }
    return rv == 0 ? 0 : HF_ERROR_INVALID;
}

bool rpc_address_is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;

        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    return IN6_IS_ADDR_LOOPBACK(
        &((const struct sockaddr_in6 *)address)->sin6_addr);
}

static int port_of(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET
                     ? ((const struct sockaddr_in *)address)->sin_port
                     : ((const struct sockaddr_in6 *)address)->sin6_port);
}

void rpc_address_of_peer(const uv_tcp_t *tcp, char *text, size_t size)
{
    struct sockaddr_storage address;
    int len = sizeof(address);
    char host[64];
    int rv;

    snprintf(text, size, "unknown");
    if (uv_tcp_getpeername(tcp, (struct sockaddr *)&address, &len) != 0) {
        return;
    }
    rv = address.ss_family == AF_INET
             ? uv_ip4_name((struct sockaddr_in *)&address, host, sizeof(host))
             : uv_ip6_name((struct sockaddr_in6 *)&address, host, sizeof(host));
    if (rv == 0) {
        snprintf(text, size, address.ss_family == AF_INET ? "%s:%d" : "[%s]:%d",
                 host, port_of(&address));
    }
}

int rpc_address_port(const uv_tcp_t *tcp)
{
    struct sockaddr_storage address;
    int len = sizeof(address);

    if (uv_tcp_getsockname(tcp, (struct sockaddr *)&address, &len) != 0) {
        return 0;
    }
    return port_of(&address);
}
