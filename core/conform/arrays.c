/* Arrays in places where a wrong access does not go unseen: against a page that cannot be touched, between bytes that are looked
 * at afterwards, or in memory that cannot be written. And the handler that says which array a fault hit. */
#include "conform/parts.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { SLACK = 4096, PADDING = 256, SENTINEL = 0x5a };

struct pd_place {
    pd_place *next;
    const char *name;
    unsigned char *base, *data; /* base: of the mapping */
    size_t whole, bytes;        /* of the mapping; of the array */
    unsigned char *open, *open_end; /* what may be touched: the array and sentinels */
    bool read_only;
    void *padded;               /* instead of a mapping */
};

/* Faults are looked up here; changed only while no kernel runs. */
static pd_place *watched;
static const pd_test_host *watched_host;
static pd_verdict *verdict;
static bool process_is_ours;

static size_t page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Cheap memory with room on both sides, so that a wrong access there does no harm to the suite. */
static void *padded_new(pd_trial *t, pd_place *p, size_t bytes)
{
    unsigned char *memory = p ? pd_alloc(1, bytes + 2 * PADDING) : NULL;
    if (!memory) {
        free(p);
        pd_fails(t, "the suite has no memory for an array of %zu bytes", bytes);
        return NULL;
    }
    *p = (pd_place){ .next = t->places, .name = "an array", .padded = memory, .data = memory + PADDING, .bytes = bytes };
    t->places = watched = p;
    return p->data;
}

void *pd_place_new(pd_trial *t, size_t bytes, int guard, const char *name)
{
    if (guard == PD_PADDED)
        return padded_new(t, calloc(1, sizeof(pd_place)), bytes);
    const size_t pages = (bytes + SLACK + page() - 1) / page() * page();
    pd_place *p = calloc(1, sizeof *p);
    unsigned char *base = p ? mmap(NULL, pages + 2 * page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
    if (base == MAP_FAILED) {
        free(p);
        pd_fails(t, "the suite has no memory for an array of %zu bytes", bytes);
        return NULL;
    }
    *p = (pd_place){ .next = t->places, .name = name, .base = base, .whole = pages + 2 * page(), .bytes = bytes };
    p->open = base + page();
    p->open_end = p->open + pages;
    mprotect(base, page(), PROT_NONE);
    mprotect(p->open_end, page(), PROT_NONE);
    memset(p->open, SENTINEL, pages);
    p->data = guard == PD_GUARD_AFTER ? p->open_end - bytes : guard == PD_GUARD_BEFORE ? p->open : p->open + SLACK / 2;
    t->places = watched = p;
    return p->data;
}

void *pd_mark(pd_trial *t)
{
    return t->places;
}

void pd_release(pd_trial *t, void *mark)
{
    pd_place *p = t->places;
    t->places = watched = mark;
    for (pd_place *next; p != mark; p = next) {
        next = p->next;
        if (p->padded)
            free(p->padded);
        else
            munmap(p->base, p->whole);
        free(p);
    }
}

void pd_trial_clear(pd_trial *t)
{
    pd_release(t, NULL);
}

static pd_place *place_of(pd_trial *t, const void *memory)
{
    pd_place *p = t->places;
    while (p && p->data != memory)
        p = p->next;
    return p;
}

void pd_place_protect(pd_trial *t, const void *memory, bool read_only)
{
    pd_place *p = place_of(t, memory);
    if (!p || p->padded)
        return;
    mprotect(p->open, (size_t)(p->open_end - p->open), read_only ? PROT_READ : PROT_READ | PROT_WRITE);
    p->read_only = read_only;
}

bool pd_place_intact(pd_trial *t, const void *memory, bool *after)
{
    const pd_place *p = place_of(t, memory);
    for (const unsigned char *at = p && !p->padded ? p->open : NULL; at && at < p->open_end; at++) {
        if (at == p->data)
            at += p->bytes;
        if (at < p->open_end && *at != SENTINEL) {
            *after = at >= p->data;
            return false;
        }
    }
    return true;
}

/* --------------------------------------------------------------------- views */

double *pd_scratch(pd_trial *t, int64_t n)
{
    return pd_place_new(t, (size_t)(n > 0 ? n : 1) * sizeof(double), PD_PADDED, "scratch");
}

size_t pd_view_bytes(const pudle_view *v)
{
    const pudle_cview c = pudle_const(v);
    return (size_t)pudle_count(&c) * pudle_dtype_size(v->dtype);
}

void pd_view_put(const pudle_view *v, const double *from)
{
    const pudle_cview c = pudle_const(v);
    const int64_t n = pudle_count(&c);
    for (int64_t i = 0; i < n; i++) {
        if (v->dtype == PUDLE_F64)
            ((double *)v->data)[i] = from[i];
        else
            ((float *)v->data)[i] = (float)from[i];
    }
}

void pd_view_get(const pudle_view *v, double *to)
{
    const pudle_cview c = pudle_const(v);
    const int64_t n = pudle_count(&c);
    for (int64_t i = 0; i < n; i++)
        to[i] = pudle_entry(&c, i);
}

pudle_view pd_view_new(pd_trial *t, int32_t dtype, int32_t rank, const int64_t *shape, int guard, const char *name, const double *from)
{
    pudle_view v = { .dtype = dtype, .rank = rank };
    int64_t step = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        v.shape[i] = shape[i];
        v.stride[i] = step;
        step *= shape[i];
    }
    v.data = pd_place_new(t, (size_t)step * pudle_dtype_size(dtype), guard, name);
    if (v.data && from)
        pd_view_put(&v, from);
    return v;
}

