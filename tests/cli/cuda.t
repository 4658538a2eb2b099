#!/bin/sh
# The cuda backend on machines without a GPU: nothing else depends on CUDA's libraries, and who asks for a device hears why there is
# none. Then the backend's own code on a fake device (tests/cuda): the conformance suite, whole trainings, and failures on demand.
. "$top_srcdir/tests/cli/tap.sh"

# ---- dependencies
bad=
for f in "$top_builddir/.libs/pudle" "$PUDLE" $(find "$top_builddir/abi1" -name '*.so'); do
    case $f in */backend/cuda.so) continue ;; esac
    ldd "$f" 2>/dev/null | grep -E 'lib(cuda|cudart|cublas|cublasLt|cudnn|nvrtc|nvJitLink)[_.a-zA-Z]*\.so' >/dev/null && bad="$bad $f"
done
[ -z "$bad" ]
ok $? "nothing depends on the libraries of CUDA but the backend"
[ -z "$bad" ] || echo "#$bad"

cat >"$work/run.cfg" <<'EOF'
precision = "f64";
backend: { name = "cuda"; threads = 2; };
data:    { name = "synthetic"; samples = 120; features = 20; atoms = 30; sparsity = 3; };
model:   { dictionary: { atoms = 30; init = "truth"; noise = 0.1; }; layers = 8; step = 0.2; gradient = "ae"; };
prox:    { name = "soft_threshold"; lambda = 0.2; };
loss:    { name = "least_squares"; };
train:   { epochs = 3; batch = 40; learning_rate = 1e-3; };
EOF

# ---- no device
if [ -e "$top_builddir/abi1/backend/cuda.so" ]; then
    CUDA_VISIBLE_DEVICES=
    export CUDA_VISIBLE_DEVICES
    run "$PUDLE" train "$work/run.cfg" --out "$work/none"
    refuses 1 "device 0 cannot be used:" "without a device training is refused with exit code 1"
    grep -q "backend.name=cpu" "$work/err"
    ok $? "and the message says what to do"
    run "$PUDLE" doctor
    [ "$status" -eq 0 ] && grep -A1 "^backend cuda" "$work/out" | grep -q "cannot be used: "
    ok $? "doctor says why the device cannot be used"
    unset CUDA_VISIBLE_DEVICES
else
    ok 0 "without a device # SKIP built without the cuda backend"
fi

# ---- the fake device
fake=$work/fake
if ! command -v "${CXX:-c++}" >/dev/null || ! sh "$top_srcdir/tests/cuda/build.sh" "$fake" >"$work/err" 2>&1; then
    command -v "${CXX:-c++}" >/dev/null
    [ $? -ne 0 ]
    ok $? "a fake device # SKIP there is no C++ compiler"
    diag "$work/err"
    done_testing
    exit 0
fi
PUDLE_PLUGIN_PATH=$fake:$PUDLE_PLUGIN_PATH
PUDLE_FAKE_KERNELS=$fake/kernels.so
XDG_CACHE_HOME=$work/cache
export PUDLE_PLUGIN_PATH PUDLE_FAKE_KERNELS XDG_CACHE_HOME

run "$PUDLE" doctor
grep -q "compute capability: 9.0" "$work/out" && grep -q "compiled kernels: $work/cache/pudle/cuda" "$work/out"
ok $? "doctor describes a device"
run "$PUDLE" plugins check "$fake/backend/cuda.so" --set device=0 --timeout 120
is_success "the conformance suite passes"
[ "$status" -eq 0 ] || diag "$work/out"
for plugin in soft_threshold tv1d poisson; do
    run "$PUDLE" plugins check $plugin --backend cuda --timeout 120
    is_success "$plugin passes through the backend"
    [ "$status" -eq 0 ] || diag "$work/out"
done

