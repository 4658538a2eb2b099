#!/bin/sh
# The folder of a run: nobody's files are lost, what was interrupted at any step can be begun or resumed, and a resume is of the
# same run or refused.
. "$top_srcdir/tests/cli/tap.sh"

cat >"$work/run.cfg" <<'END'
backend: { name = "ref"; };
data:    { name = "synthetic"; samples = 200; features = 10; atoms = 15; sparsity = 2; seed = 3; };
model:   { dictionary: { atoms = 15; init = "truth"; noise = 0.1; }; layers = 5; step = 0.2; gradient = "ae"; };
prox:    { name = "soft_threshold"; lambda = 0.2; };
loss:    { name = "least_squares"; };
train:   { learning_rate = 1e-2; epochs = 4; batch = 30; seed = 1; };
END
cfg=$work/run.cfg

digest() { # everything but the seconds of the metrics
    (cd "$1" && sha256sum dictionary.npy checkpoint.safetensors && sed 's/,[^,]*$//' metrics.csv | sha256sum)
}
same() { # same DIR DESCRIPTION: the bits of an uninterrupted run
    digest "$1" >"$work/got" 2>&1
    cmp -s "$work/wanted" "$work/got"
    ok $? "$2"
}

run "$PUDLE" train "$cfg" --out "$work/whole" --quiet
is_success "a run"
digest "$work/whole" >"$work/wanted"
[ "$(grep -c '^28,4,' "$work/whole/metrics.csv")" -eq 1 ] && [ "$(wc -l <"$work/whole/metrics.csv")" -eq 30 ]
ok $? "a row of metrics for each update, and one at the end"
grep -q 'mean loss of the first epoch' "$work/out"
ok $? "the report says which losses it compares"

# ---- somebody's files
for name in config.cfg metrics.csv test.csv dictionary.npy dictionary.png thresholds.npz run.log manifest.json dictionary_3.npy checkpoint.safetensors; do
    mkdir "$work/own"
    echo mine >"$work/own/$name"
    for how in "" --force --resume; do
        run "$PUDLE" train "$cfg" --out "$work/own" --quiet $how
        refuses 2 "holds $name" "a folder with a $name of the user's is refused ${how:-without options}"
    done
    [ "$(cat "$work/own/$name")" = mine ] && [ "$(ls -A "$work/own")" = "$name" ]
    ok $? "and left as it was"
    rm -r "$work/own"
done
mkdir "$work/own"
echo mine >"$work/own/notes.txt"
run "$PUDLE" train "$cfg" --out "$work/own" --quiet
is_success "a folder with other files is good"
[ "$(cat "$work/own/notes.txt")" = mine ]
ok $? "and they stay"

