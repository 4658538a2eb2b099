#!/bin/sh
# The value of a level from which on all codes are zeros: told by check, and what "0.1*max" is a multiple of.
. "$top_srcdir/tests/cli/tap.sh"

cat >"$work/run.cfg" <<'END'
backend: { name = "ref"; };
data:    { name = "synthetic"; samples = 200; features = 10; atoms = 15; sparsity = 2; seed = 3; };
model:   { dictionary: { atoms = 15; init = "random"; }; layers = 5; step = 0.2; gradient = "ae"; };
prox:    { name = "soft_threshold"; lambda = 0.2; };
loss:    { name = "least_squares"; };
train:   { learning_rate = 1e-2; epochs = 4; batch = 30; seed = 1; };
END
cfg=$work/run.cfg
max="--set prox.lambda=0.1*max"

told() { # told KEY: its critical value, as the last check has printed it
    sed -n "s/^prox\.$1 = .* of its critical value \([^,]*\),.*/\1/p" "$work/out"
}
nonzeros() { # nonzeros OPTIONS...: of a code, in the mean over all samples
    "$PUDLE" evaluate "$cfg" --quiet "$@" | sed -n 's/^nonzeros=\([^ ]*\) .*/\1/p'
}
scaled() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.9g", a * b }'; }

# ---- told, and true: of several operators, whatever their formula
for prox in "soft_threshold lambda" "soft_threshold lambda --set prox.nonnegative=true" "soft_threshold lambda --set prox.decay=0.9" \
    "soft_threshold lambda --set loss.offset=0.5" "soft_threshold lambda --set model.step=1/L" "hard_threshold threshold" "mcp lambda" "l_half lambda" \
    "group_soft_threshold lambda --set prox.size=3" "sparse_group lambda_group --set prox.size=3" \
    "soft_threshold lambda --set model.dictionary.kind=conv --set model.dictionary.size=4 --set data.shape=[1,10]"; do
    # shellcheck disable=SC2086
    set -- $prox
    name=$1 level=$2
    shift 2
    set -- --unset prox.lambda --set prox.name="$name" "$@"
    run "$PUDLE" check "$cfg" "$@"
    value=$(told "$level")
    [ -n "$value" ] && [ "$(nonzeros "$@" --set "prox.$level=$(scaled "$value" 1.001)")" = 0 ] && [ "$(nonzeros "$@" --set "prox.$level=$(scaled "$value" 0.998)")" != 0 ]
    ok $? "critical value of $prox: ${value:-none}"
done
run "$PUDLE" check "$cfg" --unset prox.lambda --set prox.name=ridge
[ "$status" -eq 0 ] && ! grep -q 'critical value' "$work/out"
ok $? "none is told where there is none"

