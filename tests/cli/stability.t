#!/bin/sh
# Steps too long for the encoder: told before training, and an end where codes leave all bounds without becoming NaN.
. "$top_srcdir/tests/cli/tap.sh"

cat >"$work/run.cfg" <<'END'
data:  { name = "synthetic"; samples = 300; features = 20; atoms = 30; sparsity = 3; seed = 2; };
model: { dictionary: { atoms = 30; init = "random"; }; layers = 25; step = 0.1; gradient = "ae"; };
prox:  { name = "soft_threshold"; lambda = 0.1; };
loss:  { name = "least_squares"; };
train: { epochs = 2; batch = 100; seed = 1; };
END

run "$PUDLE" train "$work/run.cfg" --out "$work/good"
is_success "a stable step"
grep -q 'step \* L = 0\.[0-9]* (a stable' "$work/good/run.log" && ! grep -q 'step \* L' "$work/err"
ok $? "is in the log alone"
run "$PUDLE" train "$work/run.cfg" --out "$work/wild" --set model.step=1.5
refuses 1 "diverged at update 0: the loss is" "codes that grow with every layer end the run"
cp "$work/err" "$work/err.wild"
grep -q 'step \* L = [0-9.]*,.* From 2 on' "$work/err" && [ ! -e "$work/wild/metrics.csv" ]
ok $? "with a warning before, and nothing written"
run "$PUDLE" check "$work/run.cfg" --set model.step=1.5
[ "$status" -ne 0 ] && grep -q "diverged at update 0" "$work/err"
ok $? "check finds it, too"
# data whose squares leave single precision, at 1e15 as squares of the gradients, at 1e30 themselves: the step is not to blame
for size in '1e15 \251\137\143\130' '1e30 \312\362\111\161'; do
    { printf '\223NUMPY\001\000v\000'; printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (8, 3), }"
        for i in 1 2 3 4 5 6; do printf "${size#* }\0\0\0\0${size#* }\0\0\200\077"; done; } >"$work/large.npy"
    large="--set train.batch=8 --set model.dictionary.atoms=4 --set data.name=npy --unset data.samples --unset data.features --unset data.atoms --unset data.sparsity --unset data.seed --set data.path=$work/large.npy"
    run "$PUDLE" train "$work/run.cfg" --out "$work/large" $large --set model.step=1/L
    refuses 1 "the data are too large for single precision" "data of ${size%% *} are said to be too large, not the step"
    ! grep -q 'model.step' "$work/err" && grep -q 'Scale the data, or write  precision = "f64"' "$work/err"
    ok $? "with what to do"
    run "$PUDLE" train "$work/run.cfg" --out "$work/large" $large --set model.step=1/L --set precision=f64 --quiet
    is_success "which helps"
    rm -r "$work/large"
done
run "$PUDLE" train "$work/run.cfg" --out "$work/short" --set model.step=0.7 --set model.layers=10
is_success "few layers get by with a step that is too long"
grep -q 'From 2 on' "$work/err"
ok $? "with a warning"
grep -q 'times that of codes of zeros' "$work/err"
ok $? "and one when the loss is a thousand times that of codes of zeros"
# Momentum narrows what is stable: 1 + 1 / (1 + 2 b), of the largest b.
run "$PUDLE" train "$work/run.cfg" --out "$work/ahead" --set model.momentum=0.5
[ "$status" -eq 0 ] && grep -q 'a stable encoder needs less than 1\.5)' "$work/ahead/run.log"
ok $? "momentum of 0.5: less than 1.5"
L=$(sed -n 's/.* L = \([0-9.]*\) being.*/\1/p' "$work/err.wild")
step=$(awk -v l="$L" 'BEGIN { print 1.6 / l }')
run "$PUDLE" train "$work/run.cfg" --out "$work/far" --set model.step="$step"
[ "$status" -eq 0 ] && ! grep -q 'on codes may grow' "$work/err"
ok $? "step * L = 1.6 is stable without"
run "$PUDLE" check "$work/run.cfg" --set model.step="$step" --set model.momentum=fista
grep -q 'From 1\.3[0-9]* on codes may grow' "$work/err"
ok $? "and not with fista"
run "$PUDLE" train "$work/run.cfg" --out "$work/over" --set model.step=1.6/L --set model.layers=4
[ "$status" -eq 0 ] && ! grep -q 'may grow' "$work/err"
ok $? "nothing is said of 1.6/L"
run "$PUDLE" train "$work/run.cfg" --out "$work/over" --force --set model.step=1.6/L --set model.layers=4 --set model.momentum=0.5
grep -q 'from 1.5 / L on codes may grow .* with this momentum' "$work/err"
ok $? "but with momentum"
for how in "--set model.step=\"1/L\"" "--set model.learn_step=global" "--set model.encoder=untied"; do
    # shellcheck disable=SC2086
    run "$PUDLE" train "$work/run.cfg" --out "$work/other" --force $how
    [ "$status" -eq 0 ] && ! grep -q 'step \* L' "$work/other/run.log"
    ok $? "nothing is said of steps that follow L, are learned, or belong to other weights: $how"
done
# A sample that is almost nothing before all others: a stable run, whatever comes first.
{
    printf '\223NUMPY\001\000v\000'
    printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 2), }"
    printf '\377\346\333\056\377\346\333\056' # 1e-10
    printf '\000\000\200\077\000\000\000\100\000\000\100\300\000\000\200\077\000\000\200\277\000\000\000\077'
} >"$work/quiet.npy"
cat >"$work/quiet.cfg" <<END
data:  { name = "npy"; path = "$work/quiet.npy"; };
model: { dictionary: { atoms = 3; init = "random"; }; layers = 5; step = 0.2; gradient = "ae"; };
prox:  { name = "soft_threshold"; lambda = 0.01; };
loss:  { name = "least_squares"; };
train: { epochs = 5; batch = 1; shuffle = false; };
END
run "$PUDLE" train "$work/quiet.cfg" --out "$work/quiet"
[ "$status" -eq 0 ] && ! grep -q 'times that of codes' "$work/err"
ok $? "no batch is measured by another"

