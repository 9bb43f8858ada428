#include "http/modules/memc_reply.h"

static const bl_str end_of_list = BL_STR_INIT("END\r\n");
static const bl_str end_of_value = BL_STR_INIT("\r\nEND\r\n");

/* The word at the front of `text`, which it is taken off. */
static bl_str take_word(bl_str *text)
{
    ssize_t space = bl_str_chr(*text, ' ');
    bl_str word = space < 0 ? *text : bl_str_of(text->p, (size_t)space);
    size_t used = BL_MIN(word.len + 1, text->len);

    *text = bl_str_of(text->p + used, text->len - used);
    return word;
}

static bl_status answer(bl_memc_reply *reply, int status, int64_t length)
{
    reply->status = status;
    reply->length = length;
    return BL_OK;
}

/* "VALUE key flags bytes [cas]" */
static bl_status use_value(bl_memc_reply *reply)
{
    bl_str rest = reply->line;

    take_word(&rest);
    take_word(&rest);
    reply->flags = take_word(&rest);
    int64_t length = bl_str_to_int(take_word(&rest));
    reply->has_end = true;
    return length < 0 ? BL_ERROR : answer(reply, 200, length);
}

static int status_of(bl_str line)
{
    if (bl_str_eq(line, BL_STR("STORED")))
        return 201;
    if (bl_str_eq(line, BL_STR("NOT_FOUND")))
        return 404;
    if (bl_str_starts(line, BL_STR("ERROR")) || bl_str_starts(line, BL_STR("CLIENT_ERROR")) ||
        bl_str_starts(line, BL_STR("SERVER_ERROR")))
        return 502;
    return 200;
}

bl_status bl_memc_reply_head(bl_memc_reply *reply, bl_str text, size_t *used)
{
    ssize_t lf = bl_str_chr(text, '\n');

    if (lf < 0)
        return BL_AGAIN;
    *reply = (bl_memc_reply){.kind = reply->kind, .line = bl_str_of(text.p, (size_t)lf)};
    if (lf && text.p[lf - 1] == '\r')
        reply->line.len--;
    *used = (size_t)lf + 1;
    if (reply->kind == BL_MEMC_VALUE && bl_str_starts(reply->line, BL_STR("VALUE ")))
        return use_value(reply);
    int status = status_of(reply->line);
    bool is_end = reply->kind == BL_MEMC_VALUE && bl_str_eq(reply->line, BL_STR("END"));
    if (is_end || status == 404)
        return answer(reply, 404, 0);
    if (reply->kind == BL_MEMC_VALUE && status != 502)
        return BL_ERROR;
    /* The line is the body, or the first one of it. */
    int64_t whole = (int64_t)*used;
    *used = 0;
    return answer(reply, status, reply->kind == BL_MEMC_LIST && status == 200 ? -1 : whole);
}

bl_status bl_memc_reply_list(bl_memc_reply *reply, bl_str in, size_t *used)
{
    enum {
        NOT_THIS_LINE = 100
    };
    size_t n = 0;

    while (n < in.len && reply->matched != end_of_list.len) {
        char c = in.p[n++];
        if (reply->matched < end_of_list.len && c == end_of_list.p[reply->matched])
            reply->matched++;
        else
            reply->matched = c == '\n' ? 0 : NOT_THIS_LINE;
    }
    *used = n;
    return reply->matched == end_of_list.len ? BL_OK : BL_AGAIN;
}

bl_status bl_memc_reply_end(bl_memc_reply *reply, bl_str in, size_t *used)
{
    size_t n = 0;

    while (n < in.len && reply->matched < end_of_value.len) {
        if (in.p[n++] != end_of_value.p[reply->matched++])
            return BL_ERROR;
    }
    *used = n;
    return reply->matched == end_of_value.len ? BL_OK : BL_AGAIN;
}
