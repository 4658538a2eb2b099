#!/bin/sh
# Figure 15: learning from where pairs of samples lead (Arora, Ge, Ma, Moitra 2015), 250 updates, errors after the best order and signs of the atoms.
#   usage: figure15.sh OUT [SEED] [OPTION]...     (DEPTHS="25 100", ESTIMATORS, PUDLE: as for learning.sh)
# The start is searched once, some minutes, by a run of one update of no length, OUT/start; the others begin at its dictionary. OUT/ESTIMATOR_T, final.csv and
# curves.png are as for learning.sh. The paper does not give the dimensions: here 100 atoms of 100 entries, 5 nonzeros.
set -eu
out=${1:?usage: figure15.sh OUT [SEED] [OPTION]...}
shift
case ${1:-} in '' | -*) seed=1 ;; *) seed=$1; shift ;; esac
pudle=${PUDLE:-pudle}
command -v "$pudle" >/dev/null || { echo "$0: there is no program $pudle: put its folder into PATH, or name it in PUDLE" >&2; exit 1; }
here=$(CDPATH= cd -- "$(dirname "$0")" && pwd)
mkdir -p "$out"
"$pudle" train "$here/pairwise.cfg" --out "$out/start" --resume --quiet --set data.seed="$seed" --set train.seed="$seed" --set train.updates=1 --set train.learning_rate=1e-30
CONFIG=$here/pairwise.cfg LAMBDA=0.5 exec "$here/learning.sh" "$out" "$seed" --quiet --unset model.dictionary.sparsity --unset model.dictionary.pairs \
    --unset model.dictionary.samples --set model.dictionary.init=file --set model.dictionary.path="$out/start/dictionary.npy" "$@"
