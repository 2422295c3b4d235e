/* SPDX-License-Identifier: Apache-2.0 */
#include "node/node_join.h"

#include "base/log.h"
#include "node/node.h"
#include "tls/pki_join.h"

#include <holdfast/v1/join_service.pb-c.h>

#define RESPONSE_ARENA_BYTES (64u << 10)

int node_join_open(struct node *node)
{
    const Holdfast__V1__TlsFiles *config = node->config->tls;
    char error[512];

    if (config->agent_ca_key[0] == '\0') {
        return 0;
    }
    node->signer = pki_signer_create(config->agent_ca, config->agent_ca_key,
                                     error, sizeof(error));
    if (node->signer == NULL) {
        log_error("tls.failed", "reason=\"tls.agent_ca_key: %s\"", error);
        return EXIT_CONFIG;
    }
    return 0;
}

bool node_join_allow(const struct node *node, struct api_reply *reply)
{
    if (node->signer == NULL) {
        api_fail(reply, API_JOIN_OFF,
                 "node '%s', which leads, has no key of the agents' authority: "
                 "set tls.agent_ca_key on all nodes, or issue the certificate "
                 "by `holdfast cert issue agent`",
                 node->self->name);
    }
    return node->signer != NULL;
}

void node_join_sign(const struct node *node, const ProtobufCMessage *request,
                    struct api_reply *reply)
{
    const Holdfast__V1__JoinHostRequest *join =
        (const Holdfast__V1__JoinHostRequest *)(const void *)request;
    const struct pki_request leaf = {.role = PKI_AGENT, .name = join->name};
    const struct bytes csr = {.data = join->csr.data, .len = join->csr.len};
    Holdfast__V1__JoinHostResponse *response;
    struct arena arena;
    struct bytes pem;
    char error[256];

    if (reply->code != RPC_OK) {
        return;
    }
    bytes_init(&pem);
    if (pki_signer_sign(node->signer, &leaf, &csr, &pem, error,
                        sizeof(error)) != 0) {
        api_fail(reply, API_JOIN_OFF, "no certificate could be made: %s",
                 error);
        log_error("host.join_failed", "host=%s reason=\"%s\"", join->name,
                  error);
        bytes_close(&pem);
        return;
    }
    bytes_append_u8(&pem, '\0');
    arena_init(&arena, RESPONSE_ARENA_BYTES);
    response = (Holdfast__V1__JoinHostResponse *)(void *)api_unpack(
        &holdfast__v1__join_host_response__descriptor, reply->response.data,
        reply->response.len, &arena);
    response->certificate = (char *)pem.data;
    api_respond(reply, &response->base);
    log_info("host.joined", "host=%s", join->name);
    arena_close(&arena);
    bytes_close(&pem);
}
