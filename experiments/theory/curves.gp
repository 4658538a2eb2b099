# Curves of the dictionary error, a panel for each depth.   usage: gnuplot -e "folder='OUT'; names='dec_25 aels_25'; saved=''" curves.gp
# saved: a folder with the authors' curves, of a hundred atoms each with norm 1, or '' for none. They are drawn in grey, dashed.
set datafile separator ","
set datafile columnheaders
depth(name) = name[strstrt(name, "_") + 1:]
estimator(name) = name[:strstrt(name, "_") - 1]
title_of(g) = g eq "dec" ? "g^{dec}" : g eq "aelasso" ? "g^{ae-lasso}" : g eq "aels" ? "g^{ae-ls}" : g
colour_of(g) = g eq "dec" ? "#1f5fa8" : g eq "aelasso" ? "#e08214" : g eq "aels" ? "#c0392b" : g eq "refit" ? "#2e7d32" : g eq "odl" ? "#555555" : "#7b3294"
saved_of(name) = saved."/g_".estimator(name)."_results_T".depth(name).".csv"
readable(file) = int(system("test -r '".file."' && echo 1 || echo 0"))
depths = ""
do for [name in names] {
    if (!strstrt(" ".depths." ", " ".depth(name)." ")) { depths = depths." ".depth(name) }
}
panels = words(depths)
set terminal pngcairo size 620 * panels + 40, 480 font ",12"
set output folder."/curves.png"
set logscale y
set format y "10^{%T}"
set xlabel "update"
set ylabel "||D - D*|| / ||D*||"
set grid xtics ytics lt 1 lw 1 lc rgb "#dddddd"
set key bottom left
set multiplot layout 1, panels
do for [T in depths] {
    own = ""
    theirs = ""
    do for [name in names] {
        if (depth(name) eq T) {
            own = own." ".name
            if (strlen(saved) > 0 && readable(saved_of(name))) { theirs = theirs." ".name }
        }
    }
    set title "T = ".T
    if (strlen(theirs) > 0) {
        plot for [name in theirs] saved_of(name) using "index":(column("D_Dtilde_err") / 10) with lines lw 2 dt 2 lc rgb "#888888" notitle, \
             NaN with lines lw 2 dt 2 lc rgb "#888888" title "saved by the authors", \
             for [name in own] folder."/".name."/metrics.csv" using "update":"dictionary_error" with lines lw 2 lc rgb colour_of(estimator(name)) title title_of(estimator(name))
    } else {
        plot for [name in own] folder."/".name."/metrics.csv" using "update":"dictionary_error" with lines lw 2 lc rgb colour_of(estimator(name)) title title_of(estimator(name))
    }
}
unset multiplot
