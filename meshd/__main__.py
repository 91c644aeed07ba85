"""`python -m meshd`."""

from meshd.app.start import daemon

if __name__ == "__main__":
    daemon()
