#include "lua/code.h"
#include "lua/fault.h"
#include "lua/module.h"
#include "lua/reload.h"
#include "lua/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------- from the configuration */

static bl_str without(bl_str name, bl_str suffix)
{
    if (name.len > suffix.len &&
        bl_str_eq(bl_str_of(name.p + name.len - suffix.len, suffix.len), suffix))
        name.len -= suffix.len;
    return name;
}

/* "=access_by_lua(nginx.conf:42)": the file as seen from the configuration's folder, cut at its
 * front to what Lua shows of a name. */
static const char *chunk_name(bl_conf *cf, const bl_conf_node *node, int line)
{
    bl_str name = without(bl_conf_arg(node, 0), BL_STR("_block"));
    bl_str file = node->file->path, folder = cf->generation->conf_prefix;
    bl_str place = bl_pool_printf(cf->pool, ":%d)", line);
    size_t room = LUA_IDSIZE - 1 - BL_MIN(name.len + 1 + place.len, (size_t)LUA_IDSIZE - 8);
    bool cut;

    if (bl_str_starts(file, folder))
        file = bl_str_of(file.p + folder.len, file.len - folder.len);
    if ((cut = file.len > room) == true)
        file = bl_str_of(file.p + file.len - (room - 3), room - 3);
    return bl_pool_printf(cf->pool, "=%.*s(%s%.*s%s", BL_STR_ARG(name), cut ? "..." : "",
                          BL_STR_ARG(file), place.p)
        .p;
}

/* Code in quotes is named after the line that it ends in. */
static int last_line(const bl_conf_word *word)
{
    int line = word->line;

    for (size_t i = 0; i < word->text.len; i++)
        line += word->text.p[i] == '\n';
    return line;
}

bl_lua_code *bl_lua_code_read(bl_conf *cf, const bl_conf_node *node, int word)
{
    bl_lua_code *code = BL_NEW(cf->pool, bl_lua_code);
    bl_str name = bl_conf_arg(node, 0);

    code->ref = LUA_NOREF;
    code->directive = without(name, BL_STR("_block"));
    code->hook = bl_str_starts(name, BL_STR("init_")) || bl_str_starts(name, BL_STR("exit_"));
    if (node->lua.p) {
        code->text = node->lua;
        code->name = chunk_name(cf, node, node->lua_line);
    } else if (without(name, BL_STR("_file")).len != name.len) {
        code->path = bl_value_compile(cf, node, word, bl_conf_arg(node, word));
        code->name = "";
        if (code->path == NULL)
            return NULL;
    } else {
        code->text = bl_conf_arg(node, word);
        code->name = chunk_name(cf, node, last_line(&node->words[word]));
    }
    bl_lua_module_used(cf);
    return code;
}

static bool read_code(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field)
{
    bl_lua_code **code = field;

    if (*code != BL_UNSET_PTR)
        return bl_conf_error(cf, node, 0, "\"%.*s\" directive is duplicate",
                             BL_STR_ARG(bl_conf_arg(node, 0)));
    *code = bl_lua_code_read(cf, node, 1);
    return *code != NULL;
}

const bl_type bl_type_lua_code = {"Lua code", sizeof(bl_lua_code *), read_code};

/* ------------------------------------------------------------- loading */

typedef struct pieces {
    bl_str part[3];
    int at;
} pieces;

static const char *read_piece(lua_State *L BL_UNUSED, void *data, size_t *size)
{
    pieces *p = data;

    while (p->at < 3 && p->part[p->at].len == 0)
        p->at++;
    if (p->at == 3)
        return NULL;
    bl_str part = p->part[p->at++];
    *size = part.len;
    return part.p;
}

static bool is_bytecode(bl_str text)
{
    return text.len && text.p[0] == '\033';
}

int bl_lua_code_load(lua_State *L, bl_str text, const char *name)
{
    pieces p = {{BL_STR("return function() "), text, BL_STR("\nend")}, 0};

    if (is_bytecode(text))
        return luaL_loadbuffer(L, text.p, text.len, name);
    int code = lua_load(L, read_piece, &p, name);
    if (code == 0) {
        lua_call(L, 0, 1);
        return 0;
    }
    /* `...`, or an error: then the message is better about the text as written. */
    lua_pop(L, 1);
    return luaL_loadbuffer(L, text.p, text.len, name);
}

/* Logs the message on top of L. */
static int bad_code(lua_State *L, const bl_lua_code *code, bl_str path)
{
    const char *message = lua_tostring(L, -1);
    bl_log *log = bl_lua_log();

    if (code->hook)
        bl_log_write(BL_LOG_ERR, log, 0, "%.*s error: %s", BL_STR_ARG(code->directive), message);
    else if (path.len)
        bl_log_write(BL_LOG_ERR, log, 0, "failed to load external Lua file \"%.*s\": %s",
                     BL_STR_ARG(path), message);
    else
        bl_log_write(BL_LOG_ERR, log, 0, "failed to load inlined Lua code: %s", message);
    lua_pop(L, 1);
    return 500;
}

