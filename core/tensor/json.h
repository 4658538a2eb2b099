/* core/tensor/json.h - json-c, with what it passes over in silence seen: without memory it hands out objects that lack members, and
 * NULL where it says that all went well. */
#ifndef PD_TENSOR_JSON_H
#define PD_TENSOR_JSON_H

#include <json-c/json.h>

#include "arrays.h"

/** The object that is all of a text; the caller puts it back. Nothing is recorded. @errors IO: *why and *at, an offset, say what is
 *  wrong; NOMEM */
pudle_status pd_json_parse(const char *text, size_t length, json_object **out, const char **why, size_t *at);

/** Add and hand over value, and return it. Without memory value is dropped and NULL returned; object and value may be such a NULL. */
json_object *pd_json_add(json_object *object, const char *key, json_object *value);
json_object *pd_json_append(json_object *array, json_object *value);
bool pd_json_texts(json_object *object, int count, const pd_meta *text); /* false without memory */

/** The text of an object, in one line or in many, which the caller frees; json-c's own has no memory for a piece now and then, and goes on
 *  without it. NULL without memory. */
char *pd_json_text(json_object *object, bool lines);

#endif
