/* Escaping for a page: whatever a path or a config holds, the page stays well-formed. */
#include "markup.h"
#include <stdbool.h>
#include <string.h>

/* Length of the character of UTF-8 that text begins with; 0: it is none, or one that XML does not know. */
static int character(const unsigned char *text)
{
    const unsigned char c = text[0];
    const int length = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    unsigned long code = length == 1 ? c : length == 2 ? c & 0x1fu : length == 3 ? c & 0x0fu : c & 0x07u;
    for (int i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80) /* the end of the text, too */
            return 0;
        code = code << 6 | (text[i] & 0x3fu);
    }
    const bool control = (code < 0x20 && code != '\t' && code != '\n') || (code >= 0x7f && code < 0xa0), surrogate = code >= 0xd800 && code < 0xe000;
    const bool longer = (length == 3 && code < 0x800) || (length == 4 && (code < 0x10000 || code > 0x10ffff)); /* than the code asks for, or beyond the last */
    return control || surrogate || longer || code == 0xfffe || code == 0xffff ? 0 : length;
}

/* Write one character, and return where the next begins. */
static const char *put(FILE *to, const char *text)
{
    static const char special[] = "&<>\"'", *const name[] = { "&amp;", "&lt;", "&gt;", "&quot;", "&#39;" };
    const int length = character((const unsigned char *)text);
    const char *at = strchr(special, *text);
    if (at)
        fputs(name[at - special], to);
    else if (length)
        fwrite(text, 1, (size_t)length, to);
    else
        fputs("\xef\xbf\xbd", to); /* U+FFFD */
    return text + (length ? length : 1);
}

void markup_text(FILE *to, const char *text)
{
    while (*text)
        text = put(to, text);
}

int markup_length(const char *text)
{
    int count = 0;
    for (; *text; count++) {
        const int length = character((const unsigned char *)text);
        text += length ? length : 1;
    }
    return count;
}

void markup_short(FILE *to, const char *text, int most)
{
    const int length = markup_length(text), head = (most - 1) / 2, tail = most - 1 - head;
    for (int i = 0; *text; i++) {
        if (length <= most || i < head || i >= length - tail) {
            text = put(to, text);
            continue;
        }
        if (i == head)
            fputs("\xe2\x80\xa6", to); /* an ellipsis */
        const int bytes = character((const unsigned char *)text);
        text += bytes ? bytes : 1;
    }
}

void markup_base64(FILE *to, const unsigned char *data, size_t size)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        const unsigned b = i + 1 < size ? data[i + 1] : 0, c = i + 2 < size ? data[i + 2] : 0, bits = (unsigned)data[i] << 16 | b << 8 | c;
        putc(digit[bits >> 18], to);
        putc(digit[bits >> 12 & 63], to);
        putc(i + 1 < size ? digit[bits >> 6 & 63] : '=', to);
        putc(i + 2 < size ? digit[bits & 63] : '=', to);
    }
}
