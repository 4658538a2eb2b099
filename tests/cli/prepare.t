#!/bin/sh
# data.center, data.scale and data.scale_floor from a config: what they do not go with, and that every command sees the same prepared samples.
. "$top_srcdir/tests/cli/tap.sh"
field() { sed -n "s/^$1=//p" "$work/out"; }
# N bytes from -10 to 10, the same every time
bytes() {
    printf "$(awk -v n="$1" 'BEGIN { srand(5); for (i = 0; i < n; i++) printf "\\%03o", (int(rand() * 21) + 246) % 256 }')"
}
bytes 240 | npy "$work/x.npy" '|i1' '20, 12'
cat >"$work/c.cfg" <<END
precision = "f64";
data:  { name = "npy"; path = "$work/x.npy"; center = "sample"; scale = "std"; };
model: { dictionary: { atoms = 8; init = "samples"; }; layers = 5; step = "1/L"; };
prox:  { name = "soft_threshold"; lambda = 0.3; };
loss:  { name = "least_squares"; };
train: { learning_rate = 1e-2; epochs = 6; batch = 7; checkpoint_every = 2; seed = 1; };
END
cat >"$work/s.cfg" <<END
precision = "f64";
data:  { name = "synthetic"; samples = 100; features = 20; atoms = 30; sparsity = 3; seed = 3; };
model: { dictionary: { atoms = 30; }; layers = 5; step = 0.1; };
prox:  { name = "soft_threshold"; lambda = 0.1; };
loss:  { name = "least_squares"; };
train: { epochs = 2; batch = 20; seed = 1; };
END
no() { # PHRASE DESCRIPTION OPTION...
    phrase=$1 what=$2
    shift 2
    run "$PUDLE" check "$@"
    refuses 2 "$phrase" "$what"
}

# ---- what does not go together
no 'channels are the first axis of a sample' 'channels of samples with one axis' "$work/c.cfg" --set data.center=channel
no 'each of the 12 channels is one number' 'channels of one number' "$work/c.cfg" --set data.center=channel --set 'data.shape=[12, 1]'
no 'is one from a mean, which nothing takes away' 'a standard deviation without a mean' "$work/c.cfg" --set data.center=none
no 'is read only with data.scale = "norm" or "std"' 'a floor of nothing' "$work/c.cfg" --set data.scale=none --set data.scale_floor=0.1
no 'no targets of the loss "poisson" (counts' 'counts' "$work/c.cfg" --set loss.name=poisson --set model.step=0.1
no 'no targets of the loss "bernoulli"' 'events, as the loss inside' "$work/c.cfg" --set inner_loss.name=bernoulli
no 'true codes are those of samples as they come' 'the oracle, centred' "$work/s.cfg" --set data.center=sample --set model.gradient=oracle
no 'true codes are those of samples as they come' 'the oracle, scaled' "$work/s.cfg" --set data.scale=norm --set model.gradient=oracle
no 'another dictionary than the true one' 'a start from the truth' "$work/s.cfg" --set data.center=sample --set model.dictionary.init=truth
no 'are measured by another' 'measurements' "$work/c.cfg" --set model.dictionary.init=random --set model.measurement="$work/x.npy"
run "$PUDLE" check "$work/s.cfg" --set data.scale=norm --set model.dictionary.init=truth
is_success 'scaled samples have the true dictionary'

run "$PUDLE" check "$work/c.cfg" --set data.scale_floor=0.5
grep -q '^data: 20 samples of 12, less the mean of each, divided by its standard deviation or 0.5, if that is more$' "$work/out"
ok $? 'check says what is done'

# ---- the truth
run "$PUDLE" evaluate "$work/s.cfg" --set data.scale=norm
is_success 'scaled samples are evaluated'
grep -q 'codes are not compared with the true ones, which are those of samples as they come' "$work/err" && ! grep -q '^support_' "$work/out" && grep -q '^dictionary_error=' "$work/out"
ok $? '... with a word on their codes'
run "$PUDLE" evaluate "$work/s.cfg" --set data.center=sample
grep -q 'dictionary and codes are not compared with the true ones' "$work/err" && ! grep -q '^support_\|^dictionary_error' "$work/out"
ok $? '... and centred ones on dictionary and codes'

# ---- the same samples, from wherever
run "$PUDLE" train "$work/c.cfg" --out "$work/r" --quiet
is_success 'training'
run "$PUDLE" encode "$work/r" --output "$work/z.npy" --reconstruction "$work/d.npy"
is_success 'codes of the samples of the config'
run "$PUDLE" encode "$work/r" --input "$work/x.npy" --output "$work/own.npy"
cmp "$work/z.npy" "$work/own.npy"
ok $? 'are those of the same samples in a file'
run "$PUDLE" evaluate "$work/r"
loss=$(field loss) error=$(field relative_error)
run "$PUDLE" evaluate "$work/r" --input "$work/x.npy"
[ -n "$loss" ] && [ "$(field loss)" = "$loss" ] && [ "$(field relative_error)" = "$error" ]
ok $? 'and so is what they lose'
awk -v e="$error" 'BEGIN { exit !(e > 0 && e < 1) }'
ok $? "relative to what is left of them: $error"
run "$PUDLE" attribute "$work/r" --input "$work/x.npy" --out "$work/why"
is_success 'attribution'
run "$PUDLE" evaluate "$work/c.cfg" --set prox.lambda=1e6 --set loss.reduction=sum
[ "$(field data_loss)" = 6 ]
ok $? "a code of zeros loses half of the 12 entries' mean squares, which are 1"

# ---- resumed, and on other threads
run "$PUDLE" train "$work/c.cfg" --out "$work/part" --quiet --set train.epochs=3 --set data.scale_floor=7
run "$PUDLE" train "$work/part" --resume --quiet --set train.epochs=6
run "$PUDLE" train "$work/c.cfg" --out "$work/whole" --quiet --set data.scale_floor=7
cmp "$work/part/checkpoint.safetensors" "$work/whole/checkpoint.safetensors"
ok $? 'a resumed run ends with the same bits'
cmp -s "$work/whole/dictionary.npy" "$work/r/dictionary.npy"
[ $? -eq 1 ]
ok $? 'and a floor makes a difference'

# ---- missing entries
printf "$(awk 'BEGIN { for (i = 0; i < 20; i++) for (k = 0; k < 12; k++) printf "\\000\\000%s", k == i % 12 ? "\\300\\177" : k % 2 ? "\\200\\077" : "\\000\\100" }')" | npy "$work/gaps.npy" '<f4' '20, 12'
run "$PUDLE" train "$work/c.cfg" --out "$work/g" --quiet --set data.path="$work/gaps.npy" --set data.missing=true --set loss.missing=skip --set model.dictionary.init=random
is_success 'training around gaps'
run "$PUDLE" evaluate "$work/g" --set prox.lambda=1e6
[ "$(field data_loss)" = 5.5 ]
ok $? 'means and sizes are those of the 11 entries that are there'
done_testing
