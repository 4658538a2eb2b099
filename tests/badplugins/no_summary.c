/* No summary. */
#define NAME "no_summary"
#define SUMMARY ""
#include "good.h"
