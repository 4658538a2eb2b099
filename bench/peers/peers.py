"""Times the network of pudle in PyTorch and JAX beside pudle itself: same arrays, same number of threads, alternating runs. See README.md."""
import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

import numpy as np

from cases import CASES, make_arrays, pudle_config, variants as variants_of

HERE = os.path.dirname(os.path.abspath(__file__))
FORMULATIONS = {"authors": "torch_authors", "best": "torch_best", "jax": "jax_best"}
TITLES = {"pudle": "pudle", "authors": "PyTorch, authors' formulation", "best": "PyTorch, best", "jax": "JAX"}


FIGURES = ["update_ms", "update_min_ms", "forward_ms", "forward_min_ms", "peak_mb"]


class Failed(Exception):
    pass


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pudle", help="the program pudle; without it only the peers are timed")
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=list(CASES), metavar="NAME", help="of: " + " ".join(CASES))
    parser.add_argument("--peer", nargs="+", default=list(FORMULATIONS), choices=list(FORMULATIONS), help="which formulations; all by default")
    parser.add_argument("--without", nargs="+", default=[], metavar="VARIANT", help="variants to leave out, such as compile")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, with commas")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds; 0: only look for the fastest variants")
    parser.add_argument("--runs", type=int, default=20, help="updates that pudle bench takes the median of, in every round")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a peer repeats updates, and forward passes, in every round")
    parser.add_argument("--trial-seconds", type=float, default=1.0, help="the same, where the fastest variant of a peer is looked for")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds after which a process is given up, its compilation included")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest relative difference of codes and of gradients in single precision")
    parser.add_argument("--tolerance64", type=float, default=1e-9, help="the same in double precision")
    parser.add_argument("--mnist", default="mnist", help="folder of MNIST's files")
    parser.add_argument("--check-only", action="store_true", help="compare codes and gradients, time nothing")
    parser.add_argument("--out", help="CSV of every single measurement")
    return parser.parse_args()


def run(command, threads, folder, timeout, bound=True):
    """Standard output of a process that has so many threads, and, where it is bound, processors."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads),
                       JAX_PLATFORMS="cpu", CUDA_VISIBLE_DEVICES="", PYTHONDONTWRITEBYTECODE="1",
                       JAX_COMPILATION_CACHE_DIR=os.path.join(folder, "jax"), JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
                       TORCHINDUCTOR_CACHE_DIR=os.path.join(folder, "inductor"))
    processors = sorted(os.sched_getaffinity(0))
    if threads > len(processors):
        raise Failed(f"{threads} threads on {len(processors)} processors")
    chosen = set(processors[-threads:] if bound else processors) # JAX keeps to no other setting; so the same for all
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, cwd=folder,
                              preexec_fn=lambda: os.sched_setaffinity(0, chosen))
    except subprocess.TimeoutExpired:
        raise Failed(f"given up after {timeout:g} s") from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise Failed(f"exit status {done.returncode}: {words[-1] if words else 'no message'}")
    return done.stdout


class Bench:
    """One case: its files, and every program on it."""

    def __init__(self, case, options, folder):
        self.case, self.options, self.folder = case, options, folder
        self.config = os.path.join(folder, "case.cfg")
        x, d = make_arrays(case, options.mnist)
        np.save(os.path.join(folder, "x.npy"), x)
        np.save(os.path.join(folder, "d.npy"), d)
        with open(self.config, "w", encoding="ascii") as file:
            file.write(pudle_config(case))

    def peer(self, who, variant, threads, mode, seconds):
        command = [sys.executable, os.path.join(HERE, "worker.py"), FORMULATIONS[who], self.case.name, variant, str(threads), self.folder, mode, str(seconds)]
        return json.loads(run(command, threads, self.folder, self.options.timeout, mode == "time").strip().splitlines()[-1])

    def pudle(self, threads):
        table = os.path.join(self.folder, "bench.csv")
        run([self.options.pudle, "bench", self.config, "--set", f"backend.threads={threads}", "--runs", str(self.options.runs), "--csv", table],
            threads, self.folder, self.options.timeout)
        with open(table, newline="", encoding="utf-8") as file:
            row = next(csv.DictReader(file))
        return {key: float(row[key]) for key in FIGURES}

    def load(self, name):
        return np.load(os.path.join(self.folder, name)).astype(np.float64)

    def difference(self, ours, theirs):
        a, b = self.load(ours), self.load(theirs)
        if a.shape != b.shape:
            raise Failed(f"{theirs} has shape {b.shape}, {ours} {a.shape}")
        return float(np.linalg.norm(a - b) / np.linalg.norm(a))

    def compare(self, who, variant, mode):
        """Relative differences of codes and gradients to pudle's in the same precision, and in how many entries one code is zero and the other not."""
        self.peer(who, variant, 1, mode, 0)
        ours = "pudle64" if mode == "check64" else "pudle"
        code, gradient = self.difference(ours + "/code.npy", "peer_code.npy"), self.difference(ours + "/gradient.npy", "peer_gradient.npy")
        return code, gradient, np.count_nonzero((self.load(ours + "/code.npy") != 0) != (self.load("peer_code.npy") != 0))

    def check(self, variants):
        """Every variant against pudle; those that do not run are left out. True: none differs. In double precision there is no excuse; in single precision
        a rounding may put an entry on the other side of its threshold, and the gradient then differs by that entry."""
        agree = True
        for precision, folder in (("f64", "pudle64"), ("f32", "pudle")):
            run([self.options.pudle, "gradient", self.config, "--set", f"precision={precision}", "--out", folder], 1, self.folder, self.options.timeout, False)
        for who, names in variants.items():
            for variant in list(names):
                try:
                    exact = self.compare(who, variant, "check64")
                    single = self.compare(who, variant, "check")
                except Failed as failure:
                    print(f"  {who}:{variant}: left out, {failure}", flush=True)
                    names.remove(variant)
                    continue
                same = max(exact[:2]) <= self.options.tolerance64 and (max(single[:2]) <= self.options.tolerance or single[2] > 0) # false for NaN too
                agree = agree and same
                print(f"  {who}:{variant}: relative difference of codes and gradients: f64 {exact[0]:.1e}, {exact[1]:.1e}; f32 {single[0]:.1e}, {single[1]:.1e}"
                      f"{f' with {single[2]} entries across a threshold' if single[2] else ''}{'' if same else ': NOT THE SAME'}", flush=True)
        code = self.load("pudle/code.npy")
        print(f"  nonzero in the final code: {100 * np.count_nonzero(code) / code.size:.2f} %")
        return agree

    def fastest(self, who, names, threads, record):
        """The variant with the fastest update, and the one with the fastest forward pass."""
        figures = {}
        for variant in list(names):
            try:
                figures[variant] = self.peer(who, variant, threads, "time", self.options.trial_seconds)
            except Failed as failure:
                print(f"  trial {who}:{variant}, {threads} threads: left out, {failure}", flush=True)
                continue
            record("trial", who, variant, threads, figures[variant])
            print(f"  trial {who}:{variant}, {threads} threads: {words(figures[variant])}", flush=True)
        if not figures:
            return []
        forward = min(figures, key=lambda v: figures[v]["forward_ms"])
        update = forward if self.case.inference else min(figures, key=lambda v: figures[v]["update_ms"])
        return [update] if update == forward else [update, forward]


