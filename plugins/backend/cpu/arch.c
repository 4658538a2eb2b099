/* Which kernels BLIS uses. BLIS decides at its first call, once for the process, by a list of CPUs it knows; a newer CPU
 * gets the generic C kernels, about five times slower, without a word. The choice can be given in the environment variable
 * BLIS_ARCH_TYPE, but a wrong value aborts the process, kernels that the CPU lacks instructions for end it as well, and BLIS
 * 0.9 reads the variable as a number: any name there means number 0, which is skx. So a choice is first tried in a child
 * process, which reports what BLIS made of it after one small product, and only then set here.
 *
 * Order: BLIS_ARCH_TYPE (a number, or a name, which is turned into its number); the option; what BLIS finds by itself; and
 * where that is generic on a CPU with AVX2 or AVX-512, the first of a list that works. The list, from BLIS 0.9 on one core
 * of an AMD EPYC of family 25, model 17 (AVX-512), GFLOP/s, sgemm and dgemm:
 *
 *             1000^3       (25 x 1500)(1500 x 1500)   (13 x 1500)(1500 x 1000)'
 *   skx       97    53         43    26                    30    28
 *   haswell   99    53         96    40                    85    44
 *   zen3     105    53         99    42                    90    44
 *   zen2     105    53         97    40                    85    44
 *
 * AMD: zen3, zen2, zen, haswell (skx has no kernels for thin matrices, and wider vectors gain nothing there). Others: skx
 * with AVX-512 F, DQ, BW and VL (200 GFLOP/s a core were seen on a CPU with two 512-bit units, where AVX2 cannot pass half
 * of that), then haswell with AVX2 and FMA. */
#include "cpu.h"
#include <blis.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define VARIABLE "BLIS_ARCH_TYPE"
enum { DIED = -1, NO_CHILD = -2 }; /* of try_in_child */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool decided;
static char chosen[32], reason[256];

/* BLIS 0.9 aborts when it is asked for its architecture, with the variable set, before its own start. */
static int started_as(void)
{
    bli_init();
    return (int)bli_arch_query_id();
}

/* ---------------------------------------------------------------- the trial */

/* One product of each precision with the chosen kernels: ends in SIGILL where the CPU cannot run them. */
static void small_product(void)
{
    enum { N = 48 };
    static float fa[N * N], fc[N * N];
    static double da[N * N], dc[N * N];
    float f1 = 1, f0 = 0;
    double d1 = 1, d0 = 0;
    rntm_t alone;
    bli_rntm_init(&alone);
    bli_rntm_set_num_threads(1, &alone);
    bli_sgemm_ex(BLIS_NO_TRANSPOSE, BLIS_TRANSPOSE, N, N, N, &f1, fa, N, 1, fa, N, 1, &f0, fc, N, 1, NULL, &alone);
    bli_dgemm_ex(BLIS_NO_TRANSPOSE, BLIS_TRANSPOSE, N, N, N, &d1, da, N, 1, da, N, 1, &d0, dc, N, 1, NULL, &alone);
}

static _Noreturn void child(int out, const char *value)
{
    const int ends[] = { SIGABRT, SIGILL, SIGSEGV, SIGALRM };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        signal(ends[i], SIG_DFL); /* the program's own handlers would report a crash */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    alarm(10);
    const int null = open("/dev/null", O_WRONLY);
    if (null >= 0) { /* BLIS prints before it aborts */
        dup2(null, STDERR_FILENO);
        dup2(null, STDOUT_FILENO);
    }
    int id = DIED;
    if (!value || setenv(VARIABLE, value, 1) == 0) {
        id = started_as();
        small_product();
    }
    _exit(write(out, &id, sizeof id) == (ssize_t)sizeof id ? 0 : 1);
}

/* The architecture that BLIS takes with this value of the variable (NULL: as the environment stands), if products work. */
static int try_in_child(const char *value)
{
    int ends[2], id = DIED;
    if (pipe2(ends, O_CLOEXEC))
        return NO_CHILD;
    const pid_t pid = fork();
    if (pid == 0)
        child(ends[1], value);
    close(ends[1]);
    if (pid > 0) {
        ssize_t n;
        do
            n = read(ends[0], &id, sizeof id);
        while (n < 0 && errno == EINTR);
        if (n != (ssize_t)sizeof id)
            id = DIED;
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    close(ends[0]);
    return pid > 0 ? id : NO_CHILD;
}

static int id_of(const char *name)
{
    for (int id = 0; id < BLIS_NUM_ARCHS; id++)
        if (strcmp(bli_arch_string((arch_t)id), name) == 0)
            return id;
    return -1;
}

/* The value of the variable that makes BLIS take this architecture: its number, or the name for a BLIS that reads names. */
static bool value_for(const char *name, char *value, size_t size)
{
    const int id = id_of(name);
    if (id < 0)
        return false;
    snprintf(value, size, "%d", id);
    if (try_in_child(value) == id)
        return true;
    snprintf(value, size, "%s", name);
    return try_in_child(value) == id;
}

/* For error messages: the names that work here. */
static void list_usable(char *text, size_t size)
{
    char value[32];
    size_t used = 0;
    text[0] = '\0';
    for (int id = 0; id < BLIS_NUM_ARCHS && used + 32 < size; id++) {
        const char *name = bli_arch_string((arch_t)id);
        if (value_for(name, value, sizeof value))
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "", name);
    }
}

/* ---------------------------------------------------------------- this CPU */

static bool is_generic(const char *name)
{
    return strcmp(name, "generic") == 0;
}

#if defined(__x86_64__)
static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}

