/* empty_gif: a transparent image of one pixel, from memory. */
#include "http/modules/empty_gif.h"
#include "http/output.h"
#include "http/request.h"

enum {
    LONG_AGO = 23349600, /* 28 September 1970: an image that never changes */
};

/* GIF89a (its specification's sections 17-27): header, screen descriptor, two colours, graphic
 * control (colour 0 is transparent), image descriptor, LZW data, trailer. */
static const unsigned char image[] = {
    'G',  'I',  'F',  '8',  '9',  'a',  1,    0,    1,    0,    0x80, 0x01, 0x00, 0x00, 0x00,
    0x00, 0xff, 0xff, 0xff, 0x21, 0xf9, 0x04, 0x01, 0x00, 0x00, 0x01, 0x00, 0x2c, 0x00, 0x00,
    0x00, 0x00, 0x01, 0x00, 0x01, 0x00, 0x00, 0x02, 0x02, 0x4c, 0x01, 0x00, 0x3b,
};

static bl_step serve(bl_request *r)
{
    if (!(r->method & (BL_M_GET | BL_M_HEAD)))
        return 405;
    r->out.last_modified = LONG_AGO;
    return bl_output_text(r, 200, BL_STR("image/gif"),
                          bl_str_of((const char *)image, sizeof image));
}

static bool read_empty_gif(bl_conf *cf, const bl_directive *d BL_UNUSED,
                           const bl_conf_node *node BL_UNUSED, void *field BL_UNUSED)
{
    ((bl_location *)cf->block)->content = serve;
    return true;
}

static const bl_directive directives[] = {
    {"empty_gif", BL_IN_LOCATION, BL_TAKE0, &bl_type_action, .set = read_empty_gif},
    {0},
};

bl_module bl_empty_gif_module = {.name = "empty_gif", .directives = directives};
