/* SPDX-License-Identifier: Apache-2.0
 *
 * Roles: who may call what, the way from no grants to some, and scopes. */
#include "base/container.h"
#include "node/api_check.h"
#include "support/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <holdfast/v1/access_service.pb-c.h>
#include <holdfast/v1/audit_service.pb-c.h>
#include <holdfast/v1/class_service.pb-c.h>
#include <holdfast/v1/cluster_service.pb-c.h>
#include <holdfast/v1/group_service.pb-c.h>
#include <holdfast/v1/host_service.pb-c.h>
#include <holdfast/v1/join_service.pb-c.h>
#include <holdfast/v1/manifest_service.pb-c.h>
#include <holdfast/v1/operation_service.pb-c.h>
#include <holdfast/v1/plan_service.pb-c.h>
#include <holdfast/v1/reservation_service.pb-c.h>
#include <holdfast/v1/vm_service.pb-c.h>
#include <holdfast/v1/watch_service.pb-c.h>
#include <holdfast/v1/zone_service.pb-c.h>

static const struct access_subject root = {SUBJECT_BY_CERTIFICATE, "root", {0}};
static const struct access_subject anna = {SUBJECT_BY_CERTIFICATE, "anna", {0}};
static const struct access_subject ci = {
    SUBJECT_BY_TOKEN, "", {0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61,
                           0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61,
                           0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61,
                           0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61}};
/* Of 32 times 'a', as YAML writes bytes: base64. */
#define CI_HASH "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="

#define VM(name, more)                                                  \
    "vm: {name: " name ", class_name: small, template: {driver: exec, " \
    "command: [/bin/true]}" more "}"
#define GROUP(name, more, template)       \
    "group: {name: " name ", " more       \
    "template: {" template ", template: " \
                           "{driver: exec, command: [/bin/true]}}}"
#define ADMIN_GRANT \
    "grant: {name: root, subject_kind: client, client: root, role: admin}"

static struct desk *desk_with_root(void)
{
    struct desk *desk = desk_create();

    desk->caller = &root;
    desk_ok(desk, "CreateGrant", ADMIN_GRANT);
    return desk;
}

static void give(struct desk *desk, const char *name, const char *role,
                 const char *scope)
{
    char yaml[300];

    snprintf(yaml, sizeof(yaml),
             "grant: {name: %s, subject_kind: client, client: anna, role: "
             "%s%s}",
             name, role, scope);
    desk->caller = &root;
    desk_ok(desk, "CreateGrant", yaml);
    desk->caller = &anna;
}

/* --- The table ------------------------------------------------------------ */

static bool is_listed(const char *path)
{
    for (const struct api_method *at = api_methods; at->path != NULL; at++) {
        if (strcmp(at->path, path) == 0) {
            return at->permission != PERMISSION_NONE;
        }
    }
    return access_permission_of(path) != PERMISSION_NONE;
}

static size_t check_service(const ProtobufCServiceDescriptor *service)
{
    char path[128];

    for (unsigned i = 0; i < service->n_methods; i++) {
        snprintf(path, sizeof(path), "/%s/%s", service->name,
                 service->methods[i].name);
        if (!is_listed(path)) {
            fail_msg("%s has no permission", path);
        }
    }
    return service->n_methods;
}

static size_t listed_methods(void)
{
    size_t count = 0;

    for (const struct api_method *at = api_methods; at->path != NULL; at++) {
        count++;
    }
    for (const struct access_method *at = access_methods; at->path != NULL;
         at++) {
        count++;
    }
    return count;
}

static void every_public_method_has_a_permission(void **unused)
{
    static const ProtobufCServiceDescriptor *const services[] = {
        &holdfast__v1__access_service__descriptor,
        &holdfast__v1__audit_service__descriptor,
        &holdfast__v1__class_service__descriptor,
        &holdfast__v1__cluster_service__descriptor,
        &holdfast__v1__group_service__descriptor,
        &holdfast__v1__host_service__descriptor,
        &holdfast__v1__join_service__descriptor,
        &holdfast__v1__manifest_service__descriptor,
        &holdfast__v1__operation_service__descriptor,
        &holdfast__v1__plan_service__descriptor,
        &holdfast__v1__reservation_service__descriptor,
        &holdfast__v1__vm_service__descriptor,
        &holdfast__v1__watch_service__descriptor,
        &holdfast__v1__zone_service__descriptor,
    };
    size_t known = 0;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        known += check_service(services[i]);
    }
    /* And no service is missing above. */
    assert_int_equal(known, listed_methods());
}

