/* Runs the tests of a plugin, each in a process of its own, and prints TAP. */
#include "conform/parts.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const pd_test *const kinds[] = {
    [PUDLE_KIND_PROX] = pd_prox_tests,
    [PUDLE_KIND_LOSS] = pd_loss_tests,
    [PUDLE_KIND_DATA] = pd_data_tests,
    [PUDLE_KIND_BACKEND] = pd_backend_tests,
};

static const pd_test *test_at(int32_t kind, int i)
{
    const pd_test *test = pd_general_tests;
    while (test->name && i > 0)
        test++, i--;
    if (!test->name)
        for (test = kinds[kind]; test->name && i > 0; test++)
            i--;
    return test->name ? test : NULL;
}

bool pd_conform_test(int32_t kind, int i, const char **name, const char **claim)
{
    const pd_test *test = test_at(kind, i);
    if (test) {
        *name = test->name;
        *claim = test->claim;
    }
    return test != NULL;
}

bool pd_conform_known(const char *name)
{
    const pd_test *test;
    for (int32_t kind = PUDLE_KIND_PROX; kind <= PUDLE_KIND_BACKEND; kind++)
        for (int i = 0; (test = test_at(kind, i)); i++)
            if (!strcmp(test->name, name))
                return true;
    return false;
}

/* Seconds that a test may take once one has taken all that it was given. */
static double after_timeout(double timeout)
{
    return timeout / 4 > 5 ? timeout / 4 : 5;
}

typedef struct run {
    pd_context *ctx;
    const pd_plugin *plugin;
    const char *subject;
    const pd_conform_how *how;
    FILE *to;
    pd_verdict *verdict;
    pd_conform_counts *counts;
    int number;
    double limit; /* seconds that a test may take; less once one has taken them all, for so will others of the same plugin */
} run;

/* One sequence a test, from its name, so that it draws the same alone as among the others. */
static uint32_t stream_of(const char *name)
{
    uint32_t hash = 2166136261u;
    while (*name)
        hash = (hash ^ (unsigned char)*name++) * 16777619u;
    return hash;
}

static void perform(run *r, const pd_test *test)
{
    pd_trial t = { .ctx = r->ctx, .plugin = r->plugin, .desc = r->plugin->desc, .how = r->how, .test = test, .verdict = r->verdict };
    t.random = pudle_random_at(r->how->seed, stream_of(test->name), 0, 0);
    pd_test_host_init(&t.host, r->ctx);
    pd_faults_watch_host(&t.host);
    pd_error_clear(r->ctx);
    for (int attempt = 0; attempt < 20; attempt++) {
        t.refused = false;
        t.verdict->state = PD_RUNNING;
        if (test->run(&t) && t.verdict->state == PD_RUNNING)
            t.verdict->state = PD_PASSED;
        if (!t.refused)
            break;
    }
    if (t.verdict->state == PD_FAILED && !r->how->in_process)
        return; /* the process ends; a plugin that failed shall not get another chance to crash */
    pd_trial_clear(&t);
    pd_instance_drop(&t);
    pd_faults_watch_host(NULL);
    free(t.pairs);
    pd_error_clear(r->ctx);
}

/* ------------------------------------------------------------------ processes */

static void in_child(run *r, const pd_test *test)
{
    dup2(STDERR_FILENO, STDOUT_FILENO); /* what a plugin prints is no TAP */
    pd_faults_watch(r->verdict, true);
    perform(r, test);
    _exit(0);
}

/* Wait until the other end of the pipe is closed, which a process does by ending. */
static bool ended_in_time(int pipe_end, double seconds)
{
    struct pollfd wait = { .fd = pipe_end, .events = POLLIN };
    int got;
    do
        got = poll(&wait, 1, (int)(seconds * 1000));
    while (got < 0 && errno == EINTR);
    return got != 0;
}

static void judge_end(run *r, bool in_time, int status)
{
    pd_verdict *v = r->verdict;
    const char *where = v->calling;
    if (!in_time)
        snprintf(v->text, sizeof v->text, "it did not end within %g s%s%s", r->limit, where ? "; it was in " : "",
                 where ? where : "");
    else if (WIFSIGNALED(status))
        snprintf(v->text, sizeof v->text, "ended by signal %d (%s)%s%s", WTERMSIG(status), strsignal(WTERMSIG(status)), where ? " in " : "",
                 where ? where : "");
    else if (v->state == PD_RUNNING)
        snprintf(v->text, sizeof v->text, "its process ended with exit code %d before the test did%s%s", WEXITSTATUS(status),
                 where ? ", in " : "", where ? where : "");
    else
        return;
    v->state = PD_FAILED;
}

