#!/bin/sh
# What shall stay true of @NAME@ beside what `pudle plugins check` tests of every plugin. Run by `make check`; add cases of
# your own, best ones with a known answer: `pudle compare A.npy B.npy --rtol 1e-6` tells whether two arrays agree.
set -eu
pudle=${PUDLE:-pudle}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# train NAME: example.cfg with the plugin of this folder
train() {
    "$pudle" train example.cfg --plugin-path "$PWD" --out "$work/$1" --quiet
}

# loss LINE: the loss in that row of the curve
loss() {
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "loss") column = i; next } { print $column }' \
        "$work/once/metrics.csv" | sed -n "$1p"
}

train once
awk "BEGIN { exit !($(loss '$') < $(loss 1)) }" || { echo "@NAME@: the loss did not fall: $(loss 1) -> $(loss '$')" >&2; exit 1; }
echo "ok - example.cfg trains, and its loss falls: $(loss 1) -> $(loss '$')"

train twice
cmp "$work/once/dictionary.npy" "$work/twice/dictionary.npy"
echo "ok - trained again, it learns the same bits"
