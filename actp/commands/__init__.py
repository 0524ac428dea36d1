"""The nouns of the `actp` command line, one module each.

A module has `HELP` (one sentence), `configure(parser)`, which adds its arguments or verbs and sets `run` as default,
and `run(arguments) -> int`, which returns an exit code. All of them are imported to show the help, so whatever takes
time to import is imported where it runs.
"""
