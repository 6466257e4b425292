"""An audit of any policy that was optimised for a proxy reward, from a log of its completions.

`log` reads and refuses, `checks` finds what a log says against itself, `measure` estimates with limits,
`verdict` decides, `words` says what it means and what would settle it, `draw` makes a log with Candor's
engine.
"""

from candor.rewards.audit.log import Entry, Log, read_log
from candor.rewards.audit.verdict import Audit, audit

__all__ = ["Audit", "Entry", "Log", "audit", "read_log"]
