"""`python -m pssr`: the command `pssr`, for programs that start a module, such as `torchrun -m pssr`."""

from pssr.cli.main import main

if __name__ == "__main__":
    main()
