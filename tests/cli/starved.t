#!/bin/sh
# Without memory: an allocation of pudle's own fails, one after the other, and the command does all the same what it does, or ends with exit code 1 and
# says why, and a run can be resumed. Libraries are left alone: several of them crash.
. "$top_srcdir/tests/cli/tap.sh"

grep -q '^ac_cs_config=.*enable-sanitizers' "$top_builddir/config.status" && skip_all "pudle is built with sanitizers, which have an allocator of their own"
cat >"$work/fail.c" <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
static uintptr_t from, to; /* the program's code */
static atomic_long asked;
static long failing;

static int find(struct dl_phdr_info *info, size_t size, void *user)
{
    (void)size, (void)user;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
            from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            to = from + info->dlpi_phdr[i].p_memsz;
        }
    return 1; /* the program comes first */
}

__attribute__((constructor)) static void begin(void)
{
    const char *n = getenv("FAILING");
    failing = n ? atol(n) : 0;
    dl_iterate_phdr(find, NULL);
}

__attribute__((destructor)) static void end(void)
{
    FILE *log = getenv("ASKED") ? fopen(getenv("ASKED"), "w") : NULL;
    if (log)
        fprintf(log, "%ld\n", atomic_load(&asked)), fclose(log);
}

static int fails(const void *caller)
{
    const int own = (uintptr_t)caller >= from && (uintptr_t)caller < to;
    if (!own || atomic_fetch_add(&asked, 1) + 1 != failing)
        return 0;
    errno = ENOMEM;
    return 1;
}

#define CALLER __builtin_return_address(0)
void *malloc(size_t size) { return fails(CALLER) ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return fails(CALLER) ? NULL : __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { return fails(CALLER) ? NULL : __libc_realloc(old, size); }
void *aligned_alloc(size_t line, size_t size) { return fails(CALLER) ? NULL : __libc_memalign(line, size); }
END
$CC -O1 -shared -fPIC -o "$work/fail.so" "$work/fail.c" >/dev/null 2>&1 || skip_all "no allocation can be made to fail here"
cat >"$work/run.cfg" <<'END'
backend: { name = "ref"; };
data:    { name = "synthetic"; samples = 20; features = 6; atoms = 8; sparsity = 2; };
model:   { dictionary: { atoms = 8; init = "truth"; noise = 0.1; }; layers = 3; step = 0.2; gradient = "ae"; };
prox:    { name = "soft_threshold"; lambda = 0.2; learn = "global"; };
loss:    { name = "least_squares"; };
train:   { optimizer = "adam"; learning_rate = 5e-3; epochs = 2; batch = 10; checkpoint_every = 1; };
END
cfg=$work/run.cfg
starved() { # starved N COMMAND...: the command, with its N-th allocation failing
    FAILING=$1
    shift
    run env LD_PRELOAD="$work/fail.so" FAILING="$FAILING" ASKED="$work/asked" "$@"
}
told() { # did the last command succeed, or say that it was out of memory?
    [ "$status" -eq 0 ] || { [ "$status" -eq 1 ] && grep -q 'memory' "$work/err"; }
}
count() { # of the allocations of the last command
    cat "$work/asked" 2>/dev/null || echo 0
}
digest() { # all but times and paths
    (cd "$1" && sha256sum dictionary.npy thresholds.npz checkpoint.safetensors config.cfg && sed 's/,[^,]*$//' metrics.csv | sha256sum &&
        grep -v '"config"' manifest.json | sha256sum)
}

starved 0 "$PUDLE" train "$cfg" --out "$work/whole" --quiet
asked=$(count)
[ "$status" -eq 0 ] && [ "$asked" -gt 100 ] || skip_all "allocations cannot be counted here"
digest "$work/whole" >"$work/wanted"
n=1 bad=0 failed=0
while [ $n -le "$asked" ]; do
    rm -rf "$work/run"
    starved $n "$PUDLE" train "$cfg" --out "$work/run" --quiet
    told || {
        bad=$((bad + 1))
        echo "# allocation $n: exit code $status"
        diag "$work/err"
    }
    [ "$status" -eq 0 ] || {
        failed=$((failed + 1))
        run "$PUDLE" train "$cfg" --out "$work/run" --quiet --resume
    }
    digest "$work/run" >"$work/got" 2>&1
    [ "$status" -eq 0 ] && cmp -s "$work/wanted" "$work/got" || {
        bad=$((bad + 1))
        echo "# allocation $n: resumed with exit code $status"
        diag "$work/err" "$work/got"
    }
    n=$((n + 9))
done
[ $bad -eq 0 ] && [ $failed -gt 20 ]
ok $? "training without memory: the same run, or an error and a run that can be resumed"

starved 0 "$PUDLE" check "$cfg"
asked=$(count) n=1 bad=0
while [ $n -le "$asked" ]; do
    starved $n "$PUDLE" check "$cfg"
    told || {
        bad=$((bad + 1))
        echo "# allocation $n: exit code $status"
        diag "$work/err"
    }
    n=$((n + 7))
done
ok $bad "a check without memory: all is well, or an error"

run "$PUDLE" sweep "$cfg" --out "$work/sweep" --vary prox.lambda=0.1,0.3 --quiet
for what in whole sweep; do
    starved 0 "$PUDLE" report "$work/$what" --out "$work/page.html"
    asked=$(count) n=1 bad=0
    while [ $n -le "$asked" ]; do
        rm -f "$work/page.html"
        starved $n "$PUDLE" report "$work/$what" --out "$work/page.html"
        told && { [ "$status" -ne 0 ] || [ "$(tail -n 1 "$work/page.html")" = "</html>" ]; } && { [ "$status" -eq 0 ] || [ ! -e "$work/page.html" ]; } || {
            bad=$((bad + 1))
            echo "# allocation $n: exit code $status"
            diag "$work/err"
        }
        n=$((n + 7))
    done
    ok $bad "a report without memory: a whole page, or an error and none ($what)"
done
done_testing
