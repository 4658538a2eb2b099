"""PyTorch, the best that we can write without leaving PyTorch. Several variants; the harness takes the fastest and names it.

Dense: samples are rows; M = I - step D'D and c = step x D once an update; z_t = prox(c + z_{t-1} M), one addmm a layer, and z_1 = prox(c).
  eager     autograd
  compile   the same, the whole network through torch.compile
  layer     the same, one layer through torch.compile
  manual    the backward pass by hand: only the codes are kept, and the outer products of all layers are one product at the end
  sparse    manual, with codes as sparse rows (CSR) wherever few entries are nonzero
  chunks    manual, a few hundred samples at a time, so that what passes through the layers stays in the cache; gradients add up
Convolution, on the picture cut into stride x stride blocks (channels), where the stride is 1 and the filter a few blocks wide ("blocks"), or as it is:
  plain, channels-last, blocks, blocks-last, compile (of plain), blocks-compile
  gemm      blocks; shifted views side by side, and a matrix product
  manual    blocks; the backward pass by hand, one filter gradient for all layers at the end."""
import numpy as np
import torch
import torch.nn.functional as F


def prox(case, v, level):
    if case.prox == "hard":
        return F.hardshrink(v, level)
    if case.prox == "nonnegative":
        return torch.relu(v - level)
    return F.softshrink(v, level)


def make_layer(case):
    return lambda c, z, m, level: prox(case, torch.addmm(c, z, m), level)


# ------------------------------------------------------------------ dense

def dense_encode(case, x, d, layer):
    m = torch.eye(case.atoms) - case.step * (d.t() @ d)
    c = case.step * (x @ d)
    levels = case.levels()
    z = prox(case, c, levels[0])
    for level in levels[1:]:
        z = layer(c, z, m, level)
    return z


CHUNK = 500
SPARSE_BELOW = 0.1 # share of nonzeros under which a sparse product is worth trying


class DenseByHand(torch.autograd.Function):
    """The code of dense_encode. prox' is 1 where the code is nonzero and 0 elsewhere, for all three operators, so the codes are all of the tape."""

    @staticmethod
    def forward(ctx, d, x, case, sparse):
        m = torch.eye(case.atoms).addmm_(d.t(), d, alpha=-case.step)
        c = case.step * (x @ d)
        levels = case.levels()
        codes = torch.empty(case.layers, *c.shape)
        codes[0] = prox(case, c, levels[0])
        v = torch.empty_like(c)
        for t in range(1, case.layers):
            z = codes[t - 1]
            if sparse and torch.count_nonzero(z) < SPARSE_BELOW * z.numel():
                torch.addmm(c, z.to_sparse_csr(), m, out=v)
            else:
                torch.addmm(c, z, m, out=v)
            codes[t] = prox(case, v, levels[t])
        ctx.save_for_backward(d, x, m, codes)
        ctx.case, ctx.sparse = case, sparse
        return codes[-1].clone()

    @staticmethod
    def backward(ctx, u):
        d, x, m, codes = ctx.saved_tensors
        case = ctx.case
        through = torch.empty_like(codes) # derivative by what enters each prox
        for t in range(case.layers - 1, -1, -1):
            torch.mul(u, codes[t] != 0, out=through[t])
            if t:
                few = ctx.sparse and torch.count_nonzero(through[t]) < SPARSE_BELOW * u.numel()
                u = (through[t].to_sparse_csr() if few else through[t]) @ m
        before, after = codes[:-1].reshape(-1, case.atoms), through[1:].reshape(-1, case.atoms)
        if ctx.sparse and torch.count_nonzero(before) < SPARSE_BELOW * before.numel():
            by_m = before.t().to_sparse_csr() @ after
        else:
            by_m = before.t() @ after
        gradient = case.step * (x.t() @ through.sum(0))
        gradient.addmm_(d, by_m + by_m.t(), alpha=-case.step)
        return gradient, None, None, None


# ------------------------------------------------------------------ convolution

