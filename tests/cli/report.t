#!/bin/sh
# Reports: one page that stands by itself and is well-formed whatever names hold, of one run, several, interrupted ones, and sweeps; what cannot be read is told with
# its place; nothing is overwritten that should not be.
. "$top_srcdir/tests/cli/tap.sh"

cat >"$work/run.cfg" <<'END_OF_CONFIG'
backend: { name = "ref"; };
data:    { name = "synthetic"; samples = 200; features = 10; atoms = 15; sparsity = 2; seed = 3; test_samples = 40; };
model:   { dictionary: { atoms = 15; init = "truth"; noise = 0.1; }; layers = 5; step = 0.2; gradient = "ae"; };
prox:    { name = "soft_threshold"; lambda = 0.2; };
loss:    { name = "least_squares"; };
train:   { learning_rate = 1e-2; epochs = 4; batch = 30; seed = 1; };
END_OF_CONFIG
cfg=$work/run.cfg
page=$work/page.html

# page_is_good DESCRIPTION: well-formed, and nothing is fetched from anywhere
page_is_good() {
    good=0
    if command -v xmllint >/dev/null 2>&1; then
        xmllint --noout "$page" 2>"$work/xml" || good=1
    elif command -v python3 >/dev/null 2>&1; then
        python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$page" 2>"$work/xml" || good=1
    fi
    ok $good "$1: well-formed"
    [ $good -eq 0 ] || diag "$work/xml"
    [ "$(tail -n 1 "$page")" = "</html>" ] && ! grep -qE '<script|<link|@import|url\(|src="[^d]|href=' "$page"
    ok $? "$1: whole, and by itself"
}
plots() { # plots PAGE: titles of the pictures
    sed -n 's/^<title>\(.*\)<\/title>$/\1/p' "$1" | sed 1d
}

# ---- one run
run "$PUDLE" train "$cfg" --out "$work/one" --quiet --set train.test_every=1
run "$PUDLE" report "$work/one" --out "$page"
is_success "a report of a run"
page_is_good "a run"
grep -qF "report: $page (1 run" "$work/out"
ok $? "it says what it has written"
plots "$page" >"$work/titles"
for title in "Training loss" "Loss of the test samples" "Error of the dictionary" "Nonzeros of a code" "Norm of the gradient"; do
    grep -qx "$title" "$work/titles"
    ok $? "a curve: $title"
done
! grep -qE "Dead|Learning rate|part of|Learned" "$work/titles"
ok $? "and none of what is not there or stays the same"
sed -n 's/.*src="data:image\/png;base64,\([^"]*\)".*/\1/p' "$page" | base64 -d >"$work/atoms.png"
cmp -s "$work/atoms.png" "$work/one/dictionary.png"
ok $? "the picture of the atoms is in it"
grep -q 'prox.lambda = 0.2' "$page" && grep -q '28 of 28' "$page" && grep -q '<td>finished</td>' "$page"
ok $? "settings, updates and state"
grep -qF "$(sed -n 's/.*identity of the run: \(.\{16\}\).*/\1/p' "$work/one/config.cfg")" "$page"
ok $? "and the identity"
cp "$page" "$work/first.html"
run "$PUDLE" report "$work/one" --out "$page"
[ "$status" -eq 0 ] && diff "$page" "$work/first.html" | grep -c '^[<>]' | grep -qE '^[02]$'
ok $? "a second report replaces it, and says the same but for the time"

# ---- learned levels, losses with a price, dead atoms, warnings
run "$PUDLE" train "$cfg" --out "$work/more" --quiet --set loss.name=lasso --set loss.lambda=0.1 --set prox.learn=global --set train.revive=residual --set train.schedule=cosine
printf 'warning: one <b>\nwarning: one <b>\nerror: another\n' >>"$work/more/run.log"
run "$PUDLE" report "$work/more" --out "$page"
page_is_good "more columns"
plots "$page" >"$work/titles"
grep -qx "Dead atoms" "$work/titles" && grep -qx "Learned level prox.lambda" "$work/titles" && grep -qx "Learning rate" "$work/titles" &&
    grep -qx "The code&#39;s part of the training loss" "$work/titles"
