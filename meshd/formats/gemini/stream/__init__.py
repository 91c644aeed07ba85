"""Event streams of `streamGenerateContent`, from the first byte to the end."""