/* --------------------------------------------------------------------- pause */

static struct {
    unsigned char *from;
    size_t bytes;
    bool (*fn)(void *);
    void *ctx;
    pthread_t thread;
    atomic_int state;
    bool result;
} trap;
enum { IDLE, ARMED, TOUCHED, DONE, CANCELLED };

static void *other_thread(void *unused)
{
    (void)unused;
    int state;
    while ((state = atomic_load(&trap.state)) == ARMED)
        sched_yield();
    if (state == TOUCHED) {
        trap.result = trap.fn(trap.ctx);
        atomic_store(&trap.state, DONE);
    }
    return NULL;
}

bool pd_pause_begin(pd_trial *t, const void *memory, bool (*fn)(void *ctx), void *ctx)
{
    const pd_place *p = place_of(t, memory);
    const uintptr_t mask = (uintptr_t)page() - 1;
    if (!p || p->padded || p->bytes < 2 * page())
        return false;
    trap.from = (unsigned char *)(((uintptr_t)p->data + p->bytes / 2 + mask) & ~mask);
    trap.bytes = ((size_t)(p->data + p->bytes - trap.from) + mask) & ~mask;
    trap.fn = fn;
    trap.ctx = ctx;
    trap.result = true;
    atomic_store(&trap.state, ARMED);
    if (pthread_create(&trap.thread, NULL, other_thread, NULL)) {
        atomic_store(&trap.state, IDLE);
        return false;
    }
    mprotect(trap.from, trap.bytes, PROT_NONE);
    return true;
}

bool pd_pause_end(bool *result)
{
    int armed = ARMED;
    atomic_compare_exchange_strong(&trap.state, &armed, CANCELLED);
    mprotect(trap.from, trap.bytes, PROT_READ | PROT_WRITE);
    pthread_join(trap.thread, NULL);
    const bool waited = atomic_exchange(&trap.state, IDLE) == DONE;
    *result = trap.result;
    return waited;
}

/* Runs in the kernel that touched the trap. A kernel that holds a lock would keep the other from ending: half a second is all. */
static bool paused_here(const unsigned char *at)
{
    const struct timespec wait = { 0, 1000000 };
    int armed = ARMED;
    if (atomic_load(&trap.state) == IDLE || at < trap.from || at >= trap.from + trap.bytes)
        return false;
    mprotect(trap.from, trap.bytes, PROT_READ | PROT_WRITE);
    atomic_compare_exchange_strong(&trap.state, &armed, TOUCHED);
    for (int i = 0; i < 500 && atomic_load(&trap.state) == TOUCHED; i++)
        nanosleep(&wait, NULL);
    return true;
}

/* -------------------------------------------------------------------- faults */

/* Text without stdio: this runs in a signal handler. */
static void append(char *to, size_t room, const char *text)
{
    size_t used = strlen(to);
    while (*text && used + 1 < room)
        to[used++] = *text++;
    to[used] = '\0';
}

static const char *fault_of(const pd_place *p, const unsigned char *at)
{
    if (p->padded)
        return NULL;
    if (at >= p->open && at < p->open_end)
        return p->read_only ? "it wrote to its input " : NULL;
    if (at >= p->open_end && at < p->base + p->whole)
        return "it reached past the end of ";
    return at >= p->base && at < p->open ? "it reached before the start of " : NULL;
}

static void tell(const char *text)
{
    append(verdict->text, sizeof verdict->text, text);
}

static const char *signal_name(int number)
{
    return number == SIGSEGV  ? "SIGSEGV"
           : number == SIGBUS ? "SIGBUS"
           : number == SIGFPE ? "SIGFPE"
           : number == SIGILL ? "SIGILL"
                              : "SIGABRT";
}

static void fault(int number, siginfo_t *info, void *context)
{
    const int saved = errno;
    const unsigned char *at = info->si_addr;
    (void)context;
    if (number == SIGSEGV && paused_here(at)) {
        errno = saved;
        return;
    }
    if (!process_is_ours) { /* a debugger, or the program's own report, takes it from here */
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    verdict->text[0] = '\0';
    const char *what = NULL;
    for (const pd_place *p = watched; p && number == SIGSEGV && !what; p = p->next)
        if ((what = fault_of(p, at))) {
            tell(what);
            tell(p->name);
            tell(": ");
        }
    if (!what && number == SIGSEGV && watched_host && pd_test_host_owns(watched_host, at))
        tell("it wrote to the memory of its instance: ");
    tell("crashed (");
    tell(signal_name(number));
    tell(") in ");
    tell(verdict->calling ? verdict->calling : "the suite, not the plugin");
    verdict->state = PD_FAILED;
    _exit(0);
}

void pd_faults_watch_host(const pd_test_host *host)
{
    watched_host = host;
}

void pd_faults_watch(pd_verdict *shared, bool own_process)
{
    static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    action.sa_sigaction = fault;
    sigemptyset(&action.sa_mask);
    verdict = shared;
    process_is_ours = own_process;
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        if (own_process || crashes[i] == SIGSEGV)
            sigaction(crashes[i], &action, NULL);
}
