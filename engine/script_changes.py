"""What was changed while a run trained, as the code of its equivalent script. Pure."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from engine import script_parts as parts
from engine.spec import Phase, RunSpec
from engine.steering import Change, Standing, applied, words

WIDTH = 96  # of a comment


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One change, at its step, with how the run stood before it and after it."""

    step: int
    change: Change
    before: Standing
    after: Standing


@dataclass(frozen=True)
class Story:
    """A run from its beginning: how it was started, and what was changed at which step."""

    spec: RunSpec
    changes: Sequence[tuple[int, Change]] = ()

    @cached_property
    def moments(self) -> list[Moment]:
        """The changes in order; single steps taken by hand change nothing and are left out."""
        found, standing = [], Standing(spec=self.spec)
        for step, change in self.changes:
            if change.kind == "look" or step >= self.spec.total_steps:
                continue
            after = applied(standing, change)
            found.append(Moment(step=step, change=change, before=standing, after=after))
            standing = after
        return found

    @cached_property
    def specs(self) -> list[RunSpec]:
        """How the run stood, in order: as it was started, then after each change."""
        return [self.spec, *(moment.after.spec for moment in self.moments)]

    @property
    def is_live(self) -> bool:
        """Whether there is a change that the script has to make."""
        return any(code(self, moment) for moment in self.moments)

    def phase_at(self, step: int) -> Phase:
        """The phase that a step belongs to."""
        return self.spec.phases[step // self.spec.steps_per_phase]

    # What each part of the network is, over the whole run: one value, or several.

    @property
    def activations(self) -> set[str]:
        return {spec.activation for spec in self.specs}

    @property
    def norms(self) -> set[str]:
        return {spec.norm for spec in self.specs}

    @property
    def positions(self) -> set[str]:
        return {spec.norm_position for spec in self.specs if spec.norm != "none"}

    @property
    def rules(self) -> set[str]:
        return {_rule(spec) for spec in self.specs}

    @property
    def clips(self) -> set[str]:
        return {parts.clip(spec, "") for spec in self.specs}

    @property
    def skips(self) -> set[str]:
        return {str(spec.skips) for spec in self.specs}

    @property
    def drawn_anew(self) -> list[Moment]:
        return [moment for moment in self.moments if moment.change.kind == "reinitialise"]


def _rule(spec: RunSpec) -> str:
    return spec.gradient_rule if spec.gradient_rule in parts.RULES else "none"


def activation(spec: RunSpec) -> str:
    """What is called where the activation changes while the run trains."""
    return parts.ACTIVATIONS[spec.activation] or "nn.Identity()"


def rule(spec: RunSpec) -> str:
    """The same for the backward rule."""
    found = parts.RULES.get(spec.gradient_rule)
    return f"{found}.apply" if found else "nn.Identity()"


def clip(spec: RunSpec) -> str:
    """The same for what cuts the finished gradient; None where nothing does."""
    if spec.gradient_rule not in parts.CLIPS:
        return "None"
    function, name = parts.CLIPS[spec.gradient_rule]
    return f"partial({function}, {name}={spec.gradient_bound})"


def parameters(spec: RunSpec) -> str:
    """What the optimizer is given."""
    if spec.schedule == "layerwise_intended":
        return "[p for p in model.parameters() if p.requires_grad]"
    return "model.parameters()"


def settings(story: Story) -> list[str]:
    """Assignments of all that changes while the run trains, as it is at the beginning."""
    spec = story.spec
    return [line for _, line in _assignments(story, spec)]


def _assignments(story: Story, spec: RunSpec) -> list[tuple[str, str]]:
    """Each varying part of the network, as the statement that makes it what `spec` says."""
    found = []
    if len(story.activations) > 1:
        found.append(("activation", f"activation = {activation(spec)}"))
    if len(story.positions) > 1:
        is_before = spec.norm_position == "before"
        found.append(("position", f"norm_is_before = {is_before}  # the activation"))
    if len(story.rules) > 1:
        found.append(("rule", f"rule = {rule(spec)}"))
    if len(story.skips) > 1:
        found.append(("skips", f"skips = {spec.skips}"))
    if len(story.clips) > 1:
        found.append(("clip", f"clip = {clip(spec)}"))
    return found


def code(story: Story, moment: Moment) -> list[str]:
    """The statements that make a change; none where it changes nothing that the run uses."""
    change = moment.change
    if change.kind in ("freeze", "unfreeze"):
        which = layer(story.spec, change.layer)
        return [f"{which}.requires_grad_({change.kind == 'unfreeze'})"]
    if change.kind == "reinitialise":
        draw = parts.draw_function(moment.before.spec)
        if change.layer is not None:
            return [f"draw_anew({change.layer}, {draw})"]
        return ["for number in range(1, DEPTH + 2):", f"    draw_anew(number, {draw})"]
    before, after = moment.before.spec, moment.after.spec
    were = dict(_assignments(story, before))
    lines = [line for name, line in _assignments(story, after) if were[name] != line]
    return lines + _norm(story, moment) + _optimizer(before, after)


def layer(spec: RunSpec, number: int | None) -> str:
    """A layer of the script's model, its norm included."""
    assert number is not None, "only `reinitialise` means all layers"
    return "model.output" if number == spec.layers else f"model.hidden[{number - 1}]"


def _norm(story: Story, moment: Moment) -> list[str]:
    before, after = moment.before.spec, moment.after.spec
    if after.norm == before.norm:
        return []
    made = parts.NORMS[after.norm] or "nn.Identity()"
    to_device = ".to(device)" if after.norm in parts.LEARNING_NORMS else ""
    lines = ["for layer in model.hidden:", f"    layer.norm = {made}{to_device}"]
    by_phase = range(1, story.phase_at(moment.step).frozen + 1)
    frozen = sorted({*by_phase, *moment.after.frozen} - {story.spec.layers})
    if frozen and after.norm in parts.LEARNING_NORMS:
        shown = ", ".join(str(number - 1) for number in frozen)
        lines += [
            f"for index in [{shown}]:  # those layers are frozen still",
            "    model.hidden[index].requires_grad_(False)",
        ]
    return lines


def _optimizer(before: RunSpec, after: RunSpec) -> list[str]:
    made = parts.optimizer(after, parameters(after))
    if after.optimizer != before.optimizer:
        return [f"optimizer = {made}"]
    if after.norm != before.norm and {after.norm, before.norm} & parts.LEARNING_NORMS:
        return ["before = optimizer", f"optimizer = {made}", "keep_state(before, optimizer)"]
    if made == parts.optimizer(before, parameters(before)):
        return []
    names = {"learning_rate": "lr", "weight_decay": "weight_decay"}
    if after.optimizer in ("momentum", "nesterov"):
        names["momentum"] = "momentum"
    return [
        f'optimizer.param_groups[0]["{short}"] = {getattr(after, name)}'
        for name, short in names.items()
        if getattr(after, name) != getattr(before, name)
    ]


KEEP_STATE = '''
def keep_state(before, after):
    """Let an optimizer go on with the state of the one before it."""
    for parameter in after.param_groups[0]["params"]:
        if parameter in before.state:
            after.state[parameter] = before.state[parameter]
'''


def helpers(story: Story) -> list[str]:
    """The functions that the statements of `steps` call."""
    found = []
    if any("keep_state" in line for moment in story.moments for line in code(story, moment)):
        found.append(KEEP_STATE)
    if story.drawn_anew:
        found.append(_draw_anew(story))
    return found


def _draw_anew(story: Story) -> str:
    told = [
        "def draw_anew(number, draw):",
        '    """Begin anew with a layer: weights, norm and optimizer state."""',
        "    layer = model.output if number > DEPTH else model.hidden[number - 1]",
        "    linear = layer if number > DEPTH else layer.linear",
        "    fresh = nn.Linear(linear.in_features, linear.out_features)",
        "    if draw is not None:  # otherwise as nn.Linear draws",
        "        draw(fresh.weight)",
        "        nn.init.zeros_(fresh.bias)",
        "    linear.load_state_dict(fresh.state_dict())",
    ]
    if story.norms & parts.LEARNING_NORMS:
        told += [
            '    if hasattr(getattr(layer, "norm", None), "reset_parameters"):',
            "        layer.norm.reset_parameters()",
        ]
    told.append("    for parameter in layer.parameters():")
    if any(moment.before.spec.optimizer == "adagrad" for moment in story.drawn_anew):
        told += [
            '        if "sum" in optimizer.state.get(parameter, {}):  # Adagrad needs one',
            '            optimizer.state[parameter]["sum"].zero_()',
            "        else:",
            "            optimizer.state.pop(parameter, None)",
        ]
    else:
        told.append("        optimizer.state.pop(parameter, None)")
    return "\n" + "\n".join(told) + "\n"


def steps(story: Story) -> list[str]:
    """The loop over the steps, with what happens at each: phases begin, things are changed."""
    at: dict[int, list[tuple[str, list[str]]]] = {}
    if story.spec.schedule != "joint":
        for phase in story.spec.phases:
            first = (phase.number - 1) * story.spec.steps_per_phase
            at.setdefault(first, []).append(_phase(story, phase, first))
    for moment in story.moments:
        told = words(moment.before, moment.change)
        at.setdefault(moment.step, []).append((told, code(story, moment)))
    lines = ["for step in training():"]
    for step in sorted(at):
        lines += textwrap.indent("\n".join(_at(step, at[step])), "    ").splitlines()
    return lines


def _phase(story: Story, phase: Phase, first: int) -> tuple[str, list[str]]:
    standing = [m.after.spec for m in story.moments if m.step < first]
    spec = (standing or [story.spec])[-1]
    told = f"phase {phase.number}: {phase.layers} hidden layers, {phase.frozen} of them frozen"
    entered = f"{phase.layers}, {phase.frozen}" if freezes(spec) else f"{phase.layers}"
    made = parts.optimizer(spec, parameters(spec))
    return told, [f"model.enter({entered})", f"optimizer = {made}"]


def freezes(spec: RunSpec) -> bool:
    """Whether a phase of the run freezes layers."""
    return any(phase.frozen for phase in spec.phases)


def _at(step: int, happenings: list[tuple[str, list[str]]]) -> Iterator[str]:
    """Comments and statements of one step."""
    statements: list[str] = []
    for told, lines in happenings:
        comment = textwrap.wrap(f"Step {step}: {told}.", WIDTH - 8)
        statements += [f"# {line}" for line in comment] + lines
    if all(line.startswith("#") for line in statements):
        yield from statements
        return
    yield f"if step == {step}:"
    yield from (f"    {line}" for line in statements)
