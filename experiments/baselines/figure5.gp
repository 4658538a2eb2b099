# Figure 5: a panel for each number of nonzeros.   usage: gnuplot -e "folder='OUT'; saved=''" figure5.gp
# saved: a folder with the authors' curves, or '' for none. They are drawn in grey, dashed.
set datafile separator ","
set datafile columnheaders
set terminal pngcairo size 1560, 480 font ",12"
set output folder."/figure5.png"
set logscale y
set format y "10^{%T}"
set xlabel "update"
set ylabel "||D - D*|| / ||D*||"
set grid xtics ytics lt 1 lw 1 lc rgb "#dddddd"
set key bottom left
readable(file) = int(system("test -r '".file."' && echo 1 || echo 0"))
title_of(m) = m eq "soft" ? "g^{ae-ls}" : m eq "decay" ? "g^{ae-ls}, decaying" : m eq "hard" ? "g^{ae-ls}, hard threshold" : m
colour_of(m) = m eq "soft" ? "#c0392b" : m eq "decay" ? "#2e7d32" : m eq "hard" ? "#1f5fa8" : m eq "noodl" ? "#e08214" : m eq "odl" ? "#555555" : "#7b3294"
own(m, s) = folder."/".m."_".s."/metrics.csv"
theirs(m, s) = saved."/g_".(m eq "noodl" ? "noodl" : "aels")."_results_s".s.(m eq "decay" ? "_decay" : m eq "hard" ? "_hard" : "").".csv"
set multiplot layout 1, 3
do for [s in "10 20 40"] {
    methods = ""
    known = ""
    do for [m in "soft decay hard noodl refit odl"] {
        if (readable(own(m, s))) { methods = methods." ".m }
        if (strlen(saved) > 0 && readable(theirs(m, s))) { known = known." ".m }
    }
    set title "s = ".s
    if (strlen(methods) > 0 && strlen(known) > 0) {
        plot for [m in known] theirs(m, s) using "index":"D_Dtilde_err_relative" with lines lw 2 dt 2 lc rgb "#888888" notitle, \
             NaN with lines lw 2 dt 2 lc rgb "#888888" title "saved by the authors", \
             for [m in methods] own(m, s) using "update":"dictionary_error" with lines lw 2 lc rgb colour_of(m) title title_of(m)
    }
    if (strlen(methods) > 0 && strlen(known) == 0) {
        plot for [m in methods] own(m, s) using "update":"dictionary_error" with lines lw 2 lc rgb colour_of(m) title title_of(m)
    }
}
unset multiplot
