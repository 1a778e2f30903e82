"""Errors a person can act on. Anything else is a defect and keeps its traceback."""

from collections.abc import Mapping


class EngineError(Exception):
    """Base class: the message is one sentence fit to be shown as it is."""


class SpecError(EngineError):
    """A run was asked for that the engine cannot build.

    faults  field name -> one sentence; the page puts each sentence beside its control
    """

    def __init__(self, faults: Mapping[str, str]):
        super().__init__(" ".join(faults.values()))
        self.faults = dict(faults)

    def __reduce__(self) -> tuple[type["SpecError"], tuple[dict[str, str]]]:
        return type(self), (self.faults,)


class PresetError(EngineError):
    """A preset was named that does not exist."""


class DataError(EngineError):
    """A data set is not here and could not be fetched."""


class DeviceError(EngineError):
    """A device was asked for that this machine does not have."""


class StoreError(EngineError):
    """A run's file cannot be read or written."""


class RunError(EngineError):
    """A run was named that does not exist, or asked for something it cannot do."""


class RightsError(EngineError):
    """Something was asked for that only the presenter may do."""


class LimitError(EngineError):
    """More was asked for than this machine or its settings allow."""


class StageError(EngineError):
    """Something was to be shown to the audience that cannot be, or the hall cannot reach this server."""


class LessonError(EngineError):
    """A chapter of the lessons is not written as one, or was named and does not exist."""


class DivergedError(EngineError):
    """The loss or a gradient became NaN or infinite: the run ends here, with all it recorded."""

    def __init__(self, step: int, layer: int | None, quantity: str):
        where = f"in layer {layer}" if layer else "in the loss"
        super().__init__(f"Diverged at step {step}: {quantity} became non-finite {where}.")
        self.step, self.layer, self.quantity = step, layer, quantity
