"""The serve stage: an OpenAI-compatible server in front of models, raw completions first."""
