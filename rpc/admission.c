/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/admission.h"

#include "rpc/limits.h"

#include <string.h>

static bool same_address(const char *peer, const char *other)
{
    const char *port = strrchr(peer, ':');
    size_t len = port == NULL ? strlen(peer) : (size_t)(port - peer);

    return strncmp(peer, other, len) == 0 &&
           (other[len] == ':' || other[len] == '\0');
}

static const struct tls_identity *identity_of(
    const struct server_connection *connection)
{
    return tls_session_identity(connection->base.tls);
}

static bool same_caller(const struct server_connection *connection,
                        const struct server_connection *other)
{
    enum tls_role role = identity_of(connection)->role;

    if (identity_of(other)->role != role) {
        return false;
    }
    return role == TLS_ROLE_NONE ? same_address(connection->peer, other->peer)
                                 : strcmp(identity_of(connection)->name,
                                          identity_of(other)->name) == 0;
}

bool admission_has_room(const struct server_connection *connection)
{
    unsigned count = 0;
    struct list *at;

    list_foreach (at, &connection->server->connections) {
        struct server_connection *other =
            list_entry(at, struct server_connection, link);

        count += other->proven && !other->base.closing &&
                 same_caller(connection, other);
    }
    return count < RPC_CONNECTIONS_PER_CALLER;
}

void admission_vouch(struct server_connection *connection)
{
    connection->proven = connection->proven || connection->base.tls == NULL ||
                         admission_has_room(connection);
}

void admission_make_room(struct rpc_server *server,
                         const struct server_connection *connection)
{
    struct server_connection *nobody = NULL;
    struct server_connection *oldest = NULL;
    unsigned count = 0;
    struct list *at;

    list_foreach (at, &server->connections) {
        struct server_connection *other =
            list_entry(at, struct server_connection, link);

        if (!other->proven && !other->base.closing &&
            same_address(connection->peer, other->peer)) {
            oldest = oldest == NULL ? other : oldest;
            nobody = nobody == NULL && other->settled ? other : nobody;
            count++;
        }
    }
    if (count > RPC_UNPROVEN_PER_ADDRESS) {
        server->stats.connections_refused++;
        rpc_connection_close(nobody != NULL ? &nobody->base : &oldest->base,
                             "too many connections that nobody answers for");
    }
}
