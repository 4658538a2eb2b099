#!/bin/sh
# Figure 5: how near the true dictionary a thousand updates come, for codes of 10, 20 and 40 nonzeros, by backpropagation with a soft threshold, with
# one that decays with the layers (by 0.005 more every 100 updates), with a hard threshold, and by the signs of the codes (noodl).
#   usage: figure5.sh OUT [SEED]         (NONZEROS="10 20" and METHODS="soft decay hard noodl" choose the curves; PUDLE names the program)
# Two methods are none of the paper: refit, the decoder's gradient at codes fitted again, and odl, online dictionary learning, which alternates between codes and an
# exact step for the dictionary; the paper has such a line by SPORCO, whose runs on all samples at once are not repeated here.
# Each run lies in OUT/METHOD_NONZEROS, its curve in metrics.csv there; called again it resumes. OUT/final.csv has the relative dictionary error at
# the end of each run in OUT and the seconds it took, OUT/figure5.png the curves, where there is a gnuplot. SAVED, a folder with the authors' curves, adds these.
# All twelve take some six minutes on two processors of 2024.
set -eu
out=${1:?usage: figure5.sh OUT [SEED]}
seed=${2:-1}
pudle=${PUDLE:-pudle}
command -v "$pudle" >/dev/null || { echo "$0: there is no program $pudle: put its folder into PATH, or name it in PUDLE" >&2; exit 1; }
here=$(CDPATH= cd -- "$(dirname "$0")" && pwd)
mkdir -p "$out"
hard="--set prox.name=hard_threshold --unset prox.lambda --set prox.threshold=0.1"
for nonzeros in ${NONZEROS:-10 20 40}; do
    for method in ${METHODS:-soft decay hard noodl}; do
        case $method in
            soft) settings= ;;
            decay) settings="--set prox.decay=1.0 --set prox.decay_change=-0.005 --set prox.decay_every=100" ;;
            hard) settings=$hard ;;
            noodl) settings="$hard --set model.gradient=noodl --set train.optimizer=sgd --unset train.epsilon --set train.learning_rate=0.4" ;;
            refit) settings="--set model.gradient=refit --set model.ill_conditioned=skip" ;;
            odl) settings="--set model.gradient=dec --set train.optimizer=odl --unset train.learning_rate --unset train.epsilon --unset train.tangent" ;;
            *) echo "figure5.sh: there is no method $method" >&2; exit 2 ;;
        esac
        run=$out/${method}_$nonzeros
        # shellcheck disable=SC2086
        "$pudle" train "$here/problem.cfg" --out "$run" --resume --quiet --set data.sparsity="$nonzeros" --set train.seed="$seed" $settings >/dev/null
    done
done

echo "method,nonzeros,dictionary_error,seconds" >"$out/final.csv"
for run in "$out"/*_*/metrics.csv; do
    name=$(basename "$(dirname "$run")")
    awk -F, -v m="${name%_*}" -v s="${name##*_}" 'NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next } { row = $0 }
        END { split(row, v, ","); printf "%s,%s,%s,%s\n", m, s, v[column["dictionary_error"]], v[column["seconds"]] }' "$run" >>"$out/final.csv"
done
cat "$out/final.csv"
if command -v gnuplot >/dev/null; then
    gnuplot -e "folder='$out'; saved='${SAVED:-}'" "$here/figure5.gp"
    echo "picture: $out/figure5.png"
else
    echo "figure5.sh: no gnuplot here, so no picture"
fi