# same NAME CONFIG SETTING...: both backends learn the same dictionary; WAY: how cuda goes through the layers of a dense one
WAY=
same() {
    name=$1 config=$2
    shift 2
    for backend in cuda ref; do
        [ $backend = cuda ] && way=${WAY:+--set backend.unroll=$WAY} || way=
        run "$PUDLE" train "$config" --out "$work/${name}_$backend" --quiet --set backend.name=$backend $way "$@"
        [ "$status" -eq 0 ] || { ok 1 "$name trains on $backend"; diag "$work/err"; return; }
    done
    run "$PUDLE" compare "$work/${name}_cuda/dictionary.npy" "$work/${name}_ref/dictionary.npy" --rtol 1e-9
    is_success "$name: cuda and ref learn the same"
    [ "$status" -eq 0 ] || diag "$work/out"
}
same dense "$work/run.cfg"
CXX=false # what has been compiled is kept
export CXX
same cached "$work/run.cfg"
unset CXX
for f in "$work"/cache/pudle/cuda/*; do printf x | dd of="$f" bs=1 seek=200 conv=notrunc 2>/dev/null; done
same damaged "$work/run.cfg"
sed 's/prox:.*/prox: { name = "jumprelu"; threshold = 0.1; learn = "atom"; };/' "$work/run.cfg" >"$work/levels.cfg"
same levels "$work/levels.cfg" --set train.optimizer=adam

# ---- layers by lists and by products: more atoms than a block has threads, and codes from empty to nearly full
sed -e 's/samples = .*;/samples = 60; features = 70; atoms = 300; sparsity = 3; };/' -e 's/atoms = 30; init/atoms = 300; init/' -e 's/step = 0.2/step = 0.1/' \
    -e 's/batch = 40/batch = 20/' "$work/run.cfg" >"$work/wide.cfg"
for WAY in lists products; do
    same ${WAY}_sparse "$work/wide.cfg" --set prox.lambda=1
    same ${WAY}_full "$work/wide.cfg" --set prox.lambda=0.002 --set model.gradient=truncated --set model.truncate=5 # rows go eight by eight, and four are left
    same ${WAY}_mixed "$work/wide.cfg" --set prox.lambda=0.4 --set prox.decay=0.8
    same ${WAY}_empty "$work/wide.cfg" --set prox.lambda=100
    same ${WAY}_odd "$work/wide.cfg" --set data.samples=53 --set train.batch=17 --set model.layers=3
    same ${WAY}_one "$work/wide.cfg" --set model.layers=1
    same ${WAY}_levels "$work/levels.cfg" --set train.optimizer=adam
    same ${WAY}_wide_levels "$work/wide.cfg" --set prox.learn=atom --set prox.lambda=0.3
    same ${WAY}_many "$work/wide.cfg" --set data.samples=520 --set train.batch=260 --set train.epochs=1 --set model.gradient=truncated --set model.truncate=7
done
WAY=lists
for PUDLE_FAKE_WORKSPACE in 10000000 1500000 1; do # of products, with room for the stacks of all layers, of half of them, and of none
    export PUDLE_FAKE_WORKSPACE
    same room_$PUDLE_FAKE_WORKSPACE "$work/wide.cfg" --set train.batch=60 --set prox.lambda=0.4
