"""`meshctl doctor`: what is checked, and what it advises."""
