#!/bin/sh
# One config, every backend: only the name changes, and the curves agree.
. "$top_srcdir/tests/cli/tap.sh"
[ -e "$top_builddir/abi1/backend/cpu.so" ] || skip_all "built without the cpu backend: nothing to swap"
cat >"$work/run.cfg" <<'EOF'
precision = "f64";
backend: { name = "cpu"; threads = 2; };
data:    { name = "synthetic"; samples = 200; features = 20; atoms = 30; sparsity = 3; };
model:   { dictionary: { atoms = 30; init = "truth"; noise = 0.1; }; layers = 12; step = 0.2; gradient = "ae"; };
prox:    { name = "soft_threshold"; lambda = 0.2; };
loss:    { name = "least_squares"; };
train:   { epochs = 10; batch = 40; learning_rate = 1e-3; };
EOF
for backend in cpu ref; do
    run "$PUDLE" train "$work/run.cfg" --out "$work/$backend" --quiet --set backend.name=$backend
    is_success "trains on $backend"
done
run "$PUDLE" compare "$work/cpu/dictionary.npy" "$work/ref/dictionary.npy" --rtol 1e-9
is_success "both learn the same dictionary"

# The ways in which the cpu backend does all layers together, by name.
for way in none tiles rows; do
    run "$PUDLE" gradient "$work/run.cfg" --out "$work/way_$way" --set backend.unroll=$way --set model.layers=80
    is_success "gradient with unroll = $way"
done
for way in tiles rows; do
    run "$PUDLE" compare "$work/way_$way/gradient.npy" "$work/way_none/gradient.npy" --rtol 1e-9
    is_success "$way give the same as one operation after the other"
done
run "$PUDLE" gradient "$work/run.cfg" --out "$work/way_many" --set backend.unroll=tiles --set model.dictionary.atoms=520 --set data.atoms=520
refuses 2 'backend.unroll = "tiles" takes at most 512 atoms' "tiles are refused for more atoms"

# A batch that pays for the way of few atoms, and a last one that does not.
for backend in cpu ref; do
    run "$PUDLE" train "$work/run.cfg" --out "$work/turns_$backend" --quiet --set backend.name=$backend --set data.samples=112 --set train.batch=100 \
        --set model.layers=5 --set model.dictionary.atoms=300 --set data.atoms=300 --set model.step=0.02 --set train.epochs=3
    is_success "trains by turns on $backend"
done
run "$PUDLE" compare "$work/turns_cpu/dictionary.npy" "$work/turns_ref/dictionary.npy" --rtol 1e-9
is_success "both learn the same dictionary by turns"

# A run has all options of its backend in its config; another backend does without them, and says so.
run "$PUDLE" evaluate "$work/turns_cpu"
cp "$work/out" "$work/on_cpu"
run "$PUDLE" evaluate "$work/turns_cpu" --set backend.name=ref
is_success "a run is evaluated on another backend"
grep -q 'options of another backend are left out: .*unroll' "$work/err"
ok $? "what is left out is told"
[ "$(sed -n 's/^loss=\(.\{6\}\).*/\1/p' "$work/out")" = "$(sed -n 's/^loss=\(.\{6\}\).*/\1/p' "$work/on_cpu")" ]
ok $? "with the same loss"
run "$PUDLE" evaluate "$work/turns_cpu" --set backend.name=ref --set backend.unroll=none
refuses 2 "unknown option of 'ref'" "what is asked for beside it is not left out"
sed 's/backend: *{/backend: { treads = 2;/' "$work/run.cfg" >"$work/wrong.cfg"
run "$PUDLE" check "$work/wrong.cfg" --set backend.name=cpu
refuses 2 'did you mean "threads"' "the same backend again does not hide a mistake"

# A stand-in derivative is not 0 where the value is: no backend may leave such entries out.
sed "s/soft_threshold\"; lambda = 0.2/jumprelu\"; threshold = 0.1/; s/ threads = 2;//" "$work/run.cfg" >"$work/jump.cfg"
for backend in cpu ref; do
    run "$PUDLE" gradient "$work/jump.cfg" --out "$work/g_$backend" --set backend.name=$backend \
        --set prox.learn=atom
    is_success "gradient of learned levels with a stand-in derivative on $backend"
done
run "$PUDLE" compare "$work/g_cpu/gradient_threshold.npy" "$work/g_ref/gradient_threshold.npy" --rtol 1e-9
is_success "both give the same gradient of the levels"
run "$PUDLE" gradient "$work/jump.cfg" --out "$work/way_jump" --set backend.unroll=rows
refuses 2 'backend.unroll = "rows" takes' "rows are refused for a prox without a dead zone to rely on"
done_testing
