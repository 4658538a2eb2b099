#!/bin/sh
# Table 1 with filters that are there already: PSNR of given filter banks on the whole test pictures at sigma 25.
#   usage: table.sh MODELS PICTURES [TABLE.md] [OPTION]...      (PUDLE names the program, default: pudle)
# MODELS holds NAME.W.npy (64, 1, 9, 9) with NAME.json beside it, whose "lam" or "threshold" is the level; PICTURES is a folder.
# TABLE.md, "" for none, has rows "| NAME | crop | crop | peak = maximum | peak 1 | ...": its figures are printed beside ours.
# Options go to `pudle denoise`: --shift-average, --seed 3, --set backend.threads=1.
set -eu
models=${1:?usage: table.sh MODELS PICTURES [TABLE.md] [OPTION]...}
pictures=${2:?usage: table.sh MODELS PICTURES [TABLE.md] [OPTION]...}
table=${3:-}
[ $# -gt 3 ] && shift 3 || shift $#
pudle=${PUDLE:-pudle}
command -v "$pudle" >/dev/null || { echo "$0: there is no program $pudle: put its folder into PATH, or name it in PUDLE" >&2; exit 1; }
here=$(CDPATH= cd -- "$(dirname "$0")" && pwd)

# The number after "KEY": in a flat JSON file.
number() {
    sed -n "s/.*\"$1\": *\([0-9.eE+-]*\).*/\1/p" "$2" | head -n 1
}
# Column N of the table's row for a bank; the table says g_aels_model_lamp16 for g_aels_lamp16. Without the spread.
expected() {
    [ -n "$table" ] || return 0
    row=$(echo "$1" | sed 's/^\(g_[a-z]*\)_/\1_model_/')
    awk -F'|' -v row="$row" -v n="$2" '{ name = $2; gsub(/ /, "", name); if (name == row) { value = $(n + 1); sub(/±.*/, "", value); gsub(/ /, "", value); print value } }' "$table"
}

printf '%-16s %10s %10s %10s %10s %8s %8s\n' filters peak_max expected peak_1 expected ssim worst
for filters in "$models"/g_*.W.npy; do
    name=$(basename "$filters" .W.npy)
    if grep -q '"threshold"' "$models/$name.json"; then
        config=denoise-hard.cfg
        level="prox.threshold=$(number threshold "$models/$name.json")"
    else
        config=denoise.cfg
        level="prox.lambda=$(number lam "$models/$name.json")"
    fi
    figures=$("$pudle" denoise --quiet --input "$pictures" --sigma 25 --config "$here/$config" --set model.dictionary.init=file \
        --set model.dictionary.path="$filters" --set "$level" "$@")
    value() { echo "$figures" | sed -n "s/^$1=//p"; }
    max=$(value psnr_max)
    unit=$(value psnr)
    emax=$(expected "$name" 4)
    eunit=$(expected "$name" 5)
    worst=$(awk -v a="$max" -v b="${emax:-$max}" -v c="$unit" -v d="${eunit:-$unit}" 'BEGIN { x = a - b; y = c - d; x = x < 0 ? -x : x; y = y < 0 ? -y : y; printf "%.3f", (x > y ? x : y) }')
    printf '%-16s %10s %10s %10s %10s %8s %8s\n' "$name" "$max" "${emax:--}" "$unit" "${eunit:--}" "$(value ssim)" "$worst"
done