# ---- a run that cannot start changes nothing
cp -r "$work/whole" "$work/kept"
ls -A "$work/kept" >"$work/before"
sha256sum "$work/kept"/* >>"$work/before"
run "$PUDLE" train "$cfg" --out "$work/kept" --quiet --force --set model.dictionary.init=file --set model.dictionary.path="$work/none.npy" \
    --set model.dictionary.noise=0
[ "$status" -ne 0 ]
ok $? "a dictionary that is not there is refused"
sed 's/noise = 0.1;//; s/"truth"/"file"; path = "none.npy"/' "$cfg" >"$work/none.cfg"
run "$PUDLE" train "$work/none.cfg" --out "$work/kept" --quiet --force
refuses 2 "none.npy" "and so is one that the config names"
{ ls -A "$work/kept"; sha256sum "$work/kept"/*; } >"$work/after"
cmp -s "$work/before" "$work/after"
ok $? "the old run is whole"
sed "s/noise = 0.1;//; s|\"truth\"|\"file\"; path = \"$work/kept/dictionary.npy\"|" "$cfg" >"$work/file.cfg"
run "$PUDLE" train "$work/file.cfg" --out "$work/kept" --quiet --force
is_success "--force may begin from the dictionary of the run it replaces"
cp "$work/whole/dictionary.npy" "$work/start.npy"
sed "s/noise = 0.1;//; s|\"truth\"|\"file\"; path = \"$work/start.npy\"|" "$cfg" >"$work/file.cfg"
run "$PUDLE" train "$work/file.cfg" --out "$work/kept2" --quiet
cmp -s "$work/kept/dictionary.npy" "$work/kept2/dictionary.npy"
ok $? "and ends where a copy of it leads"

# ---- --force replaces all of an old run
cp -r "$work/whole" "$work/forced"
touch "$work/forced/thresholds.npz" "$work/forced/dictionary_2.npy" "$work/forced/manifest.1.json"
run "$PUDLE" train "$cfg" --out "$work/forced" --quiet --force
is_success "--force"
same "$work/forced" "the same bits"
[ ! -e "$work/forced/thresholds.npz" ] && [ ! -e "$work/forced/dictionary_2.npy" ] && [ ! -e "$work/forced/manifest.1.json" ]
ok $? "results that the new run does not have are gone"
run "$PUDLE" train "$cfg" --out "$work/forced" --resume --force
refuses 2 "give one of them" "--resume and --force together are refused"

# ---- --force, interrupted after the new config was written and before the old checkpoint went
run "$PUDLE" train "$cfg" --out "$work/other" --quiet --set prox.lambda=0.4
for how in "$cfg --out" ""; do
    rm -rf "$work/between"
    cp -r "$work/other" "$work/between"
    cp "$work/whole/config.cfg" "$work/between/"
    run "$PUDLE" train $how "$work/between" --resume
    [ "$status" -eq 0 ] && grep -q "discarded" "$work/err"
    ok $? "the checkpoint of the old run is discarded with a note (train ${how:-RUN})"
    same "$work/between" "and the new one has its own bits"
done
# ... and after it went, with the metrics that go before it
rm "$work/between/checkpoint.safetensors" "$work/between/metrics.csv"
run "$PUDLE" train "$work/between" --resume --quiet
same "$work/between" "without a checkpoint, the run begins anew"
rm "$work/between/checkpoint.safetensors"
before=$(sha256sum <"$work/between/dictionary.npy")
run "$PUDLE" train "$work/between" --resume
refuses 2 "metrics.csv tells of updates, and there is no checkpoint.safetensors to go on from" "but not where somebody has taken the checkpoint away"
[ "$(sha256sum <"$work/between/dictionary.npy")" = "$before" ]
ok $? "and what is there stays"

# ---- stopped before config.cfg
mkdir "$work/early"
touch "$work/early/.lock"
run "$PUDLE" train "$work/early" --resume
refuses 2 "pudle train CONFIG --out $work/early --resume" "a run without config.cfg says how to go on"
cp "$work/whole/manifest.json" "$work/early"
run "$PUDLE" train "$cfg" --out "$work/early" --resume --quiet
same "$work/early" "and goes on so"

# ---- torn files
cp -r "$work/whole" "$work/torn"
for name in config.cfg.tmp-12-0 checkpoint.safetensors.tmp-99999-17 dictionary_4.npy.tmp-1-1 manifest.2.json.tmp-1-1; do
    echo torn >"$work/torn/$name"
done
touch "$work/torn/notes.tmp-1-1" "$work/torn/config.cfg.tmp-x-1" "$work/torn/config.cfg.tmp-1-1.bak"
run "$PUDLE" train "$work/torn" --resume --quiet
is_success "a finished run is resumed"
[ "$(ls "$work/torn" | grep -c tmp-)" -eq 3 ]
ok $? "what a killed process left of our files is removed, and nothing else"
same "$work/torn" "its results are the same"

# ---- the same config or not
run "$PUDLE" train "$cfg" --out "$work/whole" --resume --quiet --set prox.lambda=0.3 --set train.seed=2
refuses 2 "prox.lambda = 0.2, and now it is 0.3" "another config names the key and both values"
grep -q "train.seed = 1, and now it is 2" "$work/err"
ok $? "each of them"
grep -q -- "--force" "$work/err"
ok $? "and the ways out"
run "$PUDLE" train "$cfg" --out "$work/whole" --resume --quiet --set model.layers=6
refuses 2 "model.layers = 5, and now it is 6" "an integer, too"
cp -r "$work/whole" "$work/older"
sed -i -e '/weight_decay/d' -e '/channel_divisor/d' -e '/learn = /d' -e 's/^\( *\)beta1.*/\1\/\/ a comment/' "$work/older/config.cfg"
run "$PUDLE" train "$cfg" --out "$work/older" --resume --quiet
is_success "a config.cfg without options that are at their defaults is the same"
run "$PUDLE" train "$cfg" --out "$work/older" --resume --quiet --set train.log_every=2 --set train.checkpoint_every=5 --set train.epochs=6 \
    --set train.snapshot_every=3
