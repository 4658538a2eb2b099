#!/bin/sh
# Filters that begin as windows of samples (model.dictionary.init = "samples"): runs repeat and resume, and what cannot begin so says why.
. "$top_srcdir/tests/cli/tap.sh"
backend=ref
[ -e "$top_builddir/abi1/backend/cpu.so" ] && backend=cpu
cat >"$work/run.cfg" <<END
backend: { name = "$backend"; };
data:    { name = "synthetic"; samples = 40; features = 60; atoms = 15; sparsity = 2; seed = 3; shape = [1, 60]; test_samples = 10; };
model:   { dictionary: { kind = "conv"; atoms = 12; size = [9]; init = "samples"; }; layers = 4; step = "1/L"; };
prox:    { name = "soft_threshold"; lambda = 0.1; };
loss:    { name = "least_squares"; };
train:   { learning_rate = 1e-3; epochs = 4; batch = 8; seed = 1; };
END
cfg=$work/run.cfg
same() { cmp -s "$work/$1/dictionary.npy" "$work/$2/dictionary.npy"; }

run "$PUDLE" check "$cfg"
is_success "check"
run "$PUDLE" train "$cfg" --out "$work/whole" --quiet
is_success "a run"
run "$PUDLE" train "$cfg" --out "$work/again" --quiet --set backend.threads=1
same whole again
ok $? "repeats, on any number of threads"
run "$PUDLE" train "$cfg" --out "$work/part" --quiet --set train.epochs=2
run "$PUDLE" train "$work/part" --resume --quiet --set train.epochs=4
same whole part
ok $? "and when it is resumed"
run "$PUDLE" train "$cfg" --out "$work/other" --quiet --set train.seed=2
[ "$status" -eq 0 ] && ! same whole other
ok $? "another seed draws others"
run "$PUDLE" evaluate "$work/whole" --split test
is_success "evaluate"
run "$PUDLE" train "$cfg" --out "$work/f64" --quiet --set precision=f64 --set data.shape='[2,5,6]' --set model.dictionary.size='[3,2]'
is_success "pictures of two channels"
run "$PUDLE" sweep "$cfg" --out "$work/sweep" --seeds 2 --quiet --set train.epochs=1
is_success "a sweep"
run "$PUDLE" denoise "$top_srcdir/tests/cli/windows.t" "$work/none.png" --config "$cfg"
refuses 2 'init = "file"' "denoising wants filters that are learned"

# ---- what cannot begin so
zeros() { head -c "$1" /dev/zero; }
{ printf '\223NUMPY\001\000v\000'; printf "%-117s\n" "{'descr': '<f8', 'fortran_order': False, 'shape': (4, 1, 20), }"; zeros 640; } >"$work/zeros.npy"
npy="--unset data.samples --unset data.features --unset data.atoms --unset data.sparsity --unset data.seed --unset data.shape --unset data.test_samples --set data.name=npy"
run "$PUDLE" check "$cfg" $npy --set "data.path=$work/zeros.npy" --set train.batch=2
refuses 2 'of 4 samples every window of a filter'"'"'s size is zero or not finite' "samples of zeros"
run "$PUDLE" check "$cfg" --set model.dictionary.size='[61]'
refuses 2 'a filter of 61 does not fit into data of 60' "samples smaller than filters"
run "$PUDLE" check "$cfg" --set model.dictionary.atoms=50 --set model.dictionary.size='[60]'
refuses 2 'needs 50 different windows of a filter'"'"'s size, and 40 samples have 40' "fewer windows than filters"
run "$PUDLE" check "$cfg" --set model.dictionary.init=pairwise --set model.dictionary.sparsity=2
refuses 2 'starts from random filters, windows of samples, a file or true filters' "other starts of matrices"
done_testing
