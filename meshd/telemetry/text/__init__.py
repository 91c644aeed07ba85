"""Texts of prompts, answers and errors, and what is masked in them."""
