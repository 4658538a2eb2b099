#!/bin/sh
# Whisker recordings: a filter of 125 ms learned from the spikes of trials 0 to 16, and the likelihood of trials it has not seen.
#   usage: neural.sh DATA OUT [FILE...]         DATA holds whisker_*_y_u8.npy, (50 trials, 3000 ms) of 0 and 1
# For each recording two models, and the model of a constant rate beside them: its codes are zero, so that the baseline alone speaks.
#   same    codes from the trials 17 to 49 themselves: how well the learned filter describes new trials
#   other   codes from the trials 17 to 32, likelihood of the trials 34 to 49, which had the same stimulus: a prediction
# OUT/likelihood.csv holds -log likelihood per trial (half the deviance, since that of 0 and 1 known for certain is 0).
set -eu
data=${1:?usage: neural.sh DATA OUT [FILE...]}
out=${2:?usage: neural.sh DATA OUT [FILE...]}
shift 2
pudle=${PUDLE:-pudle}
command -v "$pudle" >/dev/null || { echo "$0: there is no program $pudle: put its folder into PATH, or name it in PUDLE" >&2; exit 1; }
here=$(CDPATH= cd -- "$(dirname "$0")" && pwd)
mkdir -p "$out"
[ $# -gt 0 ] || set -- "$data"/whisker_*_y_u8.npy

# Log-odds of a spike in the training trials: the file's last 150000 bytes are the trials, one byte a millisecond.
baseline() {
    tail -c 150000 "$1" | head -c 51000 | od -An -v -tu1 | awk '{ for (i = 1; i <= NF; i++) s += $i } END { p = s / 51000; printf "%.6f", log(p / (1 - p)) }'
}

# nll RUN [SETTING]
nll() {
    "$pudle" evaluate "$1" --split test ${2:+--set "$2"} | sed -n 's/^data_loss=//p'
}

echo "recording,codes_from,learned,constant_rate" | tee "$out/likelihood.csv"
for file; do
    name=$(basename "$file" _y_u8.npy)
    offset=$(baseline "$file")
    for from in same other; do
        case $from in
            same) rows="--set data.rows=[0,17] --set data.test_rows=[17,50]" ;;
            other) rows="--set data.rows=[0,16] --set data.target_rows=[1,17] --set data.test_rows=[17,33] --set data.test_target_rows=[34,50]" ;;
        esac
        "$pudle" train "$here/neural.cfg" --out "$out/${name}_$from" --resume --quiet --set data.path="$file" --set loss.offset="$offset" $rows >"$out/${name}_$from.log"
        echo "$name,$from,$(nll "$out/${name}_$from"),$(nll "$out/${name}_$from" prox.lambda=1e6)" | tee -a "$out/likelihood.csv"
    done
done
