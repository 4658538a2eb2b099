#!/bin/sh
# Losses from a config: which steps and data they take, the baseline, the mean as the estimate, gaps, and the model of a constant rate.
. "$top_srcdir/tests/cli/tap.sh"

# repeat N TEXT: bytes as printf writes them
repeat() {
    printf "$(awk -v n="$1" -v t="$2" 'BEGIN { for (i = 0; i < n; i++) printf "%s", t }')"
}
field() {
    sed -n "s/^$1=//p" "$work/out"
}

# 20 samples of 8 counts, 60 of the 160 are 1, the others 0; the same with a -1; gaps
repeat 20 '\\001\\000\\000\\001\\000\\001\\000\\000' | npy "$work/x.npy" '|u1' '20, 8'
repeat 20 '\\001\\000\\377\\001\\000\\001\\000\\000' | npy "$work/negative.npy" '|i1' '20, 8'
repeat 20 '\\000\\000\\200\\077\\000\\000\\300\\177' | npy "$work/gaps.npy" '<f4' '10, 4'
repeat 1 '\\001\\002\\003\\004\\005\\006\\007\\010' | npy "$work/x8.npy" '|u1' '8'
config() { # LOSS DATA STEP
    cat >"$work/c.cfg" <<EOF
precision = "f64";
data:  { name = "npy"; path = "$work/$2"; };
model: { dictionary: { atoms = 5; }; layers = 3; step = $3; gradient = "ae"; };
prox:  { name = "soft_threshold"; lambda = 0.05; };
loss:  { $1 };
train: { epochs = 2; };
EOF
}

config 'name = "poisson";' x.npy '"0.9/L"'
run "$PUDLE" train "$work/c.cfg" --out "$work/r"
refuses 2 "no Lipschitz constant" 'poisson with a step c/L'
grep -q 'pudle plugins info poisson' "$work/err"
ok $? '... says where an option may help'
config 'name = "poisson"; clip = 1.0;' x.npy '"0.9/L"'
run "$PUDLE" train "$work/c.cfg" --out "$work/r"
is_success 'poisson with clip has a constant'
config 'name = "negative_binomial"; r = 2.0;' x.npy '"1/L"'
run "$PUDLE" gradient "$work/c.cfg" --out "$work/g"
is_success 'a constant that depends on the data is taken from them'
[ -e "$work/g/mean.npy" ]
ok $? 'gradient writes the mean'
run "$PUDLE" train "$work/c.cfg" --out "$work/nb" --quiet
run "$PUDLE" encode "$work/nb" --input "$work/x.npy" --output "$work/nb.npy"
is_success '... and kept with the model, for samples of which it is not known'
config 'name = "least_squares";' x.npy '"1/L"'
run "$PUDLE" gradient "$work/c.cfg" --out "$work/ls"
[ -e "$work/ls/gradient.npy" ] && [ ! -e "$work/ls/mean.npy" ]
ok $? '... where the loss has one'
config 'name = "poisson";' negative.npy 0.1
run "$PUDLE" train "$work/c.cfg" --out "$work/r2"
refuses 1 'sample 0 of the batch, entry 2: the target is -1, and poisson takes numbers >= 0' 'a negative count'
config 'name = "poisson";' x.npy 0.1
run "$PUDLE" train "$work/c.cfg" --out "$work/p"
is_success 'training on counts'
run "$PUDLE" encode "$work/p" --input "$work/negative.npy" --output "$work/z.npy"
refuses 1 'sample 0 of the batch, entry 2' 'a negative count in samples of one'"'"'s own'
run "$PUDLE" train "$work/c.cfg" --out "$work/o" --set loss.offset_path="$work/gaps.npy"
refuses 2 'holds 40 numbers; wanted are 8' 'an offset of another length'

run "$PUDLE" train "$work/c.cfg" --out "$work/l" --quiet --set inner_loss.name=least_squares
run "$PUDLE" evaluate "$work/l" --input "$work/negative.npy"
refuses 1 'sample 0 of the batch, entry 2' 'or where it is their loss that is asked for'
run "$PUDLE" encode "$work/l" --input "$work/negative.npy" --output "$work/z.npy"
is_success 'but not where it is not'

