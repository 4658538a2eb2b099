#!/bin/sh
# What goes wrong around good configs: numbers in files, outputs over inputs, runs that cannot begin, files that change under a run, plugins
# that end the process, standard files that are closed.
. "$top_srcdir/tests/cli/tap.sh"

nan='\000\000\000\000\000\000\370\177' inf='\000\000\000\000\000\000\360\177' minus='\000\000\000\000\000\000\360\277'
huge='\000\000\000\000\000\000\360\110' # 2^144: finite, and not in single precision
doubles "$work/x.npy" '4, 2' $one $zero $zero $one $one $one $two $one
doubles "$work/xnan.npy" '4, 2' $one $zero $zero $nan $one $one $two $one
doubles "$work/xhuge.npy" '4, 2' $one $zero $zero $huge $one $one $two $one
doubles "$work/x3.npy" '2, 3' $one $zero $zero $one $one $one
doubles "$work/d.npy" '2, 3' $one $zero $one $zero $one $one
doubles "$work/dnan.npy" '2, 3' $one $zero $nan $zero $one $one
doubles "$work/levels.npy" '1, 3' $one $minus $one
doubles "$work/weights.npy" '3,' $one $one $one

cat >"$work/run.cfg" <<END
data:  { name = "npy"; path = "x.npy"; };
model: { dictionary: { atoms = 3; init = "file"; path = "d.npy"; }; layers = 4; step = 0.1; gradient = "ae"; };
prox:  { name = "soft_threshold"; lambda = 0.1; };
loss:  { name = "least_squares"; };
train: { epochs = 4; batch = 2; learning_rate = 1e-2; };
END
cfg=$work/run.cfg
run "$PUDLE" train "$cfg" --out "$work/good" --quiet
is_success 'a run to begin with'
sum() {
    cat "$1/dictionary.npy" "$1/checkpoint.safetensors" "$1/config.cfg" "$1/metrics.csv" | cksum
}

# ---- a run that cannot begin leaves the one that is there, and check finds the same
before=$(sum "$work/good")
while IFS='|' read -r phrase settings; do
    sets=
    for setting in $settings; do sets="$sets --set $setting"; done
    run "$PUDLE" train "$cfg" --out "$work/good" --force $sets
    [ "$status" -ne 0 ] && grep -qF -- "$phrase" "$work/err" && [ "$(sum "$work/good")" = "$before" ]
    code=$?
    ok $code "refused with the run kept: $phrase"
    [ $code -eq 0 ] || diag "$work/err"
    run "$PUDLE" check "$cfg" $sets
    [ "$status" -ne 0 ] && grep -qF -- "$phrase" "$work/err"
    ok $? "... and by check"
