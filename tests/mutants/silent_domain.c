/* Targets are refused without a word. */
#define NAME "silent_domain"
#define MORE static pudle_status refuse(const pudle_host *h, const void *s, const pudle_cview *x) { (void)h, (void)s; for (int64_t i = 0; i < pudle_count(x); i++) if (!(pudle_entry(x, i) >= 0 && pudle_entry(x, i) <= 1)) return PUDLE_ERR_ARG; (void)logistic_check_target; return PUDLE_OK; }
#define CHECK_TARGET refuse
#include "loss.h"