static void only_methods_on_vms_and_groups_may_be_scoped(void **unused)
{
    (void)unused;
    for (const struct api_method *at = api_methods; at->path != NULL; at++) {
        bool workload = strstr(at->path, ".VmService/") != NULL ||
                        strstr(at->path, ".GroupService/") != NULL;

        assert_true(at->permission != PERMISSION_WORKLOAD || workload);
        assert_true(at->mutate == NULL ||
                    at->permission >= PERMISSION_WORKLOAD);
        assert_true(at->mutate != NULL ||
                    at->permission < PERMISSION_WORKLOAD ||
                    strstr(at->path, "ListGrants") != NULL ||
                    strstr(at->path, "ListJoinTokens") != NULL ||
                    strstr(at->path, ".AuditService/") != NULL);
    }
}

static void each_role_may_what_the_table_says(void **unused)
{
    static const struct {
        const char *method;
        const char *yaml;
        const char *roles; /* First letters. */
    } rows[] = {
        {"ListVms", "{}", "void"},
        {"ListZones", "{}", "void"},
        {"GetSettings", "{}", "void"},
        {"CanI", "method: VmService/CreateVm", "void"},
        {"CreateVm", "{dry_run: true, " VM("v", "") "}", "oa"},
        {"CreateGroup", "{dry_run: true, group: {name: g}}", "oa"},
        {"CordonHost", "{dry_run: true, name: h1}", "oa"},
        {"CordonZone", "{dry_run: true, name: z1}", "oa"},
        {"CreateReservation",
         "{dry_run: true, reservation: {name: r, zone: z1, class_name: small, "
         "count: 1}}",
         "oa"},
        {"CreateZone", "{dry_run: true, name: z9}", "a"},
        {"DeleteClass", "{dry_run: true, name: small}", "a"},
        {"ListGrants", "{}", "a"},
        {"ListJoinTokens", "{}", "a"},
        {"ListAuditRecords", "{}", "a"},
        {"ExportAuditRecords", "{}", "a"},
        {"DeleteGrant", "{dry_run: true, name: given}", "a"},
    };
    static const char *const roles[] = {"viewer", "operator", "admin",
                                        "drill_runner"};

    (void)unused;
    for (size_t role = 0; role < ARRAY_LEN(roles); role++) {
        struct desk *desk = desk_with_root();

        give(desk, "given", roles[role], "");
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            bool may = strcmp(rows[i].roles, "void") == 0 ||
                       strchr(rows[i].roles, roles[role][0]) != NULL;

            if (may) {
                desk_ok(desk, rows[i].method, rows[i].yaml);
            } else {
                desk_refused(desk, rows[i].method, rows[i].yaml, "ROLE_NEEDED",
                             "needs the role");
            }
        }
        desk_destroy(desk);
    }
}

static void drill_runners_make_plans_and_apply_none(void **unused)
{
    (void)unused;
    assert_true(access_role_has(ACCESS_ROLE_DRILL_RUNNER, PERMISSION_REHEARSE));
    assert_false(access_role_has(ACCESS_ROLE_VIEWER, PERMISSION_REHEARSE));
    for (const struct api_method *at = api_methods; at->path != NULL; at++) {
        if (strstr(at->path, "/MakePlan") != NULL) {
            assert_int_equal(at->permission, PERMISSION_REHEARSE);
        }
        if (strstr(at->path, "/ApplyPlan") != NULL) {
            assert_int_equal(at->permission, PERMISSION_OPERATE);
        }
    }
}

/* --- From no grant to some ------------------------------------------------ */

static void without_grants_every_client_is_an_administrator(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk->caller = &anna;
    desk_ok(desk, "CreateZone", "name: z4");
    desk_ok(desk, "CanI", "method: ClusterService/UpdateSettings");
    desk_says(desk, "\"allowed\":true");
    desk_says(desk, "no grant yet");
    /* A token cannot be without its grant. */
    desk->caller = &ci;
    desk_refused(desk, "ListVms", "{}", "TOKEN_UNKNOWN", "token");
    desk_destroy(desk);
}

static void the_first_grant_locks_nobody_out(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk->caller = &anna;
    desk_refused(desk, "CreateGrant", ADMIN_GRANT, "FIRST_GRANT",
                 "yours, 'anna'");
    desk_refused(desk, "CreateGrant",
                 "grant: {name: a, subject_kind: client, client: anna, role: "
                 "operator}",
                 "FIRST_GRANT", "admin");
    desk_refused(desk, "CreateGrant",
                 "grant: {name: a, subject_kind: token, role: admin, "
                 "secret_sha256: " CI_HASH "}",
                 "FIRST_GRANT", "admin");
    desk_ok(desk, "CreateGrant",
            "grant: {name: a, subject_kind: client, client: anna, role: "
            "admin}");
    desk->caller = &root;
    desk_refused(desk, "ListVms", "{}", "ROLE_NEEDED", "client:root has none");
    desk_destroy(desk);
}

