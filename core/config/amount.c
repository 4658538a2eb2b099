/* Numbers, and amounts of memory, as people write them. */
#include "config/parts.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool pd_parse_bytes(const char *text, int64_t *value)
{
    static const char units[] = "KMG";
    char *end = NULL;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    const char *unit = end && *end ? strchr(units, *end) : NULL;
    const int shift = unit ? 10 * (int)(unit - units + 1) : 0;
    if (end == text || errno || (*end && (!unit || end[1])) || number < 1 || number > (INT64_MAX >> shift))
        return false;
    *value = (int64_t)number << shift;
    return true;
}

const char *pd_decimal(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end); /* which also knows inf, nan and hexadecimal numbers */
    if (end == text || strspn(text, " +-.0123456789eE") < (size_t)(end - text))
        return NULL;
    return end + strspn(end, " ");
}
