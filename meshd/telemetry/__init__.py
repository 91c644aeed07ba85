"""Events, the request log and statistics: what is written, and how secrets are kept out."""
