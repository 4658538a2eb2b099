/* One plot: the range of what is drawn, round ticks on it, lines, and a legend below. */
#include "plot_svg.h"
#include "markup.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* Of a picture, in its own units; a page may scale it. */
enum { WIDTH = 600, LEFT = 56, RIGHT = 16, TOP = 34, HEIGHT = 220, BELOW = 44, LEGEND_LINE = 18, LETTER = 7, LABEL_MOST = 64, DOTS_MOST = 40 };

/* Colours of Okabe and Ito, that the colour-blind tell apart, but for yellow, which does not show on white; lighter ones on a dark page. */
static const char *const colours[PLOT_COLOURS] = { "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555" };
static const char *const dashes[] = { "", "7 4", "2 3" };

const char plot_css[] =
    ".c0{stroke:#0072b2;fill:#0072b2}.c1{stroke:#d55e00;fill:#d55e00}.c2{stroke:#009e73;fill:#009e73}.c3{stroke:#cc79a7;fill:#cc79a7}\n"
    ".c4{stroke:#e69f00;fill:#e69f00}.c5{stroke:#56b4e9;fill:#56b4e9}.c6{stroke:#555;fill:#555}\n"
    "svg text{fill:#333;stroke:none}svg .grid{stroke:#ddd}svg .axis{stroke:#888}\n";
const char plot_css_dark[] =
    ".c0{stroke:#4aa8e0;fill:#4aa8e0}.c1{stroke:#ff8a3d;fill:#ff8a3d}.c2{stroke:#2bc79a;fill:#2bc79a}.c3{stroke:#e79bc4;fill:#e79bc4}\n"
    ".c4{stroke:#f0b429;fill:#f0b429}.c5{stroke:#9ad4f5;fill:#9ad4f5}.c6{stroke:#bbb;fill:#bbb}\n"
    "svg text{fill:#ccc}svg .grid{stroke:#3a3a3a}svg .axis{stroke:#777}\n";

/* ------------------------------------------------------------------------- ticks */

int plot_ticks_even(double low, double high, int most, double tick[PLOT_TICKS])
{
    const double span = high / 2 - low / 2; /* halves, for the whole may be no number */
    most = most < PLOT_TICKS ? most : PLOT_TICKS;
    double power = pow(10, floor(log10(span)) - 1), step = power;
    for (int i = 1; power > 0 && span / step * 2 > most - 1; i++)
        step = power * (i % 3 == 1 ? 2 : i % 3 == 2 ? 5 : 10) * pow(10, (i - 1) / 3);
    int count = 0;
    if (!(power > 0)) /* too small a span for numbers */
        return 0;
    for (double at = ceil(low / step - 1e-9); at <= high / step + 1e-9 && count < most; at++)
        tick[count++] = at == 0 ? 0 : at * step; /* no -0 */
    return count;
}

int plot_ticks_log(double low, double high, int most, double tick[PLOT_TICKS])
{
    const int first = (int)ceil(log10(low) - 1e-9), last = (int)floor(log10(high) + 1e-9);
    int count = 0, every = 1;
    most = most < PLOT_TICKS ? most : PLOT_TICKS;
    if (last - first < 2) { /* of one or two powers of ten nothing can be read: 2 and 5 between them */
        for (int e = first - 1; e <= last; e++)
            for (int i = 0; i < 3 && count < most; i++) {
                const double at = pow(10, e) * (i == 0 ? 1 : i == 1 ? 2 : 5);
                if (at >= low * (1 - 1e-9) && at <= high * (1 + 1e-9))
                    tick[count++] = at;
            }
        return count;
    }
    while ((last - first) / every + 1 > most)
        every++;
    for (int e = first; e <= last; e += every)
        tick[count++] = pow(10, e);
    return count;
}

bool plot_is_log(double low, double high)
{
    return low > 0 && high / low > 50;
}

const char *plot_number(double value, char text[PLOT_NUMBER])
{
    const double size = fabs(value);
    if (size >= 1e4 && size < 1e9)
        snprintf(text, PLOT_NUMBER, size < 1e6 ? "%.6gk" : "%.6gM", value / (size < 1e6 ? 1e3 : 1e6));
    else
        snprintf(text, PLOT_NUMBER, "%.6g", value);
    char *e = strchr(text, 'e'), *digits = e ? e + 1 + strspn(e + 1, "+-0") : NULL; /* 1e-06 is 1e-6 */
    if (digits && *digits)
        memmove(e + 1 + (e[1] == '-'), digits, strlen(digits) + 1);
    return text;
}

