/* An intrusive doubly linked list: the links stand inside the objects, so linking allocates nothing
 * and unlinking needs no search. A head is a link that points at itself when the list is empty. */
#ifndef BL_CORE_LIST_H
#define BL_CORE_LIST_H

#include "core/base.h"

typedef struct bl_link {
    struct bl_link *prev, *next;
} bl_link;

static inline void bl_list_init(bl_link *head)
{
    head->prev = head->next = head;
}

static inline bool bl_list_empty(const bl_link *head)
{
    return head->next == head;
}

static inline void bl_list_insert(bl_link *before, bl_link *link)
{
    link->prev = before->prev;
    link->next = before;
    before->prev->next = link;
    before->prev = link;
}

static inline void bl_list_push(bl_link *head, bl_link *link) /* at the end */
{
    bl_list_insert(head, link);
}

static inline void bl_list_unshift(bl_link *head, bl_link *link) /* at the front */
{
    bl_list_insert(head->next, link);
}

/* Unlinks; the link then points at itself, so that unlinking twice does no harm. */
static inline void bl_list_remove(bl_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->prev = link->next = link;
}

static inline bool bl_list_linked(const bl_link *link)
{
    return link->next != NULL && link->next != link;
}

/* Moves everything from `from` to the end of `to`. */
static inline void bl_list_splice(bl_link *to, bl_link *from)
{
    if (bl_list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    bl_list_init(from);
}

#define BL_LIST_FIRST(head, type, member) BL_CONTAINER((head)->next, type, member)

#define BL_LIST_EACH(it, head) for (bl_link *it = (head)->next; it != (head); it = it->next)
#define BL_LIST_EACH_SAFE(it, head)                                                                \
    for (bl_link *it = (head)->next, *it##_next = it->next; it != (head);                          \
         it = it##_next, it##_next = it->next)

#endif