is_success "limits and logging may change"
run "$PUDLE" train "$cfg" --out "$work/longer" --quiet --set train.epochs=6
cmp -s "$work/older/dictionary.npy" "$work/longer/dictionary.npy" && cmp -s "$work/older/checkpoint.safetensors" "$work/longer/checkpoint.safetensors"
ok $? "a run that was made longer has the bits of one that was long from the start"
run "$PUDLE" train "$cfg" --out "$work/cosine" --quiet --set train.schedule=cosine
run "$PUDLE" train "$cfg" --out "$work/cosine" --quiet --set train.schedule=cosine --resume --set train.epochs=6
refuses 2 'train.epochs = 4, and now it is 6: schedule = "cosine" spreads the rates over all epochs' "but not the epochs that a cosine spans, and that is why"

# ---- finished or not
end="--set train.normalize_at=end"
run "$PUDLE" train "$cfg" --out "$work/end" --quiet $end
run "$PUDLE" train "$cfg" --out "$work/end" --quiet $end --resume --set train.epochs=6
refuses 2 "normalised at the end" "a finished run that normalises at the end is not made longer"
run "$PUDLE" train "$cfg" --out "$work/end" --quiet $end --resume --set train.epochs=2
is_success "fewer epochs than were done: nothing to do"
grep -q "were done before" "$work/out"
ok $? "and it says so"
cat >"$work/slow.cfg" <<'END'
backend: { name = "ref"; };
data:    { name = "synthetic"; samples = 2000; features = 40; atoms = 60; sparsity = 2; seed = 3; };
model:   { dictionary: { atoms = 60; init = "truth"; noise = 0.1; }; layers = 10; step = 0.2; gradient = "ae"; };
prox:    { name = "soft_threshold"; lambda = 0.2; };
loss:    { name = "least_squares"; };
train:   { learning_rate = 1e-2; epochs = 100000; batch = 50; seed = 1; normalize_at = "end"; };
END
"$PUDLE" train "$work/slow.cfg" --out "$work/slow" --quiet >/dev/null 2>&1 &
pid=$!
tries=0
until [ "$(grep -c . "$work/slow/metrics.csv" 2>/dev/null)" -gt 5 ] 2>/dev/null || [ $tries -gt 200 ]; do
    sleep 0.05
    tries=$((tries + 1))
