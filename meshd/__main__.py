"""`python -m meshd`."""

from meshd.host.process.start import daemon

if __name__ == "__main__":
    daemon()