class Geometry:
    """The picture in blocks of stride x stride pixels, each block a position and its pixels the channels. The filter, filled up with zeros to whole
    blocks, then moves by one position, and what lies in the margin is zero before and after."""

    def __init__(self, case, picture, blocks):
        self.stride = case.stride
        self.block = case.stride if blocks else 1
        self.move = 1 if blocks else case.stride
        self.wide = -(-case.kernel // self.block) * self.block
        self.margin = [((size - case.kernel) // case.stride) * case.stride + self.wide - size if blocks else 0 for size in picture]
        self.filter_margin = self.wide - case.kernel

    def cut_picture(self, x):
        return F.pixel_unshuffle(F.pad(x, (0, self.margin[1], 0, self.margin[0])), self.block)

    def cut_filter(self, d):
        return F.pixel_unshuffle(F.pad(d, (0, self.filter_margin, 0, self.filter_margin)), self.block)

    def join_filter(self, g):
        size = self.wide - self.filter_margin
        return F.pixel_shuffle(g, self.block)[:, :, :size, :size]


class Convolutions:
    def __init__(self, move):
        self.move = move

    def prepare(self, w):
        return w

    def apply(self, w, z):
        return F.conv_transpose2d(z, w, stride=self.move)

    def adjoint(self, w, r):
        return F.conv2d(r, w, stride=self.move)


class Products:
    """The same maps for a stride of 1 position as matrix products, with positions before channels."""

    def __init__(self, across):
        self.across = across

    def prepare(self, w):
        return w.permute(2, 3, 1, 0).reshape(-1, w.shape[0])

    def adjoint(self, w, r):
        h, v = r.shape[1] - self.across + 1, r.shape[2] - self.across + 1
        return torch.cat([r[:, i:i + h, j:j + v] for i in range(self.across) for j in range(self.across)], dim=3) @ w

    def apply(self, w, z):
        parts = (z @ w.t()).chunk(self.across ** 2, dim=3)
        n, h, v, channels = parts[0].shape
        out = z.new_zeros(n, h + self.across - 1, v + self.across - 1, channels)
        for k, part in enumerate(parts):
            i, j = divmod(k, self.across)
            out[:, i:i + h, j:j + v] += part
        return out


def conv_encode(case, maps, w, x):
    levels = case.levels()
    z = prox(case, case.step * maps.adjoint(w, x), levels[0])
    for level in levels[1:]:
        z = prox(case, torch.sub(z, maps.adjoint(w, maps.apply(w, z) - x), alpha=case.step), level)
    return z


class ConvByHand(torch.autograd.Function):
    """(code, reconstruction); tape: the codes and residuals."""

    @staticmethod
    def forward(ctx, w, x, case):
        levels = case.levels()
        codes, residuals = [prox(case, case.step * F.conv2d(x, w), levels[0])], [-x]
        for level in levels[1:]:
            residuals.append(F.conv_transpose2d(codes[-1], w).sub_(x))
            codes.append(prox(case, torch.sub(codes[-1], F.conv2d(residuals[-1], w), alpha=case.step), level))
        ctx.save_for_backward(w, *codes, *residuals)
        ctx.case = case
        return codes[-1], F.conv_transpose2d(codes[-1], w)

    @staticmethod
    def backward(ctx, by_code, by_picture):
        case = ctx.case
        w, *tape = ctx.saved_tensors
        codes, residuals = tape[:case.layers], tape[case.layers:]
        pictures, maps = [by_picture], [codes[-1]] # pairs whose correlation is the gradient of the filters
        u = F.conv2d(by_picture, w).add_(by_code)
        for t in range(case.layers - 1, -1, -1):
            u = u * (codes[t] != 0)
            pictures.append(residuals[t])
            maps.append(-case.step * u)
            if t:
                spread = F.conv_transpose2d(u, w)
                pictures.append(spread)
                maps.append(-case.step * codes[t - 1])
                u.sub_(F.conv2d(spread, w), alpha=case.step)
        gradient = torch.ops.aten.convolution_backward(torch.cat(maps), torch.cat(pictures), w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1,
                                                       [False, True, False])[1]
        return gradient, None, None


# ------------------------------------------------------------------ one of them

class Network:
    def __init__(self, case, x, d, variant):
        self.case, self.variant = case, variant
        self.x = torch.from_numpy(x)
        self.d = torch.nn.Parameter(torch.from_numpy(d))
        if case.conv:
            blocks = variant.startswith("blocks") or variant in ("gemm", "manual")
            self.geometry = Geometry(case, x.shape[2:], blocks)
            self.maps = Convolutions(self.geometry.move)
            self.x = self.geometry.cut_picture(self.x)
            if variant == "gemm":
                self.maps = Products(self.geometry.wide // self.geometry.block)
                self.x = self.x.permute(0, 2, 3, 1).contiguous()
            self.last = variant.endswith("-last")
            if self.last:
                self.x = self.x.contiguous(memory_format=torch.channels_last)
        self.samples, self.pixels = len(x), x[0].size if case.conv else 1
        self.parts = self.x.split(CHUNK) if variant == "chunks" else [self.x]
        compiled = variant.endswith("compile")
        self.layer = torch.compile(make_layer(case)) if variant == "layer" else make_layer(case)
        self.loss = torch.compile(self.plain_loss) if compiled else self.plain_loss
        self.infer = torch.compile(self.plain_forward) if compiled else self.plain_forward
        self.optimizer = torch.optim.Adam([self.d], lr=case.rate, eps=case.epsilon, fused=True)

    def both(self, d, x):
        """(code, reconstruction), in the variant's own layout."""
        case = self.case
        if not case.conv:
            if self.variant in ("manual", "sparse", "chunks"):
                z = DenseByHand.apply(d, x, case, self.variant == "sparse")
            else:
                z = dense_encode(case, x, d, self.layer)
            return z, z @ d.t()
        w = self.geometry.cut_filter(d)
        if self.last:
            w = w.contiguous(memory_format=torch.channels_last)
        if self.variant == "manual":
            return ConvByHand.apply(w, x, case)
        w = self.maps.prepare(w)
        z = conv_encode(case, self.maps, w, x)
        return z, self.maps.apply(w, z)

    def plain_loss(self, d, x):
        z, reconstruction = self.both(d, x)
        loss = 0.5 * (reconstruction - x).square().sum() / (self.samples * self.pixels)
        if self.case.loss_lambda:
            loss = loss + self.case.loss_lambda * z.abs().sum() / self.samples
        return loss, z

    def plain_forward(self, d, x):
        return self.both(d, x)[1]

    def gradient(self):
        self.optimizer.zero_grad(set_to_none=True)
        codes = []
        for x in self.parts:
            loss, z = self.loss(self.d, x)
            loss.backward()
            codes.append(z.detach())
        return codes

    def update(self):
        self.gradient()
        self.optimizer.step()
        if self.case.normalize:
            with torch.no_grad():
                self.d /= torch.linalg.vector_norm(self.d, dim=(1, 2, 3) if self.case.conv else 0, keepdim=True)

    def forward(self):
        with torch.no_grad():
            return [self.infer(self.d, x) for x in self.parts]

    def evaluate(self):
        z = torch.cat(self.gradient())
        if self.variant == "gemm" and self.case.conv:
            z = z.permute(0, 3, 1, 2)
        return np.ascontiguousarray(z.numpy()), np.ascontiguousarray(self.d.grad.numpy())
