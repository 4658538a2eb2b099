/* Some processes at a time, each with a run. What they say is kept and handed over when they end, so that the lines of two never mix. */
#include "sweep.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

typedef struct child { pid_t pid; sweep_run *run; FILE *said; } child; /* pid 0: none */

/* A Ctrl-C reaches every process of the terminal: the parent takes it and asks each child once, for two signals end one at once. A parent that is gone asks, too. */
static void live_alone(const sweep *sw, pid_t parent, bool orderly, FILE *said)
{
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, NULL);
    if (!orderly)
        signal(SIGTERM, SIG_DFL);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
    if (getppid() != parent)
        _exit(CLI_FAILED);
    close(sw->lock); /* it is the parent's, and goes with it */
    const int nothing = open("/dev/null", O_RDWR);
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(nothing, STDOUT_FILENO) < 0 || dup2(fileno(said), STDERR_FILENO) < 0)
        _exit(CLI_FAILED);
}

static bool begin(const sweep *sw, sweep_run *run, bool orderly, sweep_work work, child *c)
{
    const pid_t parent = getpid();
    *c = (child){ .run = run, .said = tmpfile() };
    fflush(NULL);
    c->pid = c->said ? fork() : -1;
    if (c->pid == 0) {
        live_alone(sw, parent, orderly, c->said);
        pd_log_level(sw->ctx, PUDLE_LOG_WARNING);
        const int code = work(sw, run);
        fflush(NULL);
        _exit(code);
    }
    if (c->pid > 0)
        return true;
    const int why = errno;
    if (c->said)
        fclose(c->said);
    c->pid = 0;
    errno = why;
    return false;
}

static void end(sweep *sw, child *c, int state, sweep_ended ended)
{
    char *said = NULL;
    size_t room = 0;
    rewind(c->said);
    ssize_t length = getdelim(&said, &room, '\0', c->said);
    fclose(c->said);
    while (length > 0 && said[length - 1] == '\n')
        said[--length] = '\0';
    char *signalled = WIFSIGNALED(state) ? pd_format("%s%sended by signal %d (%s)", length > 0 ? said : "", length > 0 ? "\n" : "", WTERMSIG(state),
                                                     strsignal(WTERMSIG(state))) : NULL;
    c->pid = 0;
    ended(sw, c->run, WIFSIGNALED(state) ? CLI_FAILED : WEXITSTATUS(state), signalled ? signalled : length > 0 ? said : "");
    free(signalled);
    free(said);
}

static void ask_all(const child *children, int64_t count)
{
    for (int64_t j = 0; j < count; j++)
        if (children[j].pid)
            kill(children[j].pid, SIGTERM);
}

/* How many are still at work. */
static int reap(sweep *sw, child *children, int64_t count, sweep_ended ended)
{
    int running = 0;
    for (int64_t j = 0; j < count; j++) {
        int state = 0;
        if (children[j].pid && waitpid(children[j].pid, &state, WNOHANG) == children[j].pid)
            end(sw, &children[j], state, ended);
        running += children[j].pid > 0;
    }
    return running;
}

void sweep_children(sweep *sw, sweep_run *const list[], int count, bool orderly, sweep_work work, sweep_ended ended)
{
    const struct timespec pause = { .tv_nsec = 20000000 };
    child *children = pd_alloc((size_t)sw->jobs, sizeof *children);
    int next = 0, running = 0;
    bool asked = false;
    for (; next < count && !children; next++)
        ended(sw, list[next], CLI_FAILED, "out of memory");
    while (running || (next < count && !cli_stop)) {
        for (int64_t j = 0; j < sw->jobs && next < count && !cli_stop; j++)
            if (!children[j].pid) {
                sweep_run *run = list[next++];
                if (!begin(sw, run, orderly, work, &children[j]))
                    ended(sw, run, CLI_FAILED, strerror(errno));
            }
        running = reap(sw, children, sw->jobs, ended);
        if (cli_stop && !asked) {
            ask_all(children, sw->jobs);
            asked = true;
        }
        if (running)
            nanosleep(&pause, NULL); /* a signal ends it */
    }
    free(children);
}
