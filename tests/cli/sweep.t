#!/bin/sh
# Sweeps: every combination is a run of its own, with the bits that `pudle train` gives it; the tables say what evaluate and compare say; what was interrupted or
# has failed is done by the next call, and nothing is done twice.
. "$top_srcdir/tests/cli/tap.sh"

cat >"$work/run.cfg" <<'END'
backend: { name = "ref"; };
data:    { name = "synthetic"; samples = 200; features = 10; atoms = 15; sparsity = 2; seed = 3; test_samples = 40; };
model:   { dictionary: { atoms = 15; init = "random"; }; layers = 5; step = 0.2; gradient = "ae"; };
prox:    { name = "soft_threshold"; lambda = 0.2; };
loss:    { name = "least_squares"; };
train:   { learning_rate = 1e-2; epochs = 4; batch = 30; seed = 1; };
END
cfg=$work/run.cfg
dir=$work/sweep

column() { # column FILE NAME: the number of a column
    head -n 1 "$1" | tr ',' '\n' | grep -nx "$2" | cut -d: -f 1
}
value() { # value RUN NAME: a cell of the table of runs
    awk -F, -v run="$1" -v at="$(column "$dir/sweep.csv" "$2")" '$1 == run { print $at }' "$dir/sweep.csv"
}
near() { # near A B: the same number but for rounding
    awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(a != "" && b != "" && d * d <= 1e-10 * (a * a + b * b)) }'
}

# ---- two keys, two seeds, two jobs
run "$PUDLE" sweep "$cfg" --out "$dir" --vary prox.lambda=0.1,0.3 --vary 'model.step=0.2,1/L' --seeds 2 --jobs 2
is_success "a sweep of two keys and two seeds"
cp "$work/out" "$work/report"
[ "$(ls "$dir" | grep -c '^model.step=.*_prox.lambda=.*_seed=')" -eq 8 ] && [ -d "$dir/model.step=1_L_prox.lambda=0.3_seed=2" ]
ok $? "every combination and seed has a folder with a name that says which"
[ "$(wc -l <"$dir/sweep.csv")" -eq 9 ] && [ "$(grep -c ',done,' "$dir/sweep.csv")" -eq 8 ] && [ "$(wc -l <"$dir/combinations.csv")" -eq 5 ]
ok $? "and a row; so have combinations"
grep -q '2 at a time, each on [0-9]* thread' "$work/out"
ok $? "it says how jobs share the processors"
name=model.step=1_L_prox.lambda=0.3_seed=2
run "$PUDLE" train "$cfg" --out "$work/alone" --quiet --set prox.lambda=0.3 --set 'model.step="1/L"' --set train.seed=2
cmp -s "$work/alone/dictionary.npy" "$dir/$name/dictionary.npy"
ok $? "a run has the bits of one by itself"
"$PUDLE" evaluate "$work/alone" >"$work/train" && "$PUDLE" evaluate "$work/alone" --split test >"$work/test"
for pair in loss:loss data_loss:data_loss nonzeros:nonzeros relative_error:relative_error dictionary_error:dictionary_error_assigned; do
    near "$(value $name "${pair%:*}")" "$(sed -n "s/^${pair#*:}=\([^ ]*\).*/\1/p" "$work/train")"
    ok $? "its ${pair%:*} is what evaluate finds"
done
for figure in loss nonzeros relative_error; do
    near "$(value $name test_$figure)" "$(sed -n "s/^$figure=\([^ ]*\).*/\1/p" "$work/test")"
    ok $? "and so is that of the test samples: $figure"
done
[ "$(value $name model.step)" = 1/L ] && [ "$(value $name prox.lambda)" = 0.3 ] && [ "$(value $name seed)" = 2 ] && [ "$(value $name updates)" = 28 ]
ok $? "keys, seed and updates have columns"

# ---- seeds
one=$dir/model.step=0.2_prox.lambda=0.1_seed=1 two=$dir/model.step=0.2_prox.lambda=0.1_seed=2
"$PUDLE" compare "$one/dictionary.npy" "$two/dictionary.npy" --dictionary >"$work/compared"
row=$(awk -F, -v at="$(column "$dir/combinations.csv" prox.lambda)" '$at == 0.1 && /,0.2,/' "$dir/combinations.csv")
cell() { echo "$row" | cut -d, -f "$(column "$dir/combinations.csv" "$1")"; }
near "$(cell agreement_mean)" "$(sed -n 's/.*|cosine| mean=\([^ ]*\) .*/\1/p' "$work/compared")" &&
    near "$(cell agreement_median)" "$(sed -n 's/.*|cosine| mean=.* median=\([^ ,]*\),.*/\1/p' "$work/compared")"
ok $? "the agreement of two seeds is what compare finds"
a=$(value "$(basename "$one")" test_loss) b=$(value "$(basename "$two")" test_loss)
near "$(cell test_loss_mean)" "$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.9g", (a + b) / 2 }')" &&
    near "$(cell test_loss_sd)" "$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.9g", sqrt((a - b) ^ 2 / 2) }')"
