#include "http/forwarded.h"

bool bl_forwarded_is_trusted(const bl_array *networks, const struct sockaddr *sa)
{
    BL_ARRAY_EACH (bl_cidr, network, networks) {
        if (bl_cidr_match(network, sa))
            return true;
    }
    return false;
}

/* Takes the last address off *list; false: it is none. */
static bool take_last(bl_str *list, bl_addr *addr)
{
    size_t end = list->len, start;
    bl_hostport parsed;

    while (end && (list->p[end - 1] == ' ' || list->p[end - 1] == ','))
        end--;
    start = end;
    while (start && list->p[start - 1] != ' ' && list->p[start - 1] != ',')
        start--;
    bl_str text = bl_str_of(list->p + start, end - start);
    list->len = start;
    if (text.len == 0)
        return false;
    if (bl_addr_parse_ip(text, addr))
        return true;
    if (bl_hostport_parse(text, 0, &parsed) != NULL || !parsed.is_ip)
        return false;
    *addr = parsed.addr;
    return true;
}

bool bl_forwarded_follow(const bl_array *networks, bl_str list, bool recursive, bl_addr *addr)
{
    bool moved = false;
    bl_addr next;

    while (bl_forwarded_is_trusted(networks, &addr->sa) && take_last(&list, &next)) {
        *addr = next;
        moved = true;
        if (!recursive)
            break;
    }
    return moved;
}