run "$PUDLE" train "$work/c.cfg" --out "$work/p" --force --set data.test_path="$work/negative.npy" --set train.test_every=1
refuses 1 'train.test_every = 0 trains without' 'test samples that the loss does not take'
[ -e "$work/p/checkpoint.safetensors" ]
ok $? 'are found before anything of an earlier run goes'
run "$PUDLE" check "$work/c.cfg" --set data.test_path="$work/negative.npy" --set train.test_every=1
refuses 2 'sample 0 of the batch, entry 2' 'and by check'

# ---- codes of zero are the model of a constant rate: 160 log(1 + e^a) - 60 a over 20 samples, e^a / (1 + e^a) = 3/8
config 'name = "bernoulli"; offset = -0.51082562376599072;' x.npy '"1/L"'
run "$PUDLE" evaluate "$work/c.cfg" --set prox.lambda=1e6
[ "$(field nonzeros)" = '0 of 5' ] && awk -v got="$(field data_loss)" 'BEGIN { want = (100 * log(8 / 5) + 60 * log(8 / 3)) / 20; d = got - want; exit !(d < 1e-7 && d > -1e-7) }'
ok $? 'the likelihood of a constant rate'
awk -v got="$(field relative_error)" 'BEGIN { want = sqrt((100 * 9 / 64 + 60 * 25 / 64) / 60); d = got - want; exit !(d < 1e-5 && d > -1e-5) }'
ok $? 'the estimate is the mean'
repeat 8 '\\000\\000\\000\\000\\000\\000\\340\\277' | npy "$work/a.npy" '<f8' '8'
run "$PUDLE" evaluate "$work/c.cfg" --set prox.lambda=1e6 --set loss.offset=0.5 --set loss.offset_path="$work/a.npy"
awk -v got="$(field data_loss)" 'BEGIN { want = 8 * log(2); d = got - want; exit !(d < 1e-7 && d > -1e-7) }'
ok $? 'an offset from a file is added: 0.5 - 0.5'

# ---- a baseline that is learned: with codes of zeros the log-odds of the data's rate
run "$PUDLE" train "$work/c.cfg" --out "$work/a" --quiet --set prox.lambda=1e6 --set loss.offset=0 --set loss.learn_offset=global --set train.epochs=400 --set train.learning_rate=0.02
is_success 'learn_offset = global'
repeat 8 '\\122\\024\\201\\372\\256\\130\\340\\277' | npy "$work/odds.npy" '<f8' '8' # log(3/5)
run "$PUDLE" compare "$work/a/offset.npy" "$work/odds.npy" --atol 1e-3
is_success 'a constant rate is found'
run "$PUDLE" evaluate "$work/a"
kept=$(field loss)
run "$PUDLE" evaluate "$work/c.cfg" --set prox.lambda=1e6 --set loss.offset=0 --set loss.offset_path="$work/a/offset.npy"
awk -v a="$kept" -v b="$(field loss)" 'BEGIN { d = a - b; exit !(a > 5 && d < 1e-7 && d > -1e-7) }'
ok $? 'a run knows what it has learned, and another can begin there'
for how in entry channel; do
    run "$PUDLE" train "$work/c.cfg" --out "$work/whole_$how" --quiet --set loss.learn_offset=$how --set train.epochs=6 --set train.batch=7
    run "$PUDLE" train "$work/c.cfg" --out "$work/part_$how" --quiet --set loss.learn_offset=$how --set train.epochs=3 --set train.batch=7
    run "$PUDLE" train "$work/part_$how" --resume --quiet --set train.epochs=6
    cmp "$work/whole_$how/offset.npy" "$work/part_$how/offset.npy" && cmp "$work/whole_$how/checkpoint.safetensors" "$work/part_$how/checkpoint.safetensors"
    ok $? "a resumed run has learned the same bits: $how"
done
run "$PUDLE" check "$work/c.cfg" --set loss.learn_offset=global --set loss.offset_path="$work/x8.npy"
refuses 2 'are to share one number' 'numbers that differ cannot be learned as one'
run "$PUDLE" check "$work/c.cfg" --set loss.learn_offset=entry --set model.dictionary.kind=conv --set 'model.dictionary.size=[3]' --set 'data.shape=[1,8]'
refuses 2 'learn_offset = "channel"' 'filters have no number for every entry'

