/* core/config/parts.h - what the files of core/config share. Outside this folder only core/plugin includes it, to
 * read the defaults of option tables and to suggest names.
 *
 * The way of a config: source.c reads the text with its includes, lint.c looks at the raw literals, load.c lets libconfig
 * parse it, collect.c turns it and the overrides into entries, fill.c puts entries into params by the option tables,
 * rules.c checks what several options say together. */
#ifndef PD_CONFIG_PARTS_H
#define PD_CONFIG_PARTS_H

#include "config/settings.h"

/* ------------------------------------------------------------------- memory */

/** Memory that is freed as a whole. */
typedef struct pd_arena pd_arena;
pd_arena *pd_arena_create(void);
void pd_arena_destroy(pd_arena *arena);                             /* NULL is legal */
void *pd_arena_alloc(pd_arena *arena, size_t count, size_t size);   /* cleared; NULL without memory */
char *pd_arena_copy(pd_arena *arena, const char *text, size_t length);
char *pd_arena_format(pd_arena *arena, const char *format, ...) PUDLE_PRINTF(2, 3);
bool pd_arena_failed(const pd_arena *arena);                        /* did any request fail? */

/* ----------------------------------------------------------------- literals */

enum { PD_LITERAL_BOOL, PD_LITERAL_INT, PD_LITERAL_REAL, PD_LITERAL_TEXT, PD_LITERAL_LIST, PD_LITERAL_GROUP };

/** A value as it stands in a config, before any option gives it a meaning. */
typedef struct pd_literal {
    int type;
    bool yes;
    int64_t integer;
    double real;
    const char *text; /* TEXT; for the other types the unquoted source text where known, else NULL */
    const struct pd_literal *item;
    int64_t count;
} pd_literal;

/** Why a value is refused, in words that follow "group.key: ". */
typedef struct pd_why { char text[640]; } pd_why;

/** The literal that `text` is; what is no literal counts as a bare word. @errors false only without memory or when an
 *  integer is beyond 64 bits */
bool pd_literal_read(pd_arena *arena, const char *text, pd_literal *out, pd_why *why);

/** Check `value` against the row (type, choices, range) and store it in params. Relative paths start at `dir` (NULL: left
 *  as they are). */
bool pd_option_assign(pd_arena *arena, const pudle_option *row, const pd_literal *value, const char *dir, void *params,
                      size_t params_size, pd_why *why);
/** The row's default into params; without one params keeps its zeros. */
bool pd_option_default(pd_arena *arena, const pudle_option *row, void *params, size_t params_size, pd_why *why);

/* ------------------------------------------------------------------- format */

const char *pd_option_type(const pudle_option *row);                      /* "real", "list of reals" */
const char *pd_option_wants(const pudle_option *row);                     /* "a number", "true or false" */
void pd_option_range(const pudle_option *row, char *text, size_t room);   /* "[0, inf)"; "" when there is none */
/** An integer's limit of 1e18 or more is there only because there must be one. */
bool pd_option_endless(const pudle_option *row, double limit);
void pd_real_text(double value, char text[40]);                           /* shortest decimal that reads back the same */
void pd_real_literal(double value, char text[40]);                        /* the same with a dot or exponent */
/** The value as it stands in a config file; NULL: unset. */
char *pd_option_value_text(pd_arena *arena, const pudle_option *row, const void *params);
/** A line to paste: `lambda = 0.1;`. */
char *pd_option_example(pd_arena *arena, const pudle_option *row);
/** The same with a value that shows what one looks like. */
char *pd_option_instance(pd_arena *arena, const pudle_option *row);
/** Number of choices; with `index` in range *begin and *length are set to that choice. */
int pd_choice(const char *choices, int index, const char **begin, int *length);

/* ------------------------------------------------------------------ nearest */

/** The name most like a word among those offered. */
typedef struct pd_nearest { const char *word, *best; int distance; } pd_nearest;
/** Insertions, deletions, replacements and swaps of neighbours; case and the difference of - and _ do not count. */
int pd_edit_distance(const char *a, const char *b);
void pd_nearest_offer(pd_nearest *nearest, const char *name); /* name must live as long as nearest */
const char *pd_nearest_best(const pd_nearest *nearest);       /* NULL: nothing is near enough */
/** What other programs call by this word is called here; the word itself where it is nobody's. */
const char *pd_name_here(const char *word);

/* ------------------------------------------------------------------- loading */

/** One key of the config, from a file or from --set. */
typedef struct pd_entry {
    struct pd_entry *next;
    const char *key;
    pd_literal value;
    const char *where; /* "run.cfg:12: prox.lambda" or "--set prox.lambda=1" */
    const char *dir;   /* where relative paths start */
    bool given;        /* on the command line, with --set */
    const char *was;   /* and the text that the file had there; NULL: none */
    bool used;         /* some row took it */
    bool bad;          /* reported already */
} pd_entry;

