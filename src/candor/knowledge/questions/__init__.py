"""Documents to questions: answers are chosen first, sentences turned round, and what survives is kept.

`words`, `names`: the little English that is needed. `spans`, `terms`: what to ask about. `turn`: a sentence
as a question, with `clauses`, `inversion`, `question_words` and `topic`, by the rules of `subjects` and
`predicates`. `generator`: what a model adds. `filters`, `round_trip`: what is kept. `harvest`: what came of
it. `write`: all of that in order.
"""

from candor.knowledge.questions.harvest import QuestionHarvest, Rejected, deduplicate, require_questions
from candor.knowledge.questions.round_trip import same_answer
from candor.knowledge.questions.settings import QuestionSettings
from candor.knowledge.questions.write import SHARD, write_questions, write_questions_for_shard

__all__ = [
    "SHARD",
    "QuestionHarvest",
    "QuestionSettings",
    "Rejected",
    "deduplicate",
    "require_questions",
    "same_answer",
    "write_questions",
    "write_questions_for_shard",
]
