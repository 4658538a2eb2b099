/* Its own rules refuse every config. */
#define NAME "check_says_no"
#define CHECK say_no
#define BEFORE_DESC                                                                           \
    static pudle_status say_no(const pudle_host *host, const void *set)                       \
    {                                                                                         \
        const double lambda = ((const params *)set)->lambda;                                  \
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "lambda = %g: this plugin likes none", lambda); \
    }
#include "good.h"
