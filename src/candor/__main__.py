"""`python -m candor` is the `candor` command."""

from candor.cli.app import main

main()
