/* SPDX-License-Identifier: Apache-2.0
 *
 * A doubly linked ring with the links inside the elements: no allocation, and
 * an element can be taken out without knowing which list holds it. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/check.h"
#include "base/container.h"

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev;
    struct list *next;
};

/* Makes an empty list head, or an element that is in no list. */
static inline void list_init(struct list *list)
{
    list->prev = list;
    list->next = list;
}

static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

/* Puts an element that is in no list at the end. */
static inline void list_append(struct list *list, struct list *element)
{
    CHECK(element->next == element);
    element->prev = list->prev;
    element->next = list;
    list->prev->next = element;
    list->prev = element;
}

/* Puts an element that is in no list at the front. */
static inline void list_prepend(struct list *list, struct list *element)
{
    list_append(list->next, element);
}

/* Takes the element out of whatever list holds it; harmless if none does. */
static inline void list_remove(struct list *element)
{
    element->prev->next = element->next;
    element->next->prev = element->prev;
    list_init(element);
}

/* The first element, or NULL. */
static inline struct list *list_first(const struct list *list)
{
    return list_empty(list) ? NULL : list->next;
}

/* Moves all elements of `from` to the end of `list`, in order. */
static inline void list_splice(struct list *list, struct list *from)
{
    if (list_empty(from)) {
        return;
    }
    from->next->prev = list->prev;
    list->prev->next = from->next;
    from->prev->next = list;
    list->prev = from->prev;
    list_init(from);
}

#define list_foreach(item, list) \
    for ((item) = (list)->next; (item) != (list); (item) = (item)->next)

/* As list_foreach; the body may remove `item`. */
#define list_foreach_safe(item, following, list)                              \
    for ((item) = (list)->next, (following) = (item)->next; (item) != (list); \
         (item) = (following), (following) = (item)->next)

#define list_entry(item, type, member) container_of(item, type, member)

#endif
