"""`python -m meshd`."""

from meshd.app.main import main

if __name__ == "__main__":
    main()