static void the_last_administrator_stays(void **unused)
{
    struct desk *desk = desk_with_root();

    (void)unused;
    desk_refused(desk, "DeleteGrant", "name: root", "LAST_ADMIN", "'root'");
    give(desk, "second", "admin", "");
    desk_ok(desk, "DeleteGrant", "name: root");
    desk_refused(desk, "DeleteGrant", "name: second", "LAST_ADMIN", "second");
    desk->caller = &root;
    desk_refused(desk, "DeleteGrant", "name: second", "ROLE_NEEDED",
                 "client:root has none");
    desk_destroy(desk);
}

static void a_token_has_the_role_of_its_grant_until_that_is_deleted(
    void **unused)
{
    struct desk *desk = desk_with_root();

    (void)unused;
    desk_ok(desk, "CreateGrant",
            "grant: {name: ci, subject_kind: token, role: viewer, "
            "secret_sha256: " CI_HASH "}");
    desk_says(desk, "\"secret_sha256\":\"\"");
    desk_refused(desk, "CreateGrant",
                 "grant: {name: cd, subject_kind: token, role: viewer, "
                 "secret_sha256: " CI_HASH "}",
                 "NAME_TAKEN", "secret");
    desk->caller = &ci;
    desk_ok(desk, "ListVms", "{}");
    desk_ok(desk, "CanI", "method: VmService/CreateVm");
    desk_says(desk, "\"allowed\":false");
    desk_says(desk, "token:ci has viewer");
    desk_says(desk, "\"caller\":\"token:ci\"");
    desk->caller = &root;
    desk_ok(desk, "DeleteGrant", "name: ci");
    desk->caller = &ci;
    desk_refused(desk, "ListVms", "{}", "TOKEN_UNKNOWN", "deleted");
    desk_destroy(desk);
}

static void wrong_grants_are_refused(void **unused)
{
    static const struct {
        const char *yaml;
        const char *reason;
        const char *words;
    } rows[] = {
        {"{}", "INVALID_FIELD", "grant: "},
        {"grant: {name: G, subject_kind: client, client: a, role: viewer}",
         "INVALID_FIELD", "grant.name"},
        {"grant: {name: g, client: a, role: viewer}", "INVALID_FIELD",
         "grant.subject_kind"},
        {"grant: {name: g, subject_kind: client, role: viewer}",
         "INVALID_FIELD", "grant.client"},
        {"grant: {name: g, subject_kind: client, client: 'a b', role: viewer}",
         "INVALID_FIELD", "grant.client"},
        {"grant: {name: g, subject_kind: client, client: a}", "INVALID_FIELD",
         "grant.role"},
        {"grant: {name: g, subject_kind: client, client: a, role: viewer, "
         "secret_sha256: " CI_HASH "}",
         "INVALID_FIELD", "grant.secret_sha256"},
        {"grant: {name: g, subject_kind: token, role: viewer}", "INVALID_FIELD",
         "grant.secret_sha256"},
        {"grant: {name: g, subject_kind: token, client: a, role: viewer, "
         "secret_sha256: " CI_HASH "}",
         "INVALID_FIELD", "grant.client"},
        {"grant: {name: g, subject_kind: client, client: a, role: viewer, "
         "zones: [z1]}",
         "INVALID_FIELD", "grant.zones"},
        {"grant: {name: g, subject_kind: client, client: a, role: admin, "
         "labels: {a: b}}",
         "INVALID_FIELD", "grant.labels"},
        {"grant: {name: g, subject_kind: client, client: a, role: operator, "
         "zones: [z9]}",
         "ZONE_NOT_FOUND", "grant.zones"},
        {"grant: {name: root, subject_kind: client, client: a, role: viewer}",
         "NAME_TAKEN", "'root'"},
        {"grant: {name: g, subject_kind: client, client: a, role: viewer, uid: "
         "3}",
         "INVALID_FIELD", "uid"},
        {"{expect_revision: 3, grant: {name: g, subject_kind: client, client: "
         "a, role: viewer}}",
         "INVALID_FIELD", "expect_revision"},
    };
    struct desk *desk = desk_with_root();

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        desk_refused(desk, "CreateGrant", rows[i].yaml, rows[i].reason,
                     rows[i].words);
    }
    desk_refused(desk, "DeleteGrant", "name: none", "GRANT_NOT_FOUND", "none");
    desk_refused(desk, "DeleteGrant", "{name: root, expect_revision: 77}",
                 "REVISION_CONFLICT", "77");
    desk_refused(desk, "CanI", "method: VmService/Steal", "INVALID_FIELD",
                 "method");
    desk_refused(desk, "CanI", "{method: VmService/GetVm, zone: z9}",
                 "ZONE_NOT_FOUND", "zone");
    desk_destroy(desk);
}

