"""`python -m webrt`."""

from webrt.cli.main import main

main()