done
unset PUDLE_FAKE_WORKSPACE
cmp "$work/room_10000000_cuda/dictionary.npy" "$work/room_1500000_cuda/dictionary.npy" && cmp "$work/room_1_cuda/dictionary.npy" "$work/room_1500000_cuda/dictionary.npy"
ok $? "and the same bits, however many layers are stacked"
WAY=
# What the tape of lists holds is counted as far as it is used: less where codes are sparse, and all of it where the system cannot reserve.
held() {
    run "$PUDLE" train "$work/wide.cfg" --out "$work/held" --force --set backend.name=cuda --set backend.unroll=lists --set train.epochs=1 "$@"
    sed -n 's/^memory: .*the device at most \([0-9.]*\) MiB$/\1/p' "$work/out"
}
sparse=$(held --set prox.lambda=1)
full=$(held --set prox.lambda=0.002)
PUDLE_FAKE_NO_PAGES=1
export PUDLE_FAKE_NO_PAGES
whole=$(held --set prox.lambda=1)
WAY=lists
same whole_tape "$work/wide.cfg" --set prox.lambda=0.4
WAY=
unset PUDLE_FAKE_NO_PAGES
plain=$(held --set prox.lambda=1 --set backend.managed=false)
awk -v s="$sparse" -v f="$full" -v w="$whole" -v p="$plain" 'BEGIN { exit !(s > 0 && s < f && f <= w + 0.1 && w == p) }'
ok $? "the device's memory is counted as it is used: $sparse MiB with sparse codes, $full with full ones, $whole where nothing can be reserved, or is not to be"
run "$PUDLE" train "$work/wide.cfg" --out "$work/half" --quiet --set backend.name=cuda --set prox.lambda=0.4 --set train.epochs=1
run "$PUDLE" train "$work/wide.cfg" --out "$work/half" --quiet --set backend.name=cuda --set prox.lambda=0.4 --set train.epochs=3 --resume
run "$PUDLE" train "$work/wide.cfg" --out "$work/whole" --quiet --set backend.name=cuda --set prox.lambda=0.4
cmp "$work/half/dictionary.npy" "$work/whole/dictionary.npy"
ok $? "a training that is resumed ends with the same bits"

# ---- filters
cat >"$work/conv.cfg" <<EOF
precision = "f64";
backend: { name = "cuda"; };
data:    { name = "npy"; path = "$work/dense_ref/dictionary.npy"; shape = [1, 5, 6]; };
model:   { dictionary: { kind = "conv"; atoms = 3; size = [3, 2]; stride = [2, 2]; init = "random"; }; layers = 4; step = 0.2; gradient = "ae"; };
prox:    { name = "soft_threshold"; lambda = 0.02; };
loss:    { name = "least_squares"; };
train:   { epochs = 2; batch = 4; learning_rate = 1e-3; optimizer = "momentum"; normalize = true; };
EOF
# Tiles of both kinds, and more of them than one along each side: many positions of many channels; more filters than a tile has columns; a filter as large as
# the picture; cells of several strides; layers in more than one chunk of the stacks.
sed -e 's/name = "npy".*/name = "synthetic"; samples = 2; features = 266256; shape = [16, 129, 129]; atoms = 3; sparsity = 2; };/' -e 's/atoms = 3; size = .*; init/atoms = 4; size = [2, 2]; init/' \
    -e 's/layers = 4/layers = 3/' -e 's/batch = 4/batch = 2/' "$work/conv.cfg" >"$work/large.cfg"
sed -e 's/name = "npy".*/name = "synthetic"; samples = 3; features = 1221; shape = [1, 33, 37]; atoms = 5; sparsity = 2; };/' -e 's/atoms = 3; size = .*; init/atoms = 70; size = [9, 9]; stride = 4; init/' \
    -e 's/batch = 4/batch = 2/' "$work/conv.cfg" >"$work/filters.cfg"
for WAY in auto products; do
    same ${WAY}_conv "$work/conv.cfg"
    same ${WAY}_maps "$work/conv.cfg" --set prox.learn=atom --set model.gradient=truncated --set model.truncate=2 --set train.optimizer=adam
    same ${WAY}_large "$work/large.cfg" --set train.epochs=1
    same ${WAY}_filters "$work/filters.cfg" --set train.epochs=1 --set prox.learn=layer
    same ${WAY}_whole "$work/filters.cfg" --set train.epochs=1 --set model.dictionary.size=[33,37] --set model.dictionary.stride=1 --set model.dictionary.atoms=3
    same ${WAY}_cells "$work/filters.cfg" --set train.epochs=1 --set model.dictionary.size=[3,7] --set model.dictionary.stride=1 --set model.dictionary.atoms=2
    same ${WAY}_blocks "$work/filters.cfg" --set data.samples=7 --set train.batch=5 --set train.memory=1M # a sample each
    same ${WAY}_single "$work/filters.cfg" --set train.epochs=1 --set model.layers=1
done

