"""Which models, providers and keys may be asked, and what sets them aside and brings them back."""
