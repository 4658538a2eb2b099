# Error of the gradients against that of the code, a panel for each problem.   usage: gnuplot -e "folder='OUT'; names='ridge logistic'" superefficiency.gp
set datafile separator ","
set datafile columnheaders
set terminal pngcairo size 620 * words(names) + 40, 480 font ",12"
set output folder."/superefficiency.png"
set logscale xy
set format "10^{%T}"
set xrange [*:*] reverse
set yrange [1e-13:*]
set xlabel "||z_T - z|| / ||z||, z the limit"
set ylabel "||g - g_{hat}|| / ||g_{hat}||"
set grid xtics ytics lt 1 lw 1 lc rgb "#dddddd"
set key bottom left
title_of(g) = g eq "dec" ? "g^{dec}, analytic" : g eq "ae" ? "g^{ae}, automatic" : "implicit"
colour_of(g) = g eq "dec" ? "#1f5fa8" : g eq "ae" ? "#c0392b" : "#7b3294"
set multiplot layout 1, words(names)
do for [name in names] {
    set title name
    plot x with lines lw 1 dt 2 lc rgb "#888888" title "slopes 1 and 2", x ** 2 with lines lw 1 dt 2 lc rgb "#888888" notitle, \
         for [g in "dec ae implicit"] folder."/".name.".csv" using "code":g with linespoints lw 2 pt 7 ps 0.7 lc rgb colour_of(g) title title_of(g)
}
unset multiplot
