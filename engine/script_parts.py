"""The pieces of an equivalent script: each value of a RunSpec as the PyTorch code that does it. Pure."""

from collections.abc import Callable

from engine.data_sets import DATA_FILES
from engine.spec import RunSpec

#: A function of a tensor; "" where nothing is done.
ACTIVATIONS = {
    "sigmoid": "torch.sigmoid",
    "tanh": "torch.tanh",
    "relu": "torch.relu",
    "leaky_relu": "nn.functional.leaky_relu",
    "elu": "nn.functional.elu",
    "selu": "nn.functional.selu",
    "gelu": "nn.functional.gelu",
    "silu": "nn.functional.silu",
    "softplus": "nn.functional.softplus",
    "identity": "",
}
#: A module, made for each hidden layer.
NORMS = {
    "none": "",
    "batch": "nn.BatchNorm1d(WIDTH)",
    "tensor": "TensorNorm()",
    "layer": "nn.LayerNorm(WIDTH)",
    "rms": "nn.RMSNorm(WIDTH)",
}
LEARNING_NORMS = frozenset({"batch", "layer", "rms"})  # those with parameters
#: Rules inside the network, by the autograd function that does them.
RULES = {"standardise": "Standardise", "unit_rms": "UnitRms"}
CLIPS: dict[str, tuple[str, str]] = {
    "clip_norm": ("nn.utils.clip_grad_norm_", "max_norm"),
    "clip_value": ("nn.utils.clip_grad_value_", "clip_value"),
}
#: What draws a weight: a function of torch.nn.init, and what it is told beside the weight.
INITS: dict[str, Callable[[RunSpec], tuple[str, str]]] = {
    "normal": lambda spec: ("nn.init.normal_", f"std={spec.std}"),
    "xavier_uniform": lambda spec: ("nn.init.xavier_uniform_", ""),
    "xavier_normal": lambda spec: ("nn.init.xavier_normal_", ""),
    "kaiming_uniform": lambda spec: ("nn.init.kaiming_uniform_", 'nonlinearity="relu"'),
    "kaiming_normal": lambda spec: ("nn.init.kaiming_normal_", 'nonlinearity="relu"'),
    "orthogonal": lambda spec: ("nn.init.orthogonal_", f"gain={spec.gain}"),
}
_OPTIMIZERS = {
    "sgd": "SGD",
    "momentum": "SGD",
    "nesterov": "SGD",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
    "adam": "Adam",
    "adamw": "AdamW",
}

TENSOR_NORM = '''
class TensorNorm(nn.Module):
    """(h - mean) / std, one mean and one std for the whole batch tensor."""

    def forward(self, h):
        return (h - h.mean()) / h.std()
'''
RULE_CLASSES = {
    "standardise": '''
class Standardise(torch.autograd.Function):
    """The identity; on its way back the gradient is standardised over the whole tensor."""

    @staticmethod
    def forward(ctx, h):
        return h.view_as(h)

    @staticmethod
    def backward(ctx, gradient):
        return (gradient - gradient.mean()) / (gradient.std() + 1e-6)
''',
    "unit_rms": '''
class UnitRms(torch.autograd.Function):
    """The identity; on its way back the gradient is scaled to a root mean square of 1."""

    @staticmethod
    def forward(ctx, h):
        return h.view_as(h)

    @staticmethod
    def backward(ctx, gradient):
        # By the largest entry first: the square of a small float32 would be 0.
        unit = gradient / gradient.abs().max()
        rescaled = unit / unit.square().mean().sqrt()
        return torch.where(gradient.any(), rescaled, gradient)
''',
}


def optimizer(spec: RunSpec, parameters: str) -> str:
    """The call that makes the optimizer of these parameters."""
    told = [f"lr={spec.learning_rate}"]
    if spec.optimizer in ("momentum", "nesterov"):
        told.append(f"momentum={spec.momentum}")
    if spec.optimizer == "nesterov":
        told.append("nesterov=True")
    if spec.weight_decay or spec.optimizer == "adamw":  # which has one of its own otherwise
        told.append(f"weight_decay={spec.weight_decay}")
    return f"torch.optim.{_OPTIMIZERS[spec.optimizer]}({parameters}, {', '.join(told)})"


