#include "core/base64.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char for_urls[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t bl_base64_encode(char *to, bl_str s, bool padding, bool url)
{
    const char *alphabet = url ? for_urls : standard;
    const unsigned char *in = (const unsigned char *)s.p;
    size_t left = s.len;
    char *at = to;

    for (; left >= 3; left -= 3, in += 3) {
        *at++ = alphabet[in[0] >> 2];
        *at++ = alphabet[(in[0] & 3) << 4 | in[1] >> 4];
        *at++ = alphabet[(in[1] & 15) << 2 | in[2] >> 6];
        *at++ = alphabet[in[2] & 63];
    }
    if (left) {
        *at++ = alphabet[in[0] >> 2];
        *at++ = alphabet[(in[0] & 3) << 4 | (left > 1 ? in[1] >> 4 : 0)];
        if (left > 1)
            *at++ = alphabet[(in[1] & 15) << 2];
        else if (padding)
            *at++ = '=';
        if (padding)
            *at++ = '=';
    }
    return (size_t)(at - to);
}

/* 0..63, or -1. */
static int value_of(unsigned char c, bool url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    return c == (url ? '_' : '/') ? 63 : -1;
}

ssize_t bl_base64_decode(char *to, bl_str s, bool url, bool mime)
{
    uint32_t bits = 0;
    size_t digits = 0, i = 0;
    char *at = to;

    for (; i < s.len && s.p[i] != '='; i++) {
        int v = value_of((unsigned char)s.p[i], url);
        if (v < 0 && mime)
            continue;
        if (v < 0)
            return -1;
        bits = bits << 6 | (uint32_t)v;
        if (++digits % 4 == 0) {
            *at++ = (char)(bits >> 16);
            *at++ = (char)(bits >> 8);
            *at++ = (char)bits;
        }
    }
    if (digits % 4 == 1)
        return -1;
    if (digits % 4 == 2)
        *at++ = (char)(bits >> 4);
    if (digits % 4 == 3) {
        *at++ = (char)(bits >> 10);
        *at++ = (char)(bits >> 2);
    }
    return at - to;
}