static void a_client_has_a_bounded_number_of_grants(void **unused)
{
    struct desk *desk = desk_with_root();
    char name[16];

    (void)unused;
    for (int i = 0; i < CLIENT_GRANTS_MAX; i++) {
        snprintf(name, sizeof(name), "g%d", i);
        give(desk, name, "viewer", "");
    }
    desk->caller = &root;
    desk_refused(desk, "CreateGrant",
                 "grant: {name: more, subject_kind: client, client: anna, "
                 "role: viewer}",
                 "TABLE_FULL", "16");
    desk_destroy(desk);
}

/* --- Scopes --------------------------------------------------------------- */

static void a_scope_of_a_zone_is_for_what_can_be_nowhere_else(void **unused)
{
    struct desk *desk = desk_with_root();

    (void)unused;
    desk_ok(desk, "CreateVm", VM("foreign", ", zone: z2"));
    desk_ok(desk, "CreateClass",
            "vm_class: {name: east, zones: [z1], resources: {cpu_milli: 1, "
            "memory_mib: 1}}");
    give(desk, "here", "operator", ", zones: [z1]");
    desk_ok(desk, "CreateVm", VM("mine", ", zone: z1"));
    desk_ok(desk, "StopVm", "name: mine");
    desk_ok(desk, "ListVms", "{}"); /* Reading has no scope. */
    desk_says(desk, "foreign");
    desk_refused(desk, "CreateVm", VM("v", ", zone: z2"), "OUT_OF_SCOPE",
                 "client:anna");
    desk_refused(desk, "CreateVm", VM("v", ""), "OUT_OF_SCOPE", "zones");
    desk_refused(desk, "DeleteVm", "name: foreign", "OUT_OF_SCOPE", "DeleteVm");
    /* Although nothing would change. */
    desk_refused(desk, "StartVm", "name: foreign", "OUT_OF_SCOPE", "StartVm");
    desk_refused(desk, "StopVm", "name: none", "VM_NOT_FOUND", "none");
    desk_refused(desk, "CordonHost", "name: h1", "ROLE_NEEDED",
                 "without a scope");
    desk_ok(desk, "CreateGroup", "group: {name: g1, zones: [z1]}");
    desk_refused(desk, "CreateGroup", "group: {name: g2, zones: [z1, z2]}",
                 "OUT_OF_SCOPE", "CreateGroup");
    desk_refused(desk, "CreateGroup", "group: {name: g2}", "OUT_OF_SCOPE", "");
    desk_refused(desk, "UpdateGroup",
                 "{group: {name: g1, zones: [z2]}, update_mask: [zones]}",
                 "OUT_OF_SCOPE", "UpdateGroup");
    desk_ok(desk, "CreateGroup", GROUP("g3", "count: 1, ", "class_name: east"));
    desk_destroy(desk);
}

static void a_scope_of_labels_holds_before_and_after(void **unused)
{
    struct desk *desk = desk_with_root();

    (void)unused;
    desk_ok(desk, "CreateVm", VM("prod", ", labels: {team: red}"));
    give(desk, "blue", "operator", ", labels: {team: blue}");
    desk_ok(desk, "CreateVm", VM("mine", ", labels: {team: blue, tier: web}"));
    desk_refused(desk, "CreateVm", VM("v", ", labels: {team: red}"),
                 "OUT_OF_SCOPE", "labels");
    desk_refused(desk, "CreateVm", VM("v", ""), "OUT_OF_SCOPE", "labels");
    /* Neither away with it, nor in with another's. */
    desk_refused(desk, "UpdateVm",
                 "{vm: {name: mine, labels: {team: red}}, update_mask: "
                 "[labels]}",
                 "OUT_OF_SCOPE", "UpdateVm");
    desk_refused(desk, "UpdateVm",
                 "{vm: {name: prod, labels: {team: blue}}, update_mask: "
                 "[labels]}",
                 "OUT_OF_SCOPE", "UpdateVm");
    desk_ok(desk, "UpdateVm",
            "{vm: {name: mine, labels: {team: blue}}, update_mask: [labels]}");
    desk_ok(desk, "DeleteVm", "name: mine");
    desk_destroy(desk);
}