typedef struct pd_group {
    pd_entry *first;
    const char *where; /* "run.cfg:12: prox" */
    bool present;
    bool scalar;       /* reported: a value stands where the group should be */
    bool bad;          /* something in it was reported: the plugin's own rules would only repeat that */
} pd_group;

typedef pudle_status (*pd_finder)(pd_context *ctx, int32_t kind, const char *name, const pd_plugin **out);

typedef struct pd_loader {
    pd_context *ctx;
    pd_settings *settings;
    pd_arena *arena;
    pd_finder find;
    const char *path; /* of the file, as the user gave it */
    pd_group group[PD_SECTIONS];
    int errors;
    bool no_memory; /* for something that is not in the arena */
} pd_loader;

/** Has there been no memory for something? Then what seems to be missing may be there. */
bool pd_loader_starved(const pd_loader *loader);
/** Record one error: "where: message". Nothing once the loader is starved. */
void pd_report(pd_loader *loader, const char *where, const char *format, ...) PUDLE_PRINTF(3, 4);

/** The text of a file with every @include put in its place, and where each of its lines comes from. */
typedef struct pd_origin { const char *file, *dir; int line; } pd_origin;
typedef struct pd_source {
    char *text;
    size_t length, room;
    pd_origin *line; /* of line 1 + i of text */
    int lines, lines_room;
} pd_source;
/** @errors NOTFOUND, IO for the file itself; what is wrong inside is reported and makes CONFIG */
pudle_status pd_source_read(pd_loader *loader, const char *path, pd_source *source);
void pd_source_free(pd_source *source);
const pd_origin *pd_source_origin(const pd_source *source, int line);

/** Keys ("train.seed") whose literals would be misread; broken: libconfig must not see the text. */
typedef struct pd_lint { const char **path; int count, room; bool broken; } pd_lint;
/** Report integers that libconfig would wrap, and texts out of place. */
void pd_lint_source(pd_loader *loader, const pd_source *source, pd_lint *lint);
bool pd_lint_found(const pd_lint *lint, const char *path);
void pd_lint_free(pd_lint *lint);

struct config_setting_t;
void pd_collect_file(pd_loader *loader, const struct config_setting_t *root, const pd_source *source, const pd_lint *lint);
void pd_collect_overrides(pd_loader *loader, const char *const *overrides, int count);
pd_entry *pd_entry_find(const pd_group *group, const char *key);
int pd_section_find(const char *path); /* -1: none */
/** "train.epochs" */
const char *pd_key_path(pd_arena *arena, const char *group, const char *key);

/** A number that a text begins with, in decimals alone, and where it goes on behind blanks; NULL: it begins with none. */
const char *pd_decimal(const char *text, double *value);

/** Levels that are multiples of the critical value, before options are filled: their entries get numbers to stand in. And the note of it, after. */
void pd_read_multiples(pd_loader *loader);
void pd_note_multiple(pd_loader *loader);
/** Numbers of a loss that follow one of the prox, whose options are filled: their entries get that number. */
void pd_read_followers(pd_loader *loader, int section);
/** What follows this level gets its number; false: an option does not take it, which is named. */
bool pd_followers_set(const pd_settings *settings, const char *level, const pd_literal *number, const char **option, pd_why *why);
/** The value of an option, of the section's plugin or the core's own, as it stands in a config: of a level that is a multiple what the config said, until its
 *  number is found, and of what follows a level that it does. */
const char *pd_value_text(pd_arena *arena, const pd_settings *settings, int section, const pudle_option *row, bool of_plugin);

void pd_fill(pd_loader *loader);
/** Row i of a section: the core's rows, then the plugin's. */
bool pd_section_row(const pd_section *section, int i, pudle_option *row);

/** All rows of one table from the entries of one group. */
bool pd_fill_rows(pd_loader *loader, pd_group *group, const pudle_option *table, const pudle_desc *desc, void *params,
                  size_t size);
void pd_plugin_check(pd_loader *loader, pd_group *group, const char *where, const pudle_desc *desc, const void *params);

void pd_rules(pd_loader *loader);
/** What decides whether an option is read at all; NULL: nothing does, it always is. */
typedef struct pd_rule {
    int section;
    const char *key;
    int by;              /* section of the deciding option */
    const char *by_key;
    uint32_t when;       /* bit per choice; of a bool or an int: bit 1 means true, above 0 */
    bool needed;         /* then it must also be given */
    const char *example; /* of a line that gives it */
} pd_rule;
const pd_rule *pd_rule_of(int section, const char *key); /* the first, where there are several */
/** Do all rules let the option be read? */
bool pd_is_read(const pd_settings *settings, int section, const char *key);

/** As pd_settings_load, with another way to find plugins. */
pudle_status pd_settings_load_with(pd_context *ctx, const char *path, const char *const *overrides, int count,
                                   pd_finder find, pd_settings **out);

#endif