def clip(spec: RunSpec, parameters: str) -> str:
    """The call that cuts the finished gradient; "" where nothing does."""
    if spec.gradient_rule not in CLIPS:
        return ""
    function, name = CLIPS[spec.gradient_rule]
    return f"{function}({parameters}, {name}={spec.gradient_bound})"


def draw(spec: RunSpec, weight: str) -> str:
    """The call that draws a weight; "" where nn.Linear's own draw stays."""
    if spec.init not in INITS:
        return ""
    function, told = INITS[spec.init](spec)
    return f"{function}({', '.join(filter(None, [weight, told]))})"


def draw_function(spec: RunSpec) -> str:
    """The same as a function of the weight, to be handed over; "None" for nn.Linear's own."""
    if spec.init not in INITS:
        return "None"
    function, told = INITS[spec.init](spec)
    return f"partial({function}, {told})" if told else function


_DIGITS = """
digits = load_digits()
order = np.random.default_rng(0).permutation(len(digits.target))
x = torch.from_numpy(digits.data[order] / 16).float()  # [1797, 64]
y = torch.from_numpy(digits.target[order]).long()
x, test_x, y, test_y = x[:1500], x[1500:], y[:1500], y[1500:]
"""
_MOONS = """
points, labels = make_moons(2500, noise=0.1, random_state=0)
"""
_CIRCLES = """
points, labels = make_circles(2500, noise=0.05, factor=0.5, random_state=0)
"""
_SPIRALS = """
# Three arms of 4 radians each, after the example data of CS231n's "a toy neural network".
random = np.random.default_rng(0)
labels = random.permutation(np.arange(2500) % 3)
radius = random.uniform(0, 1, 2500)
angle = 4 * radius + labels * 2 * math.pi / 3 + random.normal(0, 0.15, 2500)
points = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
"""
_POINTS = """
x, y = torch.from_numpy(points).float(), torch.from_numpy(labels).long()
x, test_x, y, test_y = x[:2000], x[2000:], y[:2000], y[2000:]
"""
_TORCHVISION = '''
FOLDER = os.environ.get("VGLAB_DATA", "data")  # what is not there is downloaded


def load(train):
    """Pixels from 0 to 1, [examples, pixels], and labels."""
    found = datasets.{name}(FOLDER, train=train, download=True)
    {inputs}


x, y = load(train=True)
test_x, test_y = load(train=False)
'''
_GREY = "return found.data.flatten(1).float() / 255, found.targets"
_COLOUR = """pixels = torch.from_numpy(found.data).permute(0, 3, 1, 2)  # as ToTensor does
    return pixels.flatten(1).float() / 255, torch.tensor(found.targets)"""


def data(spec: RunSpec) -> str:
    """The code that loads the data set: x, y, test_x and test_y."""
    if spec.data in DATA_FILES:
        inputs = _COLOUR if spec.data == "cifar10" else _GREY
        code = _TORCHVISION.format(name=DATA_FILES[spec.data].torchvision, inputs=inputs)
    else:
        own = {"digits": _DIGITS, "moons": _MOONS, "circles": _CIRCLES, "spirals": _SPIRALS}
        code = own[spec.data].rstrip() + ("" if spec.data == "digits" else _POINTS)
    if spec.examples < spec.data_set.examples:
        code = code.rstrip() + f"\nx, y = x[:{spec.examples}], y[:{spec.examples}]\n"
    return code


#: Data set -> the imports it needs.
DATA_IMPORTS: dict[str, tuple[str, ...]] = {
    "digits": ("import numpy as np", "from sklearn.datasets import load_digits"),
    "moons": ("from sklearn.datasets import make_moons",),
    "circles": ("from sklearn.datasets import make_circles",),
    "spirals": ("import math", "import numpy as np"),
} | dict.fromkeys(DATA_FILES, ("from torchvision import datasets",))
STANDARD = (
    "import math",
    "import sys",
    "from functools import partial",
    "from itertools import islice",
)


def imports(wanted: set[str]) -> str:
    """Import statements in the order ruff keeps them: the standard library's, then the others'."""

    def order(line: str) -> tuple[bool, str]:
        return line.startswith("from"), line

    own = sorted((line for line in wanted if line in STANDARD), key=order)
    others = sorted((line for line in wanted if line not in STANDARD), key=order)
    return "\n\n".join("\n".join(block) for block in (own, others) if block)