/* Else a group of one's own would be a way to others' VMs. */
static void a_group_is_in_a_scope_with_all_its_members(void **unused)
{
    struct desk *desk = desk_with_root();

    (void)unused;
    desk_ok(desk, "CreateGroup",
            GROUP("g", "", "class_name: small, labels: {team: blue}"));
    desk_ok(desk, "CreateGroup",
            GROUP("other", "", "class_name: small, labels: {team: red}"));
    give(desk, "blue", "operator", ", labels: {team: blue}");
    desk_ok(desk, "CreateVm", VM("mine", ", labels: {team: blue}, group: g"));
    desk_refused(desk, "CreateVm",
                 VM("v", ", labels: {team: blue}, group: other"),
                 "OUT_OF_SCOPE", "");
    desk->caller = &root;
    desk_ok(desk, "CreateVm", VM("theirs", ", labels: {team: red}, group: g"));
    desk->caller = &anna;
    desk_refused(desk, "DeleteGroup", "{name: g, with_joined: true}",
                 "OUT_OF_SCOPE", "DeleteGroup");
    desk_destroy(desk);
}

static void scopes_add_up_object_by_object(void **unused)
{
    struct desk *desk = desk_with_root();

    (void)unused;
    give(desk, "first", "operator", ", zones: [z1], labels: {team: blue}");
    give(desk, "second", "operator", ", zones: [z2]");
    desk_ok(desk, "CreateVm", VM("a", ", zone: z1, labels: {team: blue}"));
    desk_ok(desk, "CreateVm", VM("b", ", zone: z2"));
    desk_refused(desk, "CreateVm", VM("c", ", zone: z1"), "OUT_OF_SCOPE", "");
    desk_ok(desk, "CanI",
            "{method: VmService/CreateVm, zone: z1, labels: {team: blue}}");
    desk_says(desk, "\"allowed\":true");
    desk_ok(desk, "CanI", "{method: VmService/CreateVm, zone: z1}");
    desk_says(desk, "\"allowed\":false");
    desk_ok(desk, "CanI", "{method: VmService/CreateVm}");
    desk_says(desk, "\"allowed\":false");
    desk_says(desk, "\"roles\":[\"operator\",\"admin\"]");
    desk_destroy(desk);
}

static void a_scoped_change_counts_once_and_dry_runs_change_nothing(
    void **unused)
{
    struct desk *desk = desk_with_root();
    uint64_t hash;

    (void)unused;
    give(desk, "here", "operator", ", zones: [z1]");
    hash = state_hash(desk->state);
    desk_ok(desk, "CreateVm", "{dry_run: true, " VM("v", ", zone: z1") "}");
    assert_true(state_hash(desk->state) == hash);
    desk_ok(desk, "CreateVm", "{request_id: r1, " VM("v", ", zone: z1") "}");
    hash = state_hash(desk->state);
    desk_ok(desk, "CreateVm", "{request_id: r1, " VM("v", ", zone: z1") "}");
    assert_true(state_hash(desk->state) == hash);
    /* Who lost his role does not even get the answer again. */
    desk->caller = &root;
    desk_ok(desk, "DeleteGrant", "name: here");
    desk->caller = &anna;
    desk_refused(desk, "CreateVm",
                 "{request_id: r1, " VM("v", ", zone: z1") "}", "ROLE_NEEDED",
                 "");
    desk_destroy(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_public_method_has_a_permission),
        cmocka_unit_test(only_methods_on_vms_and_groups_may_be_scoped),
        cmocka_unit_test(each_role_may_what_the_table_says),
        cmocka_unit_test(drill_runners_make_plans_and_apply_none),
        cmocka_unit_test(without_grants_every_client_is_an_administrator),
        cmocka_unit_test(the_first_grant_locks_nobody_out),
        cmocka_unit_test(the_last_administrator_stays),
        cmocka_unit_test(
            a_token_has_the_role_of_its_grant_until_that_is_deleted),
        cmocka_unit_test(wrong_grants_are_refused),
        cmocka_unit_test(a_client_has_a_bounded_number_of_grants),
        cmocka_unit_test(a_scope_of_a_zone_is_for_what_can_be_nowhere_else),
        cmocka_unit_test(a_scope_of_labels_holds_before_and_after),
        cmocka_unit_test(a_group_is_in_a_scope_with_all_its_members),
        cmocka_unit_test(scopes_add_up_object_by_object),
        cmocka_unit_test(
            a_scoped_change_counts_once_and_dry_runs_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
