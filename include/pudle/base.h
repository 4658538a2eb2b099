/* pudle/base.h - types that every part of the plugin contract shares: status codes, array views, host services,
 * option tables, the plugin descriptor and the one exported symbol. Plugins include <pudle/plugin.h>.
 *
 * Rules of growth: the first 16 bytes of pudle_plugin_entry are frozen for ever; every struct with a leading `size`
 * grows only at its end; nothing that may grow is embedded in another struct or laid out in an array without a stride.
 * PODs without a size (views, lists) are frozen. */
#ifndef PUDLE_BASE_H
#define PUDLE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define PUDLE_EXTERN extern "C"
#else
#define PUDLE_EXTERN extern
#endif
#if defined(__GNUC__)
#define PUDLE_EXPORT __attribute__((visibility("default")))
#define PUDLE_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define PUDLE_EXPORT
#define PUDLE_PRINTF(fmt, first)
#endif

#define PUDLE_MAGIC 0x4c445550u /* "PUDL" in memory on a little-endian machine */
#define PUDLE_ABI_MAJOR 1
#define PUDLE_ABI_MINOR 1 /* 1: source of elementwise operators, mean of a loss, memory of a backend's work */
/* The smallest host minor version this plugin needs. A plugin that uses nothing newer may define it lower before including. */
#ifndef PUDLE_NEEDS_MINOR
#define PUDLE_NEEDS_MINOR PUDLE_ABI_MINOR
#endif

/* ------------------------------------------------------------------ status */

/** Result of every fallible function: PUDLE_OK or a negative code. Outputs are written only on success. */
typedef int32_t pudle_status;
enum {
    PUDLE_OK = 0,
    PUDLE_ERR_ARG = -1,         /* an argument is wrong: a bug of the caller */
    PUDLE_ERR_NOMEM = -2,       /* out of memory */
    PUDLE_ERR_UNSUPPORTED = -3, /* valid, but this part cannot do it */
    PUDLE_ERR_CONFIG = -4,      /* what the user asked for is wrong */
    PUDLE_ERR_NUMERIC = -5,     /* non-finite values, divergence, failed factorisation */
    PUDLE_ERR_DEVICE = -6,      /* accelerator or driver */
    PUDLE_ERR_IO = -7,          /* file system */
    PUDLE_ERR_ABI = -8,         /* plugin and host do not fit */
    PUDLE_ERR_NOTFOUND = -9,    /* file, plugin, sample ... does not exist */
    PUDLE_ERR_INTERNAL = -10    /* a bug of pudle */
};

/* ------------------------------------------------------------------- views */

enum { PUDLE_F32 = 1, PUDLE_F64 = 2 };
#define PUDLE_MAX_RANK 6

/** A borrowed array: valid for the call it is passed to. `stride` counts elements, not bytes.
 *  Batch first: data X is (n, m) or (n, channels, height, width), codes Z are (n, atoms) or (n, atoms, ...).
 *  Prox, loss and data plugins always receive contiguous views in C order; backends must accept any row stride
 *  (stride[0]) of a two-dimensional view whose last stride is 1. */
typedef struct pudle_view {
    void *data;
    int32_t dtype, rank;
    int64_t shape[PUDLE_MAX_RANK], stride[PUDLE_MAX_RANK];
} pudle_view;

/** The same, read only. */
typedef struct pudle_cview {
    const void *data;
    int32_t dtype, rank;
    int64_t shape[PUDLE_MAX_RANK], stride[PUDLE_MAX_RANK];
} pudle_cview;

/** Number of elements of a view. */
static inline int64_t pudle_count(const pudle_cview *v)
{
    int64_t n = 1;
    for (int32_t i = 0; i < v->rank; i++)
        n *= v->shape[i];
    return n;
}

/** Entry i of a contiguous array, as a double. */
static inline double pudle_entry(const pudle_cview *v, int64_t i)
{
    return v->dtype == PUDLE_F64 ? ((const double *)v->data)[i] : (double)((const float *)v->data)[i];
}

