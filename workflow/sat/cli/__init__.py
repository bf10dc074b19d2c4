"""The command line: ``sat COMMAND``, one module a command for people.

Every module with ``add_arguments`` and ``run`` is a command; the others are
what commands share. Modules import torch, pandas and the study's code inside
functions alone, so that every command and its help start at once.
"""
