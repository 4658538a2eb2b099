# Figures 2, 3 and 4a.   usage: gnuplot -e "folder='OUT'; saved=''" gradients.gp
# saved: a folder with the authors' curves, or '' for none. They are drawn in grey, dashed; their row 0 is the first layer.
set datafile separator ","
set datafile columnheaders
set terminal pngcairo size 1560, 480 font ",12"
set output folder."/gradients.png"
set logscale y
set format y "10^{%T}"
set xlabel "layers T"
set grid xtics ytics lt 1 lw 1 lc rgb "#dddddd"
set key bottom left
estimators = "dec aelasso aels"
title_of(g) = g eq "dec" ? "g^{dec}" : g eq "aelasso" ? "g^{ae-lasso}" : "g^{ae-ls}"
colour_of(g) = g eq "dec" ? "#1f5fa8" : g eq "aelasso" ? "#e08214" : "#c0392b"
file(g) = saved."/g_".g."_results_initp02.csv"
theirs = strlen(saved) > 0 ? int(system("test -r '".file("dec")."' && echo 1 || echo 0")) : 0
set multiplot layout 1, 3
set title "code: ||z_T - z|| to its limit (Figure 2)"
if (theirs) {
    plot file("dec") using (column("index") + 1):"zT_zhat_err" with lines lw 2 dt 2 lc rgb "#888888" title "saved by the authors", \
         folder."/curves.csv" using "T":"code" with linespoints lw 2 pt 7 ps 0.7 lc rgb "#2e7d32" title "pudle"
} else {
    plot folder."/curves.csv" using "T":"code" with linespoints lw 2 pt 7 ps 0.7 lc rgb "#2e7d32" title "pudle"
}
do for [panel in "hat star"] {
    set title panel eq "hat" ? "gradient: to that at the limit (Figure 3)" : "gradient: to that at the true code (Figure 4a)"
    key = panel eq "hat" ? "g_ghat_err" : "g_gtilde_err"
    if (theirs) {
        plot for [g in estimators] file(g) using (column("index") + 1):(column(key)) with lines lw 2 dt 2 lc rgb "#888888" notitle, \
             for [g in estimators] folder."/curves.csv" using "T":g."_".panel with linespoints lw 2 pt 7 ps 0.7 lc rgb colour_of(g) title title_of(g)
    } else {
        plot for [g in estimators] folder."/curves.csv" using "T":g."_".panel with linespoints lw 2 pt 7 ps 0.7 lc rgb colour_of(g) title title_of(g)
    }
}
unset multiplot
