"""This process and others, as the kernel shows them."""
