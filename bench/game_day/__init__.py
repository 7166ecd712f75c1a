"""A game of faults: a scratch project is hurt in every way we know, and must come back whole.

``make game-day`` runs it (``python -m bench.game_day --help``). It is no part of ``make test``: it
takes minutes, mounts small file systems where it may, and kills processes.
"""
