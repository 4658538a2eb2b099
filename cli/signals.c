/* While training, SIGINT and SIGTERM ask for an orderly end; a crash inside a plugin is reported with the plugin's name. */
#include "cli.h"
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

volatile sig_atomic_t cli_stop;
static const char own_name[] = "pudle"; /* whose address is the program's */

static void stop(int number)
{
    (void)number;
    if (cli_stop)
        _exit(CLI_FAILED); /* asked twice */
    cli_stop = 1;
}

static void say(const char *text)
{
    const ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

/* The plugin that the crash happened in, by its file; NULL: in the program, in a library, or unknown. The call may wait for a lock that the
 * crashed thread holds: an alarm ends that. */
static const char *file_of(void *context)
{
    Dl_info own, there;
    const void *at = NULL;
#if defined(__linux__) && defined(__x86_64__)
    at = (const void *)(uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__linux__) && defined(__aarch64__)
    at = (const void *)(uintptr_t)((const ucontext_t *)context)->uc_mcontext.pc;
#endif
    signal(SIGALRM, SIG_DFL);
    alarm(3);
    const bool known = at && dladdr(at, &there) && there.dli_fname && dladdr(own_name, &own) && own.dli_fbase != there.dli_fbase;
    alarm(0);
    const char *slash = known ? strrchr(there.dli_fname, '/') : NULL;
    return slash && strncmp(slash + 1, "lib", 3) != 0 && strncmp(slash + 1, "ld-", 3) != 0 ? there.dli_fname : NULL;
}

/* Only async-signal-safe calls, but for file_of. create, check and describe run before any work: the plugin or the config is at fault, exit 2. */
static void crash(int number, siginfo_t *info, void *context)
{
    const char *plugin = pd_calling_plugin, *function = pd_calling_function;
    (void)info;
    const char *name = number == SIGSEGV ? "SIGSEGV" : number == SIGBUS ? "SIGBUS" : number == SIGFPE ? "SIGFPE" : number == SIGILL ? "SIGILL" : "SIGABRT";
    const char *file = plugin ? NULL : file_of(context);
    if (file) {
        say("the plugin ");
        say(file);
        say(" crashed (");
        say(name);
        say(") while it computed\nrun it under a debugger, or see what `pudle plugins check` finds\n");
        _exit(CLI_FAILED);
    }
    if (!plugin) {
        say("pudle crashed (");
        say(name);
        say("), in its own code or in a library\n");
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    say("plugin ");
    say(plugin);
    say(" crashed (");
    say(name);
    say(") in ");
    say(function ? function : "?");
    say("\nrun it under a debugger, or ask its author; this thread was in none of pudle's own code\n");
    const bool setup = function && (!strcmp(function, "create") || !strcmp(function, "check") || !strcmp(function, "describe") ||
                                    !strcmp(function, "load"));
    _exit(setup ? CLI_USAGE : CLI_FAILED);
}

void cli_signals(void)
{
    static char stack[64 * 1024]; /* a plugin that ran out of stack still gets its report */
    const stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
    sigaltstack(&alternate, NULL);
    struct sigaction crashed = { .sa_sigaction = crash, .sa_flags = SA_ONSTACK | SA_RESETHAND | SA_SIGINFO };
    sigemptyset(&crashed.sa_mask);
    const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        sigaction(crashes[i], &crashed, NULL);
}

void cli_stop_on_signals(void)
{
    struct sigaction stopped = { .sa_handler = stop, .sa_flags = SA_RESTART };
    sigemptyset(&stopped.sa_mask);
    sigaction(SIGINT, &stopped, NULL);
    sigaction(SIGTERM, &stopped, NULL);
}