# ---- a multiple of it
run "$PUDLE" check "$cfg"
value=$(told lambda)
run "$PUDLE" check "$cfg" $max
grep -q '^prox.lambda = 0\.[0-9]* is 0.1 of its critical value' "$work/out"
ok $? "a multiple is a number for check"
run "$PUDLE" train "$cfg" --out "$work/whole" --quiet $max
is_success "and for train"
number=$(sed -n 's/^ *lambda = \(.*\);/\1/p' "$work/whole/config.cfg")
awk -v a="$number" -v b="$value" 'BEGIN { d = a / (0.1 * b) - 1; exit !(d < 1e-3 && d > -1e-3) }' && grep -q '^prox.lambda = "0.1\*max" is ' "$work/whole/run.log"
ok $? "which stands in its config, and in its log"
run "$PUDLE" train "$cfg" --out "$work/number" --quiet --set "prox.lambda=$number"
cmp -s "$work/whole/dictionary.npy" "$work/number/dictionary.npy"
ok $? "and has the bits of a run of that number"
run "$PUDLE" train "$cfg" --out "$work/cut" --quiet $max --set train.updates=11
run "$PUDLE" train "$work/cut" --resume --quiet --set train.updates=0
cmp -s "$work/whole/dictionary.npy" "$work/cut/dictionary.npy" && cmp -s "$work/whole/checkpoint.safetensors" "$work/cut/checkpoint.safetensors"
ok $? "a resume goes on with it"
rm -r "$work/cut"
run "$PUDLE" train "$cfg" --out "$work/cut" --quiet $max --set train.updates=11
run "$PUDLE" train "$cfg" --out "$work/cut" --resume --quiet $max
cmp -s "$work/whole/dictionary.npy" "$work/cut/dictionary.npy"
ok $? "from the config that says the multiple, too"
run "$PUDLE" train "$cfg" --out "$work/cut" --resume --quiet --set 'prox.lambda=0.2*max'
refuses 2 'and now it is "0.2*max"' "another multiple is another run"
rm "$work/cut/config.cfg"
run "$PUDLE" train "$cfg" --out "$work/cut" --resume --quiet $max
refuses 2 'became a number when the run began' "and a number that is lost is not found anew"
run "$PUDLE" train "$work/whole" --out "$work/other" --quiet --set prox.lambda=0.3
is_success "a run's config with another number"
! grep -q '0.1\*max' "$work/other/config.cfg"
ok $? "says nothing of the multiple any more"
run "$PUDLE" evaluate "$work/whole" --set 'prox.lambda=1.001*max'
grep -q '^nonzeros=0 of' "$work/out"
ok $? "a model at work: of what was learned"
run "$PUDLE" train "$cfg" --out "$work/learned" --quiet $max --set prox.learn=atom
is_success "levels that are learned begin there"
run "$PUDLE" bench "$cfg" --runs 5 $max
is_success "bench takes it"

# ---- numbers of the loss that follow it
for level in 0.3 '0.1*max'; do
    for skip in refuse skip; do
        set -- --quiet --set loss.name=lasso --set loss.missing=$skip --set "prox.lambda=$level"
        rm -rf "$work/follows" "$work/says" "$work/twice"
        run "$PUDLE" train "$cfg" --out "$work/follows" "$@" --set loss.lambda=prox.lambda
        number=$(sed -n '/^prox/,/}/s/^ *lambda = \(.*\);/\1/p' "$work/follows/config.cfg")
        run "$PUDLE" train "$cfg" --out "$work/says" "$@" --set "loss.lambda=$number"
        grep -q '^ *lambda = "prox.lambda";' "$work/follows/config.cfg" && cmp -s "$work/follows/dictionary.npy" "$work/says/dictionary.npy"
        ok $? "loss.lambda = \"prox.lambda\" is prox.lambda = $level (missing: $skip), and its config still says so"
    done
done
run "$PUDLE" train "$work/follows" --out "$work/twice" --quiet --set prox.lambda=0.4
run "$PUDLE" train "$cfg" --out "$work/says" --force --quiet --set loss.name=lasso --set loss.missing=skip --set prox.lambda=0.4 --set loss.lambda=0.4
cmp -s "$work/twice/dictionary.npy" "$work/says/dictionary.npy"
ok $? "and follows in the next run"
run "$PUDLE" train "$work/twice" --resume --quiet
is_success "which can be resumed"
run "$PUDLE" train "$cfg" --out "$work/penalty" --quiet $max --set loss.code_l1=prox.lambda
cmp -s "$work/penalty/dictionary.npy" "$work/whole/dictionary.npy"
[ $? -eq 1 ] && number=$(sed -n '/^prox/,/}/s/^ *lambda = \(.*\);/\1/p' "$work/penalty/config.cfg") &&
    "$PUDLE" train "$cfg" --out "$work/price" --quiet --set "prox.lambda=$number" --set "loss.code_l1=$number" >/dev/null && cmp -s "$work/penalty/dictionary.npy" "$work/price/dictionary.npy"
ok $? "loss.code_l1 of any loss follows as well"
run "$PUDLE" sweep "$cfg" --out "$work/sweep" --vary prox.lambda=0.2,0.4 --set loss.name=lasso --set loss.lambda=prox.lambda
grep -q 'options of the loss are varied' "$work/out"
ok $? "a sweep knows that losses differ with it"
run "$PUDLE" sweep "$cfg" --out "$work/inner" --vary prox.lambda=0.2,0.4 --set inner_loss.name=huber --set inner_loss.delta=prox.lambda
! grep -q 'options of the loss are varied' "$work/out"
ok $? "but not with what an inner_loss follows"

