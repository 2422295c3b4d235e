/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may do what: grants, tokens. */
#include "base/container.h"
#include "ctl/command_rows.h"
#include "ctl/invocation.h"

#define SCOPE \
    (OPTION(ROLE) | OPTION(SCOPE_ZONES) | OPTION(SCOPE_LABEL) | OPTION(EXPIRES))
#define RESCOPE                                                                \
    (OPTION(ROLE) | OPTION(SCOPE_ZONES) | OPTION(EVERY_ZONE) | OPTION(LABEL) | \
     OPTION(EXPIRES))

/* Of grants and of tokens. */
#define UPDATE_DETAILS                                                         \
    "Only what is given changes. --zone takes the place of the zones that it " \
    "had,\n--every-zone takes that limit away; --label adds one, or gives it " \
    "another\nvalue; KEY- takes it away. Whose it is stays, and so does a "    \
    "token's secret. It\ncounts at once, also for watches that are open. One " \
    "administrator's grant\nalways stays that never ends."

const struct command commands_access[] = {
    {.noun = "auth",
     .verb = "can-i",
     .names = "METHOD|NOUN VERB",
     .name_min = 1,
     .name_max = 3,
     .options = OPTION(SCOPE_ZONE) | OPTION(SCOPE_LABEL) | READ,
     .summary = "whether you may do something",
     .details =
         "  holdfast auth can-i vm delete --zone z1 --label team=blue\n"
         "  holdfast auth can-i VmService/DeleteVm\n\nFor VMs and groups "
         "--zone and --label say which: one that can be in that\nzone "
         "only and has those labels; without --zone, one that can be "
         "anywhere.\nExit code 0: yes; 6: no, with what is missing.",
     .method = "AccessService/CanI",
     .run = run_auth_can_i},
    {.noun = "grant",
     .verb = "create",
     .names = "NAME",
     .name_min = 1,
     .name_max = 1,
     .options = OPTION(CLIENT) | SCOPE | CHANGE,
     .summary = "give a role to a client's certificate",
     .details =
         "  holdfast grant create anna --client anna --role admin\n"
         "  holdfast grant create web --client ben --role operator --label "
         "team=web\n\nRoles: viewer reads everything. operator also changes "
         "VMs and groups and,\nwithout a scope, drains and cordons hosts and "
         "zones, changes reservations and\napplies plans. drill-runner reads "
         "and makes plans. admin does everything.\n\n--zone and --label make a "
         "scope, for operators: VMs and groups that can be in\nno other zone "
         "and have all of the labels, before a change and after it.\n\n"
         "--expires says when it ends: in so long, or at a time as RFC 3339 "
         "writes it;\nelse never. Then it allows nothing, and is listed until "
         "it is deleted.\n\nWhile there is no grant, every client is an "
         "administrator; the first one must\nmake you one, without an end.",
     .method = "AccessService/CreateGrant",
     .outcome = "created",
     .run = run_grant_create},
    {.noun = "grant",
     .verb = "list",
     .names = "",
     .options = LIST,
     .summary = "list grants, of clients and of tokens",
     .method = "AccessService/ListGrants",
     .run = run_list},
    {.noun = "grant",
     .verb = "update",
     .names = "NAME",
     .name_min = 1,
     .name_max = 1,
     .options = RESCOPE | CHANGE,
     .summary = "give a grant another role, scope or end",
     .details = "  holdfast grant update web --role viewer --every-zone "
                "--label team-\n"
                "  holdfast grant update ben --expires 30d\n\n" UPDATE_DETAILS,
     .method = "AccessService/UpdateGrant",
     .outcome = "updated",
     .run = run_grant_update},
    {.noun = "grant",
     .verb = "delete",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = CHANGE | OPTION(YES),
     .destroys = true,
     .summary = "take roles away, at once",
     .method = "AccessService/DeleteGrant",
     .outcome = "deleted",
     .run = run_simple},
    {.noun = "token",
     .verb = "create",
     .names = "NAME",
     .name_min = 1,
     .name_max = 1,
     .options = SCOPE | CHANGE,
     .summary = "make a token with a role, and print its secret once",
     .details =
         "  holdfast token create ci --role operator --label team=ci \\\n"
         "    --expires 90d > ci.token\n\nA token is for who has no "
         "certificate: sent as "
         "`authorization: Bearer hf_...`\nover TLS, or by this program with "
         "$HOLDFAST_TOKEN or --token-file. The secret\nis made here; the "
         "region "
         "gets and keeps only its hash. Roles, scopes, ends: see\n`holdfast "
         "grant create --help`.",
     .method = "AccessService/CreateGrant",
     .outcome = "created",
     .run = run_token_create},
    {.noun = "token",
     .verb = "list",
     .names = "",
     .options = LIST,
     .summary = "list tokens, without their secrets",
     .method = "AccessService/ListGrants",
     .run = run_list},
    {.noun = "token",
     .verb = "update",
     .names = "NAME",
     .name_min = 1,
     .name_max = 1,
     .options = RESCOPE | CHANGE,
     .summary = "give a token another role, scope or end",
     .details = "  holdfast token update ci --expires 90d\n"
                "  holdfast token update ci --role viewer --every-zone --label "
                "team-\n\n" UPDATE_DETAILS,
     .method = "AccessService/UpdateGrant",
     .outcome = "updated",
     .run = run_grant_update},
    {.noun = "token",
     .verb = "delete",
     .names = "NAME...",
     .name_min = 1,
     .name_max = MANY,
     .options = CHANGE | OPTION(YES),
     .destroys = true,
     .summary = "refuse tokens from now on",
     .method = "AccessService/DeleteGrant",
     .outcome = "deleted",
     .run = run_simple},
    {.noun = "audit",
     .verb = "list",
     .names = "",
     .options = READ | ORDER | OPTION(CALLER) | OPTION(METHOD) |
                OPTION(OBJECT) | OPTION(SINCE),
     .summary = "list what clients changed",
     .details =
         "  holdfast audit list --since 1h -o wide\n"
         "  holdfast audit list --object host/h1 --caller client:anna\n\nEvery "
         "request of a client that was carried out, the oldest first, with "
         "what\nit changed. So many are kept as the setting "
         "audit_records_max says.",
     .method = "AuditService/ListAuditRecords",
     .run = run_list},
    {.noun = "audit",
     .verb = "export",
     .names = "",
     .options = READ | OPTION(AFTER_NUMBER),
     .summary = "write the records as lines whose chain can be verified",
     .details =
         "  holdfast audit export >> audit.jsonl\n"
         "  holdfast audit export --after 4711 >> audit.jsonl\n\nOne record a "
         "line, as JSON. Each says the SHA-256 of the one before and its own:\n"
         "a record that is changed, left out or put elsewhere shows. With "
         "--after an\nexport goes on where the last one ended.",
     .method = "AuditService/ExportAuditRecords",
     .run = run_audit_export},
    {.noun = "audit",
     .verb = "verify",
     .names = "FILE...",
     .name_min = 1,
     .name_max = MANY,
     .options = OPTION(FIRST_DIGEST) | OPTION(LAST_DIGEST),
     .summary = "check the chain of exported records",
     .details =
         "  holdfast audit verify audit.jsonl\n"
         "  holdfast audit export | holdfast audit verify --last DIGEST -\n\n"
         "The files are one chain in the order given; - is standard input. "
         "Says the first\nline that is wrong. What is missing at the end shows "
         "against --last: note the\ndigest of an export where nobody who "
         "could change it can. Asks no region.\nExit code 0: all is as it "
         "was; 1: it is not.",
     .run = run_audit_verify},
};

const size_t commands_access_count = ARRAY_LEN(commands_access);
