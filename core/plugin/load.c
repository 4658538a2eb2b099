/* Loading and the handshake: nothing of a plugin is called here, its exported constant data is read and checked. */
#include "plugin/parts.h"
#include "tensor/arrays.h"

#include <dlfcn.h>
#include <link.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

pudle_status pd_refuse(pd_reason *reason, pudle_status status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(reason->text, sizeof reason->text, format, list);
    va_end(list);
    return status;
}

/* The loader's own words without the path that they begin with. */
static const char *loader_says(const char *path)
{
    const char *text = dlerror();
    const size_t length = strlen(path);
    if (!text)
        return "no reason given";
    return !strncmp(text, path, length) && !strncmp(text + length, ": ", 2) ? text + length + 2 : text;
}

/* Did the symbol come from the file itself and not from a library that it loads? */
static bool same_object(void *handle, const void *symbol)
{
    struct link_map *own = NULL;
    Dl_info where;
    return !dlinfo(handle, RTLD_DI_LINKMAP, &own) && own && dladdr(symbol, &where) && where.dli_fname &&
           !strcmp(where.dli_fname, own->l_name);
}

static pudle_status find_entry(const char *path, const pudle_plugin_entry **out, pd_reason *why)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle)
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "the dynamic linker refuses it: %s; link or install the library that is missing (ldd -r shows "
                         "which); plugins link nothing of pudle itself",
                         loader_says(path));
    const void *symbol = dlsym(handle, "pudle_plugin");
    if (!symbol)
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "not a plugin: it does not export the symbol pudle_plugin; end its source with "
                         "PUDLE_PLUGIN(&desc);");
    if (!same_object(handle, symbol))
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "the symbol pudle_plugin is not in this file but in a library it uses; put PUDLE_PLUGIN(&desc); "
                         "into the plugin itself");
    *out = symbol;
    return PUDLE_OK;
}

static pudle_status check_entry(const pudle_plugin_entry *e, pd_reason *why)
{
    const unsigned smallest = PD_UP_TO(pudle_plugin_entry, plugins);
    if (e->magic != PUDLE_MAGIC)
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "the magic number of pudle_plugin is 0x%08x, not 0x%08x: define it with PUDLE_PLUGIN(&desc);",
                         (unsigned)e->magic, (unsigned)PUDLE_MAGIC);
    if (e->abi_major != PUDLE_ABI_MAJOR)
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "built for plugin ABI %u; this pudle speaks ABI %d.%d: rebuild the plugin against the installed "
                         "headers or install %s pudle",
                         (unsigned)e->abi_major, PUDLE_ABI_MAJOR, PUDLE_ABI_MINOR,
                         e->abi_major > PUDLE_ABI_MAJOR ? "a newer" : "an older");
    if (e->abi_minor > PUDLE_ABI_MINOR)
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "needs plugin ABI %u.%u; this pudle speaks ABI %d.%d: install a newer pudle, or, if the plugin "
                         "uses nothing newer, rebuild it with -DPUDLE_NEEDS_MINOR=%d",
                         (unsigned)e->abi_major, (unsigned)e->abi_minor, PUDLE_ABI_MAJOR, PUDLE_ABI_MINOR, PUDLE_ABI_MINOR);
    if (e->size < smallest)
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "its pudle_plugin_entry says size %u, ABI 1.0 has at least %u: define it with PUDLE_PLUGIN(&desc);",
                         (unsigned)e->size, smallest);
    if (e->flags)
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "pudle_plugin has flags 0x%x, ABI 1.0 knows none: define it with PUDLE_PLUGIN(&desc);",
                         (unsigned)e->flags);
    if (!e->plugins || !e->plugins[0])
        return pd_refuse(why, PUDLE_ERR_ABI, "describes no plugin: give PUDLE_PLUGIN the address of a pudle_desc");
    return PUDLE_OK;
}

static pudle_status check_descs(const pudle_plugin_entry *e, int *count, pd_reason *why)
{
    int n = 0;
    for (; e->plugins[n]; n++) {
        if (n == PD_LIST_LIMIT)
            return pd_refuse(why, PUDLE_ERR_ABI, "lists more than %d plugins: does the list end with NULL?", PD_LIST_LIMIT);
        const pudle_desc *d = e->plugins[n];
        const pudle_status s = pd_desc_check(d, why);
        if (s)
            return s;
        for (int k = 0; k < n; k++)
            if (e->plugins[k]->kind == d->kind && !strcmp(e->plugins[k]->name, d->name))
                return pd_refuse(why, PUDLE_ERR_ABI, "describes %s '%s' twice: keep one", pd_kind_name(d->kind), d->name);
    }
    *count = n;
    return PUDLE_OK;
}

static pudle_status make_file(const char *path, const char *real, const pudle_plugin_entry *e, int count, const char *sha256,
                              pd_file **out)
{
    pd_file *file = calloc(1, sizeof *file);
    if (!file)
        return PUDLE_ERR_NOMEM;
    file->path = pd_strdup(path);
    file->real = pd_strdup(real);
    file->plugin = calloc((size_t)count, sizeof *file->plugin);
    if (!file->path || !file->real || !file->plugin) {
        pd_file_free(file);
        return PUDLE_ERR_NOMEM;
    }
    file->count = count;
    for (int i = 0; i < count; i++) {
        file->plugin[i] =
            (pd_plugin){ .desc = e->plugins[i], .path = file->path, .abi_major = e->abi_major, .abi_minor = e->abi_minor };
        memcpy(file->plugin[i].sha256, sha256, sizeof file->plugin[i].sha256);
    }
    *out = file;
    return PUDLE_OK;
}

void pd_file_free(pd_file *file)
{
    if (!file)
        return;
    free(file->plugin);
    free(file->path);
    free(file->real);
    free(file);
}

pudle_status pd_file_load(pd_context *ctx, const char *path, const char *real, pd_reason *why, pd_file **out)
{
    const pudle_plugin_entry *entry = NULL;
    char sha256[65];
    int count = 0;
    pudle_status s = pd_elf_check(path, why);
    if (s)
        return s;
    s = pd_sha256_file(ctx, path, sha256);
    if (s)
        return pd_refuse(why, s, "its digest cannot be taken; is the file being replaced?");
    /* Constructors run in dlopen, and tables may be garbage: a crash is reported as the plugin's. */
    PD_CALL(path, "load");
    s = find_entry(path, &entry, why);
    if (!s)
        s = check_entry(entry, why);
    if (!s)
        s = check_descs(entry, &count, why);
    PD_RETURNED();
    if (!s && make_file(path, real, entry, count, sha256, out))
        s = pd_refuse(why, PUDLE_ERR_NOMEM, "out of memory");
    return s;
}
