/* Lists in a dictionary. The entry of a list has no value of its own but a chain of nodes:
 *
 *     entry | first o---> node | next o---> node | next o---> node | next 0
 *           | last  o--------------------------------------^
 *
 * What `first` and `next` reach is the list: putting a node in or taking one out is one store to
 * one of them, before the node is reachable no more or after it is whole. `last`, `prev` and the
 * length follow it and are made anew after a death (shard_rebuild.c). All this is done under the
 * shard's lock; readers of values are only told that it is a list. */
#include "core/dict.h"
#include "core/shard.h"

typedef struct list_op {
    bl_dict *dict;
    bl_shard *shard;
    uint64_t hash;
    bl_str key;
    bl_need need;
    bool left;
} list_op;

static bl_dict_result list_begin(list_op *op, bl_dict *dict, bl_str key, uint64_t now, bool left)
{
    bl_dict_result result = bl_dict_check_key(dict, key);

    if (result != BL_DICT_OK)
        return result;
    *op = (list_op){.dict = dict, .key = key, .left = left, .need.now = now};
    op->hash = bl_shard_hash(dict, key);
    op->shard = bl_shard_of(dict, op->hash);
    return BL_DICT_OK;
}

/* The list's entry; NULL with OK where there is none, NULL with NOT_LIST where there is a value. */
static bl_entry *find_list(list_op *op, bl_dict_result *result)
{
    bl_entry *entry = bl_shard_find(op->dict, op->shard, op->hash, op->key);

    *result = BL_DICT_OK;
    if (!entry || bl_entry_expired(entry, op->need.now))
        return NULL;
    if (entry->type != BL_DICT_LIST) {
        *result = BL_DICT_NOT_LIST;
        return NULL;
    }
    return entry;
}

static bl_node *new_node(list_op *op, const bl_dict_value *value)
{
    size_t size = value->type == BL_DICT_NUMBER ? sizeof(double) : value->str.len;
    bl_node *node;

    if (size > op->dict->largest)
        return NULL;
    node = bl_shard_obtain(op->dict, op->shard, sizeof(bl_node) + size, &op->need);
    if (!node)
        return NULL;
    node->size_type = (uint32_t)size | (value->type == BL_DICT_NUMBER ? BL_NODE_NUMBER : 0);
    if (value->type == BL_DICT_NUMBER)
        memcpy(node->data, &value->number, sizeof(double));
    else if (size)
        memcpy(node->data, value->str.p, size);
    return node;
}

static void store_ref(bl_ref *link, bl_ref ref)
{
    __atomic_store_n(link, ref, __ATOMIC_RELEASE);
}

static void link_left(bl_dict *dict, bl_entry *entry, bl_node *node, bl_ref ref)
{
    node->next = entry->first;
    node->prev = 0;
    bl_slab_set_tag(node, BL_TAG_NODE);
    store_ref(&entry->first, ref);
    if (node->next)
        bl_shard_node(dict, node->next)->prev = ref;
    else
        entry->last = ref;
}

static void link_right(bl_dict *dict, bl_entry *entry, bl_node *node, bl_ref ref)
{
    node->next = 0;
    node->prev = entry->last;
    bl_slab_set_tag(node, BL_TAG_NODE);
    store_ref(node->prev ? &bl_shard_node(dict, node->prev)->next : &entry->first, ref);
    entry->last = ref;
}

static void link_node(list_op *op, bl_entry *entry, bl_node *node)
{
    bl_ref ref = bl_slab_ref(op->dict->slab, node);

    node->owner = bl_slab_ref(op->dict->slab, entry);
    if (op->left)
        link_left(op->dict, entry, node, ref);
    else
        link_right(op->dict, entry, node, ref);
    entry->size++;
}

/* A list that nobody sees yet. */
static bl_entry *new_list(list_op *op)
{
    bl_entry *old = bl_shard_find(op->dict, op->shard, op->hash, op->key), *entry;

    if (old)
        bl_shard_remove(op->dict, op->shard, old);
    if (bl_entry_size(op->key.len, 0) > op->dict->largest)
        return NULL;
    entry = bl_shard_new_entry(op->dict, op->shard, op->key, 0, &op->need);
    if (!entry)
        return NULL;
    entry->type = BL_DICT_LIST;
    entry->flags = 0;
    entry->size = 0;
    entry->expires = 0;
    entry->first = entry->last = 0;
    return entry;
}

static bl_dict_result push_locked(list_op *op, const bl_dict_value *value, uint32_t *length)
{
    bl_dict_result result;
    bl_entry *entry = find_list(op, &result);
    bool fresh = entry == NULL;
    bl_node *node;

    if (result != BL_DICT_OK)
        return result;
    if (fresh)
        entry = new_list(op);
    if (!entry)
        return BL_DICT_NO_MEMORY;
    node = new_node(op, value);
    if (!node) {
        if (fresh)
            bl_slab_free(op->dict->slab, &op->shard->heap, entry);
        return BL_DICT_NO_MEMORY;
    }
    link_node(op, entry, node);
    if (fresh)
        bl_shard_insert(op->dict, op->shard, entry, op->hash);
    else
        bl_shard_use(op->shard, entry);
    *length = entry->size;
    return BL_DICT_OK;
}

