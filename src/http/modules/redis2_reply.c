#include "http/modules/redis2_reply.h"

void bl_redis2_replies_await(bl_redis2_replies *replies, int64_t count)
{
    *replies = (bl_redis2_replies){.awaited = count};
}

bool bl_redis2_replies_begin(char c)
{
    return c == '+' || c == '-' || c == ':' || c == '$' || c == '*';
}

static void end_line(bl_redis2_replies *d)
{
    int64_t number = d->negative ? -1 : d->number;

    if (d->type == '$' && number >= 0)
        d->text_left = number + 2;
    else if (d->type == '*' && number > 0)
        d->awaited += number - 1;
    else
        d->awaited--;
    d->type = 0;
}

/* One byte of a line. False: no reply begins so, or its number is absurd. */
static bool take_byte(bl_redis2_replies *d, char c)
{
    if (d->type == 0) {
        d->type = c;
        d->negative = false;
        d->number = 0;
        return bl_redis2_replies_begin(c);
    }
    if (c == '\n')
        end_line(d);
    else if (c == '-')
        d->negative = true;
    else if (c >= '0' && c <= '9' && (d->type == '$' || d->type == '*'))
        d->number = d->number * 10 + (c - '0');
    return d->number < INT32_MAX;
}

bl_status bl_redis2_replies_take(bl_redis2_replies *d, bl_str in, size_t *used)
{
    size_t n = 0;

    while (n < in.len && d->awaited > 0) {
        if (d->text_left) {
            size_t taken = (size_t)BL_MIN((int64_t)(in.len - n), d->text_left);
            n += taken;
            d->text_left -= (int64_t)taken;
            d->awaited -= d->text_left == 0;
        } else if (!take_byte(d, in.p[n++])) {
            return BL_ERROR;
        }
    }
    *used = n;
    return d->awaited > 0 ? BL_AGAIN : BL_OK;
}
