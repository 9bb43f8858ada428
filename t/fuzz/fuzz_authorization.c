/* Authorization, and the file of users that it is compared with. The input: the field's value, then
 * the file. */
#include "core/base64.h"
#include "fuzz.h"
#include "http/credentials.h"
#include "http/modules/auth_basic.h"

static const bl_log_targets quiet = {.level = BL_LOG_STDERR};

/* Of the hashes those that are no work of a second: crypt(3) has others. */
static bool is_quick(bl_str hash)
{
    return bl_str_starts(hash, BL_STR("$apr1$")) || bl_str_starts(hash, BL_STR("{")) ||
           (hash.len == 13 && hash.p[0] != '$' && hash.p[0] != '_');
}

static void look_up(bl_pool *pool, bl_str users, bl_str user, bl_str password)
{
    bl_log log = {.targets = &quiet};
    bl_str hash;

    if (!bl_auth_basic_find(users, user, &hash))
        return;
    BL_ASSERT(fuzz_inside(hash, users) && bl_str_chr(hash, ':') < 0 && bl_str_chr(hash, '\n') < 0);
    if (!is_quick(hash))
        return;
    bool matches = bl_auth_basic_matches(pool, &log, password, hash);
    if (bl_str_starts(hash, BL_STR("{PLAIN}")))
        BL_ASSERT(matches == bl_str_eq(password, bl_str_of(hash.p + 7, hash.len - 7)));
}

/* A name and a password that are sent as they should be arrive. */
static void check_sent(bl_pool *pool, bl_request *r, bl_str user, bl_str password)
{
    bl_str parts[] = {user, BL_STR(":"), password}, both = bl_pool_concat(pool, parts, 3), got,
           word;
    char *text = bl_pool_bytes(pool, BL_BASE64_SIZE(both.len) + 6);

    memcpy(text, "bAsIc ", 6);
    size_t len = 6 + bl_base64_encode(text + 6, both, true, false);
    bl_headers_set(&r->in, pool, BL_STR("Authorization"), bl_str_of(text, len));
    BL_ASSERT(bl_credentials(r, &got, &word));
    BL_ASSERT(bl_str_eq(got, user) && bl_str_eq(word, password));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_str in = bl_str_of((const char *)data, size), value = fuzz_copy(fuzz_text(&in, 200));
    bl_str users = fuzz_copy(in), user, password;
    bl_pool *pool = bl_pool_new();
    bl_header *known[BL_H_COUNT];
    bl_request r = {.pool = pool};

    bl_headers_init(&r.in, known);
    bl_headers_add(&r.in, pool, BL_STR("Authorization"), value);
    if (bl_credentials(&r, &user, &password)) {
        BL_ASSERT(user.len > 0 && bl_str_chr(user, ':') < 0);
        look_up(pool, users, user, password);
        check_sent(pool, &r, user, password);
    }
    bl_pool_free(pool);
    free(value.p);
    free(users.p);
    return 0;
}
