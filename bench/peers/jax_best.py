"""JAX: value_and_grad of the whole network, Adam and normalisation in one jit. Several variants; the harness takes the fastest and names it.

Dense, in the form of torch_best.py: scan (lax.scan over the layers), unrolled (a Python loop), chunks (scan, a few hundred samples
at a time, so that what passes through the layers stays in the cache).
Convolution: conv (as it is), blocks (see torch_best.py), gemm (blocks, shifted views side by side and a matrix product), each in a Python loop."""
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

CHUNK = 500


def prox(case, v, level):
    if case.prox == "hard":
        return jnp.where(jnp.abs(v) > level, v, 0)
    if case.prox == "nonnegative":
        return jnp.maximum(v - level, 0)
    return jnp.where(v > level, v - level, jnp.where(v < -level, v + level, 0))


def dense(case, variant, d, x):
    m = jnp.eye(case.atoms, dtype=d.dtype) - case.step * (d.T @ d)
    c = case.step * (x @ d)
    levels = case.levels()
    z = prox(case, c, levels[0])
    if variant in ("scan", "chunks"):
        z, _ = lax.scan(lambda z, level: (prox(case, c + z @ m, level), None), z, jnp.array(levels[1:], d.dtype))
    else:
        for level in levels[1:]:
            z = prox(case, c + z @ m, level)
    return z, z @ d.T


def cut(a, block, margin):
    """(n, 1, h, w) to (n, h / block, w / block, block * block), after filling up with zeros."""
    a = jnp.pad(a[:, 0], ((0, 0), (0, margin[0]), (0, margin[1])))
    n, h, w = a.shape
    return a.reshape(n, h // block, block, w // block, block).transpose(0, 1, 3, 2, 4).reshape(n, h // block, w // block, block * block)


def conv_maps(variant, w, move):
    """(apply, adjoint) for filters w (atoms, across, across, channels)."""
    across = w.shape[1]
    if variant == "gemm":
        matrix = w.reshape(w.shape[0], -1)

        def adjoint(r):
            h, v = r.shape[1] - across + 1, r.shape[2] - across + 1
            return jnp.concatenate([r[:, i:i + h, j:j + v] for i in range(across) for j in range(across)], axis=3) @ matrix.T

        def apply(z):
            parts = jnp.split(z @ matrix, across * across, axis=3)
            return sum(jnp.pad(part, ((0, 0), (k // across, across - 1 - k // across), (k % across, across - 1 - k % across), (0, 0)))
                       for k, part in enumerate(parts))
        return apply, adjoint
    layout = ("NHWC", "OHWI", "NHWC")
    back = w[:, ::-1, ::-1].transpose(3, 1, 2, 0)
    return (lambda z: lax.conv_general_dilated(z, back, (1, 1), [(across - 1, across - 1)] * 2, lhs_dilation=(move, move), dimension_numbers=layout),
            lambda r: lax.conv_general_dilated(r, w, (move, move), "VALID", dimension_numbers=layout))


def convolution(case, variant, d, x):
    block = 1 if variant == "conv" else case.stride
    wide = -(-case.kernel // block) * block
    fill = wide - case.kernel
    margin = [((size - case.kernel) // case.stride) * case.stride + wide - size if block > 1 else 0 for size in x.shape[2:]]
    apply, adjoint = conv_maps(variant, cut(d, block, (fill, fill)), case.stride // block)
    x = cut(x, block, margin)
    levels = case.levels()
    z = prox(case, case.step * adjoint(x), levels[0])
    for level in levels[1:]:
        z = prox(case, z - case.step * adjoint(apply(z) - x), level)
    return z, apply(z) - x


class Network:
    def __init__(self, case, x, d, variant):
        self.case = case
        self.x, self.d = jnp.asarray(x), jnp.asarray(d)
        self.state = (jnp.array(d), jnp.zeros_like(self.d), jnp.zeros_like(self.d), jnp.zeros((), jnp.int32))

        def loss(d, x):
            if case.conv:
                z, residual = convolution(case, variant, d, x)
            else:
                z, reconstruction = dense(case, variant, d, x)
                residual = reconstruction - x
            value = 0.5 * jnp.sum(residual ** 2) / (x.size if case.conv else len(x))
            if case.loss_lambda:
                value += case.loss_lambda * jnp.sum(jnp.abs(z)) / len(x)
            return value, z

        def gradient(d, x):
            if variant != "chunks":
                return jax.value_and_grad(loss, has_aux=True)(d, x)
            parts = x.reshape(-1, CHUNK, x.shape[1])

            def more(g, part):
                (value, z), g_part = jax.value_and_grad(loss, has_aux=True)(d, part)
                return g + g_part / len(parts), (value, z)
            g, (values, z) = lax.scan(more, jnp.zeros_like(d), parts)
            return (values.mean(), z.reshape(-1, case.atoms)), g

        def step(state, x):
            d, first, second, count = state
            (value, _), g = gradient(d, x)
            count = count + 1
            first = 0.9 * first + 0.1 * g
            second = 0.999 * second + 0.001 * g * g
            d = d - case.rate * (first / (1 - 0.9 ** count)) / (jnp.sqrt(second / (1 - 0.999 ** count)) + case.epsilon)
            if case.normalize:
                d = d / jnp.sqrt(jnp.sum(d * d, axis=(1, 2, 3) if case.conv else 0, keepdims=True))
            return (d, first, second, count), value

        def forward(d, x):
            if variant == "chunks":
                return lax.map(lambda part: dense(case, variant, d, part)[1], x.reshape(-1, CHUNK, x.shape[1]))
            return convolution(case, variant, d, x)[1] if case.conv else dense(case, variant, d, x)[1]

        self.step = jax.jit(step, donate_argnums=0)
        self.infer = jax.jit(forward)
        self.look = jax.jit(gradient)

    def update(self):
        self.state, value = self.step(self.state, self.x)
        jax.block_until_ready(self.state)

    def forward(self):
        return jax.block_until_ready(self.infer(self.d, self.x))

    def evaluate(self):
        (_, z), g = self.look(self.d, self.x)
        return np.asarray(z.transpose(0, 3, 1, 2) if self.case.conv else z), np.asarray(g)
