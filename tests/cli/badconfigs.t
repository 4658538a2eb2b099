#!/bin/sh
# Wrong configs are refused with exit code 2, file and line, and a way out; nothing is printed on stdout.
. "$top_srcdir/tests/cli/tap.sh"
cfg="$work/bad.cfg"

# write [N TEXT]...: a good config, one group a line, with line N replaced
write() {
    cat >"$cfg" <<'END'
precision = "f64";
backend: { name = "ref"; };
data: { name = "synthetic"; samples = 20; features = 8; atoms = 12; sparsity = 2; };
model: { dictionary: { atoms = 12; init = "random"; }; layers = 3; step = "1/L"; gradient = "ae"; };
prox: { name = "soft_threshold"; lambda = 0.1; };
loss: { name = "least_squares"; };
train: { optimizer = "adam"; learning_rate = 1e-3; epochs = 2; };
END
    while [ $# -gt 0 ]; do
        N="$1" TEXT="$2" awk 'NR == ENVIRON["N"] { print ENVIRON["TEXT"]; next } { print }' "$cfg" >"$cfg.new"
        mv "$cfg.new" "$cfg"
        shift 2
    done
}

# said WHERE PHRASE: the last run was refused in these words
said() {
    if [ "$status" -eq 2 ] && grep -F -- "$1" "$work/err" | grep -qF -- "$2" && [ ! -s "$work/out" ] &&
       tail -n 1 "$work/err" | grep -q '^[0-9]* errors*, nothing was run$'; then
        ok 0 "$1 $2"
    else
        ok 1 "$1 $2"
        echo "# exit code $status (wanted 2); stdout and stderr:"
        diag "$work/out" "$work/err"
    fi
}

# bad LINE PHRASE [N TEXT]...: LINE is what follows the file's name, ":5: prox.lamda:"
bad() {
    where=$1 phrase=$2
    shift 2
    write "$@"
    run "$PUDLE" check "$cfg"
    said "$cfg$where" "$phrase"
}

# bad_set OVERRIDE PHRASE
bad_set() {
    write
    run "$PUDLE" check "$cfg" --set "$1"
    said "--set $1:" "$2"
}

# good DESCRIPTION [N TEXT]...
good() {
    description=$1
    shift
    write "$@"
    run "$PUDLE" check "$cfg"
    is_success "$description"
    grep -qxF "$cfg: ok" "$work/out"
    ok $? "$description: says ok"
}

good "the config that the others are made from"
good "no backend and no train group" 2 "" 7 ""
good "everything that may be learned" 5 'prox: { name = "soft_threshold"; learn = "layer_atom"; };' \
    7 'train: { threshold_rate = 1e-4; };'
good "the truth" 4 'model: { dictionary: { atoms = 12; init = "truth"; noise = 0.1; }; layers = 3; gradient = "oracle"; };'
good "large integers with L" 7 'train: { seed = 3000000000L; };'

# keys
bad ":5: prox.lamda:" 'unknown option; did you mean "lambda"?' 5 'prox: { name = "soft_threshold"; lamda = 0.1; };'
bad ":5: prox.epochs:" 'did you mean "train.epochs"?' 5 'prox: { name = "soft_threshold"; epochs = 2; };'
bad ":1: trian:" 'unknown group; did you mean "train"?' 1 'trian: { };'
bad ":3: data.sample:" 'did you mean "samples"?' 3 'data: { name = "synthetic"; sample = 20; };'
bad ":5: prox.threshold:" 'unknown option' 5 'prox: { name = "soft_threshold"; threshold = 0.1; };'

# types
bad ":5: prox.lambda:" 'wants a number, but the text "0.1" is given' 5 'prox: { name = "soft_threshold"; lambda = "0.1"; };'
bad ":5: prox.nonnegative:" 'wants true or false, but 1 is given; write true' \
    5 'prox: { name = "soft_threshold"; nonnegative = 1; };'
bad ":7: train.epochs:" 'the real 1000.0 is given; write 1000' 7 'train: { epochs = 1e3; };'
bad ":7: train:" 'is a group of options' 7 'train = 5;'
bad ":3: data.samples:" 'but a group { } is given' 3 'data: { name = "synthetic"; samples: { }; };'

# ranges and choices
bad ":5: prox.lambda:" '-0.5 is outside [0, inf); the default is' 5 'prox: { name = "soft_threshold"; lambda = -0.5; };'
bad ":5: prox.lambda:" 'beyond the range of a double' 5 'prox: { name = "soft_threshold"; lambda = 1e400; };'
bad ":4: model.layers:" '0 is outside [1, ' 4 'model: { dictionary: { atoms = 12; }; layers = 0; };'
bad ":7: train.optimizer:" 'did you mean "adam"?' 7 'train: { optimizer = "adma"; };'
bad ":1: precision:" 'is none of f32, f64' 1 'precision = "f16";'
bad ":3: data.amplitude:" 'did you mean "uniform"?' 3 'data: { name = "synthetic"; amplitude = "unifrom"; };'

# what is missing
bad ": prox:" 'the group is missing; add' 5 ""
bad ": data:" 'the group is missing; add' 3 ""
bad ": loss:" 'the group is missing; add' 6 ""
bad ": model.dictionary:" 'the group is missing; add' 4 'model: { layers = 3; };'
bad ":4: model.dictionary:" 'atoms is missing; add  atoms = 1;' 4 'model: { dictionary: { }; layers = 3; };'
bad ":5: prox:" 'name is missing; add  name = "NAME";' 5 'prox: { lambda = 0.1; };'
bad ":5: prox.name:" 'the prox "soft_treshold" cannot be used' 5 'prox: { name = "soft_treshold"; };'
bad ":5: prox.name:" 'is no plugin name' 5 'prox: { name = "../soft_threshold"; };'
bad ":1: plugin_path:" 'is relative' 1 'plugin_path = "plugins";'

# parts that do not fit
bad ":4: model.truncate:" 'is read only with model.gradient = "truncated"' \
    4 'model: { dictionary: { atoms = 12; }; layers = 3; truncate = 2; };'
bad ":4: model.gradient:" 'needs truncate' 4 'model: { dictionary: { atoms = 12; }; layers = 3; gradient = "truncated"; };'
bad ":4: model.dictionary.init:" 'needs path' 4 'model: { dictionary: { atoms = 12; init = "file"; }; layers = 3; };'
bad ":4: model.dictionary.path:" 'is read only with' 4 'model: { dictionary: { atoms = 12; path = "w.npy"; }; layers = 3; };'
bad ":4: model.step:" 'is no step' 4 'model: { dictionary: { atoms = 12; }; layers = 3; step = "fast"; };'
bad ":5: prox.decay_change:" 'is read only with prox.decay_every above 0' \
    5 'prox: { name = "soft_threshold"; decay_change = -0.1; };'
bad ":5: prox.decay_every:" 'work against each other' \
    5 'prox: { name = "soft_threshold"; learn = "layer"; decay_every = 9; decay_change = -0.1; };'
bad ":7: train.momentum:" 'is read only with train.optimizer = "momentum"' 7 'train: { momentum = 0.5; };'
bad ":7: train.schedule:" 'needs schedule_every' 7 'train: { schedule = "step"; };'
bad ":7: train.epochs:" 'nothing to stop at' 7 'train: { epochs = 0; };'
bad ":7: train.memory:" '"12X" is no amount of memory; write a whole number of bytes' 7 'train: { epochs = 2; memory = "12X"; };'
bad ":7: train.memory:" '"-5M" is no amount of memory' 7 'train: { epochs = 2; memory = "-5M"; };'
good "a budget of memory" 7 'train: { epochs = 2; memory = "512M"; };'
bad ":4: model.gradient:" 'needs data that know their true code' 3 "data: { name = \"npy\"; path = \"$work/x.npy\"; };" \
    4 'model: { dictionary: { atoms = 12; }; layers = 3; gradient = "oracle"; };'

implicit='model: { dictionary: { atoms = 12; }; layers = 3; gradient = "implicit";'
good "an implicit gradient" 4 "$implicit ill_conditioned = \"skip\"; };" 5 'prox: { name = "elastic_net"; learn = "atom"; };'
bad ":4: model.ill_conditioned:" 'is read only with model.gradient = "implicit"' \
    4 'model: { dictionary: { atoms = 12; }; layers = 3; ill_conditioned = "skip"; };'
bad ":4: model.gradient:" 'that of "hard_threshold_ste" is a stand-in' 4 "$implicit };" 5 'prox: { name = "hard_threshold_ste"; };'
bad ":4: model.gradient:" '"batch_top_k" ties the samples of a batch together' 4 "$implicit };" 5 'prox: { name = "batch_top_k"; k = 3; };'
bad ":5: prox.learn:" 'write  learn = "global";' 4 "$implicit };" 5 'prox: { name = "soft_threshold"; learn = "layer"; };'
bad ":4: model.gradient:" '"implicit" does not reach the encoder' 4 "$implicit encoder = \"untied\"; };"

# the text itself
bad ":7: train.seed:" 'would be read as -1294967296; write 3000000000L' 7 'train: { seed = 3000000000; };'
bad ":7: train.seed:" 'would be read as 1; write 4294967297L' 7 'train: { seed = 4294967297; };'
bad ":7:" 'syntax error' 7 'train: { epochs = ; };'
bad ":7:" 'duplicate setting name' 1 'train: { };'
bad ":1:" 'the comment that starts here is never closed' 1 '/* notes'
bad ":1:" 'the string that starts here is never closed' 1 'precision = "f64;'
bad ":1:" 'cannot read' 1 '@include "none.cfg"'
bad ":1:" 'Is a directory' 1 '@include "."'
: >"$cfg"
run "$PUDLE" check "$cfg"
said "4 errors" "nothing was run"

# an included file is named with its own line
printf '\nprox:\n{\n  name = "soft_threshold";\n  lamda = 1;\n};\n' >"$work/part.cfg"
write 5 '@include "part.cfg"'
run "$PUDLE" check "$cfg"
said "$work/part.cfg:5: prox.lamda:" 'did you mean "lambda"?'

# the command line
bad_set 'train.lr=1e-3' 'did you mean "learning_rate"?'
bad_set 'lr=1e-3' 'did you mean "train.learning_rate"?'
bad_set 'model.n_components=20' 'did you mean "model.dictionary.atoms"?'
bad_set 'train.epochs=many' 'write for instance  epochs = 10;'
bad ":5: prox.lambda:" "unknown option of 'hard_threshold'" 5 'prox: { name = "hard_threshold"; lambda = 0.1; };'
bad ":5: prox.lambda:" "leave it out with --unset prox.lambda" 5 'prox: { name = "hard_threshold"; lambda = 0.1; };'
bad_set 'prox.lamda=1' 'unknown option; did you mean "lambda"?'
bad_set 'prox.lambda=-1' 'is outside [0, inf)'
bad_set 'porx.lambda=1' 'there is no group "porx"; did you mean "prox"?'
bad_set 'train.epochs=ten' 'wants a whole number'
bad_set 'prox=1' 'is a group'
bad_set 'train.epochs' 'wants a key and a value'
write
run "$PUDLE" check "$cfg" --set prox.name=hard_threshold
said "$cfg:5: prox.lambda:" 'unknown option'
write 5 'prox: { name = "soft_threshold"; };'
run "$PUDLE" check "$cfg" --set prox.name=hard_threshold --set prox.threshold=0.1 --set train.seed=3000000000
is_success "--set may change the plugin and its options"

# everything at once
write 5 'prox: { name = "soft_threshold"; lamda = 1; lambda = -0.5; };' 7 'train: { momentum = 0.5; epochs = 1e3; };'
run "$PUDLE" check "$cfg"
said "4 errors" "nothing was run"
[ "$(wc -l <"$work/err")" -eq 5 ]
ok $? "four mistakes, four lines, and one that counts them"
# ---- what shows when the data are opened
synthetic='data: { name = "synthetic"; samples = 20; features = 12; shape'
write 4 'model: { dictionary: { atoms = 11; }; layers = 3; step = 0.1; gradient = "oracle"; };'
run "$PUDLE" check "$cfg"
refuses 2 'model.dictionary.atoms = 11, but the true dictionary has 12' 'codes of another number of atoms'
write 3 "$synthetic = [1, 12]; atoms = 12; sparsity = 2; };" \
    4 'model: { dictionary: { kind = "conv"; atoms = 12; size = [3]; }; layers = 3; step = 0.1; gradient = "oracle"; };'
run "$PUDLE" check "$cfg"
refuses 2 'those of a dense dictionary' 'true codes for filters'
bad ":3: data:" 'shape has 11 entries, features = 12' 3 "$synthetic = [1, 11]; atoms = 12; sparsity = 2; };"
good "signals from the synthetic source" 3 "$synthetic = [1, 12]; atoms = 12; sparsity = 2; };" 4 'model: { dictionary: { kind = "conv"; atoms = 12; size = [3]; }; layers = 3; step = 0.1; gradient = "ae"; };'
# ---- encoders of their own
model='model: { dictionary: { atoms = 12; init = "random"; }; layers = 3;'
bad ":4: model.encoder_layers:" 'write  encoder = "untied";' 4 "$model step = 0.1; encoder_layers = true; };"
bad ":4: model.encoder_path:" 'a tied encoder has no weights of its own' 4 "$model step = 0.1; encoder_path = \"e.npz\"; };"
bad ":4: model.learn_step:" 'cannot follow L at the same time' 4 "$model step = \"1/L\"; learn_step = \"layer\"; };"
bad ":4: model.gradient:" 'does not reach the encoder' 4 "$model step = 0.1; gradient = \"dec\"; encoder = \"analysis\"; };"
good "an untied encoder with a learned step" 4 "$model step = 0.1; encoder = \"untied\"; encoder_layers = true; learn_step = \"layer\"; };"

done_testing
