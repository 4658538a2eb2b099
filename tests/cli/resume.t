#!/bin/sh
# kill -9 at twenty random moments of a training run; resumed, it ends with the same bits as one never interrupted, for 1 and 2 threads.
. "$top_srcdir/tests/cli/tap.sh"
backend=ref
[ -e "$top_builddir/abi1/backend/cpu.so" ] && backend=cpu
seed=${PUDLE_TEST_SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
echo "# seed $seed (set PUDLE_TEST_SEED to repeat)"

cat >"$work/run.cfg" <<EOF
backend: { name = "$backend"; };
data:    { name = "synthetic"; samples = 1000; features = 40; atoms = 60; sparsity = 4; seed = 3; };
model:   { dictionary: { kind = "dense"; atoms = 60; init = "truth"; noise = 0.1; }; layers = 20; step = 0.2; gradient = "ae"; };
prox:    { name = "soft_threshold"; lambda = 0.2; decay_change = -0.005; decay_every = 20; learn = "atom"; };
loss:    { name = "least_squares"; };
train:   { optimizer = "adam"; learning_rate = 1e-3; epochs = 12; batch = 64; seed = $seed; checkpoint_every = 7; schedule = "step";
           schedule_every = 3; schedule_factor = 0.5; };
EOF

digest() { # everything but the seconds of the metrics
    (cd "$1" && sha256sum dictionary.npy thresholds.npz checkpoint.safetensors && sed 's/,[^,]*$//' metrics.csv | sha256sum)
}

threads=
[ $backend = cpu ] && threads="--set backend.threads=1"
run "$PUDLE" train "$work/run.cfg" --out "$work/whole" --quiet $threads
is_success "an uninterrupted run"
digest "$work/whole" >"$work/wanted"
if [ $backend = cpu ]; then
    run "$PUDLE" train "$work/run.cfg" --out "$work/two" --quiet --set backend.threads=2
    digest "$work/two" >"$work/got"
    cmp -s "$work/wanted" "$work/got"
    ok $? "two threads give the bits of one"
fi

# how long one run takes, in milliseconds, so that the kills fall inside it
begin=$(date +%s%N)
"$PUDLE" train "$work/run.cfg" --out "$work/timed" --quiet $threads >/dev/null 2>&1
span=$((($(date +%s%N) - begin) / 1000000))
kills=20
i=0
state=$seed
while [ $i -lt $kills ]; do
    i=$((i + 1))
    state=$(((state * 1103515245 + 12345) % 2147483648))
    delay=$((state / 65536 % (span + 1)))
    dir="$work/killed$((i % 2))"
    [ $backend = cpu ] && threads="--set backend.threads=$((1 + i % 2))"
    "$PUDLE" train "$work/run.cfg" --out "$dir" --resume --quiet $threads >/dev/null 2>&1 &
    pid=$!
    sleep "$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000)))"
    # at once, while the dying process may still hold its lock
    kill -9 $pid 2>/dev/null
    # every fourth kill: go on to the end and compare, then begin anew
    if [ $((i % 4)) -eq 3 ] || [ $((i % 4)) -eq 0 ]; then
        run "$PUDLE" train "$work/run.cfg" --out "$dir" --resume --quiet $threads
        digest "$dir" >"$work/got" 2>/dev/null
        cmp -s "$work/wanted" "$work/got"
        ok $? "killed at random moments (last after $delay of $span ms), resumed at once: the same bits"
        ls "$dir" | grep -q tmp-
        ok $((1 - $?)) "no file of a killed process is left"
        rm -rf "$dir"
    fi
    wait $pid 2>/dev/null
done

# an encoder of its own, with steps of its own: the same
untied="--set model.encoder=untied --set model.encoder_layers=true --set model.learn_step=layer --set prox.learn=none"
run "$PUDLE" train "$work/run.cfg" --out "$work/untied" --quiet $untied
is_success "a run with an untied encoder"
"$PUDLE" train "$work/run.cfg" --out "$work/again" --quiet $untied >/dev/null 2>&1 &
pid=$!
sleep "$(printf '%d.%03d' $((span / 2000)) $((span / 2 % 1000)))"
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
run "$PUDLE" train "$work/run.cfg" --out "$work/again" --resume --quiet $untied
is_success "killed, it goes on"
for file in dictionary.npy encoder.npz checkpoint.safetensors; do
    cmp -s "$work/untied/$file" "$work/again/$file"
    ok $? "$file has the same bits"
done

# a checkpoint cut short or changed is refused, not used
cp -r "$work/whole" "$work/cut"
size=$(wc -c <"$work/cut/checkpoint.safetensors")
head -c $((size - 5)) "$work/whole/checkpoint.safetensors" >"$work/cut/checkpoint.safetensors"
run "$PUDLE" train "$work/cut" --resume --quiet
[ "$status" -ne 0 ] && grep -q checkpoint.safetensors "$work/err"
ok $? "a truncated checkpoint is refused by name"
cp "$work/whole/checkpoint.safetensors" "$work/cut/checkpoint.safetensors"
printf '\377' | dd of="$work/cut/checkpoint.safetensors" bs=1 seek=$((size - 3)) conv=notrunc 2>/dev/null
run "$PUDLE" train "$work/cut" --resume --quiet
[ "$status" -ne 0 ] && grep -q checkpoint.safetensors "$work/err"
ok $? "a damaged checkpoint is refused by name"

run "$PUDLE" train "$work/run.cfg" --out "$work/whole" --quiet
refuses 2 "already holds a run" "an existing run is not overwritten"
run "$PUDLE" train "$work/run.cfg" --out "$work/whole" --resume --quiet --set prox.lambda=0.3
refuses 2 "another config" "a run is not continued with another config"
done_testing
