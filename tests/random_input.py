"""What random input is made of: Hypothesis's profile, and strategies that several tests draw from."""

import hashlib
import os
import re

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from engine.errors import SpecError
from engine.presets import PRESETS
from engine.remedies import REMEDIES
from engine.spec import RunSpec, bounds, choices, is_whole, may_be_none

#: ci: the same few examples each time. HYPOTHESIS_PROFILE=long looks for others, for minutes.
_COMMON = {
    "deadline": None,
    "database": None,  # a failure is told with its example; nothing is left in the folder
    "print_blob": True,
    # A library of its own is made once for all examples of a test: what they may share.
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
settings.register_profile("ci", derandomize=True, max_examples=60, **_COMMON)
settings.register_profile("long", max_examples=5000, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

FIELDS = list(RunSpec.FIELDS)
#: What people, links and programs write that has broken readers before.
AWKWARD = (
    *("", " ", "None", "null", "nan", "-inf", "1e999", "0x10", "1_0", "٣", "true", "\0", "\ud800"),
    *(
        "../../etc/passwd",
        "<script>alert(1)</script>",
        "{run0.x}",
        "%s%n",
        "a\nb",
        "=1",
        "9" * 5000,
    ),
    *("x" * 3000, "\u202e", "\U0001f600", "'; DROP TABLE run; --", "a,b,,c", "digits", "relu", "7"),
)
#: A line of a traceback, a file of this program or a name of one of its modules.
INSIDES = re.compile(r"Traceback|File \"|\.py\b|site-packages|\bengine\.[a-z_]+\.|\bui\.[a-z_]+\.")

texts = st.text(max_size=30) | st.text(st.characters(), max_size=12) | st.sampled_from(AWKWARD)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.integers(-3, 120)
    | st.floats()
    | st.sampled_from([-0.0, 1e308, 5e-324, 1e-8, 0.1 + 0.2])
    | texts
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
near_fields = st.sampled_from(FIELDS).map(lambda name: name[1:] + name[0])
mappings = st.dictionaries(st.sampled_from(FIELDS) | near_fields | texts, values, max_size=6)


def value_of(field):
    """A strategy of values that a field by itself allows, its bounds among them."""
    if options := choices(field):
        return st.sampled_from(options)
    low, high = bounds(field)
    inside = st.integers(int(low), int(high)) if is_whole(field) else st.floats(low, high)
    found = inside | st.sampled_from([RunSpec.FIELDS[field].default, type(low)(high), low])
    return found | st.none() if may_be_none(field) else found


_chosen = st.fixed_dictionaries({}, optional={name: value_of(name) for name in FIELDS})
_bases = st.sampled_from([{}, *(dict(preset.changes) for preset in PRESETS.values())])
_remedies = st.lists(st.sampled_from(list(REMEDIES)), max_size=3)


def _spec(base, remedies, fields):
    for name in remedies:
        base = base | dict(REMEDIES[name].changes)
    fields = base | fields
    while True:
        try:
            return RunSpec(**fields)
        except SpecError as error:  # two fields that do not fit: the default in place of one
            for name in error.faults:
                fields = {one: value for one, value in fields.items() if one != name} | (
                    {} if name in fields else {"norm": "none", "skip": "none", "schedule": "joint"}
                )


#: Any spec that the engine takes: a preset, remedies, and any fields over them.
specs = st.builds(_spec, _bases, _remedies, _chosen)


def is_sentence(said):
    """Whether this is one sentence that any screen shows as it is: short, whole, of printable signs."""
    said.encode()  # half a sign cannot be sent to a page
    return said.endswith((".", "?")) and said.isprintable() and len(said) < 1500


def contents(home):
    """File -> what is in it. SQLite's list of readers, which readers make, is not the library's."""
    files = [file for file in home.rglob("*") if file.is_file() and file.stat().st_size]
    return {
        str(file.relative_to(home)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.suffix != ".sqlite-shm"
    }
