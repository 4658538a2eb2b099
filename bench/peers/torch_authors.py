"""PyTorch, in the manner of the paper's authors: batches of column vectors, out-of-place operations, autograd through every layer.

Dense, variant "gram": I - step D'D once an update, then one product a layer: their published dense class.
Dense, variant "two-products": D'(D z - x) in every layer, the way the network is drawn in the paper.
Convolution: conv_transpose2d and conv2d in every layer."""
import numpy as np
import torch
import torch.nn.functional as F


class Network:
    def __init__(self, case, x, d, variant):
        self.case, self.variant = case, variant
        self.x = torch.from_numpy(x if case.conv else x[:, :, None].copy())
        self.d = torch.nn.Parameter(torch.from_numpy(d))
        self.optimizer = torch.optim.Adam([self.d], lr=case.rate, eps=case.epsilon)

    def prox(self, v, level):
        if self.case.prox == "hard":
            return v * (torch.abs(v) > level)
        if self.case.prox == "nonnegative":
            return torch.relu(v - level)
        return torch.relu(torch.abs(v) - level) * torch.sign(v)

    def encode(self):
        case, d, x, step = self.case, self.d, self.x, self.case.step
        if case.conv:
            z = torch.zeros_like(F.conv2d(x, d, stride=case.stride))
            for level in case.levels():
                residual = F.conv_transpose2d(z, d, stride=case.stride) - x
                z = self.prox(z - step * F.conv2d(residual, d, stride=case.stride), level)
            return z
        z = torch.zeros(len(x), case.atoms, 1)
        if self.variant == "gram":
            contraction = torch.eye(case.atoms) - step * torch.matmul(d.t(), d)
            if not contraction.requires_grad: # where matmul sees a constant it copies it for every sample, and takes ten times as long
                contraction.requires_grad_()
            drive = step * torch.matmul(d.t(), x)
            for level in case.levels():
                z = self.prox(torch.matmul(contraction, z) + drive, level)
            return z
        for level in case.levels():
            residual = torch.matmul(d, z) - x
            z = self.prox(z - step * torch.matmul(d.t(), residual), level)
        return z

    def decode(self, z):
        return F.conv_transpose2d(z, self.d, stride=self.case.stride) if self.case.conv else torch.matmul(self.d, z)

    def gradient(self):
        self.optimizer.zero_grad()
        z = self.encode()
        error = 0.5 * (self.decode(z) - self.x) ** 2
        loss = error.sum(1).mean() if self.case.conv else error.sum((1, 2)).mean()
        if self.case.loss_lambda:
            loss = loss + self.case.loss_lambda * z.abs().sum((1, 2)).mean()
        loss.backward()
        return z

    def update(self):
        self.gradient()
        self.optimizer.step()
        if self.case.normalize:
            self.d.data = F.normalize(self.d.data, p=2, dim=(2, 3) if self.case.conv else 0)

    def forward(self):
        with torch.no_grad():
            return self.decode(self.encode())

    def evaluate(self):
        z = self.gradient().detach().numpy()
        return np.ascontiguousarray(z if self.case.conv else z[:, :, 0]), self.d.grad.numpy()