ok $? "means and standard deviations are those of the runs"
grep -q 'by the loss of the test samples' "$work/report" && grep -q 'weigh the two' "$work/report"
ok $? "it says what the order is by, and that less shrinkage has its price"
most=$(awk -F, -v at="$(column "$dir/combinations.csv" agreement_mean)" 'NR > 1 && $at > most { most = $at; key = " model.step=" $3 " prox.lambda=" $4 } END { printf "%.4f, with%s", most, key }' \
    "$dir/combinations.csv")
grep -qx "seeds agree most, to $most" "$work/report"
ok $? "where seeds agree most: $most"
awk '/^model.step/ { for (i = 1; i <= NF; i++) if ($i == "test_loss") at = i; next } at && NF == 0 { exit } at { if (seen && $at < last) bad = 1; last = $at; seen++ } END { exit bad || seen != 4 }' "$work/report"
ok $? "the best comes first"

# ---- again; with other values; from other keys
sha256sum "$dir"/*/dictionary.npy "$dir"/*/run.log >"$work/before"
run "$PUDLE" sweep "$cfg" --out "$dir" --vary 'model.step=0.2,1/L' --vary prox.lambda=0.1,0.30 --seeds 2
[ "$status" -eq 0 ] && grep -q '8 runs, 0 to do' "$work/out" && sha256sum -c --quiet "$work/before" >/dev/null
ok $? "a second call finds all done, however the values are written"
run "$PUDLE" sweep "$cfg" --out "$dir" --vary prox.lambda=0.1,0.5 --seeds 3 --quiet
[ "$status" -eq 0 ] && sha256sum -c --quiet "$work/before" >/dev/null && [ "$(grep -c ',done,' "$dir/sweep.csv")" -eq 12 ] && [ "$(wc -l <"$dir/combinations.csv")" -eq 6 ]
ok $? "other values add runs, and those that are there already are taken as they are"
[ ! -d "$dir/prox.lambda=0.1_seed=1" ] && [ -d "$dir/prox.lambda=0.1_seed=3" ]
ok $? "under whatever name"
run "$PUDLE" sweep "$cfg" --out "$dir" --vary prox.lambda=0.1,0.5 --set model.layers=6
refuses 2 "is a run with model.layers = 5, and now it is 6" "what nobody varies must be the same in all runs of a folder"
run "$PUDLE" sweep "$cfg" --out "$dir" --vary prox.lambda=0.5 --set train.epochs=5 --quiet
[ "$status" -eq 0 ] && [ "$(value prox.lambda=0.5_seed=1 updates)" = 35 ]
ok $? "runs are made longer as a resume makes them"
"$PUDLE" train "$dir/prox.lambda=0.5_seed=1" --force --quiet --set train.seed=1 --set train.epochs=5 --set model.layers=5 >/dev/null
echo "loss=0" >>"$dir/prox.lambda=0.5_seed=2/evaluation.txt"
printf 'checkpoint=0\nloss=0\n' >"$dir/prox.lambda=0.5_seed=3/evaluation.txt"
run "$PUDLE" sweep "$cfg" --out "$dir" --vary prox.lambda=0.5 --seeds 3 --quiet
[ "$status" -eq 0 ] && [ "$(value prox.lambda=0.5_seed=3 loss)" != 0 ]
ok $? "figures of another checkpoint are not believed"

# ---- losses that are not comparable
run "$PUDLE" sweep "$cfg" --out "$work/losses" --vary loss.name=least_squares,huber --set train.epochs=1
[ "$status" -eq 0 ] && ! grep -q 'test_relative_error .*relative error' "$work/out" && grep -q 'relative error of the test samples' "$work/out" && grep -q 'different quantities' "$work/out"
ok $? "different losses are not ordered by their values, and that is said"
run "$PUDLE" sweep "$cfg" --out "$work/prices" --vary prox.lambda,loss.code_l1=0.1,0.2 --set train.epochs=1 --set data.test_samples=0
[ "$status" -eq 0 ] && grep -q "data's part of the loss of the training samples, for the data has no test samples" "$work/out" && [ "$(ls "$work/prices" | grep -c seed=)" -eq 2 ]
ok $? "keys that take one value together; the price on the code is left out of the order"
run "$PUDLE" sweep "$cfg" --out "$work/names" --vary prox.name=soft_threshold,hard_threshold --unset prox.lambda --set train.epochs=1
[ "$status" -eq 0 ] && [ -d "$work/names/prox.name=hard_threshold_seed=1" ]
ok $? "names are values, too"
run "$PUDLE" sweep "$cfg" --out "$work/conv" --seeds 2 --set model.dictionary.kind=conv --set 'data.shape=[1,10]' --vary 'model.dictionary.size=[3],[4]' --set model.dictionary.atoms=4 \
    --set train.epochs=1
