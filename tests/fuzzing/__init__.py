"""Everything that reads what others wrote, under inputs that nobody would write.

``targets.py`` has what each parser must hold, ``corpus/`` the inputs that are known: written by hand, recorded, or
found by a run. ``python -m tests.fuzzing.guided TARGET`` runs one target under coverage until an input fails.
"""
