/* What is said about the runs of a sweep: each text once. */
#include "sweep.h"
#include <stdlib.h>
#include <string.h>

/* The note of a text, new where there is none yet; NULL without memory. */
static sweep_note *note_of(sweep *sw, const char *text)
{
    for (int i = 0; i < sw->notes; i++)
        if (!strcmp(sw->note[i].text, text))
            return &sw->note[i];
    sweep_note *more = realloc(sw->note, ((size_t)sw->notes + 1) * sizeof *more);
    sw->note = more ? more : sw->note;
    char *copy = more ? pd_strdup(text) : NULL;
    if (!copy)
        return NULL;
    sw->note[sw->notes] = (sweep_note){ .text = copy };
    return &sw->note[sw->notes++];
}

void sweep_say(sweep *sw, const char *about, const char *text)
{
    sweep_note *n = note_of(sw, text);
    for (int i = 0; n && i < n->runs; i++)
        if (!strcmp(n->about[i], about)) /* when it was checked, and again when it was trained */
            return;
    char **more = n ? realloc(n->about, ((size_t)n->runs + 1) * sizeof *more) : NULL, *name = more ? pd_strdup(about) : NULL;
    if (more)
        n->about = more;
    if (name)
        n->about[n->runs++] = name;
    else
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
        if (n->told || !n->runs)
            continue;
        n->told = n->runs;
        fprintf(stderr, "%s", n->about[0]);
        if (n->runs > 1)
            fprintf(stderr, " (and %d other%s)", n->runs - 1, n->runs == 2 ? "" : "s");
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
        const int more = n->runs - n->told;
        if (n->told && more > 0)
            fprintf(stderr, "%d more run%s said what %s did: %.*s\n", more, more == 1 ? "" : "s", n->about[0], (int)strcspn(n->text, "\n"), n->text);
    }
}