done <<END
number 2, counted from 0, is not finite|model.dictionary.path=$work/dnan.npy
no such file|model.dictionary.path=$work/nothing.npy
number 1, counted from 0, is -1, and the range is [0, |prox.path=$work/levels.npy prox.learn=atom
they must agree|loss.name=weighted_least_squares loss.path=$work/weights.npy
and bernoulli takes|loss.name=bernoulli
sample 1 holds a number that is not finite in single precision, and the loss 'least_squares'|data.path=$work/xhuge.npy train.shuffle=false
END

# ---- what is said before the folder is the run's is in its log too
run "$PUDLE" train "$cfg" --out "$work/zeros" --quiet --set prox.lambda=100
[ "$status" -eq 0 ] && grep -q "every code of the first batch is zero" "$work/err" && grep -q "every code of the first batch is zero" "$work/zeros/run.log" &&
    head -n 1 "$work/zeros/run.log" | grep -q begins
ok $? 'codes that are all zero are told, on the terminal and in the log'

# ---- what a config means is said before it is run
run "$PUDLE" check "$cfg"
[ "$status" -eq 0 ] && grep -q "^data: 4 samples of 2$" "$work/out" && grep -q "^model: 3 atoms, 4 layers of soft_threshold, loss least_squares" "$work/out" &&
    grep -q "^training: 8 updates with 2 samples each, 2 an epoch$" "$work/out"
ok $? 'check says what it has understood'
run "$PUDLE" check "$cfg" --unset train.epochs --set data.test_path="$work/x.npy"
[ "$status" -eq 0 ] && grep -q "neither train.epochs nor train.updates" "$work/out" && grep -q "4 for tests" "$work/out"
ok $? 'and what is missing for training'
run "$PUDLE" check "$cfg" --set loss.name=lasso --set prox.lambda=0.2
[ "$status" -eq 0 ] && grep -q "loss.lambda = 0.1 is a default, and prox.lambda is 0.2" "$work/err"
ok $? 'a loss whose lambda is not the written one of the prox'
run "$PUDLE" check "$cfg" --set loss.name=lasso --set loss.lambda=0.3 --set prox.lambda=0.2
[ "$status" -eq 0 ] && [ ! -s "$work/err" ]
ok $? 'two that are both written are nobody else'"'"'s business'

# ---- samples of one's own
run "$PUDLE" evaluate "$work/good"
cp "$work/out" "$work/own"
run "$PUDLE" evaluate "$work/good" --input "$work/x.npy"
[ "$status" -eq 0 ] && cmp -s "$work/out" "$work/own"
ok $? 'evaluate takes samples of a file'
run "$PUDLE" evaluate "$work/good" --input "$work/x3.npy"
refuses 2 'samples of 3 entries; those of the model' 'but not of another length'
run "$PUDLE" evaluate "$work/good" --input "$work/x.npy" --split test
refuses 2 'give one of them' 'nor beside a split'
run "$PUDLE" train "$work/good"
refuses 2 '--out takes its config to another folder' 'a run is not begun anew by its name alone'

# ---- files that change under a run
run "$PUDLE" train "$cfg" --out "$work/changed" --quiet --set train.updates=3
cp "$work/x.npy" "$work/keep.npy"
doubles "$work/x.npy" '4, 2' $one $zero $one $one $one $one $two $one
run "$PUDLE" train "$work/changed" --resume --set train.updates=4 --quiet
[ "$status" -eq 0 ] && grep -q "data.path is not what it was when the run was begun" "$work/err" && [ -s "$work/changed/manifest.1.json" ]
ok $? 'data that have changed are told'
run "$PUDLE" train "$work/changed" --resume --set train.updates=5 --quiet
[ "$status" -eq 0 ] && [ ! -s "$work/err" ]
ok $? '... once'
mv "$work/keep.npy" "$work/x.npy"
sed -i 's/epochs = 4/epochs = 5/' "$work/changed/config.cfg"
run "$PUDLE" train "$work/changed" --resume --set train.updates=5 --quiet
[ "$status" -eq 0 ] && [ "$(grep -c edited "$work/err")" -eq 0 ]
ok $? 'what may change may change in config.cfg'
sed -i 's/lambda = 0.1/lambda = 0.2/' "$work/changed/config.cfg"
run "$PUDLE" train "$work/changed" --resume --set train.updates=6 --quiet
[ "$status" -eq 0 ] && grep -q "config.cfg: the config has been edited since the run wrote it" "$work/err"
ok $? 'so is a config that was edited'
run "$PUDLE" train "$cfg" --out "$work/machine" --quiet --set train.updates=3
first=$(sed -n 's/.*"\(architecture: [a-z0-9]*\).*/\1/p' "$work/machine/manifest.json")
run env BLIS_ARCH_TYPE=generic "$PUDLE" train "$work/machine" --resume --set train.updates=4 --quiet
if [ "$first" = "architecture: generic" ] || [ -z "$first" ]; then
    ok 0 'other arithmetic # SKIP this machine has none'
else
    [ "$status" -eq 0 ] && grep -q 'the run was begun with "architecture: .*which may compute other bits' "$work/err"
    ok $? 'and other arithmetic'
fi

# ---- compare
doubles "$work/a.npy" '3,' $one $two $one
doubles "$work/b.npy" '3,' $one $two $two
doubles "$work/i.npy" '3,' $one $inf $one
run "$PUDLE" compare "$work/a.npy" "$work/b.npy" --atol 0
[ "$status" -eq 1 ] && grep -q '^DIFFER' "$work/out"
ok $? 'a tolerance of 0 is one'
run "$PUDLE" compare "$work/a.npy" "$work/a.npy" --atol 0
[ "$status" -eq 0 ] && grep -q '^agree' "$work/out"
ok $? '... that equal arrays keep'
for pair in "a i" "i a"; do
    run "$PUDLE" compare "$work/${pair% *}.npy" "$work/${pair#* }.npy" --rtol 1e-3
    [ "$status" -eq 1 ] && grep -q '^DIFFER' "$work/out"
    ok $? "an infinity differs from a number ($pair)"
done
run "$PUDLE" compare "$work/i.npy" "$work/i.npy" --rtol 1e-3
is_success '... and not from itself'
doubles "$work/d2.npy" '2, 3' $one $zero $one $zero $one $two
run "$PUDLE" compare "$work/d.npy" "$work/d2.npy" --dictionary --rtol 1e-3
[ "$status" -eq 1 ] && grep -q '^DIFFER' "$work/out"
ok $? 'dictionaries have the tolerance too'
doubles "$work/wide.npy" '2, 3' '\000\000\000\000\000\000\131\100' $zero $one $zero '\000\000\000\000\000\000\131\100' $two # 100
doubles "$work/wider.npy" '2, 3' '\000\000\000\000\000\000\131\100' $two $one $zero '\000\000\000\000\000\000\131\100' $two
run "$PUDLE" compare "$work/wide.npy" "$work/wider.npy" --dictionary --rtol 1e-3
[ "$status" -eq 1 ] && grep -q '^DIFFER' "$work/out"
ok $? '... which is that of unit atoms, whatever their length'
run "$PUDLE" compare "$work/d.npy" "$work/d.npy" --dictionary --rtol 1e-3
is_success '... and agree with themselves'

# ---- outputs
cp "$work/x.npy" "$work/keep.npy"
run "$PUDLE" encode "$work/good" --input "$work/x.npy" --output "$work/x.npy"
refuses 2 'would overwrite what is read (' 'codes do not replace samples'
run "$PUDLE" encode "$work/good" --output "$work/z.npy" --reconstruction "$work/z.npy"
refuses 2 'is what --output writes' 'nor reconstructions codes'
run "$PUDLE" encode "$work/good" --output "$work/good/checkpoint.safetensors"
refuses 2 'is a file of a run, which would be lost' 'nor anything a run'
run "$PUDLE" encode "$work/good" --output "$work/nowhere/z.npy"
refuses 2 "there is no folder $work/nowhere" 'a folder that is missing is found first'
ln -s "$work/good/dictionary.npy" "$work/link.npy"
run "$PUDLE" encode "$work/good" --output "$work/link.npy"
refuses 2 'is a file of a run, which would be lost' '... behind a link as well'
run "$PUDLE" encode "$work/good" --output "$work/x.npy"
refuses 2 'would overwrite what is read (data.path)' 'nor what the config names'
run "$PUDLE" encode "$work/nowhere" --output "$work/z.npy"
refuses 2 'give the path of a config file, or of the folder of a run' 'a model that is not there may be a run'
run "$PUDLE" check "$cfg" --set model.dictionary.kind=conv --set 'model.dictionary.size=[1]' --set model.dictionary.init=random --unset model.dictionary.path
refuses 2 'these have 1 axis. Signals of one channel are given it by  data.shape = [1, 2];' 'signals without an axis for channels are told of it'
for name in z.npz z.CSV z.txt z.mat z.h5 z.json; do
    run "$PUDLE" encode "$cfg" --input "$work/x.npy" --output "$work/$name"
    refuses 2 "write  --output $work/z.npy" "codes are .npy, and no $name"
done
run "$PUDLE" encode "$cfg" --input "$work/x.npy" --output "$work/z.npy" --reconstruction "$work/y.npz"
refuses 2 "write  --reconstruction $work/y.npy" 'nor are reconstructions'
run "$PUDLE" bench "$cfg" --csv "$work/b.npy" --runs 1
refuses 2 "write  --csv $work/b.csv" 'figures are .csv'
! ls "$work"/z.* "$work"/y.np* "$work"/b.* >/dev/null 2>&1
ok $? 'nothing was written under a false name'
run "$PUDLE" encode "$cfg" --input "$work/x.npy" --output "$work/z.codes" --quiet
is_success 'an ending that is no known format is the own choice'
rm -f "$work/z.codes"
mkdir "$work/arrays"
cp "$work/x.npy" "$work/arrays/code.npy"
run "$PUDLE" gradient "$cfg" --set data.path="$work/arrays/code.npy" --out "$work/arrays"
refuses 2 'would overwrite what is read (data.path)' 'gradient neither'
run "$PUDLE" bench "$cfg" --csv "$cfg" --runs 1
refuses 2 'would overwrite what is read (a config)' 'nor bench'
cmp -s "$work/arrays/code.npy" "$work/x.npy" && grep -q soft_threshold "$cfg" && [ "$(sum "$work/good")" = "$before" ] && cmp -s "$work/x.npy" "$work/keep.npy"
ok $? 'nothing was touched'
run "$PUDLE" encode "$work/good" --input "$work/x3.npy" --output "$work/z.npy"
refuses 2 "samples of 3 entries; those of the model in $work/good have 2" 'samples of another length are named'
run "$PUDLE" encode "$work/good" --input "$work/xnan.npy" --output "$work/z.npy"
refuses 2 'sample 1 holds a number that is not finite' 'so is what is no number'
run "$PUDLE" train "$cfg" --out "$work/gaps" --quiet --set loss.name=masked_least_squares --set data.path="$work/xnan.npy" --set data.missing=true
run "$PUDLE" encode "$work/gaps" --input "$work/xnan.npy" --output "$work/z.npy" --quiet
is_success '... but a loss that passes over gaps has them'

# ---- pictures
doubles "$work/filters.npy" '1, 1, 2, 2' $one $one $zero $one
doubles "$work/picture.npy" '4, 2' $one $zero $zero $nan $one $one $two $one
cat >"$work/pictures.cfg" <<END
data:  { name = "npy"; path = "none.npy"; };
model: { dictionary: { kind = "conv"; atoms = 1; size = [2, 2]; init = "file"; path = "filters.npy"; }; layers = 3; step = "1/L"; };
prox:  { name = "soft_threshold"; lambda = 0.1; };
loss:  { name = "least_squares"; };
END
run "$PUDLE" denoise "$work/picture.npy" "$work/out.npy" --config "$work/pictures.cfg"
refuses 2 'picture.npy: channel 0 holds a number that is not finite' 'a picture with what is no number is refused, by its file'
[ ! -e "$work/out.npy" ]
ok $? '... and nothing written'
cp "$work/filters.npy" "$work/keep.npy"
run "$PUDLE" denoise "$work/x.npy" "$work/filters.npy" --config "$work/pictures.cfg"
refuses 2 'would overwrite what is read (model.dictionary.path)' 'the filters of a model stay'
run "$PUDLE" denoise "$work/x.npy" "$work/out.npy" --config "$work/pictures.cfg" --sigma 5 --csv "$work/out.npy"
refuses 2 'is what the output writes' 'two outputs are two files'
cmp -s "$work/filters.npy" "$work/keep.npy"
ok $? '... as they were'

# ---- plugins that end the process
mkdir -p "$work/evil/prox"
cat >"$work/evil.c" <<'END'
#include <pudle/plugin.h>
#include <stdlib.h>
typedef struct params { double lambda; } params;
static const pudle_option options[] = { { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD, .offset = offsetof(params, lambda),
    .dflt = "0.1", .max = 9, .doc = "A threshold." }, { .name = NULL } };
static pudle_status apply(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_view *p)
{
    (void)self, (void)exec, (void)tau, (void)theta, (void)v, (void)p;
    HOW;
    return PUDLE_OK;
}
static pudle_status vjp(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_cview *p,
                        const pudle_cview *g, const pudle_view *gv, const pudle_view *gtheta)
{
    (void)self, (void)exec, (void)tau, (void)theta, (void)v, (void)p, (void)g, (void)gv, (void)gtheta;
    return PUDLE_OK;
}
static const pudle_prox_kernel host = { sizeof host, 0, "host", apply, vjp };
static const pudle_prox_kernel *const kernels[] = { &host, NULL };
static const pudle_prox_ops ops = { .size = sizeof ops, .vjp_needs = PUDLE_VJP_INPUT, .kernels = kernels };
static const pudle_desc desc = { .size = sizeof desc, .kind = PUDLE_KIND_PROX, .name = "evil", .version = "1", .summary = "ends the process",
    .license = "none", .caps = PUDLE_PROX_SEPARABLE, .options = options, .option_size = sizeof(pudle_option), .params_size = sizeof(params), .ops = &ops };
PUDLE_PLUGIN(&desc);
END
for how in 'exit(0)' '*(volatile int *)8 = 1' 'for (int64_t i = 0; i < pudle_count(v); i++) ((float *)p->data)[i] = NAN'; do
    if ! ${CC:-cc} -std=c11 -D_GNU_SOURCE -w -shared -fPIC -I"$top_srcdir/include" -DHOW="$how" -o "$work/evil/prox/evil.so" "$work/evil.c" 2>"$work/err"; then
        ok 0 "a plugin that does $how # SKIP it cannot be built"
        continue
    fi
    run "$PUDLE" train "$cfg" --plugin-path "$work/evil" --set prox.name=evil --out "$work/ended" --quiet
    case $how in
        exit*) refuses 1 'pudle ended before it was done' 'a plugin that calls exit is no success' ;;
        for*) refuses 1 "the prox 'evil' makes of finite numbers what is none" 'one that returns NaN is named' ;;
        *)  [ "$status" -ne 0 ] && grep -qE "evil.so crashed|AddressSanitizer.*SEGV|ThreadSanitizer.*SEGV|runtime error" "$work/err"
            code=$?
            ok $code 'one that crashes is named'
            [ $code -eq 0 ] || diag "$work/err" ;;
    esac
