/* SPDX-License-Identifier: Apache-2.0
 *
 * Enforcement of roles, and CanI. */
#include "node/api_access.h"

#include "node/api_check.h"
#include "node/view.h"

#include <stdio.h>
#include <string.h>

#include <holdfast/v1/access_service.pb-c.h>

#define PATH_PREFIX "/holdfast.v1."

/* "VmService/CreateVm", as people write it. */
static const char *short_path(const char *path)
{
    return strncmp(path, PATH_PREFIX, strlen(PATH_PREFIX)) == 0
               ? path + strlen(PATH_PREFIX)
               : path;
}

bool api_allow(const struct state *state, const char *path,
               enum permission permission, struct api_reply *reply,
               struct access *access)
{
    char text[sizeof(reply->message)];

    access_decide(state, reply->caller, permission, reply->wall_ms, access);
    if (access->verdict == ACCESS_TOKEN_EXPIRED) {
        api_fail(reply, API_TOKEN_EXPIRED,
                 "token '%s' has expired; an administrator can give it another "
                 "end, or make another token",
                 access->ended->name);
        return false;
    }
    if (access->verdict == ACCESS_TOKEN_UNKNOWN) {
        api_fail(reply, API_TOKEN_UNKNOWN,
                 "the token is not one of this region's, or was deleted");
        return false;
    }
    if (access->verdict == ACCESS_ROLE_MISSING) {
        access_explain(access, short_path(path), text, sizeof(text));
        api_fail(reply, API_ROLE_NEEDED, "%s", text);
        return false;
    }
    return true;
}

/* --- Scopes --------------------------------------------------------------- */

static bool covers(const struct access *access, const struct state *state,
                   enum event_kind kind, uint32_t slot)
{
    const struct vm *vm = kind == EVENT_VM ? state_vm_at(state, slot) : NULL;
    const struct group *group =
        kind == EVENT_GROUP ? state_group_at(state, slot) : NULL;

    return (vm == NULL || access_covers_vm(access, state, vm)) &&
           (group == NULL || access_covers_group(access, state, group));
}

static const char *name_in(const ProtobufCMessage *request)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(request->descriptor,
                                                        "name");
    const char *name;

    if (field == NULL || field->type != PROTOBUF_C_TYPE_STRING) {
        return "";
    }
    memcpy(&name, (const char *)request + field->offset, sizeof(name));
    return name;
}

/* What the request names, also if it would not change it. */
static bool covers_named(const struct access *access,
                         const struct api_method *method,
                         const ProtobufCMessage *request,
                         const struct state *state)
{
    struct text name = text_of(name_in(request));
    const struct vm *vm = NULL;
    const struct group *group = NULL;

    if (strstr(method->path, ".VmService/") != NULL) {
        vm = state_vm_named(state, name);
    } else {
        group = state_group_named(state, name);
    }
    return (vm == NULL || access_covers_vm(access, state, vm)) &&
           (group == NULL || access_covers_group(access, state, group));
}

static bool covers_touched(const struct access *access,
                           const struct turn_plan *plan,
                           const struct turn_trial *trial)
{
    for (size_t i = 0; i < trial->touched_count; i++) {
        enum event_kind kind = (enum event_kind)(trial->touched[i] >> 32);
        uint32_t slot = uid_slot(trial->touched[i]);

        if (!covers(access, plan->scratch, kind, slot) ||
            !covers(access, trial->plan.scratch, kind, slot)) {
            return false;
        }
    }
    return true;
}

bool api_allow_scoped(const struct api_method *method,
                      const ProtobufCMessage *request,
                      const struct turn_plan *plan, struct api_reply *reply,
                      const struct access *access)
{
    char text[sizeof(reply->message)];
    struct turn_trial trial;
    bool good = covers_named(access, method, request, plan->scratch);

    if (good) {
        turn_trial_begin(&trial, plan);
        method->mutate(request, &trial.plan, reply);
        good = reply->code != RPC_OK || covers_touched(access, plan, &trial);
        turn_trial_end(&trial);
        bytes_clear(&reply->response);
    }
    if (!good) {
        access_explain(access, short_path(method->path), text, sizeof(text));
        api_fail(reply, API_OUT_OF_SCOPE, "%s", text);
    }
    return reply->code == RPC_OK;
}

