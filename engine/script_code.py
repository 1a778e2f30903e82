"""The network, the measuring and the training of an equivalent script. Pure: text, no torch."""

from engine import script_changes as changed
from engine import script_parts as parts
from engine.script_changes import Story
from engine.spec import RunSpec


def network(story: Story) -> str:
    """The code that builds the network, with what changes while it trains in front of it."""
    spec, sections = story.spec, []
    if settings := changed.settings(story):
        sections.append("# These change while it trains.\n" + "\n".join(settings))
    if "tensor" in story.norms:
        sections.append(parts.TENSOR_NORM)
    if len(story.skips) == 1 and spec.skips:
        told = "# Layer: the earlier layer whose output is added to its own."
        sections.append(f"{told}\nSKIPS = {spec.skips}")
    sections += [code for rule, code in parts.RULE_CLASSES.items() if rule in story.rules]
    return _joined([*sections, _layer(story), _whole(story), "model = Network().to(device)"])


def _layer(story: Story) -> str:
    spec, has_norm = story.spec, story.norms != {"none"}
    lines = [
        "class Layer(nn.Module):",
        '    """One hidden layer."""',
        "",
        "    def __init__(self, inputs):",
        "        super().__init__()",
        "        self.linear = nn.Linear(inputs, WIDTH)",
    ]
    if has_norm:
        lines.append(f"        self.norm = {parts.NORMS[spec.norm] or 'nn.Identity()'}")
    lines += ["", "    def forward(self, h):", "        h = self.linear(h)"]
    norm = ["        h = self.norm(h)"] if has_norm else []
    position = next(iter(story.positions), "before")
    if len(story.positions) > 1:
        lines += ["        if norm_is_before:", "            h = self.norm(h)"]
    elif position == "before":
        lines += norm
    if len(story.activations) > 1:
        lines.append("        h = activation(h)")
    elif parts.ACTIVATIONS[spec.activation]:
        lines.append(f"        h = {parts.ACTIVATIONS[spec.activation]}(h)")
    if len(story.rules) > 1:
        lines.append("        h = rule(h)")
    elif rule := parts.RULES.get(spec.gradient_rule):
        lines.append(f"        h = {rule}.apply(h)")
    if len(story.positions) > 1:
        lines += ["        if not norm_is_before:", "            h = self.norm(h)"]
    elif position == "after":
        lines += norm
    return "\n".join([*lines, "        return h"])


def _whole(story: Story) -> str:
    spec = story.spec
    lines = [
        "class Network(nn.Module):",
        '    """Hidden layers and an output layer."""',
        "",
        "    def __init__(self):",
        "        super().__init__()",
        "        inputs = [INPUTS, *[WIDTH] * (DEPTH - 1)]",
        "        self.hidden = nn.ModuleList(Layer(size) for size in inputs)",
        "        self.output = nn.Linear(WIDTH, CLASSES)",
    ]
    if draw := parts.draw(spec, "module.weight"):
        lines += [
            "        for module in self.modules():",
            "            if isinstance(module, nn.Linear):",
            f"                {draw}",
            "                nn.init.zeros_(module.bias)",
        ]
    return "\n".join([*lines, "", *_enter(spec), *_forward(story)])


def _enter(spec: RunSpec) -> list[str]:
    """How a phase of layer-wise training begins."""
    if spec.schedule == "joint":
        return []
    freezes = changed.freezes(spec)
    told = ", not training the first `frozen`" if freezes else ""
    lines = [
        f"    def enter(self, layers{', frozen' if freezes else ''}):",
        f'        """Use the first `layers` hidden layers{told}; the output layer begins anew."""',
        "        self.layers = layers",
        "        self.output = nn.Linear(WIDTH, CLASSES).to(device)",
    ]
    if freezes:
        lines += [
            "        for number, layer in enumerate(self.hidden, start=1):",
            "            layer.requires_grad_(number > frozen)",
        ]
    return [*lines, ""]


def _forward(story: Story) -> list[str]:
    spec = story.spec
    hidden = "self.hidden" if spec.schedule == "joint" else "list(self.hidden)[: self.layers]"
    if story.skips == {"{}"}:
        return [
            "    def forward(self, h):",
            f"        for layer in {hidden}:",
            "            h = layer(h)",
            "        return self.output(h)",
        ]
    skips = "skips" if len(story.skips) > 1 else "SKIPS"
    return [
        "    def forward(self, h):",
        "        outputs = [h]",
        f"        for number, layer in enumerate({hidden}, start=1):",
        "            h = layer(outputs[-1])",
        f"            if number in {skips}:",
        f"                h = h + outputs[{skips}[number]]",
        "            outputs.append(h)",
        "        return self.output(outputs[-1])",
    ]


def measuring(may_diverge: bool) -> str:
    """The code that measures at an epoch's end; where the run may diverge, it looks for that too."""
    return _MEASURING.strip("\n") + (_CHECK.rstrip() if may_diverge else "")


