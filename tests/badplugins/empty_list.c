/* An entry that describes no plugin. */
#define NAME "empty_list"
#define ENTRY_LIST NULL, &desc
#include "good.h"
