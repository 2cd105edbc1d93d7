"""`python -m imgq`: the same as `imgq`."""

from imgq.cli.main import main

if __name__ == "__main__":
    main()
