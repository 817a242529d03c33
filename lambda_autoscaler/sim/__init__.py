"""A simulated world behind the same ports as the real one."""
