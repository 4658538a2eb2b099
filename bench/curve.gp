# The four curves of bench/curve.   usage: gnuplot -e "data='curve.csv'; picture='cost-curve.png'" curve.gp
set datafile separator ","
set datafile columnheaders
set terminal pngcairo size 1200,900 font ",11"
set output picture
# the best of the ceilings: the others were measured while something else ran
stats data using "gemm_gflops" name "CEILING" nooutput
only(curve, value) = strcol("curve") eq curve ? value : NaN
dense(unused) = column("gflops") * column("update_ms") / CEILING_max
set logscale xy
set grid xtics ytics lt 1 lw 1 lc rgb "#dddddd"
set key top left Left reverse
set ylabel "ms an update"
set format y "%g"
set style line 1 lc rgb "#1f5fa8" pt 7 lw 2
set style line 2 lc rgb "#999999" dt 2 lw 2
set style line 3 lc rgb "#c0392b" dt 3 lw 2
set multiplot layout 2,2
do for [panel in "p n T density"] {
    set xlabel panel eq "p" ? "atoms p (features 2 p / 3)" : panel eq "n" ? "samples of a batch n" : panel eq "T" ? "layers T" : "density of the codes"
    place = panel eq "density" ? "density" : "x"
    plot data using (only(panel, column(place))):"update_ms" with linespoints ls 1 title "measured", \
         data using (only(panel, column(place))):(dense(0)) with lines ls 2 title "dense work at the rate of a matrix product", \
         data using (only(panel, column(place))):"bound_ms" with lines ls 3 title "bound"
}
unset multiplot
