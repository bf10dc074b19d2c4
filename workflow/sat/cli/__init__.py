"""The command line: ``python -m sat COMMAND``, one module a command.

A stage's module reads its inputs through the store, calls a pure function and
writes what it returns. Modules import torch inside ``run`` alone, so that
every other command starts at once.
"""
