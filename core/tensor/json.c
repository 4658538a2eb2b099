#include "json.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 8 }; /* what pudle writes nests 3 deep */

static bool only_blanks(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] != ' ' && text[i] != '\n' && text[i] != '\t' && text[i] != '\r')
            return false;
    return true;
}

pudle_status pd_json_parse(const char *text, size_t length, json_object **out, const char **why, size_t *at)
{
    json_tokener *tokener = json_tokener_new_ex(DEPTH);
    if (!tokener)
        return PUDLE_ERR_NOMEM;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    json_object *object = json_tokener_parse_ex(tokener, text, length < INT_MAX ? (int)length : INT_MAX);
    const enum json_tokener_error error = json_tokener_get_error(tokener);
    *at = json_tokener_get_parse_end(tokener);
    json_tokener_free(tokener);
    *why = error == json_tokener_continue ? "it ends too early" : error != json_tokener_success ? json_tokener_error_desc(error) :
           *text != '{' || !only_blanks(text + *at, length - *at) ? "it is not one object" : NULL;
    if (!*why && object) {
        *out = object;
        return PUDLE_OK;
    }
    json_object_put(object);
    return *why ? PUDLE_ERR_IO : PUDLE_ERR_NOMEM;
}

json_object *pd_json_add(json_object *object, const char *key, json_object *value)
{
    if (object && value && json_object_object_add(object, key, value) == 0)
        return value;
    json_object_put(value);
    return NULL;
}

json_object *pd_json_append(json_object *array, json_object *value)
{
    if (array && value && json_object_array_add(array, value) == 0)
        return value;
    json_object_put(value);
    return NULL;
}

bool pd_json_texts(json_object *object, int count, const pd_meta *text)
{
    bool good = object != NULL;
    for (int i = 0; good && i < count; i++)
        good = pd_json_add(object, text[i].key, json_object_new_string(text[i].value)) != NULL;
    return good;
}

/* ------------------------------------------------------------------- writing */

static void put_text(FILE *to, const char *text, size_t length)
{
    static const char escaped[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    putc('"', to);
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)text[i];
        const char *at = c ? strchr(escaped, c) : NULL;
        if (at)
            fprintf(to, "\\%c", letter[at - escaped]);
        else if (c < ' ')
            fprintf(to, "\\u%04x", c);
        else
            putc(c, to);
    }
    putc('"', to);
}

/* Before an item, and at the end of all; depth < 0: everything is on one line. */
static void new_line(FILE *to, int depth)
{
    if (depth >= 0)
        fprintf(to, "\n%*s", 2 * depth, "");
}

static void put_value(FILE *to, json_object *value, int depth)
{
    const int inner = depth < 0 ? depth : depth + 1;
    const char *comma = "";
    if (json_object_is_type(value, json_type_object)) {
        struct json_object_iterator i = json_object_iter_begin(value), end = json_object_iter_end(value);
        putc('{', to);
        for (; !json_object_iter_equal(&i, &end); json_object_iter_next(&i), comma = ",") {
            const char *key = json_object_iter_peek_name(&i);
            fputs(comma, to);
            new_line(to, inner);
            put_text(to, key, strlen(key));
            putc(':', to);
            put_value(to, json_object_iter_peek_value(&i), inner);
        }
        if (*comma)
            new_line(to, depth);
        putc('}', to);
    } else if (json_object_is_type(value, json_type_array)) {
        putc('[', to);
        for (size_t i = 0; i < json_object_array_length(value); i++, comma = ",") {
            fputs(comma, to);
            new_line(to, inner);
            put_value(to, json_object_array_get_idx(value, i), inner);
        }
        if (*comma)
            new_line(to, depth);
        putc(']', to);
    } else if (json_object_is_type(value, json_type_string)) {
        put_text(to, json_object_get_string(value), (size_t)json_object_get_string_len(value));
    } else if (json_object_is_type(value, json_type_int)) {
        fprintf(to, "%" PRId64, json_object_get_int64(value));
    } else { /* only in a manifest that somebody has edited */
        const char *text = json_object_to_json_string(value);
        fputs(text ? text : "null", to);
    }
}

char *pd_json_text(json_object *object, bool lines)
{
    char *text;
    size_t length;
    FILE *to = pd_text_stream(&text, &length);
    if (!to)
        return NULL;
    put_value(to, object, lines ? 0 : -1);
    return fclose(to) ? NULL : text;
}
