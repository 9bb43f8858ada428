#include "process/options.h"
#include "core/mem.h"
#include "process/features.h"

#include <config.h>
#include <openssl/opensslv.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bl_str prefix = BL_STR_INIT(BL_PREFIX);

/* Against the current directory, and with a slash at the end: the daemon may stand elsewhere. */
static bl_str absolute_folder(bl_str path)
{
    char *here = path.len && path.p[0] == '/' ? NULL : getcwd(NULL, 0);
    size_t size = path.len + (here ? strlen(here) : 0) + 3;
    char *text = bl_alloc(size);
    int len = snprintf(text, size, "%s%s%.*s", here ? here : "", here ? "/" : "", BL_STR_ARG(path));

    free(here);
    if (len == 0 || text[len - 1] != '/')
        text[len++] = '/';
    text[len] = '\0';
    return bl_str_of(text, (size_t)len);
}

/* An option with a value: in the same argument or in the next. */
typedef struct valued {
    char letter;
    const char *what; /* for the message when it is missing */
    bl_str *to;
} valued;

static bl_str signal_name;

static const valued valued_options[] = {
    {'p', "directory name", &prefix},       {'c', "file name", &bl_opts.conf_path},
    {'e', "file name", &bl_opts.error_log}, {'g', "parameter", &bl_opts.globals},
    {'s', "parameter", &signal_name},
};

static bool *flag_of(char letter)
{
    switch (letter) {
    case 't':
        return &bl_opts.test;
    case 'T':
        return &bl_opts.dump;
    case 'q':
        return &bl_opts.quiet;
    case 'v':
        return &bl_opts.version;
    case 'V':
        return &bl_opts.configure;
    case 'h':
    case '?':
        return &bl_opts.help;
    default:
        return NULL;
    }
}

static const valued *valued_of(char letter)
{
    for (size_t i = 0; i < BL_COUNTOF(valued_options); i++) {
        if (valued_options[i].letter == letter)
            return &valued_options[i];
    }
    return NULL;
}

/* Letters of one argument, behind its `-`. Returns how many further arguments it took, -1 after an
 * error. */
static int read_letters(const char *letters, const char *next)
{
    for (; *letters; letters++) {
        bool *flag = flag_of(*letters);
        const valued *v = valued_of(*letters);
        if (flag) {
            *flag = true;
            continue;
        }
        if (v == NULL) {
            fprintf(stderr, "bulan: invalid option: \"%c\"\n", *letters);
            return -1;
        }
        const char *value = letters[1] ? letters + 1 : next;
        if (value == NULL || *value == '\0') {
            fprintf(stderr, "bulan: option \"-%c\" requires %s\n", v->letter, v->what);
            return -1;
        }
        *v->to = bl_str_c(value);
        return letters[1] ? 0 : 1;
    }
    return 0;
}

static bool known_signal(void)
{
    static const char *const names[] = {"stop", "quit", "reopen", "reload"};

    if (signal_name.p == NULL)
        return true;
    bl_opts.signal = signal_name.p;
    for (size_t i = 0; i < BL_COUNTOF(names); i++) {
        if (strcmp(bl_opts.signal, names[i]) == 0)
            return true;
    }
    fprintf(stderr, "bulan: invalid option: \"-s %s\"\n", bl_opts.signal);
    return false;
}

bool bl_options_read(char **argv)
{
    bl_opts.argv = argv;
    bl_opts.conf_path = BL_STR(BL_CONF_PATH);
    bl_opts.globals = BL_STR("");
    for (char **arg = argv[0] ? argv + 1 : argv; *arg; arg++) {
        if (**arg != '-' || (*arg)[1] == '\0') {
            fprintf(stderr, "bulan: invalid option: \"%s\"\n", *arg);
            return false;
        }
        int taken = read_letters(*arg + 1, arg[1]);
        if (taken < 0)
            return false;
        arg += taken;
    }
    bl_opts.prefix = absolute_folder(prefix);
    bl_opts.test |= bl_opts.dump;
    return known_signal();
}

void bl_options_version(bool configure)
{
    fprintf(stderr, "nginx version: nginx/1.31.4 (bulan-%s)\n", BL_VERSION);
    if (!configure)
        return;
    fprintf(stderr, "built by %s\nbuilt with %s\nTLS SNI support enabled\nconfigure arguments:",
            BL_COMPILER, OPENSSL_VERSION_TEXT);
    for (const char *const *word = bl_feature_words; *word; word++)
        fprintf(stderr, " %s", *word);
    fprintf(stderr, "%s%s\n", *BL_CONFIGURE_ARGS ? " " : "", BL_CONFIGURE_ARGS);
}

void bl_options_help(void)
{
    bl_options_version(false);
    fprintf(stderr,
            "Usage: bulan [-?hvVtTq] [-s signal] [-p prefix]\n"
            "             [-e filename] [-c filename] [-g directives]\n"
            "       bulan run [options] [file.lua [argument ...]]\n"
            "       bulan test [options] [file or folder ...]\n"
            "\n"
            "  -?, -h         print this\n"
            "  -v             print the version\n"
            "  -V             print the version and how it was built\n"
            "  -t             test the configuration; nothing is written, no port is opened\n"
            "  -T             the same, and print all files of the configuration\n"
            "  -q             print only errors while testing\n"
            "  -s signal      tell the running server: stop, quit, reopen, reload\n"
            "  -p prefix      where relative paths begin (%s/)\n"
            "  -e filename    the error log until the configuration names one, or stderr (%s)\n"
            "  -c filename    the configuration file (%s)\n"
            "  -g directives  directives of the main context, before those of the file\n"
            "\n"
            "  run, test      Lua scripts and Lua tests, without a server: bulan run --help\n",
            BL_PREFIX, BL_ERROR_LOG_PATH, BL_CONF_PATH);
}
