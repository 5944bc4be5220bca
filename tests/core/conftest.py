"""Property tests in here have no deadline: a loaded machine is not a bug."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
