"""The software that owns the machine: monitors, and what they share."""
