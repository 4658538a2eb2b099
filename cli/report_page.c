/* The page: one file that needs nothing beside it. It is XML as well as HTML, so that programs can read it. */
#include "report.h"
#include "markup.h"
#include "tensor/files.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char css[] =
    "body{margin:2em auto;max-width:80em;padding:0 1.2em;font:15px/1.45 system-ui,sans-serif;color:#222;background:#fff}\n"
    "h1{font-size:1.6em;overflow-wrap:anywhere}h2{font-size:1.25em;margin-top:2em;overflow-wrap:anywhere}h3{font-size:1em;overflow-wrap:anywhere}\n"
    "table{border-collapse:collapse;font-size:.9em}th,td{padding:.25em .8em;text-align:left;border-bottom:1px solid #ddd;vertical-align:top}\n"
    "th{font-weight:600}td.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.wide{overflow-x:auto}\n"
    ".note{color:#666;font-size:.9em}.curves{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(32em,100%),1fr));gap:1.2em}\n"
    "figure{margin:0;break-inside:avoid}figure>svg{width:100%;height:auto}figcaption{font-size:.9em;overflow-wrap:anywhere}\n"
    ".facts th,.facts td{white-space:nowrap}.atoms{display:flex;flex-wrap:wrap;gap:1.5em}.atoms figure{max-width:min(38em,100%)}.atoms img{max-width:100%;height:auto;image-rendering:pixelated}\n"
    ".several figure{max-width:min(24em,100%)}\n"
    "pre{overflow-x:auto;font-size:.85em}code{font-size:.95em}summary{cursor:pointer;overflow-wrap:anywhere}.swatch{vertical-align:middle}\n";
static const char css_dark[] = "body{color:#ddd;background:#16181b}th,td{border-color:#3a3a3a}.note{color:#999}\n";

/* -------------------------------------------------------------------------- facts */

static void put_text(FILE *to, const char *text)
{
    markup_text(to, *text ? text : "unknown");
}

static void fact_folder(FILE *to, const report_run *run)
{
    put_text(to, run->path);
}

static void fact_state(FILE *to, const report_run *run)
{
    put_text(to, report_states[run->state]);
    if (run->resumed)
        fprintf(to, ", resumed %d time%s", run->resumed, run->resumed == 1 ? "" : "s");
}

static void fact_updates(FILE *to, const report_run *run)
{
    fprintf(to, "%" PRId64, run->updates);
    if (run->total >= run->updates)
        fprintf(to, " of %" PRId64, run->total);
}

static void put_value(FILE *to, double value, const char *format)
{
    if (isnan(value))
        fputs("-", to);
    else
        fprintf(to, format, value);
}

static void fact_time(FILE *to, const report_run *run)
{
    put_value(to, run->seconds, "%.1f s");
}

static void fact_begun(FILE *to, const report_run *run)
{
    put_text(to, run->begun);
}

static void fact_version(FILE *to, const report_run *run)
{
    put_text(to, run->version);
}

static void fact_identity(FILE *to, const report_run *run)
{
    fprintf(to, "<code>%.16s</code>%s", *run->identity ? run->identity : "unknown", run->edited ? ", but config.cfg has been edited since" : "");
}

static void fact_loss(FILE *to, const report_run *run)
{
    const report_series *s = &run->metrics.loss.series;
    put_value(to, s->used ? s->last.y : (double)NAN, "%.6g");
}

/* By a function, or the last value of a column. */
typedef struct fact { const char *name; void (*put)(FILE *to, const report_run *run); const char *column; bool test; } fact;

static const fact facts[] = {
    { "folder", fact_folder, NULL, false },
    { "state", fact_state, NULL, false },
    { "updates", fact_updates, NULL, false },
    { "time", fact_time, NULL, false },
    { "training loss, last epoch", fact_loss, NULL, false },
    { "test loss, last", NULL, "loss", true },
    { "dictionary error, last", NULL, "dictionary_error", false },
    { "nonzeros, last batch", NULL, "nonzeros", false },
    { "dead atoms, last look", NULL, "dead", false },
    { "begun", fact_begun, NULL, false },
    { "pudle", fact_version, NULL, false },
    { "identity", fact_identity, NULL, false },
};
enum { FACTS = sizeof facts / sizeof *facts };