ok $? "curves of what this run has"
grep -qF '<li>warning: one &lt;b&gt; (2 times)</li>' "$page" && grep -qF '<li>error: another</li>' "$page"
ok $? "warnings of the log, each once"

# ---- names
odd="$work/a<b> & \"c\" 'd'"
cp -r "$work/one" "$odd"
run "$PUDLE" report "$odd" --out "$page"
is_success "a name with markup in it"
page_is_good "such a name"
grep -qF 'a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;' "$page"
ok $? "stands there as it is"
bad=$(printf '%s/bytes\377\001' "$work")
if cp -r "$work/one" "$bad" 2>/dev/null; then
    run "$PUDLE" report "$bad" --out "$page"
    is_success "a name that is no text"
    page_is_good "that, too"
fi

# ---- several
run "$PUDLE" report "$work/one" "$work/more" "$odd" --out "$page"
is_success "runs of different columns"
page_is_good "several runs"
[ "$(grep -c 'data:image/png' "$page")" -eq 3 ] && grep -q 'class="c2"' "$page"
ok $? "each has its atoms and its colour"
sed -n '/What differs/,/All of each/p' "$page" >"$work/differs"
grep -q 'loss.name' "$work/differs" && grep -q 'train.revive<' "$work/differs" && ! grep -q 'data.samples' "$work/differs"
ok $? "what differs comes first"
run "$PUDLE" report "$work/one" "$odd" --out "$page"
sed -n '/What differs/,/All of each/p' "$page" | grep -q 'Nothing'
ok $? "or nothing does"
mkdir "$work/sub"
cp -r "$work/one" "$work/sub/one"
run "$PUDLE" report "$work/one" "$work/sub/one" --out "$page"
grep -qF "<text x=" "$page" && grep -qF "sub/one</text>" "$page"
ok $? "folders of one name are called by their paths"
run "$PUDLE" report "$work/one" "$work/one/" --out "$page"
refuses 2 "is given twice" "a run that is given twice is refused"

# ---- interrupted, killed, without its plugin
cp -r "$work/one" "$work/cut"
rm "$work/cut/dictionary.png"
sed -i 's/^finished: 28 updates/interrupted after 9 updates/' "$work/cut/run.log"
sed -i '11,$d' "$work/cut/metrics.csv"
printf '9,1,0.1' >>"$work/cut/metrics.csv"
run "$PUDLE" report "$work/cut" --out "$page"
is_success "an interrupted run, whose last row is torn"
page_is_good "such a run"
grep -q '<td>interrupted</td>' "$page" && grep -q '9 of 28' "$page" && grep -q 'no picture' "$page"
ok $? "it says how far it came, and that there are no atoms to see"
sed -i '/^interrupted/,$d' "$work/cut/run.log"
run "$PUDLE" report "$work/cut" --out "$page"
grep -q 'not finished: it was killed' "$page"
ok $? "a killed run is told from that"
if command -v flock >/dev/null 2>&1; then
    run flock "$work/cut/.lock" "$PUDLE" report "$work/cut" --out "$page"
    grep -q 'being trained now' "$page"
    ok $? "and one that is being trained"
fi
rm "$work/cut/run.log"
sed -i 's/"soft_threshold"/"gone_away"/' "$work/cut/config.cfg"
run "$PUDLE" report "$work/cut" "$work/one" --out "$page"
is_success "neither log nor plugin are needed"
page_is_good "a config that cannot be loaded"
grep -q 'cannot be loaded here' "$page" && grep -q 'gone_away' "$page" && grep -q 'edited since' "$page"
ok $? "the config stands there as it is"

# ---- long
cp -r "$work/one" "$work/long"
awk 'BEGIN { print "update,epoch,loss,data_loss,code_loss,nonzeros,learning_rate,beta,step,gradient_norm,dictionary_error,seconds"; for (u = 0; u < 200000; u++)
    printf "%d,%d,%.9g,%.9g,0,%d,0.01,1,0.2,%.9g,0.1,%.3f\n", u, u / 1000, 1 + u % 17 + (u == 77777) * 1000, 1 + u % 17, u % 9, 1 + u % 7, u / 100 }' >"$work/long/metrics.csv"