/* -------------------------------------------------------------------------- axes */

typedef struct axis { double low, high; bool log; double from, to; int ticks; double tick[PLOT_TICKS]; } axis; /* from, to: places in the picture */

static double place(const axis *a, double value)
{
    const double share = a->log ? (log(value) - log(a->low)) / (log(a->high) - log(a->low)) : (value / 2 - a->low / 2) / (a->high / 2 - a->low / 2);
    return a->from + share * (a->to - a->from);
}

static axis x_axis(double low, double high)
{
    axis a = { .low = low >= 0 && low < high / 3 ? 0 : low, .high = high > low ? high : low + 1, .from = LEFT, .to = WIDTH - RIGHT };
    a.ticks = plot_ticks_even(a.low, a.high, a.high - a.low < 8 ? (int)(a.high - a.low) + 1 : 9, a.tick); /* there are no parts of an update */
    return a;
}

/* Room around what is drawn; zero belongs to it where it is near. */
static axis y_axis(double low, double high)
{
    axis a = { .from = TOP + HEIGHT, .to = TOP, .log = plot_is_log(low, high) };
    const double size = fmax(fabs(low), fabs(high));
    if (high - low <= 1e-5 * size || high == low) { /* a constant, as far as numbers beside ticks tell */
        low -= size / 10;
        high += size > 0 ? size / 10 : 1;
    }
    const double room = a.log ? 0 : (high - low) / 20, factor = a.log ? exp(0.04 * (log(high) - log(low))) : 1;
    a.low = a.log ? fmax(low / factor, DBL_MIN) : low >= 0 && low < high / 3 ? 0 : low - room;
    a.high = a.log ? fmin(high * factor, DBL_MAX) : high + room;
    a.ticks = a.log ? plot_ticks_log(a.low, a.high, 8, a.tick) : plot_ticks_even(a.low, a.high, 6, a.tick);
    return a;
}

static void find_axes(const plot *p, axis *x, axis *y)
{
    plot_point low = { INFINITY, INFINITY }, high = { -INFINITY, -INFINITY };
    for (int l = 0; l < p->lines; l++)
        for (int i = 0; i < p->line[l].points; i++) {
            const plot_point at = p->line[l].point[i];
            low = (plot_point){ fmin(low.x, at.x), fmin(low.y, at.y) };
            high = (plot_point){ fmax(high.x, at.x), fmax(high.y, at.y) };
        }
    *x = x_axis(low.x, high.x);
    *y = y_axis(low.y, high.y);
}