def words(figures):
    update = "" if figures.get("update_ms") is None else f"update {figures['update_ms']:.2f} ms, "
    return f"{update}forward {figures['forward_ms']:.2f} ms, peak {figures['peak_mb']:.0f} MB"


def summary(case, samples, threads_list):
    """Median over rounds; a program is as fast as its faster variant. samples: {(who, variant, threads): [figures]}."""
    names = {who for who, _, _ in samples}
    for quantity in (["forward"] if case.inference else ["update", "forward"]):
        best = {}
        for (who, variant, threads), rows in samples.items():
            time = statistics.median(row[quantity + "_ms"] for row in rows)
            least = min(row[quantity + "_min_ms"] for row in rows)
            peak = statistics.median(row["peak_mb"] for row in rows)
            if (who, threads) not in best or time < best[who, threads][0]:
                best[who, threads] = (time, least, variant, peak, f"{rows[0]['idle_mb']:.0f}" if "idle_mb" in rows[0] else "-")
        print(f"\n{case.name}, {quantity}: medians of the rounds, and the least of all; ratios are peer's time / pudle's at the same threads")
        print("| program | threads | variant | ms | least ms | peak MB | before the network MB | ratio | ratio of least |\n|---|---|---|---|---|---|---|---|---|")
        for who in TITLES:
            for threads in threads_list:
                if (who, threads) in best:
                    time, least, variant, peak, idle = best[who, threads]
                    ours = best.get(("pudle", threads))
                    ratios = f"{time / ours[0]:.2f} | {least / ours[1]:.2f}" if ours else "- | -"
                    print(f"| {TITLES[who]} | {threads} | {variant} | {time:.3f} | {least:.3f} | {peak:.0f} | {idle} | {ratios} |")
        ours = [best["pudle", t][0] for t in threads_list if ("pudle", t) in best]
        for who in TITLES:
            theirs = [best[who, t][0] for t in threads_list if (who, t) in best]
            if who != "pudle" and who in names and ours and theirs:
                print(f"{TITLES[who]}, its best over threads against pudle's best: {min(theirs) / min(ours):.2f}")


def measure(case, options, writer):
    print(f"\n== {case.name}", flush=True)
    threads_list = [int(word) for word in options.threads.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(case, options, folder)
        variants = {who: [v for v in variants_of(who, case) if v not in options.without] for who in options.peer}
        agree = bench.check(variants) if options.pudle else True
        if options.check_only:
            return agree

        def record(phase, who, variant, threads, figures):
            writer([case.name, phase, who, variant, threads] + [figures.get(key) for key in FIGURES + ["idle_mb", "version"]])

        chosen = {(who, threads): bench.fastest(who, variants[who], threads, record) for threads in threads_list for who in options.peer}
        samples = {}
        for _ in range(options.rounds):
            for threads in threads_list:
                turns = [("pudle", "-")] if options.pudle else []
                turns += [(who, variant) for who in options.peer for variant in chosen[who, threads]]
                for who, variant in turns:
                    figures = bench.pudle(threads) if who == "pudle" else bench.peer(who, variant, threads, "time", options.seconds)
                    record("round", who, variant, threads, figures)
                    samples.setdefault((who, variant, threads), []).append(figures)
        if samples:
            summary(case, samples, threads_list)
        return agree


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main():
    options = parse()
    if options.pudle:
        options.pudle = os.path.abspath(options.pudle)
    elif options.check_only:
        sys.exit("--check-only compares with pudle: give --pudle")
    options.mnist = os.path.abspath(options.mnist)
    print(f"{processor()}, {len(os.sched_getaffinity(0))} processors, Python {platform.python_version()}")
    file = open(options.out, "w", newline="", encoding="utf-8") if options.out else None
    table = csv.writer(file) if file else None

    def writer(row):
        if table:
            table.writerow(row)
            file.flush()

    writer(["case", "phase", "program", "variant", "threads"] + FIGURES + ["idle_mb", "version"])
    agree = True
    for name in options.case:
        try:
            agree = measure(CASES[name], options, writer) and agree
        except Failed as failure:
            print(f"{name}: {failure}")
            agree = False
    if file:
        file.close()
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