run "$PUDLE" report "$work/long" --out "$page"
[ "$status" -eq 0 ] && [ "$(wc -c <"$page")" -lt 200000 ]
ok $? "200000 rows are $(wc -c <"$page") bytes of a page"
page_is_good "a long run"
grep -q 'mean of an epoch' "$page" && grep -q 'log scale' "$page"
ok $? "with means of epochs, and powers where one value stands far out"

# ---- a sweep
run "$PUDLE" sweep "$cfg" --out "$work/sweep" --vary prox.lambda=0.1,0.3 --seeds 2 --quiet
run "$PUDLE" report "$work/sweep" --out "$page"
is_success "a report of a sweep"
page_is_good "a sweep"
grep -q 'Means over seeds' "$page" && grep -q 'by the loss of the test samples' "$page" && grep -q '<th>agreement</th>' "$page"
ok $? "its tables, and what they are ordered by"
best=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "test_loss") at = i } NR > 1 && (least == "" || $at < least) { least = $at; name = $1 } END { print name }' "$work/sweep/sweep.csv")
[ "$(sed -n '/Runs that are drawn/,/<\/table>/p' "$page" | grep -o "sweep/prox[^<]*" | head -n 1)" = "sweep/$best" ]
ok $? "the best run is the first: $best"
[ "$(grep -c 'data:image/png' "$page")" -eq 2 ] && grep -q '>prox.lambda=0.1</text>' "$page" && ! grep -q 'class="c2"' "$page"
ok $? "seeds share a colour, and the best of them shows its atoms"
rm "$work/sweep/combinations.csv" "$work/sweep/$best/metrics.csv"
run "$PUDLE" report "$work/sweep" --out "$page"
[ "$status" -eq 0 ] && grep -q 'left out of the curves' "$work/err" && grep -q 'not come to its end' "$page" && grep -q 'Report of 3 runs' "$page"
ok $? "a run that cannot be read stands in the table alone"
ln -s sweep/sweep.csv "$work/link.html"
cp "$work/sweep/sweep.csv" "$work/table"
run "$PUDLE" report "$work/sweep" --out "$work/link.html"
refuses 2 "would overwrite what is read (sweep.csv)" "a link to its table is no place for the page"
cmp -s "$work/sweep/sweep.csv" "$work/table"
ok $? "which stays"
run "$PUDLE" report "$work/sweep" "$work/one" --out "$page"
refuses 2 "reported by itself" "a sweep beside runs is refused"
sed -i '3s/,.*//' "$work/sweep/sweep.csv"
run "$PUDLE" report "$work/sweep" --out "$page"
refuses 2 "sweep.csv:3" "a broken row of its table is told"

run "$PUDLE" sweep "$cfg" --out "$work/follows" --vary prox.lambda=0.1,0.3 --set loss.name=lasso --set loss.lambda=prox.lambda
order=$(grep -o 'by the relative error of the test samples. reconstruction' "$work/out")
run "$PUDLE" report "$work/follows" --out "$page"
[ -n "$order" ] && grep -q "by the relative error of the test samples" "$page"
ok $? "where the loss follows what is varied, its order is the sweep's"
first=$(sed -n '2s/,.*//p' "$work/follows/sweep.csv")
rm -r "$work/follows/${first:?}"
run "$PUDLE" report "$work/follows" --out "$page"
[ "$status" -eq 0 ] && grep -q "by the relative error of the test samples" "$page"
ok $? "though the first run's folder is not there"

# ---- an optimiser without a rate
run "$PUDLE" train "$cfg" --out "$work/odl" --quiet --set model.gradient=dec --set train.optimizer=odl --unset train.learning_rate
run "$PUDLE" report "$work/odl" --out "$page"
plots "$page" | grep -qx "Training loss" && ! plots "$page" | grep -q "Learning rate"
ok $? "a run without a learning rate has its curves"

echo a,b >"$work/odl/test.csv"
run "$PUDLE" report "$work/odl" --out "$page"
[ "$status" -eq 0 ] && grep -q 'odl/test.csv: is no table of pudle' "$work/err"
ok $? "a test.csv of somebody else's is left out, and told"

