"""The checks of the doctor.

Each takes the container and returns its findings. A check that does not apply returns none.
"""
