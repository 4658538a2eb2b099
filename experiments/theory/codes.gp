# The code of a sample and the true one.   usage: gnuplot -e "folder='OUT'; skip=128; sample=0" codes.gp
# skip: bytes before the numbers of the .npy files, arrays (10, 100) of doubles.
set terminal pngcairo size 1100, 640 font ",12"
set output folder."/codes.png"
set grid ytics lt 1 lw 1 lc rgb "#dddddd"
set xrange [-1:100]
set xlabel "atom"
set ylabel "coefficient"
set key outside top center horizontal
set multiplot layout 2, 1
do for [start in "near far"] {
    set title start eq "near" ? "dictionary near the true one (noise 0.02)" : "dictionary 61 % away (noise 0.1)"
    plot folder."/".start."/true_code.npy" binary skip=skip + 800 * sample record=100 format='%float64' using 0:1 with impulses lw 6 lc rgb "#bbbbbb" title "true code z*", \
         folder."/".start."/code.npy" binary skip=skip + 800 * sample record=100 format='%float64' using 0:1 with impulses lw 2 lc rgb "#c0392b" title "code z_T of the network"
}
unset multiplot
