#!/bin/sh
# Figure 13: the three estimators in batches of 4, 16 and 64 samples, 100 layers, for 10, 20 and 50 epochs.
#   usage: figure13.sh OUT [SEED] [OPTION]...     (ESTIMATORS, PUDLE: as for learning.sh; BATCHES="4 16 64")
# OUT/batch_N holds the runs with batches of N, with final.csv and curves.png. A row of metrics every ten updates.
set -eu
here=$(CDPATH= cd -- "$(dirname "$0")" && pwd)
out=${1:?usage: figure13.sh OUT [SEED] [OPTION]...}
shift
case ${1:-} in '' | -*) seed=1 ;; *) seed=$1; shift ;; esac
mkdir -p "$out"
for batch in ${BATCHES:-4 16 64}; do
    case $batch in 4) epochs=10 ;; 16) epochs=20 ;; *) epochs=50 ;; esac
    DEPTHS=100 "$here/learning.sh" "$out/batch_$batch" "$seed" --quiet --set train.batch="$batch" --set train.epochs="$epochs" --set train.log_every=10 "$@"
done