static void put_axes(FILE *to, const axis *x, const axis *y, const char *x_label)
{
    char text[PLOT_NUMBER];
    for (int i = 0; i < y->ticks; i++) {
        const double at = place(y, y->tick[i]);
        fprintf(to, "<line class=\"grid\" stroke=\"#ddd\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, WIDTH - RIGHT, at, at);
        fprintf(to, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", LEFT - 7, at + 4, plot_number(y->tick[i], text));
    }
    for (int i = 0; i < x->ticks; i++) {
        const double at = place(x, x->tick[i]);
        fprintf(to, "<line class=\"axis\" stroke=\"#888\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", at, at, TOP + HEIGHT, TOP + HEIGHT + 5);
        fprintf(to, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", at, TOP + HEIGHT + 18, plot_number(x->tick[i], text));
    }
    fprintf(to, "<path class=\"axis\" stroke=\"#888\" fill=\"none\" d=\"M%d %dV%dH%d\"/>", LEFT, TOP, TOP + HEIGHT, WIDTH - RIGHT);
    fprintf(to, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", WIDTH - RIGHT, TOP + HEIGHT + 36);
    markup_text(to, x_label);
    fputs("</text>\n", to);
}

/* ------------------------------------------------------------------------- lines */

static void put_style(FILE *to, int style, bool faint, double width)
{
    const char *dash = dashes[style / PLOT_COLOURS % 3], *colour = colours[style % PLOT_COLOURS];
    fprintf(to, " class=\"c%d\" stroke=\"%s\" stroke-width=\"%g\"", style % PLOT_COLOURS, colour, width);
    if (*dash)
        fprintf(to, " stroke-dasharray=\"%s\"", dash);
    if (faint)
        fputs(" stroke-opacity=\"0.35\"", to);
}

/* In tenths, and no point twice: what lies closer than that is not seen. */
static void put_line(FILE *to, const axis *x, const axis *y, const plot_line *line)
{
    long before[2] = { 0, 0 };
    fputs("<path", to);
    put_style(to, line->style, line->faint, line->faint ? 1 : 1.6);
    fputs(" stroke-linejoin=\"round\" style=\"fill:none\" d=\"", to);
    for (int i = 0; i < line->points; i++) {
        const long at[2] = { lround(10 * place(x, line->point[i].x)), lround(10 * place(y, line->point[i].y)) };
        if (i && at[0] == before[0] && at[1] == before[1])
            continue;
        fprintf(to, "%s%ld.%ld %ld.%ld", i == 0 ? "M" : i == 1 ? "L" : " ", at[0] / 10, at[0] % 10, at[1] / 10, at[1] % 10);
        memcpy(before, at, sizeof before);
    }
    fputs("\"/>\n", to);
    if (line->points > DOTS_MOST || line->faint)
        return;
    for (int i = 0; i < line->points; i++)
        fprintf(to, "<circle class=\"c%d\" fill=\"%s\" stroke=\"none\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.2\"/>", line->style % PLOT_COLOURS, colours[line->style % PLOT_COLOURS],
                place(x, line->point[i].x), place(y, line->point[i].y));
    fputc('\n', to);
}

/* ------------------------------------------------------------------------ legend */

/* Names flow in lines below the axis; to: NULL only counts the lines. */
static int put_legend(FILE *to, const plot *p)
{
    int rows = 0, x = WIDTH;
    for (int l = 0; l < p->lines; l++) {
        const plot_line *line = &p->line[l];
        if (!line->label)
            continue;
        const int length = markup_length(line->label), width = 30 + LETTER * (length < LABEL_MOST ? length : LABEL_MOST) + 18;
        if (x + width > WIDTH) {
            rows++;
            x = LEFT;
        }
        const int y = TOP + HEIGHT + BELOW + LEGEND_LINE * rows - 4;
        if (to) {
            fprintf(to, "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"", x, x + 22, y - 4, y - 4);
            put_style(to, line->style, line->faint, 2.4);
            fprintf(to, "/><text x=\"%d\" y=\"%d\">", x + 28, y);
            if (length > LABEL_MOST) {
                fputs("<title>", to);
                markup_text(to, line->label);
                fputs("</title>", to);
            }
            markup_short(to, line->label, LABEL_MOST);
            fputs("</text>\n", to);
        }
        x += width;
    }
    return rows;
}

void plot_svg(FILE *to, const plot *p)
{
    axis x, y;
    find_axes(p, &x, &y);
    const int height = TOP + HEIGHT + BELOW + LEGEND_LINE * put_legend(NULL, p) + 4;
    fprintf(to, "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n<title>", WIDTH, height);
    markup_text(to, p->title);
    fprintf(to, "</title>\n<text x=\"%d\" y=\"18\" font-size=\"14\"><tspan font-weight=\"bold\">", LEFT);
    markup_text(to, p->title);
    fputs("</tspan><tspan dx=\"10\" font-size=\"12\">", to);
    markup_text(to, p->unit);
    fprintf(to, "%s</tspan></text>\n", y.log ? " (log scale)" : "");
    put_axes(to, &x, &y, p->x_label);
    for (int faint = 1; faint >= 0; faint--) /* behind the others */
        for (int l = 0; l < p->lines; l++)
            if (p->line[l].points > 0 && p->line[l].faint == (faint == 1))
                put_line(to, &x, &y, &p->line[l]);
    put_legend(to, p);
    fputs("</svg>\n", to);
}

void plot_swatch(FILE *to, int style)
{
    fputs("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"swatch\" width=\"26\" height=\"10\" viewBox=\"0 0 26 10\" aria-hidden=\"true\"><path d=\"M0 5H26\"", to);
    put_style(to, style, false, 3);
    fputs("/></svg>", to);
}
