"""Mean-field prediction of a network's gradients at initialisation. numpy and scipy only."""

from dataclasses import dataclass

from engine.records import Floats, InputKernel
from engine.spec import RunSpec


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What an infinitely wide network of this spec does with these inputs, before its first step.

    Arrays are [layers]; row `layer - 1`, the output layer last; NaN for layers not in use.
    Logarithms, because 100 sigmoid layers reach 10^-90.
    """

    log10_delta_rms: Floats  # of dL/dz of the batch-mean loss, as the statistic `delta_rms`
    log10_grad_norm: Floats  # of the Frobenius norm of dL/dW, as `grad_norm`
    log10_grad_rms: Floats  # the same per weight, as `grad_rms`
    delta_band: Floats  # one standard deviation over seeds of log10 delta_rms, in decades
    grad_band: Floats  # the same of log10 grad_norm
    preactivation_variance: Floats  # mean square of z, the Linear's output, over units and examples
    correlation_same: Floats  # of z for two examples of one class, not centred
    correlation_different: Floats  # of two classes
    saturated_share: Floats  # as the statistic
    active_units: float  # units that carry gradient in the poorest layer: width / kurtosis of slope
    factor: float  # of dL/dz from one hidden layer to the one below, geometric mean; NaN at depth 1
    ratio: float  # R: RMS of dL/dz in layer 1 over the last hidden layer's
    fault: str  # why it must not be trusted, in one sentence; "" where it can be

    @property
    def valid(self) -> bool:
        """Whether it can be trusted."""
        return not self.fault


def predict(spec: RunSpec, kernel: InputKernel) -> Prediction:
    """What theory expects of the first step of a run.

    kernel  of the run's own first batch
    """
    raise NotImplementedError