static const report_series *series_of(const fact *f, const report_run *run)
{
    return report_table_find(f->test ? &run->test : &run->metrics, f->column);
}

static void put_fact(FILE *to, const fact *f, const report_run *run)
{
    const report_series *s = f->put ? NULL : series_of(f, run);
    if (f->put)
        f->put(to, run);
    else
        put_value(to, s ? s->last.y : (double)NAN, "%.6g");
}

/* What no run knows is left out. Returns how many are left. */
static int known_facts(const report *r, const fact *known[FACTS])
{
    int count = 0;
    for (int i = 0; i < FACTS; i++) {
        bool any = facts[i].put != NULL;
        for (int k = 0; k < r->runs && !any; k++)
            any = series_of(&facts[i], &r->run[k]) != NULL;
        if (any)
            known[count++] = &facts[i];
    }
    return count;
}

static void put_name(FILE *to, const report *r, const report_run *run)
{
    if (r->runs > 1) {
        plot_swatch(to, run->style);
        fputc(' ', to);
    }
    markup_text(to, run->label);
}

/* Few runs stand side by side, many below each other. */
static void put_facts(FILE *to, const report *r)
{
    const fact *known[FACTS];
    const bool across = r->runs <= 3;
    const int count = known_facts(r, known), rows = across ? count : r->runs, columns = across ? r->runs : count;
    fprintf(to, "<section>\n%s<div class=\"wide facts\"><table>\n<tr><th></th>", r->sweep.path ? "<h2>Runs that are drawn</h2>\n" : "");
    for (int c = 0; c < columns; c++) {
        fputs("<th>", to);
        if (across)
            put_name(to, r, &r->run[c]);
        else
            fputs(known[c]->name, to);
        fputs("</th>", to);
    }
    fputs("</tr>\n", to);
    for (int i = 0; i < rows; i++) {
        fputs("<tr><th>", to);
        if (across)
            fputs(known[i]->name, to);
        else
            put_name(to, r, &r->run[i]);
        fputs("</th>", to);
        for (int c = 0; c < columns; c++) {
            fputs("<td>", to);
            put_fact(to, known[across ? i : c], &r->run[across ? c : i]);
            fputs("</td>", to);
        }
        fputs("</tr>\n", to);
    }
    fputs("</table></div>\n", to);
    if (r->sweep.path && r->runs < r->sweep.runs.rows - 1)
        fprintf(to, "<p class=\"note\">%d of %d runs: the best ones of up to %d combinations, as far as they can be read.</p>\n", r->runs, r->sweep.runs.rows - 1, PLOT_COLOURS);
    fputs("</section>\n", to);
}

static void put_warnings(FILE *to, const report *r)
{
    bool any = false;
    for (int i = 0; i < r->runs; i++)
        any |= r->run[i].warnings > 0;
    if (!any)
        return;
    fputs("<section>\n<h2>Warnings</h2>\n", to);
    for (int i = 0; i < r->runs; i++) {
        const report_run *run = &r->run[i];
        if (!run->warnings)
            continue;
        fputs("<h3>", to);
        markup_text(to, run->path);
        fputs("/run.log</h3>\n<ul>\n", to);
        for (int k = 0; k < run->warnings; k++) {
            fputs("<li>", to);
            markup_text(to, run->warning[k].text);
            if (run->warning[k].times > 1)
                fprintf(to, " (%" PRId64 " times)", run->warning[k].times);
            fputs("</li>\n", to);
        }
        if (run->more_warnings)
            fprintf(to, "<li>and %d more</li>\n", run->more_warnings);
        fputs("</ul>\n", to);
    }
    fputs("</section>\n", to);
}

/* -------------------------------------------------------------------------- atoms */

