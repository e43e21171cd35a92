"""How releases arrive unasked: the sensor, its cursor, what it requests, and the schedules."""
