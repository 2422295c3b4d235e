/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/connect.h"

#include "ctl/format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ENDPOINTS_DEFAULT "127.0.0.1:7400"

static void append_endpoint(struct bytes *list, const char *text)
{
    bytes_append(list, ",", list->len > 0);
    bytes_append(list, text, strlen(text));
}

/* All --endpoint options, else a context that was named, else the environment,
 * else the context in use, else this machine. */
static void endpoints_of(const struct invocation *invocation,
                         struct bytes *list)
{
    const Holdfast__V1__Context *context = invocation->context;
    const char *from = getenv("HOLDFAST_ENDPOINTS");
    const char *text;

    for (size_t i = 0; (text = arguments_value_at(invocation->arguments,
                                                  OPTION_ENDPOINT, i)) != NULL;
         i++) {
        append_endpoint(list, text);
    }
    if (list->len == 0 && from != NULL && from[0] != '\0' &&
        !invocation->context_is_named) {
        append_endpoint(list, from);
    }
    if (list->len == 0 && context != NULL) {
        for (size_t i = 0; i < context->n_endpoints; i++) {
            append_endpoint(list, context->endpoints[i]);
        }
    }
    if (list->len == 0) {
        append_endpoint(list, ENDPOINTS_DEFAULT);
    }
    bytes_append_u8(list, '\0');
}

/* An option, else the environment, else the context (which comes before the
 * environment when it was named); NULL: none of them. */
static const char *setting(const struct invocation *invocation,
                           enum option option, const char *variable,
                           const char *of_context)
{
    const char *value = arguments_value(invocation->arguments, option);
    const char *from = getenv(variable);
    bool has_from = from != NULL && from[0] != '\0';

    if (value == NULL && has_from && !invocation->context_is_named) {
        value = from;
    }
    value = value == NULL ? of_context : value;
    return value == NULL || value[0] == '\0' ? NULL : value;
}

static bool use_tls(struct invocation *invocation, struct hf_client *client)
{
    const Holdfast__V1__Context *context = invocation->context;
    const struct hf_tls files = {
        .ca = setting(invocation, OPTION_TLS_CA, "HOLDFAST_TLS_CA",
                      context == NULL ? NULL : context->tls_ca),
        .certificate =
            setting(invocation, OPTION_TLS_CERT, "HOLDFAST_TLS_CERT",
                    context == NULL ? NULL : context->tls_certificate),
        .key = setting(invocation, OPTION_TLS_KEY, "HOLDFAST_TLS_KEY",
                       context == NULL ? NULL : context->tls_key),
    };
    struct hf_status status;

    if (files.ca == NULL && files.certificate == NULL && files.key == NULL) {
        return true;
    }
    if (files.ca == NULL) {
        (void)usage_error(invocation, "--tls-ca: without the authority of the "
                                      "nodes there is no TLS");
        return false;
    }
    if (hf_client_use_tls(client, &files, &status) != HF_STATUS_OK) {
        (void)usage_error(invocation, "%s", status.message);
        return false;
    }
    return true;
}

#define TOKEN_FILE_MAX 4096

/* The file's first line. A token is worth what a key is, and so may not be
 * readable by others. */
static bool read_token(const char *path, char *token, size_t size, char *error,
                       size_t error_size)
{
    FILE *file = fopen(path, "re");
    struct stat found;
    size_t len;

    if (file == NULL) {
        (void)snprintf(error, error_size, "%s: %s", path, strerror(errno));
        return false;
    }
    if (fstat(fileno(file), &found) != 0 ||
        (S_ISREG(found.st_mode) &&
         (found.st_mode & (S_IRWXO | S_IWGRP)) != 0)) {
        (void)snprintf(error, error_size,
                       "%s: others can read or change this token: chmod 600 "
                       "it, and make another if they may have",
                       path);
        (void)fclose(file);
        return false;
    }
    len = fread(token, 1, size - 1, file);
    (void)fclose(file);
    token[len] = '\0';
    token[strcspn(token, "\r\n")] = '\0';
    return true;
}

/* A file that is named counts before the environment's token. */
static bool use_token(struct invocation *invocation, struct hf_client *client)
{
    const char *path =
        setting(invocation, OPTION_TOKEN_FILE, "HOLDFAST_TOKEN_FILE", NULL);
    const char *from = getenv("HOLDFAST_TOKEN");
    char token[TOKEN_FILE_MAX];
    char error[HF_MESSAGE_MAX];
    struct hf_status status;

    if (path == NULL && (from == NULL || from[0] == '\0')) {
        return true;
    }
    if (path == NULL) {
        (void)snprintf(token, sizeof(token), "%s", from);
    } else if (!read_token(path, token, sizeof(token), error, sizeof(error))) {
        (void)usage_error(invocation, "--token-file: %s", error);
        return false;
    }
    if (hf_client_use_token(client, token, &status) != HF_STATUS_OK) {
        (void)usage_error(invocation, "%s", status.message);
        return false;
    }
    return true;
}

static struct hf_client *open_client(struct invocation *invocation,
                                     const char *endpoints)
{
    struct hf_status status;
    struct hf_client *client = hf_client_open(endpoints, &status);

    if (client == NULL) {
        (void)usage_error(invocation, "--endpoint: %s", status.message);
    } else if (!use_tls(invocation, client) || !use_token(invocation, client)) {
        hf_client_close(client);
        client = NULL;
    }
    return client;
}

bool connect_client(struct invocation *invocation)
{
    const char *timeout =
        arguments_value(invocation->arguments, OPTION_TIMEOUT);
    uint64_t timeout_ms = 0;
    struct bytes list;

    if (timeout != NULL && (!format_read_duration(timeout, &timeout_ms) ||
                            timeout_ms > UINT32_MAX)) {
        (void)usage_error(invocation,
                          "--timeout: `%s` is no time; write 500ms, 10s or 2m",
                          timeout);
        return false;
    }
    bytes_init(&list);
    endpoints_of(invocation, &list);
    invocation->client = open_client(invocation, (const char *)list.data);
    bytes_close(&list);
    if (invocation->client != NULL && timeout_ms > 0) {
        hf_client_set_timeout(invocation->client, (uint32_t)timeout_ms);
    }
    return invocation->client != NULL;
}

struct hf_client *connect_to(struct invocation *invocation,
                             const char *endpoint)
{
    return open_client(invocation, endpoint);
}
