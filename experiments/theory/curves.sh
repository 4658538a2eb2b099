#!/bin/sh
# The relative dictionary error of the runs in a folder, named ESTIMATOR_T: at the end and the least on the way (final.csv), and as curves (curves.png).
#   usage: curves.sh FOLDER [SAVED]      SAVED (or the variable of this name): a folder with the authors' curves, g_ESTIMATOR_results_TT.csv
# The columns of metrics.csv are found by their names. Without gnuplot there is no picture.
set -eu
folder=${1:?usage: curves.sh FOLDER [SAVED]}
saved=${2:-${SAVED:-}}
here=$(CDPATH= cd -- "$(dirname "$0")" && pwd)
echo "estimator,T,dictionary_error,least,at_update" >"$folder/final.csv"
names=
for name in $(for run in "$folder"/*_*/metrics.csv; do basename "$(dirname "$run")"; done | sort -t_ -k2n -k1); do
    run=$folder/$name/metrics.csv
    [ -r "$run" ] || continue
    awk -F, -v g="${name%_*}" -v T="${name##*_}" '
        NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
        { e = $column["dictionary_error"]; if (NR == 2 || e + 0 < least + 0) { least = e; at = $column["update"] } }
        END { printf "%s,%s,%s,%s,%s\n", g, T, e, least, at }' "$run" >>"$folder/final.csv"
    names="$names $name"
done
cat "$folder/final.csv"
if ! command -v gnuplot >/dev/null; then
    echo "curves.sh: no gnuplot here, so no picture; later: $0 $folder"
elif [ -n "$names" ]; then
    gnuplot -e "folder='$folder'; names='${names# }'; saved='$saved'" "$here/curves.gp"
    echo "picture: $folder/curves.png"
fi
