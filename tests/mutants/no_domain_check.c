/* Whatever comes is a target. */
#define NAME "no_domain_check"
#define MORE static pudle_status anything(const pudle_host *h, const void *s, const pudle_cview *x) { (void)logistic_check_target; (void)h, (void)s, (void)x; return PUDLE_OK; }
#define CHECK_TARGET anything
#include "loss.h"
