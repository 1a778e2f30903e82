"""Data sets: the right examples, found where they lie, and a sentence where they do not."""

import gzip

import pytest
import torch
from conftest import PACKED, skip_or_fail
from sklearn.datasets import load_digits

from engine import data, data_sets
from engine.data_sets import DATA_FILES, DATA_SETS
from engine.errors import DataError
from engine.spec import RunSpec

EMBEDDED = [name for name, facts in DATA_SETS.items() if facts.embedded]


@pytest.mark.parametrize("name", EMBEDDED)
def test_an_embedded_set_is_what_its_facts_say(name):
    facts = DATA_SETS[name]
    shown, test = data.load(RunSpec(data=name))
    assert shown.inputs.shape == (facts.examples, facts.features)
    assert test.inputs.shape == (facts.test_examples, facts.features)
    assert shown.inputs.dtype == torch.float32
    assert shown.labels.unique().tolist() == list(range(len(facts.classes)))
    assert test.labels.unique().tolist() == list(range(len(facts.classes)))


def test_digits_are_scikit_learn_s_scaled_to_1_each_used_once():
    shown, test = data.load(RunSpec())
    ours = torch.cat([shown.inputs, test.inputs])
    assert ours.min() == 0
    assert ours.max() == 1
    labels = torch.cat([shown.labels, test.labels])
    theirs = load_digits()
    pixels = torch.from_numpy(theirs.data / 16).float()
    assert sorted(zip(ours.tolist(), labels.tolist(), strict=True)) == sorted(
        zip(pixels.tolist(), theirs.target.tolist(), strict=True)
    )


def test_loading_draws_no_random_number_and_is_the_same_twice():
    state = torch.get_rng_state()
    for name in EMBEDDED:
        a, b = (data.load(RunSpec(data=name))[0] for _ in range(2))
        assert torch.equal(a.inputs, b.inputs)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_subset_is_the_first_examples_and_all_of_the_test_set():
    shown, test = data.load(RunSpec(subset=100))
    whole, _ = data.load(RunSpec())
    assert torch.equal(shown.inputs, whole.inputs[:100])
    assert len(test) == 297


def test_the_split_is_torch_s_own():
    spec = RunSpec(subset=100)
    shown, test = data.load(spec)
    torch.manual_seed(5)
    parts = data.split(shown, test, spec, torch.device("cpu"))
    torch.manual_seed(5)
    order = torch.randperm(100)
    assert torch.equal(parts.train.inputs, shown.inputs[order[:90]])
    assert torch.equal(parts.validation.labels, shown.labels[order[90:]])


def test_fashion_mnist_from_disk_is_what_torchvision_s_own_pipeline_gives(fashion_mnist):
    from torchvision import transforms
    from torchvision.datasets import FashionMNIST

    shown, test = data.load(RunSpec(data="fashion_mnist"))
    for ours, train in ((shown, True), (test, False)):
        theirs = FashionMNIST(fashion_mnist, train=train, transform=transforms.ToTensor())
        for index in (0, 1, 4999, 9999):
            image, label = theirs[index]
            assert torch.equal(ours.inputs[index], image.flatten())
            assert ours.labels[index] == label
    assert (len(shown), len(test)) == (60000, 10000)
    assert data_sets.default_data() == "fashion_mnist", "a real set on disk is offered first"


def test_packed_files_are_checked_and_unpacked_into_a_folder_of_our_own(monkeypatch, home):
    if not PACKED.exists():
        skip_or_fail(f"Fashion-MNIST is not at {PACKED}")
    monkeypatch.setenv("VGLAB_DATA", str(PACKED.parents[1]))
    assert "fashion_mnist" in data_sets.data_here()
    shown, _ = data.load(RunSpec(data="fashion_mnist", subset=1000))
    assert len(shown) == 1000
    assert DATA_FILES["fashion_mnist"].is_unpacked(home / "data")


def test_a_damaged_packed_file_gets_a_sentence_and_leaves_no_half_set(monkeypatch, home, tmp_path):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in DATA_FILES["fashion_mnist"].packed(tmp_path):
        whole = gzip.compress(bytes(range(256)) * 999)
        packed.write_bytes(whole[:-20])
    monkeypatch.setenv("VGLAB_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is damaged"):
        data.load(RunSpec(data="fashion_mnist"))
    assert not list((home / "data").rglob("*"))


def test_without_a_network_the_sentence_says_what_to_do(monkeypatch):
    from torchvision import datasets

    def unreachable(*_, **__):
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr(datasets, "MNIST", unreachable)
    said = []
    with pytest.raises(DataError) as refused:
        data.load(RunSpec(data="mnist"), said.append)
    assert str(refused.value) == (
        "MNIST is not here and could not be downloaded: Error downloading "
        "train-images-idx3-ubyte.gz; use digits, or put the files under VGLAB_DATA."
    )
    assert said[0].startswith("downloading MNIST: 0 of about 12 MB")


def test_a_stop_is_heard_during_a_download(monkeypatch):
    import threading

    from torchvision import datasets

    never = threading.Event()
    monkeypatch.setattr(datasets, "MNIST", lambda *_, **__: never.wait(60))

    def stopped(words):
        raise DataError("Stopped.")

    with pytest.raises(DataError, match="Stopped"):
        data.load(RunSpec(data="mnist"), stopped)
    never.set()


@pytest.mark.parametrize("batch_size", [1, 7, 32, 100, 500])
def test_batches_are_those_of_a_data_loader_and_so_is_what_they_draw(batch_size):
    examples = data.Examples(inputs=torch.zeros(100, 2), labels=torch.zeros(100, dtype=torch.long))
    batches = data.Batches(examples, batch_size)
    loader = torch.utils.data.DataLoader(range(100), batch_size, shuffle=True)
    orders, states = [], []
    for source in (batches, loader):
        torch.manual_seed(5)
        orders.append([batch.tolist() for _ in range(3) for batch in source])
        states.append(torch.get_rng_state())
    assert orders[0] == orders[1]
    assert torch.equal(*states)


def test_one_number_is_drawn_for_a_loader_without_an_order():
    states = []
    for draw in (data.draw_as_loader, lambda: list(torch.utils.data.DataLoader(range(10), 3))):
        torch.manual_seed(5)
        draw()
        states.append(torch.get_rng_state())
    assert torch.equal(*states)
