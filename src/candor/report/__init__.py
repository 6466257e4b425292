"""The HTML report of a run: `render_report(run)` writes one self-contained page."""

from candor.report.page import render_report

__all__ = ["render_report"]
