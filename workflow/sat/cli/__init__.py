"""The command line ``sat COMMAND``: one module for each command for people.

Every module with ``add_arguments`` and ``run`` is a command. The other modules hold
code that commands share. Modules import torch, pandas and the study's code only
inside functions, so that every command and its help start at once.
"""
