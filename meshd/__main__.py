"""`python -m meshd`."""

from meshd.host.start import daemon

if __name__ == "__main__":
    daemon()
