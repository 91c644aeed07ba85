"""The journal of spend, and the ledger that it is folded into."""