# ---- what cannot be reported
run "$PUDLE" report "$work/one" --out "$work/page"
refuses 2 "give it a name that ends in .html" "a name that is no page's"
cp "$page" "$work/before.html"
run "$PUDLE" report "$work/none" --out "$page"
refuses 2 "$work/none: No such file" "no folder"
run "$PUDLE" report "$cfg" --out "$page"
refuses 2 "is not a folder" "a config"
run "$PUDLE" report "$work/sub" --out "$page"
refuses 2 "not a run: it holds no manifest.json" "a folder of other things"
cp -r "$work/one" "$work/broken"
sed -i '5s/^\([^,]*,[^,]*\),[^,]*/\1,zero/' "$work/broken/metrics.csv"
run "$PUDLE" report "$work/broken" --out "$page"
refuses 2 "$work/broken/metrics.csv:5: loss is \"zero\", and a number is wanted" "a broken row has a place and a value"
grep -q -- '--resume' "$work/err"
ok $? "and a remedy"
head -n 1 "$work/one/metrics.csv" >"$work/broken/metrics.csv"
run "$PUDLE" report "$work/broken" --out "$page"
refuses 2 "has no rows yet" "a run without rows"
: >"$work/broken/metrics.csv"
run "$PUDLE" report "$work/broken" --out "$page"
refuses 2 "metrics.csv: is empty" "an empty file"
rm "$work/broken/metrics.csv"
run "$PUDLE" report "$work/broken" --out "$page"
refuses 2 "metrics.csv: there is no such file" "none"
mkfifo "$work/broken/metrics.csv"
run timeout 20 "$PUDLE" report "$work/broken" --out "$page"
refuses 2 "is not a file" "a pipe is not waited for"
rm "$work/broken/metrics.csv" "$work/broken/config.cfg"
cp "$work/one/metrics.csv" "$work/broken/metrics.csv"
mkfifo "$work/broken/config.cfg"
run timeout 20 "$PUDLE" report "$work/broken" --out "$work/broken.html"
[ "$status" -eq 0 ] && grep -q 'config.cfg: is not a file' "$work/broken.html"
ok $? "nor one in the place of a config"
printf 'update,epoch,loss\n0,0,1e-300\n1,0,1e299\n' >"$work/broken/metrics.csv"
run timeout 20 "$PUDLE" report "$work/broken" --out "$work/broken.html"
[ "$status" -eq 0 ] && ! sed -n '/<svg/,/<\/svg>/p' "$work/broken.html" | grep -qE 'nan|"inf|[0-9.]-[0-9]|[0-9]{9}' && sed -n '/<svg/,/<\/svg>/p' "$work/broken.html" | grep -q '>0</text>' &&
    ! grep -q '>0\.5</text>' "$work/broken.html"
ok $? "whatever the range, curves lie in their picture, and ticks at whole updates"
cmp -s "$page" "$work/before.html"
ok $? "and the page that was there stays"

# ---- where it goes
run "$PUDLE" report "$work/one"
refuses 2 "--out FILE.html" "--out is needed"
run "$PUDLE" report "$work/one" --out "$work/page.csv"
refuses 2 "what is written is html, and this name says csv" "a name of another format is refused"
run "$PUDLE" encode "$work/one" --output "$work/codes.html"
refuses 2 "this name says html" "and so is its name for others"
run "$PUDLE" report "$work/one" --out "$work/nowhere/page.html"
refuses 2 "there is no folder" "and a folder that is not there"
cp "$work/one/run.log" "$work/log"
run "$PUDLE" report "$work/one" --out "$work/one/run.log"
refuses 2 "is a file of a run" "a file of a run"
cmp -s "$work/one/run.log" "$work/log"
ok $? "which stays"
run "$PUDLE" report "$work/one" --out "$work/one/page.html"
is_success "a page in the run's folder is good"
if [ -c /dev/full ] && [ -w /dev/full ]; then
    run "$PUDLE" report "$work/one" --out /dev/full
    [ "$status" -ne 0 ]
    ok $? "a device is no place for it"
fi
[ -z "$(ls "$work" "$work/one" | grep tmp-)" ]
ok $? "nothing half-written is left"
done_testing