done

# ---- a crash outside of plugins
mkfifo "$work/slow.cfg"
(ulimit -c 0; exec "$PUDLE" check "$work/slow.cfg") >"$work/out" 2>"$work/err" &
pid=$!
exec 3>"$work/slow.cfg" # from here on pudle reads
kill -SEGV $pid
wait $pid 2>/dev/null
[ $? -gt 128 ] && [ "$(cat "$work/err")" = "pudle crashed (SIGSEGV), in its own code or in a library" ]
ok $? 'is said to be one'
exec 3>&-

# ---- keys that are not wanted
run "$PUDLE" check "$cfg" --set prox.name=hard_threshold --set prox.threshold=0.1
[ "$status" -ne 0 ]
ok $? 'a threshold of another prox is in the way'
run "$PUDLE" check "$cfg" --set prox.name=hard_threshold --set prox.threshold=0.1 --unset prox.lambda
is_success '... until it is unset'
run "$PUDLE" check "$cfg" --unset prox.lamda
refuses 2 '--unset prox.lamda: the config does not set this key' 'what is not there cannot be'
{ cat "$cfg"; echo 'inner_loss: { name = "huber"; delta = 0.3; };'; } >"$work/inner.cfg"
run "$PUDLE" check "$work/inner.cfg" --unset inner_loss --set loss.name=least_squares
is_success 'a whole group can be unset'
run "$PUDLE" check "$cfg" --unset inner_loss
refuses 2 '--unset inner_loss: the config does not have this group' 'one that is there'
run "$PUDLE" check "$cfg" --unset proxx.lambda
refuses 2 'did you mean "prox"' 'nor what has no group'

