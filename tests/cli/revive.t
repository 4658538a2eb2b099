#!/bin/sh
# Dead atoms: revived, a dictionary that began as noise is recovered; and runs are the same on any number of threads and resumed at any update.
. "$top_srcdir/tests/cli/tap.sh"
backend=ref
[ -e "$top_builddir/abi1/backend/cpu.so" ] && backend=cpu

# random atoms of so many entries are so far from all samples that few of them are ever used
cat >"$work/run.cfg" <<EOF
backend: { name = "$backend"; };
data:    { name = "synthetic"; samples = 1000; features = 200; atoms = 60; sparsity = 3; seed = 3; };
model:   { dictionary: { atoms = 60; init = "random"; }; layers = 15; step = "1/L"; gradient = "ae"; };
prox:    { name = "soft_threshold"; lambda = 0.8; };
loss:    { name = "least_squares"; };
train:   { learning_rate = 1e-2; epochs = 12; batch = 100; seed = 1; };
EOF

error_of() { # of the last run's output, after the best order and signs, in 10000ths
    sed -n 's/.*(0*\([0-9]*\)\.\([0-9]*\) after the best order.*/\1\2/p' "$work/out" | sed 's/^0*//'
}

digest() { # everything but the seconds of the metrics
    (cd "$1" && sha256sum dictionary.npy checkpoint.safetensors && sed 's/,[^,]*$//' metrics.csv | sha256sum)
}

same() { # same DIR DESCRIPTION: as the run before it has set $work/wanted
    digest "$1" >"$work/got" 2>&1
    cmp -s "$work/wanted" "$work/got"
    ok $? "$2"
}

column() { # column NAME FILE: its cells
    awk -F, -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i; next } { print $at }' "$2"
}

# ---- what it is for
run "$PUDLE" train "$work/run.cfg" --out "$work/none" --quiet
is_success "a run without revival"
none=$(error_of)
head -n 1 "$work/none/metrics.csv" | grep -q dead
ok $((1 - $?)) "its metrics do not count dead atoms"
for revive in samples residual; do
    run "$PUDLE" train "$work/run.cfg" --out "$work/$revive" --quiet --set train.revive=$revive
    is_success "revive = \"$revive\""
    [ "$(error_of)" -lt $((none / 2)) ]
    ok $? "more of the true atoms are found ($(error_of) against $none)"
    [ -z "$(column dead "$work/$revive/metrics.csv" | sed -n 10p)" ] && [ "$(column dead "$work/$revive/metrics.csv" | sed -n 11p)" -gt 40 ]
    ok $? "metrics count the dead from the first look on"
    grep -q '^after 1 epochs, 10 updates: [4-6][0-9] of 60 atoms dead, as 1000 samples tell; [4-6][0-9] replaced$' "$work/$revive/run.log"
    ok $? "the log says how many were replaced, and when"
    grep -q "^atoms that were dead at the last look: $(column dead "$work/$revive/metrics.csv" | tail -n 1) of 60$" "$work/out"
    ok $? "the report says how many were dead at the last look"
done

# ---- the same bits
options="--set train.revive=residual --set train.revive_every=2 --set train.revive_below=0.02 --set prox.learn=atom"
run "$PUDLE" train "$work/run.cfg" --out "$work/whole" --quiet $options
is_success "a run that revives every second epoch"
digest "$work/whole" >"$work/wanted"
[ "$(grep -c '[1-9][0-9]* replaced$' "$work/whole/run.log")" -gt 1 ]
ok $? "more than once"
if [ $backend = cpu ]; then
    for threads in 1 3; do
        run "$PUDLE" train "$work/run.cfg" --out "$work/threads$threads" --quiet $options --set backend.threads=$threads
        same "$work/threads$threads" "on $threads threads"
    done
fi
for last in 19 20 21; do # before, at and after a revival
    run "$PUDLE" train "$work/run.cfg" --out "$work/ended$last" --quiet $options --set train.updates=$last
    run "$PUDLE" train "$work/run.cfg" --out "$work/ended$last" --quiet $options --resume
    same "$work/ended$last" "ended after $last updates and made longer"
done
i=0
while [ $i -lt 8 ]; do
    i=$((i + 1))
    "$PUDLE" train "$work/run.cfg" --out "$work/killed" --resume --quiet $options --set train.checkpoint_every=5 >/dev/null 2>&1 &
    pid=$!
    sleep 0.0$((i + 1))
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
done
run "$PUDLE" train "$work/run.cfg" --out "$work/killed" --resume --quiet $options --set train.checkpoint_every=5
same "$work/killed" "killed again and again"

# ---- the sums of online dictionary learning are a state like any other
odl="--set train.revive=residual --set train.revive_every=2 --set train.revive_below=0.02 --set model.gradient=dec --set train.optimizer=odl --set train.forget=1.5 --unset train.learning_rate"
run "$PUDLE" train "$work/run.cfg" --out "$work/odl" --quiet $odl
is_success "online dictionary learning, with revival"
[ "$(error_of)" -lt $((none / 2)) ]
ok $? "it finds true atoms ($(error_of) against $none)"
digest "$work/odl" >"$work/wanted"
if [ $backend = cpu ]; then
    run "$PUDLE" train "$work/run.cfg" --out "$work/odl3" --quiet $odl --set backend.threads=3
    same "$work/odl3" "on three threads"
fi
for last in 1 19 21; do
    run "$PUDLE" train "$work/run.cfg" --out "$work/odl$last" --quiet $odl --set train.updates=$last
    run "$PUDLE" train "$work/run.cfg" --out "$work/odl$last" --quiet $odl --resume
    same "$work/odl$last" "resumed after $last updates"
done

# ---- what was found is known after a resume between two looks, whichever rows there are
run "$PUDLE" train "$work/run.cfg" --out "$work/rare" --quiet $options --set train.log_every=7
digest "$work/rare" >"$work/wanted"
[ "$(column update "$work/rare/metrics.csv" | sed -n 4,5p | tr '\n' ' ')" = "20 21 " ]
ok $? "there is a row after a look"
run "$PUDLE" train "$work/run.cfg" --out "$work/cut" --quiet $options --set train.log_every=7 --set train.updates=26
run "$PUDLE" train "$work/run.cfg" --out "$work/cut" --quiet $options --set train.log_every=7 --resume
same "$work/cut" "resumed between two looks"

# ---- mistakes
run "$PUDLE" check "$work/run.cfg" --set train.revive_every=2
refuses 2 'is read only with train.revive = "samples" or "residual", and here is train.revive = "none"' "options of what is not asked for"
run "$PUDLE" train "$work/run.cfg" --out "$work/whole" --resume --quiet
refuses 2 'train.revive = "residual", and now it is "none"' "a run is not continued without"
run "$PUDLE" check "$work/run.cfg" --set train.revive=residual --set train.revive_below=1
refuses 2 'revive_below' "a share of all samples"
done_testing
