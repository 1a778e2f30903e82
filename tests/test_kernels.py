"""The second moments of a run's first batch: right, recorded once, and the same in every copy."""

import itertools
import math
import statistics

import numpy as np
import pytest
import torch
from trained import rows_of_kernel, small, trained, work

from engine import branches, data, runs, store
from engine.kernels import kernel_of
from engine.recorder import Recorder
from engine.records import GRAM_EXAMPLES, InputKernel, Record
from engine.spec import RunSpec, choices
from engine.steering import Change
from engine.trainer import prepare, train

CPU = torch.device("cpu")


def by_hand(x, y):
    """same_share, variance, harmonic, same, different: a product per pair, in Python's own sums."""
    x, y = x.double().numpy(), y.tolist()
    kinds = {True: [], False: []}
    for a, b in itertools.permutations(range(len(x)), 2):
        kinds[y[a] == y[b]].append(float(x[a] @ x[b]) / x.shape[1])
    mean = {kind: math.fsum(found) / len(found) for kind, found in kinds.items()}
    own = [float(row @ row) / x.shape[1] for row in x]
    harmonic = statistics.harmonic_mean(own)
    return len(kinds[True]) / len(x) ** 2, statistics.fmean(own), harmonic, mean[True], mean[False]


def numbers(kernel):
    return kernel.same_share, kernel.variance, kernel.harmonic, kernel.same, kernel.different


def made_batch(count, features, classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.rand(count, features, generator=generator) - 0.2
    return inputs, torch.randint(0, classes, (count,), generator=generator)


@pytest.mark.parametrize("shape", [(7, 3, 2), (60, 784, 10), (90, 2, 3)])
def test_moments_agree_with_a_product_for_each_pair(shape):
    inputs, labels = made_batch(*shape)
    kernel = kernel_of(inputs, labels, keep_gram=False)
    assert numbers(kernel) == pytest.approx(by_hand(inputs, labels), rel=1e-10)
    assert kernel.gram is kernel.labels is None
    shares = 1 / kernel.batch_size + kernel.same_share + kernel.different_share
    assert shares == pytest.approx(1, rel=1e-15)


def test_moments_of_real_digits_say_that_one_class_is_more_alike_than_two():
    examples, _ = data.load(RunSpec(data="digits"))
    inputs, labels = examples.inputs[:80], examples.labels[:80]
    kernel = kernel_of(inputs, labels, keep_gram=False)
    assert numbers(kernel) == pytest.approx(by_hand(inputs, labels), rel=1e-10)
    assert kernel.variance > kernel.same > kernel.different > 0


def test_a_batch_in_several_pieces_has_the_moments_of_the_whole(monkeypatch):
    inputs, labels = made_batch(50, 20, 4)
    whole = kernel_of(inputs, labels, keep_gram=False)
    monkeypatch.setattr("engine.kernels.CHUNK", 7)
    assert numbers(kernel_of(inputs, labels, keep_gram=False)) == pytest.approx(numbers(whole))


def test_where_a_kind_of_pair_is_missing_its_mean_is_that_of_all_pairs():
    inputs, _ = made_batch(6, 5, 1)
    one_class = kernel_of(inputs, torch.full((6,), 3), keep_gram=False)
    assert one_class.same == one_class.different
    assert one_class.same_share == pytest.approx(1 - 1 / 6)
    assert abs(one_class.different_share) < 1e-15
    all_apart = kernel_of(inputs, torch.arange(6), keep_gram=False)
    assert all_apart.same == all_apart.different == pytest.approx(one_class.same)
    assert all_apart.same_share == 0
    single = kernel_of(inputs[:1], torch.tensor([2]), keep_gram=False)
    assert single.variance == single.same == single.different > 0
    assert single.harmonic == pytest.approx(single.variance)
    assert (single.same_share, single.different_share) == (0, 0)


@pytest.mark.parametrize("count", [5, GRAM_EXAMPLES + 9])
def test_the_products_themselves_are_kept_where_they_are_asked_for(count):
    inputs, labels = made_batch(count, 11, 10)
    kernel = kernel_of(inputs, labels, keep_gram=True)
    size = min(count, GRAM_EXAMPLES)
    wanted = inputs[:size].numpy().astype(np.float64)
    assert kernel.gram.dtype == np.float32
    np.testing.assert_allclose(kernel.gram, wanted @ wanted.T / 11, rtol=1e-6, atol=1e-7)
    assert kernel.labels.tolist() == labels[:size].tolist()


# -- in a run --------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", choices("norm"))
def test_a_run_hands_on_the_moments_of_its_first_batch_before_its_first_record(norm):
    spec = small(norm=norm, steps=3, epochs=1)
    items, seen = [], []

    class Watch(Recorder):
        def begin_phase(self, phase, network, step, *, anew):
            super().begin_phase(phase, network, step, anew=anew)
            hook = network.layer(1).register_forward_pre_hook
            self.handle = hook(lambda module, inputs: seen.append(inputs[0].clone()))

    run = prepare(spec, *data.load(spec), CPU)
    train(run, Watch(spec, items.append))
    assert [type(item) for item in items[:2]] == [InputKernel, Record]
    kernel, rest = items[0], items[1:]
    assert not any(isinstance(item, InputKernel) for item in rest)
    x = seen[0].double().numpy()
    assert kernel.batch_size == len(x) == 20
    assert kernel.variance == pytest.approx((x**2).mean(), rel=1e-12)
    pairs = x.sum(axis=0) @ x.sum(axis=0) / x.shape[1]
    shares = (1 / 20, kernel.same_share, kernel.different_share)
    assert pairs / 400 == pytest.approx(
        np.dot(shares, (kernel.variance, kernel.same, kernel.different)), rel=1e-12
    )
    assert (kernel.gram is not None) == (norm == "batch"), "only it mixes examples"


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_what_is_written_comes_back_and_a_branch_or_a_replay_has_the_same(norm):
    run = trained(small(norm=norm), [(4, Change(kind="freeze", layer=2))])
    [before] = rows_of_kernel(run)
    with store.Reader(runs.path(run)) as reader:
        kernel = reader.kernel()
    assert kernel.batch_size == 20
    assert (kernel.gram is None) == (norm == "none")
    for made in (branches.branch(run, 0), branches.branch(run, 13), branches.again(run)):
        if runs.info(made).parent_step == 13:
            assert rows_of_kernel(made) == [before], "it begins after step 0 and has its parent's"
        work(made)
        assert rows_of_kernel(made) == [before]


def test_layer_by_layer_it_is_of_the_first_phase_alone():
    assert len(rows_of_kernel(trained(small(schedule="layerwise_intended", epochs=1)))) == 1


def test_a_run_of_an_older_version_has_no_moments_and_its_branch_none_unless_it_begins_anew():
    run = trained(small())
    with store.Writer(runs.path(run)) as writer:
        writer.connection.execute("DELETE FROM kernel")
    with store.Reader(runs.path(run)) as reader:
        assert reader.kernel() is None
    later, anew = branches.branch(run, 18), branches.branch(run, 0)
    for made in (later, anew):
        assert work(made).status == store.FINISHED
    assert rows_of_kernel(later) == []
    assert len(rows_of_kernel(anew)) == 1
