#!/bin/sh
# Figure 12: Figures 4b and 4c with noise of standard deviation 0.12 on every entry of the samples.
#   usage: figure12.sh OUT [SEED] [OPTION]...     (DEPTHS, ESTIMATORS, LAMBDA, PUDLE: as for learning.sh)
# The paper does not say with which threshold. The one without noise, 0.2, keeps codes of noise: at 100 layers g_ae-ls then leaves the dictionary. 0.4 is the default.
set -eu
here=$(CDPATH= cd -- "$(dirname "$0")" && pwd)
out=${1:?usage: figure12.sh OUT [SEED] [OPTION]...}
shift
case ${1:-} in '' | -*) seed=1 ;; *) seed=$1; shift ;; esac
LAMBDA=${LAMBDA:-0.4} exec "$here/learning.sh" "$out" "$seed" --quiet --set data.noise_std=0.12 "$@"
