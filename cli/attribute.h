/* cli/attribute.h - what pudle attribute has found, for its tables and pictures. */
#ifndef PD_CLI_ATTRIBUTE_H
#define PD_CLI_ATTRIBUTE_H

#include "cli.h"
#include "measure/attribution.h"

enum { CLI_BINS = 40 /* of cosines from -1 to 1 */ };

/** An atom and the samples that made it. */
typedef struct cli_atom {
    double energy;       /* the sum of z^2 over the samples */
    int64_t used;        /* samples with a code that is not 0 there */
    double weights2;     /* sum of the squares of its weights */
    double norm, estimate_norm; /* of the atom d and its estimate e = X G w */
    double error, cosine; /* ||d - e|| / ||d||, and of the angle between them; NaN: no sample uses it */
    pd_ranking samples;  /* by weight */
} cli_atom;

/** A sample that is explained: one of those whose code is asked about. */
typedef struct cli_query {
    int64_t number;
    double *x, *z, *w;     /* (m), (p), A^-1 z */
    double norm;           /* of z */
    pd_ranking by_beta, by_code; /* training samples by beta, and by the cosine of the angle between codes */
    int64_t *histogram;    /* (classes, CLI_BINS): training samples of each class by that cosine */
} cli_query;

/** What one line says of a sample whose code is asked about. */
typedef struct cli_explained { int64_t label, nonzeros; double error, beta_norm; } cli_explained;

typedef struct cli_attribution {
    pd_context *ctx;
    pd_problem *pb;
    const pudle_data_labels *labels; /* NULL: samples have no classes */
    const char *out;
    int64_t n, m, p, top;
    pd_attribution at;
    pd_array dictionary;       /* (m, p) */
    double identity;           /* ||D - X G Z'||_F / ||D||_F, atoms that no sample uses left out */
    double error_median, cosine_median; /* of the atoms that some sample uses */
    cli_atom *atom;            /* (p) */
    int64_t *shown;            /* atoms in the picture */
    int64_t shown_count;
    double *leave_out;         /* (n): see pd_attribution_leave_out */
    int64_t *label;            /* (n): of the training samples, where there are labels */
    int64_t *class_label;      /* (classes) in rising order; one class, of PUDLE_NO_LABEL, where there are none */
    int64_t classes;
    cli_query *query;
    int64_t queries;
    cli_explained *explained;  /* (explained_count) */
    int64_t explained_count;
    double beta_median;        /* of their beta_norm */
} cli_attribution;

/** atoms.csv, contributions.csv, estimate.npy; and, where codes were asked about, samples.csv, sample_contributions.csv, code_similarity.csv. */
pudle_status cli_attribution_tables(const cli_attribution *a);
/** atoms.png, atoms_used.png and samples.png. */
pudle_status cli_attribution_pictures(cli_attribution *a);
/** The atoms of most energy, by falling energy, at most `most` of those that samples use; returns how many. */
int64_t cli_attribution_strongest(const cli_attribution *a, int64_t most, pd_extreme *atoms);
/** Inputs of training samples (count, m) by their numbers: what the sums were made of. out: (count, m) doubles */
pudle_status cli_attribution_fetch(cli_attribution *a, const int64_t *index, int64_t count, double *out);

#endif