static inline size_t pudle_dtype_size(int32_t dtype)
{
    return dtype == PUDLE_F64 ? sizeof(double) : sizeof(float);
}

/** The read-only view of a view. */
static inline pudle_cview pudle_const(const pudle_view *v)
{
    pudle_cview c;
    c.data = v->data;
    c.dtype = v->dtype;
    c.rank = v->rank;
    for (int i = 0; i < PUDLE_MAX_RANK; i++) {
        c.shape[i] = v->shape[i];
        c.stride[i] = v->stride[i];
    }
    return c;
}

/** True if a struct that starts with `uint32_t size` is large enough to hold `member`: how optional tail members are read. */
#define PUDLE_HAS(ptr, type, member) ((ptr)->size >= offsetof(type, member) + sizeof((ptr)->member))

/* ----------------------------------------------------------- host services */

enum { PUDLE_LOG_DEBUG = 0, PUDLE_LOG_INFO = 1, PUDLE_LOG_WARNING = 2 };

/** What the host offers a plugin. A plugin links no symbol of the core: all it may call is in this table.
 *  @thread every function may be called from any thread. Lifetime: until the plugin's instances are destroyed. */
typedef struct pudle_host {
    uint32_t size;
    uint16_t abi_major, abi_minor;
    void *ctx; /* first argument of every function below */
    /** Memory aligned to 64 bytes, not cleared; NULL when there is none. */
    void *(*alloc)(void *ctx, size_t bytes);
    void (*free)(void *ctx, void *memory);
    void (*log)(void *ctx, int32_t level, const char *format, ...) PUDLE_PRINTF(3, 4);
    /** Record why a call fails and return `status`, so that one line does both: return host->fail(host->ctx, PUDLE_ERR_IO, ...). */
    pudle_status (*fail)(void *ctx, pudle_status status, const char *format, ...) PUDLE_PRINTF(3, 4);
    /** Optional services by id, for instance "pudle.host.arrays/1" (pudle/data.h); NULL if the host has none. */
    const void *(*get_ext)(void *ctx, const char *id);
} pudle_host;

/* ----------------------------------------------------------------- options */

enum {
    PUDLE_BOOL = 1,  /* bool */
    PUDLE_INT = 2,   /* int64_t */
    PUDLE_REAL = 3,  /* double; an integer literal is accepted */
    PUDLE_STRING = 4,/* const char * */
    PUDLE_PATH = 5,  /* const char *, made absolute: relative to the config file that says it, or to the working directory when said on the command line */
    PUDLE_ENUM = 6,  /* int32_t: index into `choices` */
    PUDLE_REAL_LIST = 7, /* pudle_real_list; a single number is a list of one */
    PUDLE_INT_LIST = 8,  /* pudle_int_list */
    PUDLE_TEXT = 9       /* const char *; a bare number is kept as its text ("step = 0.2" and "step = \"1/L\"") */
};
enum {
    PUDLE_REQUIRED = 1 << 0,
    PUDLE_OPEN_MIN = 1 << 1, /* min itself is outside the range */
    PUDLE_OPEN_MAX = 1 << 2,
    /** A level of a prox, handed to its kernels in theta[] in table order. It decays with the layer, can be learned, and
     *  the params struct keeps only its initial value. Type PUDLE_REAL. */
    PUDLE_THRESHOLD = 1 << 3,
    /** The threshold is a weight: theta receives step * value (soft threshold: alpha * lambda). */
    PUDLE_PER_STEP = 1 << 4,
    PUDLE_DEPRECATED = 1 << 5
};

typedef struct pudle_real_list { const double *item; int64_t count; } pudle_real_list;
typedef struct pudle_int_list { const int64_t *item; int64_t count; } pudle_int_list;

/** One option. A table ends with a row whose name is NULL. If it is not in the table, it is not an option.
 *  Lists and strings that the core fills in live as long as the instance. */
