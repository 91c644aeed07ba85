"""Spend: the journal that the router writes during requests, and the ledger that the state actor folds it into."""
