# Figure 10: for each sample, how similar its code is to those of the training samples, by class.   usage: gnuplot -e "folder='OUT/why'; samples='0 1'" similarity.gp
set datafile separator ","
set datafile columnheaders
count = words(samples)
if (count == 0) { print "similarity.gp: no code is similar to any"; exit }
across = count < 3 ? count : 3
down = (count + across - 1) / across
set terminal pngcairo size 520 * across + 40, 320 * down + 20 font ",11"
set output folder."/similarity.png"
table = folder."/code_similarity.csv"
labels = system("cut -d, -f2 '".table."' | sed 1d | sort -un | tr '\n' ' '")
set xrange [-0.05:1.05]
set xlabel "cosine of the codes"
set ylabel "training samples"
set logscale y
set yrange [0.8:*]
set grid ytics lt 1 lw 1 lc rgb "#dddddd"
set key outside right top
label_of(sample) = system("awk -F, -v s=".sample." 'NR == 1 { for (i = 1; i <= NF; i++) c[$i] = i; next } $1 == s { print $c[\"label\"] }' '".folder."/samples.csv'")
set multiplot layout down, across
do for [s in samples] {
    set title "sample ".s.(strlen(label_of(s)) > 0 ? ", a ".label_of(s) : "")
    if (words(labels) > 0) {
        plot for [l in labels] table using (column("sample") == int(s) && column("label") == int(l) ? column("cosine") : NaN):"count" with linespoints lw 2 pt 7 ps 0.5 title "class ".l
    } else {
        plot table using (column("sample") == int(s) ? column("cosine") : NaN):"count" with linespoints lw 2 pt 7 ps 0.5 notitle
    }
}
unset multiplot
