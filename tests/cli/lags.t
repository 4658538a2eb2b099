#!/bin/sh
# Filters are compared at the lags that suit them best: by compare, with the matches in a file, and by sweep, with what chance would give in the same way.
. "$top_srcdir/tests/cli/tap.sh"

minus='\000\000\000\000\000\000\000\300' # -2
near() { # near A B: the same number but for rounding
    awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(a != "" && b != "" && d * d <= 1e-8) }'
}
figure() { # figure LINE NAME: of the last comparison
    sed -n "s/^$1.*[ |]$2=\([^ ,]*\).*/\1/p" "$work/out"
}

# ---- compare: (0 1 2 0 0) and (0 0 1 0 -2) against (0 -2 0 1 0), on which the second lies with half of its entries wrong, and against the first moved by 2
doubles "$work/a.npy" '2, 1, 5' $zero $one $two $zero $zero $zero $zero $one $zero $minus
doubles "$work/b.npy" '2, 1, 5' $zero $minus $zero $one $zero $zero $zero $zero $one $two
run "$PUDLE" compare "$work/a.npy" "$work/b.npy" --dictionary --csv "$work/matches.csv"
is_success "filters of signals"
grep -qx '2 filters of length 5, channels: 1' "$work/out"
ok $? "it says what the arrays were taken for"
near "$(figure 'atoms that agree' '|cosine| mean')" 0.6
ok $? "the plain measure is there as it was"
near "$(figure '... at the best lags' '|correlation| mean')" 0.9
ok $? "and that of filters"
grep -q '2 of 2 are moved, by up to 2$' "$work/out"
ok $? "with how far they are moved"
printf 'atom,match,sign,lag,cosine\n0,1,-1,-1,0.8\n1,0,1,2,1\n' >"$work/wanted"
sed -i 's/0\.8000*[0-9]*$/0.8/' "$work/matches.csv"
diff "$work/wanted" "$work/matches.csv" >"$work/diff" || diag "$work/diff"
cmp -s "$work/wanted" "$work/matches.csv"
ok $? "matches, signs and lags are written"
doubles "$work/c.npy" '2, 1, 5' $zero $zero $one $two $zero $zero $one $zero $minus $zero
run "$PUDLE" compare "$work/a.npy" "$work/c.npy" --dictionary --rtol 1e-9
[ "$status" -eq 0 ] && grep -q '^agree: ||D-D\*||, best order, signs and lags, <=' "$work/out"
ok $? "filters that are moved agree within a tolerance, and it says of what"
doubles "$work/p.npy" '1, 1, 3, 3' $zero $zero $zero $zero $one $two $zero $zero $minus
doubles "$work/q.npy" '1, 1, 3, 3' $one $two $zero $zero $minus $zero $zero $zero $zero
run "$PUDLE" compare "$work/p.npy" "$work/q.npy" --dictionary --rtol 1e-9 --csv "$work/matches.csv"
[ "$status" -eq 0 ] && grep -qx '1 filters of 3 x 3, channels: 1' "$work/out" && grep -q '1 of 1 are moved, by up to 1 rows and 1 columns$' "$work/out" &&
    grep -qx '0,0,1,-1,-1,1' "$work/matches.csv" && head -n 1 "$work/matches.csv" | grep -qx 'atom,match,sign,lag_rows,lag_columns,cosine'
ok $? "and those of pictures"
doubles "$work/m.npy" '2, 2' $one $zero $zero $one
doubles "$work/n.npy" '2, 2' $zero $minus $two $zero
run "$PUDLE" compare "$work/m.npy" "$work/n.npy" --dictionary --rtol 1e-9 --csv "$work/matches.csv"
printf 'atom,match,sign,cosine\n0,1,1,1\n1,0,-1,1\n' >"$work/wanted"
[ "$status" -eq 0 ] && cmp -s "$work/wanted" "$work/matches.csv" && ! grep -q 'filters\|lags' "$work/out"
ok $? "a matrix has no lags"
doubles "$work/five.npy" '1, 1, 1, 1, 2' $one $two
run "$PUDLE" compare "$work/five.npy" "$work/five.npy" --dictionary
refuses 2 'nor filters (p, channels, length) or (p, channels, height, width)' "five axes are no filters"
run "$PUDLE" compare "$work/a.npy" "$work/b.npy" --csv "$work/matches.csv"
refuses 2 'which are found with --dictionary' "without --dictionary there are no matches"
run "$PUDLE" compare "$work/a.npy" "$work/b.npy" --dictionary --csv "$work/b.npy"
refuses 2 'would overwrite what is read' "matches do not replace what is compared"

# ---- sweep: the seeds of a chance are 0 and 1, so that runs which begin with these and do not learn agree as much
cat >"$work/run.cfg" <<'END'
backend: { name = "ref"; };
data:    { name = "synthetic"; samples = 20; features = 60; atoms = 15; sparsity = 2; seed = 3; shape = [1, 60]; };
model:   { dictionary: { kind = "conv"; atoms = 6; size = [9]; }; layers = 2; step = 0.1; };
prox:    { name = "soft_threshold"; lambda = 0.2; };
loss:    { name = "least_squares"; };
train:   { learning_rate = 1e-9; epochs = 1; batch = 20; seed = 0; };
END
for case in '|signals' '--set model.dictionary.size=[3,2] --set data.shape=[2,6,5]|pictures of two channels'; do
    rm -rf "$work/sweep"
    run "$PUDLE" sweep "$work/run.cfg" --out "$work/sweep" --seeds 2 ${case%|*}
    is_success "a sweep of filters: ${case#*|}"
    cell() { awk -F, -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i; next } { print $at }' "$work/sweep/combinations.csv"; }
    agreement=$(cell agreement_mean) chance=$(cell agreement_chance)
    near "$agreement" "$chance"
    ok $? "agreement of what has learned nothing is that of chance ($agreement, $chance)"
    "$PUDLE" compare "$work"/sweep/*seed=0/dictionary.npy "$work"/sweep/*seed=1/dictionary.npy --dictionary >"$work/out"
    near "$(figure '... at the best lags' '|correlation| mean')" "$agreement"
    ok $? "and what compare finds"
    awk -v a="$(figure 'atoms that agree' '|cosine| mean')" -v b="$agreement" 'BEGIN { exit !(a + 0.01 < b) }'
    ok $? "which is more than as they lie"
done
done_testing
