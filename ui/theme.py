"""Colours, sizes and the one colour domain of log10 |gradient|. Plain data; imports nothing.

Every figure names its colours by the keys of LIGHT and DARK, so the browser can repaint it when a
person changes the theme, without asking Python.
"""

#: log10 of the gradient RMS that the colour scale spans. The same for every run, layer and step:
#: a scale fitted to each run would make a dead gradient look alive.
GRADIENT_DOMAIN = (-12.0, 0.0)
#: Perceptually uniform, safe for the colour-blind, and dark where the gradient dies.
GRADIENT_SCALE = "Viridis"
#: log10 range of the profile by depth: the domain with room for a marker at either end.
PROFILE_RANGE = (-13.0, 1.0)

#: What a cell of the heatmap can be instead of a colour: name -> (code, word in the legend).
#: 0 is a value within the domain.
MARKS: dict[str, tuple[int, str]] = {
    "below": (1, "below 10⁻¹²"),
    "above": (2, "above 1"),
    "zero": (3, "exactly 0"),
    "nonfinite": (4, "not finite"),
    "frozen": (5, "frozen"),
    "absent": (6, "not in this phase"),
}

#: Two runs: log10 of the second's gradient RMS over the first's, centred at "equal". Diverging and
#: safe for the colour-blind: red where the second's is smaller, blue where it is larger.
DIFFERENCE_DOMAIN = (-6.0, 6.0)
DIFFERENCE_SCALE = "RdBu"
#: What a cell of the difference can be instead of a colour, as MARKS. Each has a colour by its name.
DIFFERENCE_MARKS: dict[str, tuple[int, str]] = {
    "zero": (1, "one is exactly 0"),
    "nonfinite": (2, "one is not finite"),
    "absent": (3, "one is frozen or not there"),
    "less": (4, "below 10⁻⁶ times"),
    "more": (5, "above 10⁶ times"),
}

#: log10 of chi_1 on the phase diagram, from where gradients vanish to where they explode: pale, so
#: that ON_PHASE reads on all of it, on both backgrounds.
PHASE_SCALE = (
    (0.0, "#e0907f"),
    (0.4, "#f6e3dc"),
    (0.5, "#f7f5f0"),
    (0.6, "#dde8f1"),
    (1.0, "#7fabd3"),
)
ON_PHASE = "#141a24"

LIGHT: dict[str, str] = {
    "background": "#ffffff",
    "text": "#1a2230",
    "muted": "#5b6575",
    "grid": "#dfe3ea",
    "newest": "#0b5fa5",
    "start": "#8a6d00",
    "batch": "#7b8798",
    "train": "#0b5fa5",
    "validation": "#b34700",
    "test": "#7a3e9d",
    "guess": "#5b6575",
    "theory": "#a8228c",
    "ridge": "#0b5fa5",
    "event": "#b3261e",
    "below": "#ff9ec4",
    "above": "#e8402a",
    "zero": "#c9a38a",
    "nonfinite": "#d6009a",
    "frozen": "#bcd3ee",
    "absent": "#e9ebef",
    "less": "#f2c400",
    "more": "#00b894",
}
DARK: dict[str, str] = LIGHT | {
    "background": "#0e1117",
    "text": "#eef1f6",
    "muted": "#a3adbd",
    "grid": "#2b3240",
    "newest": "#6cb6ff",
    "start": "#e3b341",
    "batch": "#8b97a8",
    "train": "#6cb6ff",
    "validation": "#ff9a4d",
    "test": "#d2a8ff",
    "guess": "#a3adbd",
    "theory": "#ff86d9",
    "ridge": "#6cb6ff",
    "event": "#ff7b72",
    "absent": "#262c36",
}
MODES: dict[str, dict[str, str]] = {"light": LIGHT, "dark": DARK}

#: One colour per group of remedies (engine.remedies.GROUPS), the same on every page; each is
#: readable on both backgrounds.
REMEDY_COLOURS: dict[str, str] = {
    "baseline": "#7b8494",
    "initialisation": "#2a7fc9",
    "activation": "#b97a00",
    "optimizer": "#0a9168",
    "normalisation": "#c4568f",
    "skip": "#1a97b5",
    "schedule": "#d9601a",
    "gradient": "#8a6fd1",
}

FONT_PX = 14  # the smallest type in a chart
PROJECTOR_FONT_PX = 20  # the same from the last row of a hall
