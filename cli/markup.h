/* cli/markup.h - text and bytes as they may stand in a page that is HTML and XML alike. */
#ifndef PD_MARKUP_H
#define PD_MARKUP_H

#include <stddef.h>
#include <stdio.h>

/** Text of a file, a path or a user, as content or between the quotes of an attribute. What XML cannot say (control characters, bytes that are no UTF-8) becomes
 *  U+FFFD. */
void markup_text(FILE *to, const char *text);
/** The same of at most `most` characters, the middle of a longer text left out. */
void markup_short(FILE *to, const char *text, int most);
/** Characters of a text as it is written. */
int markup_length(const char *text);
/** Bytes as base64, in one line. */
void markup_base64(FILE *to, const unsigned char *data, size_t size);

#endif
