/* A look at a shared object before the dynamic linker sees it. The linker maps what the headers promise; if the file is
 * shorter, touching the missing pages kills the process. So promise and file are compared here, and a file that is no plugin
 * is told apart from one that is broken, without running its constructors.
 * Format: System V ABI, chapters 4 and 5; elf(5). */
#include "plugin/parts.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { OWN_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { OWN_MACHINE = EM_AARCH64 };
#elif defined(__riscv)
enum { OWN_MACHINE = EM_RISCV };
#elif defined(__powerpc64__)
enum { OWN_MACHINE = EM_PPC64 };
#elif defined(__s390x__)
enum { OWN_MACHINE = EM_S390 };
#elif defined(__i386__)
enum { OWN_MACHINE = EM_386 };
#elif defined(__arm__)
enum { OWN_MACHINE = EM_ARM };
#else
enum { OWN_MACHINE = EM_NONE }; /* left to the dynamic linker */
#endif

enum { OWN_CLASS = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32 };
enum { FROZEN = 16 }; /* bytes of pudle_plugin_entry that every version has */
static const char symbol_name[] = "pudle_plugin";

typedef struct elf_file {
    int fd;
    uint64_t size;
    ElfW(Ehdr) head;
    ElfW(Phdr) *segment; /* head.e_phnum */
    ElfW(Shdr) *section; /* head.e_shnum; NULL: stripped */
    bool starved;        /* there was no memory for a part, so what is found missing may be there */
} elf_file;

static bool inside(const elf_file *f, uint64_t offset, uint64_t bytes)
{
    return offset <= f->size && bytes <= f->size - offset;
}

static pudle_status truncated(const elf_file *f, const char *what, uint64_t offset, uint64_t bytes, pd_reason *why)
{
    return pd_refuse(why, PUDLE_ERR_ABI,
                     "truncated or damaged: %s takes %llu bytes from offset %llu, but the file ends at %llu; build or copy "
                     "it again",
                     what, (unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)f->size);
}

/* Part of the file in fresh memory, NULL when it cannot be had. */
static void *part(elf_file *f, uint64_t offset, uint64_t bytes)
{
    const bool there = inside(f, offset, bytes);
    char *memory = there ? malloc(bytes ? (size_t)bytes : 1) : NULL;
    f->starved |= there && !memory;
    for (uint64_t done = 0; memory && done < bytes;) {
        const ssize_t n = pread(f->fd, memory + done, (size_t)(bytes - done), (off_t)(offset + done));
        if (n <= 0) {
            free(memory);
            return NULL;
        }
        done += (uint64_t)n;
    }
    return memory;
}

static pudle_status check_head(elf_file *f, pd_reason *why)
{
    ElfW(Ehdr) *h = f->size >= sizeof f->head ? part(f, 0, sizeof f->head) : NULL;
    if (h)
        f->head = *h;
    free(h);
    const unsigned char *id = f->head.e_ident;
    if (!h || memcmp(id, ELFMAG, SELFMAG))
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "not a shared object: it does not begin with an ELF header; build it with  cc -shared -fPIC");
    if (id[EI_CLASS] != OWN_CLASS || (OWN_MACHINE != EM_NONE && f->head.e_machine != OWN_MACHINE))
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "built for another machine (%s-bit, ELF machine %u; this one is %d-bit, %d): rebuild it here",
                         id[EI_CLASS] == ELFCLASS64 ? "64" : "32", (unsigned)f->head.e_machine,
                         OWN_CLASS == ELFCLASS64 ? 64 : 32, OWN_MACHINE);
    if (f->head.e_type == ET_REL)
        return pd_refuse(why, PUDLE_ERR_ABI, "an object file that was not linked: link it with  cc -shared");
    if (f->head.e_type != ET_DYN)
        return pd_refuse(why, PUDLE_ERR_ABI, "not a shared object but ELF type %u: build it with  cc -shared -fPIC",
                         (unsigned)f->head.e_type);
    return PUDLE_OK;
}

static pudle_status check_segments(elf_file *f, pd_reason *why)
{
    const uint64_t bytes = (uint64_t)f->head.e_phnum * sizeof *f->segment;
    if (f->head.e_phentsize != sizeof *f->segment || !f->head.e_phnum)
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "damaged: its ELF header has no usable program headers; build or copy it again");
    if (!inside(f, f->head.e_phoff, bytes))
        return truncated(f, "the program header table", f->head.e_phoff, bytes, why);
    f->segment = part(f, f->head.e_phoff, bytes);
    if (!f->segment)
        return pd_refuse(why, PUDLE_ERR_IO, "cannot be read: %s", strerror(errno));
    bool dynamic = false;
    for (int i = 0; i < f->head.e_phnum; i++) {
        const ElfW(Phdr) *p = &f->segment[i];
        dynamic |= p->p_type == PT_DYNAMIC;
        if (p->p_type != PT_NULL && !inside(f, p->p_offset, p->p_filesz))
            return truncated(f, "a segment", p->p_offset, p->p_filesz, why);
    }
    if (!dynamic)
        return pd_refuse(why, PUDLE_ERR_ABI, "damaged: it has no dynamic section; build or copy it again");
    return PUDLE_OK;
}