# ---- algorithms that are offered and then refused
PUDLE_FAKE_REFUSE=2
WAY=products
export PUDLE_FAKE_REFUSE
same refused "$work/conv.cfg"
run "$PUDLE" train "$work/conv.cfg" --set backend.unroll=products --out "$work/again"
[ "$status" -eq 0 ] && grep -q "cuDNN refuses algorithm 2, which it offered for this shape; it is not tried again: conv: not with this one" "$work/err"
ok $? "a refused algorithm is named and another taken"
[ "$(grep -c "refuses algorithm 2" "$work/err")" -le 6 ] # two ways of a batch, of what is left, and of the one code of a power iteration
ok $? "and is tried once for each shape"
PUDLE_FAKE_REFUSE="2 3 0"
run "$PUDLE" train "$work/conv.cfg" --set backend.unroll=products --out "$work/none_left"
refuses 1 "it refused, when run: algorithm 2 (conv: not with this one (fakeRefusal)), algorithm 3" "where all are refused, all are named"
unset PUDLE_FAKE_REFUSE
WAY=

# ---- plugins without device source
sed 's/prox:.*/prox: { name = "tv1d"; lambda = 0.1; };/' "$work/run.cfg" >"$work/tv.cfg"
same staged "$work/tv.cfg"
run "$PUDLE" train "$work/tv.cfg" --out "$work/told"
[ "$(grep -c "the prox 'tv1d' has no source for devices" "$work/err")" -eq 1 ]
ok $? "a prox without device source is said to run on the host, once"
run "$PUDLE" train "$work/tv.cfg" --out "$work/strict" --set backend.placement=strict
refuses 1 "backend.placement = \"strict\" refuses to run it on the host" "and is refused under placement = strict"

sed 's/loss:.*/loss: { name = "lasso"; lambda = 0.2; };/' "$work/run.cfg" >"$work/lasso.cfg"
same lasso "$work/lasso.cfg"
run "$PUDLE" train "$work/lasso.cfg" --out "$work/penalty" --set backend.placement=strict
[ "$status" -eq 0 ] && ! grep -q "runs on the host" "$work/err"
ok $? "a penalty on the code runs on the device"

# ---- waiting: once an update, for the numbers that decide whether it goes on
# waits UPDATES SETTING...: how often a training of so many updates has waited for the device
waits() {
    updates=$1
    shift
    run env PUDLE_FAKE_WAITS="$work/waits" "$PUDLE" train "$work/run.cfg" --out "$work/waiting" --quiet --force --set train.epochs=0 \
        --set train.updates=$updates --set train.batch=40 --set train.log_every=1000 --set train.checkpoint_every=1000 "$@"
    cat "$work/waits"
}
first=$(waits 8)
[ $(($(waits 14) - first)) -eq 6 ]
ok $? "an update waits for the device once"
first=$(waits 8 --set backend.unroll=lists)
[ $(($(waits 14 --set backend.unroll=lists) - first)) -eq 6 ]
ok $? "also by lists, whose memory is counted on the device"
first=$(waits 8 --set model.step=0.5/L)
[ $(($(waits 14 --set model.step=0.5/L) - first)) -gt 6 ]
ok $? "and more often where it must know a number before"
same large "$work/run.cfg" --set train.batch=0 --set data.samples=9000 # an upload of more than all stages hold

run "$PUDLE" train "$work/run.cfg" --out "$work/memory" && grep -qE "^memory: .*, the device at most [0-9.]+ MiB$" "$work/out" &&
    grep -q "memory of the device: at most" "$work/memory/run.log"
ok $? "training says how much memory of the device it took"

