#!/bin/sh
# `pudle bench`: a line for each case, numbers that fit together, on any backend; mistakes before anything is measured.
. "$top_srcdir/tests/cli/tap.sh"

config() { # GRADIENT BATCH
    cat <<END
data:  { name = "synthetic"; samples = 50; features = 12; atoms = 20; sparsity = 2; };
model: { dictionary: { atoms = 20; init = "truth"; noise = 0.02; }; layers = 7; step = 0.2; gradient = "$1"; };
prox:  { name = "soft_threshold"; lambda = 0.2; };
loss:  { name = "least_squares"; };
train: { learning_rate = 1e-3; batch = $2; };
END
}
config ae 16 >"$work/deep.cfg"
config dec 0 >"$work/flat.v2.cfg"
header=case,backend,threads,precision,features,atoms,layers,batch,density,update_ms,update_min_ms,update_spread,updates_per_s,forward_ms,forward_min_ms,forward_spread,gflops,gb_s,peak_mb,gemm_gflops,bandwidth_gb_s,share,bound_ms,device_mb
# cell CASE COLUMN: of the last CSV
cell() {
    awk -F, -v name="$1" -v column="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) at = i } $1 == name { print $at }' "$work/r.csv"
}

run "$PUDLE" bench "$work/deep.cfg" "$work/flat.v2.cfg" --runs 3 --csv "$work/r.csv" --set backend.threads=1
is_success 'two cases'
[ "$(head -n 1 "$work/r.csv")" = "$header" ]
ok $? 'the CSV has its header'
[ "$(cut -d, -f1 "$work/r.csv" | tr '\n' ' ')" = 'case deep flat.v2 ' ]
ok $? '... and a line for each case, by the name of its file'
awk -F, 'NR > 1 { if (NF != 24) exit 1; for (i = 5; i <= NF; i++) if ($i !~ /^[0-9.]+(e[-+][0-9]+)?$/) exit 1 }' "$work/r.csv"
ok $? '... of numbers that are finite and not negative'
[ "$(cell deep features),$(cell deep atoms),$(cell deep layers),$(cell deep batch),$(cell flat.v2 batch)" = 12,20,7,16,50 ]
ok $? 'sizes are those of the configs; batch = 0 is all samples'
[ "$(cell deep backend),$(cell deep threads),$(cell deep precision)" = "$(cell flat.v2 backend),1,f32" ]
ok $? 'backend, threads and precision likewise'
awk -v u="$(cell deep update_ms)" -v least="$(cell deep update_min_ms)" -v per="$(cell deep updates_per_s)" -v g="$(cell deep gflops)" \
    -v share="$(cell deep share)" -v top="$(cell deep gemm_gflops)" -v d="$(cell deep density)" 'BEGIN {
        flops = 2 * 16 * 20 * 12 * (2 * 7 + 2 + 1 + 4 * 7)
        exit !(u > 0 && least <= u && per * u / 1000 > 0.999 && per * u / 1000 < 1.001 && g * u * 1e6 / flops > 0.99 && g * u * 1e6 / flops < 1.01 &&
               share / (g / top) > 0.99 && share / (g / top) < 1.01 && d > 0 && d <= 1) }'
ok $? 'times, rates, share and density fit together, and the dense work is what docs/bench.md says'
awk -v u="$(cell flat.v2 update_ms)" -v g="$(cell flat.v2 gflops)" 'BEGIN { r = g * u * 1e6 / (2 * 50 * 20 * 12 * (2 * 7 + 2)); exit !(r > 0.99 && r < 1.01) }'
ok $? '... also without layers that are differentiated'
grep -q '^flat.v2 ' "$work/out"
ok $? 'the table names the cases'
sed 's/features = 12;/features = 12; shape = [1, 12];/; s/atoms = 20; init = "truth"; noise = 0.02;/kind = "conv"; atoms = 5; size = [3]; init = "random";/' "$work/deep.cfg" >"$work/filters.cfg"
run "$PUDLE" bench "$work/filters.cfg" --runs 3 --csv "$work/r.csv"
is_success 'filters'
awk -v u="$(cell filters update_ms)" -v g="$(cell filters gflops)" 'BEGIN { r = g * u * 1e6 / (2 * 16 * 50 * 3 * (2 * 7 + 2 + 1 + 4 * 7)); exit !(r > 0.99 && r < 1.01) }'
ok $? '... whose products take as many multiplications as a filter has entries'
run "$PUDLE" bench "$work/deep.cfg" --runs 1 --csv "$work/r.csv" --set backend.name=ref --set precision=f64
is_success 'another backend in double'
[ "$(cell deep backend),$(cell deep threads),$(cell deep precision),$(cell deep update_spread)" = ref,1,f64,0 ]
ok $? '... one repetition, so no spread'
run "$PUDLE" bench "$work/deep.cfg" --seconds 0.01
is_success 'a short measurement needs no file'

# ---- mistakes
rm -f "$work/r.csv"
sed 's/layers = 7/layers = -7/' "$work/deep.cfg" >"$work/bad.cfg"
run "$PUDLE" bench "$work/deep.cfg" "$work/bad.cfg" --csv "$work/r.csv"
refuses 2 'bad.cfg' 'a wrong config among others'
[ ! -e "$work/r.csv" ] && ! grep -q '^deep' "$work/out"
ok $? '... before anything is measured'
run "$PUDLE" bench "$work/deep.cfg" --set train.batch=51
refuses 2 'only 50 samples' 'a batch larger than the data'
run "$PUDLE" bench "$work/none.cfg"
refuses 2 'none.cfg' 'a config that is not there'
run "$PUDLE" bench
refuses 2 'an argument is missing' 'no config'
for bad in 0 -1 1.5 x ''; do
    run "$PUDLE" bench "$work/deep.cfg" --runs "$bad"
    refuses 2 '--runs' "--runs '$bad'"
done
for bad in 0 -1 x inf nan; do
    run "$PUDLE" bench "$work/deep.cfg" --seconds "$bad"
    refuses 2 '--seconds' "--seconds $bad"
done
run "$PUDLE" bench "$work/deep.cfg" --runs 1 --seconds 1
refuses 2 'give one of them' 'both limits'
run "$PUDLE" bench "$work/deep.cfg" --runs 1 --csv "$work/none/r.csv"
refuses 2 'none/r.csv' 'a folder that is not there'
run "$PUDLE" bench "$work/deep.cfg" "$work/flat.v2.cfg" --runs 3 --csv "$work/r.csv" --set train.optimizer=sgd --set train.learning_rate=1e200
[ "$status" -eq 1 ] && grep -q 'deep.cfg: not measured' "$work/err" && grep -q 'flat.v2.cfg: not measured' "$work/err"
ok $? 'cases that diverge are named, and the others go on'
run "$PUDLE" bench --help
grep -q 'Every CONFIG is a case' "$work/out"
is_success 'help says what a case is'
done_testing