typedef struct pudle_option {
    const char *name;
    int32_t type;
    uint32_t flags;
    uint32_t offset;     /* offsetof(params struct, member) */
    const char *dflt;    /* default as it would stand in a config file ("0.1", "true", "uniform", "[1, 2]"); NULL: unset (0, NULL, empty) */
    double min, max;     /* range of INT, REAL and of each list item; min = max = 0: no range */
    const char *choices; /* ENUM: "first|second|third" */
    const char *unit;    /* NULL: none */
    const char *doc;     /* one sentence */
} pudle_option;

/* -------------------------------------------------------------- descriptor */

enum { PUDLE_KIND_PROX = 1, PUDLE_KIND_LOSS = 2, PUDLE_KIND_DATA = 3, PUDLE_KIND_BACKEND = 4 };

/** Head of every plugin of every kind; constant data. */
typedef struct pudle_desc {
    uint32_t size; /* sizeof(pudle_desc) as the plugin was compiled */
    int32_t kind;
    const char *name;    /* the name users write: [a-z][a-z0-9_]*, also the file's name without .so */
    const char *version; /* of the plugin, "1.0.0" */
    const char *summary; /* one line */
    const char *math;    /* the formula, one line; NULL where there is none */
    const char *cite;    /* source: doi or reference; may be NULL */
    const char *license; /* SPDX id */
    uint64_t caps;       /* PUDLE_PROX_*, PUDLE_LOSS_*, PUDLE_DATA_* */
    const pudle_option *options; /* NULL: none */
    uint32_t option_size;        /* sizeof(pudle_option) as the plugin was compiled: the table's stride */
    uint32_t params_size;        /* size of the struct the options fill; 0: none */
    /** Rules between options, after each has been checked alone. Optional. @errors CONFIG through host->fail */
    pudle_status (*check)(const pudle_host *host, const void *params);
    /** Make an instance. Optional: without it the params themselves are the instance. `params` outlives the instance.
     *  An instance is immutable after create, so that all threads may use it. */
    pudle_status (*create)(const pudle_host *host, const void *params, void **self);
    void (*destroy)(const pudle_host *host, void *self); /* optional; never fails; NULL is legal */
    const void *ops;                        /* pudle_prox_ops, pudle_loss_ops, pudle_data_ops or pudle_backend_ops */
    const void *(*get_ext)(const char *id); /* optional extensions; NULL: none */
} pudle_desc;

/** A descriptor with the instance made from it: how one plugin (a backend) is handed another (a prox, a loss). Frozen. */
typedef struct pudle_instance {
    const pudle_desc *desc;
    void *self;
} pudle_instance;

/** The one symbol a plugin exports: constant data, so a host can refuse it before any of its code runs. */
typedef struct pudle_plugin_entry {
    uint32_t magic;
    uint16_t abi_major, abi_minor; /* abi_minor: the minor the plugin needs */
    uint32_t size;                 /* sizeof(pudle_plugin_entry) as the plugin was compiled */
    uint32_t flags;                /* 0 */
    const pudle_desc *const *plugins; /* ends with NULL */
} pudle_plugin_entry;

PUDLE_EXTERN PUDLE_EXPORT const pudle_plugin_entry pudle_plugin;

/** Ends a plugin's file: PUDLE_PLUGIN(&my_desc); exports it. Several descriptors may be listed. */
#define PUDLE_PLUGIN(...)                                                                  \
    static const pudle_desc *const pudle_plugin_list[] = { __VA_ARGS__, NULL };            \
    const pudle_plugin_entry pudle_plugin = { PUDLE_MAGIC, PUDLE_ABI_MAJOR, PUDLE_NEEDS_MINOR, \
                                              (uint32_t)sizeof(pudle_plugin_entry), 0, pudle_plugin_list }

/** The body of an elementwise operator as text, for backends that compile when they load; made by the macros of
 *  pudle/elementwise.h, which say what is in scope. */
typedef struct pudle_source {
    uint32_t size;
    int32_t levels;   /* of a prox: how many t[i] the body reads; 0 for a loss */
    const char *body; /* C that is also C++ */
} pudle_source;

/** Where the work is queued: a device, a stream, a thread's lane. Defined and understood by the backend alone. */
typedef struct pudle_exec pudle_exec;

#endif