[ "$status" -eq 0 ] && [ "$(wc -l <"$work/conv/combinations.csv")" -eq 3 ]
ok $? "filters, and lists as values"
cp "$work/out" "$work/filters"
"$PUDLE" compare "$work/conv/model.dictionary.size=[3]_seed=1/dictionary.npy" "$work/conv/model.dictionary.size=[3]_seed=2/dictionary.npy" --dictionary >"$work/compared"
near "$(sed -n 's/.*|correlation| mean=\([^ ]*\) .*/\1/p' "$work/compared")" \
    "$(awk -F, -v at="$(column "$work/conv/combinations.csv" agreement_mean)" '/\[3\]/ { print $at }' "$work/conv/combinations.csv")"
ok $? "whose agreement compare finds, too, at the best lags"
grep -qF 'in the best order (of filters: |correlation| at the best lags)' "$work/filters" && ! grep -q 'of filters' "$work/report"
ok $? "which is said, and not of matrices"

# ---- a run that fails
run "$PUDLE" sweep "$cfg" --out "$work/fails" --vary train.learning_rate=1e-2,1e30 --set train.optimizer=sgd --set train.normalize=false
refuses 1 "1 of 2 runs failed:" "a run that fails ends the sweep with 1"
grep -q 'train.learning_rate=1e30_seed=1: .*update' "$work/err" && grep -q '^train.learning_rate=1e30_seed=1,failed,.*update' "$work/fails/sweep.csv"
ok $? "with its reason, there and in the table"
grep -q '^train.learning_rate=1e-2_seed=1,done,' "$work/fails/sweep.csv"
ok $? "and the others go on"

run "$PUDLE" sweep "$cfg" --out "$work/fails" --vary train.learning_rate=1e-2 --set train.optimizer=sgd --set train.normalize=false
[ "$status" -eq 0 ] && grep -q '^train.learning_rate=1e30_seed=1,failed,.*update' "$work/fails/sweep.csv"
ok $? "a later call for others keeps it"
run "$PUDLE" sweep "$cfg" --out "$work/fails" --vary train.learning_rate=1e30 --set train.optimizer=sgd --set train.normalize=false
[ "$status" -eq 1 ] && grep -q '1 of 1 runs failed' "$work/err" && grep -q '1 to do' "$work/out"
ok $? "and one that asks for it tries again"

# ---- mistakes, all before anything runs
bad() { # bad PHRASE DESCRIPTION OPTIONS...: refused, and no folder is left
    phrase=$1 what=$2
    shift 2
    run "$PUDLE" sweep "$cfg" --out "$work/bad" "$@"
    refuses 2 "$phrase" "$what"
    [ ! -e "$work/bad" ]
    ok $? "and nothing is left"
}
bad "nothing is varied" "no --vary and no --seeds"
bad "wants a key and its values" "no values" --vary prox.lambda
bad "a key or a value is empty" "an empty value" --vary prox.lambda=0.1,,0.2
bad "is given twice" "a key that is given twice" --vary prox.lambda=0.1 --vary prox.lambda=0.2
bad "would be the same run" "a value that is given twice" --vary prox.lambda=0.1,0.10
bad "both choose the seeds" "two ways to choose seeds" --vary train.seed=1,2 --seeds 2
bad "both choose its value" "a --set of what is varied" --vary prox.lambda=0.1,0.2 --set prox.lambda=0.3
bad "did you mean" "a key that there is not" --vary prox.lamda=0.1,0.2
grep -q -e '--vary prox.lamda=0.1:' "$work/err" && ! grep -q -e '--set' "$work/err"
ok $? "which is said to be varied, not set"
bad "prox.lambda=-1:" "a value out of range, with the combination" --vary prox.lambda=0.1,-1
bad "only 200 samples" "what only the data tell" --vary train.batch=10,1000
bad "nothing says how long to train" "no end" --vary prox.lambda=0.1 --unset train.epochs
bad "more than 10000 runs" "too many" --vary prox.lambda=0.1,0.2,0.3 --seeds 5000
run "$PUDLE" sweep "$cfg" --vary prox.lambda=0.1
refuses 2 "say where to write with --out DIR" "no --out"
run "$PUDLE" sweep "$cfg" --out "$work/bad" --vary prox.lambda=0.1 --jobs 0
refuses 2 "--jobs 0" "no jobs"
run "$PUDLE" sweep "$cfg" --out "$dir/$name" --vary prox.lambda=0.1
refuses 2 "is the folder of a run" "a run's folder is not a sweep's"
mkdir "$work/own"
echo mine >"$work/own/sweep.csv"
run "$PUDLE" sweep "$cfg" --out "$work/own" --vary prox.lambda=0.1
refuses 2 "sweep.csv is of no sweep" "a table of the user's is not overwritten"
[ "$(cat "$work/own/sweep.csv")" = mine ] && [ "$(ls -A "$work/own" | wc -l)" -eq 1 ]
ok $? "and left as it was"

