"""The commands of the pipeline's rules, one module a stage."""
