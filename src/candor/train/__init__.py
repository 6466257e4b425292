"""One training loop for every stage."""

from candor.train.adapters import merged
from candor.train.loop import StepMetrics, TrainResult, fit
from candor.train.settings import TrainSettings

__all__ = ["StepMetrics", "TrainResult", "TrainSettings", "fit", "merged"]
