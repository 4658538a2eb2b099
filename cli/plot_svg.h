/* cli/plot_svg.h - curves as an SVG picture that stands within a page: axes with round ticks, a title, and what each colour stands for. */
#ifndef PD_PLOT_SVG_H
#define PD_PLOT_SVG_H

#include <stdbool.h>
#include <stdio.h>

typedef struct plot_point { double x, y; } plot_point; /* both finite, |y| below PLOT_LARGEST */
#define PLOT_LARGEST 1e300

/** Colours, then the same colours in other dashes: so many lines can be told apart. */
enum { PLOT_COLOURS = 7, PLOT_STYLES = 3 * PLOT_COLOURS };

typedef struct plot_line {
    const plot_point *point; /* x ascends */
    int points;
    int style;         /* 0 to PLOT_STYLES - 1 */
    bool faint;        /* what lies behind another line */
    const char *label; /* NULL: like the line before it */
} plot_line;

typedef struct plot {
    const char *title, *unit; /* of y */
    const char *x_label;
    const plot_line *line;
    int lines;
} plot;

/** An <svg> element. Colours are classes of the page (plot_css), and those of a light page where there is no page. At least one point is there. */
void plot_svg(FILE *to, const plot *p);
/** The rules that a page needs for it, of a light and of a dark one. */
extern const char plot_css[], plot_css_dark[];
/** A short line in a style, to stand beside a name. */
void plot_swatch(FILE *to, int style);

/* ------------------------------------------------------------------ for tests */

enum { PLOT_TICKS = 16 };
/** Round numbers within [low, high], at most `most`, for an axis with even steps. Returns how many. low < high. */
int plot_ticks_even(double low, double high, int most, double tick[PLOT_TICKS]);
/** The same for an axis of powers; 0 < low < high. */
int plot_ticks_log(double low, double high, int most, double tick[PLOT_TICKS]);
/** Is an axis of powers the better one? */
bool plot_is_log(double low, double high);
/** A number as it stands beside a tick: 20k, 1.5M, 0.05, 1e-6. */
enum { PLOT_NUMBER = 32 };
const char *plot_number(double value, char text[PLOT_NUMBER]);

#endif
