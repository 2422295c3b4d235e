/* SPDX-License-Identifier: Apache-2.0
 *
 * `holdfast ca` and `holdfast cert`: a working PKI without another program.
 * Nothing here speaks with a region. */
#include "tls/pki.h"

#include "base/clock.h"
#include "base/error.h"
#include "ctl/format.h"
#include "ctl/grid.h"
#include "ctl/invocation.h"
#include "ctl/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIR_DEFAULT "."

/* A refusal is worth an exit code that a script can tell from a bad word on the
 * command line. */
static enum exit_code failed(const struct invocation *invocation, int rv,
                             const char *error)
{
    if (rv == HF_ERROR_INVALID) {
        return usage_error(invocation, "%s", error);
    }
    (void)fprintf(stderr, "holdfast: %s\n", error);
    return rv == HF_ERROR_NOT_FOUND ? EXIT_NOT_FOUND
           : rv == HF_ERROR_EXISTS  ? EXIT_CONFLICT
                                    : EXIT_FAILED;
}

static const char *value_or(const struct invocation *invocation,
                            enum option option, const char *otherwise)
{
    const char *value = arguments_value(invocation->arguments, option);

    return value == NULL ? otherwise : value;
}

enum exit_code run_ca_init(struct invocation *invocation)
{
    const char *dir = value_or(invocation, OPTION_DIR, "holdfast-ca");
    char error[512];
    char line[1200];
    int rv = pki_init(dir, value_or(invocation, OPTION_REGION, ""), error,
                      sizeof(error));

    if (rv != 0) {
        return failed(invocation, rv, error);
    }
    for (int role = 0; role < PKI_ROLE_COUNT; role++) {
        int len = snprintf(line, sizeof(line), "%s/%s-ca.crt\n", dir,
                           pki_role_name((enum pki_role)role));

        bytes_append(&invocation->out, line, (size_t)len);
    }
    (void)fprintf(stderr,
                  "Made authorities for nodes, agents and clients. Keep the "
                  ".key files off the\nregion's machines: who has them can be "
                  "anybody. Next: `holdfast cert issue`.\n");
    return EXIT_OK;
}

static bool read_role(const char *text, enum pki_role *role)
{
    for (int i = 0; i < PKI_ROLE_COUNT; i++) {
        if (strcmp(text, pki_role_name((enum pki_role)i)) == 0) {
            *role = (enum pki_role)i;
            return true;
        }
    }
    return false;
}

static bool read_number(const char *text, uint32_t max, uint32_t *value)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);

    *value = (uint32_t)number;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && number <= max;
}

/* The id of a node is its name in the certificate: pinned by the others. */
static enum exit_code fill_node(struct invocation *invocation,
                                struct pki_request *request)
{
    const char *id = arguments_value(invocation->arguments, OPTION_NODE_ID);

    if (request->role != PKI_NODE) {
        return id == NULL
                   ? EXIT_OK
                   : usage_error(invocation, "--id: only nodes have ids");
    }
    if (id == NULL) {
        return usage_error(invocation,
                           "--id: a node's certificate needs its id, as "
                           "`nodes` of its configuration says");
    }
    request->common_name = request->name;
    request->name = id;
    return EXIT_OK;
}

static enum exit_code fill_request(struct invocation *invocation,
                                   struct pki_request *request)
{
    const struct arguments *arguments = invocation->arguments;
    const char *days = arguments_value(arguments, OPTION_DAYS);
    const char *address;

    if (!read_role(arguments->names[0], &request->role)) {
        return usage_error(invocation,
                           "`%s` is no role; it is node, agent or client",
                           arguments->names[0]);
    }
    request->name = arguments->names[1];
    if (days != NULL &&
        (!read_number(days, PKI_LEAF_DAYS_MAX, &request->days) ||
         request->days == 0)) {
        return usage_error(invocation, "--days: `%s` is not 1 to %d", days,
                           PKI_LEAF_DAYS_MAX);
    }
    while ((address = arguments_value_at(arguments, OPTION_ADDRESS,
                                         request->host_count)) != NULL) {
        if (request->host_count == PKI_NAMES_MAX) {
            return usage_error(invocation, "--address: more than %d",
                               PKI_NAMES_MAX);
        }
        request->hosts[request->host_count++] = address;
    }
    return fill_node(invocation, request);
}

enum exit_code run_cert_issue(struct invocation *invocation)
{
    const char *ca = value_or(invocation, OPTION_DIR, "holdfast-ca");
    const char *out = value_or(invocation, OPTION_OUT_DIR, DIR_DEFAULT);
    const char *file;
    struct pki_request request = {.role = PKI_NODE};
    enum exit_code code = fill_request(invocation, &request);
    char error[512];
    char line[1200];
    int len;
    int rv;

    if (code != EXIT_OK) {
        return code;
    }
    file = invocation->arguments->names[1];
    if (strchr(file, '/') != NULL) {
        return usage_error(invocation, "`%s` is no name", file);
    }
    rv = pki_issue(ca, &request, out, file, error, sizeof(error));
    if (rv != 0) {
        return failed(invocation, rv, error);
    }
    len = snprintf(line, sizeof(line), "%s/%s.crt\n%s/%s.key\n", out, file, out,
                   file);
    bytes_append(&invocation->out, line, (size_t)len);
    return EXIT_OK;
}

static void show_one(struct invocation *invocation, const char *path,
                     const struct pki_facts *facts)
{
    uint64_t now_s = clock_wall_ms() / 1000;
    char line[1600];
    int len;

    if (facts->not_after_s <= now_s) {
        len = snprintf(line, sizeof(line),
                       "%s: %s%s%s, ended %" PRIu64 " days ago\n", path,
                       facts->subject, facts->uri[0] == '\0' ? "" : ", ",
                       facts->uri, (now_s - facts->not_after_s) / 86400);
    } else {
        len = snprintf(line, sizeof(line),
                       "%s: %s%s%s, ends in %" PRIu64 " days\n", path,
                       facts->subject, facts->uri[0] == '\0' ? "" : ", ",
                       facts->uri, (facts->not_after_s - now_s) / 86400);
    }
    bytes_append(&invocation->out, line, (size_t)len);
}

enum exit_code run_cert_show(struct invocation *invocation)
{
    const struct arguments *arguments = invocation->arguments;

    for (size_t i = 0; i < arguments->name_count; i++) {
        struct pki_facts facts;
        char error[512];
        int rv = pki_show(arguments->names[i], &facts, error, sizeof(error));

        if (rv != 0) {
            return failed(invocation, rv, error);
        }
        show_one(invocation, arguments->names[i], &facts);
    }
    return EXIT_OK;
}
