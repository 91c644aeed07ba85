"""`python -m meshd.cli`: meshctl when its script is not on PATH."""

from meshd.host.process.start import command

command()
