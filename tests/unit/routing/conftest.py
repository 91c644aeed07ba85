"""Makes the builders importable; there is nothing to set up or clean, as rules own nothing."""

import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