# ---- gaps
config 'name = "masked_least_squares";' gaps.npy '"1/L"'
run "$PUDLE" evaluate "$work/c.cfg"
refuses 2 'missing = true' 'a NaN that nobody announced'
run "$PUDLE" evaluate "$work/c.cfg" --set data.missing=true --set prox.lambda=1e6
[ "$(field data_loss)" = 1 ] && [ "$(field relative_error)" = 1 ]
ok $? 'half of the entries are missing and do not count'
run "$PUDLE" train "$work/c.cfg" --set data.missing=true --out "$work/m"
is_success 'training around gaps'

for how in "masked_least_squares refuse" "least_squares skip"; do
    set -- $how
    run "$PUDLE" train "$work/c.cfg" --set data.missing=true --out "$work/m_$2" --quiet --set loss.name="$1" --set loss.missing="$2"
    is_success "gaps: $how"
done
cmp "$work/m_refuse/dictionary.npy" "$work/m_skip/dictionary.npy"
ok $? 'least squares that skips them is masked least squares, bit for bit'
config 'name = "poisson"; offset = -1.0;' gaps.npy 0.1
run "$PUDLE" check "$work/c.cfg" --set data.missing=true
refuses 2 'loss.missing = "skip"' 'a loss that takes no gaps says what to do'
run "$PUDLE" evaluate "$work/c.cfg" --set data.missing=true --set loss.missing=skip --set prox.lambda=1e6
awk -v got="$(field data_loss)" 'BEGIN { want = 2 * (exp(-1) + 1); d = got - want; exit !(d < 1e-7 && d > -1e-7) }'
ok $? 'counts: e^a - x a over the two entries of four that are there'
run "$PUDLE" train "$work/c.cfg" --set data.missing=true --set loss.missing=skip --out "$work/counts"
is_success 'training on counts around gaps'
run "$PUDLE" encode "$work/counts" --input "$work/gaps.npy" --output "$work/z.npy" --reconstruction "$work/filled.npy" --quiet
is_success 'encoding around gaps fills them'
run "$PUDLE" encode "$work/m_skip" --input "$work/gaps.npy" --output "$work/z.npy" --quiet
is_success 'of a loss that looks at no targets, too'
repeat 1 '\\000\\000\\200\\077\\000\\000\\300\\177\\000\\000\\200\\077\\000\\000\\200\\177' | npy "$work/infinite.npy" '<f4' '1, 4'
run "$PUDLE" encode "$work/m_skip" --input "$work/infinite.npy" --output "$work/z.npy" --quiet
refuses 2 'inf, its entry 3' 'but no infinite entry'
run "$PUDLE" check "$work/c.cfg" --set loss.missing=skip --set loss.name=categorical --unset loss.offset
refuses 2 '"categorical" is none' 'a loss that looks at several entries skips none'
run "$PUDLE" check "$work/c.cfg" --set loss.missing=skip --set loss.name=weighted_least_squares --set loss.path="$work/a.npy" --unset loss.offset
refuses 2 'weights, 0 passes over an entry' 'nor one with weights of its own'

# ---- a picture through a model of counts comes out as a mean
repeat 25 '\\001' | npy "$work/w.npy" '|u1' '1, 1, 5, 5'
repeat 120 '\\001' | npy "$work/picture.npy" '|u1' '12, 10'
repeat 120 '\\000\\000\\000\\077' | npy "$work/half.npy" '<f4' '12, 10'
cat >"$work/d.cfg" <<EOF
data: { name = "npy"; path = "$work/there-is-none.npy"; };
model: { dictionary: { kind = "conv"; atoms = 1; size = [5, 5]; stride = [2]; init = "file"; path = "$work/w.npy"; }; layers = 2; step = 0.01; };
prox: { name = "soft_threshold"; lambda = 1e6; };
loss: { name = "poisson"; offset = -0.69314718055994531; };
EOF
run "$PUDLE" denoise "$work/picture.npy" "$work/y.npy" --config "$work/d.cfg" --quiet
is_success 'denoise with a model of counts'
run "$PUDLE" compare "$work/y.npy" "$work/half.npy" --atol 1e-6
is_success '... gives the mean, 1/2'
done_testing
