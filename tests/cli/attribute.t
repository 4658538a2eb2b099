#!/bin/sh
# pudle attribute: at rest a dictionary is the sum of its samples; tables and pictures of what was asked for; refusals before anything runs.
. "$top_srcdir/tests/cli/tap.sh"

cat >"$work/rest.cfg" <<'END'
precision = "f64";
data:  { name = "synthetic"; samples = 300; test_samples = 20; features = 9; atoms = 15; sparsity = 2; seed = 3; noise_std = 0.05; };
model: { dictionary: { atoms = 15; init = "truth"; noise = 0.1; }; layers = 60; step = 0.2; gradient = "dec"; };
prox:  { name = "soft_threshold"; lambda = 0.2; };
loss:  { name = "least_squares"; };
train: { optimizer = "adam"; learning_rate = 1e-2; schedule = "cosine"; epochs = 1500; normalize = false; weight_decay = 0.01; seed = 1; log_every = 1500; };
END
figure() { # of standard output
    sed -n "s/^$1=//p" "$work/out"
}
below() { # VALUE BOUND
    awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && a + 0 < b + 0) }'
}

run "$PUDLE" train "$work/rest.cfg" --out "$work/run" --quiet
is_success "a dictionary comes to rest"
run "$PUDLE" attribute "$work/run" --out "$work/found"
is_success "attribute"
[ "$(figure samples)" = 300 ] && [ "$(figure omega)" = 3 ]
ok $? "omega is the number of samples times the weight decay"
below "$(figure identity_error)" 1e-9
ok $? "the dictionary is X G Z': Theorem 5.1 ($(figure identity_error))"
run "$PUDLE" compare "$work/run/dictionary.npy" "$work/found/estimate.npy" --rtol 1e-9 --atol 0
is_success "and estimate.npy is that sum"
[ ! -e "$work/found/samples.csv" ] && [ ! -e "$work/found/samples.png" ] && [ -s "$work/found/atoms.png" ]
ok $? "nothing is said of codes that were not asked about"
[ "$(wc -l <"$work/found/atoms.csv")" -eq 16 ] && [ "$(grep -c '^4,' "$work/found/contributions.csv")" -eq 20 ]
ok $? "a line for each atom, and ten samples from either end"
awk -F, 'NR > 1 && $1 == 4 { if ($2 > 0 ? $5 <= 0 : $5 >= 0) exit 1; if ($2 > 1 && $5 > last) exit 1; last = $5 }' "$work/found/contributions.csv"
ok $? "the largest weights first, by sign"

# ---- leaving a sample out
first=$(awk -F, '$1 == 4 && $2 == 1 { print $3 }' "$work/found/contributions.csv")
share=$(awk -F, '$1 == 4 && $2 == 1 { print $6 }' "$work/found/contributions.csv")
[ -n "$first" ] && below 0 "$share"
ok $? "what leaving sample $first out would change is told ($share)"

# ---- codes that are asked about
run "$PUDLE" attribute "$work/run" --out "$work/asked" --split test --samples 5,0 --top 3 --atoms 2,0
is_success "test samples"
[ "$(figure explained)" = 20 ] && [ "$(wc -l <"$work/asked/samples.csv")" -eq 21 ]
ok $? "a line for every one"
[ "$(cut -d, -f1 "$work/asked/sample_contributions.csv" | sort -u | tr '\n' ' ')" = "0 5 sample " ] && [ "$(grep -c '^5,beta' "$work/asked/sample_contributions.csv")" -eq 6 ]
ok $? "--samples and --top choose what is explained at length"
[ "$(awk -F, '$1 == 5 { n += $4 } END { print n }' "$work/asked/code_similarity.csv")" -le 300 ] && [ -s "$work/asked/samples.png" ]
ok $? "similarities of codes are counted, and drawn"
run "$PUDLE" attribute "$work/run" --out "$work/own" --split train --samples 7 --top 1
is_success "training samples"
awk -F, '$2 == "code" && $3 == 1 { found = $4 == 7 && $6 > 0.999999 } END { exit !found }' "$work/own/sample_contributions.csv"
ok $? "the code most like that of sample 7 is its own"

run "$PUDLE" attribute "$work/run" --out "$work/own"
[ "$status" -eq 0 ] && [ ! -e "$work/own/samples.csv" ] && [ ! -e "$work/own/samples.png" ]
ok $? "what an earlier call said of samples does not stay beside new atoms"

# ---- the same on any backend, in single precision, and from a config
run "$PUDLE" attribute "$work/run" --out "$work/ref" --set backend.name=ref
is_success "backend ref"
run "$PUDLE" compare "$work/ref/estimate.npy" "$work/found/estimate.npy" --rtol 1e-9 --atol 0
is_success "the same estimate"
run "$PUDLE" attribute "$work/rest.cfg" --out "$work/start" --set precision=f32
is_success "a config, in single precision"
grep -q 'are .* % apart' "$work/err"
ok $? "a dictionary that is not at rest is told"

# ---- what is refused
refuse() { # PHRASE DESCRIPTION ARGUMENT...
    phrase=$1 told=$2
    shift 2
    run "$PUDLE" attribute "$@"
    refuses 2 "$phrase" "$told"
}
refuse "--out DIR" "without --out" "$work/run"
refuse "there is no atom 15: there are 15" "an atom that is not there" "$work/run" --out "$work/no" --atoms 3,15
refuse "there is no sample 20" "a sample that is not there" "$work/run" --out "$work/no" --split test --samples 20
refuse "of which samples" "--samples of nothing" "$work/run" --out "$work/no" --samples 2
refuse "with commas" "what is no list" "$work/run" --out "$work/no" --atoms 3,,4
refuse "with commas" "a list that ends in a comma" "$work/run" --out "$work/no" --atoms 3,
refuse "from 1 to" "--top 0" "$work/run" --out "$work/no" --top 0
refuse "not negative" "a negative omega" "$work/run" --out "$work/no" --omega -1
refuse "a sum of squares" "a loss that is none" "$work/rest.cfg" --out "$work/no" --set loss.name=huber
printf '\223NUMPY\001\000v\000' >"$work/w.npy"
printf "%-117s\n" "{'descr': '|u1', 'fortran_order': False, 'shape': (9,), }" >>"$work/w.npy"
printf '\004\004\004\004\004\004\004\004\004' >>"$work/w.npy"
refuse "all of the same weight" "squares that are weighted" "$work/rest.cfg" --out "$work/no" --set loss.name=weighted_least_squares --set loss.path="$work/w.npy"
refuse "dictionary is a matrix" "filters" "$work/rest.cfg" --out "$work/no" --set model.dictionary.kind=conv --set 'model.dictionary.size=[3]' \
    --set 'data.shape=[1,9]' --set model.dictionary.init=random --unset model.dictionary.noise
[ ! -e "$work/no" ]
ok $? "and nothing was made"
refuse "there is no folder" "--out that is a file" "$work/run" --out "$work/run/dictionary.npy"
sed 's/atoms = 15; init = "truth"; noise = 0.1;/atoms = 40; init = "random";/' "$work/rest.cfg" >"$work/many.cfg"
run "$PUDLE" attribute "$work/many.cfg" --out "$work/many" --omega 0 --set prox.lambda=1.5 --set data.samples=20
refuses 1 "give a larger one" "omega 0 with atoms that no sample uses"
done_testing
