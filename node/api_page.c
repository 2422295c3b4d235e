/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api_page.h"

#include "base/check.h"
#include "node/api_check.h"
#include "node/page_book.h"
#include "node/view.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct token {
    struct page_version version;
    uint64_t slot;
};

/* A number and what stands behind it. */
static bool read_number(const char **at, uint64_t *number, char behind)
{
    char *end;

    if (!isdigit((unsigned char)**at)) {
        return false;
    }
    *number = strtoull(*at, &end, 10);
    if (end - *at > 20 || *end != behind) {
        return false;
    }
    *at = end + (behind != '\0');
    return true;
}

static bool read_token(const char *text, struct token *token)
{
    return read_number(&text, &token->version.revision, '.') &&
           read_number(&text, &token->version.grant_changes, '.') &&
           read_number(&text, &token->slot, '\0') && token->slot < SLOT_NONE;
}

/* The state of the listing: what the node has, if nothing has changed since,
 * or what it kept. */
static const struct state *find_state(const struct api_view *view,
                                      struct page_version version)
{
    struct page_version newest = page_version_of(view->state);

    if (newest.revision == version.revision &&
        newest.grant_changes == version.grant_changes) {
        return view->state;
    }
    return view->pages == NULL
               ? NULL
               : page_book_find(view->pages, version, view->now_ms);
}

bool api_page_begin(struct api_page *page, struct api_reply *reply,
                    const struct api_view *view, uint32_t page_size,
                    const char *page_token)
{
    struct token token = {.slot = 0};

    *page = (struct api_page){
        .view = *view, .newest = view->state, .placer = view->placer};
    if (!api_check_page_size(reply, page_size, &page->count_max)) {
        return false;
    }
    if (page_token[0] == '\0') {
        return true;
    }
    if (!read_token(page_token, &token)) {
        api_fail(reply, API_INVALID_FIELD,
                 "page_token: not one that a list gave; begin without it");
        return false;
    }
    page->view.state = find_state(view, token.version);
    page->slot = (uint32_t)token.slot;
    if (page->view.state == NULL) {
        api_fail(reply, API_PAGE_EXPIRED,
                 "page_token: revision %" PRIu64
                 " is no longer kept here, which is at %" PRIu64
                 "; list again from the first page",
                 token.version.revision, state_revision(view->state));
        return false;
    }
    if (page->view.state != page->newest) {
        page->view.placer = NULL; /* It knows another state. */
    }
    return true;
}

static bool is_full(const struct api_page *page,
                    const struct api_lister *lister)
{
    return page->item_count == page->count_max ||
           page->bytes > PAGE_BYTES_MAX ||
           (lister->work_max != 0 && lister->work > lister->work_max);
}

static void end_page(struct api_page *page, uint32_t slot)
{
    struct page_version version = page_version_of(page->view.state);

    page->slot = slot;
    snprintf(page->token, sizeof(page->token),
             "%" PRIu64 ".%" PRIu64 ".%" PRIu32, version.revision,
             version.grant_changes, slot);
    if (page->view.pages != NULL && page->view.state == page->newest) {
        page_book_keep(page->view.pages, page->newest, page->view.now_ms);
    }
}

void api_page_fill(struct api_page *page, struct api_lister *lister,
                   uint32_t slots)
{
    uint32_t max = slots < page->count_max ? slots : page->count_max;

    page->items = view_alloc(page->view.arena, max * sizeof(*page->items));
    for (uint32_t slot = page->slot; slot < slots; slot++) {
        bool full = is_full(page, lister);
        ProtobufCMessage *item = lister->item(lister, page, slot);

        if (item == NULL) {
            continue;
        }
        if (full) { /* It is the next page's first. */
            end_page(page, slot);
            return;
        }
        page->bytes += protobuf_c_message_get_packed_size(item) + 8;
        page->items[page->item_count++] = item;
    }
}

static void set_field(ProtobufCMessage *message, const char *name,
                      const void *value, size_t size)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
                                                        name);

    CHECK(field != NULL);
    memcpy((char *)message + field->offset, value, size);
}

void api_page_respond(const struct api_page *page, struct api_reply *reply,
                      ProtobufCMessage *response)
{
    const char *token = page->token;
    uint64_t revision = state_revision(page->view.state);

    set_field(response, "next_page_token", &token, sizeof(token));
    set_field(response, "age_ms", &page->view.age_ms,
              sizeof(page->view.age_ms));
    set_field(response, "revision", &revision, sizeof(revision));
    api_respond(reply, response);
}