run "$PUDLE" train "$work/run.cfg" --out "$work/bounded" --set dictionary_prox.name=box --set dictionary_prox.lower=-0.1 --set dictionary_prox.upper=0.1
[ "$status" -eq 0 ] && grep -q 'scaled to unit norm after dictionary_prox' "$work/err"
ok $? "that unit norms come after an operator on the dictionary is told"
run "$PUDLE" check "$work/run.cfg" --set dictionary_prox.name=batch_top_k --set dictionary_prox.k=2
refuses 2 "atoms are no batch" "operators that tie samples together are none for atoms"
run "$PUDLE" check "$work/run.cfg" --set model.dictionary.kind=conv --set 'model.dictionary.size=[7]' --set 'data.shape=[1,20]' --set dictionary_prox.name=group_soft_threshold \
    --set dictionary_prox.size=4
[ "$status" -ne 0 ] && grep -q 'dictionary_prox: "group_soft_threshold" does not take this dictionary' "$work/err"
ok $? "check finds an operator that does not fit the filters"

run "$PUDLE" train "$work/run.cfg" --out "$work/assigned" --set train.dictionary_error=assigned
is_success "dictionary_error = assigned"
first=$(sed -n 2p "$work/good/metrics.csv" | cut -d, -f11) assigned=$(sed -n 2p "$work/assigned/metrics.csv" | cut -d, -f11)
awk -v a="$assigned" -v b="$first" 'BEGIN { exit !(a > 0 && a + 0 < b + 0) }'
ok $? "a random start is nearer to the truth after the best order and signs ($assigned, $first)"
cmp -s "$work/assigned/dictionary.npy" "$work/good/dictionary.npy"
ok $? "and learns the same"

# ---- a loss that rises again, as adam makes it where gradients are not tangent to the sphere of atoms; all of it is known to a run that goes on
cat >"$work/drift.cfg" <<'END'
backend: { name = "ref"; };
data:    { name = "synthetic"; samples = 500; features = 20; atoms = 30; sparsity = 3; seed = 1; };
model:   { dictionary: { atoms = 30; init = "truth"; noise = 0.1; }; layers = 25; step = 0.2; gradient = "dec"; };
prox:    { name = "soft_threshold"; lambda = 0.3; };
loss:    { name = "lasso"; lambda = 0.3; };
train:   { learning_rate = 5e-3; epochs = 80; batch = 50; tangent = false; seed = 1; };
END
run "$PUDLE" train "$work/drift.cfg" --out "$work/drift" --quiet
grep -q 'the loss has risen: .* around epoch [0-9]*, .* train.tangent = true' "$work/err"
ok $? "a loss that has risen is told, and why"
grep -q 'the loss has risen' "$work/drift/run.log"
ok $? "in the log, too"
run "$PUDLE" train "$work/drift.cfg" --out "$work/parts" --quiet --set train.epochs=60
run "$PUDLE" train "$work/drift.cfg" --out "$work/parts" --quiet --resume
[ "$(grep -o 'the loss has risen: [^,]*' "$work/err")" = "$(grep -o 'the loss has risen: [^,]*' "$work/drift/run.log")" ]
ok $? "and the same of a run that went on"
run "$PUDLE" train "$work/drift.cfg" --out "$work/tangent" --quiet --set train.tangent=true
! grep -q 'the loss has risen' "$work/err"
ok $? "with tangent gradients it does not rise"

run "$PUDLE" check "$work/drift.cfg" --set train.weight_decay=0.1 --set train.tangent=true
[ "$status" -eq 0 ] && grep -q 'atoms are scaled to unit norm after every update, so that a decay of their length comes to nothing' "$work/err"
ok $? "a decay that scaling undoes is told"

# ---- codes against the true ones
run "$PUDLE" evaluate "$work/good"
grep -q '^support_precision=[01]' "$work/out" && grep -q '^support_exact=' "$work/out"
ok $? "evaluate compares supports with the true ones"
# ---- how far codes are from fixed points: what one layer more does
run "$PUDLE" evaluate "$work/ahead"
fixed=$(sed -n 's/^fixed_point=//p' "$work/out")
for more in 0 1; do # without momentum: with it the layer more would begin elsewhere
    run "$PUDLE" encode "$work/good" --output "$work/z$more.npy" --set model.layers=$((25 + more))
done
run "$PUDLE" evaluate "$work/good"
told=$(sed -n 's/^fixed_point=//p' "$work/out")
"$PUDLE" compare "$work/z1.npy" "$work/z0.npy" >"$work/moved"
awk -v a="$told" -F= '$1 == "||a-b||/||b||" { found = 1; exit !(a > 0 && a > $2 * 0.98 && a < $2 * 1.02) } END { if (!found) exit 1 }' "$work/moved"
ok $? "evaluate tells how far one layer more moves the codes ($told)"
awk -v a="$fixed" -v b="$told" 'BEGIN { exit !(a > 0 && a + 0 < b + 0) }'
ok $? "with momentum it is less ($fixed)"
run "$PUDLE" gradient "$work/run.cfg" --out "$work/g" --set model.dictionary.init=truth --set model.dictionary.noise=0 --set prox.lambda=0.01 --set model.layers=3000 --set data.features=60 --set model.step=0.2
is_success "gradient"
run "$PUDLE" compare "$work/g/code.npy" "$work/g/true_code.npy" --atol 0.05
is_success "codes at the true dictionary are near the true ones"
done_testing
