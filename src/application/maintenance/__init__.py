"""Use cases of operators on a whole storage.

A use case on one subject is in the folder of that subject.
"""
