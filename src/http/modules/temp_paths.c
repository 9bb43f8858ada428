/* Where requests and responses of the application protocols are buffered on disk. The directives
 * are read wherever a configuration written for nginx has them. */
#include "http/modules/temp_paths.h"
#include "http/body.h"

typedef struct settings {
    bl_temp_path *fastcgi, *uwsgi, *scgi;
} settings;

#define ROW(name, field)                                                                           \
    {                                                                                              \
        name "_temp_path", BL_IN_HSL, BL_TAKE1234, &bl_type_temp_path, BL_LOCATION,                \
            offsetof(settings, field), name "_temp"                                                \
    }

static const bl_directive directives[] = {
    ROW("fastcgi", fastcgi),
    ROW("uwsgi", uwsgi),
    ROW("scgi", scgi),
    {0},
};

bl_module bl_temp_paths_module = {
    .name = "http_temp_paths",
    .directives = directives,
    .size = {0, 0, sizeof(settings)},
};