# ---- levels as multiples: the same run, whatever its folder is called and however many keys there are by now
dir=$work/multiples
run "$PUDLE" sweep "$cfg" --out "$dir" --vary 'prox.lambda=0.1*max,0.2*max'
is_success "multiples of the critical value"
run "$PUDLE" sweep "$cfg" --out "$dir" --vary 'prox.lambda=0.1*max,0.2*max' --vary model.layers=5,7
is_success "and another key"
[ "$(wc -l <"$dir/sweep.csv")" -eq 5 ] && [ "$(cut -d, -f1 "$dir/combinations.csv" | tail -n +2 | sort -u)" = 1 ]
ok $? "no run is done twice, or counted as two seeds"
mv "$dir/prox.lambda=0.1_max_seed=1" "$dir/mine"
run "$PUDLE" sweep "$cfg" --out "$dir" --vary 'prox.lambda=0.1*max'
[ "$status" -eq 0 ] && [ "$(wc -l <"$dir/sweep.csv")" -eq 5 ] && [ ! -e "$dir/prox.lambda=0.1_max_seed=1" ]
ok $? "nor one that was renamed"

run "$PUDLE" sweep "$cfg" --out "$work/each" --vary 'prox.lambda=0.1*max,0.2*max' --seeds 2 --set model.dictionary.init=samples --set train.epochs=1
number=$(sed -n 's/^ *lambda = \([0-9.e-]*\);.*/\1/p' "$work/each/prox.lambda=0.1_max_seed=2/config.cfg" | head -n 1)
dir=$work/each
near "$number" "$(value prox.lambda=0.1_max_seed=2 level)" && grep -q 'another number for each seed' "$work/out"
ok $? "the number that it became for each seed is in the table ($number), and that they differ is said"
rm "$dir/prox.lambda=0.1_max_seed=2/dictionary.npy"
run "$PUDLE" sweep "$cfg" --out "$dir" --vary 'prox.lambda=0.1*max,0.2*max' --seeds 2 --set model.dictionary.init=samples --set train.epochs=1
[ "$status" -eq 0 ] && [ -e "$dir/prox.lambda=0.1_max_seed=2/dictionary.npy" ] && grep -q '4 runs, 1 to do' "$work/out"
ok $? "a dictionary that was taken away is made again"
head -c 300 "$dir/prox.lambda=0.1_max_seed=2/dictionary.npy" >"$work/short" && cp "$work/short" "$dir/prox.lambda=0.1_max_seed=2/dictionary.npy"
run "$PUDLE" sweep "$cfg" --out "$dir" --vary 'prox.lambda=0.1*max,0.2*max' --seeds 2 --set model.dictionary.init=samples --set train.epochs=1
[ "$status" -eq 0 ] && grep -q 'how far seeds agree is left out of a combination: .*dictionary.npy' "$work/err" && [ "$(wc -l <"$dir/combinations.csv")" -eq 3 ]
ok $? "one that is cut short costs its combination the agreement, and is told"
run "$PUDLE" sweep "$cfg" --out "$work/said" --seeds 3 --vary model.layers=5 --set prox.learn=global --set train.threshold_rate=0.1
[ "$(grep -c 'has been learned down to 0' "$work/err")" -eq 2 ] && grep -q '^2 more runs said what .*_seed=1 did: .*learned down to 0' "$work/err"
ok $? "what several runs warn of is printed once, and counted"

