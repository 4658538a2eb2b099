#!/bin/sh
# Figure 6: train convolutional filters on noisy photographs and measure them as they grow, by the PSNR on whole test pictures.
#   usage: curve.sh CONFIG OUT PHOTOS PICTURES [SAVED.csv] [OPTION]...
#   e.g.   curve.sh denoise.cfg runs/soft CBSD432 BSD68 "" --set train.seed=2 --set backend.threads=1
# PHOTOS is the folder to train on, PICTURES the one to test on; OPTIONs go to `pudle train`. PUDLE names the program (default:
# pudle). OUT becomes the run; called again with the same arguments it resumes, and measures what is there.
# EPOCHS lists the epochs to measure, rising (default "1 10 50 100 200 300 400"); the last of the run is measured in any case.
# SAVED.csv, "" for none, has rows "index,test_psnr,train_loss,train_rec": the PSNR (peak = maximum of the clean picture) after
# that many epochs, and the sum of the loss over the updates of the epoch that follows. They are printed beside ours.
# The table goes to OUT/curve.csv too.
set -eu
usage='usage: curve.sh CONFIG OUT PHOTOS PICTURES [SAVED.csv] [OPTION]...'
config=${1:?$usage}
out=${2:?$usage}
photos=${3:?$usage}
pictures=${4:?$usage}
saved=${5:-}
if [ $# -gt 5 ]; then shift 5; else shift $#; fi
pudle=${PUDLE:-pudle}
command -v "$pudle" >/dev/null || { echo "$0: there is no program $pudle: put its folder into PATH, or name it in PUDLE" >&2; exit 1; }
[ -z "$saved" ] || [ -r "$saved" ] || { echo "curve.sh: cannot read $saved" >&2; exit 2; }

"$pudle" train "$config" --out "$out" --resume --quiet --set data.path="$photos" --set data.test_path="$pictures" \
    --set train.snapshot_every=1 "$@"

# The number of a key in the resolved config, which has one key a line.
setting() {
    sed -n "s/^ *$1 = \([0-9.eE+-]*\);\$/\1/p" "$out/config.cfg" | head -n 1
}
# Column N of the saved row for an index; nothing where there is none.
expected() {
    [ -z "$saved" ] || awk -F, -v row="$1" -v n="$2" '$1 == row { print $n }' "$saved"
}

echo "epoch,psnr_max,saved_psnr_max,psnr,train_rec,saved_train_rec" >"$out/curve.csv"
printf '%6s %9s %9s %10s %9s %10s %10s\n' epoch peak_max saved difference peak_1 train_rec saved
sigma=$(setting noise)
before=0
for epoch in ${EPOCHS:-1 10 50 100 200 300 400} "$(setting epochs)"; do
    filters=$out/dictionary_$epoch.npy
    if [ "$epoch" -le "$before" ] || [ ! -e "$filters" ]; then
        continue
    fi
    before=$epoch
    figures=$("$pudle" denoise --quiet --input "$pictures" --sigma "$sigma" --config "$out/config.cfg" \
        --set model.dictionary.init=file --set model.dictionary.path="$filters")
    max=$(echo "$figures" | sed -n 's/^psnr_max=//p')
    unit=$(echo "$figures" | sed -n 's/^psnr=//p')
    rec=$(awk -F, -v epoch=$((epoch - 1)) '$2 == epoch { sum += $4 } END { printf "%.4f", sum }' "$out/metrics.csv")
    wanted=$(expected "$epoch" 2)
    wanted_rec=$(expected $((epoch - 1)) 4)
    echo "$epoch,$max,$wanted,$unit,$rec,$wanted_rec" >>"$out/curve.csv"
    awk -v e="$epoch" -v m="$max" -v w="$wanted" -v u="$unit" -v r="$rec" -v s="$wanted_rec" 'BEGIN {
        known = w != ""
        printf "%6d %9.3f %9s %10s %9.3f %10.4f %10s\n", e, m, known ? sprintf("%.3f", w) : "-",
               known ? sprintf("%+.3f", m - w) : "-", u, r, s != "" ? sprintf("%.4f", s) : "-" }'
done
