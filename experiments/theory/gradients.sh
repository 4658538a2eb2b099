#!/bin/sh
# Figures 2, 3 and 4a: how the code and the three gradient estimators approach their limits as the network gets deeper.
#   usage: gradients.sh OUT [SEED]        (DEPTHS="1 10 25" chooses the depths; PUDLE names the program, default: pudle)
# SAVED, a folder with the authors' curves, adds these to the picture, OUT/gradients.png, which is drawn where there is a gnuplot. Writes OUT/curves.csv: T, ||z_T - z_hat|| (mean over the samples), and for each estimator ||g - g_hat||_F and ||g - g_star||_F, where
# z_hat is the code after 1000 layers, g_hat the analytic gradient there, g_star the analytic gradient at the true code.
set -eu
out=${1:?usage: gradients.sh OUT [SEED]}
seed=${2:-1}
depths=${DEPTHS:-1 2 3 5 7 10 15 20 25 30 40 50 60 70 80 90 100}
pudle=${PUDLE:-pudle}
command -v "$pudle" >/dev/null || { echo "$0: there is no program $pudle: put its folder into PATH, or name it in PUDLE" >&2; exit 1; }
here=$(CDPATH= cd -- "$(dirname "$0")" && pwd)
mkdir -p "$out"

gradient() { # NAME LAYERS PATH LOSS
    "$pudle" gradient "$here/problem.cfg" --out "$out/$1" --set model.layers="$2" --set model.gradient="$3" --set loss.name="$4" \
        --set data.seed="$seed" --set train.seed="$seed" $5 >/dev/null
}
distance() { # A B [FIGURE]
    "$pudle" compare "$1" "$2" | sed -n "s/^${3:-||a-b||}=//p"
}

gradient hat 1000 dec least_squares ""
gradient star 1 oracle least_squares ""
echo "T,code,dec_hat,aelasso_hat,aels_hat,dec_star,aelasso_star,aels_star" | tee "$out/curves.csv"
for T in $depths; do
    gradient dec "$T" dec least_squares ""
    gradient aelasso "$T" ae lasso "--set loss.lambda=0.2"
    gradient aels "$T" ae least_squares ""
    code=$(distance "$out/dec/code.npy" "$out/hat/code.npy" "mean||a_i-b_i||")
    row="$T,$code"
    for limit in hat star; do
        for g in dec aelasso aels; do
            row="$row,$(distance "$out/$g/gradient.npy" "$out/$limit/gradient.npy")"
        done
    done
    echo "$row" | tee -a "$out/curves.csv"
done
rm -rf "$out/dec" "$out/aelasso" "$out/aels"
if command -v gnuplot >/dev/null; then
    gnuplot -e "folder='$out'; saved='${SAVED:-}'" "$here/gradients.gp"
    echo "picture: $out/gradients.png"
else
    echo "gradients.sh: no gnuplot here, so no picture"
fi
