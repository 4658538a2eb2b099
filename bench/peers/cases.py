"""The networks that are timed: their sizes, options and arrays. Everything comes from a fixed seed, and every program reads the same files."""
import gzip
import os
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Case:
    name: str
    layers: int
    step: float
    batch: int
    prox: str = "soft"            # soft, nonnegative, hard
    level: float = 0.2            # lambda, or the threshold itself for hard
    decay: float = 1.0            # level of layer t is level * decay^(t-1)
    loss_lambda: float = 0.0      # weight of ||z_T||_1 in the training loss
    rate: float = 1e-3
    epsilon: float = 1e-8         # of Adam
    normalize: bool = True
    features: int = 0             # dense
    atoms: int = 64
    sparsity: int = 0
    noise: float = 0.0            # of the dictionary that the network starts with
    picture: tuple = ()           # conv: height, width
    kernel: int = 9
    stride: int = 4
    shifts: bool = False          # the batch is one picture at its stride * stride positions on the grid
    inference: bool = False       # only forward
    images: str = ""              # "mnist": samples are digits, if their files are there

    @property
    def conv(self):
        return bool(self.picture)

    def levels(self):
        """Threshold of every layer, in the units of the code."""
        scale = 1.0 if self.prox == "hard" else self.step
        return [scale * self.level * self.decay ** t for t in range(self.layers)]


def dense1000(name, noise=0.005, **options):
    return Case(name, layers=100, step=0.2, batch=50, features=1000, atoms=1500, noise=noise, epsilon=1e-3, **options)


def theory(name, layers):
    return Case(name, layers=layers, step=0.2, batch=10000, features=50, atoms=100, sparsity=5, noise=0.1)


def convolution(name, step=0.1, **options):
    return Case(name, layers=15, step=step, level=0.16, rate=1e-4, epsilon=1e-3, **options)


CASES = {case.name: case for case in [
    dense1000("dense1000-s10", sparsity=10),
    dense1000("dense1000-s20", sparsity=20),
    dense1000("dense1000-s40", sparsity=40),
    dense1000("dense1000-s10-decay", sparsity=10, decay=0.975, noise=3e-5),
    dense1000("dense1000-s10-hard", sparsity=10, prox="hard", level=0.1),
    theory("theory50-T25", 25),
    theory("theory50-T100", 100),
    Case("mnist", layers=15, step=1.0, batch=32, prox="nonnegative", level=0.7, loss_lambda=0.7, rate=1e-4, epsilon=1e-15, normalize=False,
         features=784, atoms=500, images="mnist"),
    convolution("conv-b1", batch=1, picture=(129, 129)),
    convolution("conv-b8", batch=8, picture=(129, 129)),
    convolution("conv-inference", batch=1, picture=(321, 481), inference=True),
    convolution("conv-inference-shifts", batch=16, picture=(321, 481), inference=True, shifts=True),
    convolution("conv-s1", batch=1, picture=(64, 64), stride=1, step=0.012),
]}


def variants(who, case):
    """Names of the variants of a formulation; what they are stands at the head of its file."""
    if who == "authors":
        return ["conv"] if case.conv else ["two-products", "gram"]
    if not case.conv:
        chunks = ["chunks"] if case.batch >= 1000 else [] # a multiple of their size
        return (["eager", "compile", "layer", "manual", "sparse"] if who == "best" else ["scan", "unrolled"]) + chunks
    blocks = case.stride > 1 # else the same as without
    if who == "best":
        return ["plain", "channels-last", "compile"] + (["blocks", "blocks-last", "blocks-compile"] if blocks else []) + ["gemm", "manual"]
    return ["conv"] + (["blocks"] if blocks else []) + ["gemm"]


def mnist_images(folder, count):
    """The first images of MNIST's training file, rows in [0, 1]; None where there is no such file."""
    for name in ("train-images-idx3-ubyte.gz", "train-images.idx3-ubyte.gz", "train-images-idx3-ubyte", "train-images.idx3-ubyte"):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with (gzip.open if name.endswith(".gz") else open)(path, "rb") as file:
                pixels = np.frombuffer(file.read(16 + count * 784), np.uint8, offset=16)
            return (pixels.reshape(count, 784) / 255.0).astype(np.float32)
    return None


