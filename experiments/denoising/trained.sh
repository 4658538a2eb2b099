#!/bin/sh
# Table 1 from nothing: for each cell filters are trained on noisy photographs, and measured on whole test pictures at sigma 25.
#   usage: trained.sh OUT PHOTOS PICTURES [OPTION]...      (PUDLE names the program, default: pudle)
#   e.g.   SEEDS="1 2 3" trained.sh runs/table CBSD432 BSD68 --set backend.threads=1
# PHOTOS is the folder to train on, PICTURES the one to test on; OPTIONs go to `pudle train`. CELLS names what is trained, ESTIMATOR_LEVEL, best levels
# first; SEEDS (1) the seeds of each. A run lies in OUT/CELL_SEED; called again, and at any time, the script resumes. OUT/table.csv has
# a row a run, OUT/table.md mean and standard deviation of each cell beside the paper's: PSNR with peak = maximum of the clean picture.
# SAVED, a folder with the authors' curves, adds these to each run's curve.csv (curve.sh, which measures Figure 6 on the way).
set -eu
usage='usage: trained.sh OUT PHOTOS PICTURES [OPTION]...'
out=${1:?$usage}
photos=${2:?$usage}
pictures=${3:?$usage}
shift 3
here=$(CDPATH= cd -- "$(dirname "$0")" && pwd)
mkdir -p "$out"

# What the cell is in the config, and the name of its saved curve.
for seed in ${SEEDS:-1}; do
    for cell in ${CELLS:-aels_.16 hard_.05 dec_.16 aels_.12 hard_.08 dec_.12 aels_.2 hard_.1 dec_.2 aels_.08 hard_.02 dec_.08}; do
        level=${cell#*_}
        file=p${level#.}
        case $cell in
            aels_*) config=denoise.cfg how="--set prox.lambda=$level" file=g_aels_results_lam$file ;;
            dec_*) config=denoise.cfg how="--set prox.lambda=$level --set model.gradient=dec" file=g_dec_results_lam$file ;;
            hard_*) config=denoise-hard.cfg how="--set prox.threshold=$level" file=g_aels_results_ht$file ;;
            *) echo "trained.sh: no cell '$cell': aels_LAMBDA, dec_LAMBDA, hard_THRESHOLD" >&2; exit 2 ;;
        esac
        curve=${SAVED:+$SAVED/denoising_$file.csv}
        [ -z "$curve" ] || [ -r "$curve" ] || curve=
        echo "$cell, seed $seed"
        # shellcheck disable=SC2086
        "$here/curve.sh" "$here/$config" "$out/${cell}_$seed" "$photos" "$pictures" "$curve" --set train.seed="$seed" $how "$@"

        # The tables anew after every run, so that there is always one to look at. The paper's figures are those of its Table 1.
        echo "cell,run,epoch,psnr_max,psnr" >"$out/table.csv"
        for each in "$out"/*_*_*/curve.csv; do
            run=$(basename "$(dirname "$each")")
            awk -F, -v cell="${run%_*}" -v run="$run" 'END { print cell "," run "," $1 "," $2 "," $4 }' "$each" >>"$out/table.csv"
        done
        awk -F, 'BEGIN {
            split("dec_.08 24.21(.12) dec_.12 24.93(.14) dec_.16 25.25(.06) dec_.2 24.88(.00) aels_.08 24.79(.03) aels_.12 25.43(.03) aels_.16 25.63(.04)" \
                  " aels_.2 25.46(.05) hard_.02 22.92(.07) hard_.05 25.26(.10) hard_.08 24.76(.06) hard_.1 23.94(.13)", word, " ")
            for (i = 1; i in word; i += 2) paper[word[i]] = word[i + 1]
            print "| cell | runs | PSNR (standard deviation) | paper | PSNR at peak 1 |\n|---|---|---|---|---|"
        }
        NR > 1 { n[$1]++; sum[$1] += $4; square[$1] += $4 * $4; unit[$1] += $5 }
        END {
            for (cell in n) {
                mean = sum[cell] / n[cell]
                rest = n[cell] > 1 ? sqrt((square[cell] - n[cell] * mean * mean) / (n[cell] - 1)) : -1
                printf "| %s | %d | %.2f%s | %s | %.2f |\n", cell, n[cell], mean, rest < 0 ? "" : sprintf(" (%.2f)", rest), cell in paper ? paper[cell] : "-",
                       unit[cell] / n[cell] | "sort"
            }
        }' "$out/table.csv" >"$out/table.md"
    done
done
cat "$out/table.md"
