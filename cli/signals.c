/* While training, SIGINT and SIGTERM ask for an orderly end; a crash inside a plugin is reported with the plugin's name. */
#include "cli.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

volatile sig_atomic_t cli_stop;

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

/* Only async-signal-safe calls. create, check and describe run before any work: the plugin or the config is at fault, exit 2. */
static void crash(int number)
{
    const char *plugin = pd_calling_plugin, *function = pd_calling_function;
    const char *name = number == SIGSEGV ? "SIGSEGV" : number == SIGBUS ? "SIGBUS" : number == SIGFPE ? "SIGFPE" : number == SIGILL ? "SIGILL" : "SIGABRT";
    if (!plugin) {
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
    struct sigaction crashed = { .sa_handler = crash, .sa_flags = SA_ONSTACK | SA_RESETHAND };
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
