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
done_testing