def smooth_picture(rng, height, width):
    """Something like a noisy photograph: noise whose spectrum falls as 1/f, of range 1 and mean 0, and white noise of 25/255. Random filters then find
    codes about as dense (16 %) as the trained ones of the paper do in photographs; with a mean of 1/2 it would be half of all entries."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    frequency[0, 0] = 1.0
    picture = np.fft.ifft2(np.fft.fft2(rng.standard_normal((height, width))) / frequency).real
    return (picture - picture.mean()) / np.ptp(picture) + 25.0 / 255.0 * rng.standard_normal((height, width))


def shifted(picture, kernel, stride):
    """A picture at all stride * stride positions on the grid, its border reflected, as for shift averaging."""
    def pads(size, shift):
        rest = (size + stride - kernel) % stride
        return stride - shift, (stride - rest if rest else 0) + stride + shift
    height, width = picture.shape
    return np.stack([np.pad(picture, (pads(height, i), pads(width, j)), mode="reflect") for i in range(stride) for j in range(stride)])


def make_arrays(case, mnist_folder):
    """(samples, dictionary) in float32: (n, m) and (m, p), or (n, 1, h, w) and (p, 1, k, k)."""
    rng = np.random.default_rng(39)
    if case.conv:
        d = rng.standard_normal((case.atoms, 1, case.kernel, case.kernel))
        d /= np.linalg.norm(d, axis=(2, 3), keepdims=True)
        if case.shifts:
            x = shifted(smooth_picture(rng, *case.picture), case.kernel, case.stride)
        else:
            x = np.stack([smooth_picture(rng, *case.picture) for _ in range(case.batch)])
        return x[:, None].astype(np.float32), d.astype(np.float32)
    true = rng.standard_normal((case.features, case.atoms))
    true /= np.linalg.norm(true, axis=0)
    d = true + case.noise * rng.standard_normal(true.shape)
    d /= np.linalg.norm(d, axis=0)
    if case.images:
        x = mnist_images(mnist_folder, case.batch)
        if x is None:
            print(f"{case.name}: no MNIST files in '{mnist_folder}': random sparse images in their place")
            x = (rng.random((case.batch, case.features)) * (rng.random((case.batch, case.features)) < 0.2)).astype(np.float32)
        return x, d.astype(np.float32)
    z = np.zeros((case.batch, case.atoms))
    for row in z:
        support = rng.choice(case.atoms, case.sparsity, replace=False)
        row[support] = rng.choice([-1.0, 1.0]) * rng.uniform(1.0, 2.0, case.sparsity)
    return (z @ true.T).astype(np.float32), d.astype(np.float32)


def pudle_config(case):
    """The same network as a config of pudle; the files lie beside it."""
    if case.conv:
        kind = f'kind = "conv"; atoms = {case.atoms}; size = [{case.kernel}, {case.kernel}]; stride = {case.stride}; channels = 1;'
    else:
        kind = f'kind = "dense"; atoms = {case.atoms};'
    if case.prox == "hard":
        prox = f'name = "hard_threshold"; threshold = {case.level};'
    else:
        prox = f'name = "soft_threshold"; lambda = {case.level}; nonnegative = {str(case.prox == "nonnegative").lower()};'
    loss = f'name = "lasso"; lambda = {case.loss_lambda};' if case.loss_lambda else 'name = "least_squares";'
    if case.conv:
        loss += ' reduction = "mean";'
    tangent = ' tangent = false;' if case.normalize else ''  # as the others do
    return (f'precision = "f32";\n'
            f'backend: {{ name = "cpu"; }};\n'
            f'data: {{ name = "npy"; path = "x.npy"; }};\n'
            f'model: {{ dictionary: {{ {kind} init = "file"; path = "d.npy"; }}; layers = {case.layers}; step = {case.step}; gradient = "ae"; }};\n'
            f'prox: {{ {prox} decay = {case.decay}; }};\n'
            f'loss: {{ {loss} }};\n'
            f'train: {{ optimizer = "adam"; learning_rate = {case.rate}; epsilon = {case.epsilon}; epochs = 1; batch = {case.batch};'
            f' normalize = {str(case.normalize).lower()};{tangent} seed = 1; }};\n')
