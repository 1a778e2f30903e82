"""What one moment of what is looked at looks like: words for people and named arrays. numpy only.

Figures and the browser know the arrays by name.
"""

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from ui.arrays import Named


@dataclass(frozen=True, kw_only=True)
class Display:
    """What a run looks like at one moment."""

    header: dict[str, Any] = field(default_factory=dict)  # words and numbers; JSON
    arrays: Named = field(default_factory=dict)
    grows: dict[str, str] = field(default_factory=dict)  # array -> what its first axis counts
    identity: dict[str, NDArray[Any]] = field(default_factory=dict)  # axis -> what each row is

    def columns(self) -> dict[str, Any]:
        """All that figures draw from, by name: arrays, texts, the step and the events; what grows."""
        plain = ("step", "events", "steps_per_epoch")
        told = {name: self.header[name] for name in plain if name in self.header}
        return {**self.arrays, **self.header.get("texts", {}), **told, "grows": self.grows}


def grown(
    header: dict[str, Any],
    whole: Named,
    growing: dict[str, Named],
    identity: Named,
) -> Display:
    """A display of these; growing and identity by axis."""
    return Display(
        header=header,
        arrays={name: array for group in growing.values() for name, array in group.items()} | whole,
        grows={name: axis for axis, group in growing.items() for name in group},
        identity=identity,
    )
