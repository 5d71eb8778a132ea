"""The name that programs written for WellFlow import; see `jobyard`."""

from jobyard import WellFlowClient, WellFlowError

__all__ = ["WellFlowClient", "WellFlowError"]
