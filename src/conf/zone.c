/* Shared-memory zones of a generation: named while the configuration is read, mapped before the
 * workers are forked. The memory of a zone goes with the last generation of the process that has
 * it. */
#include "conf/generation.h"
#include "core/mem.h"
#include "os/shm.h"

#include <errno.h>

static bl_zone *find_zone(bl_generation *g, bl_str name)
{
    BL_LIST_EACH (it, &g->zones) {
        bl_zone *zone = BL_CONTAINER(it, bl_zone, link);
        if (bl_str_eq(zone->name, name))
            return zone;
    }
    return NULL;
}

static bl_zone *conflict(bl_conf *cf, bl_str name, const char *what)
{
    bl_conf_error(cf, cf->node, 0, "the shared memory zone \"%.*s\" %s", BL_STR_ARG(name), what);
    return NULL;
}

bl_zone *bl_zone_add(bl_conf *cf, bl_str name, size_t size, const void *owner)
{
    bl_zone *zone = find_zone(cf->generation, name);

    if (zone == NULL) {
        zone = BL_NEW(cf->pool, bl_zone);
        zone->name = bl_pool_str(cf->pool, name);
        zone->size = size;
        zone->owner = owner;
        zone->node = cf->node;
        bl_list_push(&cf->generation->zones, &zone->link);
        return zone;
    }
    if (zone->owner != owner)
        return conflict(cf, name, "is already declared for a different use");
    if (size && zone->size && size != zone->size)
        return conflict(cf, name, "is already declared with a different size");
    if (zone->size == 0)
        zone->size = size;
    return zone;
}

static void unmap(void *data)
{
    bl_zone *zone = data;

    if (--*zone->users > 0)
        return;
    bl_shm_unmap(zone->memory, zone->size);
    bl_free(zone->users);
}

static bool inherit(bl_zone *zone, bl_generation *before, void **data)
{
    bl_zone *old = before ? find_zone(before, zone->name) : NULL;

    if (zone->fresh || old == NULL || old->memory == NULL || old->size != zone->size ||
        old->owner != zone->owner)
        return false;
    zone->memory = old->memory;
    zone->users = old->users;
    ++*zone->users;
    *data = old->data;
    return true;
}

static bool is_other_size(const bl_zone *zone, const bl_zone *old)
{
    return old && !zone->fresh && old->memory && old->owner == zone->owner &&
           old->size != zone->size;
}

static bool map_one(bl_generation *g, bl_generation *before, bl_zone *zone)
{
    void *data = NULL;

    if (zone->size == 0) {
        bl_log_write(BL_LOG_EMERG, &bl_log_process, 0, "zero size shared memory zone \"%.*s\"",
                     BL_STR_ARG(zone->name));
        return false;
    }
    if (!inherit(zone, before, &data)) {
        zone->memory = bl_shm_map(zone->size);
        if (zone->memory == NULL) {
            bl_log_write(BL_LOG_ALERT, &bl_log_process, errno,
                         "mapping %zu bytes for the zone \"%.*s\" failed", zone->size,
                         BL_STR_ARG(zone->name));
            return false;
        }
        zone->users = bl_alloc(sizeof *zone->users);
        *zone->users = 1;
    }
    bl_pool_cleanup(g->pool, unmap, zone);
    if (zone->init && !zone->init(zone, data))
        return false;
    const bl_zone *old = before ? find_zone(before, zone->name) : NULL;
    if (zone->take_over && is_other_size(zone, old))
        zone->take_over(zone, old);
    return true;
}

bool bl_zones_map(bl_generation *g, bl_generation *before)
{
    BL_LIST_EACH (it, &g->zones) {
        if (!map_one(g, before, BL_CONTAINER(it, bl_zone, link)))
            return false;
    }
    return true;
}
