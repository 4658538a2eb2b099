#!/bin/sh
# The program under valgrind: no invalid access, no leak, on both backends and in every command that computes.
. "$top_srcdir/tests/cli/tap.sh"
command -v valgrind >/dev/null 2>&1 || skip_all "valgrind is not installed"
nm "$PUDLE" 2>/dev/null | grep -q __asan_init && skip_all "built with sanitizers"

cat >"$work/run.cfg" <<'EOF'
backend: { name = "ref"; };
data:    { name = "synthetic"; samples = 40; features = 9; atoms = 12; sparsity = 2; test_samples = 8; };
model:   { dictionary: { atoms = 12; init = "truth"; noise = 0.1; }; layers = 4; gradient = "ae"; };
prox:    { name = "soft_threshold"; lambda = 0.2; learn = "layer_atom"; };
loss:    { name = "lasso"; };
train:   { epochs = 3; batch = 16; learning_rate = 1e-3; };
EOF
cat >"$work/broken.cfg" <<'EOF'
data:  { name = "synthetic"; samples = "many"; };
model: { dictionary: { atoms = 12; }; layers = 4; stop = 3; };
prox:  { name = "soft_treshold"; };
EOF

clean() { # DESCRIPTION WANTED_STATUS COMMAND...
    what=$1
    wanted=$2
    shift 2
    run valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect "$PUDLE" "$@"
    [ "$status" -eq "$wanted" ]
    ok $? "$what"
    [ "$status" -eq "$wanted" ] || diag "$work/err"
}

clean "train" 0 train "$work/run.cfg" --out "$work/r" --quiet
clean "train, resumed" 0 train "$work/r" --resume --quiet --set train.epochs=4
clean "evaluate" 0 evaluate "$work/r" --split test
clean "encode" 0 encode "$work/r" --output "$work/z.npy" --quiet
clean "report" 0 report "$work/r" --out "$work/r.html"
clean "gradient" 0 gradient "$work/run.cfg" --out "$work/g"
clean "truncated gradient" 0 gradient "$work/run.cfg" --out "$work/g" --set model.gradient=truncated --set model.truncate=2
clean "plugins list" 0 plugins list
clean "compare" 0 compare "$work/g/gradient.npy" "$work/g/gradient.npy" --dictionary
clean "a config with errors" 2 check "$work/broken.cfg"
if [ -e "$top_builddir/abi1/backend/cpu.so" ]; then
    # kernels for AVX2: valgrind does not know AVX-512
    clean "train on the cpu backend" 0 train "$work/run.cfg" --out "$work/c" --quiet --set backend.name=cpu --set backend.arch=haswell
fi
done_testing