static pudle_status in_process_of_its_own(run *r, const pd_test *test)
{
    int ends[2], status = 0;
    if (pipe(ends))
        return pd_fail(r->ctx, PUDLE_ERR_INTERNAL, "no pipe for a test: %s", strerror(errno));
    fflush(NULL);
    const pid_t child = fork();
    if (child < 0) {
        const int why = errno;
        close(ends[0]);
        close(ends[1]);
        return pd_fail(r->ctx, PUDLE_ERR_INTERNAL, "no process for a test: %s", strerror(why));
    }
    if (child == 0) {
        close(ends[0]);
        in_child(r, test);
    }
    close(ends[1]);
    const bool in_time = ended_in_time(ends[0], r->limit);
    if (!in_time)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    close(ends[0]);
    judge_end(r, in_time, status);
    if (!in_time && r->limit > after_timeout(r->how->timeout)) {
        r->limit = after_timeout(r->how->timeout);
        fprintf(r->to, "# a test did not end: those that follow are given %g s each\n", r->limit);
    }
    return PUDLE_OK;
}

/* ------------------------------------------------------------------------ TAP */

static void print_diagnostic(run *r, const char *label, const char *text)
{
    while (*text) {
        const int length = (int)strcspn(text, "\n");
        fprintf(r->to, "#   %s%.*s\n", label, length, text);
        text += length + (text[length] == '\n');
        label = "  ";
    }
}

static void print_verdict(run *r, const pd_test *test)
{
    const pd_verdict *v = r->verdict;
    const char *name = r->plugin->desc->name;
    fprintf(r->to, "%s %d - %s %s", v->state == PD_FAILED ? "not ok" : "ok", ++r->number, name, test->name);
    if (v->state == PD_SKIPPED) {
        fputs(" # SKIP ", r->to);
        for (const char *c = v->text; *c; c++)
            fputc(*c == '\n' ? ' ' : *c, r->to);
    }
    fputc('\n', r->to);
    if (v->state == PD_FAILED) {
        print_diagnostic(r, "claim: ", test->claim);
        print_diagnostic(r, "found: ", v->text);
        print_diagnostic(r, "case:  ", v->drawn);
        fprintf(r->to, "#   again: pudle plugins check %s --only %s --seed %llu", r->subject, test->name, (unsigned long long)r->how->seed);
        for (int i = 0; i < r->how->sets; i++)
            fprintf(r->to, " --set '%s'", r->how->set[i]);
        if (r->how->backend)
            fprintf(r->to, " --backend %s", r->how->backend);
        fputc('\n', r->to);
    }
    fflush(r->to);
    r->counts->failed += v->state == PD_FAILED;
    r->counts->skipped += v->state == PD_SKIPPED;
    r->counts->passed += v->state == PD_PASSED;
}

static pudle_status check_plugin(run *r)
{
    const pd_test *test;
    for (int i = 0; (test = test_at(r->plugin->desc->kind, i)); i++) {
        pudle_status s = PUDLE_OK;
        if (r->how->only && strcmp(r->how->only, test->name))
            continue;
        memset(r->verdict, 0, sizeof *r->verdict);
        if (r->how->in_process) {
            pd_faults_watch(r->verdict, false);
            perform(r, test);
        } else {
            s = in_process_of_its_own(r, test);
        }
        if (s)
            return s;
        print_verdict(r, test);
    }
    return PUDLE_OK;
}

static int count_tests(const pd_plugin *plugin, int count, const char *only)
{
    const pd_test *test;
    int tests = 0;
    for (int k = 0; k < count; k++)
        for (int i = 0; (test = test_at(plugin[k].desc->kind, i)); i++)
            tests += !only || !strcmp(only, test->name);
    return tests;
}

pudle_status pd_conform(pd_context *ctx, const pd_plugin *plugin, int count, const char *subject, const pd_conform_how *how, FILE *to,
                        pd_conform_counts *counts)
{
    *counts = (pd_conform_counts){ 0, 0, 0 };
    run r = { .ctx = ctx, .subject = subject, .how = how, .to = to, .counts = counts, .limit = how->timeout };
    r.verdict = mmap(NULL, sizeof *r.verdict, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (r.verdict == MAP_FAILED)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for a report");
    pudle_status s = PUDLE_OK;
    fprintf(to, "TAP version 13\n1..%d\n", count_tests(plugin, count, how->only));
    for (int k = 0; k < count && !s; k++) {
        r.plugin = &plugin[k];
        fprintf(to, "# %s %s %s, seed %llu\n", pd_kind_name(plugin[k].desc->kind), plugin[k].desc->name, plugin[k].desc->version,
                (unsigned long long)how->seed);
        s = check_plugin(&r);
    }
    fprintf(to, "# %d passed, %d failed, %d skipped\n", counts->passed, counts->failed, counts->skipped);
    munmap(r.verdict, sizeof *r.verdict);
    return s;
}
