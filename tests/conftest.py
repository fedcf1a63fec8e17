"""Examples have no deadline of their own: a busy machine is no failure, and pytest's timeout ends what hangs."""

from hypothesis import HealthCheck, settings

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
