"""PyTorch on the GPU beside `pudle bench`, for the cases of bench/cases whose name is below: the same sizes, the same number of layers, the same
arithmetic for an update (forward, backward by autograd, Adam, unit atoms). Eager; torch.compile of the forward pass with the loss; and that with
CUDA graphs ("graphs"), which pudle has too. Dense networks with two products a layer, as the paper draws them, and with one by the Gram matrix.
Times are medians of updates, each with a wait for the device, as `pudle bench` takes them; memory is the most that the allocator has given out, with
what it gives to libraries. TF32 is off, and cuDNN tries its algorithms. What takes long to compile comes last.
python3 tests/gpu/peers.py --bench bench.csv [--csv FILE] [--seconds S] [--deadline S]"""
import argparse
import csv
import gc
import statistics
import time

import torch
import torch.nn.functional as F

CASES = {  # name: kind, batch, features or side, atoms, layers, step, level, kernel, stride
    "dense1000": ("dense", 50, 1000, 1500, 100, 0.2, 0.04, 0, 0),
    "conv": ("conv", 1, 129, 64, 15, 0.1, 0.016, 9, 4),
    "conv-b64": ("conv", 64, 129, 64, 15, 0.1, 0.016, 9, 4),
    "conv-b8": ("conv", 8, 129, 64, 15, 0.1, 0.016, 9, 4),
    "theory50": ("dense", 10000, 50, 100, 25, 0.2, 0.04, 0, 0),
    "theory50-T100": ("dense", 10000, 50, 100, 100, 0.2, 0.04, 0, 0),
}
VARIANTS = ("eager", "gram-eager", "compile", "gram-compile", "graphs", "gram-graphs")


def soft(v, level):
    return v.sign() * torch.relu(v.abs() - level)


def dense_loss(d, x, layers, step, level, gram):
    z = torch.zeros(x.shape[0], d.shape[1], device=x.device)
    if gram:
        g, c = d.t() @ d, x @ d
        for _ in range(layers):
            z = soft(z + step * (c - z @ g), level)
    else:
        for _ in range(layers):
            z = soft(z - step * ((z @ d.t() - x) @ d), level)
    return 0.5 * ((z @ d.t() - x) ** 2).sum() / x.shape[0]


def conv_loss(d, x, layers, step, level, stride):
    z = torch.zeros_like(F.conv2d(x, d, stride=stride))
    for _ in range(layers):
        z = soft(z - step * F.conv2d(F.conv_transpose2d(z, d, stride=stride) - x, d, stride=stride), level)
    return 0.5 * ((F.conv_transpose2d(z, d, stride=stride) - x) ** 2).mean()


def make(case, variant):
    kind, batch, size, atoms, layers, step, level, kernel, stride = case
    torch.manual_seed(1)
    shape = (size, atoms) if kind == "dense" else (atoms, 1, kernel, kernel)
    x = torch.randn(batch, size, device="cuda") if kind == "dense" else torch.randn(batch, 1, size, size, device="cuda")
    d = torch.randn(shape, device="cuda")
    axis = 0 if kind == "dense" else (1, 2, 3)
    d = torch.nn.Parameter(d / torch.linalg.vector_norm(d, dim=axis, keepdim=True))
    if kind == "dense":
        loss = lambda: dense_loss(d, x, layers, step, level, variant.startswith("gram"))  # noqa: E731
    else:
        loss = lambda: conv_loss(d, x, layers, step, level, stride)  # noqa: E731
    if variant.endswith("compile"):
        loss = torch.compile(loss)
    elif variant.endswith("graphs"):
        loss = torch.compile(loss, mode="reduce-overhead")
    optimizer = torch.optim.Adam([d], lr=1e-4, eps=1e-3, fused=True)

    def update():
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()
        with torch.no_grad():
            d.div_(torch.linalg.vector_norm(d, dim=axis, keepdim=True))

    return update


def measure(update, seconds):
    for _ in range(5):
        update()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end or len(times) < 5:
        start = time.monotonic()
        update()
        torch.cuda.synchronize()
        times.append(1e3 * (time.monotonic() - start))
    return statistics.median(times), torch.cuda.max_memory_allocated() / 2**20


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bench", required=True)
    parser.add_argument("--csv")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--deadline", type=float, default=float("inf"), help="no variant begins after so many seconds")
    args = parser.parse_args()
    begun = time.monotonic()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    with open(args.bench) as file:
        own = {row["case"]: (float(row["update_ms"]), float(row["device_mb"])) for row in csv.DictReader(file)}
    table = open(args.csv, "w", newline="") if args.csv else None
    if table:
        csv.writer(table).writerow(["case", "variant", "update_ms", "pudle_ms", "ratio", "peak_mib", "pudle_peak_mib"])
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    print(f"{'case':16} {'variant':18} {'update ms':>10} {'pudle ms':>10} {'ratio':>7} {'MiB':>8} {'pudle MiB':>10}", flush=True)
    for variant in VARIANTS:
        for name, case in CASES.items():
            if name not in own or (variant.startswith("gram") and case[0] != "dense"):
                continue
            if time.monotonic() - begun > args.deadline:
                print(f"{name:16} {variant:18} not tried, the {args.deadline:.0f} s are over", flush=True)
                continue
            torch.compiler.reset()
            gc.collect()
            torch.cuda.empty_cache()  # what the variant before has left
            try:
                ms, memory = measure(make(case, variant), args.seconds)
            except Exception as error:  # a variant that does not run is a line, not the end
                print(f"{name:16} {variant:18} does not run: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:80]}", flush=True)
                continue
            mine, held = own[name]
            print(f"{name:16} {variant:18} {ms:10.3f} {mine:10.3f} {ms / mine:7.2f} {memory:8.1f} {held:10.1f}", flush=True)
            if table:
                csv.writer(table).writerow([name, variant, ms, mine, ms / mine, memory, held])
                table.flush()


main()