/* A first line that begins with # is for the shell. */
static bl_str skip_shebang(bl_str text)
{
    if (text.len == 0 || text.p[0] != '#')
        return text;
    ssize_t end = bl_str_chr(text, '\n');
    return end < 0 ? BL_STR("") : bl_str_of(text.p + end, text.len - (size_t)end);
}

/* A whole file, in memory to be freed. False: errno. */
static bool read_file(const char *path, bl_str *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    bool ok = fd >= 0 && fstat(fd, &st) == 0;

    if (ok && S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        ok = false;
    }
    if (ok) {
        text->p = bl_alloc((size_t)st.st_size + 1);
        ssize_t n = read(fd, text->p, (size_t)st.st_size);
        text->len = n > 0 ? (size_t)n : 0;
        if ((ok = n >= 0) == false)
            bl_free(text->p);
    }
    int err = errno;
    if (fd >= 0)
        close(fd);
    errno = err;
    return ok;
}

int bl_lua_code_load_path(lua_State *L, const char *path)
{
    bl_str text;

    if (!read_file(path, &text))
        return errno;
    lua_pushfstring(L, "@%s", path);
    int error = bl_lua_code_load(L, skip_shebang(text), lua_tostring(L, -1));
    lua_remove(L, -2);
    bl_free(text.p);
    return error ? -1 : 0;
}

static int load_file(lua_State *L, const bl_lua_code *code, bl_str path)
{
    int err = bl_lua_code_load_path(L, path.p);

    if (err > 0) {
        bl_log_write(BL_LOG_ERR, bl_lua_log(), 0,
                     "failed to load external Lua file \"%.*s\": cannot open %.*s: %s",
                     BL_STR_ARG(path), BL_STR_ARG(path), strerror(err));
        return err == ENOENT || err == ENOTDIR ? 404 : 503;
    }
    return err ? bad_code(L, code, path) : 0;
}

/* ------------------------------------------------------------- the cache */

static bl_str full_path(const bl_lua_code *code, const bl_lua_vm *vm, bl_request *r, bl_pool *pool)
{
    bl_str path = r ? bl_value_eval(r, code->path) : code->path->text;
    bl_str parts[] = {vm->generation->prefix, path};

    return path.len && path.p[0] == '/' ? bl_pool_str(pool, path) : bl_pool_concat(pool, parts, 2);
}

/* A file that may change: in the care of reload.c. */
static int push_watched(bl_lua_vm *vm, const bl_lua_code *code, bl_str path)
{
    if (bl_lua_reload_push(vm->L, path.p))
        return 0;
    int status = load_file(vm->L, code, path);
    if (status == 0)
        bl_lua_reload_keep(vm->L, path.p);
    return status;
}

/* A path with variables: in a table by path. */
static int push_by_path(bl_lua_vm *vm, const bl_lua_code *code, bl_str path)
{
    lua_State *L = vm->L;

    lua_rawgeti(L, LUA_REGISTRYINDEX, vm->files);
    lua_pushlstring(L, path.p, path.len);
    lua_rawget(L, -2);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        int status = load_file(L, code, path);
        if (status) {
            lua_pop(L, 1);
            return status;
        }
        lua_pushlstring(L, path.p, path.len);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
    lua_remove(L, -2);
    return 0;
}

/* Loads it; the function is on top of the VM's own stack then. */
static int load(bl_lua_code *code, bl_lua_vm *vm, bl_request *r)
{
    if (code->text.p) {
        if (bl_lua_code_load(vm->L, code->text, code->name) == 0)
            return 0;
        return bad_code(vm->L, code, BL_STR_NONE);
    }
    bl_pool *pool = r ? r->pool : bl_pool_new();
    bl_str path = full_path(code, vm, r, pool);
    int status;
    if (vm->watch)
        status = push_watched(vm, code, path);
    else if (bl_value_has_variables(code->path))
        status = push_by_path(vm, code, path);
    else
        status = load_file(vm->L, code, path);
    if (r == NULL)
        bl_pool_free(pool);
    return status;
}

int bl_lua_code_push(bl_lua_code *code, bl_lua_vm *vm, bl_request *r, lua_State *to)
{
    if (BL_LIKELY(code->ref != LUA_NOREF && !vm->own)) {
        lua_rawgeti(to, LUA_REGISTRYINDEX, code->ref);
        return 0;
    }
    bl_lua_here outer = bl_lua_now;
    bl_lua_now.request = r;
    bl_lua_now.vm = vm;
    int status = load(code, vm, r);
    bl_lua_now = outer;
    if (status)
        return status;
    if (!vm->own && !(code->path && (vm->watch || bl_value_has_variables(code->path)))) {
        lua_pushvalue(vm->L, -1);
        code->ref = luaL_ref(vm->L, LUA_REGISTRYINDEX);
    }
    lua_xmove(vm->L, to, 1);
    return 0;
}
