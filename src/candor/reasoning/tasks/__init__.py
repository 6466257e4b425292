"""Tasks with exact verifiers."""
