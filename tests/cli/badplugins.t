#!/bin/sh
# The program refuses every bad plugin by name, with the reason, before anything runs; the list is tests/badplugins/expected.
. "$top_srcdir/tests/cli/tap.sh"
sh "$top_srcdir/tests/badplugins/build.sh" "$work/bad" 2>"$work/err" ||
    skip_all "$CC cannot build shared objects: $(head -n 1 "$work/err")"
modules=$PUDLE_PLUGIN_PATH

# Data for the source: x.npy, 4 samples of 3 zeros, f64 (the header is padded to 118 bytes).
{
    printf '\223NUMPY\001\000\166\000'
    printf '%-117s\n' "{'descr': '<f8', 'fortran_order': False, 'shape': (4, 3), }"
    head -c 96 /dev/zero
} >"$work/x.npy"

# config KIND NAME: one plugin of the usual four is replaced
config() {
    backend='name = "ref";'
    data='name = "npy"; path = "x.npy";'
    prox='name = "soft_threshold"; lambda = 0.1;'
    loss='name = "least_squares";'
    eval "$1='name = \"$2\";'"
    cat >"$work/run.cfg" <<END
precision = "f64";
backend: { $backend };
data: { $data };
model: { dictionary: { kind = "dense"; atoms = 4; init = "random"; }; layers = 3; step = 0.1; gradient = "ae"; };
prox: { $prox };
loss: { $loss };
train: { epochs = 1; };
END
}

config prox soft_threshold
run "$PUDLE" check "$work/run.cfg"
is_success "the config is good without a bad plugin"
grep -qF "run.cfg: ok" "$work/out"
ok $? "and the program says so"

config prox good
run "$PUDLE" check --plugin-path "$work/bad/good" "$work/run.cfg"
is_success "the good plugin among the bad is accepted, from --plugin-path"

PUDLE_PLUGIN_PATH=$work/bad:$modules
while read -r kind stage name words; do
    case $kind in '#'*) continue ;; esac
    config "$kind" "$name"
    [ "$stage" = crash ] && words="crashed (SIGSEGV) $words"
    run "$PUDLE" check "$work/run.cfg"
    refuses 2 "$words" "$stage: $name"
    grep -qE "$name|run\.cfg:[0-9]+" "$work/err"
    ok $? "$name or the line that asks for it is named"
done <"$top_srcdir/tests/badplugins/expected"

config prox create_crash
run "$PUDLE" check "$work/run.cfg"
refuses 2 "plugin create_crash crashed (SIGSEGV) in create" "a crash is reported with the plugin's name"
run "$PUDLE" train "$work/run.cfg" --out "$work/run"
refuses 2 "plugin create_crash crashed (SIGSEGV) in create" "train reports it as well"

config prox soft_treshold
run "$PUDLE" check "$work/run.cfg"
refuses 2 "soft_threshold" "a misspelt name: the nearest one is suggested"
grep -qF "$work/bad/prox/soft_treshold.so" "$work/err"
ok $? "and the paths that were tried are listed"

run "$PUDLE" check --plugin-path bad "$work/run.cfg"
refuses 2 "relative path" "--plugin-path: a relative folder is refused"

PUDLE_PLUGIN_PATH=$modules
done_testing
