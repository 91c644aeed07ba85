"""Events, the request log and statistics: what is written of them, and how secrets are kept out."""
