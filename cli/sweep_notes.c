/* What is said about the runs of a sweep: each text once. */
#include "sweep.h"
#include <stdlib.h>
#include <string.h>

void sweep_say(sweep *sw, const char *about, const char *text)
{
    for (int i = 0; i < sw->notes; i++)
        if (!strcmp(sw->note[i].text, text)) {
            sw->note[i].others++;
            return;
        }
    sweep_note *more = realloc(sw->note, ((size_t)sw->notes + 1) * sizeof *more);
    sw->note = more ? more : sw->note;
    sweep_note note = { .text = pd_strdup(text), .about = pd_strdup(about) };
    if (more && note.text && note.about) {
        sw->note[sw->notes++] = note;
        return;
    }
    free(note.text);
    free(note.about);
    fprintf(stderr, "%s: %s\n", about, text); /* no room to keep it */
}

void sweep_say_lines(sweep *sw, const char *about, const char *text)
{
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
        char *line = pd_format("%.*s", (int)strcspn(text, "\n"), text);
        sweep_say(sw, about, line ? line : text);
        free(line);
    }
}

void sweep_tell(sweep *sw)
{
    fflush(stdout);
    for (int i = 0; i < sw->notes; i++) {
        sweep_note *n = &sw->note[i];
        if (n->told)
            continue;
        n->told = 1 + n->others;
        fprintf(stderr, "%s", n->about);
        if (n->others)
            fprintf(stderr, " (and %d other%s)", n->others, n->others == 1 ? "" : "s");
        fputs(":\n", stderr);
        for (const char *line = n->text; *line; line += strcspn(line, "\n"), line += *line == '\n')
            fprintf(stderr, "  %.*s\n", (int)strcspn(line, "\n"), line);
    }
}

void sweep_tell_others(const sweep *sw)
{
    fflush(stdout);
    for (int i = 0; i < sw->notes; i++) {
        const sweep_note *n = &sw->note[i];
        const int more = 1 + n->others - n->told;
        if (n->told && more > 0)
            fprintf(stderr, "%d more run%s said what %s did: %.*s\n", more, more == 1 ? "" : "s", n->about, (int)strcspn(n->text, "\n"), n->text);
    }
}
