/* DNS answers: any bytes give an answer or none; its names are names, so that they can be asked
 * for.
 */
#include "event/dns.h"

static void count(void *data, const bl_dns_record *record)
{
    (void)record;
    ++*(uint32_t *)data;
}

static void check_name(bl_str name)
{
    uint8_t query[BL_DNS_QUERY_MAX];

    BL_ASSERT(name.len < BL_DNS_NAME_MAX);
    size_t len = bl_dns_query(query, 1, name, BL_DNS_A);
    BL_ASSERT(len <= sizeof query);
    BL_ASSERT(name.len == 0 || len != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_pool *pool = bl_pool_new();
    bl_dns_answer answer;

    if (bl_dns_parse(pool, bl_str_of((const char *)data, size), &answer)) {
        uint32_t seen = 0, ttl = UINT32_MAX;
        bl_str last;
        check_name(answer.name);
        for (uint32_t i = 0; i < answer.count; i++) {
            check_name(answer.records[i].owner);
            check_name(answer.records[i].target);
        }
        uint32_t found = bl_dns_follow(&answer, answer.name, &last, &ttl, count, &seen);
        BL_ASSERT(found == seen);
    }
    bl_pool_free(pool);
    return 0;
}
