"""A study in one file: packed for others, made a study again, and joined to another one."""