enum { PNG_MOST = 16 << 20, IHDR = 16 }; /* bytes of a picture that a page can hold; where width and height stand in it */

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_picture(FILE *to, const report_run *run, const pd_bytes *png)
{
    fprintf(to, "<img width=\"%u\" height=\"%u\" alt=\"the atoms of ", (unsigned)big_endian(png->data + IHDR), (unsigned)big_endian(png->data + IHDR + 4));
    markup_text(to, run->label);
    fputs("\" src=\"data:image/png;base64,", to);
    markup_base64(to, png->data, png->size);
    fputs("\"/>", to);
}

static pudle_status put_run_atoms(FILE *to, const report *r, const report_run *run)
{
    static const unsigned char mark[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
    pd_bytes png = { NULL, 0, NULL, false };
    char *path = pd_format("%s/dictionary.png", run->path);
    const bool there = path && (!access(path, F_OK) || errno != ENOENT);
    pudle_status s = !path ? report_no_memory(r->ctx) : there ? pd_bytes_map(r->ctx, path, &png) : PUDLE_OK;
    const bool good = png.size >= IHDR + 8 && !memcmp(png.data, mark, sizeof mark);
    if (!s) {
        fputs("<figure>", to);
        if (good && png.size <= PNG_MOST)
            put_picture(to, run, &png);
        fputs("<figcaption>", to);
        put_name(to, r, run);
        if (!there)
            fputs(": there is no picture; it is made when training ends", to);
        else if (!good)
            fputs(": dictionary.png is no picture", to);
        else if (png.size > PNG_MOST)
            fprintf(to, ": dictionary.png is left out, it is of %.0f MB", (double)png.size / 1e6);
        fputs("</figcaption></figure>\n", to);
    }
    pd_bytes_release(&png);
    free(path);
    return s;
}

/* Of the seeds of a combination the best. */
static pudle_status put_atoms(FILE *to, const report *r)
{
    pudle_status s = PUDLE_OK;
    fputs("<section>\n<h2>Atoms</h2>\n", to);
    fprintf(to, "<div class=\"atoms%s\">\n", r->runs > 1 ? " several" : "");
    for (int i = 0; i < r->runs && !s; i++)
        if (!r->run[i].of_sweep || r->run[i].first)
            s = put_run_atoms(to, r, &r->run[i]);
    fputs("</div>\n<p class=\"note\">In their order, row by row, each scaled to its largest magnitude; 0 is mid-grey, or black where nothing is negative. Vectors are "
          "bars, up and bright where positive.</p>\n</section>\n", to);
    return s;
}

/* --------------------------------------------------------------------------- page */

static void put_title(FILE *to, const report *r)
{
    if (r->sweep.path)
        markup_text(to, r->sweep.path);
    else
        markup_text(to, r->run[0].label);
    const int more = r->sweep.path ? 0 : r->runs - 1;
    if (more)
        fprintf(to, " and %d other run%s", more, more == 1 ? "" : "s");
}

static void put_head(FILE *to, const report *r)
{
    char when[32] = "";
    const time_t t = time(NULL);
    struct tm utc;
    if (gmtime_r(&t, &utc))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &utc);
    fputs("<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>", to);
    put_title(to, r);
    fprintf(to, "</title>\n<style>\n%s%s@media screen and (prefers-color-scheme:dark){\n%s%s}\n</style>\n</head>\n<body>\n<h1>", css, plot_css, css_dark, plot_css_dark);
    put_title(to, r);
    fprintf(to, "</h1>\n<p class=\"note\">Report of %d run%s, made by pudle %s on %s.</p>\n", r->runs, r->runs == 1 ? "" : "s", PD_VERSION, when);
}

pudle_status report_page(FILE *to, const report *r)
{
    pudle_status s = PUDLE_OK;
    put_head(to, r);
    if (r->sweep.path)
        s = report_sweep_tables(to, r->ctx, &r->sweep);
    put_facts(to, r);
    put_warnings(to, r);
    if (!s)
        s = report_curves(to, r);
    if (!s)
        s = put_atoms(to, r);
    if (!s)
        s = report_settings(to, r);
    fputs("</body>\n</html>\n", to);
    return s;
}
