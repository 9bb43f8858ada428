#include "lua/api/foreign.h"
#include "core/time.h"
#include "lua/api/shdict.h"
#include "lua/vm.h"

enum {
    OK = 0,
    ERROR = -1,
    DECLINED = -5,
};

void *ngx_http_lua_find_zone(char *name, size_t len)
{
    BL_LIST_EACH (it, &bl_lua_now.vm->generation->zones) {
        const bl_zone *zone = BL_CONTAINER(it, bl_zone, link);
        if (zone->owner == &bl_lua_shdict_module && bl_str_eq(zone->name, bl_str_of(name, len)))
            return zone->data;
    }
    return NULL;
}

intptr_t ngx_http_lua_shared_dict_get(void *zone, char *key, size_t len, bl_foreign_value *to)
{
    char *buffer = to->value.string.data;
    size_t room = buffer ? to->value.string.len : 0;
    bl_dict_value value = {0};
    bl_dict_result result =
        bl_dict_get(zone, bl_str_of(key, len), bl_now_ms(), buffer, room, &value);

    if (result != BL_DICT_OK)
        return result == BL_DICT_NOT_FOUND ? DECLINED : ERROR;
    switch (value.type) {
    case BL_DICT_BOOLEAN:
        to->type = 1;
        to->value.boolean = value.number != 0;
        return OK;
    case BL_DICT_NUMBER:
        to->type = 3;
        to->value.number = value.number;
        return OK;
    case BL_DICT_STRING:
        to->type = 4;
        to->value.string.len = value.str.len;
        return OK;
    default:
        to->type = 0;
        return OK;
    }
}
