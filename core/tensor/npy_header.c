/* core/tensor/npy_header.c - the header of NumPy's .npy format, versions 1 to 3:
 *
 *   "\x93NUMPY" major minor length text,   length 2 bytes (version 1) or 4 (2 and 3), little endian,
 *   text a Python literal {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), } padded with blanks.
 *
 * Source: NumPy Enhancement Proposal 1 and numpy.lib.format. The text is parsed by hand: nothing is ever evaluated. */
#include "files.h"

#include <stdio.h>
#include <string.h>

typedef struct cursor { const char *at, *end; } cursor;

static void skip_blanks(cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t' || *c->at == '\r'))
        c->at++;
}

static bool take(cursor *c, char wanted)
{
    skip_blanks(c);
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool take_word(cursor *c, const char *word)
{
    const size_t n = strlen(word);
    skip_blanks(c);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
        return false;
    c->at += n;
    return true;
}

/* A quoted string without escapes, at most 15 characters: all that occurs in a legal header of numbers. */
static bool take_string(cursor *c, char text[16])
{
    skip_blanks(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"'))
        return false;
    const char quote = *c->at++;
    size_t n = 0;
    while (c->at < c->end && *c->at != quote) {
        if (n == 15 || *c->at == '\\')
            return false;
        text[n++] = *c->at++;
    }
    text[n] = '\0';
    if (c->at == c->end)
        return false;
    c->at++;
    return true;
}

/* A decimal number; "L" may follow (Python 2 wrote it). */
static bool take_extent(cursor *c, int64_t *value)
{
    int64_t v = 0;
    skip_blanks(c);
    const char *start = c->at;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        const int digit = *c->at - '0';
        if (v > (INT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    if (c->at == start)
        return false;
    if (c->at < c->end && *c->at == 'L')
        c->at++;
    *value = v;
    return true;
}

/* "(3, 4)", "(3,)", "()". *rank counts on past the limit, so that the caller can name the number. */
static bool take_shape(cursor *c, int32_t *rank, int64_t shape[PUDLE_MAX_RANK])
{
    *rank = 0;
    if (!take(c, '('))
        return false;
    while (!take(c, ')')) {
        int64_t extent;
        if (*rank > 64 || !take_extent(c, &extent))
            return false;
        if (*rank < PUDLE_MAX_RANK)
            shape[*rank] = extent;
        ++*rank;
        if (!take(c, ',')) {
            if (!take(c, ')'))
                return false;
            break;
        }
    }
    return true;
}

enum { HAS_DESCR = 1, HAS_ORDER = 2, HAS_SHAPE = 4, HAS_ALL = 7 };

/* The dictionary. descr is "" for a structured type, which is a list. NULL: fine, else what is wrong. */
static const char *parse_dictionary(cursor *c, char descr[16], pd_npy *npy)
{
    unsigned seen = 0;
    if (!take(c, '{'))
        return "does not start with '{'";
    while (!take(c, '}')) {
        char key[16];
        unsigned what;
        if (!take_string(c, key) || !take(c, ':'))
            return "has no quoted key where one must stand";
        if (strcmp(key, "descr") == 0) {
            what = HAS_DESCR;
            skip_blanks(c);
            if (c->at < c->end && *c->at == '[') {
                descr[0] = '\0';
                return NULL;
            }
            if (!take_string(c, descr))
                return "has an unreadable 'descr'";
        } else if (strcmp(key, "fortran_order") == 0) {
            what = HAS_ORDER;
            npy->fortran = take_word(c, "True");
            if (!npy->fortran && !take_word(c, "False"))
                return "has a 'fortran_order' that is neither True nor False";
        } else if (strcmp(key, "shape") == 0) {
            what = HAS_SHAPE;
            if (!take_shape(c, &npy->rank, npy->shape))
                return "has an unreadable 'shape'";
        } else
            return "has a key other than 'descr', 'fortran_order', 'shape'";
        if (seen & what)
            return "names a key twice";
        seen |= what;
        if (!take(c, ',')) {
            if (!take(c, '}'))
                return "is cut short";
            break;
        }
    }
    skip_blanks(c);
    if (seen != HAS_ALL)
        return "lacks one of 'descr', 'fortran_order', 'shape'";
    return c->at == c->end ? NULL : "has text after the closing '}'";
}

/* '<f8' and its like. */
static pudle_status parse_type(pd_context *ctx, const char *path, const char *descr, pd_npy *npy)
{
    char shown[PD_SHOWN], order = descr[0], kind, rest;
    unsigned item = 0;
    if (order == '\0')
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: a structured array (several fields a record); save the one numeric "
                       "field that is meant as its own array", path);
    if (strchr(descr, 'O'))
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: an array of Python objects, which only Python can read; save numbers: "
                       "numpy.save(path, numpy.asarray(a, dtype=float))", path);
    const char *type = strchr("<>|=", order) ? descr + 1 : descr;
    if (type == descr)
        order = '=';
    if (sscanf(type, "%c%2u%c", &kind, &item, &rest) != 2 || !pd_npy_known(kind, item))
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: element type '%s' is not a real number of up to 64 bits (bool, int8 to "
                       "int64, uint8 to uint64, float16 to float64); convert it first: a.astype('f8')",
                       path, pd_shown(descr, strlen(descr), shown));
    npy->kind = kind;
    npy->item = item;
    npy->swapped = item > 1 && ((order == '<' && !pd_little_endian()) || (order == '>' && pd_little_endian()));
    return PUDLE_OK;
}

/* Strides, and the number of bytes the elements take. The product is checked over the extents that are not 0, so that later
 * products in any order are safe too. */
static pudle_status lay_out(pd_context *ctx, const char *path, pd_npy *npy, size_t *bytes)
{
    int64_t step = 1;
    bool empty = false;
    if (npy->rank > PUDLE_MAX_RANK)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: %d axes are more than the %d that are supported; reshape the array", path,
                       (int)npy->rank, PUDLE_MAX_RANK);
    for (int32_t k = 0; k < npy->rank; k++) {
        const int32_t axis = npy->fortran ? k : npy->rank - 1 - k;
        const int64_t extent = npy->shape[axis];
        npy->stride[axis] = step;
        empty = empty || extent == 0;
        if (extent > 0 && step > INT64_MAX / 8 / extent)
            return pd_fail(ctx, PUDLE_ERR_IO, "%s: the header claims an impossible shape (axis %d has extent %lld): the "
                           "file is damaged, write it again", path, (int)axis, (long long)extent);
        step *= extent > 0 ? extent : 1;
    }
    *bytes = empty ? 0 : (size_t)step * npy->item;
    return PUDLE_OK;
}

pudle_status pd_npy_parse(pd_context *ctx, const char *path, const pd_bytes *bytes, pd_npy *out)
{
    pd_npy npy = { 0 };
    char descr[16] = "";
    size_t needed = 0;
    if (bytes->size < 10 || memcmp(bytes->data, "\x93NUMPY", 6) != 0)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: not a NumPy file (its first bytes are not those of .npy or .npz); write "
                       "it with numpy.save or numpy.savez", path);
    const unsigned major = bytes->data[6];
    if (major < 1 || major > 3)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: .npy version %u is unknown (1, 2 and 3 are supported); save the array "
                       "with another NumPy", path, major);
    const size_t start = major == 1 ? 10 : 12;
    if (bytes->size < start)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: ends inside the header: the file is cut short, write or copy it again", path);
    const size_t length = major == 1 ? pd_le16(bytes->data + 8) : pd_le32(bytes->data + 8);
    if (length > bytes->size - start)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: the header takes %zu bytes, the file has %zu: it is cut short, write or "
                       "copy it again", path, start + length, bytes->size);
    cursor c = { (const char *)bytes->data + start, (const char *)bytes->data + start + length };
    const char *wrong = parse_dictionary(&c, descr, &npy);
    if (wrong)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: the .npy header %s: the file is damaged, write it again", path, wrong);
    pudle_status status = parse_type(ctx, path, descr, &npy);
    if (!status)
        status = lay_out(ctx, path, &npy, &needed);
    if (status)
        return status;
    const size_t present = bytes->size - start - length;
    if (needed > present)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: the header promises %zu bytes of elements, the file has %zu: it is cut "
                       "short, write or copy it again", path, needed, present);
    if (needed < present)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: %zu bytes follow the %zu bytes of elements: the header is damaged or the "
                       "file holds several arrays; save one array a file, or use numpy.savez", path, present - needed,
                       needed);
    npy.data = bytes->data + start + length;
    *out = npy;
    return PUDLE_OK;
}

size_t pd_npy_header(const pudle_cview *array, char header[PD_NPY_HEADER_MAX])
{
    enum { PREAMBLE = 10 };
    char *text = header + PREAMBLE;
    const size_t room = PD_NPY_HEADER_MAX - PREAMBLE;
    size_t n = (size_t)snprintf(text, room, "{'descr': '%cf%d', 'fortran_order': False, 'shape': (", pd_little_endian() ?
                                '<' : '>',
                                array->dtype == PUDLE_F64 ? 8 : 4);
    for (int32_t i = 0; i < array->rank; i++) /* "3," for one axis, "3, 4" for two: 6 axes of 19 digits fit */
        n += (size_t)snprintf(text + n, room - n, "%s%lld%s", i ? ", " : "", (long long)array->shape[i], array->rank == 1 ?
                              "," : "");
    n += (size_t)snprintf(text + n, room - n, "), }");
    const size_t total = (PREAMBLE + n + 1 + 63) / 64 * 64;
    memset(text + n, ' ', total - PREAMBLE - n - 1);
    header[total - 1] = '\n';
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)((total - PREAMBLE) & 0xff);
    header[9] = (char)((total - PREAMBLE) >> 8);
    return total;
}
