#include "lua/tool_options.h"

#include <stdio.h>
#include <unistd.h>

/* Options of both commands; `values`: what stands for the value in the help, NULL when it has none.
 */
typedef struct known {
    const char *name, *value, *about;
    bool test_only;
} known;

static const known all[] = {
    {"-e", "CODE", "run this Lua code, in front of FILE; may be repeated"},
    {"-I", "DIR", "look for Lua modules here first; may be repeated"},
    {"-l", "LIB", "require this module before anything runs; may be repeated"},
    {"-c", "N", "worker_connections (default 1024)"},
    {"--shdict", "'NAME SIZE'", "a lua_shared_dict; may be repeated"},
    {"--http-conf", "TEXT", "directives for the block http; may be repeated"},
    {"--http-include", "PATH", "a file of them; may be repeated"},
    {"--main-conf", "TEXT", "directives for the top of the configuration; may be repeated"},
    {"--main-include", "PATH", "a file of them; may be repeated"},
    {"--ns", "IP", "ask this name server instead of the system's; may be repeated"},
    {"--errlog-level", "LEVEL", "what ngx.log writes to stderr (default warn)"},
    {"-f", "PATTERN", "only tests whose full name this Lua pattern finds", .test_only = true},
    {"--tap", NULL, "write TAP, for prove and others that read it", .test_only = true},
    {"-h", NULL, "print this, as --help does"},
    {"--help", NULL, NULL},
};

static const known *find(const bl_tool_options *options, const char *name, size_t len)
{
    bool test = strcmp(options->command, "test") == 0;

    for (size_t i = 0; i < BL_COUNTOF(all); i++) {
        if (strlen(all[i].name) == len && memcmp(all[i].name, name, len) == 0 &&
            (test || !all[i].test_only))
            return &all[i];
    }
    return NULL;
}

/* `-e CODE`, `-eCODE`, `--ns IP` and `--ns=IP`: the option in `word`; *value where it stands in the
 * same word, else NULL. */
static const known *split(const bl_tool_options *options, const char *word, const char **value)
{
    bool is_long = word[1] == '-';
    size_t len = is_long ? strcspn(word, "=") : 2;

    *value = NULL;
    if (word[len])
        *value = word + len + (is_long ? 1 : 0);
    return find(options, word, len);
}

/* One option; how many further words it took, -1 after an error. */
static int read_option(bl_tool_options *options, const char *word, const char *next)
{
    const char *value;
    const known *option = split(options, word, &value);
    int taken = 0;

    if (option == NULL || (value && option->value == NULL)) {
        fprintf(stderr, "bulan: %s has no option \"%s\" (--help tells which)\n", options->command,
                word);
        return -1;
    }
    if (option->value && value == NULL) {
        value = next;
        taken = 1;
    }
    if (option->value && value == NULL) {
        fprintf(stderr, "bulan: option \"%s\" requires %s\n", option->name, option->value);
        return -1;
    }
    options->help |= strcmp(option->name, "-h") == 0 || strcmp(option->name, "--help") == 0;
    *(bl_tool_option *)bl_array_push(&options->given) = (bl_tool_option){option->name, value};
    return taken;
}

bool bl_tool_options_read(bl_tool_options *options, bl_pool *pool, char **argv)
{
    char **word = argv + 2;

    options->command = argv[1];
    bl_array_init(&options->given, pool, sizeof(bl_tool_option));
    for (; *word && **word == '-' && (*word)[1]; word++) {
        if (strcmp(*word, "--") == 0) {
            word++;
            break;
        }
        int taken = read_option(options, *word, word[1]);
        if (taken < 0)
            return false;
        word += taken;
    }
    options->rest = word;
    return true;
}

void bl_tool_options_help(const bl_tool_options *options)
{
    bool test = strcmp(options->command, "test") == 0;

    if (test)
        printf("Usage: bulan test [options] [FILE or DIR ...]\n\n"
               "Runs the Lua tests of the files, and of all *_spec.lua and *_test.lua below the\n"
               "folders (default: the current one), inside a worker. Options:\n\n");
    else
        printf("Usage: bulan run [options] [FILE.lua [argument ...]]\n\n"
               "Runs a Lua script with the ngx API and the event loop, without a server. Without\n"
               "FILE: an interactive prompt on a terminal, else the script is read from stdin, as\n"
               "it is for \"-\". Options:\n\n");
    for (size_t i = 0; i < BL_COUNTOF(all); i++) {
        char left[40];
        if (all[i].about == NULL || (all[i].test_only && !test))
            continue;
        snprintf(left, sizeof left, "%s %s", all[i].name, all[i].value ? all[i].value : "");
        printf("  %-22s %s\n", left, all[i].about);
    }
}

