"""`python -m ganlab`: the command `ganlab`."""

from ganlab.commands.main import main

if __name__ == "__main__":
    main()