done
kill -TERM $pid
wait $pid
done_updates=$(sed -n 's/^interrupted after \([0-9]*\) updates.*/\1/p' "$work/slow/run.log")
[ -n "$done_updates" ]
ok $? "the log says where a run was interrupted"
# the config that --set overruled when the run began would end it long before where it is
cp "$work/slow/config.cfg" "$work/config-before"
run "$PUDLE" train "$work/slow.cfg" --out "$work/slow" --quiet --resume --set train.updates=1
refuses 2 "has done $done_updates updates and is not at its end" "a resume does not end a run before where it is"
cmp -s "$work/slow/config.cfg" "$work/config-before"
ok $? "and leaves its limits as they were"
grep -q -- "to end it where it is, that with --set train.updates=$done_updates" "$work/err"
ok $? "and what it advises is what is done below"
# what SIGTERM in the last update leaves: all updates done, but not the end
run "$PUDLE" train "$work/slow" --resume --quiet --set train.updates="$done_updates"
run "$PUDLE" train "$work/slow.cfg" --out "$work/short" --quiet --set train.updates="$done_updates"
cmp -s "$work/slow/dictionary.npy" "$work/short/dictionary.npy" && cmp -s "$work/slow/checkpoint.safetensors" "$work/short/checkpoint.safetensors"
ok $? "a run stopped in its last update is finished when resumed: normalised at the end"
[ "$(awk -F, 'NR > 2 && $NF < last { bad = 1 } { last = $NF } END { print bad + 0 }' "$work/slow/metrics.csv")" -eq 0 ]
ok $? "seconds go on after a resume"

# ---- test samples, looked at on the way
sed 's/seed = 3; }/seed = 3; test_samples = 70; }/; s|step = 0.2|step = "1/L"|' "$cfg" >"$work/test.cfg"
run "$PUDLE" train "$work/test.cfg" --out "$work/unlooked" --quiet
run "$PUDLE" train "$work/test.cfg" --out "$work/looked" --quiet --set train.test_every=2
[ "$status" -eq 0 ] && [ "$(cut -d, -f 1,2 "$work/looked/test.csv" | tr '\n' ' ')" = "update,epoch 0,0 14,2 28,4 " ] && [ ! -e "$work/unlooked/test.csv" ]
ok $? "a row before the first epoch, and after every second"
cmp -s "$work/unlooked/dictionary.npy" "$work/looked/dictionary.npy" && [ "$(sed 's/,[^,]*$//' "$work/unlooked/metrics.csv")" = "$(sed 's/,[^,]*$//' "$work/looked/metrics.csv")" ]
ok $? "what is learned does not depend on it"
wanted=$("$PUDLE" evaluate "$work/looked" --split test | sed -n 's/^loss=//p')
awk -F, -v want="$wanted" 'END { d = $3 / want - 1; exit !(d < 1e-6 && d > -1e-6) }' "$work/looked/test.csv" && grep -q "^mean loss of the test samples: " "$work/out"
ok $? "the last row is what evaluate finds"
run "$PUDLE" train "$work/test.cfg" --out "$work/parts" --quiet --set train.test_every=2 --set train.updates=17
[ "$(tail -n 1 "$work/parts/test.csv" | cut -d, -f 1,2)" = "17,2" ]
ok $? "and at the end of a run that ends within an epoch"
run "$PUDLE" train "$work/test.cfg" --out "$work/cut" --quiet --set train.test_every=2 --set train.checkpoint_every=11 --set train.updates=25
head -n 3 "$work/looked/test.csv" >"$work/rows"
tail -n 1 "$work/cut/test.csv" >>"$work/rows" # as the run was: at its end
tail -n 1 "$work/looked/test.csv" >>"$work/rows"
run "$PUDLE" train "$work/test.cfg" --out "$work/cut" --quiet --set train.test_every=2 --set train.checkpoint_every=11 --resume
cmp -s "$work/rows" "$work/cut/test.csv" && cmp -s "$work/cut/dictionary.npy" "$work/looked/dictionary.npy"
ok $? "a resume keeps its rows and goes on with them"
run "$PUDLE" train "$work/test.cfg" --out "$work/normal" --quiet --set train.test_every=1 --set train.normalize_at=end
wanted=$("$PUDLE" evaluate "$work/normal" --split test | sed -n 's/^loss=//p')
awk -F, -v want="$wanted" 'END { d = $3 / want - 1; exit !(d < 1e-6 && d > -1e-6) }' "$work/normal/test.csv" &&
    [ "$(cut -d, -f 1 "$work/normal/test.csv" | tr '\n' ' ')" = "update 0 7 14 21 28 " ]