/* ------------------------------------------------------------- the configuration */

typedef struct text {
    bl_array chars;
} text;

static void put(text *t, const char *p)
{
    for (; *p; p++)
        *(char *)bl_array_push(&t->chars) = *p;
}

/* Inside double quotes. */
static void put_quoted(text *t, const char *p)
{
    for (; *p; p++) {
        if (*p == '"' || *p == '\\')
            put(t, "\\");
        *(char *)bl_array_push(&t->chars) = *p;
    }
}

/* BEFORE value AFTER for each option of that name; their number. */
static int put_each(text *t, const bl_tool_options *options, const char *name, const char *before,
                    const char *after)
{
    int count = 0;

    BL_ARRAY_EACH (const bl_tool_option, it, &options->given) {
        if (strcmp(it->name, name) != 0)
            continue;
        put(t, before);
        put(t, it->value);
        put(t, after);
        count++;
    }
    return count;
}

static const char *last(const bl_tool_options *options, const char *name, const char *otherwise)
{
    BL_ARRAY_EACH (const bl_tool_option, it, &options->given) {
        if (strcmp(it->name, name) == 0)
            otherwise = it->value;
    }
    return otherwise;
}

/* What a script needs otherwise than a server; unless the user's own text says it. */
static void put_default(text *t, const bl_tool_options *options, const char *option,
                        const char *directive, const char *value)
{
    BL_ARRAY_EACH (const bl_tool_option, it, &options->given) {
        if (strcmp(it->name, option) == 0 && strstr(it->value, directive))
            return;
    }
    put(t, directive);
    put(t, " ");
    put(t, value);
    put(t, ";\n");
}

static void put_package_path(text *t, const bl_tool_options *options)
{
    if (last(options, "-I", NULL) == NULL)
        return;
    for (int c = 0; c < 2; c++) {
        put(t, c ? "lua_package_cpath \"" : "lua_package_path \"");
        BL_ARRAY_EACH (const bl_tool_option, it, &options->given) {
            if (strcmp(it->name, "-I") != 0)
                continue;
            put_quoted(t, it->value);
            put(t, c ? "/?.so;" : "/?.lua;");
            if (c == 0)
                put_quoted(t, it->value);
            put(t, c ? "" : "/?/init.lua;");
        }
        put(t, ";\";\n");
    }
}

static void put_http(text *t, const bl_tool_options *options)
{
    put(t, "http {\n");
    put_package_path(t, options);
    put_default(t, options, "--http-conf", "access_log", "off");
    put_default(t, options, "--http-conf", "lua_block_warn", "0");
    if (last(options, "--ns", NULL)) {
        put(t, "resolver");
        put_each(t, options, "--ns", " ", "");
        put(t, ";\n");
    }
    put_each(t, options, "--shdict", "lua_shared_dict ", ";\n");
    put_each(t, options, "--http-include", "include ", ";\n");
    put_each(t, options, "--http-conf", "", "\n");
    put(t, "}\n");
}

bl_str bl_tool_options_conf(const bl_tool_options *options, bl_pool *pool)
{
    text t;

    bl_array_init(&t.chars, pool, 1);
    put(&t, "daemon off; master_process off;\n");
    if (geteuid() == 0)
        put_default(&t, options, "--main-conf", "user", "root");
    put(&t, "error_log stderr ");
    put(&t, last(options, "--errlog-level", "warn"));
    put(&t, ";\n");
    put_each(&t, options, "--main-include", "include ", ";\n");
    put_each(&t, options, "--main-conf", "", "\n");
    put(&t, "events { worker_connections ");
    put(&t, last(options, "-c", "1024"));
    put(&t, "; }\n");
    put_http(&t, options);
    return bl_str_of(t.chars.items, t.chars.count);
}