static pudle_status check_sections(elf_file *f, pd_reason *why)
{
    const uint64_t bytes = (uint64_t)f->head.e_shnum * sizeof *f->section;
    if (!f->head.e_shoff || !f->head.e_shnum || f->head.e_shentsize != sizeof *f->section)
        return PUDLE_OK; /* stripped of sections, which loading does not need */
    if (!inside(f, f->head.e_shoff, bytes))
        return truncated(f, "the section header table", f->head.e_shoff, bytes, why);
    f->section = part(f, f->head.e_shoff, bytes);
    if (!f->section)
        return pd_refuse(why, PUDLE_ERR_IO, "cannot be read: %s", strerror(errno));
    for (int i = 0; i < f->head.e_shnum; i++) {
        const ElfW(Shdr) *s = &f->section[i];
        if (s->sh_type != SHT_NULL && s->sh_type != SHT_NOBITS && !inside(f, s->sh_offset, s->sh_size))
            return truncated(f, "a section", s->sh_offset, s->sh_size, why);
    }
    return PUDLE_OK;
}

/* The symbol pudle_plugin among the dynamic symbols; false when there is none by that name. */
static bool find_symbol(elf_file *f, const ElfW(Shdr) *symbols, ElfW(Sym) *out)
{
    const ElfW(Shdr) *strings = &f->section[symbols->sh_link];
    ElfW(Sym) *symbol = part(f, symbols->sh_offset, symbols->sh_size);
    char *text = part(f, strings->sh_offset, strings->sh_size);
    bool found = false;
    for (uint64_t i = 0; symbol && text && i < symbols->sh_size / sizeof *symbol && !found; i++) {
        const uint64_t at = symbol[i].st_name;
        found = at < strings->sh_size && strings->sh_size - at >= sizeof symbol_name &&
                !memcmp(text + at, symbol_name, sizeof symbol_name);
        if (found)
            *out = symbol[i];
    }
    free(symbol);
    free(text);
    return found;
}

static pudle_status check_symbol(elf_file *f, pd_reason *why)
{
    const ElfW(Shdr) *symbols = NULL;
    for (int i = 0; f->section && i < f->head.e_shnum && !symbols; i++)
        if (f->section[i].sh_type == SHT_DYNSYM && f->section[i].sh_link < f->head.e_shnum)
            symbols = &f->section[i];
    if (!symbols)
        return PUDLE_OK; /* the dynamic linker will tell */
    ElfW(Sym) s = { 0 };
    if (!find_symbol(f, symbols, &s))
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "not a plugin: it does not export the symbol %s; end its source with PUDLE_PLUGIN(&desc);",
                         symbol_name);
    if (s.st_shndx == SHN_UNDEF)
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "the symbol %s is not in this file but in a library it uses; put PUDLE_PLUGIN(&desc); into the "
                         "plugin itself",
                         symbol_name);
    if ((s.st_info & 0xf) != STT_OBJECT || s.st_size < FROZEN)
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "the symbol %s is not a pudle_plugin_entry (ELF symbol type %d, %llu bytes); define it with "
                         "PUDLE_PLUGIN(&desc);",
                         symbol_name, s.st_info & 0xf, (unsigned long long)s.st_size);
    return PUDLE_OK;
}

static pudle_status open_file(const char *path, elf_file *f, pd_reason *why)
{
    struct stat info;
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    if (f->fd < 0 || fstat(f->fd, &info)) {
        const int error = errno;
        return pd_refuse(why, error == ENOENT ? PUDLE_ERR_NOTFOUND : PUDLE_ERR_IO, "cannot be read: %s%s", strerror(error),
                         error == EACCES ? "; give read permission (chmod a+r)" : "");
    }
    if (!S_ISREG(info.st_mode))
        return pd_refuse(why, PUDLE_ERR_ABI, "%s, not a file; remove it or name a shared object",
                         S_ISDIR(info.st_mode) ? "a directory" : "a device");
    f->size = (uint64_t)info.st_size;
    return PUDLE_OK;
}

pudle_status pd_elf_check(const char *path, pd_reason *why)
{
    elf_file f = { .fd = -1 };
    pudle_status s = open_file(path, &f, why);
    if (!s)
        s = check_head(&f, why);
    if (!s)
        s = check_segments(&f, why);
    if (!s)
        s = check_sections(&f, why);
    if (!s)
        s = check_symbol(&f, why);
    free(f.segment);
    free(f.section);
    if (f.fd >= 0)
        close(f.fd);
    return s && f.starved ? pd_refuse(why, PUDLE_ERR_NOMEM, "out of memory") : s;
}
