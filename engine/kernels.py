"""A batch of inputs -> the second moments that theory needs of it. Draws no random number."""

import torch
from torch import Tensor

from engine.records import GRAM_EXAMPLES, InputKernel

CHUNK = 4096  # examples made float64 at a time: a batch may be the whole data set


def kernel_of(inputs: Tensor, labels: Tensor, *, keep_gram: bool) -> InputKernel:
    """The second moments of a batch over pairs of its examples, in float64.

    inputs     [batch, features]  as the network sees them
    labels     [batch]  whole numbers from 0
    keep_gram  whether the products of the first GRAM_EXAMPLES examples are kept one by one

    The sum over a class's pairs of different examples is |sum of x|^2 - sum of |x|^2, so that no
    batch x batch matrix is made. Where a batch has no pair of one class, or none of different
    classes, that mean is the one over all pairs; a batch of one example has no pair at all, and
    both are its variance. Such a mean weighs nothing in theory: the share of its pairs is 0.
    After the three-number form of section 1.4 of the theory notes; the matrix of all products is
    the kernel of Lee et al. 2018, https://arxiv.org/abs/1711.00165
    """
    x, y = inputs.detach().cpu(), labels.detach().cpu()
    batch, features = x.shape
    sizes = torch.bincount(y).double()  # [classes]
    sums = torch.zeros(len(sizes), features, dtype=torch.float64)  # of each class's inputs
    own = inverse = 0.0  # sums of |x|^2 and of 1 / |x|^2
    for part, classes in zip(torch.split(x, CHUNK), torch.split(y, CHUNK), strict=True):
        wide = part.double()
        sums.index_add_(0, classes, wide)
        squares = wide.square().sum(dim=1)  # [examples]
        own += squares.sum().item()
        inverse += squares.reciprocal().sum().item()  # infinite with an example that is all 0
    every = sums.sum(dim=0).square().sum().item() - own  # over pairs of different examples
    alike = sums.square().sum().item() - own  # over those of one class
    pairs, pairs_alike = batch * (batch - 1), int((sizes * (sizes - 1)).sum())
    variance = own / batch / features
    overall = every / pairs / features if pairs else variance
    unlike = pairs - pairs_alike
    gram = known = None
    if keep_gram:
        first = x[:GRAM_EXAMPLES].double()
        gram = (first @ first.T / features).float().numpy()
        known = y[:GRAM_EXAMPLES].numpy().astype("uint16")
    return InputKernel(
        batch_size=batch,
        same_share=pairs_alike / batch**2,
        variance=variance,
        harmonic=batch / inverse / features,
        same=alike / pairs_alike / features if pairs_alike else overall,
        different=(every - alike) / unlike / features if unlike else overall,
        gram=gram,
        labels=known,
    )
