/* The settings of the runs: what differs first, then all of each. */
#include "report.h"
#include "markup.h"
#include <stdlib.h>
#include <string.h>

static const char *value_of(const report_run *run, const char *key)
{
    for (int i = 0; i < run->options; i++)
        if (!strcmp(run->option[i].key, key))
            return run->option[i].value;
    return NULL;
}

/* Does any run that has settings say another thing of a key? */
static bool differs(const report *r, const char *key)
{
    const char *first = NULL;
    bool any = false;
    for (int i = 0; i < r->runs; i++) {
        const report_run *run = &r->run[i];
        const char *value = value_of(run, key);
        if (!run->settings)
            continue;
        if (any && (value && first ? strcmp(value, first) != 0 : value != first))
            return true;
        first = value;
        any = true;
    }
    return false;
}

/* Keys of all runs, each where the first run that has it tells it. */
static pudle_status find_keys(const report *r, const char ***key, int *keys)
{
    int most = 0;
    for (int i = 0; i < r->runs; i++)
        most += r->run[i].options;
    *key = pd_alloc((size_t)most + 1, sizeof **key);
    if (!*key)
        return report_no_memory(r->ctx);
    for (int i = 0; i < r->runs; i++)
        for (int k = 0; k < r->run[i].options; k++) {
            const char *name = r->run[i].option[k].key;
            bool known = false;
            for (int before = 0; before < i && !known; before++)
                known = value_of(&r->run[before], name) != NULL;
            if (!known && differs(r, name))
                (*key)[(*keys)++] = name;
        }
    return PUDLE_OK;
}

static void put_cell(FILE *to, const char *value)
{
    fputs("<td><code>", to);
    markup_text(to, value ? value : "-");
    fputs("</code></td>", to);
}

static void put_name(FILE *to, const report_run *run)
{
    fputs("<th>", to);
    plot_swatch(to, run->style);
    fputc(' ', to);
    markup_text(to, run->label);
    fputs("</th>", to);
}

static void put_differences(FILE *to, const report *r, const char *const key[], int keys)
{
    const bool across = r->runs <= 4; /* runs side by side */
    const int rows = across ? keys : r->runs, columns = across ? r->runs : keys;
    fputs("<div class=\"wide\"><table>\n<tr><th></th>", to);
    for (int c = 0; c < columns; c++)
        if (across) {
            put_name(to, &r->run[c]);
        } else {
            fputs("<th>", to);
            markup_text(to, key[c]);
            fputs("</th>", to);
        }
    fputs("</tr>\n", to);
    for (int i = 0; i < rows; i++) {
        fputs("<tr>", to);
        if (across) {
            fputs("<th>", to);
            markup_text(to, key[i]);
            fputs("</th>", to);
        } else {
            put_name(to, &r->run[i]);
        }
        for (int c = 0; c < columns; c++)
            put_cell(to, value_of(&r->run[across ? c : i], key[across ? i : c]));
        fputs("</tr>\n", to);
    }
    fputs("</table></div>\n", to);
}

static void put_all(FILE *to, const report *r, const report_run *run)
{
    fprintf(to, "<details%s><summary>", r->runs == 1 ? " open=\"open\"" : "");
    markup_text(to, run->path);
    fputs("/config.cfg</summary>\n", to);
    if (run->why) {
        fputs("<p class=\"note\">It cannot be loaded here, and stands as it is: ", to);
        markup_text(to, run->why);
        fputs("</p>\n", to);
    }
    fputs("<pre>", to);
    for (int i = 0; i < run->options; i++) {
        markup_text(to, run->option[i].key);
        fputs(" = ", to);
        markup_text(to, run->option[i].value);
        fputc('\n', to);
    }
    if (run->config)
        markup_text(to, run->config);
    fputs("</pre>\n</details>\n", to);
}

pudle_status report_settings(FILE *to, const report *r)
{
    const char **key = NULL;
    int keys = 0;
    pudle_status s = find_keys(r, &key, &keys);
    if (s)
        return s;
    fputs("<section>\n<h2>Settings</h2>\n", to);
    if (r->runs > 1) {
        fputs("<h3>What differs</h3>\n", to);
        if (keys)
            put_differences(to, r, key, keys);
        else
            fputs("<p>Nothing.</p>\n", to);
        fputs("<h3>All of each</h3>\n", to);
    }
    for (int i = 0; i < r->runs; i++)
        if (!r->run[i].of_sweep || r->run[i].first) /* seeds of a combination have the same */
            put_all(to, r, &r->run[i]);
    fputs("</section>\n", to);
    free(key);
    return s;
}