# ---- a build folder knows its own plugins
run env -u PUDLE_PLUGIN_PATH -u PUDLE_TEMPLATES "$PUDLE" check "$cfg"
is_success 'without a plugin path, a build folder is enough'
mkdir -p "$work/new"
run env -u PUDLE_PLUGIN_PATH -u PUDLE_TEMPLATES "$PUDLE" plugins new prox mine --dir "$work/new"
is_success '... for templates as well'
if command -v pkg-config >/dev/null && command -v make >/dev/null; then
    run env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL PKG_CONFIG_PATH="$top_builddir" make -C "$work/new/mine" CFLAGS=-O1
    is_success '... and for headers'
fi

# ---- standard files that are closed, and a file that may not grow
run "$PUDLE" train "$cfg" --out "$work/open" --quiet
sh -c '"$0" train "$1" --out "$2" <&- >&- 2>&-' "$PUDLE" "$cfg" "$work/closed"
cmp -s "$work/open/dictionary.npy" "$work/closed/dictionary.npy" && ! grep -q "update" "$work/closed/.lock" &&
    [ "$(grep -c '^[0-9]' "$work/closed/metrics.csv")" -eq "$(grep -c '^[0-9]' "$work/open/metrics.csv")" ]
ok $? 'closed standard files change nothing'
sh -c '"$0" compare "$1" "$1" >&-' "$PUDLE" "$work/a.npy" 2>"$work/err"
[ $? -eq 1 ] && grep -q "standard output" "$work/err"
ok $? '... but a report that nobody can get is told'
for what in --help --version 'train --help'; do
    sh -c '"$0" $1 >/dev/full' "$PUDLE" "$what" 2>"$work/err"
    [ $? -eq 1 ] && grep -q "standard output" "$work/err"
    ok $? "... as is $what"
