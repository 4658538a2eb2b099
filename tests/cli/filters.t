#!/bin/sh
# Filters that made the data (data.filters): found again from a random start, at the best lags; started from; compared with, and their codes; and what cannot be.
. "$top_srcdir/tests/cli/tap.sh"
backend=ref
[ -e "$top_builddir/abi1/backend/cpu.so" ] && backend=cpu
cat >"$work/run.cfg" <<END
backend: { name = "$backend"; };
data:    { name = "synthetic"; samples = 200; features = 200; shape = [1, 200]; filters = [25]; atoms = 5; sparsity = 6; sign = "per_entry"; noise_std = 0.02; };
model:   { dictionary: { kind = "conv"; atoms = 5; size = [25]; }; layers = 15; step = "1/L"; momentum = "fista"; };
prox:    { name = "soft_threshold"; lambda = 0.5; };
loss:    { name = "least_squares"; };
train:   { optimizer = "adam"; learning_rate = 3e-2; batch = 50; epochs = 30; seed = 1; dictionary_error = "assigned"; };
END
cfg=$work/run.cfg
field() { sed -n "s/^$1=\([^ ]*\).*/\1/p" "$work/out"; }
holds() { awk "BEGIN { exit !($1) }"; } # holds CONDITION
error_at() { sed -n "$1p" "$work/$2/metrics.csv" | cut -d, -f11; }

run "$PUDLE" train "$cfg" --out "$work/run"
is_success "filters are learned from a random start"
grep -q '^dictionary error, .* after the best order, signs and lags)$' "$work/out"
ok $? "and it says how the last error is found"
holds "$(error_at 2 run) > 0.9 && $(error_at '$' run) < 0.4"
ok $? "every row has the error at the best lags: $(error_at 2 run) before, $(error_at '$' run) at the end"
run "$PUDLE" evaluate "$work/run"
is_success "evaluate"
holds "$(field dictionary_error) > 0.9 && $(field dictionary_error_assigned) < 0.4"
ok $? "tells both errors, of filters as they lie and at the best lags"
grep -q 'codes are not compared with the true ones: some filters suit' "$work/err" && ! grep -q '^support_' "$work/out"
ok $? "and leaves codes out, which are moved, with a word"

run "$PUDLE" evaluate "$cfg" --set model.dictionary.init=truth --set data.atom_sparsity=1
grep -q '^support_recall=' "$work/out"
ok $? "filters that suit as well where they lie are not moved"
run "$PUDLE" evaluate "$cfg" --set model.dictionary.init=truth --set 'model.dictionary.stride=[2]'
grep -q 'codes are not compared with the true ones: the stride of the data is another' "$work/err" && ! grep -q '^support_' "$work/out"
ok $? "nor are codes of another stride compared"
run "$PUDLE" gradient "$cfg" --out "$work/arrays" --set model.dictionary.init=truth --set model.layers=200 --set prox.lambda=0.01
run "$PUDLE" compare "$work/arrays/code.npy" "$work/arrays/true_code.npy" --rtol 0.2
is_success "true codes have the shape of codes, and are near them at the true filters"
run "$PUDLE" evaluate "$cfg" --set precision=f64 --set model.dictionary.init=truth --set model.layers=200 --set prox.lambda=0.1
is_success "at the true filters"
holds "$(field dictionary_error) < 1e-12 && $(field dictionary_error_assigned) < 1e-6"
ok $? "the errors are 0"
holds "$(field support_recall) > 0.99 && $(field code_error) < 0.1"
ok $? "and codes are compared: recall $(field support_recall), error $(field code_error)"
run "$PUDLE" train "$cfg" --out "$work/near" --set model.dictionary.init=truth --set model.dictionary.noise=0.1 --set train.dictionary_error=ordered --set train.epochs=10
is_success "filters start near the true ones"
holds "$(error_at 2 near) > 0.2 && $(error_at '$' near) < $(error_at 2 near) / 2"
ok $? "and come nearer as they lie: $(error_at 2 near), $(error_at '$' near)"
run "$PUDLE" train "$cfg" --out "$work/oracle" --quiet --set model.gradient=oracle --set train.dictionary_error=ordered --set train.epochs=10
is_success "true codes of filters in the gradient"
holds "$(error_at '$' oracle) < 0.1"
ok $? "lead to the filters from anywhere: $(error_at '$' oracle)"
run "$PUDLE" train "$cfg" --out "$work/pictures" --quiet --set data.features=288 --set data.shape='[2,12,12]' --set data.filters='[3,4]' --set data.stride='[2,1]' \
    --set model.dictionary.size='[3,4]' --set model.dictionary.stride='[2,1]' --set model.dictionary.init=truth --set train.epochs=1
is_success "pictures of two channels, with strides"
run "$PUDLE" sweep "$cfg" --out "$work/sweep" --seeds 2 --quiet --set train.epochs=1
[ "$status" -eq 0 ] && head -n 1 "$work/sweep/sweep.csv" | grep -q dictionary_error && awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "dictionary_error") at = i }
    NR > 1 && !($at > 0) { bad = 1 } END { exit bad || NR < 3 }' "$work/sweep/sweep.csv"
ok $? "a sweep tells the error"

if can_check; then
    for kind in 'shape=[2,25] --set filters=[3] --set stride=[2]' 'shape=[1,5,10] --set filters=[3,2] --set stride=[2,1]'; do
        run "$PUDLE" plugins check synthetic --set $kind
        is_success "the suite passes the source with $kind"
    done
fi

# ---- what cannot be
run "$PUDLE" check "$cfg" --set data.filters='[25,25]'
refuses 2 'write  shape = [channels, height, width];' "filters of pictures for signals"
sed 's/filters = .25./filters = [201]/' "$cfg" >"$work/bad.cfg"
run "$PUDLE" check "$work/bad.cfg"
refuses 2 'bad.cfg:2: data: filters: 201 does not fit into the 200 of shape (axis 1): lower it' "filters longer than the signals, with file and line"
run "$PUDLE" check "$cfg" --set data.features=100
refuses 2 'write  features = 200;' "another number of entries"
run "$PUDLE" check "$cfg" --set model.dictionary.init=truth --set model.dictionary.size='[31]'
refuses 2 'has filters; write  kind = "conv"; size = [25];' "a start at filters of another size"
run "$PUDLE" check "$cfg" --set model.gradient=oracle --set model.dictionary.stride='[2]'
refuses 2 'the true filters have another size or stride' "true codes of other places"
done_testing