# ---- failures
config=$work/run.cfg
fails_with() {
    PUDLE_FAKE_FAIL=$1
    export PUDLE_FAKE_FAIL
    shift
    run "$PUDLE" train "$config" --out "$work/failed" "$@"
    unset PUDLE_FAKE_FAIL
    rm -rf "$work/failed"
}
fails_with "gemm 7"
refuses 1 "gemm: gemm: a failure on demand" "a failed product is named"
fails_with "download 8"
refuses 1 "the last operations queued were" "an error at sync names what was queued"
fails_with "sync 30" --set backend.synchronous=true
refuses 1 ": sync: a failure on demand" "with synchronous = true it names the operation"
fails_with "sync 19" --set backend.synchronous=true
refuses 1 "unroll: sync: a failure on demand" "and layers, whose kernels are waited for as well"
fails_with "replay 2"
refuses 1 "unroll: replay: a failure on demand" "so is a failed replay of all layers"
PUDLE_FAKE_FAIL="end 1"
export PUDLE_FAKE_FAIL
same unrecorded "$work/run.cfg"
run "$PUDLE" train "$work/run.cfg" --out "$work/unrecorded"
unset PUDLE_FAKE_FAIL
[ "$status" -eq 0 ] && grep -q "cannot be recorded and are launched one by one" "$work/err"
ok $? "layers that cannot be recorded are launched one by one, and that is said"
fails_with "recorded 5"
[ "$status" -eq 0 ] && grep -q "are launched one by one: unroll: recorded: a failure on demand" "$work/err"
ok $? "with the call that failed while they were recorded"
fails_with "alloc 4"
refuses 1 "out of memory for" "memory that is not there is asked for in MiB"
config=$work/conv.cfg
fails_with "replay 2"
refuses 1 "unroll: replay: a failure on demand" "with filters as well"
fails_with "recorded 5"
[ "$status" -eq 0 ] && grep -q "are launched one by one: unroll: recorded: a failure on demand" "$work/err"
ok $? "also what cannot be recorded"
for n in 10 20 28; do
    fails_with "alloc $n"
    refuses 1 "out of memory" "and memory that is not there, at the ${n}th time"
done
config=$work/wide.cfg # by lists, with sums for levels, which take memory when they are first asked for
n=0 status=1
while [ $n -lt 100 ] && [ "$status" -eq 1 ] && { [ $n -eq 0 ] || grep -q "out of memory" "$work/err"; }; do
    n=$((n + 1))
    fails_with "alloc $n" --set prox.learn=atom --set prox.lambda=0.3 --set train.epochs=1
done
[ $n -gt 30 ] && [ "$status" -eq 0 ]
ok $? "and at any time, by lists: the first $n"
config=$work/conv.cfg
XDG_CACHE_HOME=$work/others
fails_with "compile 2"
XDG_CACHE_HOME=$work/cache
refuses 1 "compile: a failure on demand" "and the second text of a prox, which is for filters"
for settings in "model.step=0.5/L" "train.checkpoint_every=1" "model.layers=8"; do
    run "$PUDLE" train "$work/run.cfg" --out "$work/thrown" --force --quiet --set precision=f32 --set train.learning_rate=1e39 --set train.optimizer=sgd --set $settings
    refuses 1 "diverged at update 0, in the optimiser's step" "a step that throws the dictionary out of range is found ($settings)"
done
fails_with "compile 1" --set loss.name=huber
refuses 1 "compile: a failure on demand" "a compiler that fails is quoted"
run "$PUDLE" train "$work/run.cfg" --out "$work/failed" --set backend.device=3
refuses 1 "device 3 cannot be used: fakeGetDeviceCount finds 1" "a device that is not there is refused"

# ---- the network's own tests, on this backend
PUDLE_TEST_BACKEND=cuda
export PUDLE_TEST_BACKEND
for test in test_network test_measurement test_unroll test_unroll_conv test_fixtures; do
    [ -x "$top_builddir/tests/unit/$test" ] || { ok 0 "$test # SKIP not built, cmocka is missing"; continue; }
    run "$top_builddir/tests/unit/$test"
    is_success "$test passes with the backend in place of cpu"
    [ "$status" -eq 0 ] || diag "$work/out"
done
if [ -x "$top_builddir/tests/unit/test_unroll_conv" ]; then
    run env PUDLE_TEST_WAY=products "$top_builddir/tests/unit/test_unroll_conv"
    is_success "and test_unroll_conv with cuDNN's convolutions"
    [ "$status" -eq 0 ] || diag "$work/out"
fi
done_testing
