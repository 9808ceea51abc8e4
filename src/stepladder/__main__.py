"""`python -m stepladder`: the command line, where the script is not on the path."""

from stepladder.cli import main

main()
