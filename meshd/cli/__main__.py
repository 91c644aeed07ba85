"""`python -m meshd.cli`: meshctl where its script is not on the path."""

from meshd.host.start import command

command()