/* --- CanI ----------------------------------------------------------------- */

/* NONE: there is no such method. */
static enum permission permission_of(const char *method, char *path,
                                     size_t size)
{
    snprintf(path, size, "%s%s", method[0] == '/' ? "" : PATH_PREFIX, method);
    for (const struct api_method *at = api_methods; at->path != NULL; at++) {
        if (strcmp(at->path, path) == 0) {
            return at->permission;
        }
    }
    return access_permission_of(path);
}

static bool read_object(struct api_reply *reply, const struct state *state,
                        const Holdfast__V1__CanIRequest *request,
                        uint64_t *zones, struct bytes *labels)
{
    const struct zone *zone = NULL;

    *zones = UINT64_MAX;
    if (request->zone[0] != '\0') {
        zone = api_find_zone(reply, state, "zone", request->zone);
        if (zone == NULL) {
            return false;
        }
        *zones = UINT64_C(1) << uid_slot(zone->uid);
    }
    return api_check_labels(reply, "labels", request->labels, request->n_labels,
                            labels);
}

static void list_roles(enum permission permission, struct arena *arena,
                       Holdfast__V1__CanIResponse *response)
{
    response->roles =
        view_alloc(arena, ACCESS_ROLE_COUNT * sizeof(*response->roles));
    for (int role = ACCESS_ROLE_VIEWER; role < ACCESS_ROLE_COUNT; role++) {
        if (access_role_has((enum access_role)role, permission)) {
            response->roles[response->n_roles++] =
                (Holdfast__V1__AccessRole)role;
        }
    }
}

static void say_why(const struct access *access, bool allowed, const char *path,
                    char *text, size_t size)
{
    if (!allowed) {
        access_explain(access, short_path(path), text, size);
    } else if (access->by != NULL) {
        snprintf(text, size, "%s, by grant '%s'",
                 access_role_name((enum access_role)access->by->role),
                 access->by->name);
    } else if (access->verdict == ACCESS_SCOPED) {
        snprintf(text, size, "within the scope of a grant");
    } else if (access->permission == PERMISSION_ASK) {
        snprintf(text, size, "everybody may");
    } else if (access->permission == PERMISSION_JOIN) {
        snprintf(text, size, "whoever shows a token to join may, once");
    } else {
        snprintf(text, size,
                 "there is no grant yet: every client is an "
                 "administrator");
    }
}

void api_can_i(const ProtobufCMessage *message, const struct api_view *view,
               struct api_reply *reply)
{
    const Holdfast__V1__CanIRequest *request =
        (const Holdfast__V1__CanIRequest *)(const void *)message;
    Holdfast__V1__CanIResponse response = HOLDFAST__V1__CAN_IRESPONSE__INIT;
    char who[ACCESS_SUBJECT_TEXT_BYTES];
    char text[sizeof(reply->message)];
    struct access access;
    struct bytes labels;
    char path[128];
    uint64_t zones;
    enum permission permission =
        permission_of(request->method, path, sizeof(path));

    if (permission == PERMISSION_NONE) {
        api_fail(reply, API_INVALID_FIELD,
                 "method: '%.80s' is no method of the public API, such as "
                 "VmService/CreateVm",
                 request->method);
        return;
    }
    bytes_init(&labels);
    if (read_object(reply, view->state, request, &zones, &labels)) {
        access_decide(view->state, reply->caller, permission, reply->wall_ms,
                      &access);
        response.allowed =
            access.verdict == ACCESS_ALLOWED ||
            (access.verdict == ACCESS_SCOPED &&
             access_covers(&access, zones,
                           (struct text){(const char *)labels.data,
                                         (uint32_t)labels.len}));
        say_why(&access, response.allowed, path, text, sizeof(text));
        access_subject_text(&access, who);
        list_roles(permission, view->arena, &response);
        response.reason = text;
        response.caller = who;
        response.expire_time_ms = access.next_end_ms;
        response.age_ms = view->age_ms;
        response.revision = state_revision(view->state);
        api_respond(reply, &response.base);
    }
    bytes_close(&labels);
}
