"""One measurement in a process of its own, so that its peak memory and its threads are its own. Started by peers.py; prints one line of JSON.

    python worker.py MODULE CASE VARIANT THREADS FOLDER check|check64|time SECONDS"""
import importlib
import json
import os
import resource
import statistics
import sys
import time


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def timed(work, seconds, least=3):
    """(median, least) milliseconds of a call, over at least `least` calls and, with more, `seconds`. What is compiled is compiled before."""
    for _ in range(2):
        work()
    taken = []
    begin = time.perf_counter()
    while len(taken) < least or (time.perf_counter() - begin < seconds and len(taken) < 1000):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return 1000.0 * statistics.median(taken), 1000.0 * min(taken)


def main():
    module, name, variant, threads, folder, mode, seconds = sys.argv[1:]
    threads = int(threads)
    import numpy as np
    from cases import CASES
    if module.startswith("torch"):
        import torch
        torch.set_num_threads(threads)
        version = "torch " + torch.__version__
    else:
        import jax
        version = "jax " + jax.__version__
    formulation = importlib.import_module(module)
    case = CASES[name]
    double = mode == "check64"
    if double and module.startswith("torch"):
        torch.set_default_dtype(torch.float64)
    elif double:
        jax.config.update("jax_enable_x64", True)
    x, d = (np.load(os.path.join(folder, file)).astype(np.float64 if double else np.float32) for file in ("x.npy", "d.npy"))
    idle = peak_mb()
    network = formulation.Network(case, x, d, variant)
    result = {"version": version}
    if mode != "time":
        code, gradient = network.evaluate()
        np.save(os.path.join(folder, "peer_code.npy"), code)
        np.save(os.path.join(folder, "peer_gradient.npy"), gradient)
    else:
        if not case.inference:
            result["update_ms"], result["update_min_ms"] = timed(network.update, float(seconds))
            result["peak_mb"] = peak_mb()
        result["forward_ms"], result["forward_min_ms"] = timed(network.forward, float(seconds))
        result.setdefault("peak_mb", peak_mb())
        result["idle_mb"] = idle
    print(json.dumps(result))


if __name__ == "__main__":
    main()
