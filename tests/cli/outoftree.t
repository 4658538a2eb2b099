#!/bin/sh
# A soft threshold of one's own: a folder of its own, one compiler line against the installed headers, run by name, nothing rebuilt.
. "$top_srcdir/tests/cli/tap.sh"
run make -C "$top_builddir" install-pkgincludeHEADERS install-pkgconfigDATA DESTDIR="$work/root"
is_success "headers install"
include=$(find "$work/root" -type d -path '*include/pudle')
include=${include%/pudle}

mkdir -p "$work/mine/plugins"
cat >"$work/mine/my_shrink.c" <<'EOF'
/* Soft threshold, written again by a user:  p = sign(v) max(|v| - t, 0). */
#include <pudle/plugin.h>
typedef struct params { double lambda; } params;
static const pudle_option options[] = {
    { "lambda", PUDLE_REAL, PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX, offsetof(params, lambda), "0.1", 0, INFINITY, NULL, NULL, "l1 weight" },
    { NULL, 0, 0, 0, NULL, 0, 0, NULL, NULL, NULL }
};
PUDLE_PROX(my_shrink, params, 1,
    const bool off = pudle_abs(v) <= t[0];
    *p = off ? v - v : v - pudle_copysign(t[0], v);
    *dv = off ? 0 : 1;
    dt[0] = off ? 0 : -pudle_sign(v);
)
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(my_shrink) };
static const pudle_desc desc = {
    .size = sizeof(pudle_desc), .kind = PUDLE_KIND_PROX, .name = "my_shrink", .version = "0.1", .summary = "a soft threshold of my own",
    .license = "MIT", .caps = PUDLE_PROX_CONVEX | PUDLE_PROX_SEPARABLE, .options = options, .option_size = sizeof(pudle_option),
    .params_size = sizeof(params), .ops = &ops
};
PUDLE_PLUGIN(&desc);
EOF
run ${CC:-gcc} -shared -fPIC -O2 -I"$include" -o "$work/mine/plugins/my_shrink.so" "$work/mine/my_shrink.c"
is_success "one compiler line makes the plugin"

cat >"$work/run.cfg" <<'EOF'
precision = "f64";
backend: { name = "ref"; };
data:    { name = "synthetic"; samples = 50; features = 11; atoms = 17; sparsity = 3; };
model:   { dictionary: { kind = "dense"; atoms = 17; init = "random"; }; layers = 7; step = 0.1; gradient = "ae"; };
prox:    { name = "soft_threshold"; lambda = 0.1; };
loss:    { name = "least_squares"; };
train:   { epochs = 3; learning_rate = 1e-3; };
EOF
run "$PUDLE" train "$work/run.cfg" --out "$work/shipped" --quiet
is_success "the shipped operator trains"
run "$PUDLE" train "$work/run.cfg" --out "$work/own" --quiet --plugin-path "$work/mine/plugins" --set prox.name=my_shrink
is_success "the user's operator trains by name"
run "$PUDLE" compare "$work/shipped/dictionary.npy" "$work/own/dictionary.npy" --rtol 1e-12
is_success "both learn the same dictionary"
run "$PUDLE" plugins info my_shrink --plugin-path "$work/mine/plugins"
[ "$status" -eq 0 ] && grep -q lambda "$work/out"
ok $? "plugins info shows its options"
run "$PUDLE" train "$work/run.cfg" --out "$work/none" --quiet --set prox.name=my_shrink
refuses 2 "my_shrink" "without the search path it is not found, and the message says where was looked"
done_testing
