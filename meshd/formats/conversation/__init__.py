"""A conversation in records that no wire format owns; only translators between two formats see them."""
