/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/history/model.h"

#include "base/check.h"
#include "base/hash.h"

#include <string.h>

typedef Holdfast__History__V1__Operation operation_t;

#define KIND(name)    HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_##name
#define OUTCOME(name) HOLDFAST__HISTORY__V1__OUTCOME__OUTCOME_##name

static uint64_t hash_of(const char *text)
{
    return *text == '\0' ? 0 : hash_bytes(text, strlen(text), 0) | 1;
}

static bool is_ok(const operation_t *operation)
{
    return operation->outcome == OUTCOME(OK);
}

/* A number that an answer tells, and that may not have been known. */
static bool agree(uint64_t *known, uint64_t told)
{
    if (told != 0 && *known != 0 && *known != told) {
        return false;
    }
    if (told != 0) {
        *known = told;
    }
    return true;
}

static bool is_expected(const struct model *model, const operation_t *operation)
{
    uint64_t expect = operation->expect_revision;

    return expect == 0 || (model->exact ? expect == model->revision
                                        : expect >= model->revision);
}

/* The region's revision rises with every change and never goes back. */
static bool take_at(struct model *model, const operation_t *operation,
                    bool changes)
{
    if (!is_ok(operation) || operation->at == 0) {
        return true;
    }
    if (operation->at < model->at || (changes && operation->at == model->at)) {
        return false;
    }
    model->at = operation->at;
    return true;
}

static bool create(struct model *model, enum model_life life,
                   const operation_t *operation)
{
    if (model->presence == MODEL_PRESENT || !take_at(model, operation, true) ||
        (is_ok(operation) && operation->revision <= model->revision)) {
        return false;
    }
    model->presence = MODEL_PRESENT;
    model->uid = operation->uid;
    model->exact = is_ok(operation) && life == MODEL_STILL;
    model->revision =
        is_ok(operation) ? operation->revision : model->revision + 1;
    model->value = hash_of(operation->value);
    model->desired = hash_of(operation->desired);
    return true;
}

/* Update, move, start, stop. */
static bool change(struct model *model, enum model_life life,
                   const operation_t *operation)
{
    /* Start and stop change nothing when it is so already. */
    bool changes =
        operation->kind == KIND(UPDATE) || operation->kind == KIND(MOVE);

    if (model->presence != MODEL_PRESENT || !is_expected(model, operation) ||
        !agree(&model->uid, operation->uid) ||
        !take_at(model, operation, changes)) {
        return false;
    }
    if (is_ok(operation)) {
        if (operation->revision < model->revision ||
            (changes && operation->revision == model->revision)) {
            return false;
        }
        model->revision = operation->revision;
    } else {
        model->revision += changes;
    }
    model->exact = is_ok(operation) && life == MODEL_STILL;
    if (operation->kind == KIND(UPDATE) && *operation->value != '\0') {
        model->value = hash_of(operation->value);
    } else if (operation->kind == KIND(START)) {
        model->desired = hash_of("running");
    } else if (operation->kind == KIND(STOP)) {
        model->desired = hash_of("stopped");
    } else if (operation->kind == KIND(MOVE)) {
        /* Only what is to run can be moved. */
        return agree(&model->desired, hash_of("running"));
    }
    return true;
}

/* What an answer shows of the VM without changing it. */
static bool show(struct model *model, const operation_t *operation)
{
    if (!agree(&model->uid, operation->uid) ||
        !agree(&model->value, hash_of(operation->value)) ||
        !agree(&model->desired, hash_of(operation->desired)) ||
        (model->exact ? operation->revision != model->revision
                      : operation->revision < model->revision)) {
        return false;
    }
    model->revision = operation->revision;
    return true;
}

static bool delete (struct model *model, enum model_life life,
                    const operation_t *operation)
{
    if (model->presence == MODEL_ABSENT || !is_expected(model, operation) ||
        !take_at(model, operation, model->presence == MODEL_PRESENT)) {
        return false;
    }
    /* It answers with the VM as it was before. */
    if (is_ok(operation) && !show(model, operation)) {
        return false;
    }
    if (life == MODEL_STILL) {
        *model = (struct model){.revision = model->revision, .at = model->at};
    } else {
        model->presence = MODEL_DELETING;
        model->desired = 0;
    }
    return true;
}

static bool get(struct model *model, enum model_life life,
                const operation_t *operation)
{
    uint32_t there = operation->deleting ? MODEL_DELETING : MODEL_PRESENT;

    if (model->presence != there || !take_at(model, operation, false) ||
        !show(model, operation)) {
        return false;
    }
    model->exact = life == MODEL_STILL;
    return true;
}

static bool is_absent(struct model *model)
{
    if (model->presence == MODEL_PRESENT) {
        return false;
    }
    *model = (struct model){.revision = model->revision, .at = model->at};
    return true;
}

static bool refuse(struct model *model, const operation_t *operation)
{
    const char *code = operation->code;

    if (strcmp(code, "NOT_FOUND") == 0) {
        return is_absent(model);
    }
    if (model->presence == MODEL_ABSENT) {
        return false;
    }
    if (strcmp(code, "ALREADY_EXISTS") == 0) {
        return true;
    }
    if (strcmp(code, "ABORTED") == 0) {
        return !model->exact || model->revision != operation->expect_revision;
    }
    return model->presence == MODEL_DELETING;
}

bool model_concerns(const operation_t *operation)
{
    const char *code = operation->code;
    const char *reason = operation->reason;

    if (operation->outcome == OUTCOME(UNKNOWN)) {
        return operation->kind != KIND(GET);
    }
    if (is_ok(operation)) {
        return true;
    }
    if (operation->kind == KIND(CREATE)) {
        return strcmp(code, "ALREADY_EXISTS") == 0;
    }
    if (strcmp(code, "NOT_FOUND") == 0) {
        return *reason == '\0' || strcmp(reason, "VM_NOT_FOUND") == 0;
    }
    if (strcmp(code, "ABORTED") == 0) {
        return operation->expect_revision != 0;
    }
    return strcmp(reason, "VM_DELETING") == 0;
}

bool model_apply(struct model *model, enum model_life life,
                 const operation_t *operation)
{
    if (operation->outcome == OUTCOME(REFUSED)) {
        return refuse(model, operation);
    }
    switch ((int)operation->kind) {
    case KIND(CREATE):
        return create(model, life, operation);
    case KIND(GET):
        return get(model, life, operation);
    case KIND(DELETE):
        return delete (model, life, operation);
    default:
        return change(model, life, operation);
    }
}
