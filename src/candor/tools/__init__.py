"""Tools that a model calls while it writes: text in, text out, nothing of models in here.

A call is text between two marks; whoever runs the model inserts the result between two other marks, and
training leaves it unlearned:

    What is 12 * 34? <calc>12 * 34</calc><result>408</result> So the answer is 408.
"""

from __future__ import annotations

from candor.tools.calculator import Calculator, calculate
from candor.tools.named import TOOLS, named_tools
from candor.tools.tool import Tool, ToolLimits, result_spans

__all__ = ["TOOLS", "Calculator", "Tool", "ToolLimits", "calculate", "named_tools", "result_spans"]
