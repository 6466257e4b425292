"""What every page says of its run: which one it is, on what it was made, and how to make it again."""

from __future__ import annotations

from typing import Any

from candor.report.evidence import Evidence
from candor.report.tables import Table, facts_table, versions_table


def provenance(evidence: Evidence) -> dict[str, Any]:
    """The run's name, model and date, its commands and its recipe."""
    return {
        "model": evidence.text("model") or "a model",
        "created": str(evidence.manifest.get("created") or ""),
        "run": evidence.run.name,
        "commands": [str(command) for command in evidence.table("commands").values()],
        "recipe": evidence.recipe,
    }


def provenance_tables(evidence: Evidence) -> dict[str, Table | None]:
    """The machine that it was made on, and with which versions."""
    machine = evidence.manifest.get("machine")
    return {
        "machine": facts_table("Machine", machine if isinstance(machine, dict) else {}),
        "versions": versions_table(evidence.manifest),
    }