/* Without all locks first; with them when expired entries of other shards may give room. */
static bl_dict_result push(bl_dict *dict, bl_str key, const bl_dict_value *value, uint64_t now,
                           uint32_t *length, bool left)
{
    list_op op;
    bl_dict_result result = list_begin(&op, dict, key, now, left);

    if (result != BL_DICT_OK)
        return result;
    if (value->type != BL_DICT_NUMBER && value->type != BL_DICT_STRING)
        return BL_DICT_BAD_TYPE;
    op.need.all = dict->shard_bits == 0;
    bl_shard_lock(dict, op.shard);
    result = push_locked(&op, value, length);
    bl_shard_unlock(op.shard);
    if (result != BL_DICT_NO_MEMORY || !op.need.blocked)
        return result;
    op.need.all = true;
    bl_shard_lock_all(dict);
    result = push_locked(&op, value, length);
    bl_shard_unlock_all(dict);
    return result;
}

bl_dict_result bl_dict_lpush(bl_dict *dict, bl_str key, const bl_dict_value *value, uint64_t now,
                             uint32_t *length)
{
    return push(dict, key, value, now, length, true);
}

bl_dict_result bl_dict_rpush(bl_dict *dict, bl_str key, const bl_dict_value *value, uint64_t now,
                             uint32_t *length)
{
    return push(dict, key, value, now, length, false);
}

static bl_dict_result copy_node(const bl_node *node, char *buffer, size_t room,
                                bl_dict_value *value)
{
    size_t size = node->size_type & ~BL_NODE_NUMBER;

    *value = (bl_dict_value){.type = BL_DICT_NUMBER};
    if (node->size_type & BL_NODE_NUMBER) {
        memcpy(&value->number, node->data, sizeof(double));
        return BL_DICT_OK;
    }
    value->type = BL_DICT_STRING;
    value->str = bl_str_of(buffer, size);
    if (size > room)
        return BL_DICT_SMALL_BUFFER;
    if (size)
        memcpy(buffer, node->data, size);
    return BL_DICT_OK;
}

static void unlink_node(bl_dict *dict, bl_entry *entry, bl_node *node)
{
    store_ref(node->prev ? &bl_shard_node(dict, node->prev)->next : &entry->first, node->next);
    if (node->next)
        bl_shard_node(dict, node->next)->prev = node->prev;
    else
        entry->last = node->prev;
    entry->size--;
}

static bl_dict_result pop_locked(list_op *op, char *buffer, size_t room, bl_dict_value *value)
{
    bl_dict_result result;
    bl_entry *entry = find_list(op, &result);
    bl_node *node;

    if (!entry)
        return result == BL_DICT_OK ? BL_DICT_NOT_FOUND : result;
    node = bl_shard_node(op->dict, op->left ? entry->first : entry->last);
    result = copy_node(node, buffer, room, value);
    if (result != BL_DICT_OK)
        return result;
    if (entry->size == 1) {
        bl_shard_remove(op->dict, op->shard, entry);
        return BL_DICT_OK;
    }
    unlink_node(op->dict, entry, node);
    bl_slab_free(op->dict->slab, &op->shard->heap, node);
    bl_shard_use(op->shard, entry);
    return BL_DICT_OK;
}

static bl_dict_result pop(bl_dict *dict, bl_str key, uint64_t now, char *buffer, size_t room,
                          bl_dict_value *value, bool left)
{
    list_op op;
    bl_dict_result result = list_begin(&op, dict, key, now, left);

    if (result != BL_DICT_OK)
        return result;
    bl_shard_lock(dict, op.shard);
    result = pop_locked(&op, buffer, room, value);
    bl_shard_unlock(op.shard);
    return result;
}

bl_dict_result bl_dict_lpop(bl_dict *dict, bl_str key, uint64_t now, char *buffer, size_t room,
                            bl_dict_value *value)
{
    return pop(dict, key, now, buffer, room, value, true);
}

bl_dict_result bl_dict_rpop(bl_dict *dict, bl_str key, uint64_t now, char *buffer, size_t room,
                            bl_dict_value *value)
{
    return pop(dict, key, now, buffer, room, value, false);
}

bl_dict_result bl_dict_llen(bl_dict *dict, bl_str key, uint64_t now, uint32_t *length)
{
    list_op op;
    bl_dict_result result = list_begin(&op, dict, key, now, true);
    bl_entry *entry;

    if (result != BL_DICT_OK)
        return result;
    bl_shard_lock(dict, op.shard);
    entry = find_list(&op, &result);
    *length = entry ? entry->size : 0;
    bl_shard_unlock(op.shard);
    return result;
}