# ---- mistakes
run "$PUDLE" check "$cfg" --set loss.name=lasso --set loss.lambda=prox.gamma
refuses 2 "\"prox.gamma\" is no number of the prox 'soft_threshold'; it has \"prox.lambda\"" "what is no number of the prox"
run "$PUDLE" check "$cfg" --set loss.name=lasso --set loss.lambda=prox.lambda --unset prox.lambda --set prox.name=top_k --set prox.k=3
refuses 2 'it has none: give a number here' "of a prox that has none"
run "$PUDLE" check "$cfg" --set loss.name=huber --set loss.delta=prox.lambda $max
refuses 2 'the one depends on the other' "a multiple that would depend on itself"
run "$PUDLE" check "$cfg" --set loss.offset=prox.lambda $max
refuses 2 'is found with the baseline, which cannot follow it' "so would one of the baseline"
run "$PUDLE" check "$cfg" --set loss.name=lasso --set loss.lambda=prox.lambda --set prox.learn=global
refuses 2 "prox.lambda is learned" "a level that is learned"
run "$PUDLE" check "$cfg" --set loss.name=huber --set loss.delta=prox.lambda
is_success "and where it is a number"
for text in max 0.1max 0*max -1*max inf*max 0.1*maximum lots; do
    run "$PUDLE" check "$cfg" --set "prox.lambda=$text"
    refuses 2 'neither a number nor a multiple of the critical value' "prox.lambda=$text"
done
run "$PUDLE" check "$cfg" --set prox.name=sparse_group --set prox.size=3 $max --set 'prox.lambda_group=0.1*max'
refuses 2 "one level can be a multiple" "two of them"
run "$PUDLE" check "$cfg" --unset prox.lambda --set prox.name=ridge --set 'prox.mu=0.1*max'
refuses 2 "there is no value from which on all codes are zeros" "one without a critical value"
run "$PUDLE" check "$cfg" --unset prox.lambda --set prox.name=firm_threshold --set prox.upper=10.0 --set 'prox.lower=2*max'
is_success "a number that the prox takes"
run "$PUDLE" check "$cfg" --unset prox.lambda --set prox.name=firm_threshold --set prox.upper=10.0 --set 'prox.lower=1000*max'
refuses 2 'which the prox does not take' "and one that it does not"
run "$PUDLE" check "$cfg" --set 'model.layers="0.1*max"'
refuses 2 'wants a whole number' "options that are no levels"
run "$PUDLE" check "$cfg" --set loss.name=lasso $max
grep -q 'loss.lambda = 0.1 is a default, and prox.lambda is 0.1\*max: .* --set loss.lambda=prox.lambda' "$work/err"
ok $? "a penalty that does not follow is told of"
run "$PUDLE" train "$cfg" --out "$work/analysis" --quiet --set model.encoder=analysis --set train.learning_rate=0.1 --set train.epochs=20
run "$PUDLE" evaluate "$work/analysis" --set 'prox.lambda=1.0001*max'
[ "$status" -eq 0 ] && grep -q '^nonzeros=0 of' "$work/out"
ok $? "of an encoder that has learned weights of its own"
run "$PUDLE" check "$cfg" --set model.encoder=untied --set model.encoder_layers=true $max
refuses 2 "layers have weights or steps of their own" "there is none where layers differ"
run "$PUDLE" train "$cfg" --out "$work/first_run" --quiet $max
run "$PUDLE" train "$work/first_run" --out "$work/elsewhere" --quiet --set data.seed=77
[ "$status" -eq 0 ] && grep -q 'multiple = "lambda' "$work/first_run/config.cfg" && ! grep -q 'multiple = "' "$work/elsewhere/config.cfg"
ok $? "a run of other data has the number, and not the note"
run "$PUDLE" train "$work/first_run" --resume --quiet --set train.epochs=6
[ "$status" -eq 0 ] && grep -q 'multiple = "lambda' "$work/first_run/config.cfg"
ok $? "a longer run keeps it"
done_testing