ok $? "the last row is of atoms as they are written, normalised"
run "$PUDLE" train "$work/unlooked" --quiet --resume --set train.test_every=1
[ "$status" -eq 0 ] && [ "$(cut -d, -f 1,2 "$work/unlooked/test.csv" | tr '\n' ' ')" = "update,epoch 28,4 " ]
ok $? "a finished run is looked at when that is asked for"
"$PUDLE" train "$work/test.cfg" --out "$work/twice" --quiet --set train.test_every=3 --set train.updates=10 >/dev/null 2>&1
rm "$work/twice/dictionary.png" && mkdir "$work/twice/dictionary.png"
for try in 1 2; do run "$PUDLE" train "$work/twice" --resume --quiet --set train.updates=17; done
[ "$status" -eq 1 ] && rmdir "$work/twice/dictionary.png" && run "$PUDLE" train "$work/twice" --resume --quiet --set train.updates=17
[ "$status" -eq 0 ] && [ "$(cut -d, -f 1 "$work/twice/test.csv" | tr '\n' ' ')" = "update 0 10 17 " ]
ok $? "a row at the end stands once, however often the end is tried"
cp -r "$work/whole" "$work/users" && echo 'a,b' >"$work/users/test.csv"
run "$PUDLE" train "$work/test.cfg" --out "$work/users" --force --quiet
refuses 2 "test.csv is of no run" "a test.csv of the user's is not overwritten"
[ "$(cat "$work/users/test.csv")" = "a,b" ] && [ -e "$work/users/checkpoint.safetensors" ]
ok $? "and nothing else"
run "$PUDLE" train "$cfg" --out "$work/testless" --quiet --set train.test_every=1
refuses 2 "train.test_every = 1 wants test samples" "a source without test samples is refused"
run "$PUDLE" check "$cfg" --set train.test_every=1
refuses 2 "train.test_every = 1 wants test samples" "by check, too"

# ---- learned levels
run "$PUDLE" train "$cfg" --out "$work/levels" --quiet --set prox.learn=atom --set loss.code_l1=0.2
grep -q '^learned step\*lambda: [0-9.e-]* in the mean of 15, [0-9]* of them 0 (lambda [0-9.e-]* at the step [0-9.e-]*)$' "$work/out" && head -n 1 "$work/levels/metrics.csv" | grep -q ',prox.lambda,seconds$' &&
    awk -F, 'NF != 13 || (NR > 1 && $12 == "") { bad = 1 } END { exit bad }' "$work/levels/metrics.csv"
ok $? "learned levels have a column of their own, and are reported"
[ "$(sed -n 's/^learned step.lambda: \([^ ]*\) .*/\1/p' "$work/out")" = "$(awk -F, 'END { printf "%.6g", $12 }' "$work/levels/metrics.csv")" ]
ok $? "as they are at the end"
[ "$(sed -n 's/^learned .*(lambda \(.*\) at the step.*/\1/p' "$work/out")" = "$(awk -F, 'END { printf "%.6g", $12 / $9 }' "$work/levels/metrics.csv")" ] &&
    grep -q '(lambda [0-9.e-]* at the step' "$work/levels/run.log"
ok $? "and as lambda, over the step"
run "$PUDLE" train "$cfg" --out "$work/steps" --quiet --set prox.learn=global --set loss.code_l1=0.2 --set model.learn_step=layer --set model.step=0.1 --set model.encoder=analysis
[ "$status" -eq 0 ] && grep -q '^learned step\*lambda: [0-9.e-]*$' "$work/out"
ok $? "which layers with steps of their own have no one of"
run "$PUDLE" train "$cfg" --out "$work/plain" --quiet --unset prox.lambda --set prox.name=jumprelu --set prox.threshold=0.1 --set prox.learn=global --set loss.code_l1=0.2
[ "$status" -eq 0 ] && grep -q '^learned threshold: [0-9.e-]*$' "$work/out"
ok $? "a level that does not scale with the step is the option itself"
sed -i 's/,[^,]*\(,[^,]*\)$/\1/' "$work/levels/metrics.csv" # as a version without them has left it
seconds=$(sed -n 2p "$work/levels/metrics.csv" | sed 's/.*,//')
run "$PUDLE" train "$work/levels" --quiet --resume --set train.epochs=5
[ "$status" -eq 0 ] && [ "$(sed -n 2p "$work/levels/metrics.csv" | cut -d, -f 12-)" = ",$seconds" ] &&
    awk -F, 'NF != 13 || (NR > 30 && $12 == "") { bad = 1 } END { exit bad }' "$work/levels/metrics.csv"
