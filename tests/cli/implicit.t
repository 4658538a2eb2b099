#!/bin/sh
# Training with an implicit gradient: what it says of codes that have not converged and of supports that it cannot use, on the terminal and in
# metrics.csv; and that a resumed run is the same to the bit.
. "$top_srcdir/tests/cli/tap.sh"
backend=ref
[ -e "$top_builddir/abi1/backend/cpu.so" ] && backend=cpu

cat >"$work/run.cfg" <<EOF
backend: { name = "$backend"; };
data:    { name = "synthetic"; samples = 300; features = 40; atoms = 60; sparsity = 4; seed = 3; };
model:   { dictionary: { kind = "dense"; atoms = 60; init = "truth"; noise = 0.05; }; layers = 200; step = 0.2; gradient = "implicit"; };
prox:    { name = "soft_threshold"; lambda = 0.2; learn = "atom"; };
loss:    { name = "least_squares"; };
train:   { epochs = 4; batch = 64; seed = 1; };
EOF
run "$PUDLE" train "$work/run.cfg" --out "$work/run" --quiet
is_success "a run with an implicit gradient"
[ "$(head -n 1 "$work/run/metrics.csv" | cut -d, -f11-)" = "dictionary_error,fixed_point,ill_conditioned,prox.lambda,seconds" ]
ok $? "metrics.csv has its columns"
awk -F, 'NR > 1 && NR < 22 && !($12 > 0 && $12 < 1e-3 && $13 == 0) { bad = 1 } END { exit bad }' "$work/run/metrics.csv"
ok $? "the codes were close to fixed points, and no support was left out"
! grep -q "have not converged" "$work/err"
ok $? "so nothing is warned of"

run "$PUDLE" train "$work/run.cfg" --out "$work/cut" --quiet --set train.updates=7
run "$PUDLE" train "$work/run.cfg" --out "$work/cut" --quiet --resume
is_success "an interrupted run goes on"
cmp -s "$work/run/dictionary.npy" "$work/cut/dictionary.npy" && cmp -s "$work/run/thresholds.npz" "$work/cut/thresholds.npz"
ok $? "to the same bits"

run "$PUDLE" train "$work/run.cfg" --out "$work/short" --quiet --set model.layers=5 --set model.ill_conditioned=skip
is_success "five layers"
[ "$(grep -c "have not converged" "$work/err")" -eq 1 ]
ok $? "are too few, which is said once"

# three features cannot tell twelve atoms apart
few="--set data.features=3 --set data.atoms=12 --set model.dictionary.atoms=12 --set prox.lambda=0.001 --set model.layers=3"
run "$PUDLE" train "$work/run.cfg" --out "$work/stop" --quiet $few
[ "$status" -ne 0 ] && grep -q "worst: sample [0-9]*, condition number about" "$work/err" && grep -q 'ill_conditioned = "skip"' "$work/err"
ok $? "supports with more atoms than features stop the run, which names one of them and the way out"
run "$PUDLE" train "$work/run.cfg" --out "$work/skip" --quiet $few --set model.ill_conditioned=skip
is_success "told to skip them it goes on"
grep -q "update 0: [0-9]* of 64 samples have a badly conditioned support" "$work/err"
ok $? "says how many it left out"
[ "$(grep -c "badly conditioned" "$work/err")" -eq 3 ] && [ "$(grep -c "badly conditioned" "$work/skip/run.log")" -gt 3 ]
ok $? "three times, and in run.log every time"
[ "$(sed -n 2p "$work/skip/metrics.csv" | cut -d, -f13)" -gt 0 ]
ok $? "and counts them in metrics.csv"
done_testing