done
cat >"$work/large.cfg" <<END
data:  { name = "synthetic"; samples = 20; features = 100; atoms = 100; sparsity = 3; };
model: { dictionary: { atoms = 100; init = "random"; }; layers = 4; step = 0.1; gradient = "ae"; };
prox:  { name = "soft_threshold"; lambda = 0.1; };
loss:  { name = "least_squares"; };
train: { epochs = 1; };
END
sh -c 'ulimit -f 8; exec "$0" train "$1" --out "$2"' "$PUDLE" "$work/large.cfg" "$work/small" >"$work/out" 2>"$work/err" </dev/null
status=$?
[ "$status" -ne 0 ] && [ "$status" -lt 128 ] && grep -q "checkpoint.safetensors" "$work/err"
ok $? 'a limit of file sizes is an error, not a signal'
# a table that may not grow: the state is kept, and a resume ends with the bits of a run that had no limit
sed -e 's/features = 100; atoms = 100/features = 4; atoms = 4/' -e 's/atoms = 100/atoms = 4/' -e 's/epochs = 1/epochs = 90/' "$work/large.cfg" >"$work/long.cfg"
sh -c 'ulimit -f 8; exec "$0" train "$1" --out "$2" --quiet' "$PUDLE" "$work/long.cfg" "$work/stopped" >"$work/out" 2>"$work/err" </dev/null
status=$?
refuses 1 "stopped/metrics.csv: cannot be written: File too large; raise the limit of file sizes" 'a table that may not grow ends a run'
grep -q "updates that were made are in $work/stopped/checkpoint.safetensors" "$work/err" && grep -q 'stopped by an error after [1-9]' "$work/stopped/run.log"
ok $? '... whose updates are kept'
run "$PUDLE" train "$work/stopped" --resume --quiet
is_success '... and which goes on'
run "$PUDLE" train "$work/long.cfg" --out "$work/unstopped" --quiet
cmp -s "$work/stopped/dictionary.npy" "$work/unstopped/dictionary.npy" && grep -q 'resumes' "$work/stopped/run.log"
ok $? '... to the same bits'
# a snapshot that could not be written is made when the run goes on
run "$PUDLE" train "$work/long.cfg" --out "$work/snapshots" --quiet --set train.snapshot_every=1 --set train.epochs=2
mkdir "$work/snapshots/dictionary_4.npy"
run "$PUDLE" train "$work/snapshots" --resume --quiet --set train.epochs=6
refuses 1 "dictionary_4.npy" 'a snapshot that cannot be written'
rmdir "$work/snapshots/dictionary_4.npy"
run "$PUDLE" train "$work/snapshots" --resume --quiet --set train.epochs=6
[ -f "$work/snapshots/dictionary_4.npy" ] && [ -f "$work/snapshots/dictionary_6.npy" ]
ok $? '... is written when the run goes on'
done_testing
