"""√χ² and audit logs in trainers of other projects: `trl` and `verl`, each imported by name when wanted.

`shaping` and `writer` are plain numpy and need nothing; `trl` needs TRL installed, `verl` is given verl's
modules.
"""