run "$PUDLE" sweep "$cfg" --out "$work/once" --seeds 1 --set model.step=0.6 --set train.updates=2
[ "$(grep -c 'step' "$work/err")" -gt 0 ] && ! grep -q 'more run' "$work/err"
ok $? "and a run that warns when it is checked and when it is trained is one"

# ---- runs of different length
dir=$work/lengths
run "$PUDLE" sweep "$cfg" --out "$dir" --vary prox.lambda=0.1 --set train.epochs=9
run "$PUDLE" sweep "$cfg" --out "$dir" --vary prox.lambda=0.1,0.2
[ "$status" -eq 0 ] && grep -q 'different length, 28 to 63 updates' "$work/out"
ok $? "that some had longer to learn is said"
run "$PUDLE" sweep "$cfg" --out "$work/baselines" --vary loss.learn_offset=none,entry
[ "$status" -eq 0 ] && ! grep -q 'no order follows' "$work/out"
ok $? "a baseline is of the model: losses stay comparable"
mkdir "$work/files" "$work/files/a"
run "$PUDLE" gradient "$cfg" --out "$work/arrays" # some array
cp "$work/arrays/code.npy" "$work/files/a/b.npy"
cp "$work/arrays/code.npy" "$work/files/a_b.npy"
how="--unset data --set data.name=npy"
run "$PUDLE" sweep "$cfg" --out "$work/filenames" $how --vary data.path="$work/files/a/b.npy"
is_success "a sweep of files"
"$PUDLE" gradient "$cfg" --set data.seed=4 --out "$work/arrays"
cp "$work/arrays/code.npy" "$work/files/a/b.npy"
run "$PUDLE" sweep "$cfg" --out "$work/filenames" $how --vary data.path="$work/files/a/b.npy"
[ "$status" -eq 0 ] && grep -q 'data.path is not what it was.*b.npy has been changed' "$work/err"
ok $? "a file that has changed since a run has read it is told"
run "$PUDLE" sweep "$cfg" --out "$work/filenames" $how --vary data.path="$work/files/a_b.npy"
refuses 2 "would have the same; tell the values apart" "two values that would have one folder, in two calls"

# ---- interrupted
sed 's/epochs = 4/epochs = 500/; s/"ref"/"ref"; threads = 1/' "$cfg" >"$work/slow.cfg"
run "$PUDLE" train "$work/slow.cfg" --out "$work/whole" --quiet --set prox.lambda=0.1
for signal in INT KILL; do
    dir=$work/cut$signal
    "$PUDLE" sweep "$work/slow.cfg" --out "$dir" --vary prox.lambda=0.1,0.4 --jobs 2 >"$work/cut.out" 2>"$work/cut.err" </dev/null &
    pid=$!
    tries=0
    until [ "$(cat "$dir/prox.lambda=0.1_seed=1/metrics.csv" 2>/dev/null | grep -c .)" -gt 5 ] && [ "$(cat "$dir/prox.lambda=0.4_seed=1/metrics.csv" 2>/dev/null | grep -c .)" -gt 5 ] ||
        [ $tries -gt 400 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    if [ $signal = INT ]; then
        run "$PUDLE" sweep "$work/slow.cfg" --out "$dir" --vary prox.lambda=0.1
        refuses 2 "another sweep is writing there" "two sweeps in one folder at a time"
    fi
    # a shell starts what runs behind it with SIGINT ignored, but pudle asks for it again
    kill -$signal $pid
    wait $pid 2>/dev/null
    code=$?
    tries=0
    until grep -q 'interrupted after' "$dir/prox.lambda=0.1_seed=1/run.log" || [ $tries -gt 100 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    grep -q 'interrupted after' "$dir/prox.lambda=0.1_seed=1/run.log" && grep -q 'interrupted after' "$dir/prox.lambda=0.4_seed=1/run.log"
    ok $? "SIG$signal: the runs end in an orderly way"
    if [ $signal = INT ]; then
        [ $code -eq 1 ] && grep -q 'interrupted: 2 of 2 runs are not done' "$work/cut.err" && [ "$(grep -c ',unfinished,' "$dir/sweep.csv")" -eq 2 ]
        ok $? "and it says that they are not done"
    fi
    run "$PUDLE" sweep "$work/slow.cfg" --out "$dir" --vary prox.lambda=0.1,0.4 --jobs 2 --quiet
    is_success "the same command goes on"
    grep -q 'resumes' "$dir/prox.lambda=0.1_seed=1/run.log" && cmp -s "$dir/prox.lambda=0.1_seed=1/dictionary.npy" "$work/whole/dictionary.npy"
    ok $? "from where they were, to the bits of a whole run"
done
done_testing