ok $? "rows of before stay, with an empty cell"
run "$PUDLE" train "$cfg" --out "$work/zero" --quiet --set prox.name=elastic_net --set prox.mu=0 --set prox.learn=global --set loss.code_l1=0.2
[ "$status" -eq 0 ] && ! grep -q "learned down" "$work/err"
ok $? "a level that was 0 from the start was not learned away"
run "$PUDLE" train "$cfg" --out "$work/nothing" --quiet --set prox.learn=global --set train.epochs=200
[ "$status" -eq 0 ] && grep -q "prox.lambda has been learned down to 0, 1 of 1" "$work/err" && grep -q "learned down to 0" "$work/nothing/run.log"
ok $? "a level that is learned away is said to be"

# ---- another run from this one; a config that was edited
run "$PUDLE" train "$work/whole" --resume --set train.learning_rate=1e-3
refuses 2 "model.dictionary.path=$work/whole/dictionary.npy" "a change that cannot be resumed with comes with a way to go on"
run "$PUDLE" train "$work/whole" --out "$work/next" --quiet --set train.learning_rate=1e-3 --set model.dictionary.init=file --unset model.dictionary.noise \
    --set model.dictionary.path="$work/whole/dictionary.npy"
[ "$status" -eq 0 ] && [ "$(tail -n 1 "$work/whole/metrics.csv" | cut -d, -f 11)" = "$(sed -n 2p "$work/next/metrics.csv" | cut -d, -f 11)" ]
ok $? "a run's config in another folder, from the dictionary it ended with"
cp -r "$work/whole" "$work/edited"
sed -i 's/lambda = 0.2/lambda = 0.3/' "$work/edited/config.cfg"
run "$PUDLE" evaluate "$work/edited"
[ "$status" -eq 0 ] && grep -q "has been edited since the run wrote it" "$work/err"
ok $? "evaluating an edited run says so"
run "$PUDLE" evaluate "$work/whole"
[ ! -s "$work/err" ]
ok $? "and that of another does not"

# ---- data that have changed
run "$PUDLE" gradient "$cfg" --out "$work/arrays" --quiet
npy="$work/arrays/code.npy"
samples() { # samples N FILE: the first N rows of the codes as an array of their own
    { printf '\223NUMPY\001\000\166\000'
      printf '%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': ($1, 15), }"
      tail -c $((200 * 15 * 4)) "$npy" | head -c $(($1 * 15 * 4)); } >"$2"
}
samples 200 "$work/x.npy"
sed -e "s|name = \"synthetic\".*|name = \"npy\"; path = \"$work/x.npy\"; };|" -e 's/init = "truth"; noise = 0.1;/init = "random";/' "$cfg" >"$work/npy.cfg"
run "$PUDLE" train "$work/npy.cfg" --out "$work/npy" --quiet --set train.updates=10
is_success "a run on an array"
samples 100 "$work/x.npy"
run "$PUDLE" train "$work/npy.cfg" --out "$work/npy" --quiet --resume
refuses 2 "has 200 training samples, and the data now have 100" "an array that became shorter is noticed"
samples 200 "$work/x.npy"
run "$PUDLE" train "$work/npy.cfg" --out "$work/npy" --quiet --resume
is_success "and with the old one the run goes on"

