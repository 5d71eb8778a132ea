"""Client for Jobyard's WellFlow interface. Standard library only."""

from .client import Jobs, Schedules, Webhooks, WellFlowClient
from .http import WellFlowError

__all__ = ["Jobs", "Schedules", "Webhooks", "WellFlowClient", "WellFlowError"]
