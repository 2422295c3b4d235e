/* SPDX-License-Identifier: Apache-2.0 */
#include "client/client.h"

#include "base/memory.h"
#include "client/status.h"

#include <stdlib.h>
#include <string.h>

struct hf_client *hf_client_open(const char *endpoints,
                                 struct hf_status *status)
{
    struct hf_client *client = memory_alloc(sizeof(*client));

    if (contact_init(&client->contact, endpoints, status) != HF_STATUS_OK) {
        free(client);
        return NULL;
    }
    return client;
}

void hf_client_close(struct hf_client *client)
{
    if (client != NULL) {
        connection_close(client->connection);
        contact_close(&client->contact);
        free(client);
    }
}

enum hf_code hf_client_use_tls(struct hf_client *client,
                               const struct hf_tls *files,
                               struct hf_status *status)
{
    if (client->connection != NULL) {
        memset(status, 0, sizeof(*status));
        return status_set(status, HF_STATUS_FAILED_PRECONDITION,
                          "TLS is set once, before the first call");
    }
    return contact_use_tls(&client->contact, files, status);
}

uint64_t hf_client_certificate_end(const struct hf_client *client)
{
    const struct tls *tls = client->contact.tls;

    return tls == NULL ? 0 : tls_not_after_s(tls);
}

uint64_t hf_client_node_certificate_end(const struct hf_client *client)
{
    return client->node_certificate_end_s;
}

enum hf_code hf_client_use_token(struct hf_client *client, const char *token,
                                 struct hf_status *status)
{
    return contact_use_token(&client->contact, token, status);
}

void hf_client_set_timeout(struct hf_client *client, uint32_t timeout_ms)
{
    contact_set_timeout(&client->contact, timeout_ms);
}

size_t hf_client_endpoint_count(const struct hf_client *client)
{
    return client->contact.attempts.endpoint_count;
}

const char *hf_client_endpoint(const struct hf_client *client, size_t index)
{
    return contact_endpoint(&client->contact, index);
}

const char *hf_client_endpoint_error(const struct hf_client *client,
                                     size_t index)
{
    return contact_endpoint_error(&client->contact, index);
}
