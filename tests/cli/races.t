#!/bin/sh
# Do the cuda backend's kernels have all their barriers? Passes of networks, and whole trainings, on the fake device, each thread of a block a thread of the host (tests/cuda/threads.h),
# under the thread sanitizer. Its runtime is loaded into pudle as it is; so it does not look at pudle, and not at a pudle that has another sanitizer.
. "$top_srcdir/tests/cli/tap.sh"

compiler=${CXX:-c++}
runtime=$($compiler -print-file-name=libtsan.so 2>/dev/null)
program=$PUDLE
[ ! -x "$top_builddir/.libs/pudle" ] || program=$top_builddir/.libs/pudle # a script would have the runtime as well
case $runtime in */*) ;; *) skip_all "$compiler has no thread sanitizer" ;; esac
grep -q '^ac_cs_config=.*enable-sanitizers' "$top_builddir/config.status" && skip_all "pudle is built with other sanitizers"
fixed= # the sanitizer cannot do with every layout of a process
! setarch "$(uname -m)" -R true 2>/dev/null || fixed="setarch $(uname -m) -R"
LD_PRELOAD=$runtime "$program" plugins info soft_threshold >"$work/out" 2>&1 || skip_all "the thread sanitizer does not run here: $(head -n 1 "$work/out")"

flags="-g -fsanitize=thread -pthread -Wno-unknown-pragmas -include $top_srcdir/tests/cuda/threads.h"
build() { # DIR
    KERNEL_FLAGS=$flags sh "$top_srcdir/tests/cuda/build.sh" "$1" >"$work/err" 2>&1
}
build "$work/fake"
ok $? "kernels compile with a thread for each of theirs"

# watched COMMAND...: of pudle; exit code 66 where a race is seen
watched() {
    run env CXX="$compiler $flags" PUDLE_PLUGIN_PATH="$fake:$PUDLE_PLUGIN_PATH" PUDLE_FAKE_KERNELS="$fake/kernels.so" XDG_CACHE_HOME="$work/cache" \
        TSAN_OPTIONS=halt_on_error=1:exitcode=66 LD_PRELOAD="$runtime" $fixed timeout 400 "$program" "$@"
}
finds_none() {
    if grep -q "unexpected memory mapping" "$work/err"; then
        ok 0 "$1 # SKIP the thread sanitizer cannot do with this process's memory"
        return
    fi
    is_success "$1"
    [ "$status" -eq 0 ] || diag "$work/out"
}
fake=$work/fake

cat >"$work/filters.cfg" <<'EOF'
backend: { name = "cuda"; };
data:    { name = "synthetic"; samples = 2; features = 1221; shape = [1, 33, 37]; atoms = 5; sparsity = 2; };
model:   { dictionary: { kind = "conv"; atoms = 20; size = [9, 9]; stride = 4; init = "random"; }; layers = 2; step = 0.2; gradient = "ae"; };
prox:    { name = "soft_threshold"; lambda = 0.02; };
loss:    { name = "least_squares"; };
train:   { epochs = 1; batch = 2; learning_rate = 1e-3; optimizer = "momentum"; normalize = true; };
EOF
watched gradient "$work/filters.cfg" --out "$work/filters" # a pass of the network alone: what a training does before it takes minutes with a thread for each
finds_none "no races with filters and few positions"

# sixteen numbers a thread, which takes 16384 positions
watched gradient "$work/filters.cfg" --out "$work/tiles" --set data.samples=1 --set data.features=16900 --set 'data.shape=[1,130,130]' --set model.layers=1 --set train.batch=1 \
    --set model.dictionary.atoms=4 --set 'model.dictionary.size=[2,2]' --set model.dictionary.stride=1 --set prox.learn=atom
finds_none "nor with many"

# two segments of atoms; eight rows that go together, and one
cat >"$work/lists.cfg" <<'EOF'
precision = "f64";
backend: { name = "cuda"; unroll = "lists"; };
data:    { name = "synthetic"; samples = 9; features = 10; atoms = 257; sparsity = 3; };
model:   { dictionary: { atoms = 257; init = "truth"; noise = 0.1; }; layers = 2; step = 0.2; gradient = "ae"; };
prox:    { name = "soft_threshold"; lambda = 0.2; learn = "atom"; };
loss:    { name = "least_squares"; };
train:   { epochs = 1; batch = 9; learning_rate = 1e-3; };
EOF
watched train "$work/lists.cfg" --out "$work/sparse" --quiet
finds_none "nor with lists of sparse codes"
watched train "$work/lists.cfg" --out "$work/full" --quiet --set prox.lambda=0.002
finds_none "nor of full ones"
watched plugins check "$fake/backend/cuda.so" --set device=0 --only normalize --seed 1 --in-process --timeout 300
finds_none "nor in normalisation"

# ---- would one be seen? Without the barrier between what is brought to shared memory and its use:
mkdir "$work/kernels"
cp "$top_srcdir"/plugins/backend/cuda/kernels/* "$work/kernels"
chmod u+w "$work"/kernels/*
awk '/PUDLE_ARRIVED;/ { after = 1 } after && /PUDLE_SYNC;/ { after = 0; next } { print }' "$top_srcdir/plugins/backend/cuda/kernels/tiles.h" >"$work/kernels/tiles.h"
fake=$work/mutant
KERNELS=$work/kernels build "$fake"
watched gradient "$work/filters.cfg" --out "$work/raced"
skipped=
! grep -q "unexpected memory mapping" "$work/err" || skipped=" # SKIP the thread sanitizer cannot do with this process's memory"
[ -n "$skipped" ] || { [ "$status" -eq 66 ] && grep -q "data race" "$work/err"; }
ok $? "a barrier that is missing is seen$skipped"
done_testing
