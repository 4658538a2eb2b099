#!/bin/sh
# Samples that are measurements of signals, from a config: what the matrix must be, what does not go with it, identity as no measurement at all, the same
# bits after a kill, a file that changes, and signals that are written and compared.
. "$top_srcdir/tests/cli/tap.sh"

# matrix ROWS COLUMNS [NAN]: ones on the diagonal; with NAN the last entry is one
matrix() {
    printf "$(awk -v m="$1" -v n="$2" -v nan="${3:-}" 'BEGIN { for (i = 0; i < m; i++) for (k = 0; k < n; k++)
        printf "\\000\\000\\000\\000\\000\\000%s", nan && i == m - 1 && k == n - 1 ? "\\370\\177" : i == k ? "\\360\\077" : "\\000\\000" }')"
}
field() {
    sed -n "s/^$1=//p" "$work/out"
}
matrix 12 20 | npy "$work/A.npy" '<f8' '12, 20'
matrix 20 12 | npy "$work/turned.npy" '<f8' '20, 12'
matrix 20 20 | npy "$work/I.npy" '<f8' '20, 20'
matrix 12 20 nan | npy "$work/nan.npy" '<f8' '12, 20'
matrix 12 20 | npy "$work/axes.npy" '<f8' '12, 20, 1'
cat >"$work/c.cfg" <<EOF
precision = "f64";
data:  { name = "synthetic"; samples = 200; test_samples = 50; features = 20; atoms = 30; sparsity = 3; measurement = "A.npy"; seed = 3; };
model: { dictionary: { atoms = 30; init = "truth"; noise = 0.1; }; layers = 10; step = "1/L"; gradient = "ae"; measurement = "A.npy"; };
prox:  { name = "soft_threshold"; lambda = 0.1; };
loss:  { name = "least_squares"; };
train: { learning_rate = 1e-2; epochs = 20; batch = 20; test_every = 5; checkpoint_every = 7; seed = 1; };
EOF

# ---- the matrix, and what does not go with it
run "$PUDLE" check "$work/c.cfg"
is_success "check"
grep -q "30 atoms of 20 entries, measured by 12" "$work/out"
ok $? "... says what is measured by what"
run "$PUDLE" train "$work/c.cfg" --out "$work/r" --set model.measurement="$work/turned.npy"
refuses 2 "turned.npy is 20 x 12, and samples have 12 entries: a row is wanted for each of them; transpose it" "a matrix that is transposed"
run "$PUDLE" train "$work/c.cfg" --out "$work/r" --set model.measurement="$work/I.npy"
refuses 2 "is 20 x 20, and samples have 12 entries" "a matrix with too many rows"
run "$PUDLE" train "$work/c.cfg" --out "$work/r" --set model.measurement="$work/axes.npy"
refuses 2 "has 3 axes; a matrix is wanted" "an array that is no matrix"
run "$PUDLE" train "$work/c.cfg" --out "$work/r" --set model.measurement="$work/nan.npy"
refuses 2 "row 11, column 19, counted from 0, is not finite" "a matrix with a NaN"
run "$PUDLE" train "$work/c.cfg" --out "$work/r" --set model.measurement="$work/there-is-none.npy"
refuses 2 "no such file" "a file that is not there"
run "$PUDLE" train "$work/c.cfg" --out "$work/r" --set data.measurement="$work/nan.npy"
refuses 2 "measurement: $work/nan.npy: row 11, column 19" "and of the source"
run "$PUDLE" train "$work/c.cfg" --out "$work/r" --set data.measurement="$work/turned.npy"
refuses 2 "with a column for each of the 20 entries of a signal" "whose signals it must fit"
run "$PUDLE" check "$work/c.cfg" --set data.shape='[4, 5]'
refuses 2 "shape is that of signals, and measurement makes rows of them" "and which have no shape then"
[ ! -e "$work/r" ]
ok $? "nothing was begun"
run "$PUDLE" check "$work/c.cfg" --unset model.measurement
refuses 2 "the samples, of 12 entries, are measurements of signals with 20" "a start from the truth of signals, without the matrix"
run "$PUDLE" check "$work/c.cfg" --unset data.measurement --set data.features=12
refuses 2 "the data 'synthetic' are not measured" "a start from the truth of samples, with a matrix"
run "$PUDLE" check "$work/c.cfg" --unset model.measurement --unset model.dictionary.noise --set model.dictionary.init=random
is_success "without it samples are learned from as they are"
for init in samples pairwise; do
    run "$PUDLE" check "$work/c.cfg" --unset model.dictionary.noise --set model.dictionary.init=$init $([ $init = samples ] || echo --set model.dictionary.sparsity=3)
    refuses 2 "atoms cannot begin as samples" "init = \"$init\""
done
run "$PUDLE" check "$work/c.cfg" --set train.revive=residual
refuses 2 "dead atoms cannot become samples" "revive"
run "$PUDLE" check "$work/c.cfg" --set model.dictionary.kind=conv --set model.dictionary.size='[3]' --unset model.dictionary.noise --set model.dictionary.init=random
refuses 2 'model.measurement: is read only with model.dictionary.kind = "dense"' "filters"

