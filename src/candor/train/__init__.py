"""The training loop that every stage stands on; import from its modules, which are heavy."""
