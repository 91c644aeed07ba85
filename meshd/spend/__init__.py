"""Spend: the journal that the router writes on a request's way, and the ledger the state actor folds it into."""
