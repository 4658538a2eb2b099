#!/bin/sh
# Plugins built against the headers of ABI 1.0, whose structs are shorter: they load and train by name, and nothing behind the end of
# their structs is read. One that needs a later minor version is refused, with what to do.
. "$top_srcdir/tests/cli/tap.sh"
mkdir -p "$work/old/prox" "$work/old/loss" "$work/new/prox"
# build OUTPUT SOURCE FLAG...
build() {
    output=$1 source=$2
    shift 2
    run ${CC:-cc} -std=c11 -Wall -Wextra -Werror -shared -fPIC -O2 "$@" -o "$output" "$source"
}
for kind in prox loss; do
    build "$work/old/$kind/old_$kind.so" "$top_srcdir/tests/abi/old/old_$kind.c"
    is_success "a $kind is built against the header of 1.0"
    run "$PUDLE" plugins info "old_$kind" --plugin-path "$work/old"
    is_success "plugins info describes it"
    grep -q "device source: no" "$work/out" && { [ $kind = prox ] || grep -q "mean of the target: the prediction itself" "$work/out"; }
    ok $? "and finds nothing that 1.0 did not have"
    grep -q "plugin ABI 1.0" "$work/out"
    ok $? "and says which ABI it needs"
done

cat >"$work/run.cfg" <<'EOC'
precision = "f64";
backend: { name = "ref"; };
data:    { name = "synthetic"; samples = 100; features = 12; atoms = 18; sparsity = 3; };
model:   { dictionary: { kind = "dense"; atoms = 18; init = "random"; }; layers = 7; step = "1/L"; gradient = "ae"; };
prox:    { name = "soft_threshold"; lambda = 0.1; learn = "global"; };
loss:    { name = "least_squares"; };
train:   { epochs = 3; batch = 25; learning_rate = 1e-3; };
EOC
backends=ref
[ ! -e "$top_builddir/abi1/backend/cpu.so" ] || backends="ref cpu"
for backend in $backends; do
    for precision in f64 f32; do
        set -- --set backend.name=$backend --set precision=$precision --quiet --plugin-path "$work/old"
        run "$PUDLE" train "$work/run.cfg" --out "$work/today-$backend-$precision" "$@"
        is_success "operators of today train on $backend in $precision"
        run "$PUDLE" train "$work/run.cfg" --out "$work/old-$backend-$precision" --set prox.name=old_prox --set loss.name=old_loss "$@"
        is_success "those of 1.0 train by name on $backend in $precision"
        tolerance=1e-10
        [ $precision = f64 ] || tolerance=1e-3
        run "$PUDLE" compare "$work/today-$backend-$precision/dictionary.npy" "$work/old-$backend-$precision/dictionary.npy" \
            --rtol $tolerance
        is_success "and learn the same dictionary"
    done
done
run "$PUDLE" evaluate "$work/old-ref-f64" --plugin-path "$work/old"
is_success "evaluate reads their run"
if can_check; then
    for kind in prox loss; do
        run "$PUDLE" plugins check "$work/old/$kind/old_$kind.so"
        is_success "plugins check passes the $kind of 1.0"
        [ "$status" -eq 0 ] || grep '^not ok' "$work/out" | diag
    done
fi

# The same source, today's header, declared to need what only a later host has.
cat >"$work/later.c" <<'EOC'
#include <pudle/plugin.h>
typedef struct params { double lambda; } params;
PUDLE_PROX(later, params, 0, *p = v; *dv = 1;)
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(later) };
static const pudle_desc desc = { .size = sizeof(pudle_desc), .kind = PUDLE_KIND_PROX, .name = "later", .version = "1.0.0",
    .summary = "Nothing", .license = "MIT", .option_size = sizeof(pudle_option), .params_size = sizeof(params), .ops = &ops };
PUDLE_PLUGIN(&desc);
EOC
minor=$(sed -n 's/^#define PUDLE_ABI_MINOR \([0-9]*\).*/\1/p' "$top_srcdir/include/pudle/base.h")
build "$work/new/prox/later.so" "$work/later.c" -I"$top_srcdir/include" -DPUDLE_NEEDS_MINOR=$((minor + 1))
is_success "a plugin that needs minor version $((minor + 1)) is built"
run "$PUDLE" train "$work/run.cfg" --out "$work/later" --quiet --plugin-path "$work/new" --set prox.name=later
refuses 2 "needs plugin ABI 1.$((minor + 1)); this pudle speaks ABI 1.$minor" "it is refused: which version it needs, and which there is"
grep -q "install a newer pudle" "$work/err" && grep -q -- "-DPUDLE_NEEDS_MINOR=$minor" "$work/err"
ok $? "and what to do: install a newer pudle, or build it for this one"
for needs in $minor 0; do
    build "$work/new/prox/later.so" "$work/later.c" -I"$top_srcdir/include" -DPUDLE_NEEDS_MINOR=$needs
    run "$PUDLE" plugins info later --plugin-path "$work/new"
    is_success "built to need minor version $needs, it loads"
done
done_testing
