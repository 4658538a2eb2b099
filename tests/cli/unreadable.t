#!/bin/sh
# The folder of a run where something cannot be read: that is never taken for what is not there, and nothing is lost or waited for.
. "$top_srcdir/tests/cli/tap.sh"

cat >"$work/run.cfg" <<'END'
backend: { name = "ref"; };
data:    { name = "synthetic"; samples = 60; features = 6; atoms = 9; sparsity = 2; seed = 3; test_samples = 10; };
model:   { dictionary: { atoms = 9; }; layers = 3; step = 0.2; gradient = "ae"; };
prox:    { name = "soft_threshold"; lambda = 0.2; };
loss:    { name = "least_squares"; };
train:   { learning_rate = 1e-2; epochs = 4; batch = 20; seed = 1; test_every = 1; };
END
cfg=$work/run.cfg
run "$PUDLE" train "$cfg" --out "$work/whole" --quiet
is_success "a run"
part() { # part: the same run, stopped on its way
    rm -rf "$work/part"
    "$PUDLE" train "$cfg" --out "$work/part" --quiet --set train.updates=5 >/dev/null && cp -r "$work/part" "$work/before"
}

# ---- rows
for name in metrics.csv test.csv; do
    part
    rm "$work/part/$name" && ln -s "$name" "$work/part/$name" # a link to itself: not even root can open it
    run "$PUDLE" train "$cfg" --out "$work/part" --resume --quiet
    [ "$status" -ne 0 ] && grep -q "$name" "$work/err" && [ -h "$work/part/$name" ]
    ok $? "a $name that cannot be read is not replaced"
    rm "$work/part/$name" && cp "$work/before/$name" "$work/part"
    run "$PUDLE" train "$cfg" --out "$work/part" --resume --quiet
    [ "$status" -eq 0 ] && [ "$(head -n 4 "$work/part/$name")" = "$(head -n 4 "$work/before/$name")" ]
    ok $? "and when it can be, the run goes on with its rows"
    rm -r "$work/before"
done
part
{ sed -n 1,2p "$work/before/metrics.csv"; sed -n '3s/,[^,]*$/!/p' "$work/before/metrics.csv" | tr ! '\000'; sed -n 4,5p "$work/before/metrics.csv"; } >"$work/part/metrics.csv"
run "$PUDLE" train "$cfg" --out "$work/part" --resume --quiet
[ "$status" -eq 0 ] && [ "$(head -n 4 "$work/part/metrics.csv")" = "$(sed -n '1,2p;4,5p' "$work/before/metrics.csv")" ]
ok $? "a row with zero bytes is dropped, and those around it stay"
rm -r "$work/before"

# ---- the manifest
part
rm "$work/part/manifest.json" && ln -s manifest.json "$work/part/manifest.json"
run "$PUDLE" train "$cfg" --out "$work/part" --resume --quiet
refuses 1 "manifest.json: cannot open" "a manifest that cannot be read is not one that is not there"
[ -h "$work/part/manifest.json" ] && [ ! -e "$work/part/manifest.1.json" ] && cmp -s "$work/part/metrics.csv" "$work/before/metrics.csv"
ok $? "and nothing is touched"
run "$PUDLE" encode "$work/whole" --output "$work/part/dictionary.npy" --quiet
refuses 2 "manifest.json: cannot open" "nor by what would overwrite a file beside it"
rm -r "$work/before"

# ---- a checkpoint whose numbers no run has: of an update whose successor is none
cp -r "$work/whole" "$work/far"
from=$work/whole/checkpoint.safetensors to=$work/far/checkpoint.safetensors
length=$(od -An -tu8 -N8 "$from" | tr -d ' ')
header=$(tail -c +9 "$from" | head -c "$length" | sed 's/"update":"[0-9]*"/"update":"9223372036854775807"/; s/"sha256":"[0-9a-f]*"/"sha256":"DIGEST"/; s/ *$//')
zeros=0000000000000000000000000000000000000000000000000000000000000000
digest=$({ printf %s "$header" | sed "s/DIGEST/$zeros/"; tail -c +$((9 + length)) "$from"; } | sha256sum | cut -d ' ' -f 1)
header=$(printf %s "$header" | sed "s/DIGEST/$digest/")
{
    printf "$(printf '\\%03o\\%03o\\0\\0\\0\\0\\0\\0' $((${#header} % 256)) $((${#header} / 256)))"
    printf %s "$header"
    tail -c +$((9 + length)) "$from"
} >"$to"
run "$PUDLE" train "$work/far" --resume --quiet
refuses 2 "not a whole checkpoint" "is refused"

# ---- pipes, which nobody will ever write to
cp -r "$work/whole" "$work/pipes"
for name in manifest.json config.cfg run.log metrics.csv test.csv checkpoint.safetensors; do
    mv "$work/pipes/$name" "$work/kept" && mkfifo "$work/pipes/$name"
    for given in "$cfg --out" ""; do
        run timeout -s KILL 20 "$PUDLE" train $given "$work/pipes" --resume --quiet
        [ "$status" -ne 137 ] && grep -q "$name: is not a file" "$work/err"
        ok $? "a pipe in the place of $name is not waited for (train ${given:-RUN})"
    done
    rm "$work/pipes/$name" && mv "$work/kept" "$work/pipes/$name"
done
run "$PUDLE" train "$work/pipes" --resume --quiet
is_success "without pipes the run is good"

# ---- a folder that cannot be listed; root, who can list all, becomes another user
chmod 755 "$work"
other=
[ "$(id -u)" -ne 0 ] || other='setpriv --reuid=65534 --regid=65534 --clear-groups'
if $other "$PUDLE" plugins list >/dev/null 2>&1; then
    mkdir "$work/mine" && echo precious >"$work/mine/metrics.csv"
    [ -z "$other" ] || chown -R 65534 "$work/mine"
    chmod 333 "$work/mine"
    run $other "$PUDLE" train "$cfg" --out "$work/mine" --quiet
    refuses 1 "mine: the folder cannot be listed" "a folder that cannot be listed is not taken for an empty one"
    chmod 755 "$work/mine"
    [ "$(cat "$work/mine/metrics.csv")" = precious ] && [ "$(ls -A "$work/mine")" = metrics.csv ]
    ok $? "and its files are as they were"
else
    ok 0 "a folder that cannot be listed # SKIP there is no other user who may run pudle"
fi
done_testing