_MEASURING = '''
train_batches = DataLoader(range(len(train_x)), BATCH_SIZE, shuffle=True)  # of indices
validation_batches = DataLoader(range(len(validation_x)), BATCH_SIZE)
# Not by DataLoader, which would draw a random number that the run did not draw.
test_batches = torch.arange(len(test_x)).split(BATCH_SIZE)
history = []  # of each epoch: loss and accuracy on each part of the data


def evaluate(x, y, batches):
    """Loss and accuracy, the mean over the examples."""
    model.eval()
    loss, right = 0.0, 0
    with torch.no_grad():
        for index in batches:
            logits = model(x[index])
            losses = nn.functional.cross_entropy(logits, y[index], reduction="none")
            loss += losses.cpu().double().sum().item()
            right += int((logits.argmax(1) == y[index]).sum())
    model.train()
    return loss / len(x), right / len(x)


def end_epoch(losses, hits):
    """Print what the epoch came to. In training each batch is measured before its step."""
    measured = {
        "train": (sum(losses) / len(losses), sum(hits) / len(hits)),
        "validation": evaluate(validation_x, validation_y, validation_batches),
        "test": evaluate(test_x, test_y, test_batches),
    }
    history.append(measured)
    told = [f"{name} loss {loss} accuracy {hit:.4f}" for name, (loss, hit) in measured.items()]
    print(f"epoch {len(history)}:", ", ".join(told), flush=True)
'''
_CHECK = """
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not all(p.isfinite().all() for linear in linears for p in linear.parameters()):
        sys.exit("Diverged: a weight is no longer a finite number.")
"""


def training(story: Story, may_diverge: bool) -> str:
    """The code that trains: epoch by epoch, or step by step where something was changed."""
    spec = story.spec
    first = f"optimizer = {parts.optimizer(spec, changed.parameters(spec))}"
    sections = [_train_step(story, may_diverge)]
    if story.is_live:
        sections += [*changed.helpers(story), _flat(spec)]
        loop = changed.steps(story)
    else:
        loop = _epochs(spec) if spec.schedule == "joint" else _phases(spec, first)
    if spec.schedule == "joint":
        loop = [first, *loop]
    return _joined([*sections, "\n".join(loop)])


def _joined(sections: list[str]) -> str:
    """Functions and classes, two empty lines between them."""
    return "\n\n\n".join(section.strip("\n") for section in sections)


def _train_step(story: Story, may_diverge: bool) -> str:
    spec = story.spec
    lines = [
        "def train_step(index):",
        '    """One step on a batch: its loss, and which examples were right."""',
        f"    {'optimizer' if spec.schedule == 'joint' else 'model'}.zero_grad()",
        "    logits = model(train_x[index])",
        "    loss = nn.functional.cross_entropy(logits, train_y[index])",
    ]
    if may_diverge:
        lines += [
            "    if not math.isfinite(loss.item()):",
            '        sys.exit("Diverged: the loss is no longer a finite number.")',
        ]
    lines.append("    loss.backward()")
    if len(story.clips) > 1:
        lines += ["    if clip is not None:", "        clip(model.parameters())"]
    elif clip := parts.clip(spec, "model.parameters()"):
        lines.append(f"    {clip}")
    lines += [
        "    optimizer.step()",
        "    return loss.item(), (logits.argmax(1) == train_y[index]).tolist()",
    ]
    return "\n".join(lines)


def _phases(spec: RunSpec, optimizer: str) -> list[str]:
    freezes = changed.freezes(spec)
    plan = [(p.layers, p.frozen) if freezes else p.layers for p in spec.phases]
    names = "layers, frozen" if freezes else "layers"
    what = "; of them frozen" if freezes else ": nothing is ever frozen, as published"
    lines = [
        f"# Hidden layers in use, phase by phase{what}.",
        f"for {names} in {plan}:",
        f"    model.enter({names})",
        f"    {optimizer}",
    ]
    return lines + [f"    {line}" for line in _epochs(spec)]


def _epochs(spec: RunSpec) -> list[str]:
    epochs = -(-spec.steps_per_phase // spec.steps_per_epoch)
    begin, batches = f"for _ in range({epochs}):", "train_batches"
    if spec.steps_per_phase % spec.steps_per_epoch:  # the last epoch is cut short
        begin = f"for epoch in range({epochs}):"
        batches = f"islice(train_batches, {spec.steps_per_phase} - epoch * len(train_batches))"
    return [
        begin,
        "    losses, hits = [], []",
        f"    for index in {batches}:",
        "        loss, right = train_step(index)",
        "        losses.append(loss)",
        "        hits += right",
        "    end_epoch(losses, hits)",
    ]


def _flat(spec: RunSpec) -> str:
    end = f"(step + 1) % {spec.steps_per_phase} == 0"
    if spec.schedule == "joint":
        end = f"step + 1 == {spec.total_steps}"
    return f'''
def training():
    """Train step by step. It halts before each, where something may be changed."""
    losses, hits = [], []
    for step in range({spec.total_steps}):
        yield step
        if not losses:
            batches = iter(train_batches)  # draws the epoch's order
        loss, right = train_step(next(batches))
        losses.append(loss)
        hits += right
        if len(losses) == len(train_batches) or {end}:
            end_epoch(losses, hits)
            losses, hits = [], []
'''