# ---- how long
sed 's/epochs = 4;//' "$cfg" >"$work/endless.cfg"
run "$PUDLE" check "$work/endless.cfg"
is_success "a config need not say how long to train"
run "$PUDLE" train "$work/endless.cfg" --out "$work/endless" --quiet
refuses 2 "epochs = 10;" "but to train it must"
run "$PUDLE" train "$work/endless.cfg" --out "$work/endless" --quiet --set train.updates=40
grep -q '^40 updates' "$work/out"
ok $? "updates alone is enough, however many epochs they take"

# ---- the log
grep -q "pudle .* begins $cfg" "$work/whole/run.log" && grep -q '^prox: soft_threshold ' "$work/whole/run.log" &&
    grep -q '^finished: 28 updates' "$work/whole/run.log"
ok $? "run.log has the beginning, the plugins and the end"
run "$PUDLE" train "$cfg" --out "$work/diverges" --quiet --set train.learning_rate=1e30 --set train.normalize=false --set train.optimizer=sgd
[ "$status" -eq 1 ] && grep -q '^error: ' "$work/diverges/run.log"
ok $? "and the errors"

# ---- plugins
mkdir -p "$work/plugins/prox"
cp "$top_builddir/abi1/prox/soft_threshold.so" "$work/plugins/prox/moved.tmp" && mv "$work/plugins/prox/moved.tmp" "$work/plugins/prox/soft_threshold.so"
run "$PUDLE" train "$cfg" --plugin-path "$work/plugins" --out "$work/path" --quiet --set train.updates=5
is_success "a run with --plugin-path"
grep -qF "plugin_path = \"$work/plugins\";" "$work/path/config.cfg"
ok $? "the folder is in config.cfg"
mkdir -p "$work/rest"
cp -rL "$top_builddir/abi1/." "$work/rest"
rm "$work/rest/prox/soft_threshold.so"
run env PUDLE_PLUGIN_PATH="$work/rest" "$PUDLE" train "$work/path" --resume --quiet --set train.updates=8
is_success "a resume finds its plugins without the option"
run "$PUDLE" train "$work/path" --resume --quiet --plugin-path "$work/plugins" --set train.updates=9
grep -qF "plugin_path = \"$work/plugins\";" "$work/path/config.cfg"
ok $? "and does not add a folder twice"
printf 'rebuilt' >>"$work/plugins/prox/soft_threshold.so"
run "$PUDLE" train "$work/path" --resume --quiet --plugin-path "$work/plugins" --set train.updates=12
[ "$status" -eq 0 ] && grep -q 'warning: .*plugin prox "soft_threshold" is not the file' "$work/err" &&
    grep -q 'is not the file' "$work/path/run.log"
ok $? "a plugin that was rebuilt is a warning"
[ -s "$work/path/manifest.1.json" ] && ! cmp -s "$work/path/manifest.1.json" "$work/path/manifest.json"
ok $? "and the old manifest is kept"
run "$PUDLE" train "$work/path" --resume --quiet --plugin-path "$work/plugins" --set train.updates=13
[ "$status" -eq 0 ] && [ ! -s "$work/err" ] && [ ! -e "$work/path/manifest.2.json" ]
ok $? "said once"

# ---- the lock
if command -v flock >/dev/null 2>&1; then
    flock "$work/whole/.lock" sleep 2 >/dev/null 2>&1 &
    sleep 0.3
    run "$PUDLE" train "$work/whole" --resume
    [ "$status" -eq 0 ] && [ "$(grep -c 'waiting up to 10 s' "$work/err")" -eq 1 ]
    ok $? "a process that is going away is waited for, and that is said once"
    wait
    flock "$work/whole/.lock" sleep 14 >/dev/null 2>&1 &
    pid=$!
    sleep 0.3
    run "$PUDLE" train "$work/whole" --resume --quiet
    refuses 1 "another run is writing there" "one that stays is not"
    kill $pid
fi
done_testing