# ---- the identity measures nothing
run "$PUDLE" train "$work/c.cfg" --out "$work/identity" --quiet --set data.measurement="$work/I.npy" --set model.measurement="$work/I.npy"
is_success "training with the identity"
run "$PUDLE" train "$work/c.cfg" --out "$work/plain" --quiet --unset data.measurement --unset model.measurement
cmp -s "$work/identity/dictionary.npy" "$work/plain/dictionary.npy"
ok $? "... learns the bits of training without"

# ---- a run: the same bits after kills, and for one and two threads
digest() {
    (cd "$1" && sha256sum dictionary.npy checkpoint.safetensors && sed 's/,[^,]*$//' metrics.csv | sha256sum)
}
run "$PUDLE" train "$work/c.cfg" --out "$work/whole" --quiet
is_success "training"
digest "$work/whole" >"$work/wanted"
for delay in 0.05 0.1 0.2; do
    "$PUDLE" train "$work/c.cfg" --out "$work/killed" --resume --quiet >/dev/null 2>&1 &
    sleep $delay
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
done
run "$PUDLE" train "$work/c.cfg" --out "$work/killed" --resume --quiet
digest "$work/killed" >"$work/got"
cmp -s "$work/wanted" "$work/got"
ok $? "killed and resumed: the same bits"
if [ -e "$top_builddir/abi1/backend/cpu.so" ]; then
    run "$PUDLE" train "$work/c.cfg" --out "$work/one" --quiet --set backend.threads=1
    cmp -s "$work/one/dictionary.npy" "$work/whole/dictionary.npy"
    ok $? "one thread gives the same"
fi
cp "$work/A.npy" "$work/kept.npy"
matrix 12 20 | tr '\360' '\340' | npy "$work/A.npy" '<f8' '12, 20' # halves
run "$PUDLE" train "$work/whole" --resume --set train.epochs=21
is_success "a run whose matrix has changed goes on"
grep -q 'model.measurement is not what it was when the run was begun: .*A.npy has been changed' "$work/err"
ok $? "... and says so"
cp "$work/kept.npy" "$work/A.npy"

# ---- what comes out
run "$PUDLE" evaluate "$work/killed" --split test
is_success "evaluate"
[ -n "$(field signal_error)" ] && [ -n "$(field measured_error)" ] && [ -n "$(field dictionary_error)" ]
ok $? "... knows the errors of signals, of A D and of D"
run "$PUDLE" evaluate "$work/c.cfg" --set model.dictionary.noise=0
awk -v d="$(field measured_error)" -v f="$(field dictionary_error)" 'BEGIN { exit !(d < 1e-12 && f < 1e-12) }'
ok $? "... which are 0 at the true dictionary"
run "$PUDLE" evaluate "$work/plain"
[ -z "$(field signal_error)" ]
ok $? "without a measurement there is no signal beside the sample"
run "$PUDLE" encode "$work/killed" --output "$work/z.npy" --signals "$work/s.npy" --reconstruction "$work/x.npy"
is_success "encode --signals"
[ "$(head -c 128 "$work/s.npy" | grep -c '(200, 20)')" = 1 ] && [ "$(head -c 128 "$work/x.npy" | grep -c '(200, 12)')" = 1 ]
ok $? "... writes signals of 20 entries beside reconstructions of 12"
run "$PUDLE" encode "$work/identity" --output "$work/z.npy" --signals "$work/s.npy" --reconstruction "$work/x.npy"
run "$PUDLE" compare "$work/s.npy" "$work/x.npy" --atol 1e-12
is_success "with the identity they are the same"
run "$PUDLE" encode "$work/killed" --input "$work/x.npy" --output "$work/z2.npy"
refuses 2 "is 12 x 20, and samples have 20 entries" "samples of one's own must be measurements"
run "$PUDLE" encode "$work/plain" --output "$work/z2.npy" --signals "$work/s2.npy"
refuses 2 "--signals $work/s2.npy: the model has no model.measurement" "a model without one has no signals to write"
[ ! -e "$work/s2.npy" ] && [ ! -e "$work/z2.npy" ]
ok $? "and nothing is written"
run "$PUDLE" encode "$work/killed" --output "$work/z2.npy" --signals "$work/A.npy"
[ "$status" -eq 2 ] && cmp -s "$work/A.npy" "$work/kept.npy"
ok $? "outputs do not replace the matrix"
run "$PUDLE" attribute "$work/killed" --out "$work/why"
refuses 2 "with model.measurement they are measurements" "attribute"
run "$PUDLE" gradient "$work/c.cfg" --out "$work/g"
[ "$(head -c 128 "$work/g/gradient.npy" | grep -c '(20, 30)')" = 1 ]
ok $? "gradient writes that of D"
matrix 12 20 | tr '\360' '\340' | npy "$work/A.npy" '<f8' '12, 20'
run "$PUDLE" evaluate "$work/killed"
grep -q 'model.measurement is not what it was when the run was begun: .*A.npy has been changed' "$work/err"
ok $? "commands that read a run tell of another matrix, too"
cp "$work/kept.npy" "$work/A.npy"
done_testing
