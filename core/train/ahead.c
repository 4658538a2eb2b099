/* One thread, one request at a time. */
#include "train/ahead.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct pd_ahead {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum { IDLE, ASKED, READ, END } state;
    pd_read_fn read;
    void *self;
    pd_request request; /* its index is our own memory */
    int64_t *index;
    pd_samples to;
    pudle_status status;
    char spare[64 * 1024]; /* a stack for the report of a source that ran out of its own */
};

static void *work(void *memory)
{
    pd_ahead *a = memory;
    stack_t before;
    sigaltstack(&(stack_t){ .ss_sp = a->spare, .ss_size = sizeof a->spare }, &before);
    pthread_mutex_lock(&a->lock);
    for (;;) {
        while (a->state != ASKED && a->state != END)
            pthread_cond_wait(&a->changed, &a->lock);
        if (a->state == END)
            break;
        pthread_mutex_unlock(&a->lock); /* nobody changes the request before it is read */
        const pudle_status s = a->read(a->self, &a->request, &a->to);
        pthread_mutex_lock(&a->lock);
        a->status = s;
        a->state = READ;
        pthread_cond_broadcast(&a->changed);
    }
    pthread_mutex_unlock(&a->lock);
    sigaltstack(&before, NULL); /* a sanitizer's own, which it takes back */
    return NULL;
}

/* Under the lock: until the thread has nothing to do. */
static void settle(pd_ahead *a)
{
    while (a->state == ASKED)
        pthread_cond_wait(&a->changed, &a->lock);
}

pd_ahead *pd_ahead_create(pd_read_fn read, void *self, int64_t most)
{
    pd_ahead *a = pd_alloc(1, sizeof *a);
    int64_t *index = pd_alloc((size_t)most, sizeof *index);
    sigset_t all, old;
    if (!a || !index)
        goto free_memory;
    a->read = read;
    a->self = self;
    a->index = index;
    if (pthread_mutex_init(&a->lock, NULL))
        goto free_memory;
    if (pthread_cond_init(&a->changed, NULL))
        goto free_lock;
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS }; /* of the thread that does them */
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_BLOCK, &all, &old); /* other signals are the program's, on its own thread */
    const int failed = pthread_create(&a->thread, NULL, work, a);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!failed)
        return a;
    pthread_cond_destroy(&a->changed);
free_lock:
    pthread_mutex_destroy(&a->lock);
free_memory:
    free(index);
    free(a);
    return NULL;
}

void pd_ahead_destroy(pd_ahead *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    settle(a);
    a->state = END;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    free(a->index);
    free(a);
}

void pd_ahead_ask(pd_ahead *a, const pd_request *request, const pd_samples *to)
{
    pthread_mutex_lock(&a->lock);
    settle(a);
    memcpy(a->index, request->index, (size_t)request->count * sizeof *a->index);
    a->request = *request;
    a->request.index = a->index;
    a->to = *to;
    a->state = ASKED;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

bool pd_ahead_take(pd_ahead *a, const pd_request *request, pudle_status *status)
{
    pthread_mutex_lock(&a->lock);
    settle(a);
    const pd_request *r = &a->request;
    const bool same = a->state == READ && r->split == request->split && r->epoch == request->epoch && r->count == request->count &&
                      !memcmp(r->index, request->index, (size_t)r->count * sizeof *r->index);
    a->state = IDLE;
    *status = a->status;
    pthread_mutex_unlock(&a->lock);
    return same;
}