/* Architectures worth trying where BLIS falls back, best first; ends with NULL. */
static void candidates(const char *list[5])
{
    static const char *const amd[] = { "zen3", "zen2", "zen", "haswell" };
    int n = 0;
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (__builtin_cpu_is("amd")) {
        for (; avx2 && n < 4; n++)
            list[n] = amd[n];
    } else {
        if (has_avx512())
            list[n++] = "skx";
        if (avx2)
            list[n++] = "haswell";
    }
    list[n] = NULL;
}

static void cpu_facts(char *text, size_t size)
{
    unsigned brand[13] = { 0 };
    __builtin_cpu_init();
    for (unsigned i = 0; i < 3; i++)
        if (!__get_cpuid(0x80000002u + i, &brand[4 * i], &brand[4 * i + 1], &brand[4 * i + 2], &brand[4 * i + 3]))
            brand[0] = 0;
    const char *name = (const char *)brand;
    name += strspn(name, " ");
    snprintf(text, size, "%s%s%s%s", *name ? name : "x86-64", __builtin_cpu_supports("avx2") ? ", avx2" : "",
             __builtin_cpu_supports("fma") ? ", fma" : "", has_avx512() ? ", avx512 (f dq bw vl)" : "");
}
#else
static void candidates(const char *list[5])
{
    list[0] = NULL;
}

static void cpu_facts(char *text, size_t size)
{
    snprintf(text, size, "not x86-64");
}
#endif

/* --------------------------------------------------------------- the choice */

static void because(const char *format, ...) PUDLE_PRINTF(1, 2);
static void because(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
}

static pudle_status refuse(const pudle_host *host, const char *what, const char *value)
{
    char usable[256];
    list_usable(usable, sizeof usable);
    return host->fail(host->ctx, PUDLE_ERR_CONFIG,
                      "%s = \"%s\": BLIS has no such kernels, or this CPU cannot run them; here these work: %s", what, value,
                      usable[0] ? usable : "none could be tried");
}

/* Fills value: what to set the variable to; empty: leave the environment as it is. */
static pudle_status decide(const pudle_host *host, const char *wanted, char *value, size_t size)
{
    const char *given = getenv(VARIABLE);
    value[0] = '\0';
    if (given && *given) {
        const bool number = given[strspn(given, "0123456789")] == '\0';
        if (number ? try_in_child(NULL) < 0 : !value_for(given, value, size))
            return refuse(host, "environment variable " VARIABLE, given);
        because("from " VARIABLE "=%.40s in the environment%s", given, *wanted ? ", which goes before the option arch" : "");
        return PUDLE_OK;
    }
    if (*wanted) {
        if (!value_for(wanted, value, size))
            return refuse(host, "arch", wanted);
        because("from the option arch");
        return PUDLE_OK;
    }
    const int own = try_in_child(NULL);
    because(own == NO_CHILD ? "chosen by BLIS; no child process could be started to look for better" : "chosen by BLIS");
    if (own < 0 || own >= BLIS_NUM_ARCHS || !is_generic(bli_arch_string((arch_t)own)))
        return PUDLE_OK;
    const char *list[5];
    candidates(list);
    for (int i = 0; list[i]; i++)
        if (value_for(list[i], value, size)) {
            because("chosen by pudle: BLIS does not know this CPU and had fallen back to its generic kernels");
            return PUDLE_OK;
        }
    value[0] = '\0';
    return PUDLE_OK;
}

/* Let BLIS decide with the variable set, and leave the environment as it was: children choose for themselves. */
static void settle(const char *value)
{
    const char *given = getenv(VARIABLE);
    char *before = given ? strdup(given) : NULL;
    if (*value)
        setenv(VARIABLE, value, 1);
    snprintf(chosen, sizeof chosen, "%s", bli_arch_string((arch_t)started_as()));
    if (*value && before)
        setenv(VARIABLE, before, 1);
    else if (*value)
        unsetenv(VARIABLE);
    free(before);
}

static pudle_status select_locked(const pudle_host *host, const char *wanted)
{
    if (decided) {
        if (*wanted && strcmp(wanted, chosen) != 0 && !getenv(VARIABLE))
            return host->fail(
                host->ctx, PUDLE_ERR_CONFIG,
                "arch = \"%s\": BLIS already works as %s in this process and cannot change; start a new one", wanted,
                chosen);
        return PUDLE_OK;
    }
    char value[32];
    const pudle_status s = decide(host, wanted, value, sizeof value);
    if (s)
        return s;
    settle(value);
    decided = true;
    if (is_generic(chosen))
        host->log(host->ctx, PUDLE_LOG_WARNING,
                  "BLIS uses its generic kernels, which are several times slower than this CPU allows (%s); "
                  "set the backend's option arch, or install a newer BLIS", reason);
    return PUDLE_OK;
}

pudle_status cpu_arch_select(const pudle_host *host, const char *wanted)
{
    pthread_mutex_lock(&lock);
    const pudle_status s = select_locked(host, wanted);
    pthread_mutex_unlock(&lock);
    return s;
}

static const char *kind_of(num_t precision)
{
    const char *kind = bli_info_get_gemm_ukr_impl_string(BLIS_NAT, precision);
    return strncmp(kind, "opt", 3) == 0 ? "optimised" : strncmp(kind, "ref", 3) == 0 ? "generic C" : kind;
}

void cpu_arch_describe(char *text, size_t size)
{
    char facts[128];
    cpu_facts(facts, sizeof facts);
    snprintf(text, size,
             "library: BLIS %s, one thread a call\narchitecture: %s (%s)\nkernels: sgemm %s, dgemm %s\ncpu: %s%s",
             bli_info_get_version_str(), chosen, reason, kind_of(BLIS_FLOAT), kind_of(BLIS_DOUBLE), facts,
             is_generic(chosen) ? "\nwarning: generic kernels are in use, several times slower than this CPU allows; "
                                  "set the option arch or install a newer BLIS"
                                : "");
}
