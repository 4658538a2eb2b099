/* The first number is not PUDLE_MAGIC. */
#define NAME "wrong_magic"
#define ENTRY_MAGIC 0x12345678u
#include "good.h"
